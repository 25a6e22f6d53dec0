//! Texts that others wrote, made fit for a message: of bounded length, on one line. Never shortens one without a mark.

use std::fmt::Write as _;

/// Longest text that `shown` shows whole, in characters.
const MAX_SHOWN: usize = 80;

/// Returns `text` if it has at most `max_characters`, otherwise that many and `…`.
pub fn shortened(text: &str, max_characters: usize) -> String {
    match text.char_indices().nth(max_characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns the same as `shortened`, with `instead` for each control character.
pub fn one_line(text: &str, max_characters: usize, instead: char) -> String {
    shortened(text, max_characters).replace(char::is_control, instead.encode_utf8(&mut [0; 4]))
}

/// Returns a number of things, as people write it.
pub fn counted(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Returns a text that others wrote, between backquotes: shortened, control characters escaped.
pub fn shown(text: &str) -> String {
    let mut shown = String::from("`");
    for character in shortened(text, MAX_SHOWN).chars() {
        match character.is_control() {
            true => write!(shown, "{}", character.escape_default()).unwrap_or_default(),
            false => shown.push(character),
        }
    }
    shown.push('`');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_no_plural() {
        assert_eq!([0, 1, 2].map(|number| counted(number, "key")), ["0 keys", "1 key", "2 keys"]);
    }

    #[test]
    fn shown_text_is_short_and_has_no_control_characters() {
        assert_eq!(shown("a\u{1b}[31m\n"), r"`a\u{1b}[31m\n`");
        assert_eq!(shown(&"x".repeat(200)).chars().count(), 83);
    }

    #[test]
    fn one_line_is_cut_at_a_character() {
        assert_eq!(one_line("ü\nb", 3, ' '), "ü b");
        assert_eq!(one_line("üüü\n", 3, ' '), "üüü…");
        assert_eq!(shortened("", 0), "");
    }
}
