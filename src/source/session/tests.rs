//! Tests of the session: every order of answers, and the orders that matter.

use super::*;
use crate::model::etcd::PORT_HINT;
use crate::model::key::{Key, Value};

mod graph;
mod narrow;
mod refusals;
mod walk;

fn header(revision: i64) -> Header {
    Header { cluster_id: 1, raft_term: 2, revision: Revision(revision) }
}

fn mark(revision: i64) -> Option<LastChange> {
    let (key, value) = (Key::from("/a"), Some(Value::from("1")));
    Some(LastChange { key, value, revision: Revision(revision), keys_in_hull: None })
}

fn store(revision: i64, refused: bool) -> ListedStore {
    ListedStore { header: header(revision), mark: mark(revision - 1), coverage: Coverage::Hull, refused }
}

fn listed(revision: i64) -> Input {
    Input::Listed(store(revision, false))
}

fn failed(kind: FailureKind) -> Input {
    Input::Failed { failure: EtcdFailure { kind, problem: "broken".to_owned() }, held: Duration::ZERO }
}

fn lost(millis: u64) -> SessionStep {
    let retry_in = Duration::from_millis(millis);
    let notice = Some(SessionNotice::Lost { problem: "broken".to_owned(), retry_in, is_lasting: false });
    SessionStep { notice, ..SessionAction::Wait(retry_in).into() }
}

/// The loss of a watch that was followed, with the longest pause before the first attempt.
fn dropped() -> SessionStep {
    lost(2000)
}

fn regained() -> SessionStep {
    SessionStep { notice: Some(SessionNotice::Regained), ..SessionAction::Follow.into() }
}

/// The step to this action, with a probe this much later.
fn probing(action: SessionAction, millis: u64) -> SessionStep {
    SessionStep { probe_in: Some(Duration::from_millis(millis)), ..action.into() }
}

/// Feeds `inputs` with the largest jitter and compares each decision.
#[track_caller]
fn check(session: &mut Session, inputs: impl IntoIterator<Item = (Input, SessionStep)>) {
    for (index, (input, expected)) in inputs.into_iter().enumerate() {
        let shown = format!("input {index}: {input:?}");
        assert_eq!(session.step(input, 1.0), expected, "{shown}");
    }
}

#[test]
fn whether_it_is_etcds_port_is_asked_only_until_it_has_answered() {
    let problem = format!("stream closed{PORT_HINT}https:// instead of http://?)");
    let broken = || Input::Failed { failure: EtcdFailure::unreachable(problem.clone()), held: Duration::ZERO };
    let said = |step: SessionStep| match step.notice {
        Some(SessionNotice::Lost { problem, .. }) => problem,
        other => panic!("{other:?}"),
    };
    let mut session = Session::new(true, false, 1);
    session.step(Input::Connected, 1.0);
    assert_eq!(said(session.step(broken(), 1.0)), problem);
    let mut session = following(false, 1);
    assert_eq!(said(session.step(broken(), 1.0)), "stream closed");
}

fn following(has_login: bool, members: usize) -> Session {
    let mut session = Session::new(true, has_login, members);
    check(
        &mut session,
        [
            (Input::Connected, SessionAction::List.into()),
            (listed(10), SessionAction::Watch(Coverage::Hull).into()),
            (Input::Watching { header: header(10), watchers: 1 }, SessionAction::Follow.into()),
        ],
    );
    assert_eq!((session.revision(), session.watch_after()), (Some(Revision(10)), Revision(10)));
    session
}

#[test]
fn a_broken_stream_resumes_after_the_last_change() {
    let mut session = following(false, 1);
    check(
        &mut session,
        [
            (Input::Advanced { revision: Revision(14), mark: mark(13) }, SessionAction::Follow.into()),
            (failed(FailureKind::Unreachable), dropped()),
            (Input::Waited, SessionAction::Connect(0).into()),
            (failed(FailureKind::Unreachable), lost(200)),
            (Input::Waited, SessionAction::Connect(0).into()),
            (Input::Connected, SessionAction::CheckHistory.into()),
            (Input::Verified { header: header(20), same: true }, SessionAction::Watch(Coverage::Hull).into()),
            (Input::Watching { header: header(20), watchers: 1 }, regained()),
        ],
    );
    assert_eq!((session.revision(), session.watch_after()), (Some(Revision(14)), Revision(13)));
}

#[test]
fn what_was_listed_is_resumed_from_even_if_the_watch_never_came_up() {
    let mut session = Session::new(true, false, 1);
    check(
        &mut session,
        [
            (Input::Connected, SessionAction::List.into()),
            (listed(10), SessionAction::Watch(Coverage::Hull).into()),
            (failed(FailureKind::Unreachable), lost(100)),
            (Input::Waited, SessionAction::Connect(0).into()),
            (Input::Connected, SessionAction::CheckHistory.into()),
            (Input::Verified { header: header(10), same: true }, SessionAction::Watch(Coverage::Hull).into()),
            (Input::Watching { header: header(10), watchers: 1 }, regained()),
        ],
    );
    assert_eq!(session.watch_after(), Revision(9));
}

#[test]
fn a_long_history_is_not_replayed_since_it_comes_in_pieces() {
    for (revision, next) in [(1013, SessionAction::CheckHistory), (1014, SessionAction::List)] {
        let mut session = following(false, 1);
        check(
            &mut session,
            [
                // Many revisions of foreign keys, none of ours.
                (Input::Advanced { revision: Revision(revision), mark: mark(13) }, SessionAction::Follow.into()),
                (failed(FailureKind::Unreachable), dropped()),
                (Input::Waited, SessionAction::Connect(0).into()),
                (Input::Connected, next.into()),
            ],
        );
    }
}

#[test]
fn a_lost_or_different_history_is_listed_again() {
    let other_cluster = Header { cluster_id: 9, ..header(99) };
    let new_cluster = Header { raft_term: 1, ..header(99) };
    for (outcome, list) in [
        (failed(FailureKind::Compacted), SessionAction::List),
        (failed(FailureKind::Future), SessionAction::List),
        (Input::Verified { header: header(20), same: false }, SessionAction::List),
        (Input::Verified { header: header(9), same: true }, SessionAction::List),
        (Input::Verified { header: other_cluster, same: true }, SessionAction::List),
        (Input::Verified { header: new_cluster, same: true }, SessionAction::List),
    ] {
        let mut session = following(false, 1);
        check(
            &mut session,
            [
                (failed(FailureKind::Unreachable), dropped()),
                (Input::Waited, SessionAction::Connect(0).into()),
                (Input::Connected, SessionAction::CheckHistory.into()),
                (outcome, list.into()),
                (listed(5), SessionAction::Watch(Coverage::Hull).into()),
                // The listing was complete, so no `Regained` follows.
                (Input::Watching { header: header(5), watchers: 1 }, SessionAction::Follow.into()),
            ],
        );
        assert_eq!(session.watch_after(), Revision(5));
    }
}

#[test]
fn a_watch_in_the_future_of_a_restored_store_is_noticed() {
    let mut session = following(false, 1);
    check(&mut session, [(Input::Progress(header(9)), SessionAction::List.into())]);
    let mut session = Session::new(true, false, 1);
    check(
        &mut session,
        [
            (Input::Connected, SessionAction::List.into()),
            (listed(10), SessionAction::Watch(Coverage::Hull).into()),
            (Input::Watching { header: header(7), watchers: 1 }, SessionAction::List.into()),
        ],
    );
}

#[test]
fn an_overflowing_watch_is_listed_and_an_oversized_page_fails() {
    let mut session = following(false, 1);
    check(
        &mut session,
        [
            (failed(FailureKind::TooLarge), SessionAction::List.into()),
            (failed(FailureKind::TooLarge), lost(100)),
            (Input::Waited, SessionAction::Connect(0).into()),
        ],
    );
}

#[test]
fn listing_without_end_becomes_a_failure() {
    let mut session = following(false, 1);
    for _ in 0..RELISTS {
        check(&mut session, [(failed(FailureKind::Compacted), SessionAction::List.into())]);
    }
    let step = session.step(failed(FailureKind::Compacted), 1.0);
    assert!(matches!(step.action, SessionAction::Wait(_)), "{step:?}");
    check(
        &mut session,
        [(Input::Waited, SessionAction::Connect(0).into()), (Input::Connected, SessionAction::List.into())],
    );
}

#[test]
fn members_take_turns_and_are_looked_up_again_when_none_is_left() {
    let mut session = Session::new(true, false, 0);
    let mut delays = [100, 200, 400, 800, 1600].into_iter();
    let mut lose = |session: &mut Session, next: SessionAction| {
        let expected = lost(delays.next().unwrap());
        check(session, [(failed(FailureKind::Unreachable), expected), (Input::Waited, next.into())]);
    };
    assert_eq!(session.doing(), SessionAction::Discover);
    lose(&mut session, SessionAction::Discover);
    check(&mut session, [(Input::Discovered(2), SessionAction::Connect(0).into())]);
    lose(&mut session, SessionAction::Connect(1));
    lose(&mut session, SessionAction::Discover);
    // The lookup fails: the members known so far are tried again.
    lose(&mut session, SessionAction::Connect(1));
    lose(&mut session, SessionAction::Connect(0));
}

#[test]
fn a_watch_that_held_restarts_the_backoff() {
    let mut session = following(false, 1);
    check(
        &mut session,
        [(failed(FailureKind::Unreachable), dropped()), (Input::Waited, SessionAction::Connect(0).into())],
    );
    check(
        &mut session,
        [(failed(FailureKind::Unreachable), lost(200)), (Input::Waited, SessionAction::Connect(0).into())],
    );
    let failure = EtcdFailure::unreachable("broken");
    check(&mut session, [(Input::Failed { failure, held: HELD }, lost(100))]);
}

#[test]
fn the_longest_pause_is_the_one_that_is_set() {
    let mut session = following(false, 1).with_longest_pause(Duration::from_millis(150));
    for millis in [150, 150, 150] {
        check(
            &mut session,
            [(failed(FailureKind::Unreachable), lost(millis)), (Input::Waited, SessionAction::Connect(0).into())],
        );
    }
}

#[test]
fn agents_that_lose_a_member_together_return_one_after_the_other() {
    let pause = |session: &mut Session, random: f64| match session.step(failed(FailureKind::Unreachable), random).action
    {
        SessionAction::Wait(pause) => pause.as_millis(),
        action => panic!("{action:?}"),
    };
    for (random, expected) in [(0.0, 50), (0.1, 200), (0.5, 1000), (1.0, 2000)] {
        let mut session = following(false, 2);
        assert_eq!(pause(&mut session, random), expected, "random {random}");
        check(&mut session, [(Input::Waited, SessionAction::Connect(1).into())]);
        assert!(pause(&mut session, random) <= 200, "the next member is tried soon");
    }
    // Without a watch that worked, nobody else has lost it.
    let mut session = Session::new(true, false, 2);
    assert_eq!(pause(&mut session, 1.0), 100);
    session.step(Input::Waited, 1.0);
    check(&mut session, [(Input::Connected, SessionAction::List.into())]);
    assert_eq!(pause(&mut session, 1.0), 200);
}

#[test]
fn without_following_there_is_one_listing_per_wish() {
    let mut session = Session::new(false, false, 1);
    check(&mut session, [(Input::Connected, SessionAction::List.into()), (listed(10), SessionAction::Rest.into())]);
    assert!(session.can_drop());
    session.ask(false);
    assert_eq!(session.doing(), SessionAction::List);
    check(
        &mut session,
        [
            (failed(FailureKind::Unreachable), lost(100)),
            (Input::Waited, SessionAction::Connect(0).into()),
            (Input::Connected, SessionAction::List.into()),
            (listed(12), SessionAction::Rest.into()),
        ],
    );
}

#[test]
fn a_wish_while_away_is_remembered() {
    let mut session = following(false, 1);
    check(&mut session, [(failed(FailureKind::Unreachable), dropped())]);
    assert!(!session.can_drop());
    session.ask(false);
    check(
        &mut session,
        [(Input::Waited, SessionAction::Connect(0).into()), (Input::Connected, SessionAction::List.into())],
    );
}
