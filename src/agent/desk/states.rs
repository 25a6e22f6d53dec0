//! Questions about the states of the resources that no pass has at the moment. Pure.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Instant;

use crate::agent::state::ResourceState;
use crate::apply::group::Group;

use super::Desk;

impl Desk {
    fn states(&self) -> impl Iterator<Item = &ResourceState> {
        self.entries.iter().flat_map(|entry| &entry.seats).filter_map(|seat| seat.state.as_ref())
    }

    /// Returns when the first wait of a resource for its keys ends.
    pub fn waits_until(&self) -> Option<Instant> {
        self.states().filter_map(|state| state.wait.until()).min()
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
