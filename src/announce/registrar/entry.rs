//! The known and the wanted state of one key. Pure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::lease::{FoundKey, Write};

use super::{Holder, KeyNotice};
use crate::announce::layout::owner_of;

/// Pause between looks at a key that somebody else holds.
const POLL: Duration = Duration::from_millis(500);
/// Extra time after the lease's expiry until a dead announcer's key is gone: etcd looks for expired leases only twice a
/// second, and deleting takes time.
const EXPIRY_LAG: Duration = Duration::from_millis(1500);
/// Pause before the next try to write a key that we may not write.
pub(super) const DENIED_PAUSE: Duration = Duration::from_secs(5);

/// The known state of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeyState {
    /// It does not exist, or is not ours.
    No,
    /// As `No` before the write that is under way.
    Requested,
    /// A write may or may not have succeeded.
    Unknown,
    /// It has this value, under our lease.
    Ours(Arc<str>),
}

#[derive(Clone, Debug)]
pub(super) struct KeptKey {
    pub(super) ttl_seconds: u32,
    pub(super) wanted: Option<Arc<str>>,
    pub(super) held: KeyState,
    /// Earliest time of the next write.
    pub(super) not_before: Option<Instant>,
    /// Since when we have had it, with any value.
    pub(super) ours_since: Option<Instant>,
    /// Who else holds it.
    pub(super) foreign: Option<ForeignHold>,
    /// Since when we may not write it, and why.
    pub(super) denied: Option<(Instant, String)>,
}

/// Somebody else has the key.
#[derive(Clone, Debug)]
pub(super) struct ForeignHold {
    pub(super) since: Instant,
    /// The last one that was seen.
    pub(super) holder: Holder,
    /// Whether it was reported as final.
    is_reported: bool,
}

impl KeptKey {
    /// Returns the entry of a key with this wanted value, not known to exist.
    pub(super) fn new(ttl_seconds: u32, wanted: Option<Arc<str>>) -> KeptKey {
        KeptKey {
            ttl_seconds,
            wanted,
            held: KeyState::No,
            not_before: None,
            ours_since: None,
            foreign: None,
            denied: None,
        }
    }

    /// Returns the entry of a key that we have deleted, and that is under our lease all the same.
    pub(super) fn returned(ttl_seconds: u32) -> KeptKey {
        KeptKey { held: KeyState::Unknown, ..KeptKey::new(ttl_seconds, None) }
    }

    /// Records that it has this value, under our lease.
    pub(super) fn set_ours(&mut self, value: Arc<str>, now: Instant) {
        self.held = KeyState::Ours(value);
        self.ours_since.get_or_insert(now);
        self.foreign = None;
        self.denied = None;
    }

    /// Records that it does not exist, or is not ours.
    pub(super) fn set_not_ours(&mut self) {
        self.held = KeyState::No;
        self.ours_since = None;
    }

    /// Records that a write of it is about to be sent.
    pub(super) fn requested(&mut self) {
        match self.held {
            KeyState::No => self.held = KeyState::Requested,
            // Nobody has said what became of the write before.
            KeyState::Requested => self.held = KeyState::Unknown,
            KeyState::Unknown | KeyState::Ours(_) => {}
        }
    }

    /// Records that etcd carried out nothing of the write that was under way.
    pub(super) fn not_written(&mut self) {
        if self.held == KeyState::Requested {
            self.held = KeyState::No;
        }
    }

    /// Records that we may not write it. Returns a notice the first time.
    pub(super) fn denied(&mut self, key: &str, problem: &str, now: Instant) -> Option<KeyNotice> {
        self.not_before = Some(now + DENIED_PAUSE);
        let is_reported = self.denied.is_some();
        self.denied.get_or_insert_with(|| (now, problem.to_owned()));
        (!is_reported).then(|| KeyNotice::Denied(key.to_owned(), problem.to_owned()))
    }

    /// Returns the write that makes it as wanted; `None` if it is.
    pub(super) fn write(&self, key: &str) -> Option<Write> {
        let key = || key.to_owned();
        match (&self.wanted, &self.held) {
            (Some(value), KeyState::Ours(held)) if value == held => None,
            (Some(value), KeyState::Ours(_)) => Some(Write::Update(key(), Arc::clone(value))),
            (Some(value), KeyState::No | KeyState::Requested | KeyState::Unknown) => {
                Some(Write::Create(key(), Arc::clone(value)))
            }
            (None, KeyState::Ours(_) | KeyState::Requested | KeyState::Unknown) => Some(Write::Delete(key())),
            (None, KeyState::No) => None,
        }
    }

    /// Records that somebody else has the key. Returns a notice if that is news.
    pub(super) fn taken(&mut self, key: &str, found: &FoundKey, now: Instant) -> Option<KeyNotice> {
        let holder = Holder { owner: owner_of(&found.value), lease: found.lease };
        let patience = Duration::from_secs(self.ttl_seconds.into()) + EXPIRY_LAG;
        self.not_before = Some(now + POLL);
        let Some(foreign) = &mut self.foreign else {
            self.foreign = Some(ForeignHold { since: now, holder: holder.clone(), is_reported: false });
            return Some(KeyNotice::Taken(key.to_owned(), holder));
        };
        foreign.holder = holder.clone();
        if foreign.is_reported || now.duration_since(foreign.since) < patience {
            return None;
        }
        foreign.is_reported = true;
        Some(KeyNotice::Held(key.to_owned(), holder))
    }
}
