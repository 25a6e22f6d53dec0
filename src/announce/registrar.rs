//! Decides what to request from etcd, and when, so that exactly the wanted keys exist under our leases: connect, keep the
//! lease alive, grant a lost one again, create a key only if it does not exist, check now and then whether all still exist. An etcd
//! that was restored from a backup may have keys again that we have deleted, and old values: these are put right.
//!
//! Pure: wishes, outcomes, the time and randomness go in; one action at a time comes out. Never writes a key again that is
//! as wanted. All keys with the same time to live share one lease: they live and die with this process, and a thousand of
//! them cost one keepalive.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::backoff::Backoff;
use crate::model::etcd::{EtcdFailure, FailureKind, Header};
use crate::model::key::Revision;
use crate::model::lease::{LeaseId, Write, WriteAnswer, WriteOutcome};

mod entry;
mod facts;
mod talk;

#[cfg(test)]
mod tests;

pub use facts::KeyFact;
pub use talk::{EtcdAction, EtcdOutcome, Holder, KeyNotice};

use entry::{KeptKey, KeyState};

/// Longest pause between attempts to reach etcd: a key must be back within a second of etcd's return.
const MAX_RETRY: Duration = Duration::from_millis(400);
/// Most writes in one transaction: etcd's default limit is 128 operations.
const MAX_WRITES: usize = 100;

#[derive(Clone, Copy, Debug)]
struct Lease {
    id: LeaseId,
    renew_at: Instant,
    list_at: Instant,
    /// About when it expires, unless it is renewed.
    expires_at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkState {
    /// Not connected; no attempt before this time.
    Down(Instant),
    Up,
}

/// The state of all wanted keys and of the connection.
#[derive(Debug)]
pub struct Registrar {
    keys: BTreeMap<String, KeptKey>,
    /// Leases by their time to live in seconds.
    leases: BTreeMap<u32, Lease>,
    link: LinkState,
    backoff: Backoff,
    /// Since when etcd cannot be reached, and why; then `Lost` was reported.
    lost: Option<(Instant, String)>,
    /// Shortest time between two writes of a key.
    pause: Duration,
    max_writes: usize,
    stopping: bool,
    /// Revision of the store in its last answer that has one.
    revision: Revision,
    /// State of the store at the last listing.
    last_listing: Option<Header>,
}

impl Registrar {
    /// Returns a registrar without wanted keys.
    pub fn new(now: Instant) -> Registrar {
        Registrar {
            keys: BTreeMap::new(),
            leases: BTreeMap::new(),
            link: LinkState::Down(now),
            backoff: Backoff::up_to(MAX_RETRY),
            lost: None,
            pause: Duration::ZERO,
            max_writes: MAX_WRITES,
            stopping: false,
            revision: Revision::default(),
            last_listing: None,
        }
    }

    /// Leaves at least this time between two writes of a key: a change after a longer time is written at once, several within it are
    /// written together at its end, with the newest value. `stop` does not wait.
    pub fn with_pause(self, pause: Duration) -> Registrar {
        Registrar { pause, ..self }
    }

    /// Sets the wanted value of the key; `None` deletes it.
    pub fn want(&mut self, key: &str, ttl_seconds: u32, value: Option<Arc<str>>) {
        match self.keys.get_mut(key) {
            Some(entry) => {
                if entry.ttl_seconds != ttl_seconds && entry.held != KeyState::No {
                    // A key cannot change its lease without a moment in which it might be lost: it keeps its present lease.
                    entry.wanted = value;
                    return;
                }
                entry.ttl_seconds = ttl_seconds;
                entry.wanted = value;
                if entry.wanted.is_none() && entry.held == KeyState::No {
                    self.keys.remove(key);
                }
            }
            None if value.is_none() => {}
            None => {
                self.keys.insert(key.to_owned(), KeptKey::new(ttl_seconds, value));
            }
        }
    }

    /// Starts to delete everything; `is_empty` returns whether that is done.
    pub fn stop(&mut self) {
        self.stopping = true;
        self.keys.clear();
    }

    /// Schedules a check of whether all keys exist in etcd.
    pub fn look(&mut self, now: Instant) {
        self.leases.values_mut().for_each(|lease| lease.list_at = now);
    }

    /// Returns whether nothing of ours is left in etcd.
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// Returns whether this key is known to have the wanted value.
    pub fn is_as_wanted(&self, key: &str) -> bool {
        let is_as_wanted =
            |entry: &KeptKey| matches!((&entry.wanted, &entry.held), (Some(a), KeyState::Ours(b)) if a == b);
        self.keys.get(key).is_some_and(is_as_wanted)
    }

    /// Returns whether this key may exist under a lease of ours.
    pub fn may_hold(&self, key: &str) -> bool {
        self.keys.get(key).is_some_and(|entry| entry.held != KeyState::No)
    }

    /// Returns the next action.
    pub fn next(&mut self, now: Instant) -> EtcdAction {
        let action = self.decide(now);
        if let EtcdAction::Write(_, writes) = &action {
            // Until the outcome is known, they may or may not exist.
            for write in writes {
                if let Some(entry) = self.keys.get_mut(write.key()) {
                    entry.requested();
                }
            }
        }
        action
    }

    fn decide(&self, now: Instant) -> EtcdAction {
        let mut wake = Earliest::default();
        let writes = self.due_writes(now, &mut wake);
        if let LinkState::Down(at) = self.link {
            // A loss that was reported is followed until it is over, even with nothing to write.
            let nothing_to_do = self.leases.is_empty() && writes.is_none() && self.lost.is_none();
            return match nothing_to_do {
                true => EtcdAction::Wait(wake.0),
                false if at > now => EtcdAction::Wait(Some(at)),
                false => EtcdAction::Connect,
            };
        }
        if self.stopping {
            return match self.leases.values().next() {
                Some(lease) => EtcdAction::Revoke(lease.id),
                None => EtcdAction::Wait(None),
            };
        }
        for lease in self.leases.values() {
            if lease.renew_at <= now {
                return EtcdAction::KeepAlive(lease.id);
            }
            wake.take(lease.renew_at);
        }
        if let Some((ttl_seconds, writes)) = writes {
            return match self.leases.get(&ttl_seconds) {
                Some(lease) => EtcdAction::Write(lease.id, writes),
                None => EtcdAction::Grant(ttl_seconds),
            };
        }
        for (ttl_seconds, lease) in &self.leases {
            if self.keys.values().all(|entry| entry.ttl_seconds != *ttl_seconds) {
                return EtcdAction::Revoke(lease.id);
            }
            if lease.list_at <= now {
                return EtcdAction::List(lease.id);
            }
            wake.take(lease.list_at);
        }
        EtcdAction::Wait(wake.0)
    }

    /// Returns the due writes of one lease.
    fn due_writes(&self, now: Instant, wake: &mut Earliest) -> Option<(u32, Vec<Write>)> {
        let mut due: Option<(u32, Vec<Write>)> = None;
        for (key, entry) in &self.keys {
            if let Some(at) = entry.not_before.filter(|at| *at > now) {
                wake.take(at);
                continue;
            }
            let Some(write) = entry.write(key) else { continue };
            let (ttl_seconds, writes) = due.get_or_insert_with(|| (entry.ttl_seconds, Vec::new()));
            if *ttl_seconds == entry.ttl_seconds && writes.len() < self.max_writes {
                writes.push(write);
            }
        }
        due
    }

    /// Records the outcome of `action`, which `next` has returned. `random` is from 0 up to 1.
    pub fn done(&mut self, action: &EtcdAction, outcome: EtcdOutcome, now: Instant, random: f64) -> Vec<KeyNotice> {
        let mut notices = Vec::new();
        match (action, outcome) {
            (EtcdAction::Connect, EtcdOutcome::Connected) => {
                self.link = LinkState::Up;
                // Whatever has happened meanwhile: check the lease first, then the keys under it.
                for lease in self.leases.values_mut() {
                    (lease.renew_at, lease.list_at) = (now, now);
                }
            }
            (EtcdAction::Write(_, writes), EtcdOutcome::Failed(failure)) if failure.kind == FailureKind::Denied => {
                self.denied(writes, &failure, now, &mut notices);
            }
            (action, EtcdOutcome::Failed(failure)) => {
                self.failed(action, failure, now, random, &mut notices);
                return notices;
            }
            (EtcdAction::Grant(ttl_seconds), EtcdOutcome::Granted(id)) => {
                let ttl = Duration::from_secs((*ttl_seconds).into());
                let (renew_at, until) = (now + renewal(ttl, random), now + ttl);
                let lease = Lease { id, renew_at, list_at: until, expires_at: until };
                self.leases.insert(*ttl_seconds, lease);
            }
            (EtcdAction::KeepAlive(id), EtcdOutcome::KeptAlive(true)) => {
                if let Some((ttl, lease)) = self.lease_mut(*id) {
                    (lease.renew_at, lease.expires_at) = (now + renewal(ttl, random), now + ttl);
                }
            }
            (EtcdAction::KeepAlive(id), EtcdOutcome::KeptAlive(false))
            | (EtcdAction::List(id), EtcdOutcome::Listed(_, None)) => {
                self.lease_lost(*id, &mut notices);
            }
            (EtcdAction::List(id), EtcdOutcome::Listed(header, Some(found))) => {
                self.listed(*id, &found, now, &mut notices);
                let before = self.last_listing.replace(header);
                self.take_revision(header.revision, before.is_some_and(|before| header.went_back(&before)));
            }
            (EtcdAction::Write(id, writes), EtcdOutcome::Wrote(written)) => {
                self.wrote(*id, writes, written, now, &mut notices)
            }
            (EtcdAction::Revoke(id), EtcdOutcome::Revoked) => self.leases.retain(|_, lease| lease.id != *id),
            // Outcome of a different action; the next look at the state requests it again.
            _ => {}
        }
        // Only now: a lease may be renewed while every write fails.
        if matches!(self.decide(now), EtcdAction::Wait(_)) {
            self.settled(&mut notices);
        }
        notices
    }

    /// Records that nothing is due any more: the troubles before are over.
    fn settled(&mut self, notices: &mut Vec<KeyNotice>) {
        if self.keys.values().all(|entry| entry.denied.is_none()) {
            self.max_writes = MAX_WRITES;
        }
        if self.lost.take().is_some() {
            self.backoff.reset();
            notices.push(KeyNotice::Regained);
        }
    }

    fn lease_mut(&mut self, id: LeaseId) -> Option<(Duration, &mut Lease)> {
        let (ttl_seconds, lease) = self.leases.iter_mut().find(|(_, lease)| lease.id == id)?;
        Some((Duration::from_secs((*ttl_seconds).into()), lease))
    }

    fn ttl_seconds_of(&self, id: LeaseId) -> Option<u32> {
        self.leases.iter().find(|(_, lease)| lease.id == id).map(|(ttl_seconds, _)| *ttl_seconds)
    }

    fn failed(
        &mut self,
        action: &EtcdAction,
        failure: EtcdFailure,
        now: Instant,
        random: f64,
        notices: &mut Vec<KeyNotice>,
    ) {
        if let EtcdAction::Write(_, writes) = action {
            for write in writes {
                if let Some(entry) = self.keys.get_mut(write.key()) {
                    entry.held = KeyState::Unknown;
                }
            }
        }
        let retry_in = self.backoff.next_delay(random);
        self.link = LinkState::Down(now + retry_in);
        let EtcdFailure { problem, .. } = if self.leases.is_empty() { failure } else { failure.of_known_store() };
        let since = self.lost.take().map(|(since, _)| since);
        self.lost = Some((since.unwrap_or(now), problem.clone()));
        if since.is_none() {
            notices.push(KeyNotice::Lost { problem, retry_in });
        }
    }

    /// Handles a denied transaction: one key that we may not write fails all of it, so keys are written one by one until all may
    /// be written.
    fn denied(&mut self, writes: &[Write], failure: &EtcdFailure, now: Instant, notices: &mut Vec<KeyNotice>) {
        for write in writes {
            let Some(entry) = self.keys.get_mut(write.key()) else { continue };
            entry.not_written();
            if writes.len() == 1 {
                notices.extend(entry.denied(write.key(), &failure.problem, now));
            } else {
                self.max_writes = 1;
            }
        }
        self.forget_unwanted();
    }

    fn lease_lost(&mut self, id: LeaseId, notices: &mut Vec<KeyNotice>) {
        let Some(ttl_seconds) = self.ttl_seconds_of(id) else { return };
        self.leases.remove(&ttl_seconds);
        for entry in self.keys.values_mut().filter(|entry| entry.ttl_seconds == ttl_seconds) {
            // One that was to be deleted is looked at once more, under the next lease: somebody waits for the news that it is gone.
            entry.set_not_ours();
            if entry.wanted.is_none() {
                entry.held = KeyState::Unknown;
            }
        }
        notices.push(KeyNotice::LeaseLost);
    }

    fn forget_unwanted(&mut self) {
        self.keys.retain(|_, entry| entry.wanted.is_some() || entry.held != KeyState::No);
    }

    fn listed(&mut self, id: LeaseId, found: &BTreeSet<String>, now: Instant, notices: &mut Vec<KeyNotice>) {
        let Some(ttl_seconds) = self.ttl_seconds_of(id) else { return };
        if let Some((ttl, lease)) = self.lease_mut(id) {
            lease.list_at = now + ttl;
        }
        for (key, entry) in &mut self.keys {
            let ours = matches!(entry.held, KeyState::Ours(_)) && entry.ttl_seconds == ttl_seconds;
            if ours && !found.contains(key) {
                entry.set_not_ours();
                notices.push(KeyNotice::Vanished(key.clone()));
            }
        }
        self.forget_unwanted();
        for key in found.iter().filter(|_| !self.stopping) {
            self.keys.entry(key.clone()).or_insert_with(|| KeptKey::returned(ttl_seconds));
        }
    }

    /// Records the revision of the store. If the store has gone back, its values may be older than those that we have written.
    fn take_revision(&mut self, revision: Revision, went_back: bool) {
        if went_back || revision < self.revision {
            let ours = self.keys.values_mut().filter(|entry| matches!(entry.held, KeyState::Ours(_)));
            ours.for_each(|entry| entry.held = KeyState::Unknown);
        }
        self.revision = revision;
    }

    fn wrote(
        &mut self,
        id: LeaseId,
        writes: &[Write],
        written: WriteAnswer,
        now: Instant,
        notices: &mut Vec<KeyNotice>,
    ) {
        let revision = written.revision;
        self.take_revision(revision, false);
        for (write, outcome) in writes.iter().zip(written.outcomes) {
            let key = write.key();
            let Some(entry) = self.keys.get_mut(key) else { continue };
            entry.not_before = None;
            match (write, outcome) {
                (Write::Create(_, value) | Write::Update(_, value), WriteOutcome::Done) => {
                    entry.set_ours(Arc::clone(value), now);
                    entry.not_before = Some(now + self.pause);
                    notices.push(KeyNotice::Written(key.to_owned(), revision));
                }
                (Write::Delete(_), WriteOutcome::Done | WriteOutcome::Refused(None)) => {
                    entry.set_not_ours();
                    notices.push(KeyNotice::Removed(key.to_owned(), revision));
                }
                (Write::Create(..), WriteOutcome::Postponed) => entry.set_not_ours(),
                (_, WriteOutcome::Postponed) => {}
                // It is under a different lease now: not ours.
                (Write::Delete(_), WriteOutcome::Refused(Some(_))) => entry.set_not_ours(),
                // Deleted between two looks: created next.
                (_, WriteOutcome::Refused(None)) => entry.set_not_ours(),
                (_, WriteOutcome::Refused(Some(found))) if found.lease == id => {
                    let held: Arc<str> = String::from_utf8_lossy(&found.value).into();
                    if entry.wanted.as_ref() == Some(&held) {
                        notices.push(KeyNotice::Written(key.to_owned(), found.changed));
                    }
                    entry.set_ours(held, now);
                    // We have written it, nobody knows when.
                    entry.not_before = Some(now + self.pause);
                }
                (_, WriteOutcome::Refused(Some(found))) => {
                    entry.set_not_ours();
                    notices.extend(entry.taken(key, &found, now));
                }
            }
        }
        self.forget_unwanted();
    }
}

/// Returns the pause before a lease is renewed: a third of the time to live, and up to a tenth of that less, so that
/// renewals of many announcers spread.
fn renewal(ttl: Duration, random: f64) -> Duration {
    (ttl / 3).mul_f64(1.0 - random.clamp(0.0, 1.0) / 10.0)
}

/// The earliest of several moments.
#[derive(Default)]
struct Earliest(Option<Instant>);

impl Earliest {
    fn take(&mut self, at: Instant) {
        self.0 = Some(self.0.map_or(at, |earliest| earliest.min(at)));
    }
}
