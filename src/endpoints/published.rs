//! A set as a file publishes it, and what of it its upstreams can use. Pure.

use crate::model::endpoints::EndpointSet;

use super::ledger::UpstreamTraits;

/// A set of one file, with what its upstream can do.
#[derive(Clone, Debug)]
pub struct PublishedSet {
    /// The set.
    pub set: EndpointSet,
    /// What the upstreams that ask for it are like.
    pub traits: UpstreamTraits,
}

impl PublishedSet {
    /// Returns the set as its upstream can use it. A method without backups never sends anything to one, so backups are left out as
    /// long as there are others.
    pub(super) fn usable(self) -> EndpointSet {
        let PublishedSet { mut set, traits } = self;
        if !traits.knows_backups && set.endpoints.iter().any(|endpoint| !endpoint.is_backup) {
            set.endpoints.retain(|endpoint| !endpoint.is_backup);
        }
        set
    }
}
