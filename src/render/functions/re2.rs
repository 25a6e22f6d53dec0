//! Go's regular expressions in the words of the engine that runs them here. The two differ where nobody would look: `\w`, `\d`,
//! `\s` and `\b` are ASCII in Go, a `{` that begins no count is itself, and sets know no `&&`. Pure.
//!
//! Source: <https://pkg.go.dev/regexp/syntax>. Not carried over: `\B` goes by Unicode, and `\p{…}` takes more names.

/// Most repetitions that Go counts.
const MOST_REPEATS: u32 = 1000;

const DIGIT: &str = "0-9";
const SPACE: &str = "\\t\\n\\x0C\\r ";
const WORD: &str = "0-9A-Za-z_";

const POSIX: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// The same expression for the `regex` crate; `None` where Go takes it for none.
pub(super) fn translate(pattern: &str) -> Option<String> {
    let mut translation = Translation { rest: pattern, output: String::with_capacity(pattern.len() * 2) };
    translation.expression()?;
    Some(translation.output)
}

/// What stands before a place, as far as repetition is concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Atom,
    Repeated,
}

struct Translation<'a> {
    rest: &'a str,
    output: String,
}

impl Translation<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn take_if(&mut self, prefix: &str) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn literal(&mut self, c: char) {
        self.output.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    fn expression(&mut self) -> Option<()> {
        let mut before = Before::Nothing;
        while let Some(c) = self.take() {
            before = match c {
                '*' | '+' | '?' => self.repeat(before, &c.to_string())?,
                '{' => match self.count() {
                    Some(count) => self.repeat(before, &count?)?,
                    None => self.atom('{'),
                },
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '|' => {
                    self.output.push('|');
                    Before::Nothing
                }
                '.' | '^' | '$' | ')' => {
                    self.output.push(c);
                    Before::Atom
                }
                c => self.atom(c),
            };
        }
        Some(())
    }

    fn atom(&mut self, c: char) -> Before {
        self.literal(c);
        Before::Atom
    }

    /// A repetition and the `?` behind it; of a repetition there is none.
    fn repeat(&mut self, before: Before, operator: &str) -> Option<Before> {
        if before != Before::Atom {
            return None;
        }
        self.output.push_str(operator);
        if self.take_if("?") {
            self.output.push('?');
        }
        Some(Before::Repeated)
    }

    /// `n}`, `n,}` or `n,m}` behind a brace, with the brace; the inner `None` where it counts too far, or backwards.
    fn count(&mut self) -> Option<Option<String>> {
        let (inside, rest) = self.rest.split_once('}')?;
        let (least, most) = inside.split_once(',').unwrap_or((inside, inside));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(least) || !(most.is_empty() || is_number(most)) {
            return None;
        }
        self.rest = rest;
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number <= MOST_REPEATS);
        let is_good =
            number(least).is_some_and(|least| most.is_empty() || number(most).is_some_and(|most| most >= least));
        Some(is_good.then(|| format!("{{{inside}}}")))
    }

    /// What begins with a backslash, outside of a set.
    fn escape(&mut self) -> Option<Before> {
        match self.peek()? {
            'A' | 'z' | 'B' => {
                self.output.push('\\');
                let c = self.take()?;
                self.output.push(c);
            }
            'b' => {
                self.take();
                self.output.push_str("(?-u:\\b)");
            }
            'Q' => {
                self.take();
                let (quoted, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
                self.rest = rest;
                self.output.push_str(&regex::escape(quoted));
                return Some(if quoted.is_empty() { Before::Nothing } else { Before::Atom });
            }
            c => match perl_set(c) {
                Some((negated, set)) => {
                    self.take();
                    self.output.push_str(&format!("[{}{set}]", if negated { "^" } else { "" }));
                }
                None if matches!(c, 'p' | 'P') => self.property()?,
                None => {
                    let c = self.escaped_char()?;
                    self.literal(c);
                }
            },
        }
        Some(Before::Atom)
    }

    /// `pN`, `p{Name}`, `p{^Name}`, and the same with `P`.
    fn property(&mut self) -> Option<()> {
        let mut negated = self.take()? == 'P';
        let name = if self.take_if("{") {
            let (name, rest) = self.rest.split_once('}')?;
            self.rest = rest;
            let positive = name.strip_prefix('^');
            negated ^= positive.is_some();
            positive.unwrap_or(name).to_owned()
        } else {
            self.take()?.to_string()
        };
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return None;
        }
        self.output.push_str(&format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' }));
        Some(())
    }

    /// The one character that an escape stands for, the backslash being behind us.
    fn escaped_char(&mut self) -> Option<char> {
        let is_octal = |c: char| ('0'..='7').contains(&c);
        match self.take()? {
            // One digit alone would be a back-reference.
            c if is_octal(c) && (c == '0' || self.peek().is_some_and(is_octal)) => {
                let mut value = u32::from(c) - u32::from('0');
                for _ in 0..2 {
                    let Some(digit) = self.peek().filter(|c| is_octal(*c)) else { break };
                    self.take();
                    value = value * 8 + u32::from(digit) - u32::from('0');
                }
                char::from_u32(value)
            }
            'x' => {
                let digits = if self.take_if("{") {
                    let (digits, rest) = self.rest.split_once('}')?;
                    self.rest = rest;
                    digits.to_owned()
                } else {
                    [self.take()?, self.take()?].iter().collect()
                };
                let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                u32::from_str_radix(&digits, 16).ok().filter(|_| is_hex).and_then(char::from_u32)
            }
            'a' => Some('\u{7}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\u{b}'),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c),
            _ => None,
        }
    }

    /// A group's beginning: a plain one, one with a name, or flags.
    fn group(&mut self) -> Option<Before> {
        self.output.push('(');
        if !self.take_if("?") {
            return Some(Before::Nothing);
        }
        self.output.push('?');
        if self.rest.starts_with("P<") || self.rest.starts_with('<') {
            let (name, rest) = self.rest.split_once('>')?;
            self.output.push_str(&format!("{name}>"));
            self.rest = rest;
            return Some(Before::Nothing);
        }
        let end = self.rest.find([':', ')'])?;
        let flags = &self.rest[..end];
        if !flags.chars().all(|c| "imsU-".contains(c)) {
            return None;
        }
        self.output.push_str(&self.rest[..=end]);
        self.rest = &self.rest[end + 1..];
        Some(Before::Nothing)
    }

    /// A set, its bracket being behind us.
    fn class(&mut self) -> Option<Before> {
        self.output.push('[');
        if self.take_if("^") {
            self.output.push('^');
        }
        let mut is_first = true;
        while is_first || !self.rest.starts_with(']') {
            is_first = false;
            if self.rest.starts_with("[:")
                && let Some((name, rest)) = self.rest[2..].split_once(":]")
            {
                if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
                    return None;
                }
                self.output.push_str(&format!("[:{name}:]"));
                self.rest = rest;
                continue;
            }
            if let Some(next) = self.rest.strip_prefix('\\').and_then(|rest| rest.chars().next()) {
                if let Some((negated, set)) = perl_set(next) {
                    self.rest = &self.rest[2..];
                    self.output.push_str(&if negated { format!("[^{set}]") } else { set.to_owned() });
                    continue;
                }
                if matches!(next, 'p' | 'P') {
                    self.rest = &self.rest[1..];
                    self.property()?;
                    continue;
                }
            }
            let first = self.class_char()?;
            let is_range = self.rest.starts_with('-') && self.rest.len() > 1 && !self.rest.starts_with("-]");
            let last = if is_range {
                self.take();
                self.class_char()?
            } else {
                first
            };
            if last < first {
                return None;
            }
            self.output.push_str(&format!("\\x{{{:x}}}-\\x{{{:x}}}", u32::from(first), u32::from(last)));
        }
        self.take()?;
        self.output.push(']');
        Some(Before::Atom)
    }

    fn class_char(&mut self) -> Option<char> {
        match self.take()? {
            '\\' => self.escaped_char(),
            c => Some(c),
        }
    }
}

/// `d`, `s`, `w` and their opposites: whether it is an opposite, and the characters.
fn perl_set(c: char) -> Option<(bool, &'static str)> {
    let set = match c.to_ascii_lowercase() {
        'd' => DIGIT,
        's' => SPACE,
        'w' => WORD,
        _ => return None,
    };
    Some((c.is_ascii_uppercase(), set))
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    #[track_caller]
    fn check(pattern: &str, matches: &[&str], others: &[&str]) {
        let translated = translate(pattern).unwrap_or_else(|| panic!("{pattern} is refused"));
        let regex = Regex::new(&translated).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        for text in matches {
            assert!(regex.is_match(text), "{pattern} as {translated} does not match {text:?}");
        }
        for text in others {
            assert!(!regex.is_match(text), "{pattern} as {translated} matches {text:?}");
        }
    }

    #[test]
    fn perls_sets_are_ascii() {
        check(r"^\w+$", &["aZ_9"], &["é", ""]);
        check(r"^[\w.-]+$", &["a.b-c"], &["bücher.example"]);
        check(r"[^\w.-]", &["ü", " "], &["a.b"]);
        check(r"^\d$", &["7"], &["٣"]);
        check(r"^\s$", &[" ", "\t", "\u{c}"], &["\u{a0}", "\u{b}"]);
        check(r"^[\D]$", &["٣", "a"], &["7"]);
        check(r"\bé", &["aé"], &["é"]);
        check(r"\ba", &["é a", "a"], &["ba"]);
    }

    #[test]
    fn braces_that_count_nothing_are_themselves() {
        check("^server {$", &["server {"], &["server"]);
        check(r"{(\w+)}", &["/a/{b}"], &["/a/b"]);
        check("^a{,2}$", &["a{,2}"], &["aa"]);
        check("^x{a}{$", &["x{a}{"], &[]);
        check("^a{2,3}b{2}c{1,}$", &["aabbc"], &["abbc", "aabb"]);
        check("^a{2,3}?$", &["aa"], &["a"]);
        check("}]", &["}]"], &[]);
    }

    #[test]
    fn sets_have_no_operators() {
        check("^[a&&b]$", &["a", "&", "b"], &["c"]);
        check("^[+--]$", &["+", ",", "-"], &["."]);
        check("^[[a]$", &["[", "a"], &["b"]);
        check("^[a-z[]$", &["q", "["], &["]"]);
        check("^[]a]$", &["]", "a"], &["b"]);
        check("^[^]a]$", &["b", "\n"], &["]"]);
        check("^[a-]$", &["a", "-"], &["b"]);
        check("^[~~x]$", &["~", "x"], &["y"]);
        check(r"^[\-\]\\^]$", &["-", "]", "\\", "^"], &["a"]);
        check("^[[:alpha:]_[:^digit:]]$", &["é", "a", "_"], &["7"]);
        check("^[:a]$", &[":", "a"], &["b"]);
    }

    #[test]
    fn escapes_and_groups() {
        check(r"\<a", &["<a"], &["a"]);
        check(r"^\Qa.b\E+$", &["a.bb"], &["axb"]);
        check(r"^\Qa.(", &["a.(b"], &["a"]);
        check(r"^\123\x41\x{e9}\0$", &["SAé\u{0}"], &[]);
        check(r"^\t\.\_\/$", &["\t._/"], &[]);
        check(r"^(?i:ab)(?P<n>c)(?<m>d)(?s).$", &["ABcd\n"], &["abCd."]);
        check(r"^\pL\p{Greek}\p{^Greek}\PL$", &["aαa1"], &["ααα1"]);
        check("^(a|b)*?c$", &["abc"], &["abd"]);
        check("# not a comment", &["# not a comment"], &[]);
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for pattern in [
            "a++",
            "a**",
            "a{2}{3}",
            "a*{2}",
            "a???",
            "(?x) a",
            "(?R)a",
            r"\u0041",
            "a{1001}",
            "a{3,2}",
            r"\Z",
            r"\1",
            r"\8",
            r"\C",
            "*a",
            "(*a)",
            "[z-a]",
            "[a",
            "[[:nope:]]",
            r"[a-\d]",
            r"\x4",
            r"\x{}",
            r"\p{a=b}",
            r"\E",
            "(?=a)",
            "(?!a)",
            r"a|*",
        ] {
            let refused = translate(pattern).is_none_or(|translated| Regex::new(&translated).is_err());
            assert!(refused, "{pattern} as {:?}", translate(pattern));
        }
    }
}
