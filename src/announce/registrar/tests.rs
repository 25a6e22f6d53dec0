//! The registrar against a small model of etcd: keys under leases, answers that get lost before or after they took effect,
//! leases that expire, other announcers. And single answers, as a table.

use super::entry::DENIED_PAUSE;
use super::*;
use crate::model::etcd::PORT_HINT;
use crate::model::lease::FoundKey;

mod losses;
mod rivals;
mod walks;

const S: Duration = Duration::from_secs(1);
const TTL: u32 = 15;

/// etcd, as far as the registrar can see.
#[derive(Clone, Default)]
struct Store {
    keys: BTreeMap<String, (LeaseId, String)>,
    /// Revisions of their last changes.
    changed: BTreeMap<String, i64>,
    leases: BTreeSet<LeaseId>,
    last_lease: LeaseId,
    revision: i64,
    raft_term: u64,
    /// Writes that changed something, by key.
    events: Vec<String>,
    /// Whether there is no space left: leases are renewed, and nothing is written.
    is_full: bool,
}

impl Store {
    fn put(&mut self, key: &str, lease: LeaseId, value: &str) {
        self.revision += 1;
        self.events.push(key.to_owned());
        self.keys.insert(key.to_owned(), (lease, value.to_owned()));
        self.changed.insert(key.to_owned(), self.revision);
    }

    fn end_lease(&mut self, lease: LeaseId) {
        self.leases.remove(&lease);
        self.revision += 1;
        self.keys.retain(|_, (of, _)| *of != lease);
    }

    fn find(&self, key: &str) -> Option<FoundKey> {
        let changed = Revision(self.changed.get(key).copied().unwrap_or_default());
        self.keys.get(key).map(|(lease, value)| FoundKey { lease: *lease, value: value.clone().into(), changed })
    }

    /// Writes all of them or nothing.
    fn write(&mut self, lease: LeaseId, writes: &[Write]) -> Vec<WriteOutcome> {
        let refused: Vec<WriteOutcome> =
            writes.iter().map(|write| write.refused(lease, self.find(write.key()))).collect();
        if refused.iter().any(|outcome| matches!(outcome, WriteOutcome::Refused(_))) {
            return refused;
        }
        for write in writes {
            match write {
                Write::Create(key, value) | Write::Update(key, value) => self.put(key, lease, value),
                Write::Delete(key) => {
                    self.keys.remove(key);
                    self.revision += 1;
                    self.events.push(key.clone());
                }
            }
        }
        writes.iter().map(|_| WriteOutcome::Done).collect()
    }

    fn answer(&mut self, action: &EtcdAction) -> EtcdOutcome {
        match action {
            EtcdAction::Grant(_) | EtcdAction::Write(..) if self.is_full => {
                let problem = "mvcc: database space exceeded".to_owned();
                EtcdOutcome::Failed(EtcdFailure { kind: FailureKind::TooLarge, problem })
            }
            EtcdAction::Connect => EtcdOutcome::Connected,
            EtcdAction::Grant(_) => {
                self.last_lease += 1;
                self.leases.insert(self.last_lease);
                EtcdOutcome::Granted(self.last_lease)
            }
            EtcdAction::KeepAlive(id) => EtcdOutcome::KeptAlive(self.leases.contains(id)),
            EtcdAction::List(id) => {
                let keys = self.keys.iter().filter(|(_, (of, _))| of == id).map(|(key, _)| key.clone()).collect();
                let (raft_term, revision) = (self.raft_term, Revision(self.revision));
                let header = Header { cluster_id: 1, raft_term, revision };
                EtcdOutcome::Listed(header, self.leases.contains(id).then_some(keys))
            }
            EtcdAction::Write(id, _) if !self.leases.contains(id) => {
                EtcdOutcome::Failed(EtcdFailure::unreachable("requested lease not found"))
            }
            EtcdAction::Write(id, writes) => {
                let outcomes = self.write(*id, writes);
                EtcdOutcome::Wrote(WriteAnswer { revision: Revision(self.revision), outcomes })
            }
            EtcdAction::Revoke(id) => {
                self.end_lease(*id);
                EtcdOutcome::Revoked
            }
            EtcdAction::Wait(_) => unreachable!("waiting has no outcome"),
        }
    }
}

fn broken() -> EtcdOutcome {
    EtcdOutcome::Failed(EtcdFailure::unreachable("broken"))
}

/// Runs the registrar until it waits for longer than `patience`. Returns its notices and the time by then.
fn settle(
    machine: &mut Registrar,
    store: &mut Store,
    mut now: Instant,
    patience: Duration,
) -> (Vec<KeyNotice>, Instant) {
    let end = now + patience;
    let mut notices = Vec::new();
    for _ in 0..10_000 {
        match machine.next(now) {
            EtcdAction::Wait(None) => return (notices, now),
            EtcdAction::Wait(Some(at)) if at > end => return (notices, end),
            EtcdAction::Wait(Some(at)) => {
                assert!(at > now, "it waits for what is past");
                now = at;
            }
            action => {
                let outcome = store.answer(&action);
                notices.extend(machine.done(&action, outcome, now, 0.5));
            }
        }
    }
    panic!("it never settles");
}

fn text(text: &str) -> Option<Arc<str>> {
    Some(Arc::from(text))
}

/// Returns a registrar that has `/a` = `1` in a store of its own.
fn announced() -> (Registrar, Store, Instant) {
    let now = Instant::now();
    let (mut machine, mut store) = (Registrar::new(now), Store::default());
    machine.want("/a", TTL, text("1"));
    let (notices, now) = settle(&mut machine, &mut store, now, Duration::ZERO);
    assert_eq!(notices, [KeyNotice::Written("/a".to_owned(), Revision(1))]);
    assert!(machine.may_hold("/a") && machine.is_as_wanted("/a"));
    (machine, store, now)
}

#[test]
fn nothing_is_done_before_anything_is_wanted() {
    let now = Instant::now();
    assert_eq!(Registrar::new(now).next(now), EtcdAction::Wait(None));
}

#[test]
fn a_settled_key_is_never_written_again() {
    let (mut machine, mut store, now) = announced();
    let (notices, _) = settle(&mut machine, &mut store, now, 3600 * S);
    assert_eq!((notices, store.events.len()), (vec![], 1));
    machine.want("/a", TTL, text("1"));
    settle(&mut machine, &mut store, now, 60 * S);
    assert_eq!(store.events.len(), 1, "the same value is no change");
}

#[test]
fn keepalives_come_three_times_in_a_time_to_live() {
    let (mut machine, mut store, now) = announced();
    let EtcdAction::Wait(Some(at)) = machine.next(now) else { panic!("{:?}", machine.next(now)) };
    assert!(at - now <= 5 * S && at - now >= 4 * S, "{:?}", at - now);
    assert_eq!(machine.next(at), EtcdAction::KeepAlive(1));
    let before = store.revision;
    settle(&mut machine, &mut store, at, 600 * S);
    assert_eq!(store.revision, before);
}

#[test]
fn changes_are_written_in_place_and_removal_gives_the_lease_back() {
    let (mut machine, mut store, now) = announced();
    machine.want("/a", TTL, text("2"));
    assert!(machine.may_hold("/a") && !machine.is_as_wanted("/a"));
    let (notices, now) = settle(&mut machine, &mut store, now, S);
    assert_eq!(notices, [KeyNotice::Written("/a".to_owned(), Revision(2))]);
    assert_eq!(store.keys["/a"], (1, "2".to_owned()));
    machine.want("/a", TTL, None);
    let (notices, _) = settle(&mut machine, &mut store, now, S);
    assert_eq!(notices, [KeyNotice::Removed("/a".to_owned(), Revision(3))]);
    assert!(store.leases.is_empty() && machine.is_empty() && !machine.keys.contains_key("/a"));
}

#[test]
fn a_thousand_keys_are_ten_transactions_under_one_lease() {
    let now = Instant::now();
    let (mut machine, mut store) = (Registrar::new(now), Store::default());
    for nth in 0..1000 {
        machine.want(&format!("/{nth:04}"), TTL, text("1"));
    }
    let mut writes = 0;
    loop {
        match machine.next(now) {
            EtcdAction::Wait(_) => break,
            action => {
                writes += usize::from(matches!(action, EtcdAction::Write(..)));
                let outcome = store.answer(&action);
                machine.done(&action, outcome, now, 0.5);
            }
        }
    }
    assert_eq!((writes, store.keys.len(), store.leases.len()), (10, 1000, 1));
    machine.stop();
    settle(&mut machine, &mut store, now, S);
    assert!(store.keys.is_empty() && machine.is_empty());
}

#[test]
fn a_lost_lease_is_granted_again_at_once() {
    let (mut machine, mut store, now) = announced();
    store.end_lease(1);
    let (notices, _) = settle(&mut machine, &mut store, now, 6 * S);
    assert!(matches!(notices.as_slice(), [KeyNotice::LeaseLost, KeyNotice::Written(..)]), "{notices:?}");
    assert_eq!(store.keys["/a"], (2, "1".to_owned()));
}

#[test]
fn a_key_that_went_with_its_lease_before_its_deletion_counts_as_deleted() {
    let (mut machine, mut store, now) = announced();
    store.end_lease(1);
    machine.want("/a", TTL, None);
    let (told, _) = settle(&mut machine, &mut store, now, 6 * S);
    let removed = told.iter().filter(|notice| matches!(notice, KeyNotice::Removed(key, _) if key == "/a"));
    assert_eq!(removed.count(), 1, "{told:?}");
    assert!(store.leases.is_empty() && machine.is_empty() && !machine.keys.contains_key("/a"));
}

#[test]
fn a_key_that_somebody_deleted_comes_back_within_a_time_to_live() {
    let (mut machine, mut store, now) = announced();
    store.keys.clear();
    let (notices, _) = settle(&mut machine, &mut store, now, 16 * S);
    assert!(matches!(notices.as_slice(), [KeyNotice::Vanished(_), KeyNotice::Written(..)]), "{notices:?}");
}

#[test]
fn what_is_no_longer_wanted_while_its_creation_is_under_way_is_deleted() {
    let now = Instant::now();
    for arrives in [true, false] {
        let (mut machine, mut store) = (Registrar::new(now), Store::default());
        machine.want("/a", TTL, text("1"));
        let action = loop {
            match machine.next(now) {
                action @ EtcdAction::Write(..) => break action,
                action => {
                    let outcome = store.answer(&action);
                    machine.done(&action, outcome, now, 0.5);
                }
            }
        };
        machine.want("/a", TTL, None);
        let outcome = store.answer(&action);
        machine.done(&action, if arrives { outcome } else { broken() }, now, 0.5);
        settle(&mut machine, &mut store, now, S);
        assert!(store.keys.is_empty() && !machine.keys.contains_key("/a"), "arrives: {arrives}");
    }
}

#[test]
fn changes_within_a_pause_are_written_together_at_its_end() {
    let (machine, mut store, now) = announced();
    let mut machine = machine.with_pause(S);
    machine.want("/a", TTL, text("seen"));
    let (_, now) = settle(&mut machine, &mut store, now, Duration::ZERO);
    assert_eq!((store.keys["/a"].1.as_str(), store.events.len()), ("seen", 2), "the first one goes at once");
    for value in ["applied", "converged", "drained"] {
        machine.want("/a", TTL, text(value));
        assert_eq!(machine.next(now + S / 2), EtcdAction::Wait(Some(now + S)), "{value}");
    }
    settle(&mut machine, &mut store, now + S, Duration::ZERO);
    assert_eq!((store.keys["/a"].1.as_str(), store.events.len()), ("drained", 3), "the others go as one");
    // Nothing was written for longer than the pause.
    let later = now + 3 * S;
    machine.want("/a", TTL, text("seen again"));
    assert!(matches!(machine.next(later), EtcdAction::Write(..)), "{:?}", machine.next(later));
    machine.stop();
    assert!(matches!(machine.next(later), EtcdAction::Revoke(_)), "{:?}", machine.next(later));
}
