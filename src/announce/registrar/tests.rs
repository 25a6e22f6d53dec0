//! The registrar against a small model of etcd: keys under leases, answers that get lost before or after they took effect,
//! leases that expire, other announcers. And single answers, as a table.

use super::entry::DENIED_PAUSE;
use super::*;
use crate::model::etcd::PORT_HINT;
use crate::model::key::Revision;
use crate::model::lease::FoundKey;

const S: Duration = Duration::from_secs(1);
const TTL: u32 = 15;

/// etcd, as far as the registrar can see.
#[derive(Default)]
struct Store {
    keys: BTreeMap<String, (LeaseId, String)>,
    leases: BTreeSet<LeaseId>,
    last_lease: LeaseId,
    revision: i64,
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
    }

    fn end_lease(&mut self, lease: LeaseId) {
        self.leases.remove(&lease);
        self.revision += 1;
        self.keys.retain(|_, (of, _)| *of != lease);
    }

    fn find(&self, key: &str) -> Option<FoundKey> {
        self.keys.get(key).map(|(lease, value)| FoundKey { lease: *lease, value: value.clone().into() })
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
                EtcdOutcome::Listed(self.leases.contains(id).then_some(keys))
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
fn after_a_broken_connection_the_lease_comes_first() {
    let (mut machine, mut store, now) = announced();
    let at = now + 5 * S;
    let action = machine.next(at);
    let doubtful = || EtcdOutcome::Failed(EtcdFailure::unreachable(format!("broken{PORT_HINT}https://?)")));
    let notices = machine.done(&action, doubtful(), at, 0.5);
    let shown = |notices: &[KeyNotice]| match notices {
        [KeyNotice::Lost { problem, .. }] => problem.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(shown(&notices), "broken", "it is etcd: it has answered");
    let mut new = Registrar::new(now);
    new.want("/a", TTL, Some("1".into()));
    assert!(shown(&new.done(&EtcdAction::Connect, doubtful(), now, 0.5)).contains("client port"));
    let EtcdAction::Wait(Some(retry)) = machine.next(at) else { panic!("{:?}", machine.next(at)) };
    assert!(retry - at <= MAX_RETRY);
    assert_eq!(machine.next(retry), EtcdAction::Connect);
    let notices = machine.done(&EtcdAction::Connect, broken(), retry, 0.5);
    assert!(notices.is_empty(), "reported once: {notices:?}");
    let (notices, _) = settle(&mut machine, &mut store, retry, 60 * S);
    assert_eq!((notices, store.events.len()), (vec![KeyNotice::Regained], 1));
}

#[test]
fn retries_never_wait_long() {
    let (mut machine, _, now) = announced();
    let mut at = now + 5 * S;
    for _ in 0..50 {
        let action = machine.next(at);
        machine.done(&action, broken(), at, 1.0);
        let EtcdAction::Wait(Some(retry)) = machine.next(at) else { panic!("{:?}", machine.next(at)) };
        assert!(retry - at <= MAX_RETRY);
        at = retry;
    }
}

#[test]
fn writes_that_fail_while_leases_live_wait_longer_and_are_reported_once() {
    let (mut machine, mut store, mut now) = announced();
    store.is_full = true;
    machine.want("/a", TTL, text("2"));
    let (mut notices, mut failed_at) = (Vec::new(), Vec::new());
    let end = now + 60 * S;
    while now < end {
        let action = machine.next(now);
        if let EtcdAction::Wait(at) = action {
            now = at.unwrap();
            continue;
        }
        if matches!(action, EtcdAction::Write(..)) {
            failed_at.push(now);
        }
        let outcome = store.answer(&action);
        notices.extend(machine.done(&action, outcome, now, 1.0));
    }
    assert!(matches!(notices.as_slice(), [KeyNotice::Lost { .. }]), "{notices:?}");
    let pauses = failed_at.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(pauses.skip(3).all(|pause| pause == MAX_RETRY), "{} tries in a minute", failed_at.len());
    store.is_full = false;
    let (notices, _) = settle(&mut machine, &mut store, now, S);
    assert!(matches!(notices.as_slice(), [KeyNotice::Written(..), KeyNotice::Regained]), "{notices:?}");
}

#[test]
fn a_loss_is_over_when_etcd_answers_even_with_nothing_to_write() {
    let now = Instant::now();
    let (mut machine, mut store) = (Registrar::new(now), Store::default());
    machine.want("/a", TTL, text("1"));
    let lost = machine.done(&EtcdAction::Connect, broken(), now, 0.5);
    assert!(matches!(lost.as_slice(), [KeyNotice::Lost { .. }]), "{lost:?}");
    machine.want("/a", TTL, None);
    let (notices, now) = settle(&mut machine, &mut store, now, S);
    assert_eq!((notices, machine.lost()), (vec![KeyNotice::Regained], None));
    assert_eq!(machine.next(now), EtcdAction::Wait(None));
}

#[test]
fn a_foreign_key_is_waited_for_then_reported_and_never_overwritten() {
    let now = Instant::now();
    let (mut machine, mut store) = (Registrar::new(now), Store { last_lease: 10, ..Store::default() });
    store.put("/a", 7, r#"{"owner":"core-2 pid 9"}"#);
    machine.want("/a", TTL, text("1"));
    let (notices, at) = settle(&mut machine, &mut store, now, 15 * S);
    let holder = Holder { owner: Some("core-2 pid 9".to_owned()), lease: 7 };
    assert_eq!(notices, [KeyNotice::Taken("/a".to_owned(), holder.clone())]);
    let (notices, at) = settle(&mut machine, &mut store, at, 3 * S);
    assert_eq!(notices, [KeyNotice::Held("/a".to_owned(), holder)]);
    let (notices, at) = settle(&mut machine, &mut store, at, 60 * S);
    assert_eq!((notices, store.events.len()), (vec![], 1), "reported once");
    store.keys.clear();
    let (notices, _) = settle(&mut machine, &mut store, at, S);
    assert!(matches!(notices.as_slice(), [KeyNotice::Written(..)]), "it is taken when it is free: {notices:?}");
}

#[test]
fn a_key_that_was_taken_while_we_slept_is_left_alone() {
    let (mut machine, mut store, now) = announced();
    store.end_lease(1);
    store.put("/a", 7, "theirs");
    let (notices, now) = settle(&mut machine, &mut store, now + 60 * S, S);
    assert!(matches!(notices.as_slice(), [KeyNotice::LeaseLost, KeyNotice::Taken(..)]), "{notices:?}");
    machine.stop();
    settle(&mut machine, &mut store, now, S);
    assert_eq!(store.keys["/a"].1, "theirs");
    assert!(machine.is_empty());
}

#[test]
fn what_we_may_not_write_holds_up_nothing_else() {
    let now = Instant::now();
    let (mut machine, mut store) = (Registrar::new(now), Store::default());
    machine.want("/a", TTL, text("1"));
    machine.want("/b", TTL, text("1"));
    let mut notices = Vec::new();
    let mut attempts = 0;
    for at in [now, now + DENIED_PAUSE * 2] {
        loop {
            let action = machine.next(at);
            let outcome = match &action {
                EtcdAction::Wait(_) => break,
                EtcdAction::Write(_, writes) if writes.iter().any(|write| write.key() == "/a") => {
                    attempts += usize::from(writes.len() == 1);
                    let problem = "permission denied".to_owned();
                    EtcdOutcome::Failed(EtcdFailure { kind: FailureKind::Denied, problem })
                }
                action => store.answer(action),
            };
            notices.extend(machine.done(&action, outcome, at, 0.5));
        }
    }
    let denied = KeyNotice::Denied("/a".to_owned(), "permission denied".to_owned());
    assert_eq!(notices, [denied, KeyNotice::Written("/b".to_owned(), Revision(1))], "reported once");
    assert_eq!(attempts, 2);
    assert!(!machine.may_hold("/a") && machine.may_hold("/b"), "a key that was never written is not ours");
}

#[test]
fn keys_are_written_together_again_once_all_may_be_written() {
    let now = Instant::now();
    let (mut machine, mut store) = (Registrar::new(now), Store::default());
    machine.want("/a", TTL, text("1"));
    machine.want("/b", TTL, text("1"));
    for _ in 0..2 {
        let action = machine.next(now);
        let outcome = store.answer(&action);
        machine.done(&action, outcome, now, 0.5);
    }
    for is_together in [true, false] {
        let EtcdAction::Write(_, writes) = machine.next(now) else { panic!("{:?}", machine.next(now)) };
        assert_eq!(writes.len() == 2, is_together);
        let problem = "permission denied".to_owned();
        let denied = EtcdOutcome::Failed(EtcdFailure { kind: FailureKind::Denied, problem });
        machine.done(&EtcdAction::Write(1, writes), denied, now, 0.5);
    }
    let (_, now) = settle(&mut machine, &mut store, now, DENIED_PAUSE * 2);
    machine.want("/a", TTL, text("2"));
    machine.want("/b", TTL, text("2"));
    let EtcdAction::Write(_, writes) = machine.next(now) else { panic!("{:?}", machine.next(now)) };
    assert_eq!(writes.len(), 2);
}

#[test]
fn a_denied_key_is_held_only_if_it_may_have_been_written_before() {
    let denied =
        || EtcdOutcome::Failed(EtcdFailure { kind: FailureKind::Denied, problem: "permission denied".to_owned() });
    // Written before, perhaps written before (the connection broke), and no longer wanted while the write is under way.
    for (before, wanted, expected) in
        [(None, "1", false), (Some(true), "2", true), (Some(false), "1", true), (None, "", false)]
    {
        let (mut machine, mut store, mut now) = match before {
            Some(true) => announced(),
            _ => (Registrar::new(Instant::now()), Store::default(), Instant::now()),
        };
        machine.want("/a", TTL, text(if wanted.is_empty() { "1" } else { wanted }));
        let mut next_write = |machine: &mut Registrar, now: &mut Instant| loop {
            match machine.next(*now) {
                action @ EtcdAction::Write(..) => break action,
                EtcdAction::Wait(at) => *now = at.unwrap(),
                action => {
                    let outcome = store.answer(&action);
                    machine.done(&action, outcome, *now, 0.5);
                }
            }
        };
        if before == Some(false) {
            let action = next_write(&mut machine, &mut now);
            machine.done(&action, broken(), now, 0.5);
        }
        let action = next_write(&mut machine, &mut now);
        assert!(machine.may_hold("/a"), "its write is under way");
        if wanted.is_empty() {
            machine.want("/a", TTL, None);
        }
        machine.done(&action, denied(), now, 0.5);
        assert_eq!(machine.may_hold("/a"), expected, "{before:?} {wanted}");
    }
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
fn a_foreign_key_holds_up_the_others_for_one_transaction_only() {
    let now = Instant::now();
    let (mut machine, mut store) = (Registrar::new(now), Store { last_lease: 10, ..Store::default() });
    store.put("/b", 7, "theirs");
    for key in ["/a", "/b", "/c"] {
        machine.want(key, TTL, text("1"));
    }
    let (notices, _) = settle(&mut machine, &mut store, now, Duration::ZERO);
    assert!(
        matches!(notices.as_slice(), [KeyNotice::Taken(..), KeyNotice::Written(..), KeyNotice::Written(..)]),
        "{notices:?}"
    );
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

/// Values change at any time and answers get lost, before or after they took effect: no two writes are closer than the pause, and
/// the last value arrives.
#[test]
fn no_walk_writes_a_paced_key_more_often_and_the_last_value_arrives() {
    for seed in 0..1_000 {
        let mut dice = Dice(seed);
        let mut now = Instant::now();
        let (mut machine, mut store) = (Registrar::new(now).with_pause(S), Store::default());
        let (mut last_write, mut value) = (None, 0);
        for _ in 0..100 {
            if dice.roll(3) == 0 {
                value += 1;
                machine.want("/a", TTL, text(&value.to_string()));
            }
            now += Duration::from_millis(dice.roll(200));
            let action = machine.next(now);
            if matches!(action, EtcdAction::Wait(_)) {
                continue;
            }
            let before = store.events.len();
            let lost = dice.roll(6);
            let outcome = if lost == 0 { broken() } else { store.answer(&action) };
            if store.events.len() > before {
                let pause = last_write.replace(now).map_or(S, |last| now - last);
                assert!(pause >= S, "walk {seed} writes after {pause:?}");
            }
            machine.done(&action, if lost == 1 { broken() } else { outcome }, now, 0.5);
        }
        settle(&mut machine, &mut store, now, 2 * S);
        assert_eq!(store.keys.get("/a").map_or("0", |(_, text)| text), value.to_string(), "walk {seed}");
    }
}

/// A small generator, so that a failing walk can be repeated by its number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Walks two thousand times sixty steps: wishes change, answers get lost before or after they took effect, leases and keys
/// disappear, other announcers come. No key of other announcers is touched, and in the end all is as wanted, and stays so.
#[test]
fn every_walk_ends_as_wanted() {
    for seed in 0..2_000 {
        let mut dice = Dice(seed);
        let mut now = Instant::now();
        let (mut machine, mut store) = (Registrar::new(now), Store { last_lease: 10, ..Store::default() });
        let keys = ["/a", "/b", "/c"];
        let mut wanted: BTreeMap<&str, Option<Arc<str>>> = BTreeMap::new();
        for _ in 0..60 {
            let key = keys[dice.roll(3) as usize];
            match dice.roll(10) {
                0 | 1 => {
                    let value = (dice.roll(3) > 0).then(|| Arc::from(dice.roll(3).to_string()));
                    machine.want(key, TTL, value.clone());
                    wanted.insert(key, value);
                }
                2 if dice.roll(3) == 0 => store.leases.clone().into_iter().for_each(|lease| store.end_lease(lease)),
                3 if dice.roll(3) == 0 => {
                    store.keys.remove(key);
                }
                4 if !store.keys.contains_key(key) && dice.roll(3) == 0 => store.put(key, 7, "theirs"),
                5 => store.keys.retain(|_, (lease, _)| *lease != 7),
                _ => {}
            }
            let theirs = |store: &Store| store.keys.values().filter(|(lease, _)| *lease == 7).count();
            let before = theirs(&store);
            match machine.next(now) {
                EtcdAction::Wait(at) => now = at.unwrap_or(now).max(now + S),
                action => {
                    let outcome = match dice.roll(6) {
                        0 => broken(),
                        1 => {
                            store.answer(&action);
                            broken()
                        }
                        _ => store.answer(&action),
                    };
                    machine.done(&action, outcome, now, 0.5);
                }
            }
            assert_eq!(theirs(&store), before, "walk {seed} touched a key of another");
        }
        store.keys.retain(|_, (lease, _)| *lease != 7);
        let (_, now) = settle(&mut machine, &mut store, now, 60 * S);
        let found: BTreeMap<&str, &str> =
            store.keys.iter().map(|(key, (_, value))| (key.as_str(), value.as_str())).collect();
        let expected: BTreeMap<&str, &str> =
            wanted.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?))).collect();
        assert_eq!(found, expected, "walk {seed}");
        let events = store.events.len();
        let (_, now) = settle(&mut machine, &mut store, now, 3600 * S);
        assert_eq!(store.events.len(), events, "walk {seed} writes without need");
        machine.stop();
        settle(&mut machine, &mut store, now, 60 * S);
        assert!(store.keys.is_empty() && machine.is_empty(), "walk {seed} leaves something");
    }
}
