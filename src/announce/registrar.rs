//! What to ask of etcd, and when, so that every wanted key is there under a lease of ours and no other: connect, keep the
//! lease alive, grant a lost one again, create a key only where there is none, look now and then whether all are still there.
//!
//! Pure: what is wanted, outcomes, the time and randomness go in; one action at a time comes out. What is as wanted is never
//! written again. All keys of one time to live share one lease: they live and die with this process, and a thousand of them
//! cost one keepalive.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::backoff::Backoff;
use crate::model::etcd::{EtcdFailure, FailureKind};
use crate::model::lease::{LeaseId, Write, WriteOutcome, Written};

mod entry;
mod talk;

#[cfg(test)]
mod tests;

pub use talk::{Action, Holder, Notice, Outcome};

use entry::{Entry, Held};

/// The longest pause between attempts to reach etcd: a key is to be back within a second of etcd's return.
const LONGEST_RETRY: Duration = Duration::from_millis(400);
/// etcd takes no more than 128 operations in one transaction, unless told to.
const MOST_WRITES: usize = 100;

#[derive(Clone, Copy, Debug)]
struct Lease {
    id: LeaseId,
    renew_at: Instant,
    list_at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// Not connected; not to be tried before.
    Down(Instant),
    Up,
}

/// The machine.
#[derive(Debug)]
pub struct Registrar {
    keys: BTreeMap<String, Entry>,
    /// By their time to live.
    leases: BTreeMap<u32, Lease>,
    link: Link,
    backoff: Backoff,
    /// Whether `Lost` was told.
    is_lost: bool,
    most_writes: usize,
    stopping: bool,
}

impl Registrar {
    /// Nothing is wanted yet.
    pub fn new(now: Instant) -> Registrar {
        Registrar {
            keys: BTreeMap::new(),
            leases: BTreeMap::new(),
            link: Link::Down(now),
            backoff: Backoff::up_to(LONGEST_RETRY),
            is_lost: false,
            most_writes: MOST_WRITES,
            stopping: false,
        }
    }

    /// The key is to say this, or not to be there, from now on.
    pub fn want(&mut self, key: &str, ttl_seconds: u32, value: Option<Arc<str>>) {
        match self.keys.get_mut(key) {
            Some(entry) => {
                if entry.ttl_seconds != ttl_seconds && entry.held != Held::No {
                    // A key cannot change its lease without a moment in which it might be lost: it keeps the one it has.
                    entry.wanted = value;
                    return;
                }
                entry.ttl_seconds = ttl_seconds;
                entry.wanted = value;
                if entry.wanted.is_none() && entry.held == Held::No {
                    self.keys.remove(key);
                }
            }
            None if value.is_none() => {}
            None => {
                self.keys.insert(key.to_owned(), Entry::new(ttl_seconds, value));
            }
        }
    }

    /// Gives everything back; `is_empty` says when that is done.
    pub fn stop(&mut self) {
        self.stopping = true;
        self.keys.clear();
    }

    /// Looks at etcd soon, whether all keys are there.
    pub fn look(&mut self, now: Instant) {
        self.leases.values_mut().for_each(|lease| lease.list_at = now);
    }

    /// Whether nothing of ours is left in etcd.
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// Whether this key is known to say what is wanted now.
    pub fn is_as_wanted(&self, key: &str) -> bool {
        let is_as_wanted = |entry: &Entry| matches!((&entry.wanted, &entry.held), (Some(a), Held::Ours(b)) if a == b);
        self.keys.get(key).is_some_and(is_as_wanted)
    }

    /// Whether this key may be there, under a lease of ours.
    pub fn may_hold(&self, key: &str) -> bool {
        self.keys.get(key).is_some_and(|entry| entry.held != Held::No)
    }

    /// What to do now.
    pub fn next(&mut self, now: Instant) -> Action {
        let action = self.decide(now);
        if let Action::Write(_, writes) = &action {
            // Until the answer is here, they may or may not be there.
            for write in writes {
                if let Some(entry) = self.keys.get_mut(write.key()).filter(|entry| entry.held == Held::No) {
                    entry.held = Held::Unknown;
                }
            }
        }
        action
    }

    fn decide(&self, now: Instant) -> Action {
        let mut wake = Earliest::default();
        let writes = self.due_writes(now, &mut wake);
        if let Link::Down(at) = self.link {
            let nothing_to_do = self.leases.is_empty() && writes.is_none();
            return match nothing_to_do {
                true => Action::Wait(wake.0),
                false if at > now => Action::Wait(Some(at)),
                false => Action::Connect,
            };
        }
        if self.stopping {
            return match self.leases.values().next() {
                Some(lease) => Action::Revoke(lease.id),
                None => Action::Wait(None),
            };
        }
        for lease in self.leases.values() {
            if lease.renew_at <= now {
                return Action::KeepAlive(lease.id);
            }
            wake.take(lease.renew_at);
        }
        if let Some((ttl_seconds, writes)) = writes {
            return match self.leases.get(&ttl_seconds) {
                Some(lease) => Action::Write(lease.id, writes),
                None => Action::Grant(ttl_seconds),
            };
        }
        for (ttl_seconds, lease) in &self.leases {
            if self.keys.values().all(|entry| entry.ttl_seconds != *ttl_seconds) {
                return Action::Revoke(lease.id);
            }
            if lease.list_at <= now {
                return Action::List(lease.id);
            }
            wake.take(lease.list_at);
        }
        Action::Wait(wake.0)
    }

    /// What is to be written, of one lease.
    fn due_writes(&self, now: Instant, wake: &mut Earliest) -> Option<(u32, Vec<Write>)> {
        let mut due: Option<(u32, Vec<Write>)> = None;
        for (key, entry) in &self.keys {
            if let Some(at) = entry.not_before.filter(|at| *at > now) {
                wake.take(at);
                continue;
            }
            let Some(write) = entry.write(key) else { continue };
            let (ttl_seconds, writes) = due.get_or_insert_with(|| (entry.ttl_seconds, Vec::new()));
            if *ttl_seconds == entry.ttl_seconds && writes.len() < self.most_writes {
                writes.push(write);
            }
        }
        due
    }

    /// Takes what came of `action`, which `next` asked for. `random` is from 0 up to 1.
    pub fn done(&mut self, action: &Action, outcome: Outcome, now: Instant, random: f64) -> Vec<Notice> {
        let mut notices = Vec::new();
        match (action, outcome) {
            (Action::Connect, Outcome::Connected) => {
                self.link = Link::Up;
                // Whatever has happened meanwhile: first of all the lease, then what is under it.
                for lease in self.leases.values_mut() {
                    (lease.renew_at, lease.list_at) = (now, now);
                }
                return notices;
            }
            (action, Outcome::Failed(failure)) => {
                self.failed(action, failure, now, random, &mut notices);
                return notices;
            }
            (Action::Grant(ttl_seconds), Outcome::Granted(id)) => {
                let ttl = Duration::from_secs((*ttl_seconds).into());
                let lease = Lease { id, renew_at: now + renewal(ttl, random), list_at: now + ttl };
                self.leases.insert(*ttl_seconds, lease);
            }
            (Action::KeepAlive(id), Outcome::KeptAlive(true)) => {
                if let Some((ttl, lease)) = self.lease_mut(*id) {
                    lease.renew_at = now + renewal(ttl, random);
                }
            }
            (Action::KeepAlive(id), Outcome::KeptAlive(false)) | (Action::List(id), Outcome::Listed(None)) => {
                self.lease_lost(*id, &mut notices);
            }
            (Action::List(id), Outcome::Listed(Some(found))) => self.listed(*id, &found, now, &mut notices),
            (Action::Write(id, writes), Outcome::Wrote(written)) => self.wrote(*id, writes, written, now, &mut notices),
            (Action::Revoke(id), Outcome::Revoked) => self.leases.retain(|_, lease| lease.id != *id),
            // Not what was asked for; the next look at the state asks again.
            _ => {}
        }
        self.backoff.reset();
        if std::mem::take(&mut self.is_lost) {
            notices.push(Notice::Regained);
        }
        notices
    }

    fn lease_mut(&mut self, id: LeaseId) -> Option<(Duration, &mut Lease)> {
        let (ttl_seconds, lease) = self.leases.iter_mut().find(|(_, lease)| lease.id == id)?;
        Some((Duration::from_secs((*ttl_seconds).into()), lease))
    }

    fn ttl_seconds_of(&self, id: LeaseId) -> Option<u32> {
        self.leases.iter().find(|(_, lease)| lease.id == id).map(|(ttl_seconds, _)| *ttl_seconds)
    }

    fn failed(&mut self, action: &Action, failure: EtcdFailure, now: Instant, random: f64, notices: &mut Vec<Notice>) {
        if let Action::Write(_, writes) = action {
            if failure.kind == FailureKind::Denied {
                return self.denied(writes, &failure, now, notices);
            }
            for write in writes {
                if let Some(entry) = self.keys.get_mut(write.key()) {
                    entry.held = Held::Unknown;
                }
            }
        }
        let retry_in = self.backoff.next_delay(random);
        self.link = Link::Down(now + retry_in);
        if !std::mem::replace(&mut self.is_lost, true) {
            notices.push(Notice::Lost { problem: failure.problem, retry_in });
        }
    }

    /// One key that we may not write fails the whole transaction: from here on one by one.
    fn denied(&mut self, writes: &[Write], failure: &EtcdFailure, now: Instant, notices: &mut Vec<Notice>) {
        if writes.len() > 1 {
            self.most_writes = 1;
            return;
        }
        for write in writes {
            if let Some(entry) = self.keys.get_mut(write.key()) {
                notices.extend(entry.denied(write.key(), &failure.problem, now));
            }
        }
    }

    fn lease_lost(&mut self, id: LeaseId, notices: &mut Vec<Notice>) {
        let Some(ttl_seconds) = self.ttl_seconds_of(id) else { return };
        self.leases.remove(&ttl_seconds);
        for entry in self.keys.values_mut().filter(|entry| entry.ttl_seconds == ttl_seconds) {
            entry.held = Held::No;
        }
        self.forget_unwanted();
        notices.push(Notice::LeaseLost);
    }

    fn forget_unwanted(&mut self) {
        self.keys.retain(|_, entry| entry.wanted.is_some() || entry.held != Held::No);
    }

    fn listed(&mut self, id: LeaseId, found: &BTreeSet<String>, now: Instant, notices: &mut Vec<Notice>) {
        let Some(ttl_seconds) = self.ttl_seconds_of(id) else { return };
        if let Some((ttl, lease)) = self.lease_mut(id) {
            lease.list_at = now + ttl;
        }
        for (key, entry) in &mut self.keys {
            let ours = matches!(entry.held, Held::Ours(_)) && entry.ttl_seconds == ttl_seconds;
            if ours && !found.contains(key) {
                entry.held = Held::No;
                notices.push(Notice::Vanished(key.clone()));
            }
        }
        self.forget_unwanted();
    }

    fn wrote(&mut self, id: LeaseId, writes: &[Write], written: Written, now: Instant, notices: &mut Vec<Notice>) {
        let revision = written.revision;
        for (write, outcome) in writes.iter().zip(written.outcomes) {
            let key = write.key();
            let Some(entry) = self.keys.get_mut(key) else { continue };
            entry.not_before = None;
            match (write, outcome) {
                (Write::Create(_, value) | Write::Update(_, value), WriteOutcome::Done) => {
                    entry.is_ours(Arc::clone(value));
                    notices.push(Notice::Written(key.to_owned(), revision));
                }
                (Write::Delete(_), WriteOutcome::Done | WriteOutcome::Refused(None)) => {
                    entry.held = Held::No;
                    notices.push(Notice::Removed(key.to_owned(), revision));
                }
                (Write::Create(..), WriteOutcome::Postponed) => entry.held = Held::No,
                (_, WriteOutcome::Postponed) => {}
                // It is under another lease now: no business of ours.
                (Write::Delete(_), WriteOutcome::Refused(Some(_))) => entry.held = Held::No,
                // Gone between two looks: created next.
                (_, WriteOutcome::Refused(None)) => entry.held = Held::No,
                (_, WriteOutcome::Refused(Some(found))) if found.lease == id => {
                    let held: Arc<str> = String::from_utf8_lossy(&found.value).into();
                    if entry.wanted.as_ref() == Some(&held) {
                        notices.push(Notice::Written(key.to_owned(), revision));
                    }
                    entry.is_ours(held);
                }
                (_, WriteOutcome::Refused(Some(found))) => {
                    entry.held = Held::No;
                    notices.extend(entry.taken(key, &found, now));
                }
            }
        }
        self.forget_unwanted();
    }
}

/// A third of the time to live, and up to a tenth of that earlier, so that many announcers do not renew in step.
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
