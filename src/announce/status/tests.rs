//! How a service stands, from its health and what happened to its key.

use std::sync::Arc;

use super::super::layout::tests::service;
use super::super::registrar::{EtcdAction, EtcdOutcome};
use super::*;
use crate::model::etcd::{EtcdFailure, FailureKind};
use crate::model::key::Revision;
use crate::model::lease::{FoundKey, WriteAnswer, WriteOutcome};
use crate::model::service::{HttpCheck, Layout};

const S: Duration = Duration::from_secs(1);
const KEY: &str = "/services/web/one";
const LEASE: i64 = 0x1f;

/// The fate of the key.
#[derive(Clone, Copy)]
enum Fate {
    Nothing,
    Written,
    Foreign,
    Denied,
    /// Nothing is written, and etcd goes away ten seconds after the start.
    Away,
    /// It is written, then etcd goes away ten seconds after the start.
    WrittenThenAway,
}

fn failure(kind: FailureKind) -> EtcdOutcome {
    EtcdOutcome::Failed(EtcdFailure { kind, ..EtcdFailure::unreachable("no route") })
}

fn registrar(fate: Fate, start: Instant) -> Registrar {
    let mut registrar = Registrar::new(start);
    if matches!(fate, Fate::Nothing) {
        return registrar;
    }
    registrar.want(KEY, 14, Some(Arc::from("value")));
    for _ in 0..4 {
        let action = registrar.next(start);
        let wrote = |outcome| EtcdOutcome::Wrote(WriteAnswer { revision: Revision(9), outcomes: vec![outcome] });
        let outcome = match (&action, fate) {
            (EtcdAction::Connect, Fate::Away) => break,
            (EtcdAction::Connect, _) => EtcdOutcome::Connected,
            (EtcdAction::Grant(_), _) => EtcdOutcome::Granted(LEASE),
            (EtcdAction::Write(..), Fate::Foreign) => {
                let value = r#"{"owner":"core-2 pid 9"}"#.into();
                wrote(WriteOutcome::Refused(Some(FoundKey { lease: 0, value, changed: Revision(9) })))
            }
            (EtcdAction::Write(..), Fate::Denied) => failure(FailureKind::Denied),
            (EtcdAction::Write(..), _) => wrote(WriteOutcome::Done),
            _ => break,
        };
        registrar.done(&action, outcome, start + S, 0.0);
    }
    if matches!(fate, Fate::Away | Fate::WrittenThenAway) {
        let action = registrar.next(start + 10 * S);
        registrar.done(&action, failure(FailureKind::Unreachable), start + 10 * S, 0.0);
    }
    registrar
}

/// Checks how the service stands 100 s after 1970, which is 12 s after the start.
#[track_caller]
fn check(
    fate: Fate,
    phase: impl FnOnce(Instant) -> Phase,
    change: impl FnOnce(&mut ServiceFacts<'_>, Instant),
    expected: (&str, u64, &str),
) {
    let now = Instant::now() + 100 * S;
    let start = now - 12 * S;
    let registrar = registrar(fate, start);
    let service = service("web", Layout::Upstreamd);
    let last = Some(CheckResult { at: start, problem: None });
    let mut facts = ServiceFacts {
        key: KEY,
        service: &service,
        host: Some("10.0.0.5"),
        healthy: true,
        was_healthy: true,
        since: start,
        last,
    };
    change(&mut facts, start);
    let notes = AnnouncerNotes::new(now - S);
    let announcer = AnnouncerFacts { registrar: &registrar, phase: phase(now), notes: &notes };
    let moment = AskedAt { now, unix_time: 100 * S };
    let status = status(AnnouncerStatus::default(), &announcer, [facts].into_iter(), moment);
    let [line] = status.services.as_slice() else { panic!("{status:?}") };
    assert_eq!((line.state.word(), line.since.0, line.reason.as_str()), expected);
    assert_eq!(status.announced, usize::from(line.state == AnnouncedState::Announced));
    assert_eq!(line.address, "10.0.0.5:8080");
}

fn failing(facts: &mut ServiceFacts<'_>, at: Instant) {
    facts.healthy = false;
    facts.last = Some(CheckResult { at, problem: Some("refused".to_owned()) });
}

#[test]
fn a_service_stands_as_its_health_and_its_key_say() {
    let same = |_: &mut ServiceFacts<'_>, _: Instant| {};
    let announcing = |_| Phase::Announcing;
    check(Fate::Written, announcing, same, ("announced", 89, ""));
    check(Fate::Nothing, announcing, same, ("waiting", 88, "the key is about to be written"));
    check(Fate::Away, announcing, same, ("waiting", 98, "etcd cannot be reached"));
    let stays = "etcd cannot be reached; the key stays until 1970-01-01T00:01:43Z";
    check(Fate::WrittenThenAway, announcing, same, ("announced", 89, stays));
    check(Fate::Foreign, announcing, same, ("held", 89, "core-2 pid 9 (without a lease) has the key"));
    check(Fate::Denied, announcing, same, ("denied", 89, "its etcd user may not write the key: no route"));
    check(Fate::Written, announcing, failing, ("unhealthy", 88, "refused"));
    let lingers = "refused; etcd cannot be reached, so the key goes with its lease";
    check(Fate::WrittenThenAway, announcing, failing, ("unhealthy", 88, lingers));
}

#[test]
fn before_the_first_health_it_is_starting_until_a_check_fails() {
    let phase = |_| Phase::Announcing;
    let fresh = |facts: &mut ServiceFacts<'_>| (facts.healthy, facts.was_healthy) = (false, false);
    let none = |facts: &mut ServiceFacts<'_>, _: Instant| {
        fresh(facts);
        facts.last = None;
    };
    check(Fate::Nothing, phase, none, ("starting", 88, "no check has ended yet"));
    let passed = |facts: &mut ServiceFacts<'_>, _: Instant| fresh(facts);
    check(Fate::Nothing, phase, passed, ("starting", 88, "a check has passed, 2 in a row are needed"));
    let failed = |facts: &mut ServiceFacts<'_>, at: Instant| {
        fresh(facts);
        failing(facts, at);
    };
    check(Fate::Nothing, phase, failed, ("unhealthy", 88, "refused"));
}

#[test]
fn the_end_is_draining_as_long_as_the_key_is_there() {
    let same = |_: &mut ServiceFacts<'_>, _: Instant| {};
    let draining = |now| Phase::Draining(now + 30 * S);
    let reason = "its last requests may take until 1970-01-01T00:02:10Z";
    check(Fate::Written, draining, same, ("draining", 99, reason));
    check(Fate::Nothing, draining, same, ("leaving", 99, "the announcer is ending"));
    check(Fate::Written, |now| Phase::Leaving(now + S), failing, ("leaving", 99, "the announcer is ending"));
}

#[test]
fn a_check_is_named_without_what_may_be_secret() {
    let named = |check| what(&Service { check, ..service("web", Layout::Plain) });
    let http = |tls| HttpCheck {
        host: "::1".to_owned(),
        port: 80,
        path: "/health?token=secret".to_owned(),
        status: (200, 399),
        body: None,
        tls,
    };
    assert_eq!(named(Check::Http(http(None))), "http://[::1]:80/health");
    assert_eq!(named(Check::Http(http(Some(Default::default())))), "https://[::1]:80/health");
    assert_eq!(named(Check::Exec("check --password secret".to_owned())), "exec");
}

#[test]
fn what_is_not_announced_comes_first_and_the_rest_is_counted() {
    let now = Instant::now();
    let web = service("web", Layout::Plain);
    let keys: Vec<String> = (0..500).map(|number| format!("/services/web/{number:03}")).collect();
    let facts = keys.iter().map(|key| ServiceFacts {
        key,
        service: &web,
        host: Some("10.0.0.5"),
        healthy: key.as_str() != "/services/web/499",
        was_healthy: true,
        since: now,
        last: None,
    });
    let registrar = Registrar::new(now);
    let notes = AnnouncerNotes::new(now);
    let announcer = AnnouncerFacts { registrar: &registrar, phase: Phase::Announcing, notes: &notes };
    let status =
        status(AnnouncerStatus::default(), &announcer, facts, AskedAt { now, unix_time: Duration::from_secs(100) });
    assert_eq!((status.total, status.announced, status.services.len()), (500, 0, MAX_SERVICES));
    assert_eq!(status.services[0].key, "/services/web/499");
}

#[test]
fn a_problem_that_stays_keeps_its_start() {
    let start = Instant::now();
    let mut notes = AnnouncerNotes::new(start);
    let file = |text: &str| (AnnouncedPart::File, text.to_owned());
    let said = |texts: &[&str]| texts.iter().map(|text| file(text)).collect::<Vec<_>>().into_iter();
    let since = |notes: &AnnouncerNotes| -> Vec<(String, Instant)> {
        notes.problems.iter().map(|(_, text, since)| (text.clone(), *since)).collect()
    };
    notes.set_problems(said(&["a"]), start);
    notes.set_problems(said(&["b", "a"]), start + S);
    assert_eq!(since(&notes), [("b".to_owned(), start + S), ("a".to_owned(), start)]);
    notes.set_problems(said(&[]), start + 2 * S);
    notes.set_problems(said(&["a"]), start + 3 * S);
    assert_eq!(since(&notes), [("a".to_owned(), start + 3 * S)]);
}
