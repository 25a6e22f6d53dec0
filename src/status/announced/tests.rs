//! Answers of announcers, good and hostile, and what they mean.

use super::*;
use crate::model::status::{AnnouncedPart, AnnouncerStore, ServiceFileProblem};

fn service(key: &str, state: AnnouncedState, since: u64) -> AnnouncedService {
    AnnouncedService {
        key: key.to_owned(),
        state,
        since: UnixTime(since),
        reason: format!("why {key}"),
        ..AnnouncedService::default()
    }
}

fn announcer(services: Vec<AnnouncedService>) -> AnnouncerStatus {
    AnnouncerStatus { format: FORMAT, pid: 7, total: services.len(), services, ..AnnouncerStatus::default() }
}

fn said(text: &str) -> AnnouncerStatus {
    let answer = AnnouncerAnswer { socket: "/s".to_owned(), pid: 7, said: Ok(text.to_owned()) };
    read(vec![answer]).remove(0)
}

#[test]
fn what_an_announcer_says_is_read_and_bounded() {
    let whole = announcer(vec![service("/a", AnnouncedState::Held, 5)]);
    let read = said(&serde_json::to_string(&whole).unwrap());
    assert_eq!(read, AnnouncerStatus { socket: "/s".to_owned(), ..whole.clone() });
    let hostile = AnnouncerStatus {
        pid: 1,
        total: usize::MAX,
        announced: usize::MAX,
        version: "x".repeat(100_000),
        services: vec![service(&"<".repeat(100_000), AnnouncedState::Held, 5); 1000],
        ..whole
    };
    let read = said(&serde_json::to_string(&hostile).unwrap());
    assert!(serde_json::to_string(&read).unwrap().len() < 500_000);
    assert_eq!((read.pid, read.services.len()), (7, MAX_LINES));
    assert!(read.total < usize::MAX / 2 && read.announced <= read.total);
}

#[test]
fn an_answer_that_is_none_is_shown_as_none() {
    for (text, expected) in [
        ("", "its answer is not understood: EOF"),
        ("<html>", "its answer is not understood: expected value"),
        ("{}", "its answer has format 0"),
        (r#"{"format":2}"#, "its answer has format 2"),
        (r#"{"format":1,"services":7}"#, "its answer is not understood: invalid type"),
    ] {
        let silent = said(text).silent.unwrap_or_default();
        assert!(silent.starts_with(expected), "{text}: {silent}");
    }
    // A newer one may have members and states that nobody here knows.
    let newer = said(r#"{"format":1,"total":1,"more":[],"services":[{"key":"/a","state":"dreaming","more":1}]}"#);
    assert_eq!(newer.services[0].state, AnnouncedState::Unknown);
}

#[test]
fn what_is_not_announced_is_a_notice_with_its_keys() {
    let found = |announcer: AnnouncerStatus| -> Vec<String> {
        let found = conditions(&[announcer], &BTreeMap::new(), UnixTime(100));
        assert!(found.iter().all(|condition| condition.kind == ConditionKind::NotAnnounced));
        let causes = |condition: &Condition| condition.causes.iter().map(Cause::name).collect::<Vec<_>>().join(" ");
        let text = |condition: &Condition| {
            format!("{} | {} | {} | {}", condition.summary, condition.reason, causes(condition), condition.since.0)
        };
        found.iter().map(text).collect()
    };
    let process = "upstreamd announce, process 7";
    assert!(found(announcer(vec![service("/a", AnnouncedState::Announced, 5)])).is_empty());
    let one = announcer(vec![service("/a", AnnouncedState::Held, 5), service("/b", AnnouncedState::Announced, 6)]);
    assert_eq!(found(one), [format!("/a: somebody else holds the key | why /a | /a {process} | 5")]);
    let two = announcer(vec![service("/b", AnnouncedState::Unhealthy, 9), service("/a", AnnouncedState::Unhealthy, 5)]);
    assert_eq!(found(two), [format!("2 keys: the check fails | /b: why /b; /a: why /a | /b /a {process} | 5")]);
    let many = announcer(vec![service("/a", AnnouncedState::Unhealthy, 5); 200]);
    assert_eq!(conditions(&[many], &BTreeMap::new(), UnixTime(100))[0].causes.len(), MAX_CAUSES);
    let broken = AnnouncerStatus {
        etcd: AnnouncerStore { away_since: Some(UnixTime(8)), problem: "no route".to_owned(), member: None },
        problems: vec![
            ServiceFileProblem { text: "a.toml:3:1: wrong".to_owned(), since: UnixTime(9), ..Default::default() },
            ServiceFileProblem { of: AnnouncedPart::Folder, text: "closed".to_owned(), since: UnixTime(9) },
            ServiceFileProblem {
                of: AnnouncedPart::Services,
                text: "no services in `x`".to_owned(),
                since: UnixTime(9),
            },
        ],
        ..announcer(Vec::new())
    };
    let expected = [
        format!("announcer 7 cannot reach etcd; its keys stay until their leases expire | no route | {process} | 8"),
        format!(
            "announcer 7: a service file has an error; its last good version stays | a.toml:3:1: wrong | {process} | 9"
        ),
        format!(
            "announcer 7: a folder of service files cannot be read; the services that were read from it stay | closed | \
             {process} | 9"
        ),
        format!("announcer 7: it has no services to announce | no services in `x` | {process} | 9"),
    ];
    assert_eq!(found(broken), expected);
    let silent = AnnouncerStatus { socket: "/s".into(), silent: Some("no answer".into()), ..announcer(Vec::new()) };
    assert_eq!(
        found(silent),
        [format!("announcer 7 does not say what it announces | /s: no answer | {process} | 100")]
    );
}

#[test]
fn only_what_matters_changes_the_number() {
    let base = || announcer(vec![service("/a", AnnouncedState::Held, 5)]);
    let print = |announcer: AnnouncerStatus| fingerprint(&[announcer]);
    let mut checked = base();
    checked.services[0].check.at = Some(UnixTime(50));
    assert_eq!(print(checked), print(base()));
    let mut healed = base();
    healed.services[0].state = AnnouncedState::Announced;
    assert_ne!(print(healed), print(base()));
    assert_ne!(print(AnnouncerStatus { silent: Some("gone".into()), ..base() }), print(base()));
    assert_ne!(fingerprint(&[]), print(base()));
}

#[test]
fn a_silence_keeps_its_start_until_it_ends() {
    let silent = |pid: u32| AnnouncerStatus { pid, silent: Some("no answer".to_owned()), ..announcer(Vec::new()) };
    let mut known = BTreeMap::new();
    let mut look = |announcers: &[AnnouncerStatus], at: u64| {
        known = silent_since(announcers, &known, UnixTime(at));
        let found = conditions(announcers, &known, UnixTime(at));
        found.iter().map(|condition| condition.since.0).collect::<Vec<_>>()
    };
    assert_eq!(look(&[silent(1)], 100), [100]);
    assert_eq!(look(&[silent(1), silent(2)], 110), [100, 110]);
    assert_eq!(look(&[announcer(Vec::new()), silent(2)], 120), [110]);
    assert_eq!(look(&[silent(1), silent(2)], 130), [130, 110]);
}
