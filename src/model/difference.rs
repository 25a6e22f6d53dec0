//! What changed in a file, shortened: enough for a person to see it, and cheap enough to find after each change. Pure.

/// Most bytes of each side that are kept.
const MAX_BYTES: usize = 4096;
/// Lines before and after the change.
const CONTEXT_LINES: usize = 3;

/// The part of a file in which two versions differ, with some lines around it. Before it and after it they are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Number of the first line that is shown, from 1.
    pub first_line: usize,
    /// The old lines; `None` if there was no file.
    pub old: Option<Box<str>>,
    /// The new lines.
    pub new: Box<str>,
    /// Whether lines are missing at the end, because there are too many.
    pub is_cut: bool,
}

impl Difference {
    /// Returns the difference between these versions; invalid UTF-8 shows as replacement characters.
    pub fn between(old: Option<&[u8]>, new: &[u8]) -> Difference {
        let Some(old) = old else {
            let (new, is_cut) = whole_lines(new);
            return Difference { first_line: 1, old: None, new, is_cut };
        };
        let same = old.iter().zip(new).take_while(|(old, new)| old == new).count();
        let start = line_starts_before(&old[..same], CONTEXT_LINES);
        let (old_rest, new_rest) = (&old[same..], &new[same..]);
        let same_end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(old, new)| old == new).count();
        let after = |text: &[u8]| line_end_after(text, text.len() - same_end, CONTEXT_LINES);
        let first_line = 1 + old[..start].iter().filter(|byte| **byte == b'\n').count();
        let (old, old_is_cut) = whole_lines(&old[start..after(old)]);
        let (new, new_is_cut) = whole_lines(&new[start..after(new)]);
        Difference { first_line, old: Some(old), new, is_cut: old_is_cut || new_is_cut }
    }
}

/// Returns the start of the line at the end of the text, or of the line so many lines before it.
fn line_starts_before(text: &[u8], lines: usize) -> usize {
    let mut breaks = text.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    breaks.nth(lines).unwrap_or(0)
}

/// Returns the end of the line at this position, or of the line so many lines after it.
fn line_end_after(text: &[u8], position: usize, lines: usize) -> usize {
    let mut breaks = text.iter().enumerate().skip(position).filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    breaks.nth(lines).unwrap_or(text.len())
}

/// Returns whole lines as far as they fit, and whether some are missing.
fn whole_lines(text: &[u8]) -> (Box<str>, bool) {
    if text.len() <= MAX_BYTES {
        return (String::from_utf8_lossy(text).into(), false);
    }
    let text = &text[..MAX_BYTES];
    let end = text.iter().rposition(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1);
    (String::from_utf8_lossy(&text[..end]).into(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(lines: impl Iterator<Item = usize>) -> String {
        lines.map(|n| format!("{n}\n")).collect()
    }

    #[test]
    fn only_the_lines_around_a_change_are_kept() {
        let check = |old: Option<&str>, new: &str, first_line, expected_old: Option<&str>, expected_new: &str| {
            let found = Difference::between(old.map(str::as_bytes), new.as_bytes());
            let expected =
                Difference { first_line, old: expected_old.map(Into::into), new: expected_new.into(), is_cut: false };
            assert_eq!(found, expected, "{old:?} {new:?}");
        };
        let old = numbered(1..=20);
        let new = old.replace("10\n", "ten\n");
        check(Some(&old), &new, 7, Some(&numbered(7..=13)), "7\n8\n9\nten\n11\n12\n13\n");
        let new = numbered((1..=20).filter(|n| *n != 10));
        check(Some(&old), &new, 7, Some(&numbered(7..=14)), "7\n8\n9\n11\n12\n13\n14\n");
        check(Some("a\n"), "b\n", 1, Some("a\n"), "b\n");
        check(Some("a\n"), "a\na\n", 1, Some("a\n"), "a\na\n");
        check(None, "new", 1, None, "new");
        check(Some(""), "x", 1, Some(""), "x");
    }

    #[test]
    fn a_large_change_is_cut_after_a_line() {
        let found = Difference::between(Some(b"old\n"), numbered(1000..9000).as_bytes());
        assert!(found.is_cut && found.new.len() <= MAX_BYTES && found.new.ends_with('\n'), "{found:?}");
    }
}
