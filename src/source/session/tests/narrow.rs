//! Watches that are too loud: how narrow they become, and when they are wide again.

use super::*;

/// A session that follows with several watchers, because there were too many foreign keys.
fn narrowed() -> Session {
    let mut session = following(false, 1);
    check(
        &mut session,
        [
            (Input::TooLoud, SessionAction::List.into()),
            (listed(11), SessionAction::Watch(Coverage::Directories).into()),
            (Input::Watching { header: header(11), watchers: 2 }, SessionAction::Follow.into()),
        ],
    );
    session
}

#[test]
fn a_watch_that_is_too_loud_narrows_as_far_as_it_can() {
    check(
        &mut narrowed(),
        [
            (Input::TooLoud, SessionAction::List.into()),
            (listed(12), SessionAction::Watch(Coverage::Exact).into()),
            (Input::Watching { header: header(12), watchers: 4 }, SessionAction::Follow.into()),
            (Input::TooLoud, SessionAction::Follow.into()),
        ],
    );
}

#[test]
fn a_watch_that_was_too_loud_is_wide_again_for_other_keys() {
    let mut session = narrowed();
    session.ask(false);
    check(&mut session, [(listed(12), SessionAction::Watch(Coverage::Directories).into())]);
    session.ask(true);
    check(&mut session, [(listed(13), SessionAction::Watch(Coverage::Hull).into())]);
}

#[test]
fn a_watch_that_was_too_loud_is_wide_again_after_a_long_time() {
    for (held, expected) in [(QUIET, Coverage::Hull), (HELD, Coverage::Directories)] {
        let mut session = narrowed();
        let failure = EtcdFailure::unreachable("broken");
        check(
            &mut session,
            [
                (Input::Failed { failure, held }, dropped()),
                (Input::Waited, SessionAction::Connect(0).into()),
                (Input::Connected, SessionAction::List.into()),
                (listed(12), SessionAction::Watch(expected).into()),
            ],
        );
    }
}

#[test]
fn several_watchers_list_again_instead_of_resuming() {
    let mut session = following(false, 1);
    check(
        &mut session,
        [
            (failed(FailureKind::Unreachable), dropped()),
            (Input::Waited, SessionAction::Connect(0).into()),
            (Input::Connected, SessionAction::CheckHistory.into()),
            (Input::Verified { header: header(10), same: true }, SessionAction::Watch(Coverage::Hull).into()),
            (Input::Watching { header: header(10), watchers: 2 }, regained()),
            (failed(FailureKind::Unreachable), dropped()),
            (Input::Waited, SessionAction::Connect(0).into()),
            (Input::Connected, SessionAction::List.into()),
        ],
    );
}
