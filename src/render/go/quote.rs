//! Go's quotes: what `%q`, `quote` and `%#v` write.

use std::fmt::Write;

/// A text in double quotes; with `ascii`, everything else is escaped.
pub(super) fn double(text: &str, ascii: bool) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        escaped(c, '"', ascii, &mut quoted);
    }
    quoted.push('"');
    quoted
}

/// A character in single quotes.
pub(super) fn single(c: char, ascii: bool) -> String {
    let mut quoted = String::from("'");
    escaped(c, '\'', ascii, &mut quoted);
    quoted.push('\'');
    quoted
}

/// Whether a text can stand in back quotes.
pub(super) fn can_be_raw(text: &str) -> bool {
    text.chars().all(|c| c != '`' && c != '\u{feff}' && (!c.is_control() || c == '\t'))
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
                code if code == 0x20 || is_printable(c) && (c.is_ascii() || !ascii) => output.write_char(c),
                code if code < 0x1_0000 => write!(output, "\\u{code:04x}"),
                code => write!(output, "\\U{code:08x}"),
            };
        }
    }
}

/// What Go takes for printable, as far as Rust's own tables tell.
fn is_printable(c: char) -> bool {
    // Rust escapes what is not printable, and combining marks, which Go prints.
    let debugged: String = c.escape_debug().collect();
    !debugged.starts_with("\\u") || !c.is_control() && !c.is_whitespace() && c.is_alphanumeric()
}
