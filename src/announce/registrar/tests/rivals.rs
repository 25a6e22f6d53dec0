//! Keys that somebody else has, and keys that etcd does not let us write.

use super::*;

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
