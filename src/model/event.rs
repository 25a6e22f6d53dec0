//! Events that a store sends to the agent. Every source sends these and nothing else.

use std::time::Duration;

use super::key::{Key, Revision, Value};
use super::range::KeyRanges;

/// One event of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Everything that the agent asked for, at one revision. Replaces what was known.
    Snapshot {
        /// The revision that all entries were read at.
        revision: Revision,
        /// The keys that were asked for; those of them that are not in `entries` are not in the store.
        ranges: KeyRanges,
        /// Store keys and values, prefix not stripped.
        entries: Vec<(Key, Value)>,
    },
    /// All events of the revisions up to `revision` that came after the last event, never part of one revision.
    Changes {
        /// The last revision contained.
        revision: Revision,
        /// Keys with a new value.
        puts: Vec<(Key, Value)>,
        /// Keys that were deleted.
        deletes: Vec<Key>,
    },
    /// The store cannot be followed at the moment; the source goes on trying.
    Lost {
        /// Problem, for people.
        problem: String,
        /// Time until the next attempt starts.
        retry_in: Duration,
        /// Whether the store was read but not understood: only an edit fixes that.
        is_malformed: bool,
    },
    /// The store is followed again after `Lost`, and nothing was missed.
    Regained,
}
