//! The work to do. Events of stores and new catalogs come in, passes go out when they are due, and their results come back.
//! Pure: the time goes in. Never renders, never applies, never logs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::apply::group::Group;
use crate::model::resource::Resource;
use crate::model::tree::Tree;

use super::catalog::{Catalog, StoreUse};
use super::claims::Claims;
use super::governor::Load;
use super::mark::Mark;
use super::pass::{InHand, Pass, Returned, Terms};
use super::receipts::Receipts;
use super::state::ResourceState;
use super::timing::{Left, Timing, Urgency};
use entry::{Entry, Seat};
use stores::KnownStore;

/// The work to do, and the state that it needs.
pub struct Desk {
    terms: Arc<Terms>,
    catalog: Arc<Catalog>,
    claims: Arc<Claims>,
    /// Last state of each store, by its position in the catalog.
    stores: Vec<KnownStore>,
    /// Groups, in the order of their first resource.
    entries: Vec<Entry>,
    /// Entry and seat of each resource, by its position in the catalog.
    places: Vec<(usize, usize)>,
    /// Names of the resources that a pass has, also of those that have left the catalog since.
    in_hand: HashSet<Arc<str>>,
    /// Load of the nginx that is driven.
    load: Load,
    /// Whether reloads keep their distance; a single pass does everything at once.
    is_paced: bool,
    /// Progress of each resource, if it is published.
    pub receipts: Option<Receipts>,
}

impl Desk {
    /// Returns a desk for this catalog; every resource has to be rendered.
    pub fn new(terms: Arc<Terms>, catalog: Arc<Catalog>, is_paced: bool, now: Instant) -> Desk {
        let mut desk = Desk {
            terms,
            catalog: Arc::default(),
            claims: Arc::default(),
            stores: Vec::new(),
            entries: Vec::new(),
            places: Vec::new(),
            in_hand: HashSet::new(),
            load: Load::Usual,
            is_paced,
            receipts: None,
        };
        desk.set_catalog(catalog, now);
        desk
    }

    /// Returns the catalog.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Adopts a new reading of conf.d and templates; everything is rendered again. A resource that stays keeps its state; if
    /// a pass has it, its group waits until the pass is back, also if the resource was gone meanwhile.
    pub fn set_catalog(&mut self, catalog: Arc<Catalog>, now: Instant) {
        let old_catalog = std::mem::replace(&mut self.catalog, catalog);
        self.claims = Arc::new(Claims::of(self.catalog.members.iter().map(|member| &*member.resource)));
        let mut old_stores = std::mem::take(&mut self.stores);
        for StoreUse { settings, wanted } in &self.catalog.stores {
            // Nobody follows a store that no resource reads: what it has said is out of date once one does.
            let known = old_stores.iter().position(|old| old.settings == *settings && !wanted.all().is_empty());
            let new = || KnownStore { settings: settings.clone(), ..KnownStore::default() };
            self.stores.push(known.map_or_else(new, |position| old_stores.swap_remove(position)));
        }
        let mut old_entries = HashMap::new();
        let mut old_states = HashMap::new();
        for mut entry in std::mem::take(&mut self.entries) {
            for seat in entry.seats.drain(..) {
                let Some(member) = old_catalog.members.get(seat.position) else { continue };
                old_states.insert(Arc::clone(member.resource.name()), (Arc::clone(&member.resource), seat.state));
            }
            old_entries.insert(entry.group.id.clone(), entry);
        }
        self.places = vec![(0, 0); self.catalog.members.len()];
        for group in &self.catalog.groups {
            let mut seats = Vec::with_capacity(group.resources.len());
            for resource in &group.resources {
                let Some(position) = self.catalog.position(resource.name()) else { continue };
                let state = match old_states.remove(resource.name()) {
                    // One that was gone for a moment may still be in the hands of its old pass.
                    None => (!self.in_hand.contains(resource.name())).then(ResourceState::default),
                    Some((old, state)) => state.map(|state| state.carried_over(&old, resource)),
                };
                let wake_at = state.as_ref().and_then(|state| state.wake_after(None));
                self.places[position] = (self.entries.len(), seats.len());
                seats.push(Seat { position, mark: None, state, wake_at, taken_at: None });
            }
            let pace = group.reload.as_ref().filter(|_| self.is_paced).map(|_| group.pace);
            let drives_nginx = self.is_paced && group.drives_nginx();
            let old = old_entries.remove(&group.id);
            let change_waits = old.as_ref().map(|old: &Entry| Arc::clone(&old.change_waits)).unwrap_or_default();
            let (timing, was_worked_on, last_failure) = match old {
                None => (Timing::new(pace, drives_nginx), false, None),
                Some(old) => (old.timing.with_pace(pace, drives_nginx), old.was_worked_on, old.last_failure),
            };
            let group = Arc::clone(group);
            self.entries.push(Entry { group, seats, timing, change_waits, was_worked_on, last_failure });
        }
        // Passes of groups that are no more end soon: others may want the same files.
        old_entries.into_values().for_each(|old| old.change_waits.store(true, Ordering::Relaxed));
        if let Some(receipts) = &mut self.receipts {
            receipts.set_groups(self.catalog.groups.iter().map(|group| &**group));
        }
        self.mark_all(now);
    }

    /// Marks every resource: after a resync, or to notice changes that others made to the files.
    pub fn mark_all(&mut self, now: Instant) {
        self.mark_if(|_| true, now);
    }

    /// Marks the resources that are concerned.
    pub fn mark_if(&mut self, is_concerned: impl Fn(&Resource) -> bool, now: Instant) {
        let catalog = Arc::clone(&self.catalog);
        let concerned = catalog.members.iter().enumerate().filter(|(_, member)| is_concerned(&member.resource));
        concerned.for_each(|(position, _)| self.mark(position, Urgency::Removal, now));
    }

    /// Removes the marks from all resources but one.
    pub fn unmark_others(&mut self, name: &str) {
        let kept = self.catalog.position(name);
        for seat in self.entries.iter_mut().flat_map(|entry| &mut entry.seats) {
            seat.mark.take_if(|_| Some(seat.position) != kept);
        }
    }

    fn mark(&mut self, position: usize, urgency: Urgency, now: Instant) {
        if let Some(seat) = self.seat(position) {
            Mark::add_anything(&mut seat.mark);
        }
        self.wake(position, urgency, now);
    }

    fn seat(&mut self, position: usize) -> Option<&mut Seat> {
        let (entry, seat) = *self.places.get(position)?;
        self.entries.get_mut(entry)?.seats.get_mut(seat)
    }

    /// Schedules the group of a marked resource, if the resource can be rendered or reported as refused.
    fn wake(&mut self, position: usize, urgency: Urgency, now: Instant) {
        if !self.is_ready(position) && self.refusal(position).is_none() {
            return;
        }
        let Some((entry, _)) = self.places.get(position) else { return };
        if let Some(entry) = self.entries.get_mut(*entry) {
            entry.timing.changed(urgency, now);
            entry.change_waits.store(true, Ordering::Relaxed);
        }
    }

    /// Returns a pass for each group that is due.
    pub fn hand_out(&mut self, now: Instant) -> Vec<Pass> {
        self.mark_lapsed(now);
        (0..self.entries.len()).filter_map(|entry| self.hand_out_if_due(entry, now)).collect()
    }

    /// Returns a pass for the first group that is due, in the order of the files of conf.d.
    pub fn hand_out_first(&mut self, now: Instant) -> Option<Pass> {
        self.mark_lapsed(now);
        (0..self.entries.len()).find_map(|entry| self.hand_out_if_due(entry, now))
    }

    /// Marks resources whose hold, or whose wait for keys, is over.
    fn mark_lapsed(&mut self, now: Instant) {
        let mut lapsed = Vec::new();
        for seat in self.entries.iter_mut().flat_map(|entry| &mut entry.seats) {
            if seat.wake_at.take_if(|at| *at <= now).is_some() {
                lapsed.push(seat.position);
            }
        }
        lapsed.into_iter().for_each(|position| self.mark(position, Urgency::Removal, now));
    }

    fn hand_out_if_due(&mut self, entry_position: usize, now: Instant) -> Option<Pass> {
        let entry = self.entries.get(entry_position)?;
        if entry.due_at(self.load).is_none_or(|at| at > now) {
            return None;
        }
        let look = |seat: &Seat| (self.is_ready(seat.position), self.refusal(seat.position));
        let looks: Vec<(bool, Option<String>)> = entry.seats.iter().map(look).collect();
        let trees: Vec<Tree> =
            entry.seats.iter().filter_map(|seat| Some(self.store_of(seat.position)?.tree.clone())).collect();
        let revision = trees.first().map(Tree::revision).unwrap_or_default();
        let entry = self.entries.get_mut(entry_position)?;
        entry.timing.start();
        let mut resources = Vec::with_capacity(entry.seats.len());
        for ((seat, (is_ready, refused)), tree) in entry.seats.iter_mut().zip(looks).zip(trees) {
            let member = self.catalog.members.get(seat.position)?.clone();
            let mark = if is_ready { seat.mark.take() } else { None };
            if let Some(receipts) = self.receipts.as_mut().filter(|_| mark.is_some()) {
                receipts.rendering(member.resource.name(), tree.revision());
            }
            (seat.wake_at, seat.taken_at) = (None, Some(now));
            self.in_hand.insert(Arc::clone(member.resource.name()));
            resources.push(InHand { member, tree, mark, refused, state: seat.state.take()? });
        }
        entry.change_waits = Arc::default();
        let (group, change_waits) = (Arc::clone(&entry.group), Arc::clone(&entry.change_waits));
        let mut pass = Pass::new(Arc::clone(&self.terms), Arc::clone(&self.claims), group, revision, resources);
        pass.change_waits = change_waits;
        Some(pass)
    }

    /// Takes back the state from a pass, and schedules a retry after a failure. `jitter` in 0..1 spreads retries. Returns
    /// how often in a row the group has failed in this way before.
    pub fn take_back(&mut self, returned: &mut Returned, now: Instant, jitter: f64) -> u32 {
        for (resource, state) in returned.resources.drain(..) {
            self.in_hand.remove(resource.name());
            let Some(position) = self.catalog.position(resource.name()) else { continue };
            let current = self.catalog.members.get(position).map(|member| Arc::clone(&member.resource));
            let (Some(current), Some(seat)) = (current, self.seat(position)) else { continue };
            if seat.state.is_none() {
                let is_same = Arc::ptr_eq(&current, &resource);
                let state = if is_same { state } else { state.carried_over(&resource, &current) };
                seat.wake_at = state.wake_after(seat.taken_at);
                seat.state = Some(state);
            }
        }
        for name in &returned.findings.again {
            if let Some(seat) = self.catalog.position(name).and_then(|position| self.seat(position)) {
                Mark::add_anything(&mut seat.mark);
            }
        }
        let report = &returned.report;
        let position = self.entry_position(&returned.group);
        let Some(entry) = position.and_then(|position| self.entries.get_mut(position)) else { return 0 };
        entry.was_worked_on = true;
        let left = match report.needs_retry() {
            false => Left::Settled,
            true if report.is_unfinished() => Left::Unfinished,
            true => Left::Failed,
        };
        entry.timing.finished(now, report.reload_ran, left, jitter);
        entry.repeated(report)
    }

    /// Returns the position of a group's entry.
    fn entry_position(&self, group: &Group) -> Option<usize> {
        let place = |resource: &Arc<Resource>| self.places.get(self.catalog.position(resource.name())?);
        // Most groups are still in the entry of their first resource.
        let first = group.resources.first().and_then(place).map(|(entry, _)| *entry);
        let is_it = |entry: &usize| self.entries.get(*entry).is_some_and(|entry| entry.group.id == group.id);
        first.filter(is_it).or_else(|| (0..self.entries.len()).find(is_it))
    }

    /// Sets the load of the nginx that is driven. Returns whether it has changed.
    pub fn set_load(&mut self, load: Load) -> bool {
        std::mem::replace(&mut self.load, load) != load
    }

    /// Returns when `hand_out` next has a pass.
    pub fn wake_at(&self) -> Option<Instant> {
        self.entries.iter().filter_map(|entry| entry.wake_at(self.load)).min()
    }

    /// Returns whether a change waits that no pass has picked up.
    pub fn has_pending(&self) -> bool {
        self.entries.iter().any(|entry| entry.timing.has_pending())
    }

    /// Returns whether every group has been worked on since the start, whatever the result.
    pub fn first_round_is_over(&self) -> bool {
        self.entries.iter().all(|entry| entry.was_worked_on)
    }
}

mod entry;
mod states;
mod stores;
#[cfg(test)]
mod tests;
