//! The lists that `gets` and `getvs` make. Long ones are kept from one render to the next and brought up to date key by key.
//! The same for both engines, each with values of its own. Pure.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use super::changes::Changes;
use super::library::store;
use super::session::RenderSession;
use crate::model::glob::Glob;
use crate::model::key::{self, Key};
use crate::model::problem::Problem;
use crate::model::view::View;

/// Fewest items to keep. Making a shorter list again costs less than keeping it for a render that may never come.
pub(super) const SHORTEST_KEPT: usize = 64;
/// The same limit, if there was a render before.
const SHORTEST_KEPT_AGAIN: usize = 8;

/// Function that makes a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ListKind {
    /// `gets`: {key, value} by key.
    Pairs,
    /// `getvs`: values, sorted.
    Values,
}

impl ListKind {
    /// Returns the function's name in templates.
    pub(super) fn function(self) -> &'static str {
        match self {
            ListKind::Pairs => "gets",
            ListKind::Values => "getvs",
        }
    }
}

/// A value of an engine: a list, or an item of one.
pub(super) trait ListValue: Clone {
    /// Returns {key, value}.
    fn pair(key: &str, value: &Arc<str>) -> Self;
    /// Returns a value alone.
    fn text(text: &Arc<str>) -> Self;
    /// Returns a list of them, as that function returns it.
    fn list(kind: ListKind, items: Vec<Self>) -> Self;
    /// Returns the items of a list.
    fn items(&self) -> Option<&[Self]>;
    /// Returns the key of a pair.
    fn key(&self) -> &str;
    /// Returns the text of a value alone.
    fn as_text(&self) -> &str;
}

/// The lists of one engine.
pub(super) struct KeptLists<V> {
    by_kind: HashMap<ListKind, HashMap<String, KeptList<V>>>,
    /// Fewest items of a list that is kept.
    shortest: usize,
}

struct KeptList<V> {
    items: ListForm<V>,
    /// Whether the running render has asked for it.
    used: bool,
}

/// The items of a list, in the form they were last asked for: converting to the other form touches every item.
enum ListForm<V> {
    /// As a value of the engine.
    Whole(V),
    /// One by one.
    Single(Vec<V>),
}

impl<V> Default for KeptLists<V> {
    fn default() -> KeptLists<V> {
        KeptLists { by_kind: HashMap::new(), shortest: SHORTEST_KEPT }
    }
}

impl<V: ListValue> KeptLists<V> {
    /// Updates every list to a newer view; forgets those that cannot be updated.
    pub(super) fn follow(&mut self, changes: Option<Changes<'_>>) {
        let Some(changes) = changes.filter(Changes::are_few) else { return self.by_kind.clear() };
        for (kind, lists) in &mut self.by_kind {
            lists.retain(|pattern, list| list.follow(*kind, pattern, changes).is_some());
        }
    }

    /// Forgets what the render that has ended did not use.
    pub(super) fn end(&mut self) {
        self.shortest = SHORTEST_KEPT_AGAIN;
        for lists in self.by_kind.values_mut() {
            lists.retain(|_, list| std::mem::take(&mut list.used));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_kind.values().all(HashMap::is_empty)
    }

    /// Returns what matches a pattern, as the function of this kind does. `refuse` completes the error for a bad pattern.
    pub(super) fn list(
        &mut self,
        kind: ListKind,
        pattern: &str,
        session: &RenderSession,
        refuse: impl FnOnce(Problem) -> Problem,
    ) -> Result<V, Problem> {
        session.view.note_matching(pattern);
        match self.recall(kind, pattern) {
            Some(kept) => Ok(kept),
            None => self.make(kind, pattern, session, refuse),
        }
    }

    /// Hands the items of such a list to `take`, without making a value of them if they are kept.
    pub(super) fn with_items<T>(
        &mut self,
        kind: ListKind,
        pattern: &str,
        session: &RenderSession,
        take: impl FnOnce(&[V]) -> T,
    ) -> Result<T, Problem> {
        session.view.note_matching(pattern);
        if let Some(items) = self.recall_items(kind, pattern) {
            return Ok(take(items));
        }
        let list = self.make(kind, pattern, session, |error| error)?;
        Ok(take(list.items().unwrap_or_default()))
    }

    /// Makes a list, in byte order of the paths or of the values, and keeps it if it is long.
    fn make(
        &mut self,
        kind: ListKind,
        pattern: &str,
        session: &RenderSession,
        refuse: impl FnOnce(Problem) -> Problem,
    ) -> Result<V, Problem> {
        let found = store::matching(session, pattern).map_err(refuse)?;
        let texts = found.into_iter().map(|(path, value)| Ok((path, store::text_of(path, value)?)));
        let mut texts: Vec<(&str, &Arc<str>)> = texts.collect::<Result<_, Problem>>()?;
        let items: Vec<V> = match kind {
            ListKind::Pairs => texts.into_iter().map(|(path, text)| V::pair(path, text)).collect(),
            ListKind::Values => {
                texts.sort_unstable_by_key(|(_, text)| *text);
                texts.into_iter().map(|(_, text)| V::text(text)).collect()
            }
        };
        let is_long = items.len() >= self.shortest;
        let list = V::list(kind, items);
        if is_long {
            let kept = KeptList { items: ListForm::Whole(list.clone()), used: true };
            self.by_kind.entry(kind).or_default().insert(pattern.to_owned(), kept);
        }
        Ok(list)
    }

    fn recall(&mut self, kind: ListKind, pattern: &str) -> Option<V> {
        let list = self.by_kind.get_mut(&kind)?.get_mut(pattern)?;
        list.used = true;
        if let ListForm::Single(items) = &mut list.items {
            list.items = ListForm::Whole(V::list(kind, std::mem::take(items)));
        }
        match &list.items {
            ListForm::Whole(whole) => Some(whole.clone()),
            ListForm::Single(_) => None,
        }
    }

    fn recall_items(&mut self, kind: ListKind, pattern: &str) -> Option<&[V]> {
        let list = self.by_kind.get_mut(&kind)?.get_mut(pattern)?;
        list.used = true;
        match &list.items {
            ListForm::Whole(whole) => whole.items(),
            ListForm::Single(items) => Some(items),
        }
    }
}

impl<V: ListValue> KeptList<V> {
    /// Applies the changed keys; `None` if the list has to be made again.
    fn follow(&mut self, kind: ListKind, pattern: &str, changes: Changes<'_>) -> Option<()> {
        let glob = Glob::parse(pattern).ok()?;
        for path in changes.keys.iter().map(Key::as_str).filter(|path| glob.matches(path)) {
            if let ListForm::Whole(whole) = &self.items {
                self.items = ListForm::Single(whole.items()?.to_vec());
            }
            let ListForm::Single(items) = &mut self.items else { return None };
            let (before, after) = (text_in(changes.old, path)?, text_in(changes.new, path)?);
            match kind {
                ListKind::Pairs => {
                    set(items, |item| item.key().cmp(path), after.map(|text| V::pair(path, text)), before.is_some())?;
                }
                ListKind::Values => {
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

/// Returns the text of a key; the inner `None` if there is no such key, the outer if its value is not text.
fn text_in<'v>(view: &'v View, path: &str) -> Option<Option<&'v Arc<str>>> {
    match view.get(path) {
        Some(key::Value::Text(text)) => Some(Some(text)),
        Some(key::Value::Binary(_) | key::Value::Oversized(_)) => None,
        None => Some(None),
    }
}

/// Replaces, inserts or removes the item that `order` finds. `None` if the list is not what it should have been.
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
