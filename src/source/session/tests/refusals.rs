//! Stores and logins that refuse something: what is asked again, and what counts as lost.

use super::*;

#[test]
fn an_expired_login_is_renewed_once_without_a_word() {
    let mut session = following(true, 2);
    check(
        &mut session,
        [
            (failed(FailureKind::Unauthenticated), SessionAction::Connect(0).into()),
            (Input::Connected, SessionAction::CheckHistory.into()),
            (failed(FailureKind::Unauthenticated), lost(100)),
            (Input::Waited, SessionAction::Connect(1).into()),
        ],
    );
    let mut session = following(false, 1);
    check(&mut session, [(failed(FailureKind::Unauthenticated), dropped())]);
}

#[test]
fn a_denied_watch_logs_in_again_and_then_narrows() {
    let mut session = Session::new(true, true, 1);
    check(
        &mut session,
        [
            (Input::Connected, SessionAction::List.into()),
            (listed(10), SessionAction::Watch(Coverage::Hull).into()),
            (failed(FailureKind::Denied), SessionAction::Connect(0).into()),
            (Input::Connected, SessionAction::CheckHistory.into()),
            (Input::Verified { header: header(10), same: true }, SessionAction::Watch(Coverage::Hull).into()),
            (failed(FailureKind::Denied), SessionAction::List.into()),
            (listed(10), SessionAction::Watch(Coverage::Directories).into()),
            (failed(FailureKind::Denied), SessionAction::List.into()),
            (listed(10), SessionAction::Watch(Coverage::Exact).into()),
            // The role may have changed since the listing.
            (failed(FailureKind::Denied), SessionAction::List.into()),
            (listed(10), SessionAction::Watch(Coverage::Exact).into()),
        ],
    );
    for _ in 1..RELISTS {
        check(
            &mut session,
            [
                (failed(FailureKind::Denied), SessionAction::List.into()),
                (listed(10), SessionAction::Watch(Coverage::Exact).into()),
            ],
        );
    }
    let step = session.step(failed(FailureKind::Denied), 1.0);
    assert!(matches!(step.action, SessionAction::Wait(_)), "{step:?}");
    check(
        &mut session,
        [
            (Input::Waited, SessionAction::Connect(0).into()),
            (Input::Connected, SessionAction::List.into()),
            (listed(10), SessionAction::Watch(Coverage::Exact).into()),
        ],
    );
    // Changed ranges deserve a new attempt.
    session.ask(true);
    assert_eq!(session.doing(), SessionAction::List);
    check(&mut session, [(listed(11), SessionAction::Watch(Coverage::Hull).into())]);
}

#[test]
fn refused_ranges_are_asked_for_while_the_others_are_followed() {
    let mut session = Session::new(true, false, 1);
    check(
        &mut session,
        [
            (Input::Connected, SessionAction::List.into()),
            (Input::Listed(store(10, true)), probing(SessionAction::Watch(Coverage::Hull), 100)),
            (Input::Watching { header: header(10), watchers: 1 }, SessionAction::Follow.into()),
            (Input::ProbeDue, SessionAction::Probe.into()),
            (Input::Probed { granted: false }, probing(SessionAction::Follow, 200)),
            (Input::Advanced { revision: Revision(11), mark: mark(11) }, SessionAction::Follow.into()),
            (Input::ProbeDue, SessionAction::Probe.into()),
            // Only the watch says whether the store is lost.
            (failed(FailureKind::Unreachable), probing(SessionAction::Follow, 400)),
            (failed(FailureKind::Unreachable), dropped()),
            (Input::Waited, SessionAction::Connect(0).into()),
            // What is refused is no reason to list the others again.
            (Input::Connected, SessionAction::CheckHistory.into()),
            (Input::Verified { header: header(11), same: true }, SessionAction::Watch(Coverage::Hull).into()),
            (Input::Watching { header: header(11), watchers: 1 }, regained()),
            (Input::ProbeDue, SessionAction::Probe.into()),
            (Input::Probed { granted: true }, SessionAction::List.into()),
            // Another range is still refused.
            (Input::Listed(store(12, true)), probing(SessionAction::Watch(Coverage::Hull), 800)),
            (Input::Watching { header: header(12), watchers: 1 }, SessionAction::Follow.into()),
            (Input::ProbeDue, SessionAction::Probe.into()),
            (Input::Probed { granted: true }, SessionAction::List.into()),
            (listed(13), SessionAction::Watch(Coverage::Hull).into()),
            (Input::Watching { header: header(13), watchers: 1 }, SessionAction::Follow.into()),
        ],
    );
    session.ask(false);
    check(&mut session, [(Input::Listed(store(14, true)), probing(SessionAction::Watch(Coverage::Hull), 100))]);
}

#[test]
fn a_store_that_refuses_everything_is_asked_and_not_lost() {
    let mut session = Session::new(true, true, 2);
    check(
        &mut session,
        [
            (Input::Connected, SessionAction::List.into()),
            (Input::AllRefused, probing(SessionAction::Rest, 100)),
            (Input::ProbeDue, SessionAction::Probe.into()),
            (Input::Probed { granted: false }, probing(SessionAction::Rest, 200)),
            (Input::ProbeDue, SessionAction::Probe.into()),
            (failed(FailureKind::Unreachable), lost(100)),
            (Input::Waited, SessionAction::Connect(1).into()),
            (Input::Connected, SessionAction::List.into()),
            (Input::AllRefused, probing(SessionAction::Rest, 400)),
            (Input::ProbeDue, SessionAction::Probe.into()),
            (Input::Probed { granted: true }, SessionAction::List.into()),
            (listed(10), SessionAction::Watch(Coverage::Hull).into()),
        ],
    );
    // Without following, only the agent asks again.
    let mut session = Session::new(false, false, 1);
    check(
        &mut session,
        [(Input::Connected, SessionAction::List.into()), (Input::Listed(store(10, true)), SessionAction::Rest.into())],
    );
    session.ask(false);
    check(&mut session, [(Input::AllRefused, SessionAction::Rest.into())]);
}

#[test]
fn a_permission_that_is_lost_later_is_found_by_a_listing() {
    let mut session = following(false, 1);
    check(
        &mut session,
        [
            // etcd ends a watcher.
            (failed(FailureKind::Denied), SessionAction::List.into()),
            (Input::Listed(store(11, true)), probing(SessionAction::Watch(Coverage::Hull), 100)),
            (Input::Watching { header: header(11), watchers: 1 }, SessionAction::Follow.into()),
            (failed(FailureKind::Unreachable), dropped()),
            (Input::Waited, SessionAction::Connect(0).into()),
            (Input::Connected, SessionAction::CheckHistory.into()),
            // The mark may not be read any more.
            (failed(FailureKind::Denied), SessionAction::List.into()),
            (Input::Listed(store(12, true)), probing(SessionAction::Watch(Coverage::Hull), 200)),
        ],
    );
}

#[test]
fn a_refusal_lasts_once_every_member_in_turn_has_refused() {
    let is_lasting = |step: SessionStep| match step.notice {
        Some(SessionNotice::Lost { is_lasting, .. }) => is_lasting,
        other => panic!("{other:?}"),
    };
    let mut session = Session::new(false, true, 2);
    assert!(!is_lasting(session.step(failed(FailureKind::Refused), 1.0)), "the other member may accept us");
    session.step(Input::Waited, 1.0);
    assert!(!is_lasting(session.step(failed(FailureKind::Unreachable), 1.0)), "the other member may come back");
    session.step(Input::Waited, 1.0);
    assert!(!is_lasting(session.step(failed(FailureKind::Refused), 1.0)));
    session.step(Input::Waited, 1.0);
    assert!(is_lasting(session.step(failed(FailureKind::Refused), 1.0)));
}
