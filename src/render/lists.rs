//! Long lists that `gets` and `getvs` made, kept from one render to the next and brought up to date key by key. The same
//! for both engines, each with values of its own.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use crate::model::glob::Glob;
use crate::model::key::{self, Key};
use crate::model::view::View;

/// Which function made a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::render) enum Kept {
    /// `gets`: {key, value} by key.
    Pairs,
    /// `getvs`: values, sorted.
    Values,
}

impl Kept {
    /// What templates call it.
    pub(in crate::render) fn function(self) -> &'static str {
        match self {
            Kept::Pairs => "gets",
            Kept::Values => "getvs",
        }
    }
}

/// A value of an engine: a list, or an item of one.
pub(in crate::render) trait Item: Clone {
    /// {key, value}.
    fn pair(key: &str, value: &Arc<str>) -> Self;
    /// A value alone.
    fn text(text: &Arc<str>) -> Self;
    /// All of them, as that function gives them.
    fn list(kind: Kept, items: Vec<Self>) -> Self;
    /// The items of a list.
    fn items(&self) -> Option<&[Self]>;
    /// The key of a pair.
    fn key(&self) -> &str;
    /// The text of a value alone.
    fn as_text(&self) -> &str;
}

/// The lists of one engine.
pub(in crate::render) struct Lists<V>(HashMap<Kept, HashMap<String, List<V>>>);

struct List<V> {
    items: Items<V>,
    used: bool,
}

/// The items of a list, in the form they were last asked for: making one of the other touches every item.
enum Items<V> {
    /// As a value of the engine.
    Whole(V),
    /// One by one.
    Single(Vec<V>),
}

impl<V> Default for Lists<V> {
    fn default() -> Lists<V> {
        Lists(HashMap::new())
    }
}

impl<V: Item> Lists<V> {
    /// Brings every list up to `new`; those that cannot be are forgotten.
    pub(in crate::render) fn follow(&mut self, old: &View, new: &View, changed: &[Key]) {
        for (kind, lists) in &mut self.0 {
            lists.retain(|pattern, list| list.follow(*kind, pattern, old, new, changed).is_some());
        }
    }

    pub(in crate::render) fn clear(&mut self) {
        self.0.clear();
    }

    /// Forgets what was not used since the last call.
    pub(in crate::render) fn forget_unused(&mut self) {
        for lists in self.0.values_mut() {
            lists.retain(|_, list| std::mem::take(&mut list.used));
        }
    }

    pub(in crate::render) fn is_empty(&self) -> bool {
        self.0.values().all(HashMap::is_empty)
    }

    pub(in crate::render) fn recall(&mut self, kind: Kept, pattern: &str) -> Option<V> {
        let list = self.0.get_mut(&kind)?.get_mut(pattern)?;
        list.used = true;
        if let Items::Single(items) = &mut list.items {
            list.items = Items::Whole(V::list(kind, std::mem::take(items)));
        }
        match &list.items {
            Items::Whole(whole) => Some(whole.clone()),
            Items::Single(_) => None,
        }
    }

    /// The items of a list alone.
    pub(in crate::render) fn recall_items(&mut self, kind: Kept, pattern: &str) -> Option<&[V]> {
        let list = self.0.get_mut(&kind)?.get_mut(pattern)?;
        list.used = true;
        match &list.items {
            Items::Whole(whole) => whole.items(),
            Items::Single(items) => Some(items),
        }
    }

    /// Keeps a list, if it has so many items.
    pub(in crate::render) fn keep(&mut self, kind: Kept, pattern: &str, items: &V, shortest: usize) {
        if items.items().is_some_and(|items| items.len() >= shortest) {
            let list = List { items: Items::Whole(items.clone()), used: true };
            self.0.entry(kind).or_default().insert(pattern.to_owned(), list);
        }
    }
}

impl<V: Item> List<V> {
    /// Applies the changed keys; `None` where the list has to be made anew.
    fn follow(&mut self, kind: Kept, pattern: &str, old: &View, new: &View, changed: &[Key]) -> Option<()> {
        let glob = Glob::parse(pattern).ok()?;
        for path in changed.iter().map(Key::as_str).filter(|path| glob.matches(path)) {
            if let Items::Whole(whole) = &self.items {
                self.items = Items::Single(whole.items()?.to_vec());
            }
            let Items::Single(items) = &mut self.items else { return None };
            let (before, after) = (text_in(old, path)?, text_in(new, path)?);
            match kind {
                Kept::Pairs => {
                    set(items, |item| item.key().cmp(path), after.map(|text| V::pair(path, text)), before.is_some())?;
                }
                Kept::Values => {
                    if let Some(before) = before {
                        set(items, |item| item.as_text().cmp(before), None, true)?;
                    }
                    if let Some(after) = after {
                        let at = items.partition_point(|item| item.as_text() < &**after);
                        items.insert(at, V::text(after));
                    }
                }
            }
        }
        Some(())
    }
}

/// The text of a key; `None` where it is no text at all, which the render has to refuse.
fn text_in<'v>(view: &'v View, path: &str) -> Option<Option<&'v Arc<str>>> {
    match view.get(path) {
        Some(key::Value::Text(text)) => Some(Some(text)),
        Some(key::Value::Binary(_)) => None,
        None => Some(None),
    }
}

/// Replaces, inserts or removes the item that `order` finds. `None` where the list is not what it should have been.
fn set<V>(items: &mut Vec<V>, order: impl Fn(&V) -> Ordering, item: Option<V>, was_there: bool) -> Option<()> {
    match (items.binary_search_by(order), item) {
        (Ok(at), Some(item)) if was_there => items[at] = item,
        (Ok(at), None) if was_there => {
            items.remove(at);
        }
        (Err(at), Some(item)) if !was_there => items.insert(at, item),
        (Err(_), None) if !was_there => {}
        _ => return None,
    }
    Some(())
}
