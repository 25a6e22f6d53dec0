//! Which keys have changed: the first ones, and how many there were besides. Pure. Never holds a value.

use std::collections::BTreeSet;

use super::key::Key;

/// Most changed keys that are kept; the others are only counted.
pub const MAX_CHANGED_KEYS: usize = 64;

/// Keys that have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedKeys {
    named: BTreeSet<Key>,
    more: usize,
}

impl ChangedKeys {
    /// Adds a changed key.
    pub fn add(&mut self, key: &Key) {
        if self.named.contains(key) {
            return;
        }
        match self.named.len() < MAX_CHANGED_KEYS {
            true => drop(self.named.insert(key.clone())),
            false => self.more += 1,
        }
    }

    /// Adds all of these.
    pub fn extend(&mut self, others: &ChangedKeys) {
        others.named.iter().for_each(|key| self.add(key));
        self.more += others.more;
    }

    /// Returns the keys that are kept, sorted.
    pub fn named(&self) -> impl ExactSizeIterator<Item = &Key> {
        self.named.iter()
    }

    /// Returns how many changes of keys were counted besides: a key that changes again counts again.
    pub fn more(&self) -> usize {
        self.more
    }

    /// Returns whether no key has changed.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }
}

impl<'a> FromIterator<&'a str> for ChangedKeys {
    fn from_iter<I: IntoIterator<Item = &'a str>>(keys: I) -> ChangedKeys {
        let mut changed = ChangedKeys::default();
        keys.into_iter().for_each(|key| changed.add(&Key::from(key)));
        changed
    }
}
