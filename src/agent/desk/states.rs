//! Questions about the states of the resources that no pass has at the moment. Pure.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Instant;

use crate::agent::state::ResourceState;
use crate::apply::group::Group;
use crate::model::status::KeyFacts;

use super::Desk;
use crate::agent::timing::Urgency;

impl Desk {
    fn states(&self) -> impl Iterator<Item = &ResourceState> {
        self.entries.iter().flat_map(|entry| &entry.seats).filter_map(|seat| seat.state.as_ref())
    }

    fn state_of(&self, position: usize) -> Option<&ResourceState> {
        let (entry, seat) = *self.places.get(position)?;
        self.entries.get(entry)?.seats.get(seat)?.state.as_ref()
    }

    /// Returns when the first wait of a resource for its keys ends.
    pub fn waits_until(&self) -> Option<Instant> {
        self.states().filter_map(|state| state.wait.until()).min()
    }

    /// Returns what the stores have under a key, which resources see it, and why one skips it.
    pub fn facts(&self, key: &str) -> KeyFacts {
        let mut facts = KeyFacts::default();
        let mut stores = BTreeSet::new();
        for position in self.catalog.readers.of(key) {
            let Some(member) = self.catalog.members.get(position) else { continue };
            facts.readers.push(member.resource.name().to_string());
            stores.extend(self.catalog.store_at(position));
            let state = self.state_of(position);
            facts.is_rendering |= state.is_none();
            if let (None, Some(own)) = (&facts.skipped, key.strip_prefix(&*member.resource.prefix)) {
                let mut skipped = state.into_iter().flat_map(ResourceState::files).flat_map(|file| &file.skipped);
                facts.skipped = skipped.find(|(key, _)| key == own).map(|(_, reason)| reason.to_string());
            }
        }
        for position in stores {
            let Some(known) = self.stores.get(position) else { continue };
            let name = known.settings.as_ref().map_or_else(|| "the store".to_owned(), |settings| settings.to_string());
            let length = known.tree.get(key).map(|value| value.as_bytes().len());
            facts.stores.push((name, known.tree.revision().0, length));
        }
        facts.readers.sort();
        facts.readers.dedup();
        facts
    }

    /// Tries the groups of nginx that have failed, or owe a reload, again at once: what was in their way may be gone.
    pub fn try_failed_again(&mut self, now: Instant) {
        let failed = self.entries.iter().filter(|entry| entry.timing.failures() > 0 && entry.group.drives_nginx());
        let members = failed.flat_map(|entry| &entry.seats).map(|seat| seat.position);
        let positions: Vec<usize> = members.collect();
        positions.into_iter().for_each(|position| self.mark(position, Urgency::Removal, now));
    }

    /// Returns when a group that has failed is tried again; `None` if only a change brings that about.
    pub fn next_try(&self, group: &Group) -> Option<Instant> {
        let entry = self.entries.get(self.entry_position(group)?)?;
        entry.timing.due_at(self.load).filter(|_| entry.timing.failures() > 0)
    }

    /// Returns those of these addresses that a live file has.
    pub fn in_service(&self, addresses: &BTreeSet<SocketAddr>) -> BTreeSet<SocketAddr> {
        let texts: HashMap<String, SocketAddr> =
            addresses.iter().map(|address| (address.to_string(), *address)).collect();
        let serving = self.states().flat_map(ResourceState::files).flat_map(|file| file.backends.serving());
        serving.filter_map(|address| texts.get(address).copied()).collect()
    }
}
