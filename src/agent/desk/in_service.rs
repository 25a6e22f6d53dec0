//! Which addresses are backends of a live file. Pure.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;

use crate::agent::state::ResourceState;

use super::Desk;

impl Desk {
    /// Returns those of these addresses that a live file has, of the resources that no pass has at the moment.
    pub fn in_service(&self, addresses: &BTreeSet<SocketAddr>) -> BTreeSet<SocketAddr> {
        let texts: HashMap<String, SocketAddr> =
            addresses.iter().map(|address| (address.to_string(), *address)).collect();
        let states = self.entries.iter().flat_map(|entry| &entry.seats).filter_map(|seat| seat.state.as_ref());
        let serving = states.flat_map(ResourceState::files).flat_map(|file| file.backends.serving());
        serving.filter_map(|address| texts.get(address).copied()).collect()
    }
}
