//! Unified diffs between a live file and a new one. Pure: returns text, never prints.

use std::path::Path;

use similar::algorithms::{Capture, Compact, Replace, myers};
use similar::udiff::UnifiedHunkHeader;
use similar::{ChangeTag, DiffOp, group_diff_ops};

use crate::model::difference::Difference;
use crate::model::text;

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
    /// Whether a terminal reads it, to which no character of a file may be a command.
    pub is_for_terminal: bool,
}

/// The lines of two texts, each with its break, and what makes the new ones of the old ones.
struct LineDiff<'a> {
    old: Vec<&'a str>,
    new: Vec<&'a str>,
    operations: Vec<DiffOp>,
}

impl<'a> LineDiff<'a> {
    /// Finds the differences. One algorithm is named: a choice between all of them would put each into the program, 190 kB.
    fn between(old: &'a str, new: &'a str) -> LineDiff<'a> {
        let lines = |text: &'a str| text.split_inclusive('\n').collect::<Vec<_>>();
        let (old, new) = (lines(old), lines(new));
        let mut found = Compact::new(Replace::new(Capture::new()), &old, &new);
        let Ok(()) = myers::diff(&mut found, &old, 0..old.len(), &new, 0..new.len());
        let operations = found.into_inner().into_inner().into_ops();
        LineDiff { old, new, operations }
    }

    /// Returns the lines that these operations keep, take away and add, each with its sign.
    fn changes(&self, operations: &[DiffOp], style: Style) -> String {
        let mut changes = String::new();
        for change in operations.iter().flat_map(|operation| operation.iter_changes(&self.old, &self.new)) {
            let (sign, paint) = match change.tag() {
                ChangeTag::Delete => ('-', RED),
                ChangeTag::Insert => ('+', GREEN),
                ChangeTag::Equal => (' ', ""),
            };
            let missing = if change.value().ends_with('\n') { "" } else { "\n\\ No newline at end of file\n" };
            let line = if style.is_for_terminal { text::lines(change.value()) } else { change.value().to_owned() };
            changes.push_str(&painted(paint, &format!("{sign}{line}{missing}"), style.color));
        }
        changes
    }
}

/// Returns the two lines that name a file before its differences.
fn names(path: &Path, was_there: bool, is_there: bool) -> String {
    let name = |there: bool| if there { path.display().to_string() } else { "/dev/null".to_owned() };
    format!("--- {}\n+++ {}\n", name(was_there), name(is_there))
}

/// Returns a unified diff; empty if the texts are equal. `None` means no file. Invalid UTF-8 shows as replacement characters.
pub fn unified(path: &Path, old: Option<&[u8]>, new: Option<&[u8]>, style: Style) -> String {
    let old_text = String::from_utf8_lossy(old.unwrap_or_default());
    let new_text = String::from_utf8_lossy(new.unwrap_or_default());
    let diff = LineDiff::between(&old_text, &new_text);
    let mut text = String::new();
    let hunks = group_diff_ops(diff.operations.clone(), style.context_lines).into_iter();
    for hunk in hunks.filter(|hunk| !hunk.is_empty()) {
        if text.is_empty() {
            text.push_str(&names(path, old.is_some(), new.is_some()));
        }
        text.push_str(&painted(CYAN, &format!("{}\n", UnifiedHunkHeader::new(&hunk)), style.color));
        text.push_str(&diff.changes(&hunk, style));
    }
    text
}

/// The style of a shortened difference: whoever shows it knows where it is read.
const PLAIN_STYLE: Style = Style { context_lines: 0, color: false, is_for_terminal: false };

/// Returns a unified diff of a shortened difference; its line numbers are those of the whole files.
pub fn of_difference(path: &Path, difference: &Difference) -> String {
    let old = difference.old.as_deref();
    let diff = LineDiff::between(old.unwrap_or_default(), &difference.new);
    let mut text = names(path, old.is_some(), true);
    let (before, after) = (diff.old.len(), diff.new.len());
    let first = difference.first_line;
    let start = |lines: usize| if lines == 0 { first - 1 } else { first };
    text.push_str(&format!("@@ -{},{before} +{},{after} @@\n", start(before), start(after)));
    text.push_str(&diff.changes(&diff.operations, PLAIN_STYLE));
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
        let style = Style { context_lines: 1, color, ..PLAIN_STYLE };
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
        let style = Style { context_lines: 3, ..PLAIN_STYLE };
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
        let style = Style { color: true, ..PLAIN_STYLE };
        let colored = unified(Path::new("/a"), Some(b"x\n"), Some(b"y\n"), style);
        assert!(colored.contains("\u{1b}[31m-x\u{1b}[0m\n\u{1b}[32m+y\u{1b}[0m\n"), "{colored:?}");
        let hostile = |is_for_terminal| {
            let style = Style { is_for_terminal, ..PLAIN_STYLE };
            unified(Path::new("/a"), Some(b""), Some("\u{1b}[2J\ta\r\n\u{202e}b\n".as_bytes()), style)
        };
        assert!(hostile(true).ends_with("\n+\\u{1b}[2J\ta\\r\n+\\u{202e}b\n"), "{:?}", hostile(true));
        assert!(hostile(false).ends_with("\n+\u{1b}[2J\ta\r\n+\u{202e}b\n"), "for patch, byte by byte");
    }
}
