//! Which resources have to be rendered again, and because of what. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::key::Key;

/// More changed keys than this are remembered as "anything".
const MOST_KEYS: usize = 64;

/// Why a resource is rendered again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// Anything may have changed, what is on disk included.
    Anything,
    /// These keys of its store have changed, and nothing else.
    Keys(Vec<Key>),
}

/// The resources that wait to be rendered, by name.
#[derive(Debug, Default)]
pub struct Marks(BTreeMap<Arc<str>, Because>);

impl Marks {
    /// Marks a resource, whatever its reason was before.
    pub fn anything(&mut self, resource: &Arc<str>) {
        self.0.insert(Arc::clone(resource), Because::Anything);
    }

    /// Marks a resource because of one key more.
    pub fn key(&mut self, resource: &Arc<str>, key: &Key) {
        let reason = self.0.entry(Arc::clone(resource)).or_insert_with(|| Because::Keys(Vec::new()));
        match reason {
            Because::Keys(keys) if keys.len() < MOST_KEYS => keys.push(key.clone()),
            Because::Keys(_) => *reason = Because::Anything,
            Because::Anything => {}
        }
    }

    /// Takes a resource's mark off.
    pub fn take(&mut self, resource: &Arc<str>) -> Option<Because> {
        self.0.remove(resource)
    }

    /// Everything that is marked.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.keys()
    }

    /// Forgets the marks of others than these.
    pub fn keep(&mut self, is_wanted: impl Fn(&Arc<str>) -> bool) {
        self.0.retain(|name, _| is_wanted(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_add_up_until_anything_may_have_changed() {
        let (mut marks, name) = (Marks::default(), Arc::from("a.toml"));
        let keys = |names: &[&str]| Some(Because::Keys(names.iter().map(|name| Key::from(*name)).collect()));
        marks.key(&name, &Key::from("/a"));
        marks.key(&name, &Key::from("/b"));
        assert_eq!(marks.take(&name), keys(&["/a", "/b"]));
        assert_eq!(marks.take(&name), None);
        marks.key(&name, &Key::from("/a"));
        marks.anything(&name);
        marks.key(&name, &Key::from("/b"));
        assert_eq!(marks.take(&name), Some(Because::Anything));
        (0..=MOST_KEYS).for_each(|_| marks.key(&name, &Key::from("/a")));
        assert_eq!(marks.take(&name), Some(Because::Anything));
    }
}
