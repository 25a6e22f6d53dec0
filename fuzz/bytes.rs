//! Makes up bytes: takes a known input and changes it. The same seed gives the same bytes. Never keeps what it made.

/// Largest input, in bytes.
const MAX_BYTES: usize = 4096;

/// Pieces that parsers have stumbled over.
const PIECES: &[&[u8]] = &[
    b"\0",
    b"\n",
    b"\r\n",
    b"\x1b[31m",
    b"\xff",
    b"\xc3",
    "é".as_bytes(),
    "\u{feff}".as_bytes(),
    "\u{2028}".as_bytes(),
    "𝕏".as_bytes(),
    b"{{",
    b"}}",
    b"{%",
    b"%}",
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b"\"",
    b"'",
    b"`",
    b"\\",
    b"$",
    b"#",
    b";",
    b":",
    b"/",
    b"//",
    b"..",
    b"*",
    b"&a",
    b"*a",
    b"<<: *a",
    b"!!binary ",
    b"---\n",
    b"- ",
    b": ",
    b"| ",
    b"-",
    b"+",
    b"0",
    b"-1",
    b"00",
    b"65535",
    b"65536",
    b"4294967296",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"18446744073709551616",
    b"1e999",
    b"NaN",
    b"0x1f",
    b"1_000",
    b"unix:",
    b"[::1]:80",
    b"[::ffff:127.0.0.1]",
    b"127.0.0.1:80",
    b"localhost",
    b"true",
    b"null",
    b"%2e%2e",
    b"%",
    b"%!",
    b"%*d",
    b"%[9]d",
    b"2006-01-02",
    b"Z07:00",
    b"range",
    b"end",
    b"define \"a\"",
    b"template \"a\" .",
    b"if ",
    b"{{.}}",
    b"{{end}}",
    b"../",
    b"=",
];

/// A source of inputs.
pub struct Source {
    state: u64,
    seeds: Vec<Vec<u8>>,
}

impl Source {
    /// Returns the source of a seed, with inputs to start from.
    pub fn new(seed: u64, seeds: Vec<Vec<u8>>) -> Source {
        Source { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, seeds }
    }

    /// Returns the next input.
    pub fn next(&mut self) -> Vec<u8> {
        let mut input = self.seed();
        for _ in 0..=self.below(6) {
            self.change(&mut input);
            input.truncate(MAX_BYTES);
        }
        input
    }

    fn seed(&mut self) -> Vec<u8> {
        let at = self.below(self.seeds.len());
        self.seeds.get(at).cloned().unwrap_or_default()
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let end = (at + self.below(8)).min(input.len());
        match self.below(7) {
            0 => drop(input.splice(at..end, [self.byte()])),
            1 => drop(input.drain(at..end)),
            2 => {
                let piece = PIECES[self.below(PIECES.len())];
                input.splice(at..at, piece.iter().copied());
            }
            3 => {
                let piece = PIECES[self.below(PIECES.len())];
                input.splice(at..end, piece.iter().copied());
            }
            4 => {
                let part = input[at..(at + self.below(64)).min(input.len())].to_vec();
                let times = 1 + self.below(8);
                input.splice(at..at, part.repeat(times));
            }
            5 => {
                let other = self.seed();
                let from = self.below(other.len() + 1);
                input.splice(at..end, other[from..].iter().copied());
            }
            _ => {
                let bit = self.below(8);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
        }
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap_or_default()
    }

    /// Returns a number below the limit; 0 if that is 0.
    fn below(&mut self, limit: usize) -> usize {
        // xorshift64*: short, and good enough to make nonsense.
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let number = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap_or_default().checked_rem(limit).unwrap_or_default()
    }
}
