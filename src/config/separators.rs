//! Counts what separates the values of a TOML or YAML text, before it is parsed: the parser keeps all values, with their places, in a
//! hundred times the memory of their text, and each gap between them. Pure.

/// Most separators of a TOML text.
pub(crate) const MAX_SEPARATORS: usize = 2_000_000;

/// Most separators of a YAML text: its parser keeps what stands between brackets as a whole, some 350 bytes for each value.
const MAX_YAML_SEPARATORS: usize = 1_000_000;

/// Gaps between values, and comments, that count as one separator.
const GAPS: usize = 4;

/// Checks whether a TOML text has more than [`MAX_SEPARATORS`]: at least one stands before each value and each name of a table.
pub(crate) fn are_too_many(text: &str) -> bool {
    let is_over = |(separators, gaps)| separators + gaps / GAPS > MAX_SEPARATORS;
    text.len() > MAX_SEPARATORS && is_over(count(text))
}

/// Checks whether a YAML text has more values than its parser can hold: what would separate them is counted wherever it stands, quotes in
/// pairs.
pub(crate) fn are_too_many_in_yaml(text: &str) -> bool {
    let (mut separators, mut quotes) = (0, 0);
    for byte in text.bytes() {
        separators += usize::from(matches!(byte, b',' | b'[' | b'{' | b':' | b'?' | b'&' | b'*' | b'!'));
        quotes += usize::from(matches!(byte, b'"' | b'\''));
    }
    separators + quotes / 2 > MAX_YAML_SEPARATORS
}

/// Returns how many separators a text has, and how many gaps.
fn count(text: &str) -> (usize, usize) {
    let (mut count, mut gaps) = (0, 0);
    let mut rest = text;
    while let Some(at) = rest.find(['=', ',', '.', '[', '{', '#', '"', '\'', ' ', '\t', '\n']) {
        let from = &rest[at..];
        rest = match from.as_bytes()[0] {
            b'#' => {
                gaps += 1;
                from.find('\n').map_or("", |end| &from[end..])
            }
            b' ' | b'\t' => {
                gaps += 1;
                from.trim_start_matches([' ', '\t'])
            }
            b'\n' => {
                gaps += 1;
                &from[1..]
            }
            quote @ (b'"' | b'\'') => &from[length_of_string(from.as_bytes(), quote)..],
            _ => {
                count += 1;
                &from[1..]
            }
        };
    }
    (count, gaps)
}

/// Returns the length of the string at the beginning of a text, with its quotes. One that is not closed ends with its line, as for the
/// parser, or with the text.
fn length_of_string(text: &[u8], quote: u8) -> usize {
    let is_long = text.starts_with(&[quote; 3]);
    let quotes = if is_long { 3 } else { 1 };
    let mut at = quotes;
    while let Some(&byte) = text.get(at) {
        if byte == b'\n' && !is_long {
            return at;
        }
        if text[at..].starts_with(&[quote; 3][..quotes]) {
            // Of five quotes, two belong to the string.
            let more = text[at + quotes..].iter().take(if is_long { 2 } else { 0 });
            return at + quotes + more.take_while(|byte| **byte == quote).count();
        }
        let is_escape = byte == b'\\' && quote == b'"' && text.get(at + 1).is_some_and(u8::is_ascii_graphic);
        at += 1 + usize::from(is_escape);
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_makes_a_value_of_yaml_counts() {
        for piece in ["a,", "[", "? ", "\"\" ", "'' ", "&a ", "*a ", "!a ", "a: "] {
            let just = piece.repeat(MAX_YAML_SEPARATORS);
            assert!(!are_too_many_in_yaml(&just) && are_too_many_in_yaml(&format!("{just}{piece}")), "{piece}");
        }
    }

    #[test]
    fn texts_and_comments_separate_nothing() {
        for (text, expected) in [
            ("", 0),
            ("a = 1\nb.c = [1, 2]\n", 5),
            ("a = \"=,.[{#'\" # b = 1\nb = '\\' # = \nc = 1", 3),
            ("a = \"\\\",\\\\\", = ", 3),
            ("a = \"\"\"\n\",\\\"\"\" =\"\"\"\"\"=", 2),
            ("a = '''\n'\\'''''=", 2),
            ("a = \"b\nc = '\nd = \"\\\ne = \"é\"=", 5),
            ("a = \"\" = '' = \"\"\"\"\"\" =", 4),
            ("a = '''", 1),
        ] {
            assert_eq!(count(text).0, expected, "{text:?}");
        }
        assert_eq!(count("a = 1 # b\n\t\n").1, 7);
        for text in ["\n", "\t\n", "#\n"] {
            assert!(are_too_many(&text.repeat(GAPS * MAX_SEPARATORS + GAPS)), "{text:?}");
        }
    }
}
