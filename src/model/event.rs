//! What a store tells the agent. Every source speaks this and nothing else.

use std::time::Duration;

use super::key::{Key, Revision, Value};
use super::range::KeyRanges;

/// One thing that happened in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Everything the agent asked for, at one revision. Replaces what was known.
    Snapshot {
        /// The revision all entries were read at.
        revision: Revision,
        /// The keys that were asked for: of these, what is not in `entries` is not in the store.
        ranges: KeyRanges,
        /// Store keys and values, prefix not stripped.
        entries: Vec<(Key, Value)>,
    },
    /// All events of the revisions up to `revision` that came after the last event, never part of one revision.
    Changes {
        /// The last revision contained.
        revision: Revision,
        /// Keys now holding another value.
        puts: Vec<(Key, Value)>,
        /// Keys gone.
        deletes: Vec<Key>,
    },
    /// The store cannot be followed at the moment; the source goes on trying.
    Lost {
        /// What went wrong, for people.
        problem: String,
        /// When the next attempt starts.
        retry_in: Duration,
        /// The store was read, but not understood: only an edit mends that.
        is_malformed: bool,
    },
    /// The store is followed again after `Lost`, and nothing was missed.
    Regained,
}
