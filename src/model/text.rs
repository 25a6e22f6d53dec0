//! Texts that others wrote, made fit for a message: of bounded length, on one line. Never shortens one without a mark.

use std::fmt::Write as _;

/// Longest text that `shown` shows whole, in characters.
const MAX_SHOWN: usize = 80;

/// Longest log line, in bytes.
const MAX_LINE_BYTES: usize = 32 << 10;

/// Longest text in a log line of JSON that is longer, in characters.
const MAX_MEMBER: usize = 1000;

/// Returns `text` if it has at most `max_characters`, otherwise that many and `…`.
pub fn shortened(text: &str, max_characters: usize) -> String {
    match text.char_indices().nth(max_characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns the same as `shortened`, with `instead` for each character that misleads.
pub fn one_line(text: &str, max_characters: usize, instead: char) -> String {
    shortened(text, max_characters).replace(misleads, instead.encode_utf8(&mut [0; 4]))
}

/// Returns a number of things, as people write it.
pub fn counted(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Returns a text that others wrote, between backquotes: shortened, characters that mislead escaped.
pub fn shown(text: &str) -> String {
    format!("`{}`", escaped(&shortened(text, MAX_SHOWN), false, &[]))
}

/// Returns a log line that ends where it ends and does nothing to a terminal, whatever is in it: control characters and those that
/// change the direction of writing are escaped, and what is too long is cut. `is_json`: it is an object, and stays one.
pub fn log_line(line: &str, is_json: bool) -> String {
    let line = line.strip_suffix('\n').unwrap_or(line);
    let mut kept = line.to_owned();
    if line.len() > MAX_LINE_BYTES {
        kept = if is_json { shorter_object(line).unwrap_or_default() } else { shortened(line, MAX_LINE_BYTES / 4) };
    }
    escaped(&kept, is_json, &[]) + "\n"
}

/// Returns whether a reader sees something else than what is there: a control character, one that changes the direction of writing, or
/// one without a width.
pub fn misleads(character: char) -> bool {
    let turns_or_hides = matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    turns_or_hides || character.is_control()
}

/// Returns lines for a terminal, with characters that mislead escaped.
pub fn lines(text: &str) -> String {
    escaped(text, false, &['\n', '\t'])
}

/// Returns JSON of the same meaning that does nothing to a terminal: characters that mislead are escaped, whatever text they are in.
pub fn json(text: &str) -> String {
    // Line breaks and tabs are raw only between its values.
    escaped(text, true, &['\n', '\t'])
}

fn escaped(text: &str, is_json: bool, but: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match misleads(character) && !but.contains(&character) {
            true if is_json => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(escaped, "\\u{unit:04x}").unwrap_or_default();
                }
            }
            true => write!(escaped, "{}", character.escape_default()).unwrap_or_default(),
            false => escaped.push(character),
        }
    }
    escaped
}

fn shorter_object(line: &str) -> Option<String> {
    let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).ok()?;
    for value in object.values_mut() {
        if let serde_json::Value::String(text) = value {
            *text = shortened(text, MAX_MEMBER);
        }
    }
    serde_json::to_string(&object).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_no_plural() {
        assert_eq!([0, 1, 2].map(|number| counted(number, "key")), ["0 keys", "1 key", "2 keys"]);
    }

    #[test]
    fn a_log_line_cannot_be_forged_or_reach_the_terminal() {
        let forged = "INFO a\nERROR b\u{1b}[31m\r\u{9b}2J\u{202e}\u{7f}ü\n";
        assert_eq!(log_line(forged, false), "INFO a\\nERROR b\\u{1b}[31m\\r\\u{9b}2J\\u{202e}\\u{7f}ü\n");
        let object = r#"{"message":"a\nb"}"#.to_owned().replace('b', "\u{9b}\u{e0041}");
        let line = log_line(&object, true);
        assert_eq!(line, "{\"message\":\"a\\n\\u009b\\udb40\\udc41\"}\n");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&line), value(&object));
        let pretty = format!("{{\n\t\"a\": {object}\n}}\n");
        assert_eq!((value(&json(&pretty)), json(&pretty).lines().count()), (value(&pretty), 3));
        assert!(!json(&pretty).contains(|character| misleads(character) && !"\n\t".contains(character)));
        assert_eq!(lines("a\n\tb\u{1b}\n"), "a\n\tb\\u{1b}\n");
    }

    #[test]
    fn a_long_log_line_is_cut_and_stays_what_it_is() {
        let long = "ü".repeat(100_000);
        assert!(log_line(&long, false).len() <= MAX_LINE_BYTES);
        let line = log_line(&format!(r#"{{"level":"INFO","message":"{long}","n":1}}"#), true);
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(line.len() < MAX_LINE_BYTES && object["n"] == 1 && object["level"] == "INFO", "{line}");
    }

    #[test]
    fn shown_text_is_short_and_has_no_control_characters() {
        assert_eq!(shown("a\u{1b}[31m\n\u{202e}"), r"`a\u{1b}[31m\n\u{202e}`");
        assert_eq!(shown(&"x".repeat(200)).chars().count(), 83);
    }

    #[test]
    fn one_line_is_cut_at_a_character() {
        assert_eq!(one_line("ü\nb", 3, ' '), "ü b");
        assert_eq!(one_line("üüü\n", 3, ' '), "üüü…");
        assert_eq!(one_line("a\u{9b}b\u{202e}c\u{e0041}d", 9, '?'), "a?b?c?d");
        assert_eq!(shortened("", 0), "");
    }
}
