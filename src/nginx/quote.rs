//! Decides which texts are safe in an nginx file, and quotes a text as an argument. Pure.
//! Decides by an allow-list of characters, never by context: it cannot know where in the file the text will be.

use std::fmt;

/// Longest text allowed, in bytes. nginx refuses an argument of 4096 bytes; this leaves room for text beside it.
pub const MAX_BYTES: usize = 4000;

/// The reason why a text may not be printed. Names the kind of character and never the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// A space, tab or line break would end the argument.
    Whitespace,
    /// A character with a special meaning in nginx: `;{}"'\#$`.
    Metacharacter(char),
    /// A control character, such as NUL, ESC or DEL.
    Control,
    /// A character beyond ASCII.
    NonAscii,
    /// Longer than `MAX_BYTES`.
    TooLong,
    /// `include`, which reads a file wherever it stands first, quoted or not: also in `map`, `geo` and `types`, whose other words are data.
    Include,
}

/// The directive that reads a file.
const INCLUDE: &str = "include";

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Harm::Whitespace => f.write_str("contains whitespace"),
            Harm::Metacharacter(c) => write!(f, "contains `{c}`"),
            Harm::Control => f.write_str("contains a control character"),
            Harm::NonAscii => f.write_str("contains a character beyond ASCII"),
            Harm::Include => write!(f, "is `{INCLUDE}`, which reads a file if it is the first word"),
            Harm::TooLong => write!(f, "is longer than {MAX_BYTES} bytes"),
        }
    }
}

/// Returns the first reason why `text` is not harmless everywhere in an nginx file; `None` if it is harmless.
pub fn harm(text: &str) -> Option<Harm> {
    if text.len() > MAX_BYTES {
        return Some(Harm::TooLong);
    }
    if text == INCLUDE {
        return Some(Harm::Include);
    }
    text.chars().find_map(|c| match c {
        ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' => Some(Harm::Whitespace),
        ';' | '{' | '}' | '"' | '\'' | '\\' | '#' | '$' => Some(Harm::Metacharacter(c)),
        '\x21'..='\x7e' => None,
        c if c.is_ascii() => Some(Harm::Control),
        _ => Some(Harm::NonAscii),
    })
}

/// Returns whether `text` is only data everywhere in an nginx file: in a bare argument, in quotes, in a comment.
pub fn is_harmless(text: &str) -> bool {
    harm(text).is_none()
}

/// Returns `text` as one double-quoted nginx argument, with the quotes.
///
/// # Errors
/// `$` cannot be escaped in nginx, and no directive needs control characters: both are refused, and so is a text that is
/// too long, and `include`, of which quotes make nothing else.
pub fn quoted(text: &str) -> Result<String, Harm> {
    if text == INCLUDE {
        return Err(Harm::Include);
    }
    let mut argument = String::with_capacity(text.len() + 2);
    argument.push('"');
    for c in text.chars() {
        match c {
            '$' => return Err(Harm::Metacharacter('$')),
            c if c.is_control() => return Err(Harm::Control),
            '"' | '\\' => argument.extend(['\\', c]),
            c => argument.push(c),
        }
    }
    argument.push('"');
    if argument.len() > MAX_BYTES { Err(Harm::TooLong) } else { Ok(argument) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_printable_ascii_is_harmless() {
        for text in ["", "10.0.0.1:8080", "[2001:db8::1]:80", "web-1.example.com", "unix:/run/a.sock", "a=b,c|d&e?f*g~"]
        {
            assert_eq!(harm(text), None, "{text:?}");
        }
        for (text, expected) in [
            ("a b", Harm::Whitespace),
            ("a\n", Harm::Whitespace),
            ("a;b", Harm::Metacharacter(';')),
            ("}", Harm::Metacharacter('}')),
            ("${x}", Harm::Metacharacter('$')),
            ("a\\", Harm::Metacharacter('\\')),
            ("#", Harm::Metacharacter('#')),
            ("a\0", Harm::Control),
            ("\x7f", Harm::Control),
            ("\x1b[0m", Harm::Control),
            ("include", Harm::Include),
            ("ü", Harm::NonAscii),
            ("\u{a0}", Harm::NonAscii),
        ] {
            assert_eq!(harm(text), Some(expected), "{text:?}");
        }
        assert_eq!(harm(&"x".repeat(MAX_BYTES)), None);
        assert_eq!(harm(&"x".repeat(MAX_BYTES + 1)), Some(Harm::TooLong));
    }

    #[test]
    fn a_quoted_argument_keeps_every_character_or_is_refused() {
        for (text, expected) in [
            ("", "\"\""),
            ("a b; }", "\"a b; }\""),
            ("say \"hi\"", "\"say \\\"hi\\\"\""),
            ("c:\\n", "\"c:\\\\n\""),
            ("it's ü", "\"it's ü\""),
        ] {
            assert_eq!(quoted(text).as_deref(), Ok(expected));
        }
        assert_eq!(quoted("${host}"), Err(Harm::Metacharacter('$')));
        assert_eq!(quoted("include"), Err(Harm::Include));
        assert_eq!((harm("included"), quoted("include ").is_ok()), (None, true));
        assert_eq!(quoted("a\nb"), Err(Harm::Control));
        assert_eq!(quoted("a\u{85}b"), Err(Harm::Control));
        assert_eq!(quoted(&"\"".repeat(MAX_BYTES / 2)), Err(Harm::TooLong));
    }
}
