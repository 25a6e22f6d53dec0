//! Which keys are under a lease, and how long each lease lasts at least: no record is promised for longer. etcd alone knows how much is
//! left of a lease that somebody keeps alive, so it has to be asked; but not for each question, and only while somebody asks. Pure.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::model::event::Event;
use crate::model::key::Key;
use crate::model::lease::LeaseId;
use crate::model::range::KeyRanges;

/// Time after which a lease is asked for again, at the earliest: an answer may be lost.
const PAUSE: Duration = Duration::from_secs(1);
/// Most leases that are remembered.
const MAX_KNOWN: usize = 65_536;

/// Leases of keys, as events of the store say.
#[derive(Debug, Default)]
pub struct KeyLeases {
    /// Whether these are the leases of all keys, not only of those that have changed.
    is_whole: bool,
    /// Lease of each key; 0 if there is none.
    by_key: HashMap<Key, LeaseId>,
}

impl KeyLeases {
    /// Adds what an event says of the keys in these ranges.
    pub fn note(&mut self, event: &Event, ranges: &KeyRanges) {
        let under = match event {
            Event::Snapshot { leases, .. } => {
                *self = KeyLeases { is_whole: true, by_key: HashMap::new() };
                leases
            }
            Event::Changes { puts, leases, deletes, .. } => {
                let keys = puts.iter().map(|(key, _)| key).chain(deletes).filter(|key| ranges.contains(key.as_str()));
                self.by_key.extend(keys.map(|key| (key.clone(), 0)));
                leases
            }
            Event::Lost { .. } | Event::Regained => return,
        };
        self.by_key.extend(under.iter().filter(|(key, _)| ranges.contains(key.as_str())).cloned());
    }

    /// Brings what was known up to date. Returns the keys with another lease than before.
    pub(super) fn apply(self, known: &mut HashMap<Key, LeaseId>) -> Vec<Key> {
        let mut changed = Vec::new();
        if self.is_whole {
            let is_gone = |key: &Key| !self.by_key.contains_key(key);
            changed.extend(known.keys().filter(|key| is_gone(key)).cloned());
            known.retain(|key, _| !is_gone(key));
        }
        for (key, lease) in self.by_key {
            let before = if lease == 0 { known.remove(&key) } else { known.insert(key.clone(), lease) };
            if before.unwrap_or(0) != lease {
                changed.push(key);
            }
        }
        changed
    }
}

/// The longest time that is believed to be left of a lease: what etcd says may be more than a clock can count.
const LONGEST: Duration = Duration::from_secs(i32::MAX as u64);

/// The shortest time for which leases last.
#[derive(Debug, Default)]
pub struct LeaseTimes {
    known: HashMap<LeaseId, LeaseTime>,
    /// Leases that have to be asked for.
    wanted: Vec<LeaseId>,
}

/// The shortest time for which one lease lasts.
#[derive(Debug)]
struct LeaseTime {
    until: Instant,
    /// Time from which on it is worth asking again.
    ask_from: Instant,
}

impl LeaseTimes {
    /// Returns how many seconds are left of a lease at least: none, until etcd was asked. Asks again once half of what was left is over.
    pub(super) fn left_seconds(&mut self, lease: LeaseId, now: Instant) -> u32 {
        if self.known.len() >= MAX_KNOWN && !self.known.contains_key(&lease) {
            self.known.retain(|_, time| time.until > now);
            if self.known.len() >= MAX_KNOWN {
                self.known.clear();
            }
        }
        let time = self.known.entry(lease).or_insert(LeaseTime { until: now, ask_from: now });
        if now >= time.ask_from {
            time.ask_from = now + PAUSE;
            self.wanted.push(lease);
        }
        u32::try_from(time.until.saturating_duration_since(now).as_secs()).unwrap_or(u32::MAX)
    }

    /// Returns the leases that have to be asked for, once.
    pub fn take_wanted(&mut self) -> Vec<LeaseId> {
        std::mem::take(&mut self.wanted)
    }

    /// Takes etcd's answer to a question that was sent at this time.
    pub fn learn(&mut self, lease: LeaseId, sent: Instant, left: Duration) {
        // Only those that somebody has asked for are worth remembering.
        if let Some(time) = self.known.get_mut(&lease) {
            let left = left.min(LONGEST);
            *time = LeaseTime { until: sent + left, ask_from: sent + (left / 2).max(PAUSE) };
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::key::{Revision, Value};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_left_is_never_more_than_etcd_said() {
        let (mut times, start) = (LeaseTimes::default(), Instant::now());
        assert_eq!((times.left_seconds(7, start), times.take_wanted()), (0, vec![7]));
        assert_eq!((times.left_seconds(7, start), times.take_wanted()), (0, vec![]), "it is being asked");
        times.learn(7, start, 20 * SECOND);
        for (at, left, wanted) in
            [(0, 20, vec![]), (9, 11, vec![]), (10, 10, vec![7]), (19, 1, vec![7]), (25, 0, vec![7])]
        {
            let now = start + at * SECOND;
            assert_eq!((times.left_seconds(7, now), times.take_wanted()), (left, wanted), "after {at} s");
        }
        // It has been kept alive.
        times.learn(7, start + 25 * SECOND, 30 * SECOND);
        assert_eq!((times.left_seconds(7, start + 25 * SECOND), times.take_wanted()), (30, vec![]));
        // One that has expired is not asked for each time.
        times.learn(7, start + 60 * SECOND, Duration::ZERO);
        assert_eq!((times.left_seconds(7, start + 60 * SECOND), times.take_wanted()), (0, vec![]));
        // More than a clock can count, as only a lie can be.
        times.learn(7, start + 60 * SECOND, Duration::MAX);
        let (longest, later) = (u32::try_from(LONGEST.as_secs()).unwrap(), start + 60 * SECOND);
        assert_eq!((times.left_seconds(7, later), times.take_wanted()), (longest, vec![]));
    }

    #[test]
    fn leases_without_number_are_not_remembered() {
        let (mut times, start) = (LeaseTimes::default(), Instant::now());
        for lease in 0..200_000 {
            times.left_seconds(lease, start);
        }
        assert!(times.known.len() <= MAX_KNOWN);
    }

    #[test]
    fn a_key_has_the_lease_of_its_last_put() {
        let ranges = KeyRanges::of_directories(["/skydns/"]);
        let put = |key: &str, lease| Event::Changes {
            revision: Revision(1),
            puts: vec![(Key::from(key), Value::from("v"))],
            leases: if lease == 0 { Vec::new() } else { vec![(Key::from(key), lease)] },
            deletes: Vec::new(),
        };
        let mut known = HashMap::new();
        let mut note = |events: &[Event]| {
            let mut leases = KeyLeases::default();
            events.iter().for_each(|event| leases.note(event, &ranges));
            let mut changed: Vec<String> = leases.apply(&mut known).iter().map(ToString::to_string).collect();
            changed.sort();
            changed.join(" ")
        };
        assert_eq!(note(&[put("/skydns/a", 1), put("/skydns/a", 2), put("/other", 3)]), "/skydns/a");
        assert_eq!(note(&[put("/skydns/a", 2), put("/skydns/b", 0)]), "");
        assert_eq!(note(&[put("/skydns/a", 0)]), "/skydns/a");
        assert_eq!(note(&[put("/skydns/a", 1), put("/skydns/b", 1)]), "/skydns/a /skydns/b");
        let leases = vec![(Key::from("/skydns/b"), 1)];
        let snapshot = Event::Snapshot {
            revision: Revision(2),
            ranges: ranges.clone(),
            refused: None,
            entries: Vec::new(),
            leases,
        };
        assert_eq!(note(&[put("/skydns/c", 1), snapshot]), "/skydns/a");
        let gone = Event::Changes {
            revision: Revision(3),
            puts: vec![],
            leases: vec![],
            deletes: vec![Key::from("/skydns/b")],
        };
        assert_eq!(note(&[gone]), "/skydns/b");
    }
}
