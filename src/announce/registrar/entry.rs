//! What is known and wanted of one key. Pure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::lease::{FoundKey, Write};

use super::{Holder, KeyNotice};
use crate::announce::layout::owner_of;

/// How often a key is looked at that somebody else holds.
const POLL: Duration = Duration::from_millis(500);
/// How much later than its lease's time a dead announcer's key may go: etcd looks for expired leases twice a second and takes
/// its time.
const EXPIRY_LAG: Duration = Duration::from_millis(1500);
/// How long a key is left alone that we may not write.
pub(super) const DENIED_PAUSE: Duration = Duration::from_secs(5);

/// What we know of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeyState {
    /// It is not ours, or not there.
    No,
    /// A write may or may not have come through.
    Unknown,
    /// It says this, under our lease.
    Ours(Arc<str>),
}

#[derive(Clone, Debug)]
pub(super) struct KeptKey {
    pub(super) ttl_seconds: u32,
    pub(super) wanted: Option<Arc<str>>,
    pub(super) held: KeyState,
    /// Not to be written before.
    pub(super) not_before: Option<Instant>,
    /// Since when somebody else has it, and whether that was told to be final.
    foreign: Option<(Instant, bool)>,
    /// It was told that we may not write it.
    is_denied: bool,
}

impl KeptKey {
    /// A key that is to be there, and may be.
    pub(super) fn new(ttl_seconds: u32, wanted: Option<Arc<str>>) -> KeptKey {
        KeptKey { ttl_seconds, wanted, held: KeyState::No, not_before: None, foreign: None, is_denied: false }
    }

    /// It says this, under our lease.
    pub(super) fn is_ours(&mut self, value: Arc<str>) {
        self.held = KeyState::Ours(value);
        self.foreign = None;
        self.is_denied = false;
    }

    /// We may not write it.
    pub(super) fn denied(&mut self, key: &str, problem: &str, now: Instant) -> Option<KeyNotice> {
        self.not_before = Some(now + DENIED_PAUSE);
        let is_told = std::mem::replace(&mut self.is_denied, true);
        (!is_told).then(|| KeyNotice::Denied(key.to_owned(), problem.to_owned()))
    }

    /// The write that makes it as wanted; `None` where it is.
    pub(super) fn write(&self, key: &str) -> Option<Write> {
        let key = || key.to_owned();
        match (&self.wanted, &self.held) {
            (Some(value), KeyState::Ours(held)) if value == held => None,
            (Some(value), KeyState::Ours(_)) => Some(Write::Update(key(), Arc::clone(value))),
            (Some(value), KeyState::No | KeyState::Unknown) => Some(Write::Create(key(), Arc::clone(value))),
            (None, KeyState::Ours(_) | KeyState::Unknown) => Some(Write::Delete(key())),
            (None, KeyState::No) => None,
        }
    }

    /// Somebody else has the key.
    pub(super) fn taken(&mut self, key: &str, found: &FoundKey, now: Instant) -> Option<KeyNotice> {
        let holder = || Holder { owner: owner_of(&found.value), lease: found.lease };
        let patience = Duration::from_secs(self.ttl_seconds.into()) + EXPIRY_LAG;
        self.not_before = Some(now + POLL);
        match &mut self.foreign {
            None => {
                self.foreign = Some((now, false));
                Some(KeyNotice::Taken(key.to_owned(), holder()))
            }
            Some((since, is_told)) if !*is_told && now.duration_since(*since) >= patience => {
                *is_told = true;
                Some(KeyNotice::Held(key.to_owned(), holder()))
            }
            Some(_) => None,
        }
    }
}
