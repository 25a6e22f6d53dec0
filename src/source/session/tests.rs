//! Walks of the session: every order of answers, and the orders that matter.

use super::*;

mod graph;
mod walk;

fn header(revision: i64) -> Header {
    Header { cluster_id: 1, raft_term: 2, revision: Revision(revision) }
}

fn mark(revision: i64) -> Option<Mark> {
    let (key, value) = (Key::from("/a"), Some(Value::from("1")));
    Some(Mark { key, value, revision: Revision(revision), keys_in_hull: None })
}

fn listed(revision: i64) -> Input {
    Input::Listed(Listed { header: header(revision), mark: mark(revision - 1), coverage: Coverage::Hull })
}

fn failed(kind: FailureKind) -> Input {
    Input::Failed { failure: EtcdFailure { kind, problem: "broken".to_owned() }, held: Duration::ZERO }
}

fn lost(millis: u64) -> Step {
    let retry_in = Duration::from_millis(millis);
    Step { notice: Some(Notice::Lost { problem: "broken".to_owned(), retry_in }), action: Action::Wait(retry_in) }
}

fn regained() -> Step {
    Step { notice: Some(Notice::Regained), action: Action::Follow }
}

/// Feeds `inputs` with the largest jitter and compares each decision.
#[track_caller]
fn check(session: &mut Session, inputs: impl IntoIterator<Item = (Input, Step)>) {
    for (index, (input, expected)) in inputs.into_iter().enumerate() {
        let shown = format!("input {index}: {input:?}");
        assert_eq!(session.step(input, 1.0), expected, "{shown}");
    }
}

fn following(has_login: bool, endpoints: usize) -> Session {
    let mut session = Session::new(true, has_login, endpoints);
    check(
        &mut session,
        [
            (Input::Connected, Action::List.into()),
            (listed(10), Action::Watch(Coverage::Hull).into()),
            (Input::Watching { header: header(10), watchers: 1 }, Action::Follow.into()),
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
            (Input::Advanced { revision: Revision(14), mark: mark(13) }, Action::Follow.into()),
            (failed(FailureKind::Unreachable), lost(100)),
            (Input::Waited, Action::Connect(0).into()),
            (failed(FailureKind::Unreachable), lost(200)),
            (Input::Waited, Action::Connect(0).into()),
            (Input::Connected, Action::Verify.into()),
            (Input::Verified { header: header(20), same: true }, Action::Watch(Coverage::Hull).into()),
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
            (Input::Connected, Action::List.into()),
            (listed(10), Action::Watch(Coverage::Hull).into()),
            (failed(FailureKind::Unreachable), lost(100)),
            (Input::Waited, Action::Connect(0).into()),
            (Input::Connected, Action::Verify.into()),
            (Input::Verified { header: header(10), same: true }, Action::Watch(Coverage::Hull).into()),
            (Input::Watching { header: header(10), watchers: 1 }, regained()),
        ],
    );
    assert_eq!(session.watch_after(), Revision(9));
}

#[test]
fn history_that_is_gone_or_another_is_listed_again() {
    let other_cluster = Header { cluster_id: 9, ..header(99) };
    let new_cluster = Header { raft_term: 1, ..header(99) };
    for (outcome, list) in [
        (failed(FailureKind::Compacted), Action::List),
        (failed(FailureKind::Future), Action::List),
        (Input::Verified { header: header(20), same: false }, Action::List),
        (Input::Verified { header: header(9), same: true }, Action::List),
        (Input::Verified { header: other_cluster, same: true }, Action::List),
        (Input::Verified { header: new_cluster, same: true }, Action::List),
    ] {
        let mut session = following(false, 1);
        check(
            &mut session,
            [
                (failed(FailureKind::Unreachable), lost(100)),
                (Input::Waited, Action::Connect(0).into()),
                (Input::Connected, Action::Verify.into()),
                (outcome, list.into()),
                (listed(5), Action::Watch(Coverage::Hull).into()),
                // What was listed told the agent all, so there is nothing to be regained.
                (Input::Watching { header: header(5), watchers: 1 }, Action::Follow.into()),
            ],
        );
        assert_eq!(session.watch_after(), Revision(5));
    }
}

#[test]
fn a_watch_in_the_future_of_a_restored_store_is_noticed() {
    let mut session = following(false, 1);
    check(&mut session, [(Input::Progress(header(9)), Action::List.into())]);
    let mut session = Session::new(true, false, 1);
    check(
        &mut session,
        [
            (Input::Connected, Action::List.into()),
            (listed(10), Action::Watch(Coverage::Hull).into()),
            (Input::Watching { header: header(7), watchers: 1 }, Action::List.into()),
        ],
    );
}

#[test]
fn an_overflowing_watch_is_listed_and_an_oversized_page_fails() {
    let mut session = following(false, 1);
    check(
        &mut session,
        [
            (failed(FailureKind::TooLarge), Action::List.into()),
            (failed(FailureKind::TooLarge), lost(100)),
            (Input::Waited, Action::Connect(0).into()),
        ],
    );
}

#[test]
fn listing_without_end_becomes_a_failure() {
    let mut session = following(false, 1);
    for _ in 0..RELISTS {
        check(&mut session, [(failed(FailureKind::Compacted), Action::List.into())]);
    }
    let step = session.step(failed(FailureKind::Compacted), 1.0);
    assert!(matches!(step.action, Action::Wait(_)), "{step:?}");
    check(&mut session, [(Input::Waited, Action::Connect(0).into()), (Input::Connected, Action::List.into())]);
}

#[test]
fn an_expired_login_is_renewed_once_without_a_word() {
    let mut session = following(true, 2);
    check(
        &mut session,
        [
            (failed(FailureKind::Unauthenticated), Action::Connect(0).into()),
            (Input::Connected, Action::Verify.into()),
            (failed(FailureKind::Unauthenticated), lost(100)),
            (Input::Waited, Action::Connect(1).into()),
        ],
    );
    let mut session = following(false, 1);
    check(&mut session, [(failed(FailureKind::Unauthenticated), lost(100))]);
}

#[test]
fn a_denied_watch_logs_in_again_and_then_narrows() {
    let mut session = Session::new(true, true, 1);
    check(
        &mut session,
        [
            (Input::Connected, Action::List.into()),
            (listed(10), Action::Watch(Coverage::Hull).into()),
            (failed(FailureKind::Denied), Action::Connect(0).into()),
            (Input::Connected, Action::Verify.into()),
            (Input::Verified { header: header(10), same: true }, Action::Watch(Coverage::Hull).into()),
            (failed(FailureKind::Denied), Action::List.into()),
            (listed(10), Action::Watch(Coverage::Directories).into()),
            (failed(FailureKind::Denied), Action::List.into()),
            (listed(10), Action::Watch(Coverage::Exact).into()),
            (failed(FailureKind::Denied), lost(100)),
            (Input::Waited, Action::Connect(0).into()),
            (Input::Connected, Action::List.into()),
            (listed(10), Action::Watch(Coverage::Exact).into()),
        ],
    );
    // Other ranges deserve another try.
    session.ask(true);
    assert_eq!(session.doing(), Action::List);
    check(&mut session, [(listed(11), Action::Watch(Coverage::Hull).into())]);
}

#[test]
fn a_watch_that_is_too_loud_narrows_as_far_as_it_can() {
    let mut session = following(false, 1);
    check(
        &mut session,
        [
            (Input::TooLoud, Action::List.into()),
            (listed(11), Action::Watch(Coverage::Directories).into()),
            (Input::Watching { header: header(11), watchers: 2 }, Action::Follow.into()),
            (Input::TooLoud, Action::List.into()),
            (listed(12), Action::Watch(Coverage::Exact).into()),
            (Input::Watching { header: header(12), watchers: 4 }, Action::Follow.into()),
            (Input::TooLoud, Action::Follow.into()),
        ],
    );
}

#[test]
fn several_watchers_list_again_instead_of_resuming() {
    let mut session = following(false, 1);
    check(
        &mut session,
        [
            (failed(FailureKind::Unreachable), lost(100)),
            (Input::Waited, Action::Connect(0).into()),
            (Input::Connected, Action::Verify.into()),
            (Input::Verified { header: header(10), same: true }, Action::Watch(Coverage::Hull).into()),
            (Input::Watching { header: header(10), watchers: 2 }, regained()),
            (failed(FailureKind::Unreachable), lost(200)),
            (Input::Waited, Action::Connect(0).into()),
            (Input::Connected, Action::List.into()),
        ],
    );
}

#[test]
fn members_take_turns_and_are_looked_up_again_when_none_is_left() {
    let mut session = Session::new(true, false, 0);
    let mut delays = [100, 200, 400, 800, 1600].into_iter();
    let mut lose = |session: &mut Session, next: Action| {
        let expected = lost(delays.next().unwrap());
        check(session, [(failed(FailureKind::Unreachable), expected), (Input::Waited, next.into())]);
    };
    assert_eq!(session.doing(), Action::Discover);
    lose(&mut session, Action::Discover);
    check(&mut session, [(Input::Discovered(2), Action::Connect(0).into())]);
    lose(&mut session, Action::Connect(1));
    lose(&mut session, Action::Discover);
    // The lookup fails: those known so far get another round.
    lose(&mut session, Action::Connect(1));
    lose(&mut session, Action::Connect(0));
}

#[test]
fn a_watch_that_held_starts_the_backoff_anew() {
    let mut session = following(false, 1);
    check(&mut session, [(failed(FailureKind::Unreachable), lost(100)), (Input::Waited, Action::Connect(0).into())]);
    check(&mut session, [(failed(FailureKind::Unreachable), lost(200)), (Input::Waited, Action::Connect(0).into())]);
    let failure = EtcdFailure::unreachable("broken");
    check(&mut session, [(Input::Failed { failure, held: HELD }, lost(100))]);
}

#[test]
fn without_following_there_is_one_listing_per_wish() {
    let mut session = Session::new(false, false, 1);
    check(&mut session, [(Input::Connected, Action::List.into()), (listed(10), Action::Rest.into())]);
    assert!(session.can_drop());
    session.ask(false);
    assert_eq!(session.doing(), Action::List);
    check(
        &mut session,
        [
            (failed(FailureKind::Unreachable), lost(100)),
            (Input::Waited, Action::Connect(0).into()),
            (Input::Connected, Action::List.into()),
            (listed(12), Action::Rest.into()),
        ],
    );
}

#[test]
fn a_wish_while_away_is_remembered() {
    let mut session = following(false, 1);
    check(&mut session, [(failed(FailureKind::Unreachable), lost(100))]);
    assert!(!session.can_drop());
    session.ask(false);
    check(&mut session, [(Input::Waited, Action::Connect(0).into()), (Input::Connected, Action::List.into())]);
}
