//! Sets of keys as sorted, disjoint half-open ranges: what a resource may see and what a watch must cover.
//! A directory is exact: `/services` covers itself and `/services/…`, never `/services2` or `/services-old`.

use std::fmt;
use std::sync::Arc;

/// A sorted, disjoint set of key ranges. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRanges {
    ranges: Arc<[KeyRange]>,
}

/// Keys from `start` up to but not including `end`, in byte order. `end == None` means to the last key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyRange {
    /// First key covered.
    pub start: String,
    /// First key no longer covered.
    pub end: Option<String>,
}

/// The keys that several readers want, and the ranges of each reader: a store may refuse one of these and show the others,
/// also those that lie within it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedKeys {
    all: KeyRanges,
    each: Arc<[KeyRange]>,
}

/// Prints the keys for people: `/a` is one key, `/a/…` are those below it.
impl fmt::Display for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.start.escape_debug();
        match (self.folder(), &self.end) {
            (Some(_), _) => write!(f, "{start}…"),
            _ if self.is_one_key() => write!(f, "{start}"),
            (None, Some(end)) => write!(f, "{start} to {}", end.escape_debug()),
            (None, None) if self.start.is_empty() => f.write_str("every key"),
            (None, None) => write!(f, "{start} to the last key"),
        }
    }
}

impl KeyRange {
    /// Returns whether it covers a single key.
    pub fn is_one_key(&self) -> bool {
        self.end.as_deref().and_then(|end| end.strip_suffix('\0')) == Some(&self.start)
    }

    /// Returns the folder with its slash, if the range is everything below one.
    pub fn folder(&self) -> Option<&str> {
        let parent = self.start.strip_suffix('/')?;
        (self.end.as_deref()?.strip_suffix('0') == Some(parent)).then_some(&self.start)
    }

    fn ends_before(&self, key: &str) -> bool {
        self.end.as_deref().is_some_and(|end| end < key)
    }

    /// Returns whether this range ends before `other` does.
    fn ends_within(&self, other: &KeyRange) -> bool {
        match (&self.end, &other.end) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(ours), Some(theirs)) => ours < theirs,
        }
    }

    fn contains(&self, key: &str) -> bool {
        self.start.as_str() <= key && self.end.as_deref().is_none_or(|end| key < end)
    }
}

impl KeyRanges {
    /// Returns the ranges of these directories (each: the key itself and everything below it). `""` covers every key.
    pub fn of_directories<'a>(directories: impl IntoIterator<Item = &'a str>) -> KeyRanges {
        let mut ranges = Vec::new();
        for directory in directories {
            if directory.is_empty() {
                ranges.push(KeyRange { start: String::new(), end: None });
            } else if let Some(parent) = directory.strip_suffix('/') {
                ranges.push(subtree(parent));
            } else {
                ranges.push(KeyRange { start: directory.to_owned(), end: Some(format!("{directory}\0")) });
                ranges.push(subtree(directory));
            }
        }
        KeyRanges::merged(ranges)
    }

    /// Returns every key that any of the ranges covers.
    pub fn merged(mut ranges: Vec<KeyRange>) -> KeyRanges {
        ranges.sort();
        let mut merged: Vec<KeyRange> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if !last.ends_before(&range.start) => {
                    last.end = match (last.end.take(), range.end) {
                        (Some(a), Some(b)) => Some(a.max(b)),
                        _ => None,
                    };
                }
                _ => merged.push(range),
            }
        }
        KeyRanges { ranges: merged.into() }
    }

    /// Returns the ranges in order.
    pub fn iter(&self) -> impl Iterator<Item = &KeyRange> {
        self.ranges.iter()
    }

    /// Returns the number of ranges.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Returns whether no key is covered.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Returns whether `key` is covered.
    pub fn contains(&self, key: &str) -> bool {
        self.first_not_before(key).is_some_and(|range| range.contains(key))
    }

    /// Returns whether any key that begins with this text is covered.
    pub fn reach_into(&self, beginning: &str) -> bool {
        let is_in = |range: &KeyRange| range.start.as_str() <= beginning || range.start.starts_with(beginning);
        self.first_not_before(beginning).is_some_and(is_in)
    }

    /// Returns whether every key of `other` is covered.
    pub fn covers(&self, other: &KeyRanges) -> bool {
        other.iter().all(|range| {
            self.first_not_before(&range.start)
                .is_some_and(|ours| ours.start <= range.start && !ours.ends_within(range))
        })
    }

    /// Returns the first range that still covers keys at or after `key`.
    pub fn first_not_before(&self, key: &str) -> Option<&KeyRange> {
        let index = self.ranges.partition_point(|range| range.end.as_deref().is_some_and(|end| end <= key));
        self.ranges.get(index)
    }
}

impl WantedKeys {
    /// Returns the keys that readers with these ranges want.
    pub fn of<'a>(readers: impl IntoIterator<Item = &'a KeyRanges>) -> WantedKeys {
        let mut each: Vec<KeyRange> = readers.into_iter().flat_map(|ranges| ranges.iter().cloned()).collect();
        each.sort();
        each.dedup();
        WantedKeys { all: KeyRanges::merged(each.clone()), each: each.into() }
    }

    /// Returns every key that some reader wants.
    pub fn all(&self) -> &KeyRanges {
        &self.all
    }

    /// Returns the ranges of all readers, sorted, each once. They may overlap.
    pub fn each(&self) -> &[KeyRange] {
        &self.each
    }
}

/// Returns the range of everything below `directory` (given without its trailing slash), without the directory's own key.
fn subtree(directory: &str) -> KeyRange {
    // '0' is the byte after '/', so this is every key that starts with "directory/".
    KeyRange { start: format!("{directory}/"), end: Some(format!("{directory}0")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(directories: &[&str], inside: &[&str], outside: &[&str], expected_ranges: usize) {
        let ranges = KeyRanges::of_directories(directories.iter().copied());
        for key in inside {
            assert!(ranges.contains(key), "{directories:?} should cover {key:?}");
        }
        for key in outside {
            assert!(!ranges.contains(key), "{directories:?} should not cover {key:?}");
        }
        assert_eq!(ranges.len(), expected_ranges, "{ranges:?}");
    }

    #[test]
    fn directories_are_exact() {
        check(
            &["/services"],
            &["/services", "/services/web", "/services//x"],
            &["/services2", "/services-old", "/services.d/x", "/service", "/"],
            2,
        );
    }

    #[test]
    fn the_root_covers_every_slash_key_and_nothing_else() {
        check(&["/"], &["/a", "/", "/z/z"], &["a", "stolon/x", "0"], 1);
        check(&[""], &["a", "/a", "\u{10ffff}"], &[], 1);
    }

    #[test]
    fn nested_and_repeated_directories_merge() {
        check(&["/a", "/a/b", "/a/b/c", "/a"], &["/a", "/a/b/c"], &["/ab"], 2);
        check(&["/a", ""], &["x"], &[], 1);
        check(&[], &[], &["/a"], 0);
    }

    #[test]
    fn the_keys_of_several_readers_cover_those_of_each() {
        let [a, b, within_a] = [["/a"], ["/b"], ["/a/x"]].map(KeyRanges::of_directories);
        let wanted = WantedKeys::of([&a, &b, &within_a, &b]);
        let union = wanted.all();
        assert!(union.contains("/a/x/y") && union.contains("/b") && !union.contains("/c"));
        assert_eq!(union.len(), 4);
        let each: Vec<String> = wanted.each().iter().map(KeyRange::to_string).collect();
        assert_eq!(each, ["/a", "/a/…", "/a/x", "/a/x/…", "/b", "/b/…"], "a merged range hides none of its parts");
    }

    #[test]
    fn covering_is_about_every_key() {
        for (ours, theirs, expected) in [
            (&["/a"][..], &["/a/b"][..], true),
            (&["/a/b"], &["/a"], false),
            (&["/"], &["/a", "/b"], true),
            (&["/a", "/b"], &["/b/x", "/a"], true),
            (&["/a"], &["/a", "/c"], false),
            (&["/a"], &[], true),
            (&[], &["/a"], false),
            (&["/a"], &[""], false),
            (&[""], &["/a", "b"], true),
        ] {
            let [ours_set, theirs_set] =
                [ours, theirs].map(|directories| KeyRanges::of_directories(directories.iter().copied()));
            assert_eq!(ours_set.covers(&theirs_set), expected, "{ours:?} {theirs:?}");
        }
    }
}
