//! What the stores have said: the last tree of each, which resources can be rendered from it, and which a change concerns. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use crate::agent::mark::Mark;
use crate::agent::timing::Urgency;
use crate::model::event::Event;
use crate::model::key::{Key, Revision};
use crate::model::range::KeyRanges;
use crate::model::receipt;
use crate::model::refusal::Refusal;
use crate::model::resource::Resource;
use crate::model::store::StoreSettings;
use crate::model::tree::Tree;

use super::{Desk, Seat};

/// The last state of a store.
#[derive(Default)]
pub(super) struct KnownStore {
    pub(super) settings: Option<Arc<StoreSettings>>,
    pub(super) tree: Tree,
    /// Keys that the tree covers, once a snapshot has arrived: resources that see only these can be rendered.
    pub(super) known: Option<KeyRanges>,
    /// Keys that the store refuses to show.
    pub(super) refused: Option<Refusal>,
}

impl Desk {
    /// Marks every resource of a store.
    pub fn mark_store(&mut self, store: usize, now: Instant) {
        for position in 0..self.catalog.members.len() {
            if self.catalog.store_at(position) == Some(store) {
                self.mark(position, Urgency::Removal, now);
            }
        }
    }

    /// Returns whether the tree covers the keys that a resource sees.
    pub(super) fn is_ready(&self, position: usize) -> bool {
        let Some(member) = self.catalog.members.get(position) else { return false };
        let ranges = &member.resource.ranges;
        let known = self.store_of(position).and_then(|store| store.known.as_ref());
        ranges.is_empty() || known.is_some_and(|known| known.covers(ranges))
    }

    /// Returns what the store says to a resource whose keys it refuses.
    pub(super) fn refusal(&self, position: usize) -> Option<String> {
        let member = self.catalog.members.get(position).filter(|_| !self.is_ready(position))?;
        self.store_of(position)?.refused.as_ref()?.message(&member.resource.ranges)
    }

    /// Returns whether the keys of the resource with this name are known.
    pub fn is_readable(&self, name: &str) -> bool {
        self.catalog.position(name).is_some_and(|position| self.is_ready(position))
    }

    /// Returns the resources whose keys their store refuses, each with the message for people.
    pub fn refusals(&self) -> BTreeMap<Arc<str>, String> {
        let members = self.catalog.members.iter().enumerate();
        let refused = members
            .filter_map(|(position, member)| Some((Arc::clone(member.resource.name()), self.refusal(position)?)));
        refused.collect()
    }

    /// Returns the resources that cannot be rendered, because their store has not delivered their keys yet.
    pub fn not_ready(&self) -> impl Iterator<Item = &Arc<Resource>> {
        let members = self.catalog.members.iter().enumerate();
        let is_waiting = |position: usize| !self.is_ready(position) && self.refusal(position).is_none();
        members.filter(move |(position, _)| is_waiting(*position)).map(|(_, member)| &member.resource)
    }

    pub(super) fn store_of(&self, position: usize) -> Option<&KnownStore> {
        self.stores.get(self.catalog.store_at(position)?)
    }

    /// Returns the last state of a store.
    pub fn tree_at(&self, store: usize) -> Tree {
        self.stores.get(store).map(|store| store.tree.clone()).unwrap_or_default()
    }

    /// Applies an event of the store at this position to its tree, and marks the resources that read a changed key.
    pub fn take_event(&mut self, store_position: usize, event: Event, now: Instant) {
        let Some(store) = self.stores.get_mut(store_position) else { return };
        let mut added = BTreeSet::new();
        let (mut has_new_ranges, mut went_back) = (false, false);
        // What was not known before has not changed.
        let mut known_before = None;
        let changed = match event {
            Event::Snapshot { revision, ranges, refused, entries, leases: _ } => {
                let tree = Tree::from_entries(revision, entries);
                let changed = store.tree.changed_paths(&tree);
                added.extend(changed.iter().filter(|key| store.tree.get(key.as_str()).is_none()).cloned());
                went_back = revision < store.tree.revision();
                store.tree = tree;
                has_new_ranges = store.known.as_ref() != Some(&ranges) || store.refused != refused;
                known_before = Some(store.known.replace(ranges).unwrap_or_default());
                store.refused = refused;
                changed
            }
            Event::Changes { revision, puts, deletes, leases: _ } => {
                let new = puts.iter().map(|(key, _)| key).filter(|key| store.tree.get(key.as_str()).is_none());
                added.extend(new.cloned());
                store.tree.advance(revision, puts, deletes)
            }
            Event::Lost { .. } | Event::Regained => return,
        };
        let (revision, is_of_settings) = (store.tree.revision(), store.settings.is_none());
        if went_back {
            // Values that are the same as before have other revisions now.
            let receipts = self.receipts.as_mut().filter(|_| is_of_settings);
            receipts.into_iter().for_each(|receipts| receipts.went_back(revision));
            self.mark_store(store_position, now);
        }
        if has_new_ranges {
            self.mark_marked_and_refused(now);
        }
        let is_change = |key: &Key| known_before.as_ref().is_none_or(|known| known.contains(key.as_str()));
        self.mark_readers((store_position, revision), &changed, &added, is_change, now);
    }

    /// Schedules marked resources again whose keys were not known, and those that the store refuses: their groups report it.
    fn mark_marked_and_refused(&mut self, now: Instant) {
        let seats = self.entries.iter().flat_map(|entry| &entry.seats);
        let is_due = |seat: &&Seat| seat.mark.is_some() || self.refusal(seat.position).is_some();
        let marked: Vec<usize> = seats.filter(is_due).map(|seat| seat.position).collect();
        marked.into_iter().for_each(|position| self.mark(position, Urgency::Removal, now));
    }

    /// Marks the resources that read one of these keys of a store, and wakes their groups. `is_change`: the key was known before.
    fn mark_readers(
        &mut self,
        (store, revision): (usize, Revision),
        changed: &[Key],
        added: &BTreeSet<Key>,
        is_change: impl Fn(&Key) -> bool,
        now: Instant,
    ) {
        let catalog = Arc::clone(&self.catalog);
        let mut touched: BTreeMap<usize, Urgency> = BTreeMap::new();
        for key in changed {
            let urgency = if added.contains(key) { Urgency::Addition } else { Urgency::Removal };
            let of_store = |reader: &usize| catalog.store_at(*reader) == Some(store);
            for position in catalog.readers.of(key.as_str()).filter(of_store) {
                let known = touched.entry(position).or_insert(urgency);
                *known = (*known).min(urgency);
                if let Some(seat) = self.seat(position) {
                    match is_change(key) {
                        true => Mark::add(&mut seat.mark, key),
                        false => Mark::add_anything(&mut seat.mark),
                    }
                }
                let receipts = self.receipts.as_mut().filter(|_| !receipt::is_receipt(key.as_str()));
                if let (Some(receipts), Some(member)) = (receipts, catalog.members.get(position)) {
                    receipts.touched(member.resource.name(), revision, now);
                }
            }
        }
        for (position, urgency) in touched {
            self.wake(position, urgency, now);
        }
    }
}
