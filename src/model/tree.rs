//! The store's content at one revision: immutable to readers, shared, ordered by key.
//! Applying a change costs the change and not the tree. Never talks to a store and never strips prefixes (see `view`).

use imbl::OrdMap;
use imbl::ordmap::DiffItem;

use super::key::{Key, Revision, Value};
use super::path;

/// Keys and values at one revision. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    revision: Revision,
    entries: OrdMap<Key, Value>,
    /// Store keys that become their path only by cleaning (`/a//b`, `/a/`): cleaned path, raw key, value.
    /// A key that is already clean wins over them; among them the first in byte order wins.
    unclean: OrdMap<(Key, Key), Value>,
    /// Clean keys of the store whose path is also in `unclean`.
    shadowing: OrdMap<Key, ()>,
}

impl Tree {
    /// Returns a tree of these store keys.
    pub fn from_entries(revision: Revision, entries: impl IntoIterator<Item = (Key, Value)>) -> Tree {
        let mut tree = Tree { revision, ..Tree::default() };
        for (key, value) in entries {
            tree.put(key, value);
        }
        tree
    }

    /// Returns the revision that this content was read at.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Moves the tree to `revision`, with these changes applied. Returns the paths whose values have changed.
    pub fn advance(
        &mut self,
        revision: Revision,
        puts: impl IntoIterator<Item = (Key, Value)>,
        deletes: impl IntoIterator<Item = Key>,
    ) -> Vec<Key> {
        self.revision = revision;
        let mut touched = Vec::new();
        for key in deletes {
            touched.extend(self.delete(&key));
        }
        for (key, value) in puts {
            touched.extend(self.put(key, value));
        }
        touched
    }

    fn put(&mut self, key: Key, value: Value) -> Option<Key> {
        match unclean_path(&key) {
            None => {
                if !self.unclean.is_empty() && self.first_unclean(&key).is_some() {
                    self.shadowing.insert(key.clone(), ());
                }
                self.set(key, value)
            }
            Some(path) => {
                let clean_exists = self.entries.contains_key(&path)
                    && (self.first_unclean(&path).is_none() || self.shadowing.contains_key(&path));
                self.unclean.insert((path.clone(), key), value);
                if clean_exists {
                    self.shadowing.insert(path, ());
                    return None;
                }
                let winner = self.first_unclean(&path)?.clone();
                self.set(path, winner)
            }
        }
    }

    fn delete(&mut self, key: &Key) -> Option<Key> {
        let path = match unclean_path(key) {
            None => {
                self.shadowing.remove(key);
                key.clone()
            }
            Some(path) => {
                self.unclean.remove(&(path.clone(), key.clone()));
                if self.shadowing.contains_key(&path) {
                    if self.first_unclean(&path).is_none() {
                        self.shadowing.remove(&path);
                    }
                    return None;
                }
                path
            }
        };
        match self.first_unclean(&path).cloned() {
            Some(value) => self.set(path, value),
            None => self.entries.remove(&path).map(|_| path),
        }
    }

    fn set(&mut self, path: Key, value: Value) -> Option<Key> {
        if self.entries.get(&path) == Some(&value) {
            return None;
        }
        self.entries.insert(path.clone(), value);
        Some(path)
    }

    fn first_unclean(&self, path: &Key) -> Option<&Value> {
        let first = (path.clone(), Key::from(""));
        self.unclean.range(first..).next().filter(|((of, _), _)| of == path).map(|(_, value)| value)
    }

    /// Returns the value at exactly this path.
    pub fn get(&self, path: &str) -> Option<&Value> {
        self.entries.get(path)
    }

    /// Returns the entries from `path` on, in byte order.
    pub fn range_from<'a>(&'a self, path: &str) -> impl Iterator<Item = (&'a Key, &'a Value)> + use<'a> {
        self.entries.range::<_, str>((std::ops::Bound::Included(path), std::ops::Bound::Unbounded))
    }

    /// Returns the number of paths with a value.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether no path has a value.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the paths whose values differ between `self` and `newer`. Costs only the difference if the two share content.
    pub fn changed_paths(&self, newer: &Tree) -> Vec<Key> {
        self.entries
            .diff(&newer.entries)
            .map(|item| match item {
                DiffItem::Add(key, _) | DiffItem::Remove(key, _) => key.clone(),
                DiffItem::Update { new: (key, _), .. } => key.clone(),
            })
            .collect()
    }
}

/// Returns the cleaned path of a key; `None` if it is clean. Keys without a leading slash count as clean, and so do those
/// with a `..`: who may write below one folder of the store must not write into another.
fn unclean_path(key: &Key) -> Option<Key> {
    let text = key.as_str();
    if !text.starts_with('/') {
        return None;
    }
    let suspicious = text.contains("//") || text.contains("/.") || (text.len() > 1 && text.ends_with('/'));
    if !suspicious || text.split('/').any(|part| part == "..") {
        return None;
    }
    let cleaned = path::rooted(text);
    (cleaned != text).then(|| Key::from(cleaned.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: &[(&str, &str)]) -> Tree {
        Tree::from_entries(Revision(1), entries.iter().map(|(k, v)| (Key::from(*k), Value::from(*v))))
    }

    fn text<'a>(tree: &'a Tree, path: &str) -> Option<&'a str> {
        tree.get(path).and_then(Value::as_text)
    }

    #[test]
    fn a_change_touches_only_what_differs() {
        let mut tree = tree(&[("/a", "1"), ("/b", "2")]);
        let before = tree.clone();
        let touched = tree.advance(
            Revision(2),
            [(Key::from("/a"), Value::from("1")), (Key::from("/c"), Value::from("3"))],
            [Key::from("/b"), Key::from("/absent")],
        );
        assert_eq!(touched, [Key::from("/b"), Key::from("/c")]);
        assert_eq!(before.changed_paths(&tree), [Key::from("/b"), Key::from("/c")]);
        assert_eq!((text(&before, "/b"), text(&tree, "/b")), (Some("2"), None));
        assert_eq!(tree.revision(), Revision(2));
    }

    #[test]
    fn a_clean_key_wins_over_one_that_cleans_to_it_whatever_the_order() {
        for entries in [[("/slash/", "raw"), ("/slash", "clean")], [("/slash", "clean"), ("/slash/", "raw")]] {
            let mut tree = tree(&entries);
            assert_eq!(text(&tree, "/slash"), Some("clean"), "{entries:?}");
            assert_eq!(tree.advance(Revision(2), [], [Key::from("/slash/")]), []);
            assert_eq!(text(&tree, "/slash"), Some("clean"));
            assert_eq!(tree.advance(Revision(3), [], [Key::from("/slash")]), [Key::from("/slash")]);
            assert_eq!(text(&tree, "/slash"), None);
        }
    }

    /// Who may write below one folder of etcd must not write into another.
    #[test]
    fn a_key_with_dots_crosses_no_folder() {
        let mut tree = tree(&[("/s/web/../api/evil", "raw"), ("/s/web/./a//1/", "clean"), ("/s/...", "name")]);
        for (path, expected) in [
            ("/s/api/evil", None),
            ("/s/web/../api/evil", Some("raw")),
            ("/s/web/a/1", Some("clean")),
            ("/s/...", Some("name")),
        ] {
            assert_eq!(text(&tree, path), expected, "{path}");
        }
        let changed = tree.advance(Revision(2), [(Key::from("/s/api/evil"), Value::from("own"))], []);
        assert_eq!(changed, [Key::from("/s/api/evil")]);
        let gone = [Key::from("/s/web/../api/evil"), Key::from("/s/web/..")];
        assert_eq!(tree.advance(Revision(3), [], gone.clone()), gone[..1]);
        assert_eq!(text(&tree, "/s/api/evil"), Some("own"));
    }

    #[test]
    fn deleting_the_clean_key_uncovers_the_other() {
        let mut tree = tree(&[("/a//b", "two"), ("/a/b/", "one"), ("/a/b", "clean")]);
        tree.advance(Revision(2), [], [Key::from("/a/b")]);
        assert_eq!(text(&tree, "/a/b"), Some("two"));
        tree.advance(Revision(3), [], [Key::from("/a//b")]);
        assert_eq!(text(&tree, "/a/b"), Some("one"));
        tree.advance(Revision(4), [(Key::from("/a/b"), Value::from("again"))], [Key::from("/a/b/")]);
        assert_eq!(text(&tree, "/a/b"), Some("again"));
        assert_eq!(tree.len(), 1);
    }
}
