//! What the registrar knows about a key, its lease and the connection, for whoever asks. Pure. Never changes anything.

use std::time::Instant;

use crate::model::lease::LeaseId;

use super::entry::KeyState;
use super::{Holder, Registrar};

/// State of a key in etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFact<'a> {
    /// It has been under our lease since then.
    Ours(Instant),
    /// Somebody else has had it since then.
    Foreign(Instant, &'a Holder),
    /// We may not write it, since then, because of this.
    Denied(Instant, &'a str),
    /// None of these: it is still to be written, or is not wanted.
    Absent,
}

impl Registrar {
    /// Returns how a key stands.
    pub fn fact(&self, key: &str) -> KeyFact<'_> {
        let Some(entry) = self.keys.get(key) else { return KeyFact::Absent };
        match (entry.ours_since, &entry.foreign, &entry.denied) {
            (Some(since), ..) if matches!(entry.held, KeyState::Ours(_) | KeyState::Unknown) => KeyFact::Ours(since),
            (_, Some(foreign), _) => KeyFact::Foreign(foreign.since, &foreign.holder),
            (_, _, Some((since, problem))) => KeyFact::Denied(*since, problem),
            _ => KeyFact::Absent,
        }
    }

    /// Returns the lease that a key is under, or would be, and about when it expires unless it is renewed.
    pub fn lease_of(&self, key: &str) -> Option<(LeaseId, Instant)> {
        let lease = self.leases.get(&self.keys.get(key)?.ttl_seconds)?;
        Some((lease.id, lease.expires_at))
    }

    /// Returns the shortest time to live of our leases, in seconds. A key keeps its lease although a longer one is wanted for it by now.
    pub fn shortest_lease(&self) -> Option<u32> {
        self.leases.keys().next().copied()
    }

    /// Returns since when etcd cannot be reached, and why.
    pub fn lost(&self) -> Option<(Instant, &str)> {
        self.lost.as_ref().map(|(since, problem)| (*since, problem.as_str()))
    }
}
