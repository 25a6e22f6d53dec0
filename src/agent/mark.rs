//! The reasons why resources have to be rendered again. Pure.

use crate::model::key::Key;

/// Most changed keys that are kept; more count as "anything".
const MAX_KEYS: usize = 64;

/// The reason to render a resource again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Anything may have changed, the files on disk included.
    Anything,
    /// These keys of its store have changed, and nothing else.
    Keys(Vec<Key>),
}

impl Mark {
    /// Adds a changed key to the reason, if there is one already.
    pub fn add(mark: &mut Option<Mark>, key: &Key) {
        match mark.get_or_insert_with(|| Mark::Keys(Vec::new())) {
            Mark::Keys(keys) if keys.len() < MAX_KEYS => keys.push(key.clone()),
            Mark::Keys(_) => *mark = Some(Mark::Anything),
            Mark::Anything => {}
        }
    }

    /// Returns the changed keys; none if anything may have changed.
    pub fn keys(&self) -> &[Key] {
        match self {
            Mark::Keys(keys) => keys,
            Mark::Anything => &[],
        }
    }

    /// Returns the changed keys as a template names them, without this prefix; `None` if anything may have changed.
    pub fn paths(&self, prefix: &str) -> Option<Vec<&str>> {
        let Mark::Keys(keys) = self else { return None };
        Some(keys.iter().map(|key| key.as_str().strip_prefix(prefix).unwrap_or(key.as_str())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_add_up_until_anything_may_have_changed() {
        let keys = |names: &[&str]| Some(Mark::Keys(names.iter().map(|name| Key::from(*name)).collect()));
        let mut mark = None;
        Mark::add(&mut mark, &Key::from("/a"));
        Mark::add(&mut mark, &Key::from("/b"));
        assert_eq!(mark, keys(&["/a", "/b"]));
        mark = Some(Mark::Anything);
        Mark::add(&mut mark, &Key::from("/b"));
        assert_eq!(mark, Some(Mark::Anything));
        mark = None;
        (0..=MAX_KEYS).for_each(|_| Mark::add(&mut mark, &Key::from("/a")));
        assert_eq!(mark, Some(Mark::Anything));
    }
}
