//! Unified diffs between a live file and a new one. Pure: returns text, never prints.

use std::path::Path;

use similar::{ChangeTag, TextDiff};

use crate::model::difference::Difference;

const RED: &str = "\u{1b}[31m";
const GREEN: &str = "\u{1b}[32m";
const CYAN: &str = "\u{1b}[36m";
const PLAIN: &str = "\u{1b}[0m";

/// Options of a diff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Number of unchanged lines around each change.
    pub context_lines: usize,
    /// Whether to use terminal colours.
    pub color: bool,
}

/// Returns a unified diff; empty if the texts are equal. `None` means no file. Invalid UTF-8 shows as replacement characters.
pub fn unified(path: &Path, old: Option<&[u8]>, new: Option<&[u8]>, style: Style) -> String {
    let old_text = String::from_utf8_lossy(old.unwrap_or_default());
    let new_text = String::from_utf8_lossy(new.unwrap_or_default());
    let diff = TextDiff::from_lines(old_text.as_ref(), new_text.as_ref());
    let mut text = String::new();
    for hunk in diff.unified_diff().context_radius(style.context_lines).iter_hunks() {
        if text.is_empty() {
            let name = |there: bool| if there { path.display().to_string() } else { "/dev/null".to_owned() };
            text.push_str(&format!("--- {}\n+++ {}\n", name(old.is_some()), name(new.is_some())));
        }
        text.push_str(&painted(CYAN, &format!("{}\n", hunk.header()), style.color));
        for change in hunk.iter_changes() {
            let (sign, paint) = match change.tag() {
                ChangeTag::Delete => ('-', RED),
                ChangeTag::Insert => ('+', GREEN),
                ChangeTag::Equal => (' ', ""),
            };
            let line = format!("{sign}{}", change.value());
            let whole = if change.missing_newline() { format!("{line}\n\\ No newline at end of file\n") } else { line };
            text.push_str(&painted(paint, &whole, style.color));
        }
    }
    text
}

/// Returns a unified diff of a shortened difference; its line numbers are those of the whole files.
pub fn of_difference(path: &Path, difference: &Difference) -> String {
    let old = difference.old.as_deref();
    let diff = TextDiff::from_lines(old.unwrap_or_default(), &*difference.new);
    let name = |there: bool| if there { path.display().to_string() } else { "/dev/null".to_owned() };
    let mut text = format!("--- {}\n+++ {}\n", name(old.is_some()), name(true));
    let (before, after) = (old.unwrap_or_default().lines().count(), difference.new.lines().count());
    let first = difference.first_line;
    let start = |lines: usize| if lines == 0 { first - 1 } else { first };
    text.push_str(&format!("@@ -{},{before} +{},{after} @@\n", start(before), start(after)));
    for change in diff.iter_all_changes() {
        let sign = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => ' ',
        };
        text.push_str(&format!("{sign}{}", change.value()));
        if change.missing_newline() {
            text.push_str("\n\\ No newline at end of file\n");
        }
    }
    if difference.is_cut {
        text.push_str("\\ The rest is not shown\n");
    }
    text
}

fn painted(paint: &str, text: &str, color: bool) -> String {
    match text.strip_suffix('\n') {
        Some(line) if color && !paint.is_empty() => format!("{paint}{line}{PLAIN}\n"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(old: Option<&str>, new: impl Into<Option<&'static str>>, color: bool, expected: Expect) {
        let style = Style { context_lines: 1, color };
        expected.assert_eq(&unified(
            Path::new("/etc/a.conf"),
            old.map(str::as_bytes),
            new.into().map(str::as_bytes),
            style,
        ));
    }

    #[test]
    fn a_shortened_difference_has_the_line_numbers_of_the_file() {
        let old: String = (1..=20).map(|n| format!("{n}\n")).collect();
        let new = old.replace("10\n", "ten\n");
        let difference = Difference::between(Some(old.as_bytes()), new.as_bytes());
        let style = Style { context_lines: 3, color: false };
        let whole = unified(Path::new("/a"), Some(old.as_bytes()), Some(new.as_bytes()), style);
        assert_eq!(of_difference(Path::new("/a"), &difference), whole);
    }

    #[test]
    fn differences_are_shown_as_unified_diffs() {
        check(Some("same\n"), "same\n", false, expect![""]);
        check(
            Some("a\nb\nc\nd\n"),
            "a\nb\nX\nd\n",
            false,
            expect![[r#"
                --- /etc/a.conf
                +++ /etc/a.conf
                @@ -2,3 +2,3 @@
                 b
                -c
                +X
                 d
            "#]],
        );
        check(
            None,
            "new",
            false,
            expect![[r#"
                --- /dev/null
                +++ /etc/a.conf
                @@ -0,0 +1 @@
                +new
                \ No newline at end of file
            "#]],
        );
        check(
            Some("old\n"),
            None,
            false,
            expect![[r#"
                --- /etc/a.conf
                +++ /dev/null
                @@ -1 +0,0 @@
                -old
            "#]],
        );
        let style = Style { context_lines: 0, color: true };
        let colored = unified(Path::new("/a"), Some(b"x\n"), Some(b"y\n"), style);
        assert!(colored.contains("\u{1b}[31m-x\u{1b}[0m\n\u{1b}[32m+y\u{1b}[0m\n"), "{colored:?}");
    }
}
