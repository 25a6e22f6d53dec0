//! What one resource's last render leaves behind so that the next costs what changed: long lists that `gets` and
//! `getvs` made, and decoded backends. Losing it costs time and nothing else; nothing here is ever older than the view it is used with.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use tera::Value;

use super::functions::pair;
use crate::model::glob::Glob;
use crate::model::key::Key;
use crate::model::view::View;

mod backends;

use backends::Folders;
pub use backends::{SetAside, Tally};

/// Kept by the caller beside a resource, and handed to each of its renders.
#[derive(Default)]
pub struct Memory {
    /// What the lists were made from.
    view: Option<View>,
    lists: HashMap<Kept, HashMap<String, List>>,
    /// The folders whose backends were asked for.
    pub(super) backends: Folders,
    /// Size of the last output, in bytes.
    pub(super) output_bytes: usize,
    /// The render has printed the placeholder of its generation.
    pub(super) prints_generation: bool,
}

/// Which function made a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kept {
    /// `gets`: {key, value} by key.
    Pairs,
    /// `getvs`: values, sorted.
    Values,
}

struct List {
    items: Value,
    used: bool,
}

/// Shorter lists are made anew: that costs less than keeping them.
const SHORTEST_KEPT: usize = 64;
/// With more changed keys than this, lists are made anew.
const MOST_CHANGES: usize = 64;

impl Memory {
    /// Brings everything kept up to `view`.
    pub(super) fn begin(&mut self, view: &View) {
        let changed = self.view.as_ref().and_then(|old| old.changed_paths(view));
        match (&self.view, &changed) {
            (Some(old), Some(changed)) if changed.len() <= MOST_CHANGES => {
                for (kind, lists) in &mut self.lists {
                    lists.retain(|pattern, list| list.follow(*kind, pattern, old, view, changed).is_some());
                }
            }
            _ => self.lists.clear(),
        }
        self.backends.begin(self.view.as_ref().zip(changed.as_deref()), view);
        self.view = Some(view.clone());
    }

    /// The keys that the last render found to be no backend, sorted.
    pub fn keys_set_aside(&self) -> &BTreeSet<SetAside> {
        self.backends.set_aside()
    }

    /// What the last render found where it asked for backends; `None` where it asked for none.
    pub fn tally(&self) -> Option<Tally> {
        self.backends.tally()
    }

    /// Lets the next render find no backend, whatever the store says; what it leaves here tells of what there is.
    pub fn withhold_backends(&mut self) {
        self.backends.withhold();
    }

    /// Forgets what this render did not use.
    pub(super) fn end(&mut self, output_bytes: usize) {
        self.output_bytes = output_bytes;
        for lists in self.lists.values_mut() {
            lists.retain(|_, list| std::mem::take(&mut list.used));
        }
        self.backends.end();
        if self.lists.values().all(HashMap::is_empty) && self.backends.is_empty() {
            self.view = None;
        }
    }

    pub(super) fn recall(&mut self, kind: Kept, pattern: &str) -> Option<Value> {
        let list = self.lists.get_mut(&kind)?.get_mut(pattern)?;
        list.used = true;
        Some(list.items.clone())
    }

    pub(super) fn keep(&mut self, kind: Kept, pattern: &str, items: &Value) {
        if items.len().is_some_and(|length| length >= SHORTEST_KEPT) {
            let list = List { items: items.clone(), used: true };
            self.lists.entry(kind).or_default().insert(pattern.to_owned(), list);
        }
    }
}

impl List {
    /// Applies the changed keys; `None` where the list has to be made anew.
    fn follow(&mut self, kind: Kept, pattern: &str, old: &View, new: &View, changed: &[Key]) -> Option<()> {
        let glob = Glob::parse(pattern).ok()?;
        let mut items: Option<Vec<Value>> = None;
        for path in changed.iter().map(Key::as_str).filter(|path| glob.matches(path)) {
            let items = match &mut items {
                Some(items) => items,
                None => items.insert(self.items.as_array()?.to_vec()),
            };
            let text_in = |view: &View| match view.get(path) {
                Some(value) => value.as_text().map(|text| Some(text.to_owned())),
                None => Some(None),
            };
            let (before, after) = (text_in(old)?, text_in(new)?);
            match kind {
                Kept::Pairs => {
                    set(items, |item| key_of(item).cmp(path), after.map(|text| pair(path, &text)), before.is_some())?
                }
                Kept::Values => {
                    if let Some(before) = before {
                        set(items, |item| item.as_str().unwrap_or_default().cmp(&before), None, true)?;
                    }
                    if let Some(after) = after {
                        let at = items.partition_point(|item| item.as_str().unwrap_or_default() < after.as_str());
                        items.insert(at, Value::from(after));
                    }
                }
            }
        }
        if let Some(items) = items {
            self.items = Value::from(items);
        }
        Some(())
    }
}

/// Replaces, inserts or removes the item that `order` finds. `None` where the list is not what it should have been.
fn set(items: &mut Vec<Value>, order: impl Fn(&Value) -> Ordering, item: Option<Value>, was_there: bool) -> Option<()> {
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

fn key_of(pair: &Value) -> &str {
    pair.get_from_path("key").and_then(Value::as_str).unwrap_or_default()
}
