//! Escapes and sets: what stands for one character, or for one of several.

use super::{Preceding, Translation};

const DIGIT: &str = "0-9";
const SPACE: &str = "\\t\\n\\x0C\\r ";
const WORD: &str = "0-9A-Za-z_";

const POSIX: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

impl Translation<'_> {
    /// Translates what begins with a backslash, outside of a set.
    pub(super) fn escape(&mut self) -> Option<Preceding> {
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
                return Some(if quoted.is_empty() { Preceding::Nothing } else { Preceding::Atom });
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
        Some(Preceding::Atom)
    }

    /// Translates `pN`, `p{Name}`, `p{^Name}`, and the same with `P`.
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

    /// Reads the one character that an escape stands for, after the backslash.
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

    /// Translates a set, after its bracket.
    pub(super) fn class(&mut self) -> Option<Preceding> {
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
        Some(Preceding::Atom)
    }

    fn class_char(&mut self) -> Option<char> {
        match self.take()? {
            '\\' => self.escaped_char(),
            c => Some(c),
        }
    }
}

/// Returns whether `d`, `s`, `w` or an opposite of them is an opposite, and the characters.
fn perl_set(c: char) -> Option<(bool, &'static str)> {
    let set = match c.to_ascii_lowercase() {
        'd' => DIGIT,
        's' => SPACE,
        'w' => WORD,
        _ => return None,
    };
    Some((c.is_ascii_uppercase(), set))
}
