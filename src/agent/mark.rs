//! The reasons why resources have to be rendered again. Pure.

use crate::model::changed_keys::ChangedKeys;
use crate::model::key::Key;

/// The reason to render a resource again. The keys that have changed are known even if anything else may have changed too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Whether anything may have changed, the files on disk included.
    is_anything: bool,
    /// Keys of its store that have changed.
    keys: ChangedKeys,
}

impl Mark {
    /// Returns the mark of a resource of which anything may have changed.
    pub fn anything() -> Mark {
        Mark { is_anything: true, ..Mark::default() }
    }

    /// Adds to the reason, if there is one already, that anything may have changed.
    pub fn add_anything(mark: &mut Option<Mark>) {
        mark.get_or_insert_default().is_anything = true;
    }

    /// Adds a changed key to the reason, if there is one already.
    pub fn add(mark: &mut Option<Mark>, key: &Key) {
        mark.get_or_insert_default().keys.add(key);
    }

    /// Returns the changed keys.
    pub fn keys(&self) -> &ChangedKeys {
        &self.keys
    }

    /// Returns the changed keys as a template names them, without this prefix; `None` if anything may have changed, or more keys
    /// than are kept.
    pub fn paths(&self, prefix: &str) -> Option<Vec<&str>> {
        let are_all = !self.is_anything && self.keys.more() == 0;
        let paths = || self.keys.named().map(|key| key.as_str().strip_prefix(prefix).unwrap_or(key.as_str())).collect();
        are_all.then(paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::changed_keys::MAX_CHANGED_KEYS;

    /// Checks which keys a mark names, how many more it counts, and how many paths it has.
    #[track_caller]
    fn check(mark: &Option<Mark>, named: &[&str], more: usize, paths: Option<usize>) {
        let mark = mark.as_ref().unwrap();
        assert_eq!(mark.keys.named().map(Key::as_str).collect::<Vec<_>>(), named);
        assert_eq!((mark.keys.more(), mark.paths("").map(|paths| paths.len())), (more, paths));
    }

    #[test]
    fn keys_are_known_even_if_anything_may_have_changed() {
        let mut mark = None;
        for key in ["/b", "/a", "/b"] {
            Mark::add(&mut mark, &Key::from(key));
        }
        check(&mark, &["/a", "/b"], 0, Some(2));
        Mark::add_anything(&mut mark);
        Mark::add(&mut mark, &Key::from("/c"));
        check(&mark, &["/a", "/b", "/c"], 0, None);
        mark = None;
        let keys: Vec<String> = (0..MAX_CHANGED_KEYS + 2).map(|n| format!("/{n:02}")).collect();
        keys.iter().for_each(|key| Mark::add(&mut mark, &Key::from(key.as_str())));
        let named: Vec<&str> = keys[..MAX_CHANGED_KEYS].iter().map(String::as_str).collect();
        check(&mark, &named, 2, None);
    }
}
