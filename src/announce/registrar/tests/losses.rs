//! Writes, leases and connections that fail: what is tried again, when, and how often that is said.

use super::*;

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
fn what_a_restored_backup_brings_back_is_put_right() {
    // With an older revision, and, since others have written meanwhile, with a newer one and a raft term that is small again.
    for (revision, raft_term) in [(2, 5), (100, 1)] {
        let (mut machine, mut store, now) = announced();
        store.raft_term = 5;
        machine.want("/b", TTL, text("1"));
        let (_, now) = settle(&mut machine, &mut store, now, 20 * S);
        let mut backup = Store { revision, raft_term, ..store.clone() };
        machine.want("/a", TTL, text("2"));
        machine.want("/b", TTL, None);
        let (_, now) = settle(&mut machine, &mut store, now, S);
        assert_eq!((store.keys.len(), backup.keys.len(), store.revision), (1, 2, 4));
        let action = machine.next(now + 5 * S);
        machine.done(&action, broken(), now + 5 * S, 0.5);
        let (notices, now) = settle(&mut machine, &mut backup, now + 5 * S, 2 * S);
        let expected = [KeyNotice::Written("/a".to_owned(), Revision(revision + 2))];
        assert!(notices.starts_with(&expected) && notices.len() == 3, "{notices:?}");
        assert_eq!(backup.keys, [("/a".to_owned(), (1, "2".to_owned()))].into(), "revision {revision}");
        let before = backup.revision;
        settle(&mut machine, &mut backup, now, 600 * S);
        assert_eq!(backup.revision, before, "it is put right once");
    }
}
