//! What is answered while a file is not live yet whose names differ from those of the live one. Pure.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::model::endpoints::{Endpoint, EndpointName, EndpointSet};

/// Most endpoints of a name with those that leave it: an answer over TCP has 65,535 bytes.
const MAX_ENDPOINTS: usize = 780;

/// Returns the sets to answer with until a file with `sets` is live. nginx does not ask for names that only this file has, so a backend
/// that moves from a name of the live file to a different one stays below both. `live` returns the present endpoints of a name, if the
/// live file has it.
pub(super) fn until_live<'a>(
    sets: &[EndpointSet],
    live: impl Fn(&EndpointName) -> Option<&'a [Endpoint]>,
) -> Vec<EndpointSet> {
    let listed: BTreeSet<SocketAddr> = sets.iter().flat_map(EndpointSet::addresses).collect();
    let widened = |set: &EndpointSet| {
        let mut set = set.clone();
        let own: BTreeSet<SocketAddr> = set.addresses().collect();
        let leaves = |endpoint: &&Endpoint| !own.contains(&endpoint.address) && listed.contains(&endpoint.address);
        let room = MAX_ENDPOINTS.saturating_sub(set.endpoints.len());
        set.endpoints.extend(live(&set.name).unwrap_or_default().iter().filter(leaves).take(room));
        set.endpoints.sort_unstable();
        set
    };
    sets.iter().map(widened).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, ports: &[u16]) -> EndpointSet {
        let endpoint = |port: &u16| Endpoint { address: ([10, 0, 0, 1], *port).into(), weight: 1, is_backup: false };
        EndpointSet { name: EndpointName::new(name), endpoints: ports.iter().map(endpoint).collect() }
    }

    /// Returns what is answered for the sets of a new file, while the live file has `live`.
    fn answered(live: &EndpointSet, sets: &[EndpointSet]) -> Vec<EndpointSet> {
        until_live(sets, |name| (*name == live.name).then_some(&*live.endpoints))
    }

    #[test]
    fn a_backend_that_moves_to_another_name_stays_below_the_first() {
        let live = set("n", &[1, 2]);
        assert_eq!(answered(&live, &[set("m", &[1]), set("n", &[2])]), [set("m", &[1]), set("n", &[1, 2])]);
        // That file is refused; then 2 goes away and 3 arrives.
        assert_eq!(answered(&live, &[set("m", &[1]), set("n", &[3])]), [set("m", &[1]), set("n", &[1, 3])]);
        assert_eq!(answered(&live, &[set("m", &[4]), set("n", &[2])]), [set("m", &[4]), set("n", &[2])]);
        assert_eq!(answered(&live, &[set("m", &[1, 2])]), [set("m", &[1, 2])], "what has no set stays as it is");
    }

    #[test]
    fn no_answer_is_too_long() {
        let all: Vec<u16> = (0..1400).collect();
        let widened = answered(&set("n", &all[..700]), &[set("m", &all[..700]), set("n", &all[700..])]);
        assert_eq!(widened[1].endpoints.len(), MAX_ENDPOINTS);
    }
}
