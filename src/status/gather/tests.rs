//! The status of a board in each kind of trouble, and its views.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use expect_test::expect;

use super::*;
use crate::model::event::Event;
use crate::model::guard::{Guard, Live, RenderCount};
use crate::model::live_backends::ListedState;
use crate::model::note::SkippedKeys;
use crate::model::process::Usage;
use crate::model::report::{Outcome, Report, Stage, StepFailure};
use crate::model::resource::InstanceId;
use crate::model::status::{AxisAnswer, Cause, KeyFacts};
use crate::status::board::tests::{board, elsewhere, nginx, report, resource, resource_with};
use crate::status::board::{Lasting, PassNews, ResourceProgress};
use crate::status::{api, explain, metrics, terminal};

const NOW: u64 = 1_736_850_600;

fn look(now: Instant) -> Look {
    Look { now, unix_time: Duration::from_secs(NOW), running: BTreeMap::new() }
}

/// A pass with these changed keys, half a minute ago.
fn pass(board: &mut Board, id: &str, report: &Report, changed: &[&str], now: Instant) {
    let (backends, changed) = (BTreeMap::new(), changed.iter().copied().collect());
    let news = PassNews { backends: &backends, endpoints: &[], changed: &changed, now };
    board.record_pass(id, report, news, NOW - 30);
}

fn kinds(board: &Board, look: &Look) -> Vec<(ConditionKind, String)> {
    conditions(board, look).into_iter().map(|condition| (condition.kind, condition.subject)).collect()
}

/// `a` and `b` are in sync, `c` has a list of one backend that is up and one that is down.
fn healthy(now: Instant) -> Board {
    let mut board = board(now);
    pass(&mut board, "g1", &report(5, &["a.toml", "b.toml"], Outcome::Applied), &[], now);
    let mut applied = report(5, &["c.toml"], Outcome::Applied);
    applied.files = vec![PathBuf::from("/etc/c")];
    pass(&mut board, "g2", &applied, &["/v/1"], now);
    let backend = |address, key, announcer, state| ListedBackend { address, key, announcer, state, weight: 1 };
    let listed = vec![
        backend("10.0.0.1:80", "/v/1", "core-1", ListedState::Up),
        backend("10.0.0.2:80", "/v/2", "", ListedState::Down),
    ];
    let live = Arc::new(LiveBackends::new(listed, &BTreeSet::from(["/v/"]), None, NOW - 40));
    board.record_live(&"c.toml".into(), &live, NOW - 40);
    let ranges = crate::model::range::KeyRanges::default();
    let (entries, leases) = (Vec::new(), Vec::new());
    board.record_event(&Event::Snapshot { revision: Revision(5), ranges, refused: None, entries, leases }, now, NOW);
    board
}

#[test]
fn all_well_is_two_answers_of_yes_and_no_condition() {
    let now = Instant::now();
    let starting = copy(&board(now), &look(now)).status(LookedUp::default(), None, MAX_BACKENDS);
    assert_eq!((starting.sync.ok, starting.sync.answer), (None, AxisAnswer::Starting), "{:?}", starting.conditions);
    assert_eq!(starting.sync.summary, "starting: 0 of 2 groups in sync");
    let status = copy(&healthy(now), &look(now)).status(LookedUp::default(), None, MAX_BACKENDS);
    assert!(status.conditions.is_empty(), "{:?}", status.conditions);
    assert_eq!((status.sync.ok, status.service.ok), (Some(true), None), "no nginx is driven");
    assert_eq!(status.sync.summary, "in sync at revision 5");
    let again: Status = serde_json::from_str(&serde_json::to_string(&status).unwrap()).unwrap();
    assert_eq!(again, status, "what is written can be read");
    expect![[r#"
        in sync: yes  in sync at revision 5
        serving: no nginx  no resource reloads an nginx

        Upstreams
          /v  1 of 2 backends serving; updated by file, in /etc/c
            down     10.0.0.2:80           for 40 s, weight 1, /v/2
            up       10.0.0.1:80           for 40 s, weight 1, /v/1, by core-1

        Resources
          a.toml  in sync, /etc/a: revision wanted -, applied -, converged -, drained -
          b.toml  in sync, /etc/b: revision wanted -, applied -, converged -, drained -
          c.toml  in sync, /etc/c: revision wanted -, applied -, converged -, drained -

        nginx and stores
          etcd followed at revision 5: 
          upstreamd  on , process 0, up for 20102 d

        Last changes
          2025-01-14T10:29:30Z c.toml applied, key /v/1, 30.0 ms
          2025-01-14T10:29:30Z a.toml b.toml applied, 30.0 ms
    "#]]
    .assert_eq(&terminal::status(&status, false, None));
}

#[test]
fn each_trouble_is_a_condition_with_its_cause_and_is_gone_with_it() {
    let now = Instant::now();
    let mut board = healthy(now);
    let is_only = |board: &Board, look: &Look, kind: ConditionKind, subject: &str| {
        assert_eq!(kinds(board, look), [(kind, subject.to_owned())]);
    };
    let plain = look(now);
    let output = "nginx: [emerg] invalid value \"ele…\" in /etc/nginx/conf.d/a.conf:9\nnginx: test failed".to_owned();
    let refused = StepFailure { output, ..StepFailure::new(Stage::Check, "check_cmd `nginx -t`: exit status 1") };
    for (outcome, kind) in [
        (Outcome::Rejected(refused.clone()), ConditionKind::CheckRefused),
        (Outcome::Rejected(StepFailure::new(Stage::Stage, "disk full")), ConditionKind::Failed),
        (
            Outcome::RolledBack { cause: StepFailure::new(Stage::Verify, "refused"), reload_old: None },
            ConditionKind::ReloadRefused,
        ),
        (
            Outcome::ReloadOwed { cause: StepFailure::new(Stage::Reload, "not running"), nothing_runs: true },
            ConditionKind::ReloadOwed,
        ),
        (Outcome::Stuck { cause: refused.clone(), undo: refused.clone() }, ConditionKind::Stuck),
    ] {
        pass(&mut board, "g1", &report(6, &["a.toml"], outcome.clone()), &["/v/9"], now);
        is_only(&board, &plain, kind, "a.toml");
        // A repeat without a changed key keeps start and cause.
        pass(&mut board, "g1", &report(6, &["a.toml"], outcome), &[], now);
        let found = conditions(&board, &plain);
        assert!(found[0].causes.contains(&Cause::Key("/v/9".to_owned())), "{found:?}");
        assert_eq!(found[0].since, UnixTime(NOW - 30));
        pass(&mut board, "g1", &report(7, &["a.toml", "b.toml"], Outcome::Applied), &[], now);
        assert_eq!(kinds(&board, &plain), []);
    }
    board.problems = vec![Lasting { what: "conf.d/a.toml:3:1: unknown field `x`".to_owned(), since: 7 }];
    is_only(&board, &plain, ConditionKind::Broken, "conf.d/a.toml");
    assert_eq!(conditions(&board, &plain)[0].causes, [Cause::File("conf.d/a.toml:3:1".to_owned())]);
    board.problems.clear();
    let skipped = SkippedKeys { named: vec![("/v/x".to_owned(), "no address".to_owned())], total: 1 };
    board.record_render(&"c.toml".into(), skipped, 8);
    is_only(&board, &plain, ConditionKind::KeySkipped, "c.toml");
    board.record_render(&"c.toml".into(), SkippedKeys::default(), 9);
    // The change before was taken meanwhile.
    for since in [8, 9] {
        board.record_untaken(&BTreeMap::from([("c.toml".into(), since)]));
        is_only(&board, &plain, ConditionKind::Untaken, "c.toml");
        assert_eq!(conditions(&board, &plain)[0].since, UnixTime(since));
    }
    board.record_untaken(&BTreeMap::new());
    board.record_waits("g2", &BTreeMap::from([("c.toml".into(), vec!["/v/y".to_owned()])]), 9);
    is_only(&board, &plain, ConditionKind::Waiting, "c.toml");
    board.record_waits("g2", &BTreeMap::new(), 9);
    board.record_refusals(&BTreeMap::from([("b.toml".into(), "permission denied".to_owned())]), 9);
    is_only(&board, &plain, ConditionKind::KeysRefused, "b.toml");
    board.record_refusals(&BTreeMap::new(), 9);
    let lost = Event::Lost { problem: "no route".into(), retry_in: Duration::from_secs(3), is_lasting: false };
    board.record_event(&lost, now, NOW);
    is_only(&board, &plain, ConditionKind::StoreAway, "etcd");
    assert_eq!(conditions(&board, &plain)[0].next_try, Some(UnixTime(NOW + 3)));
    board.record_event(&Event::Regained, now, NOW);
    board.set_nginx(vec![nginx("/run/nginx.pid", false, &["g1"])], 9);
    is_only(&board, &plain, ConditionKind::NginxAway, "nginx");
    board.set_nginx(vec![nginx("/run/nginx.pid", true, &["g1"])], 9);
    board.set_workers([(12, NOW - 60)].into(), 2);
    board.set_workers([(12, NOW - 59)].into(), 2);
    is_only(&board, &plain, ConditionKind::OldWorkers, "nginx");
    assert_eq!(conditions(&board, &plain)[0].since, UnixTime(NOW - 60), "its start does not move");
    board.set_workers(BTreeMap::new(), 2);
    let none = Arc::new(LiveBackends::new(Vec::new(), &BTreeSet::from(["/v/"]), None, NOW));
    board.record_live(&"c.toml".into(), &none, 9);
    is_only(&board, &plain, ConditionKind::NoBackends, "c.toml");
    board.forget(&InstanceId::from("c.toml"), 9);
    let mut slow = look(now + Duration::from_secs(2));
    slow.running.insert("g2".to_owned(), (Stage::Reload, now));
    is_only(&board, &slow, ConditionKind::Slow, "c.toml");
    assert_eq!(conditions(&board, &slow)[0].causes, [Cause::Process("true".to_owned())]);
    slow.now = now;
    assert_eq!(kinds(&board, &slow), [], "it has just begun");
}

#[test]
fn before_conf_d_is_read_neither_view_says_yes() {
    let now = Instant::now();
    let check = |board: &Board, answers: (AxisAnswer, AxisAnswer), in_sync: &str| {
        let status = copy(board, &look(now)).status(LookedUp::default(), None, MAX_BACKENDS);
        assert_eq!((status.sync.answer, status.service.answer), answers);
        let page = metrics::page(board, &Usage::default(), &look(now));
        assert!(page.lines().any(|line| line == in_sync), "{in_sync}:\n{page}");
    };
    let unread = Board::new("etcd", now);
    check(&unread, (AxisAnswer::Starting, AxisAnswer::Starting), "upstreamd_in_sync 0");
    check(&unread, (AxisAnswer::Starting, AxisAnswer::Starting), "upstreamd_serving 0");
    check(&board(now), (AxisAnswer::Starting, AxisAnswer::NotAsked), "upstreamd_in_sync 0");
    check(&healthy(now), (AxisAnswer::Yes, AxisAnswer::NotAsked), "upstreamd_in_sync 1");
    let mut empty = Board::new("etcd", now);
    empty.record_load(std::iter::empty(), Vec::new(), 100);
    check(&empty, (AxisAnswer::NothingToSync, AxisAnswer::NotAsked), "upstreamd_in_sync 1");
}

#[test]
fn what_is_not_shown_counts_all_the_same() {
    let now = Instant::now();
    let mut board = Board::new("etcd", now);
    let resources: Vec<_> = (0..=MAX_CONDITIONS).map(|n| resource(&format!("r{n:03}"))).collect();
    board.record_load([("g", resources.as_slice())].into_iter(), Vec::new(), 100);
    let empty = Arc::new(LiveBackends::new(Vec::new(), &BTreeSet::from(["/v/"]), None, NOW));
    for resource in &resources[1..] {
        board.record_live(&InstanceId::from(&**resource.name()), &empty, 9);
    }
    let refused = StepFailure::new(Stage::Check, "exit status 1");
    pass(&mut board, "g", &report(6, &["r000.toml"], Outcome::Rejected(refused)), &[], now);
    let status = copy(&board, &look(now)).status(LookedUp::default(), None, MAX_BACKENDS);
    assert_eq!(status.conditions.len(), MAX_CONDITIONS);
    assert!(status.conditions.iter().all(|condition| condition.kind == ConditionKind::NoBackends));
    assert_eq!((status.sync.ok, status.sync.summary.as_str()), (Some(false), "check refused"));
    assert_eq!(status.groups[0].resources[0].conditions, [ConditionKind::CheckRefused]);
    let everything = copy(&board, &look(now)).status(LookedUp::default(), Some(EVERYTHING), MAX_BACKENDS);
    let explained = explain::explain(&everything, "r000.toml", &KeyFacts::default());
    assert_eq!(explained.conditions.len(), 1, "{explained:?}");
}

#[test]
fn every_member_of_a_failing_group_shows_it() {
    let now = Instant::now();
    let mut board = Board::new("etcd", now);
    let mut resources: Vec<_> = (0..50).map(|n| resource(&format!("r {n:02}"))).collect();
    resources.push(resource("good"));
    let names: Vec<&str> = resources.iter().map(|resource| &**resource.name()).collect();
    board.record_load([("g", resources.as_slice())].into_iter(), Vec::new(), 100);
    let state_of = |board: &Board, look: &Look, kinds: &[ConditionKind], state: &str, count: usize| {
        let status = copy(board, look).status(LookedUp::default(), Some(EVERYTHING), MAX_BACKENDS);
        let is_so = |row: &&ResourceStatus| row.conditions == kinds && row.state == state;
        assert_eq!(status.groups[0].resources.iter().filter(is_so).count(), count, "{kinds:?} {state}");
        status
    };
    state_of(&board, &look(now), &[], "waiting", 51);
    let owed = Outcome::ReloadOwed { cause: StepFailure::new(Stage::Reload, "not running"), nothing_runs: true };
    pass(&mut board, "g", &report(6, &names[..50], owed), &[], now);
    let status = state_of(&board, &look(now), &[ConditionKind::ReloadOwed], "reload_owed", 50);
    let explained = explain::explain(&status, "r 49.toml", &KeyFacts::default());
    assert_eq!(explained.conditions.len(), 1, "{explained:?}");
    state_of(&board, &look(now), &[], "in_sync", 1);
    let first_cause = |board: &Board| conditions(board, &look(now)).pop().unwrap().causes.remove(0);
    assert_eq!(first_cause(&board), Cause::Process("true".to_owned()), "the command that failed");
    board.set_nginx(vec![nginx("/run/nginx.pid", false, &["g"])], 9);
    assert_eq!(first_cause(&board), Cause::Process("nginx of /run/nginx.pid".to_owned()), "a key only waits with it");
    board.set_nginx(Vec::new(), 9);
    // Each in its own way, so that not all of them can be named.
    let failure = |n: usize| StepFailure::new(Stage::Render, format!("way {n}"));
    let dropped = names[..50].iter().enumerate().map(|(n, name)| (InstanceId::from(*name), failure(n))).collect();
    pass(&mut board, "g", &Report { dropped, ..report(7, &names, Outcome::Applied) }, &[], now);
    state_of(&board, &look(now), &[ConditionKind::Failed], "incomplete", 50);
    pass(&mut board, "g", &report(8, &names, Outcome::Applied), &[], now);
    let mut slow = look(now + Duration::from_secs(2));
    slow.running.insert("g".to_owned(), (Stage::Reload, now));
    state_of(&board, &slow, &[ConditionKind::Slow], "in_sync", 51);
}

#[test]
fn an_explanation_goes_from_the_key_to_nginx() {
    let now = Instant::now();
    let mut board = healthy(now);
    let skipped = SkippedKeys { named: vec![("/v/x".to_owned(), "no address".to_owned())], total: 1 };
    board.record_render(&"c.toml".into(), skipped, NOW - 10);
    board.record_progress("c.toml", ResourceProgress { seen: Some(Revision(5)), ..ResourceProgress::default() });
    let status = copy(&board, &look(now)).status(LookedUp::default(), Some(EVERYTHING), MAX_BACKENDS);
    let explained = |of: &str, facts: &KeyFacts| {
        let explanation = explain::explain(&status, of, facts);
        terminal::explanation(&explanation, UnixTime(NOW), false)
    };
    let stores = vec![("the store".to_owned(), 5, Some(11))];
    let facts = KeyFacts { stores, readers: vec!["c.toml".to_owned()], ..KeyFacts::default() };
    expect![[r#"
        ok store    the store has /v/1 (11 bytes), read at revision 5
           resource c.toml renders c.tmpl to /etc/c from /v
        ok file     /etc/c is in sync, last confirmed at 2025-01-14T10:29:30Z
        ok backend  /v/1 is the backend 10.0.0.1:80 in /etc/c, up since 2025-01-14T10:29:20Z, weight 1, announced by core-1
        ok change   its last change, at 2025-01-14T10:29:30Z (revision 5), came from /v/1: applied

        Nothing stands in the way.
    "#]]
    .assert_eq(&explained("/v/1", &facts));
    let stores = vec![("the store".to_owned(), 5, Some(3))];
    let skipped = Some("no address".to_owned());
    let facts = KeyFacts { stores, skipped, readers: vec!["c.toml".to_owned()], ..KeyFacts::default() };
    let text = explained("/v/x", &facts);
    assert!(text.contains("NO backend  /v/x is no backend and is left out: no address"), "{text}");
    assert!(text.contains("In the way\nkey skipped: c.toml: 1 key is left out"), "{text}");
    let text = explained("/elsewhere", &KeyFacts::default());
    assert!(text.starts_with("NO resource /elsewhere is no key that a resource sees"), "{text}");
    for of in ["c.toml", "c", "/etc/c", "10.0.0.2:80"] {
        assert!(explain::explain(&status, of, &KeyFacts::default()).is_known, "{of}");
    }
}

#[test]
fn an_explanation_is_of_the_resource_itself_its_store_and_its_key() {
    let now = Instant::now();
    let mut board = healthy(now);
    let explained = |board: &Board, of: &str, facts: &KeyFacts| {
        let status = copy(board, &look(now)).status(LookedUp::default(), Some(EVERYTHING), MAX_BACKENDS);
        terminal::explanation(&explain::explain(&status, of, facts), UnixTime(NOW), false)
    };
    // One member is refused: the other is good.
    let dropped = vec![("a.toml".into(), StepFailure::new(Stage::Render, "no"))];
    pass(&mut board, "g1", &Report { dropped, ..report(6, &["a.toml", "b.toml"], Outcome::Applied) }, &[], now);
    let text = explained(&board, "b.toml", &KeyFacts::default());
    assert!(text.contains("ok file     /etc/b is in sync") && text.contains("Nothing stands in the way"), "{text}");
    let text = explained(&board, "a.toml", &KeyFacts::default());
    assert!(text.contains("NO file     /etc/a is not in sync (failed)"), "{text}");
    // A key that is neither among the named ones nor alone.
    let named = (0..20).map(|n| (format!("/v/{n:02}"), "no port".to_owned())).collect();
    board.record_render(&"c.toml".into(), SkippedKeys { named, total: 21 }, NOW - 10);
    let readers = vec!["c.toml".to_owned()];
    let facts = KeyFacts { skipped: Some("no address".to_owned()), readers, ..KeyFacts::default() };
    let text = explained(&board, "/v/z", &facts);
    assert!(text.contains("NO backend  /v/z is no backend and is left out: no address"), "{text}");
    assert!(text.contains("  reason     no address\n  cause      key /v/z\n"), "{text}");
    let text = explained(&board, "/v/1", &KeyFacts { skipped: None, ..facts.clone() });
    assert!(text.contains("Nothing stands in the way"), "{text}");
    let stores = vec![("the store".to_owned(), 7, None)];
    let text = explained(&board, "/v/1", &KeyFacts { skipped: None, stores, ..facts });
    assert!(text.contains("NO store    the store has no /v/1") && !text.contains("Nothing stands"), "{text}");
    // The store of its own, and that of the settings.
    let lost = || Event::Lost { problem: "no route".into(), retry_in: Duration::from_secs(3), is_lasting: false };
    let groups = [("g1", vec![resource("a")]), ("g2", vec![elsewhere("c")])];
    board.record_load(groups.iter().map(|(id, resources)| (*id, resources.as_slice())), Vec::new(), 100);
    let name = elsewhere("c").backend.as_ref().unwrap().to_string();
    board.record_event(&lost(), now, NOW);
    assert!(!explained(&board, "c.toml", &KeyFacts::default()).contains("store unreachable"));
    assert!(explained(&board, "a.toml", &KeyFacts::default()).contains("store unreachable: etcd cannot"));
    board.record_event(&Event::Regained, now, NOW);
    board.store.record_other_event(&name, &lost(), now, NOW);
    assert!(!explained(&board, "a.toml", &KeyFacts::default()).contains("store unreachable"));
    assert!(explained(&board, "c.toml", &KeyFacts::default()).contains("store unreachable"));
}

#[test]
fn an_nginx_that_is_away_says_nothing_of_a_different_one() {
    let now = Instant::now();
    let mut board = Board::new("etcd", now);
    let driving = |name: &str| resource_with(name, "reload = \"nginx\"\n");
    let groups = [("g1", vec![driving("a")]), ("g2", vec![driving("b")])];
    board.record_load(groups.iter().map(|(id, resources)| (*id, resources.as_slice())), Vec::new(), 100);
    let listed =
        ListedBackend { address: "10.0.0.1:80", key: "/v/1", announcer: "", state: ListedState::Up, weight: 1 };
    let live = Arc::new(LiveBackends::new(vec![listed], &BTreeSet::from(["/v/"]), None, NOW));
    for name in ["a", "b"] {
        pass(&mut board, if name == "a" { "g1" } else { "g2" }, &report(5, &[], Outcome::Applied), &[], now);
        board.record_live(&InstanceId::from(format!("{name}.toml").as_str()), &live, NOW);
    }
    let seen = |runs: [bool; 2]| vec![nginx("/a.pid", runs[0], &["g1"]), nginx("/b.pid", runs[1], &["g2"])];
    let serving = |board: &Board| {
        let status = copy(board, &look(now)).status(LookedUp::default(), None, MAX_BACKENDS);
        status.upstreams.iter().map(|list| list.serving).collect::<Vec<_>>()
    };
    board.set_nginx(seen([true, true]), NOW - 9);
    assert_eq!(serving(&board), [1, 1]);
    board.set_nginx(seen([false, true]), NOW - 8);
    assert_eq!(serving(&board), [0, 1]);
    board.set_nginx(seen([false, false]), NOW - 5);
    let since = |pid_file: &str| copy(&board, &look(now)).nginx_away_since(&nginx(pid_file, false, &[]).place);
    assert_eq!((since("/a.pid"), since("/b.pid")), (Some(UnixTime(NOW - 8)), Some(UnixTime(NOW - 5))));
    let found = conditions(&board, &look(now));
    let away: Vec<_> =
        found.iter().map(|condition| (condition.subject.as_str(), condition.resources.join(" "))).collect();
    assert_eq!(away, [("nginx of /a.pid", "a.toml".to_owned()), ("nginx of /b.pid", "b.toml".to_owned())]);
    board.set_nginx(seen([true, true]), NOW);
    assert_eq!(copy(&board, &look(now)).status(LookedUp::default(), None, 0).service.ok, Some(true));
}

#[test]
fn a_file_that_is_only_checked_by_nginx_is_not_driven_by_a_reload() {
    let check = |lines: &str, expected: &str| {
        let mut board = Board::new("etcd", Instant::now());
        let groups = [("g", vec![resource_with("a", lines)])];
        board.record_load(groups.iter().map(|(id, resources)| (*id, resources.as_slice())), Vec::new(), 100);
        let live = Arc::new(LiveBackends::new(Vec::new(), &BTreeSet::from(["/v/"]), None, NOW));
        board.record_live(&InstanceId::from("a.toml"), &live, NOW);
        let status = copy(&board, &look(Instant::now())).status(LookedUp::default(), None, MAX_BACKENDS);
        assert_eq!(status.upstreams[0].driven_by, expected, "{lines}");
    };
    check("check_cmd = \"nginx -t\"\n", "file");
    check("check_cmd = \"nginx -t\"\nreload_cmd = \"reload.sh\"\n", "reload");
    check("reload = \"nginx\"\n", "reload");
}

#[test]
fn the_version_of_a_status_changes_with_what_it_says() {
    let now = Instant::now();
    let board = healthy(now);
    let at = |seconds: u64| {
        let look = Look { unix_time: Duration::from_secs(NOW + seconds), ..look(now + Duration::from_secs(seconds)) };
        copy(&board, &look)
    };
    let version = |copied: &Copied| {
        api::StatusText::json(copied.status(LookedUp::default(), None, MAX_BACKENDS)).version().to_owned()
    };
    let (before, later) = (at(0), at(1));
    assert!(before.shows_the_same(&later) && version(&before) == version(&later));
    let with_lease = |left_seconds: u64| {
        let mut status = before.status(LookedUp::default(), None, MAX_BACKENDS);
        status.stores[0].receipt_lease = Some(ReceiptLease { left_seconds, ..ReceiptLease::default() });
        api::StatusText::json(status).version().to_owned()
    };
    assert!(with_lease(30) == with_lease(29) && with_lease(30) != version(&before), "it runs out by itself");
    let mut board = board;
    board.set_workers([(12, NOW - 60)].into(), 2);
    let copied = copy(&board, &look(now));
    assert!(!copied.shows_the_same(&before) && version(&copied) != version(&before));
}

#[test]
fn a_change_names_the_keys_of_passes_that_came_to_nothing() {
    let now = Instant::now();
    let mut board = healthy(now);
    let last_keys = |board: &Board| {
        let status = copy(board, &look(now)).status(LookedUp::default(), None, MAX_BACKENDS);
        status.changes[0].keys.named.clone()
    };
    let refused = || Outcome::Rejected(StepFailure::new(Stage::Check, "no"));
    pass(&mut board, "g2", &report(6, &["c.toml"], refused()), &["/v/1"], now);
    let found = RenderCount { calls_backends: true, ..RenderCount::default() };
    let decision = Guard::default().decide(found, Live { has_file: true, count: Some(2), held_since: None }, now);
    assert!(decision.keeps_file());
    let held = vec![("c.toml".into(), decision)];
    pass(&mut board, "g2", &Report { held, ..report(7, &["c.toml"], Outcome::Unchanged) }, &["/v/2"], now);
    pass(&mut board, "g2", &report(8, &["c.toml"], Outcome::Applied), &["/v/3"], now);
    assert_eq!(last_keys(&board), ["/v/1", "/v/2", "/v/3"]);
    pass(&mut board, "g2", &report(9, &["c.toml"], Outcome::Applied), &["/v/4"], now);
    assert_eq!(last_keys(&board), ["/v/4"]);
}

#[test]
fn a_backend_that_the_store_no_longer_has_is_marked() {
    let now = Instant::now();
    let mut board = healthy(now);
    let backend =
        ListedBackend { address: "10.0.0.2:80", key: "/v/2", announcer: "", state: ListedState::Up, weight: 1 };
    let has = Arc::new(LiveBackends::new(vec![backend], &BTreeSet::from(["/v/"]), None, NOW));
    board.record_store_has("g2", &[("c.toml".into(), has)]);
    let status = copy(&board, &look(now)).status(LookedUp::default(), None, MAX_BACKENDS);
    let gone: Vec<_> = status.upstreams[0].backends.iter().map(|line| (line.key.as_str(), line.is_gone)).collect();
    assert_eq!(gone, [("/v/2", false), ("/v/1", true)]);
    let text = terminal::status(&status, false, None);
    assert!(text.contains("10.0.0.1:80           for 40 s, gone from the store, weight 1, /v/1"), "{text}");
}
