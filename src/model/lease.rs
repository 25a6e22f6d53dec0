//! What passes between the etcd client and the announcer: writes under a lease, and what came of them. Plain data.

use std::sync::Arc;

use super::key::Revision;

/// etcd's name for a lease; 0 is none.
pub type LeaseId = i64;

/// One write of one key, under a lease. Never touches a key that is under another lease, or under none.
#[derive(Clone, PartialEq, Eq)]
pub enum Write {
    /// Puts the key if there is none.
    Create(String, Arc<str>),
    /// Puts the key if it is under the lease.
    Update(String, Arc<str>),
    /// Deletes the key if it is under the lease.
    Delete(String),
}

impl Write {
    /// The key.
    pub fn key(&self) -> &str {
        match self {
            Write::Create(key, _) | Write::Update(key, _) | Write::Delete(key) => key,
        }
    }

    /// What came of it, under the lease `id`, where not all of its transaction's conditions held and the key was found so.
    pub fn refused(&self, id: LeaseId, found: Option<FoundKey>) -> WriteOutcome {
        let holds = match self {
            Write::Create(..) => found.is_none(),
            Write::Update(..) | Write::Delete(_) => found.as_ref().is_some_and(|found| found.lease == id),
        };
        if holds { WriteOutcome::Postponed } else { WriteOutcome::Refused(found) }
    }
}

impl std::fmt::Debug for Write {
    /// The key, never its value.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verb = match self {
            Write::Create(..) => "Create",
            Write::Update(..) => "Update",
            Write::Delete(_) => "Delete",
        };
        f.debug_tuple(verb).field(&self.key()).finish()
    }
}

/// What came of several writes: etcd did all of them at one revision, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteAnswer {
    /// The store's revision after them.
    pub revision: Revision,
    /// What came of each, in their order.
    pub outcomes: Vec<WriteOutcome>,
}

/// What came of one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It is done.
    Done,
    /// Its condition held, but that of another one did not.
    Postponed,
    /// Its condition did not hold; the key as it is, where there is one.
    Refused(Option<FoundKey>),
}

/// A key as it was found.
#[derive(Clone, PartialEq, Eq)]
pub struct FoundKey {
    /// The lease that it is under; 0 is none.
    pub lease: LeaseId,
    /// Its value.
    pub value: Vec<u8>,
}

impl std::fmt::Debug for FoundKey {
    /// Never the value.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FoundKey {{ lease: {:x}, <{} bytes> }}", self.lease, self.value.len())
    }
}
