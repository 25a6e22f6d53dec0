//! Events that a store sends to the agent. Every source sends these and nothing else.

use std::time::Duration;

use super::key::{Key, Revision, Value};
use super::lease::LeaseId;
use super::range::KeyRanges;
use super::refusal::Refusal;

/// One event of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Everything that the agent asked for and may see, at one revision. Replaces what was known.
    Snapshot {
        /// The revision that all entries were read at.
        revision: Revision,
        /// The keys that were read; those of them that are not in `entries` are not in the store.
        ranges: KeyRanges,
        /// The keys that were asked for and that the store refuses to show. A `Snapshot` follows when it shows some of them.
        refused: Option<Refusal>,
        /// Store keys and values, prefix not stripped.
        entries: Vec<(Key, Value)>,
        /// The leases of those keys that are under one.
        leases: Vec<(Key, LeaseId)>,
    },
    /// All events of the revisions up to `revision` that came after the last event, never part of one revision.
    Changes {
        /// The last revision contained.
        revision: Revision,
        /// Keys with a new value.
        puts: Vec<(Key, Value)>,
        /// The leases of those keys of `puts` that are under one.
        leases: Vec<(Key, LeaseId)>,
        /// Keys that were deleted.
        deletes: Vec<Key>,
    },
    /// The store cannot be followed at the moment; the source goes on trying.
    Lost {
        /// Problem, for people.
        problem: String,
        /// Time until the next attempt starts.
        retry_in: Duration,
        /// Whether only an edit fixes that: of the store's files, of settings, or of a certificate.
        is_lasting: bool,
    },
    /// The store is followed again after `Lost`, and nothing was missed.
    Regained,
}
