//! A resource's view of a tree: the keys under its `keys`, without its prefix.
//! Lookups cost O(log n + matches): a scan jumps over subtrees that it does not want. Never changes anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::glob::{BadPattern, Glob};
use super::key::{Key, Revision, Value};
use super::range::KeyRanges;
use super::tree::Tree;
use super::variable;

/// A resource's view of a tree. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct View {
    tree: Tree,
    /// Prefix removed from every key; put back on every path that a template gives.
    prefix: Arc<str>,
    ranges: KeyRanges,
    /// Prefix that the other `--prefix-mode` removes; `None` if it is the same. For messages.
    other_prefix: Option<Arc<str>>,
    /// Whether the keys are environment variables. For messages.
    from_environment: bool,
    /// Name in the store that the instance is for; `None` without `for_each`.
    item: Option<Arc<str>>,
}

/// A path under the prefix of the other `--prefix-mode`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherKey {
    /// Key in the store.
    pub key: String,
    /// Whether the store is known to have it.
    pub exists: bool,
    /// That prefix mode.
    pub mode: &'static str,
}

/// One name directly below a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryChild {
    /// Whether the name is a key itself.
    pub is_key: bool,
    /// Whether the name has keys below it.
    pub is_directory: bool,
}

impl View {
    /// Returns a view of the keys of `tree` in `ranges` (store keys, prefix included), without `prefix`.
    pub fn new(tree: Tree, prefix: Arc<str>, ranges: KeyRanges) -> View {
        View { tree, prefix, ranges, other_prefix: None, from_environment: false, item: None }
    }

    /// Returns the same view for an instance with this name in the store.
    pub fn with_item(self, item: Option<Arc<str>>) -> View {
        View { item, ..self }
    }

    /// Returns the same view with the prefix that the other `--prefix-mode` removes.
    pub fn with_other_prefix(self, other_prefix: Option<Arc<str>>) -> View {
        View { other_prefix, ..self }
    }

    /// Returns the same view of keys that are environment variables, or are not.
    pub fn with_environment(self, from_environment: bool) -> View {
        View { from_environment, ..self }
    }

    /// Returns what was looked for instead of a path, in words: the store's key or the variable; `None` if it is the path itself.
    pub fn whole_key(&self, path: &str) -> Option<String> {
        let key = self.store_key(path);
        match self.from_environment {
            true => Some(match variable::name_of(&key) {
                Some(name) => format!("in the environment: {name}"),
                None => format!("no variable has the key {key}: `_` in its name is `/`, and letters are lower case"),
            }),
            false => (!self.prefix.is_empty()).then(|| format!("in the store: `{key}`")),
        }
    }

    /// Returns the key that this path would be in the other `--prefix-mode`; `None` if it would be the same.
    pub fn other_key(&self, path: &str) -> Option<OtherKey> {
        let prefix = self.other_prefix.as_ref()?;
        let key = format!("{prefix}{path}");
        let exists = self.tree.get(&key).is_some();
        // The global prefix and the resource's own are longer together.
        let mode = if prefix.len() < self.prefix.len() { "replace" } else { "concatenate" };
        Some(OtherKey { key, exists, mode })
    }

    /// Returns the name in the store that the instance is for.
    pub fn item(&self) -> Option<&Arc<str>> {
        self.item.as_ref()
    }

    /// Returns the revision that everything here was read at.
    pub fn revision(&self) -> Revision {
        self.tree.revision()
    }

    /// Returns the value at exactly this path.
    pub fn get(&self, path: &str) -> Option<&Value> {
        let key = self.store_key(path);
        if self.ranges.contains(&key) { self.tree.get(&key) } else { None }
    }

    /// Returns whether a template could ever see this path: it lies under the resource's `keys`.
    pub fn covers(&self, path: &str) -> bool {
        self.ranges.contains(&self.store_key(path))
    }

    /// Returns every visible path and value, in byte order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        let mut scan = ViewCursor { view: self, current: None, range_end: None };
        scan.seek(self.prefix.to_string());
        std::iter::from_fn(move || scan.next())
    }

    /// Returns the paths that match the pattern, in byte order, with their values.
    pub fn matching(&self, pattern: &str) -> Result<Vec<(&str, &Value)>, BadPattern> {
        self.matching_while(pattern, &mut |_| true)
    }

    /// Returns the same, and ends as soon as `go_on` refuses a path, which it is asked before that is compared.
    pub fn matching_while(
        &self,
        pattern: &str,
        go_on: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Vec<(&str, &Value)>, BadPattern> {
        let glob = Glob::parse(pattern)?;
        let literal = glob.literal_prefix();
        if glob.is_literal() {
            let found = self.get(&literal).and_then(|_| self.tree.range_from(&self.store_key(&literal)).next());
            return Ok(found.map(|(key, value)| (self.visible(key), value)).into_iter().collect());
        }
        let depth = glob.depth();
        let mut found = Vec::new();
        let mut scan = ViewCursor { view: self, current: None, range_end: None };
        scan.seek(self.store_key(&literal));
        while let Some((path, value)) = scan.next() {
            if !path.starts_with(&literal) || !go_on(path) {
                break;
            }
            // Below the depth that can match, one step jumps over the whole subtree.
            if let Some(end) = depth.and_then(|depth| nth_slash(path, depth)) {
                let beyond = format!("{}{}0", self.prefix, &path[..end]);
                scan.seek(beyond);
            } else if glob.matches(path) {
                found.push((path, value));
            }
        }
        Ok(found)
    }

    /// Returns the distinct names directly below `directory` (a trailing slash is tolerated; `/` and `""` are the root).
    pub fn children(&self, directory: &str) -> BTreeMap<&str, DirectoryChild> {
        let trimmed = directory.strip_suffix('/').unwrap_or(directory);
        // Keys without a leading slash have no root directory of their own: `""` lists their first parts.
        let base = if trimmed.is_empty() && directory.is_empty() && !self.has_slash_keys() {
            String::new()
        } else {
            format!("{trimmed}/")
        };
        let mut children: BTreeMap<&str, DirectoryChild> = BTreeMap::new();
        let mut scan = ViewCursor { view: self, current: None, range_end: None };
        scan.seek(self.store_key(&base));
        while let Some((path, _)) = scan.next() {
            let Some(rest) = path.strip_prefix(base.as_str()) else { break };
            if rest.is_empty() {
                continue;
            }
            match rest.split_once('/') {
                None => {
                    children.entry(rest).or_insert(DirectoryChild { is_key: false, is_directory: false }).is_key = true
                }
                Some((name, _)) => {
                    children
                        .entry(name)
                        .or_insert(DirectoryChild { is_key: false, is_directory: false })
                        .is_directory = true;
                    let beyond = format!("{}{base}{name}0", self.prefix);
                    scan.seek(beyond);
                }
            }
        }
        children
    }

    /// Returns whether any key lies below `directory` (a trailing slash is tolerated).
    pub fn has_directory(&self, directory: &str) -> bool {
        let base = format!("{}/", directory.strip_suffix('/').unwrap_or(directory));
        let mut scan = ViewCursor { view: self, current: None, range_end: None };
        scan.seek(self.store_key(&base));
        scan.next().is_some_and(|(path, _)| path.starts_with(&base))
    }

    /// Returns every visible path that begins with `folder`, which ends with a slash, and its value, in byte order.
    pub fn below(&self, folder: &str) -> impl Iterator<Item = (&str, &Value)> {
        let mut scan = ViewCursor { view: self, current: None, range_end: None };
        scan.seek(self.store_key(folder));
        let folder = folder.to_owned();
        std::iter::from_fn(move || scan.next()).take_while(move |(path, _)| path.starts_with(&folder))
    }

    /// Returns whether any path that begins with `folder`, which ends with a slash, could ever be visible.
    pub fn may_see_below(&self, folder: &str) -> bool {
        self.ranges.reach_into(&self.store_key(folder))
    }

    /// Returns the paths whose values differ between `self` and `newer`; `None` if the two are views of different keys.
    /// Costs what differs in the whole tree.
    pub fn changed_paths(&self, newer: &View) -> Option<Vec<Key>> {
        if self.prefix != newer.prefix || self.ranges != newer.ranges {
            return None;
        }
        let changed = self.tree.changed_paths(&newer.tree);
        Some(
            changed
                .iter()
                .filter(|key| self.ranges.contains(key.as_str()))
                .map(|key| Key::from(self.visible(key)))
                .collect(),
        )
    }

    fn has_slash_keys(&self) -> bool {
        self.iter().next().is_none_or(|(path, _)| path.starts_with('/'))
    }

    fn store_key(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    fn visible<'a>(&self, key: &'a Key) -> &'a str {
        key.as_str().strip_prefix(&*self.prefix).unwrap_or(key.as_str())
    }
}

/// Returns the byte offset of the `n + 1`th slash of `path`; `None` if it has at most `n`.
fn nth_slash(path: &str, n: usize) -> Option<usize> {
    path.bytes().enumerate().filter(|(_, byte)| *byte == b'/').nth(n).map(|(offset, _)| offset)
}

/// A cursor over the visible keys that can jump forward.
struct ViewCursor<'a> {
    view: &'a View,
    current: Option<Box<dyn Iterator<Item = (&'a Key, &'a Value)> + 'a>>,
    /// End of the range under the cursor; `None` is the end of all keys.
    range_end: Option<&'a str>,
}

impl<'a> ViewCursor<'a> {
    fn seek(&mut self, key: String) {
        self.current = None;
        let Some(range) = self.view.ranges.first_not_before(&key) else { return };
        let start = if range.start > key { range.start.as_str() } else { key.as_str() };
        self.range_end = range.end.as_deref();
        self.current = Some(Box::new(self.view.tree.range_from(start)));
    }

    fn next(&mut self) -> Option<(&'a str, &'a Value)> {
        loop {
            let (key, value) = self.current.as_mut()?.next()?;
            match self.range_end {
                Some(end) if key.as_str() >= end => self.seek(key.as_str().to_owned()),
                _ => return Some((self.view.visible(key), value)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(prefix: &str, directories: &[&str], keys: &[&str]) -> View {
        let tree = Tree::from_entries(Revision(1), keys.iter().map(|key| (Key::from(*key), Value::from("v"))));
        let ranges: Vec<String> = directories.iter().map(|d| format!("{prefix}{d}")).collect();
        View::new(tree, Arc::from(prefix), KeyRanges::of_directories(ranges.iter().map(String::as_str)))
    }

    fn names(view: &View, directory: &str) -> Vec<String> {
        view.children(directory)
            .into_iter()
            .map(|(name, child)| match (child.is_key, child.is_directory) {
                (true, true) => format!("{name}+/"),
                (true, false) => name.to_owned(),
                _ => format!("{name}/"),
            })
            .collect()
    }

    fn paths(view: &View, pattern: &str) -> Vec<String> {
        view.matching(pattern).unwrap().into_iter().map(|(path, _)| path.to_owned()).collect()
    }

    const STORE: &[&str] = &[
        "/config/a",
        "/services/api/1/port",
        "/services/web",
        "/services/web-old/1",
        "/services/web/1",
        "/services/web/1/weight",
        "/services/web/2",
        "/services2/x",
    ];

    #[test]
    fn only_the_listed_keys_are_visible() {
        let view = view("", &["/services/web", "/config"], STORE);
        let all: Vec<&str> = view.iter().map(|(path, _)| path).collect();
        assert_eq!(all, ["/config/a", "/services/web", "/services/web/1", "/services/web/1/weight", "/services/web/2"]);
        assert!(view.get("/services/api/1/port").is_none() && !view.covers("/services/api/1/port"));
        assert!(view.get("/services/web/1").is_some());
    }

    #[test]
    fn children_are_distinct_and_sorted_and_the_root_lists_directories() {
        let all = view("", &["/"], STORE);
        assert_eq!(names(&all, "/services"), ["api/", "web+/", "web-old/"]);
        assert_eq!(names(&all, "/services/web/"), ["1+/", "2"]);
        assert_eq!(names(&all, "/"), ["config/", "services/", "services2/"]);
        assert_eq!(names(&all, ""), names(&all, "/"));
        assert_eq!(names(&all, "/absent"), [""; 0]);
    }

    #[test]
    fn patterns_do_not_cross_slashes() {
        let all = view("", &["/"], STORE);
        assert_eq!(paths(&all, "/services/web/*"), ["/services/web/1", "/services/web/2"]);
        assert_eq!(paths(&all, "/services/*/1"), ["/services/web-old/1", "/services/web/1"]);
        assert_eq!(paths(&all, "/*/*"), ["/config/a", "/services/web", "/services2/x"]);
        assert_eq!(paths(&all, "/services/web"), ["/services/web"]);
        assert_eq!(paths(&all, "/services/web/[12]"), ["/services/web/1", "/services/web/2"]);
        assert_eq!(paths(&all, "/none/*"), [""; 0]);
        assert!(all.matching("[").is_err());
    }

    #[test]
    fn a_prefix_is_taken_off_and_put_back() {
        let view = view("/production", &["/app"], &["/app/x", "/production/app/k", "/production/app2/k"]);
        assert_eq!(paths(&view, "/app/*"), ["/app/k"]);
        assert_eq!(names(&view, "/"), ["app/"]);
        assert!(view.get("/app/k").is_some() && view.get("/app/x").is_none());
    }

    #[test]
    fn a_directory_is_what_has_keys_below_it() {
        let view = view("", &["/services/web", "/config"], STORE);
        for (directory, expected) in
            [("/services/web", true), ("/config/", true), ("/", true), ("/config/a", false), ("/services/api", false)]
        {
            assert_eq!(view.has_directory(directory), expected, "{directory}");
        }
    }

    #[test]
    fn a_folder_gives_what_lies_below_it_however_deep() {
        let view = view("", &["/services/web", "/config"], STORE);
        let below = |folder: &str| view.below(folder).map(|(path, _)| path).collect::<Vec<_>>();
        assert_eq!(below("/services/web/"), ["/services/web/1", "/services/web/1/weight", "/services/web/2"]);
        assert_eq!(below("/"), view.iter().map(|(path, _)| path).collect::<Vec<_>>());
        for (folder, expected) in [
            ("/services/web/", true),
            ("/services/web/9/", true),
            ("/services/", true),
            ("/", true),
            ("/other/", false),
            ("/services/web-old/", false),
        ] {
            assert_eq!(view.may_see_below(folder), expected, "{folder}");
        }
    }

    #[test]
    fn changes_are_reported_under_the_names_that_templates_use() {
        let before = view("/production", &["/app"], &["/production/app/a", "/production/app/b", "/production/x"]);
        let mut after = before.clone();
        let put = |key: &str| (Key::from(key), Value::from("new"));
        let gone = [Key::from("/production/app/b")];
        after.tree.advance(
            Revision(2),
            [put("/production/app/a"), put("/production/x"), put("/production/app/c")],
            gone,
        );
        assert_eq!(before.changed_paths(&after), Some(vec!["/app/a".into(), "/app/b".into(), "/app/c".into()]));
        assert_eq!(before.changed_paths(&view("", &["/app"], &[])), None);
    }

    #[test]
    fn keys_without_a_leading_slash_are_seen_as_they_are() {
        let view = view("", &["stolon"], &["stolon/cluster/a", "stolon/b", "/stolon/c"]);
        assert_eq!(names(&view, "stolon"), ["b", "cluster/"]);
        assert_eq!(names(&view, ""), ["stolon/"]);
        assert_eq!(paths(&view, "stolon/*"), ["stolon/b"]);
    }

    #[test]
    fn every_lookup_agrees_with_a_plain_filter() {
        // A small exhaustive store over names that sort around '/', compared with the obvious slow implementation.
        let names_pool = ["a", "a-b", "a0", "ab"];
        let mut keys = Vec::new();
        for first in names_pool {
            keys.push(format!("/{first}"));
            for second in names_pool {
                keys.push(format!("/{first}/{second}"));
                keys.push(format!("/{first}/{second}/a"));
            }
        }
        let refs: Vec<&str> = keys.iter().map(String::as_str).collect();
        let view = view("", &["/"], &refs);
        for pattern in ["/*", "/a/*", "/*/a", "/*/*/a", "/a*/a?", "/a-b/*/*", "/[a]/*"] {
            let glob = Glob::parse(pattern).unwrap();
            let mut expected: Vec<String> = keys.iter().filter(|key| glob.matches(key)).cloned().collect();
            expected.sort();
            assert_eq!(paths(&view, pattern), expected, "{pattern}");
        }
    }
}
