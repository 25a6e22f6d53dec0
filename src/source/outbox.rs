//! Events that the agent has not taken yet, as few as possible: a snapshot replaces all before it, changes are merged into
//! one with the latest value of each key, and only the last event about the connection counts. Pure.

use std::collections::BTreeMap;

use crate::model::event::Event;
use crate::model::key::{Key, Revision, Value};
use crate::model::lease::LeaseId;
use crate::model::range::KeyRanges;
use crate::model::refusal::Refusal;

/// Past this many bytes of waiting changes a source stops reading, and the store's own flow control takes over.
const FULL_BYTES: usize = 64 << 20;

/// Approximate overhead of one key in bytes.
const ENTRY_BYTES: usize = 100;

/// Complete revisions, merged into one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    /// The last revision contained.
    pub(crate) revision: Revision,
    /// Current value of each key; `None` if it was deleted.
    pub(crate) changes: BTreeMap<Key, Option<Value>>,
    /// Lease of each key of these that is under one.
    pub(crate) leases: BTreeMap<Key, LeaseId>,
}

impl Batch {
    /// Returns the number of bytes of its keys and values.
    pub(crate) fn bytes(&self) -> usize {
        let bytes = |value: &Option<Value>| value.as_ref().map_or(0, |value| value.as_bytes().len());
        self.changes.iter().map(|(key, value)| key.as_str().len() + bytes(value)).sum()
    }

    /// Adds a later batch.
    pub(crate) fn append(&mut self, later: Batch) {
        self.revision = self.revision.max(later.revision);
        self.leases.retain(|key, _| !later.changes.contains_key(key));
        self.leases.extend(later.leases);
        self.changes.extend(later.changes);
    }

    /// Adds a later change of one key.
    pub(crate) fn put(&mut self, key: Key, value: Option<Value>, lease: LeaseId) {
        match lease {
            0 => drop(self.leases.remove(&key)),
            lease => drop(self.leases.insert(key.clone(), lease)),
        }
        self.changes.insert(key, value);
    }

    fn into_event(self) -> Event {
        let mut puts = Vec::with_capacity(self.changes.len());
        let mut deletes = Vec::new();
        for (key, value) in self.changes {
            match value {
                Some(value) => puts.push((key, value)),
                None => deletes.push(key),
            }
        }
        Event::Changes { revision: self.revision, puts, leases: self.leases.into_iter().collect(), deletes }
    }
}

/// All keys that were read, as `Event::Snapshot` has them.
#[derive(Default)]
pub(crate) struct Snapshot {
    pub(crate) revision: Revision,
    pub(crate) ranges: KeyRanges,
    pub(crate) refused: Option<Refusal>,
    pub(crate) entries: Vec<(Key, Value)>,
    pub(crate) leases: Vec<(Key, LeaseId)>,
}

/// Events on their way to the agent, at most three at any time.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    snapshot: Option<Event>,
    changes: Option<Batch>,
    change_bytes: usize,
    standing: Option<Event>,
}

impl Outbox {
    /// Adds a snapshot: nothing before it matters any more.
    pub(crate) fn put_snapshot(&mut self, snapshot: Snapshot) {
        let Snapshot { revision, ranges, refused, entries, leases } = snapshot;
        let snapshot = Some(Event::Snapshot { revision, ranges, refused, entries, leases });
        *self = Outbox { snapshot, ..Outbox::default() };
    }

    /// Adds complete revisions. Ignores a batch without changes.
    pub(crate) fn put_changes(&mut self, batch: Batch) {
        if batch.changes.is_empty() {
            return;
        }
        self.change_bytes += batch.bytes() + ENTRY_BYTES * batch.changes.len();
        match &mut self.changes {
            Some(waiting) => waiting.append(batch),
            None => self.changes = Some(batch),
        }
    }

    /// Adds an event which says that the store is lost or followed again.
    pub(crate) fn put_standing(&mut self, event: Event) {
        self.standing = Some(event);
    }

    /// Returns whether no more changes should be read before the agent has taken some.
    pub(crate) fn is_full(&self) -> bool {
        self.change_bytes >= FULL_BYTES
    }

    /// Returns whether no event waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.snapshot.is_none() && self.changes.is_none() && self.standing.is_none()
    }

    /// Removes and returns the next event for the agent.
    pub(crate) fn take(&mut self) -> Option<Event> {
        if self.snapshot.is_some() {
            return self.snapshot.take();
        }
        if let Some(batch) = self.changes.take() {
            self.change_bytes = 0;
            return Some(batch.into_event());
        }
        self.standing.take()
    }
}

/// Returns the memory of one change, approximately.
pub(crate) fn cost(key: &Key, value: Option<&Value>) -> usize {
    ENTRY_BYTES + key.as_str().len() + value.map_or(0, |value| value.as_bytes().len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn batch(revision: i64, changes: &[(&str, Option<&str>)]) -> Batch {
        let changes = changes.iter().map(|(key, value)| (Key::from(*key), value.map(Value::from))).collect();
        Batch { revision: Revision(revision), changes, ..Batch::default() }
    }

    fn lost() -> Event {
        Event::Lost { problem: "gone".to_owned(), retry_in: Duration::ZERO, is_lasting: false }
    }

    #[test]
    fn waiting_changes_melt_into_one_with_the_latest_value_of_each_key() {
        let mut outbox = Outbox::default();
        outbox.put_changes(batch(5, &[("/a", Some("1")), ("/b", Some("1")), ("/c", None)]));
        outbox.put_changes(batch(6, &[("/a", Some("2")), ("/b", None), ("/c", Some("3"))]));
        outbox.put_changes(batch(9, &[]));
        let puts = vec![(Key::from("/a"), Value::from("2")), (Key::from("/c"), Value::from("3"))];
        let expected =
            Event::Changes { revision: Revision(6), puts, leases: Vec::new(), deletes: vec![Key::from("/b")] };
        assert_eq!(outbox.take(), Some(expected));
        assert!(outbox.is_empty() && outbox.take().is_none());
    }

    #[test]
    fn a_snapshot_replaces_all_before_it_and_comes_before_what_follows() {
        let mut outbox = Outbox::default();
        outbox.put_standing(lost());
        outbox.put_changes(batch(5, &[("/a", Some("1"))]));
        outbox.put_snapshot(Snapshot { revision: Revision(7), ..Snapshot::default() });
        outbox.put_changes(batch(8, &[("/a", Some("2"))]));
        outbox.put_standing(lost());
        outbox.put_standing(Event::Regained);
        assert!(matches!(outbox.take(), Some(Event::Snapshot { revision: Revision(7), .. })));
        assert!(matches!(outbox.take(), Some(Event::Changes { revision: Revision(8), .. })));
        assert_eq!(outbox.take(), Some(Event::Regained));
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_full_outbox_says_so_until_it_is_taken_from() {
        let mut outbox = Outbox::default();
        let large = "x".repeat(1 << 20);
        while !outbox.is_full() {
            outbox.put_changes(batch(1, &[("/a", Some(&large))]));
        }
        outbox.take();
        assert!(!outbox.is_full());
    }
}
