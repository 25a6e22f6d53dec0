//! The board after loads, events and passes.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::model::difference::Difference;
use crate::model::live_backends::{ListedBackend, ListedState, LiveBackends, LiveFiles};
use crate::model::nginx::NginxPlace;
use crate::model::note::SkippedKeys;
use crate::model::report::{CommandKind, CommandRun, Stage, StepFailure, Verified};
use crate::status::answers;
use crate::status::board::store::{GET_VALUES, WATCH_PREFIX};
use crate::status::conditions::{Look, conditions};

use crate::config::resource::{Defaults, ResourceFile, parse};
use crate::model::range::KeyRanges;
use crate::model::resource::InstanceId;

/// A resource `NAME.toml` that writes `/etc/NAME`.
pub(crate) fn resource(name: &str) -> Arc<Resource> {
    resource_with(name, "reload_cmd = \"true\"\n")
}

/// The same, read from an etcd of its own.
pub(crate) fn elsewhere(name: &str) -> Arc<Resource> {
    resource_with(name, "reload_cmd = \"true\"\n[backend]\nbackend = \"etcd\"\nnodes = [\"http://b:2379\"]\n")
}

/// The same with these lines instead of its reload.
pub(crate) fn resource_with(name: &str, lines: &str) -> Arc<Resource> {
    let text = format!("[template]\nsrc = \"{name}.tmpl\"\ndest = \"/etc/{name}\"\nkeys = [\"/v\"]\n{lines}");
    let file = ResourceFile { name: format!("{name}.toml").into(), path: format!("{name}.toml").into(), text };
    Arc::new(parse(&file, &Defaults::default()).unwrap())
}

/// A board of two groups: `a` with resources `a` and `b`, and `c` alone.
pub(crate) fn board(now: Instant) -> Board {
    let mut board = Board::new("etcd", now);
    let groups = [("g1", vec![resource("a"), resource("b")]), ("g2", vec![resource("c")])];
    board.record_load(groups.iter().map(|(id, resources)| (*id, resources.as_slice())), Vec::new(), 100);
    board
}

impl Board {
    /// Records the backends of one file of a resource.
    pub(crate) fn record_live(&mut self, id: &InstanceId, live: &Arc<LiveBackends>, unix_seconds: u64) {
        let mut files = self.files(&id.resource);
        files.insert(id.clone(), Some(Arc::clone(live)));
        self.record_files(&id.resource, files, unix_seconds);
    }

    /// Forgets one file of a resource.
    pub(crate) fn forget(&mut self, id: &InstanceId, unix_seconds: u64) {
        let mut files = self.files(&id.resource);
        files.remove(id);
        self.record_files(&id.resource, files, unix_seconds);
    }

    fn files(&self, name: &str) -> LiveFiles {
        self.resources[name].live.iter().map(|(id, live)| (id.clone(), Some(Arc::clone(live)))).collect()
    }

    /// Records a pass of which nothing more is known.
    pub(crate) fn pass(&mut self, id: &str, report: &Report, unix_seconds: u64) -> Option<FailedPasses> {
        let (backends, changed) = Default::default();
        let news = PassNews { backends: &backends, endpoints: &[], changed: &changed, now: Instant::now() };
        self.record_pass(id, report, news, unix_seconds)
    }
}

/// Returns the board in one line.
fn line(board: &Board) -> String {
    let look = Look { now: Instant::now(), unix_time: Duration::from_secs(200), running: BTreeMap::new() };
    answers::line(board, &conditions(board, &look))
}

/// An nginx that these groups drive.
pub(crate) fn nginx(pid_file: &str, runs: bool, groups: &[&str]) -> SeenNginx {
    let place = NginxPlace { pid_file: pid_file.into(), binary: "nginx".into(), error_log: "/log".into() };
    SeenNginx { place, runs, groups: groups.iter().map(|id| (*id).to_owned()).collect() }
}

/// So many skipped keys.
pub(crate) fn skipped(total: usize) -> SkippedKeys {
    SkippedKeys { named: Vec::new(), total }
}

pub(crate) fn report(revision: i64, names: &[&str], outcome: Outcome) -> Report {
    let resources = names.iter().map(|name| Arc::from(*name)).collect();
    Report { resources, outcome, elapsed: Duration::from_millis(30), ..Report::unchanged(Revision(revision)) }
}

fn failure(at: Stage) -> StepFailure {
    StepFailure { output: "output that may be long".into(), ..StepFailure::new(at, "exit status 1") }
}

fn snapshot(revision: i64) -> Event {
    Event::Snapshot {
        revision: Revision(revision),
        ranges: KeyRanges::default(),
        refused: None,
        entries: Vec::new(),
        leases: Vec::new(),
    }
}

#[test]
fn ready_takes_every_group_tried_one_live_and_a_store_that_is_followed() {
    let now = Instant::now();
    let mut board = board(now);
    assert_eq!(board.readiness(), Readiness::NotApplied("nothing has been applied yet".into()));
    board.pass("g1", &report(5, &["a.toml", "b.toml"], Outcome::Rejected(failure(Stage::Check))), 100);
    let why = "a.toml b.toml: check failed: exit status 1";
    assert_eq!(board.readiness(), Readiness::NotApplied(why.into()), "no output of commands");
    assert!(!line(&board).contains("may be long"), "nor in systemd's line: {}", line(&board));
    board.pass("g2", &report(5, &["c.toml"], Outcome::Applied), 100);
    assert_eq!(board.readiness(), Readiness::Ready, "a broken group does not hold up the others");
    assert_eq!(line(&board), format!("not in sync: check refused; {why}"));
    let problem = "cannot connect".to_owned();
    board.record_event(&Event::Lost { problem, retry_in: Duration::ZERO, is_lasting: false }, now, 100);
    assert_eq!(board.readiness(), Readiness::StoreLost("cannot connect".into()));
    assert!(board.has_applied());
    let summary =
        format!("not in sync: store unreachable, check refused; cannot follow the store: cannot connect; {why}");
    assert_eq!((line(&board), board.in_trouble_since("g1")), (summary, Some(100)));
    board.record_event(&Event::Regained, now, 100);
    board.pass("g1", &report(6, &["a.toml", "b.toml"], Outcome::Applied), 101);
    assert_eq!((board.readiness(), line(&board)), (Readiness::Ready, "in sync at revision 6".into()));
}

#[test]
fn a_reload_waiting_for_nginx_is_ready_and_a_failed_one_is_not() {
    for (nothing_runs, expected) in [(true, true), (false, false)] {
        let mut board = board(Instant::now());
        let owed = Outcome::ReloadOwed { cause: failure(Stage::Reload), nothing_runs };
        board.pass("g1", &report(5, &["a.toml", "b.toml"], owed.clone()), 100);
        board.pass("g2", &report(5, &["c.toml"], owed), 100);
        assert_eq!((board.has_applied(), board.reloads_owed()), (expected, 2));
    }
}

#[test]
fn an_nginx_that_is_away_is_said_once_and_is_no_failure() {
    let mut board = board(Instant::now());
    let away = "nginx is not running (no master by `/run/nginx.pid`)";
    board.set_nginx(vec![nginx("/run/nginx.pid", false, &["g1", "g2"])], 100);
    let cause = StepFailure::new(Stage::Reload, format!("{away}; it reads the files when it starts"));
    board.pass("g1", &report(5, &["a.toml"], Outcome::Applied), 100);
    let owed = Outcome::ReloadOwed { cause, nothing_runs: true };
    board.pass("g2", &report(5, &["c.toml"], owed), 100);
    let at = "nginx is not running: the pid file `/run/nginx.pid` names no running master process";
    let expected = format!(
        "not in sync: reload owed; not serving: nginx down; {at}; c.toml: the reload is owed: {away}; it reads the files when it starts"
    );
    assert_eq!(line(&board), expected);
    board.pass("g2", &report(5, &["c.toml"], Outcome::Applied), 101);
    assert_eq!(line(&board), format!("in sync at revision 5; not serving: nginx down; {at}"));
}

#[test]
fn a_missing_program_and_a_broken_file_are_named_in_the_summary() {
    let mut board = board(Instant::now());
    board.pass("g1", &report(5, &["a.toml"], Outcome::Applied), 100);
    assert!(!board.is_up_to_date());
    board.pass("g2", &report(5, &["c.toml"], Outcome::Unchanged), 100);
    assert!(board.is_up_to_date());
    assert_eq!(board.passes_with_work(), 1, "one had nothing to do");
    let output = "/bin/sh: 1: nginxx: not found\n".to_owned();
    let cause = StepFailure { output, ..StepFailure::new(Stage::Check, "check_cmd `nginxx -t`: exit status 127") };
    board.pass("g2", &report(5, &["c.toml"], Outcome::Rejected(cause)), 100);
    board.problems = vec![Lasting { what: "a.toml:3:1: unknown field".to_owned(), since: 100 }];
    let expected = "not in sync: check refused, file error; c.toml: check failed: check_cmd `nginxx -t`: exit status 127: \
                    nginxx: not found; a.toml:3:1: unknown field";
    assert_eq!(line(&board), expected);
}

#[test]
fn what_makes_an_answer_no_is_in_the_line() {
    let mut board = board(Instant::now());
    board.pass("g1", &report(5, &["a.toml", "b.toml"], Outcome::Applied), 100);
    board.pass("g2", &report(5, &["c.toml"], Outcome::Applied), 100);
    assert_eq!(line(&board), "in sync at revision 5");
    let named = vec![("/v/x".to_owned(), "no address".to_owned())];
    board.record_render(&"c.toml".into(), SkippedKeys { named, total: 1 }, 100);
    board.record_untaken(&BTreeMap::from([("a.toml".into(), 100)]));
    board.record_files("b.toml", [("b.toml".into(), Some(lists(&[("/v/", false)])))].into(), 100);
    let expected = "not in sync: not taken, key skipped; not serving: no backends; b.toml: no backend of /v gets traffic; \
                    a.toml: nginx has not asked for its changed endpoints yet; c.toml: /v/x: no address";
    assert_eq!(line(&board), expected);
}

#[test]
fn with_nothing_to_apply_it_is_ready_unless_conf_d_has_problems() {
    for (problems, expected) in [(Vec::new(), true), (vec!["a.toml: wrong".to_owned()], false)] {
        let mut board = Board::new("file", Instant::now());
        board.record_load(std::iter::empty(), problems, 100);
        assert_eq!(board.has_applied(), expected);
    }
}

#[test]
fn passes_reloads_and_commands_are_counted_by_outcome() {
    let mut board = board(Instant::now());
    let millis = Duration::from_millis;
    let verified = Verified {
        accepted: millis(10),
        healthy: millis(20),
        converged: None,
        generation: None,
        serving: 2,
        leaving: BTreeSet::new(),
        asked_at: Instant::now(),
        evidence: None,
    };
    let run = |kind, succeeded| CommandRun { kind, elapsed: millis(7), succeeded };
    let applied = Report {
        verified: Some(verified),
        reload_ran: true,
        files: vec!["/etc/a".into()],
        commands: vec![run(CommandKind::Check, true), run(CommandKind::Reload, true)],
        ..report(5, &["a.toml", "b.toml"], Outcome::Applied)
    };
    board.pass("g1", &applied, 100);
    let rolled_back = Outcome::RolledBack { cause: failure(Stage::Verify), reload_old: Some(failure(Stage::Reload)) };
    let commands = vec![run(CommandKind::Check, true), run(CommandKind::Reload, false)];
    board.pass("g1", &Report { commands, ..report(6, &["a.toml"], rolled_back) }, 101);
    board.pass("g1", &report(6, &["a.toml"], Outcome::Rejected(failure(Stage::Check))), 102);
    assert_eq!(board.passes, BTreeMap::from([("applied", 1), ("rejected", 1), ("rolled_back", 1)]));
    assert_eq!(board.reloads, BTreeMap::from([("rolled_back", 1), ("verified", 1)]));
    assert_eq!(board.totals.commands, BTreeMap::from([("check", (2, 0)), ("reload", (1, 1))]));
    assert_eq!((board.totals.succeeded, board.totals.failed, board.totals.replaced), (2, 2, 1));
    let group = &board.groups["a.toml"];
    assert_eq!((group.applied_revision, group.applied_at, group.failures), (Some(Revision(5)), Some(100), 2));
    assert_eq!(group.state, State::Rejected);
    assert!(group.owed_since.is_none(), "the previous reload is what the last pass left");
    assert_eq!(board.verify_times.keys().copied().collect::<Vec<_>>(), ["accepted", "healthy"]);
}

#[test]
fn a_resource_that_drops_out_is_failing_until_it_takes_part_again() {
    let mut board = board(Instant::now());
    let dropped = vec![("a.toml".into(), failure(Stage::Render))];
    board.pass("g1", &Report { dropped, ..report(5, &["b.toml"], Outcome::Applied) }, 100);
    assert_eq!(board.groups["a.toml"].state, State::Incomplete);
    assert!(board.resources["a.toml"].is_failing && !board.resources["b.toml"].is_failing);
    board.pass("g1", &report(6, &["a.toml"], Outcome::Applied), 101);
    assert_eq!(board.groups["a.toml"].state, State::InSync);
    assert!(!board.resources["a.toml"].is_failing);
}

#[test]
fn a_problem_is_said_of_the_member_that_has_it_with_the_words_of_nginx() {
    let mut board = board(Instant::now());
    let output = "nginx: [emerg] unknown directive \"b\" in /etc/b:1\nnginx: test failed".to_owned();
    let dropped = vec![("b.toml".into(), StepFailure { output, ..failure(Stage::Check) })];
    board.pass("g1", &Report { dropped, ..report(5, &["a.toml", "b.toml"], Outcome::Unchanged) }, 100);
    board.pass("g2", &report(5, &["c.toml"], Outcome::Applied), 100);
    let why = "b.toml: check failed: exit status 1: unknown directive \"b\" in /etc/b:1";
    assert_eq!(line(&board), format!("not in sync: check refused; {why}"));
    let group = &board.groups["a.toml"];
    assert_eq!(group.left.failing, BTreeSet::from(["b.toml".into()]));
    board.pass("g1", &report(6, &["a.toml", "b.toml"], Outcome::Applied), 101);
    assert!(board.groups["a.toml"].left.failing.is_empty());
}

#[test]
fn what_leaves_conf_d_is_forgotten_and_the_rest_keeps_its_numbers() {
    let mut board = board(Instant::now());
    board.pass("g2", &report(5, &["c.toml"], Outcome::Applied), 100);
    let groups = [("g2", vec![resource("c")])];
    board.record_load(groups.iter().map(|(id, resources)| (*id, resources.as_slice())), Vec::new(), 100);
    assert_eq!(board.groups.keys().map(|name| &**name).collect::<Vec<_>>(), ["c.toml"]);
    assert_eq!(board.resources["c.toml"].succeeded, 1);
    board.pass("g1", &report(6, &["a.toml"], Outcome::Applied), 101);
    assert_eq!(board.groups.len(), 1, "a pass that was running when its group was removed");
    assert_eq!(board.loads, 2);
}

#[test]
fn what_conf_d_changes_is_not_shown_as_before() {
    let mut board = board(Instant::now());
    let load = |board: &mut Board, c: Arc<Resource>| {
        let groups = [("g1", vec![resource("a"), resource("b")]), ("g2", vec![c])];
        board.record_load(groups.iter().map(|(id, resources)| (*id, resources.as_slice())), Vec::new(), 100);
    };
    let progress = ResourceProgress { applied: Some(Revision(5)), behind_since: Some(7), ..Default::default() };
    board.record_progress("c.toml", progress);
    load(&mut board, resource("c"));
    assert_eq!(board.resources["c.toml"].progress, progress, "nothing has changed");
    let difference = || Difference::between(Some(b"old"), b"new");
    let write = |board: &mut Board, id: &str, name: &str| {
        let dest = PathBuf::from(format!("/etc/{name}"));
        let (files, differences) = (vec![dest.clone()], [(dest, difference())].into());
        let report = report(6, &[&format!("{name}.toml")], Outcome::Applied);
        board.pass(id, &Report { files, differences, ..report }, 100);
    };
    write(&mut board, "g1", "a");
    write(&mut board, "g2", "c");
    let differences = |board: &Board| {
        board.changes.newest_first().iter().map(|change| !change.status().files[0].diff.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(differences(&board), [true, true]);
    load(&mut board, elsewhere("c"));
    assert_eq!(board.resources["c.toml"].progress, ResourceProgress::default(), "a different store");
    load(&mut board, resource_with("c", "reload_cmd = \"true\"\nsecret = true\n"));
    assert_eq!(differences(&board), [false, true]);
    write(&mut board, "g2", "c");
    assert_eq!(differences(&board), [false, false, true], "a pass that had begun before");
}

#[test]
fn the_time_without_the_store_is_added_up() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let lost = |problem: &str| Event::Lost { problem: problem.into(), retry_in: Duration::ZERO, is_lasting: false };
    let mut board = Board::new("etcd", start);
    assert!(!board.store.is_followed());
    board.record_event(&snapshot(5), at(1), 100);
    board.record_event(&lost("a"), at(10), 100);
    board.record_event(&lost("b"), at(12), 100);
    assert_eq!(board.store.lost_for(at(13)), (Duration::from_secs(3), Duration::from_secs(3)));
    assert_eq!(board.store.problem(), Some("b"));
    board.record_event(&Event::Regained, at(14), 100);
    board.record_event(&lost("c"), at(20), 100);
    assert_eq!(board.store.lost_for(at(21)), (Duration::from_secs(1), Duration::from_secs(5)));
    board.record_event(&snapshot(3), at(22), 100);
    assert_eq!((board.store.losses, board.store.revision), (2, Some(Revision(3))), "put back to an older revision");
    let requests: Vec<_> =
        board.store.requests.iter().map(|(kind, requests)| (*kind, requests.times.count(), requests.failed)).collect();
    assert_eq!(requests, [(GET_VALUES, 2, 0), (WATCH_PREFIX, 3, 3)]);
}

#[test]
fn the_applied_revision_is_one_of_the_settings_store() {
    let now = Instant::now();
    let mut board = Board::new("etcd", now);
    let groups = [("g1", vec![resource("a")]), ("g2", vec![elsewhere("c")])];
    board.record_load(groups.iter().map(|(id, resources)| (*id, resources.as_slice())), Vec::new(), 100);
    board.record_event(&snapshot(50), now, 100);
    board.pass("g2", &report(9_000_000, &["c.toml"], Outcome::Applied), 100);
    assert_eq!(board.applied_revision, None);
    board.pass("g1", &report(50, &["a.toml"], Outcome::Applied), 100);
    assert_eq!(line(&board), "in sync at revision 50");
    board.pass("g1", &report(48, &["a.toml"], Outcome::Applied), 101);
    assert_eq!(board.applied_revision, Some(Revision(50)), "a slow pass");
    board.record_event(&snapshot(40), now, 102);
    assert_eq!(board.applied_revision, None, "put back to an older revision");
    board.pass("g1", &report(50, &["a.toml"], Outcome::Applied), 103);
    assert_eq!(board.applied_revision, None, "a pass that had begun before");
    board.pass("g1", &report(40, &["a.toml"], Outcome::Applied), 104);
    assert_eq!(board.applied_revision, Some(Revision(40)));
}

#[test]
fn texts_are_one_bounded_line() {
    assert_eq!(status_line("a\nb"), "a b");
    assert_eq!(status_line(&"ü".repeat(1000)).chars().count(), MAX_PROBLEM_CHARACTERS + 1);
}

fn instance(item: &str) -> InstanceId {
    InstanceId { item: Some(item.into()), .."a.toml".into() }
}

#[test]
fn files_of_a_for_each_are_counted_for_their_resource() {
    let mut board = board(Instant::now());
    board.record_render(&instance("x"), skipped(2), 100);
    board.record_render(&instance("y"), skipped(3), 100);
    assert_eq!(board.resources["a.toml"].skipped(), 5);
    board.record_files("a.toml", [(instance("y"), None)].into(), 100);
    assert_eq!(board.resources["a.toml"].skipped(), 3);
    let dropped = vec![(instance("y"), failure(Stage::Render))];
    let names = ["a.toml", "b.toml"];
    let files = vec!["/etc/b".into()];
    board.pass("g1", &Report { dropped, files, ..report(5, &names, Outcome::Applied) }, 100);
    let a = &board.resources["a.toml"];
    assert_eq!((a.succeeded, a.failed, a.is_failing), (0, 1, true), "once for the pass");
    let b = &board.resources["b.toml"];
    assert_eq!((b.succeeded, b.failed, b.replaced), (1, 0, 1));
    assert_eq!(board.resources.len(), 3, "no name from the store became a series");
}

/// A live file with a list for each of these folders: of its one backend, whether it gets traffic.
fn lists(folders: &[(&str, bool)]) -> Arc<LiveBackends> {
    let backend = |(folder, is_up): &(&str, bool)| (format!("{folder}x"), *is_up);
    let keys: Vec<(String, bool)> = folders.iter().map(backend).collect();
    let state = |is_up: bool| if is_up { ListedState::Up } else { ListedState::Down };
    let listed = keys.iter().map(|(key, is_up)| ListedBackend {
        address: "a:1",
        key,
        announcer: "",
        state: state(*is_up),
        weight: 1,
    });
    let folders = folders.iter().map(|(folder, _)| *folder).collect();
    Arc::new(LiveBackends::new(listed.collect(), &folders, None, 100))
}

#[test]
fn each_list_without_traffic_has_its_own_start_and_goes_with_its_file() {
    let mut board = board(Instant::now());
    let empty = |board: &Board| {
        let lists = board.resources["a.toml"].lists_without_traffic();
        lists.map(|(id, folder, since)| format!("{id} {folder} {since}")).collect::<Vec<_>>()
    };
    let (x, y) = (instance("x"), instance("y"));
    let half = lists(&[("/v/x/", true), ("/w/x/", false)]);
    board.record_files("a.toml", [(x.clone(), Some(half)), (y.clone(), Some(lists(&[("/v/y/", true)])))].into(), 7);
    assert_eq!(empty(&board), ["a.toml[x] /w/x/ 7"], "one of two lists of a file");
    let none = lists(&[("/v/x/", false), ("/w/x/", false)]);
    board.record_files("a.toml", [(x.clone(), Some(none)), (y.clone(), Some(lists(&[("/v/y/", false)])))].into(), 9);
    assert_eq!(empty(&board), ["a.toml[x] /v/x/ 9", "a.toml[x] /w/x/ 7", "a.toml[y] /v/y/ 9"]);
    let healed = lists(&[("/v/x/", true), ("/w/x/", true)]);
    board.record_render(&y, skipped(1), 9);
    board.record_files("a.toml", [(x.clone(), Some(healed)), (y.clone(), Some(lists(&[("/v/y/", false)])))].into(), 11);
    assert_eq!(empty(&board), ["a.toml[y] /v/y/ 9"], "what has healed has no start");
    board.record_files("a.toml", [(x, None)].into(), 12);
    let a = &board.resources["a.toml"];
    assert_eq!((empty(&board), a.live.len(), a.skipped()), (Vec::new(), 0, 0), "one name is gone, one file lists none");
}

#[test]
fn a_lost_store_that_nobody_reads_any_more_holds_nothing_up() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut board = board(start);
    board.record_event(&snapshot(5), start, 100);
    board.pass("g1", &report(5, &["a.toml", "b.toml"], Outcome::Applied), 100);
    board.pass("g2", &report(5, &["c.toml"], Outcome::Applied), 100);
    let lost = || Event::Lost { problem: "away".into(), retry_in: Duration::from_secs(3), is_lasting: false };
    board.record_event(&lost(), at(1), 101);
    let since = |board: &Board| board.store.lost().iter().map(|lost| (lost.since, lost.next_try)).collect::<Vec<_>>();
    assert_eq!(since(&board), [(101, 104)]);
    board.record_event(&lost(), at(4), 105);
    assert_eq!(since(&board), [(101, 108)], "its start does not move");
    assert!(matches!(board.readiness(), Readiness::StoreLost(_)));
    board.store.set_unused(true, at(5));
    board.record_event(&lost(), at(6), 106);
    assert_eq!((board.readiness(), line(&board)), (Readiness::Ready, "in sync at revision 5".into()));
    assert!(board.store.is_followed());
    assert_eq!(board.store.lost_for(at(9)), (Duration::ZERO, Duration::from_secs(4)));
    board.store.set_unused(false, at(10));
    assert!(!board.store.is_followed(), "not before it has said something");
}

#[test]
fn a_store_that_left_conf_d_holds_nothing_up() {
    let now = Instant::now();
    let mut board = Board::new("etcd", now);
    board.record_load(std::iter::empty(), Vec::new(), 100);
    board.record_event(&snapshot(5), now, 100);
    let lost = Event::Lost { problem: "away".into(), retry_in: Duration::ZERO, is_lasting: false };
    board.store.record_other_event("etcd at b:2379", &lost, now, 100);
    assert!(matches!(board.readiness(), Readiness::StoreLost(_)));
    board.store.set_others(&BTreeSet::from(["etcd at b:2379".to_owned()]));
    assert!(matches!(board.readiness(), Readiness::StoreLost(_)), "still read");
    board.store.set_others(&BTreeSet::new());
    assert_eq!(board.readiness(), Readiness::Ready);
    board.store.set_others(&BTreeSet::from(["file c.yaml".to_owned()]));
    assert!(!board.store.is_followed(), "it has said nothing yet");
    board.store.record_other_event("file c.yaml", &snapshot(1), now, 100);
    assert!(board.store.is_followed());
}
