//! Quotes: Go's, which `quote`, `%q` and `%#v` write; YAML's single ones; nginx's. Pure.

use std::fmt::Write;
use std::sync::LazyLock;

use regex::Regex;

use crate::nginx::quote as nginx;

/// Returns a text in double quotes; with `ascii`, everything else is escaped.
pub(in crate::render) fn double(text: &str, ascii: bool) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        escaped(c, '"', ascii, &mut quoted);
    }
    quoted.push('"');
    quoted
}

/// Returns a text in single quotes, each of its own doubled.
pub(in crate::render) fn squote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns a text as one quoted argument of an nginx directive.
///
/// # Errors
/// A phrase about the text.
pub(in crate::render) fn nginx_string(text: &str) -> Result<String, String> {
    nginx::quoted(text).map_err(|harm| format!("{harm}, and cannot be quoted in an nginx file"))
}

/// Returns a character in single quotes.
pub(in crate::render) fn single(c: char, ascii: bool) -> String {
    let mut quoted = String::from("'");
    escaped(c, '\'', ascii, &mut quoted);
    quoted.push('\'');
    quoted
}

/// Checks whether a text can stand in back quotes.
pub(in crate::render) fn can_be_raw(text: &str) -> bool {
    text.chars().all(|c| !matches!(c, '`' | '\x7f' | '\u{feff}') && (c >= ' ' || c == '\t'))
}

fn escaped(c: char, quote: char, ascii: bool, output: &mut String) {
    match c {
        '\\' => output.push_str("\\\\"),
        c if c == quote => output.extend(['\\', c]),
        '\x07' => output.push_str("\\a"),
        '\x08' => output.push_str("\\b"),
        '\x0c' => output.push_str("\\f"),
        '\n' => output.push_str("\\n"),
        '\r' => output.push_str("\\r"),
        '\t' => output.push_str("\\t"),
        '\x0b' => output.push_str("\\v"),
        c => {
            // Writing to a string cannot fail.
            let _infallible = match u32::from(c) {
                code if c.is_ascii_control() => write!(output, "\\x{code:02x}"),
                _ if is_printable(c) && (c.is_ascii() || !ascii) => output.write_char(c),
                code if code < 0x1_0000 => write!(output, "\\u{code:04x}"),
                code => write!(output, "\\U{code:08x}"),
            };
        }
    }
}

/// Checks whether Go takes it for printable: letters, marks, numbers, punctuation, symbols, and the blank.
pub(in crate::render) fn is_printable(c: char) -> bool {
    static PRINTABLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\A[\pL\pM\pN\pP\pS]\z").ok());
    match c.is_ascii() {
        true => c == ' ' || c.is_ascii_graphic(),
        false => PRINTABLE.as_ref().is_some_and(|printable| printable.is_match(c.encode_utf8(&mut [0; 4]))),
    }
}
