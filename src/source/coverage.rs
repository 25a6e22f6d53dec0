//! Chooses the spans of keys to read and to watch for a set of ranges. A single watcher is best, because etcd sends a
//! revision to each watcher separately, and only a single one makes revisions complete by construction. It may cover more
//! than the ranges; keys outside them are discarded on arrival. Pure.

use crate::model::etcd::Span;
use crate::model::range::{KeyRange, KeyRanges};

/// The extent to which a watch may cover more than the ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Coverage {
    /// One watcher from the first key to the last.
    Hull,
    /// One watcher per directory: `/a` and `/a/…` together with the few names that sort between them (`/a-b`).
    Directories,
    /// One watcher per range, for users whose role grants nothing in between.
    Exact,
}

impl Coverage {
    /// Returns the next narrower coverage; `None` if there is no narrower one.
    pub(crate) fn narrower(self) -> Option<Coverage> {
        match self {
            Coverage::Hull => Some(Coverage::Directories),
            Coverage::Directories => Some(Coverage::Exact),
            Coverage::Exact => None,
        }
    }
}

/// Number of keys in an answer that cost about as much as one more request.
const KEYS_PER_REQUEST: usize = 100;

/// Returns whether to read the whole hull and discard the keys between the ranges, instead of each range separately.
pub(crate) fn read_hull(keys_in_hull: usize, ranges: usize) -> bool {
    keys_in_hull <= KEYS_PER_REQUEST * ranges
}

/// Returns the spans to read, sorted and disjoint.
pub(crate) fn read_spans(ranges: &KeyRanges) -> Vec<Span> {
    ranges.iter().map(span_of).collect()
}

/// Returns the span of one range.
pub(crate) fn span_of(range: &KeyRange) -> Span {
    span(&range.start, range.end.as_deref())
}

/// Returns the span from the first key to the last; `None` without ranges.
pub(crate) fn hull(ranges: &KeyRanges) -> Option<Span> {
    let first = ranges.iter().next()?;
    let last = ranges.iter().last()?;
    Some(span(&first.start, last.end.as_deref()))
}

/// Returns the spans to watch, sorted and disjoint.
pub(crate) fn watch_spans(ranges: &KeyRanges, coverage: Coverage) -> Vec<Span> {
    match coverage {
        Coverage::Hull => hull(ranges).into_iter().collect(),
        Coverage::Exact => read_spans(ranges),
        Coverage::Directories => {
            let mut spans: Vec<Span> = Vec::with_capacity(ranges.len());
            let mut previous: Option<&KeyRange> = None;
            for range in ranges.iter() {
                match (previous.is_some_and(|previous| is_directory_of(previous, range)), spans.last_mut()) {
                    (true, Some(last)) => last.end = range.end.as_ref().map(|end| end.as_bytes().to_vec()),
                    _ => spans.push(span_of(range)),
                }
                previous = Some(range);
            }
            spans
        }
    }
}

/// Returns whether `key` is the single key `/a` and `subtree` starts at `/a/`.
fn is_directory_of(key: &KeyRange, subtree: &KeyRange) -> bool {
    key.is_one_key() && subtree.start.strip_suffix('/') == Some(&key.start)
}

fn span(start: &str, end: Option<&str>) -> Span {
    Span { start: start.as_bytes().to_vec(), end: end.map(|end| end.as_bytes().to_vec()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(spans: &[Span]) -> String {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().replace('\0', "!");
        let one = |span: &Span| format!("{}..{}", text(&span.start), span.end.as_deref().map(text).unwrap_or_default());
        spans.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn check(directories: &[&str], hull: &str, directory: &str, exact: &str) {
        let ranges = KeyRanges::of_directories(directories.iter().copied());
        assert_eq!(shown(&watch_spans(&ranges, Coverage::Hull)), hull, "hull of {directories:?}");
        assert_eq!(shown(&watch_spans(&ranges, Coverage::Directories)), directory, "directories of {directories:?}");
        assert_eq!(shown(&watch_spans(&ranges, Coverage::Exact)), exact, "exact for {directories:?}");
    }

    #[test]
    fn a_directory_is_one_watcher() {
        check(
            &["/services"],
            "/services../services0",
            "/services../services0",
            "/services../services! /services/../services0",
        );
        check(&["/a", "/b"], "/a../b0", "/a../a0 /b../b0", "/a../a! /a/../a0 /b../b! /b/../b0");
        check(&[""], "..", "..", "..");
        check(&["/"], "/..0", "/..0", "/..0");
        check(&["/a/"], "/a/../a0", "/a/../a0", "/a/../a0");
        check(&[], "", "", "");
    }

    #[test]
    fn a_key_between_a_directory_and_its_subtree_keeps_them_apart() {
        let exact = "/a../a! /a-b../a-b! /a-b/../a-b0 /a/../a0";
        check(&["/a", "/a-b"], "/a../a0", "/a../a! /a-b../a-b0 /a/../a0", exact);
    }

    #[test]
    fn many_ranges_with_few_keys_are_read_as_one() {
        assert!(read_hull(5000, 1000) && read_hull(200, 2) && !read_hull(201, 2));
    }
}
