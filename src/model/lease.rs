//! Writes under a lease, from the announcer to the etcd client, and their outcomes. Plain data.

use std::sync::Arc;

use super::key::Revision;

/// Id of a lease in etcd; 0 is no lease.
pub type LeaseId = i64;

/// One write of one key, under a lease. Never touches a key that is under a different lease, or under no lease.
#[derive(Clone, PartialEq, Eq)]
pub enum Write {
    /// Puts the key if it does not exist.
    Create(String, Arc<str>),
    /// Puts the key if it is under the lease.
    Update(String, Arc<str>),
    /// Deletes the key if it is under the lease.
    Delete(String),
}

impl Write {
    /// Returns the key.
    pub fn key(&self) -> &str {
        match self {
            Write::Create(key, _) | Write::Update(key, _) | Write::Delete(key) => key,
        }
    }

    /// Returns the outcome under the lease `id`, if not all of its transaction's conditions held and the key was found so.
    pub fn refused(&self, id: LeaseId, found: Option<FoundKey>) -> WriteOutcome {
        let holds = match self {
            Write::Create(..) => found.is_none(),
            Write::Update(..) | Write::Delete(_) => found.as_ref().is_some_and(|found| found.lease == id),
        };
        if holds { WriteOutcome::Postponed } else { WriteOutcome::Refused(found) }
    }
}

impl std::fmt::Debug for Write {
    /// Prints the key, never its value.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verb = match self {
            Write::Create(..) => "Create",
            Write::Update(..) => "Update",
            Write::Delete(_) => "Delete",
        };
        f.debug_tuple(verb).field(&self.key()).finish()
    }
}

/// Outcome of several writes: etcd did all of them at one revision, or did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteAnswer {
    /// The store's revision after them.
    pub revision: Revision,
    /// Outcomes of the writes, in their order.
    pub outcomes: Vec<WriteOutcome>,
}

/// Outcome of one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It is done.
    Done,
    /// Its condition held, but the condition of a different write did not.
    Postponed,
    /// Its condition did not hold; the key as it is, if it exists.
    Refused(Option<FoundKey>),
}

/// A key as it was found.
#[derive(Clone, PartialEq, Eq)]
pub struct FoundKey {
    /// Lease of the key; 0 is no lease.
    pub lease: LeaseId,
    /// Its value.
    pub value: Vec<u8>,
    /// Revision of its last change.
    pub changed: Revision,
}

impl std::fmt::Debug for FoundKey {
    /// Prints the lease and the length of the value, never the value.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FoundKey {{ lease: {:x}, <{} bytes> }}", self.lease, self.value.len())
    }
}
