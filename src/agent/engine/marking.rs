//! What an event or a resync makes of the engine's state: trees go on, and the resources that a change concerns are marked
//! for another pass. Renders nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::agent::schedule::Urgency;
use crate::apply::group::Group;
use crate::model::event::Event;
use crate::model::key::Revision;
use crate::model::receipt;
use crate::model::resource::Resource;
use crate::model::tree::Tree;

use super::{Engine, Store};

impl Engine {
    /// Marks every resource for another pass: after a resync, or to notice what others did to the files.
    pub fn touch_all(&mut self, now: Instant) {
        for position in 0..self.loaded.members.len() {
            self.touch(position, Urgency::Removal, now);
        }
    }

    pub(super) fn touch(&mut self, position: usize, urgency: Urgency, now: Instant) {
        let Some(member) = self.loaded.members.get(position) else { return };
        self.marks.anything(&member.resource.name);
        self.wake(position, urgency, now);
    }

    /// Lets the group of a resource that is marked have its turn.
    fn wake(&mut self, position: usize, urgency: Urgency, now: Instant) {
        let Some(member) = self.loaded.members.get(position) else { return };
        if !self.is_ready(&member.resource) {
            return;
        }
        if let Some(group) = self.loaded.group_at(position) {
            self.schedule.changed(&group.id, urgency, now);
        }
    }

    /// Gives resources another chance that could not be rendered because their keys were not known.
    pub(super) fn touch_marked(&mut self, now: Instant) {
        let marked: Vec<usize> = self.marks.names().filter_map(|name| self.loaded.position(name)).collect();
        for position in marked {
            self.touch(position, Urgency::Removal, now);
        }
    }

    pub(super) fn is_ready(&self, resource: &Resource) -> bool {
        let known = self.store_of(resource).and_then(|store| store.known.as_ref());
        resource.ranges.is_empty() || known.is_some_and(|known| known.covers(&resource.ranges))
    }

    pub(super) fn store_of(&self, resource: &Resource) -> Option<&Store> {
        self.stores.iter().find(|store| store.settings == resource.backend)
    }

    /// What the store of a resource holds.
    pub(super) fn tree_of(&self, resource: &Resource) -> Tree {
        self.store_of(resource).map(|store| store.tree.clone()).unwrap_or_default()
    }

    /// The revision that a group is rendered at: that of its first member's store.
    pub(super) fn revision_of(&self, group: &Group) -> Revision {
        let store = group.resources.first().and_then(|resource| self.store_of(resource));
        store.map(|store| store.tree.revision()).unwrap_or_default()
    }

    /// Marks every resource of a store for another pass.
    pub fn touch_store(&mut self, store: usize, now: Instant) {
        for position in 0..self.loaded.members.len() {
            if self.loaded.store_at(position) == Some(store) {
                self.touch(position, Urgency::Removal, now);
            }
        }
    }

    /// Applies an event of the store at this position to its tree and marks the resources that it concerns.
    pub fn take_event(&mut self, position: usize, event: Event, now: Instant) {
        let Some(store) = self.stores.get_mut(position) else { return };
        match &store.settings {
            None => self.board.with(|board| board.store_said(&event, now)),
            Some(settings) => self.board.with(|board| board.store.further_said(&settings.to_string(), &event)),
        }
        let mut added = BTreeSet::new();
        let changed = match event {
            Event::Snapshot { revision, ranges, entries } => {
                let tree = Tree::from_entries(revision, entries);
                let changed = store.tree.changed_paths(&tree);
                added.extend(changed.iter().filter(|key| store.tree.get(key.as_str()).is_none()).cloned());
                store.tree = tree;
                if store.known.as_ref() != Some(&ranges) {
                    store.known = Some(ranges);
                    self.touch_marked(now);
                }
                changed
            }
            Event::Changes { revision, puts, deletes } => {
                let new = puts.iter().map(|(key, _)| key).filter(|key| store.tree.get(key.as_str()).is_none());
                added.extend(new.cloned());
                store.tree.advance(revision, puts, deletes)
            }
            Event::Lost { .. } | Event::Regained => return,
        };
        let revision = self.stores.get(position).map(|store| store.tree.revision()).unwrap_or_default();
        let mut touched: BTreeMap<usize, Urgency> = BTreeMap::new();
        for key in &changed {
            let urgency = if added.contains(key) { Urgency::Addition } else { Urgency::Removal };
            let of_store = |reader: &usize| self.loaded.store_at(*reader) == Some(position);
            for position in self.loaded.touched.by(key.as_str()).filter(of_store) {
                let known = touched.entry(position).or_insert(urgency);
                *known = (*known).min(urgency);
                let Some(member) = self.loaded.members.get(position) else { continue };
                self.marks.key(&member.resource.name, key);
                if let Some(receipts) = self.receipts.as_mut().filter(|_| !receipt::is_receipt(key.as_str())) {
                    receipts.touched(&member.resource.name, revision);
                }
            }
        }
        for (position, urgency) in touched {
            self.wake(position, urgency, now);
        }
    }
}
