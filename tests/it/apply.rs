//! The apply transaction on real files with real commands, in this process: what a kill at any step leaves and how it
//! is repaired, what is undone, what is owed.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use upstreamd::apply::instance_files::InstanceFiles;
use upstreamd::apply::machine::Next;
use upstreamd::apply::transaction::{self, Begun, Request};
use upstreamd::apply::{Context, Settings, group, lone, preview, recovery};
use upstreamd::model::for_each::{DestPattern, ForEach, NameSource};
use upstreamd::model::key::Revision;
use upstreamd::model::report::{Outcome, Rendered, Report, Stage};
use upstreamd::model::resource::{Identity, OnReloadFailure, Resource};

use crate::support::temp_dir;
use crate::support::template::table;

/// A folder with state, destinations and a log of the commands that ran.
pub(crate) struct Place {
    dir: tempfile::TempDir,
    onetime: bool,
}

impl Place {
    pub(crate) fn new() -> Place {
        let place = Place { dir: temp_dir(), onetime: false };
        std::fs::create_dir(place.path("out")).unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn context(&self) -> Context {
        Context::new(Settings { state_folder: Some(self.path("state")), onetime: self.onetime, ..Settings::default() })
    }

    pub(crate) fn resource(&self, name: &str, check: Option<&str>, reload: Option<&str>) -> Resource {
        let mut table = table(format!("{name}.tera"), self.path("out").join(name).display()).set("escape", "none");
        for (field, command) in [("check_cmd", check), ("reload_cmd", reload)] {
            if let Some(command) = command {
                table = table.set(field, command).set(&format!("{field}_timeout"), "10s");
            }
        }
        table.keys(&["/v"]).resource(&format!("{name}.toml"))
    }

    pub(crate) fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path("out").join(name)).ok()
    }

    pub(crate) fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// A command that writes `word` to the log.
    pub(crate) fn note(&self, word: &str) -> String {
        format!("echo {word} >> {}", self.path("log").display())
    }

    /// Everything in the destination folder that is not a destination.
    pub(crate) fn litter(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.path("out"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with('.'))
            .collect();
        names.sort();
        names
    }
}

pub(crate) fn request(resources: &[Resource], texts: &[&str]) -> Request {
    let resources: Vec<Arc<Resource>> = resources.iter().cloned().map(Arc::new).collect();
    let groups = group::form(&resources);
    assert_eq!(groups.len(), 1, "one group wanted");
    let rendered = resources
        .iter()
        .zip(texts)
        .map(|(resource, text)| Rendered { resource: Arc::clone(resource), bytes: Arc::new(text.as_bytes().to_vec()) })
        .collect();
    Request {
        group: Arc::new(groups.into_iter().next().unwrap()),
        rendered,
        instance_files: Vec::new(),
        dropped: Vec::new(),
        revision: Revision(7),
        change_waits: Arc::default(),
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) fn apply(place: &Place, resources: &[Resource], texts: &[&str]) -> Report {
    block_on(transaction::run(&place.context(), request(resources, texts)))
}

#[test]
fn two_resources_one_check_one_reload() {
    let place = Place::new();
    let (check, reload) = (place.note("check {{.src}}").replace(" {{.src}}", ""), place.note("reload"));
    let resources = ["a", "b"].map(|name| place.resource(name, Some(&check), Some(&reload)));
    // A whole-tree check without a namespace helper binary runs after install; both orders end the same.
    let report = apply(&place, &resources, &["1", "2"]);
    assert_eq!(report.outcome, Outcome::Applied, "{report:?}");
    assert_eq!((place.read("a").as_deref(), place.read("b").as_deref()), (Some("1"), Some("2")));
    assert_eq!(place.log(), ["check", "reload"]);
    assert_eq!(apply(&place, &resources, &["1", "2"]).outcome, Outcome::Unchanged);
    assert_eq!(place.log(), ["check", "reload"], "nothing changed, nothing runs");
    assert_eq!(place.litter(), [""; 0]);
}

#[test]
fn a_refused_file_never_reaches_its_destination() {
    let place = Place::new();
    let resources = [place.resource("a", Some("grep -q good {{.src}}"), Some(&place.note("reload")))];
    assert_eq!(apply(&place, &resources, &["good 1"]).outcome, Outcome::Applied);
    let report = apply(&place, &resources, &["bad"]);
    let Outcome::Rejected(failure) = &report.outcome else { panic!("{report:?}") };
    assert_eq!(failure.at, Stage::Check);
    assert!(failure.message.contains("exit status 1") && failure.message.contains("grep"), "{}", failure.message);
    assert_eq!(place.read("a").as_deref(), Some("good 1"));
    assert_eq!(apply(&place, &resources, &["good 2"]).outcome, Outcome::Applied);
    assert_eq!(place.log(), ["reload", "reload"]);
    assert_eq!(place.litter(), [""; 0]);
}

#[test]
fn a_failed_reload_puts_the_previous_file_back_with_mode_and_inode() {
    let place = Place::new();
    let reload = format!("{}; test ! -e {}", place.note("reload"), place.path("fail").display());
    let resources = [place.resource("a", None, Some(&reload))];
    assert_eq!(apply(&place, &resources, &["old"]).outcome, Outcome::Applied);
    let dest = place.path("out").join("a");
    std::fs::set_permissions(&dest, std::fs::Permissions::from_mode(0o640)).unwrap();
    let inode = std::fs::metadata(&dest).unwrap().ino();
    std::fs::write(place.path("fail"), "").unwrap();
    let report = apply(&place, &resources, &["new"]);
    let Outcome::RolledBack { cause, reload_old } = &report.outcome else { panic!("{report:?}") };
    assert_eq!((cause.at, reload_old.is_some()), (Stage::Reload, true));
    let after = std::fs::metadata(&dest).unwrap();
    assert_eq!((place.read("a").as_deref(), after.ino(), after.mode() & 0o7777), (Some("old"), inode, 0o640));
    // The reload of the old file failed as well, so one is owed, even though the content is as it was.
    std::fs::remove_file(place.path("fail")).unwrap();
    let report = apply(&place, &resources, &["old"]);
    assert_eq!((report.outcome, report.reload_ran), (Outcome::Applied, true));
    assert_eq!(place.log().len(), 4);
    assert_eq!(place.litter(), [""; 0]);
}

#[test]
fn a_reload_that_nothing_could_take_is_owed_across_processes() {
    let place = Place::new();
    let reload = format!("{}; test -e {}", place.note("reload"), place.path("runs").display());
    let resources = [place.resource("a", None, Some(&reload))];
    let report = apply(&place, &resources, &["first"]);
    assert!(matches!(report.outcome, Outcome::ReloadOwed { nothing_runs: false, .. }), "{report:?}");
    assert_eq!(place.read("a").as_deref(), Some("first"), "nothing was there before: the file stays");
    std::fs::write(place.path("runs"), "").unwrap();
    assert_eq!(apply(&place, &resources, &["first"]).outcome, Outcome::Applied);
    assert_eq!(apply(&place, &resources, &["first"]).outcome, Outcome::Unchanged);
    assert_eq!(place.log().len(), 2);
}

#[test]
fn policies_for_failed_reloads() {
    for (policy, onetime, expected) in [
        (OnReloadFailure::Auto, false, "old"),
        (OnReloadFailure::Auto, true, "new"),
        (OnReloadFailure::Keep, false, "new"),
        (OnReloadFailure::Rollback, true, "old"),
    ] {
        let mut place = Place::new();
        place.onetime = onetime;
        std::fs::write(place.path("out/a"), "old").unwrap();
        let mut resource = place.resource("a", None, Some("false"));
        resource.on_reload_failure = policy;
        let report = apply(&place, &[resource], &["new"]);
        assert_eq!(place.read("a").as_deref(), Some(expected), "{policy:?} {onetime} {report:?}");
    }
}

#[test]
fn nginx_that_does_not_run_is_no_failure_whatever_the_command_says() {
    for exit in ["true", "false"] {
        let place = Place::new();
        std::fs::write(place.path("out/a"), "old").unwrap();
        let reload = format!("{exit} nginx");
        let mut context = place.context();
        context.settings.nginx.pid_file = Some(place.path("nginx.pid"));
        let report =
            block_on(transaction::run(&context, request(&[place.resource("a", None, Some(&reload))], &["new"])));
        assert!(matches!(report.outcome, Outcome::ReloadOwed { nothing_runs: true, .. }), "{exit}: {report:?}");
        assert_eq!(place.read("a").as_deref(), Some("new"));
    }
}

#[test]
fn a_kill_at_any_step_is_undone_at_the_next_start() {
    let mut steps_seen = Vec::new();
    for kill_after in 0.. {
        let place = Place::new();
        let check = "grep -q . {{.src}}";
        let resources = ["a", "b"].map(|name| place.resource(name, Some(check), Some(&place.note("reload"))));
        assert_eq!(apply(&place, &resources[..1], &["old"]).outcome, Outcome::Applied);
        let finished = block_on(async {
            let context = place.context();
            let Begun::Running(mut transaction, mut step) =
                transaction::begin(&context, request(&resources, &["new", "added"])).await
            else {
                panic!("nothing to do")
            };
            for _ in 0..kill_after {
                steps_seen.push(format!("{step:?}"));
                match transaction.perform(&context, step).await {
                    Next::Do(next) => step = next,
                    Next::End(outcome) => {
                        transaction.end(&context, outcome);
                        return true;
                    }
                }
            }
            // Dropped half-way: nothing is tidied up, as after a kill.
            false
        });
        let (a, b) = (place.read("a"), place.read("b"));
        assert!(matches!(a.as_deref(), Some("old" | "new")), "half a file after {kill_after}: {a:?}");
        assert!(matches!(b.as_deref(), None | Some("added")), "half a file after {kill_after}: {b:?}");
        let context = place.context();
        let healed = block_on(recovery::recover_all(&context, [], []));
        assert!(healed.failures.is_empty(), "{healed:?}");
        if !finished {
            assert_eq!((place.read("a").as_deref(), place.read("b")), (Some("old"), None), "after {kill_after}");
        }
        let report = block_on(transaction::run(&context, request(&resources, &["new", "added"])));
        assert!(matches!(report.outcome, Outcome::Applied | Outcome::Unchanged), "after {kill_after}: {report:?}");
        assert_eq!((place.read("a").as_deref(), place.read("b").as_deref()), (Some("new"), Some("added")));
        assert_eq!(place.log().last().map(String::as_str), Some("reload"));
        if finished {
            assert_eq!(report.outcome, Outcome::Unchanged);
            break;
        }
    }
    assert!(steps_seen.len() >= 15, "{steps_seen:?}");
}

#[test]
fn a_reload_that_names_files_is_owed_for_each_of_them() {
    let place = Place::new();
    let (log, fail) = (place.path("log"), place.path("fail"));
    let reload = format!("basename {{{{.dest}}}} >> {}; test ! -e {}", log.display(), fail.display());
    let resources = ["a", "b"].map(|name| {
        let mut resource = place.resource(name, None, Some(&reload));
        resource.on_reload_failure = OnReloadFailure::Keep;
        resource
    });
    assert_eq!(apply(&place, &resources, &["1", "1"]).outcome, Outcome::Applied);
    for held in [false, true] {
        std::fs::write(place.path("fail"), "").unwrap();
        let owed = apply(&place, &resources, &["1", if held { "2" } else { "3" }]);
        assert!(matches!(owed.outcome, Outcome::ReloadOwed { .. }), "{owed:?}");
        std::fs::remove_file(place.path("fail")).unwrap();
        let before = place.log().len();
        let request = request(&resources, if held { &[] } else { &["2"] });
        let report = block_on(transaction::run(&place.context(), request));
        assert_eq!((report.outcome, report.reload_ran), (Outcome::Applied, true));
        assert_eq!(place.log()[before..], ["a", "b"], "{held}");
    }
    // What has left conf.d has nothing to reload.
    std::fs::write(place.path("fail"), "").unwrap();
    assert!(matches!(apply(&place, &resources, &["2", "4"]).outcome, Outcome::ReloadOwed { .. }));
    std::fs::remove_file(place.path("fail")).unwrap();
    let before = place.log().len();
    assert_eq!(apply(&place, &resources[..1], &["5"]).outcome, Outcome::Applied);
    assert_eq!(place.log()[before..], ["a"]);
}

#[test]
fn a_search_for_a_refused_file_forgets_nobody_who_dropped_out_before() {
    let place = Place::new();
    let check = format!("! grep -rq bad {}", place.path("out").display());
    let mut resources = ["a", "b", "c"].map(|name| place.resource(name, Some(&check), Some("true")));
    resources[0].dest = place.path("out/missing/a");
    let report = apply(&place, &resources, &["good", "good", "bad"]);
    let dropped: Vec<String> = report.dropped.iter().map(|(id, failure)| format!("{id} {}", failure.at)).collect();
    assert_eq!((report.outcome, place.read("b").as_deref()), (Outcome::Applied, Some("good")));
    assert_eq!(dropped, ["a.toml preparing the file", "c.toml check"]);
}

#[test]
fn what_is_live_stays_although_the_journal_could_not_be_written() {
    for restarts in [false, true] {
        let place = Place::new();
        let (groups, away) = (place.path("state/groups"), place.path("state/away"));
        let block = format!("mv {0} {1} && touch {0}", groups.display(), away.display());
        let reload = format!("test ! -e {} || {{ {block}; }}", place.path("block").display());
        let resources = ["a", "b"].map(|name| place.resource(name, None, Some(&reload)));
        let (mut context, texts) = (place.context(), ["new", "added"]);
        let run = |context: &Context, texts: &[&str]| block_on(transaction::run(context, request(&resources, texts)));
        assert_eq!(run(&context, &["old"]).outcome, Outcome::Applied);
        std::fs::write(place.path("block"), "").unwrap();
        let report = run(&context, &texts);
        let Outcome::ReloadOwed { cause, .. } = &report.outcome else { panic!("{report:?}") };
        assert_eq!(cause.at, Stage::Commit);
        std::fs::remove_file(place.path("block")).unwrap();
        // As long as that lasts, nothing can be changed; what serves goes on.
        let refused = run(&context, &["newer", "added"]);
        assert!(matches!(refused.outcome, Outcome::Rejected(_)), "{refused:?}");
        assert_eq!((place.read("a").as_deref(), place.read("b").as_deref()), (Some("new"), Some("added")));
        std::fs::remove_file(&groups).unwrap();
        std::fs::rename(&away, &groups).unwrap();
        if restarts {
            context = place.context();
            let healed = block_on(recovery::recover_all(&context, [], []));
            assert!(healed.failures.is_empty() && healed.warnings.is_empty(), "{healed:?}");
            assert_eq!((place.read("a").as_deref(), place.read("b")), (Some("old"), None));
            assert_eq!(run(&context, &texts).outcome, Outcome::Applied);
        } else {
            // A guard holds both files, so nothing is rendered.
            let report = run(&context, &[]);
            assert_eq!((report.outcome, report.warnings), (Outcome::Unchanged, Vec::new()));
            assert_eq!(run(&context, &texts).outcome, Outcome::Unchanged);
        }
        assert_eq!((place.read("a").as_deref(), place.read("b").as_deref()), (Some("new"), Some("added")));
        assert_eq!(place.litter(), [""; 0]);
        let journal = std::fs::read_dir(&groups).unwrap().next().unwrap().unwrap();
        let journal = std::fs::read_to_string(journal.path()).unwrap();
        assert!(journal.contains("\"in_flight\": null") && journal.contains("\"reload_owed\": false"), "{journal}");
    }
}

/// A request for a resource with `for_each`: these names, each with this text.
fn names_request(place: &Place, names: &[&str], text: &str) -> Request {
    names_request_with(place, names, text, "grep -q . {{.src}}")
}

pub(crate) fn names_request_with(place: &Place, names: &[&str], text: &str, check: &str) -> Request {
    let mut parent = place.resource("sites", Some(check), Some(&place.note("reload")));
    let source = NameSource::parse("/sites/*").unwrap();
    let dest = DestPattern::new(place.path("out"), vec![String::new(), ".conf".to_owned()]).unwrap();
    parent.for_each = Some(ForEach::new(source, dest.clone()));
    let parent = Arc::new(parent);
    let file = |name: &str| dest.file(name).unwrap();
    let rendered = names.iter().map(|name| Rendered {
        resource: Arc::new(parent.instance(name, file(name))),
        bytes: Arc::new(text.as_bytes().to_vec()),
    });
    let wanted = names.iter().map(|name| file(name)).collect();
    Request {
        group: Arc::new(group::form(&[Arc::clone(&parent)]).remove(0)),
        rendered: rendered.collect(),
        instance_files: vec![InstanceFiles { resource: parent, wanted, claimed: None }],
        dropped: Vec::new(),
        revision: Revision(7),
        change_waits: Arc::default(),
    }
}

#[test]
fn a_kill_at_any_step_of_a_removal_is_undone_at_the_next_start() {
    let mut steps_seen = 0;
    for kill_after in 0.. {
        let place = Place::new();
        let first = block_on(transaction::run(&place.context(), names_request(&place, &["a", "b"], "old")));
        assert_eq!(first.outcome, Outcome::Applied);
        let finished = block_on(async {
            let context = place.context();
            let request = names_request(&place, &["b", "c"], "new");
            let Begun::Running(mut transaction, mut step) = transaction::begin(&context, request).await else {
                panic!("nothing to do")
            };
            for _ in 0..kill_after {
                steps_seen += 1;
                match transaction.perform(&context, step).await {
                    Next::Do(next) => step = next,
                    Next::End(outcome) => {
                        transaction.end(&context, outcome);
                        return true;
                    }
                }
            }
            false
        });
        let context = place.context();
        let healed = block_on(recovery::recover_all(&context, [], []));
        assert!(healed.failures.is_empty(), "{healed:?}");
        let files = ["a.conf", "b.conf", "c.conf"].map(|name| place.read(name));
        let text = |text: &str| Some(text.to_owned());
        if finished {
            assert_eq!(files, [None, text("new"), text("new")]);
        } else {
            assert_eq!(files, [text("old"), text("old"), None], "after {kill_after}");
        }
        let report = block_on(transaction::run(&context, names_request(&place, &["b", "c"], "new")));
        assert!(matches!(report.outcome, Outcome::Applied | Outcome::Unchanged), "after {kill_after}: {report:?}");
        let files = ["a.conf", "b.conf", "c.conf"].map(|name| place.read(name));
        assert_eq!(files, [None, text("new"), text("new")]);
        if finished {
            assert_eq!(report.outcome, Outcome::Unchanged);
            break;
        }
    }
    assert!(steps_seen >= 15, "{steps_seen}");
}

/// The pid of a process that has ended.
pub(crate) fn dead_pid() -> u32 {
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    dead.id()
}

#[test]
fn leftovers_beside_files_of_a_pattern_are_found() {
    let place = Place::new();
    let dead = dead_pid();
    let leave = |name: &str| std::fs::write(place.path("out").join(name), "x").unwrap();
    for name in ["site-a.conf", "other.conf"] {
        leave(&format!(".{name}.upstreamd-stage-{dead}-0"));
    }
    leave(&format!(".site-b.conf.upstreamd-backup-{dead}-0"));
    let dest = DestPattern::new(place.path("out"), vec!["site-".to_owned(), ".conf".to_owned()]).unwrap();
    // Without a state folder a backup is all that is known of a transaction that was cut off.
    let context = Context::new(Settings::default());
    let healed = block_on(recovery::recover_all(&context, [], [&dest]));
    assert_eq!((healed.failures.len(), healed.groups.len()), (0, 1), "{healed:?}");
    assert_eq!(place.litter(), [format!(".other.conf.upstreamd-stage-{dead}-0")]);
    assert_eq!(place.read("site-b.conf").as_deref(), Some("x"));
}

#[test]
fn leftovers_of_a_dead_process_go_and_those_of_a_living_one_stay() {
    let place = Place::new();
    let target = place.path("out").join("a");
    let living = std::os::unix::process::parent_id();
    // Nothing is staged yet: in a container an earlier process had our pid.
    for pid in [dead_pid(), std::process::id(), living] {
        std::fs::write(place.path("out").join(format!(".a.upstreamd-stage-{pid}-0")), "x").unwrap();
    }
    std::fs::write(place.path("out").join(".b.upstreamd-stage-1-0"), "x").unwrap();
    upstreamd::world::fs::stage::remove_leftovers([target.as_path()]);
    assert_eq!(place.litter(), [format!(".a.upstreamd-stage-{living}-0"), ".b.upstreamd-stage-1-0".into()]);
}

#[test]
fn one_that_cannot_be_staged_drops_out_alone() {
    let place = Place::new();
    let reload = place.note("reload");
    let mut resources = ["a", "b", "c"].map(|name| place.resource(name, None, Some(&reload)));
    resources[0].dest = place.path("missing/a");
    resources[1].target.owner = Some(Identity::Name("no-such-user".into()));
    let report = apply(&place, &resources, &["1", "2", "3"]);
    assert_eq!(report.outcome, Outcome::Applied);
    let dropped: Vec<String> =
        report.dropped.iter().map(|(name, failure)| format!("{name}: {}", failure.message)).collect();
    assert!(dropped[0].contains("missing") && dropped[0].contains("make_dirs"), "{dropped:?}");
    assert!(dropped[1].contains("unknown user `no-such-user`"), "{dropped:?}");
    assert_eq!(place.read("c").as_deref(), Some("3"));
    resources[0].target.make_dirs = true;
    assert_eq!(apply(&place, &resources[..1], &["1"]).outcome, Outcome::Applied);
    assert_eq!(std::fs::read_to_string(place.path("missing/a")).unwrap(), "1");
}

#[test]
fn a_symlinked_destination_is_written_through() {
    let place = Place::new();
    std::fs::create_dir(place.path("real")).unwrap();
    symlink("../real/a", place.path("out/a")).unwrap();
    let resources = [place.resource("a", None, Some("true"))];
    assert_eq!(apply(&place, &resources, &["1"]).outcome, Outcome::Applied);
    assert_eq!(std::fs::read_to_string(place.path("real/a")).unwrap(), "1");
    assert!(std::fs::symlink_metadata(place.path("out/a")).unwrap().is_symlink());
    assert_eq!(apply(&place, &resources, &["1"]).outcome, Outcome::Unchanged);
}

#[test]
fn mode_alone_is_a_change_and_unset_owner_keeps_the_existing_one() {
    let place = Place::new();
    let dest = place.path("out/a");
    std::fs::write(&dest, "same").unwrap();
    std::fs::set_permissions(&dest, std::fs::Permissions::from_mode(0o600)).unwrap();
    let owner = if nix::unistd::geteuid().is_root() { 65534 } else { nix::unistd::geteuid().as_raw() };
    std::os::unix::fs::chown(&dest, Some(owner), None).unwrap();
    let mut resource = place.resource("a", None, None);
    let rendered =
        |resource: &Resource| Rendered { resource: Arc::new(resource.clone()), bytes: Arc::new(b"same".to_vec()) };
    let context = place.context();
    let reports = block_on(lone::run(&context, vec![rendered(&resource)]));
    assert_eq!(reports[0].outcome, Outcome::Unchanged, "neither mode nor owner was asked for");
    resource.target.mode = Some(0o4755);
    assert_eq!(
        preview::preview(&Context::default(), &rendered(&resource)).unwrap().attribute_changes,
        ["mode 0600 -> 4755"]
    );
    let reports = block_on(lone::run(&context, vec![rendered(&resource)]));
    assert_eq!(reports[0].outcome, Outcome::Applied);
    let after = std::fs::metadata(&dest).unwrap();
    assert_eq!((after.mode() & 0o7777, after.uid()), (0o4755, owner));
}

#[test]
fn many_lone_files_are_installed_and_one_bad_one_does_not_stop_them() {
    let place = Place::new();
    let resources: Vec<Resource> = (0..40).map(|n| place.resource(&format!("f{n}"), None, None)).collect();
    std::fs::create_dir(place.path("out/f7")).unwrap();
    let rendered = resources
        .iter()
        .map(|resource| Rendered { resource: Arc::new(resource.clone()), bytes: Arc::new(b"x".to_vec()) })
        .collect();
    let reports = block_on(lone::run(&place.context(), rendered));
    let applied = reports.iter().filter(|report| report.outcome == Outcome::Applied).count();
    assert_eq!(applied, 39);
    assert!(
        matches!(&reports[7].outcome, Outcome::Rejected(failure) if failure.message.contains("not a regular file"))
    );
    assert_eq!(place.litter(), [""; 0]);
}

#[test]
fn an_unreadable_journal_is_moved_away_and_everything_proven_again() {
    let place = Place::new();
    let resources = [place.resource("a", None, Some(&place.note("reload")))];
    assert_eq!(apply(&place, &resources, &["1"]).outcome, Outcome::Applied);
    let journal = std::fs::read_dir(place.path("state/groups")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&journal, "{ not json").unwrap();
    assert_eq!(apply(&place, &resources, &["1"]).outcome, Outcome::Applied);
    assert_eq!(place.log().len(), 2);
    assert!(journal.with_extension("unreadable").exists());
}

#[test]
fn the_staged_copy_is_kept_where_asked_for_and_replaced_each_time() {
    let place = Place::new();
    let mut context = place.context();
    context.settings.keep_stage_file = true;
    let resources = [place.resource("a", None, Some("true"))];
    for text in ["1", "2"] {
        block_on(transaction::run(&context, request(&resources, &[text])));
    }
    assert_eq!(place.litter(), [".a.staged"]);
    assert_eq!(std::fs::read_to_string(place.path("out/.a.staged")).unwrap(), "2");
}

#[test]
fn a_second_process_waits_for_the_lock_and_says_who_holds_it_in_vain() {
    let place = Place::new();
    std::fs::create_dir(place.path("state")).unwrap();
    let held = upstreamd::world::lock::Lock::try_take(&place.path("state/transaction.lock")).unwrap().unwrap();
    let mut context = place.context();
    context.settings.lock_timeout = Duration::from_millis(100);
    let resources = [place.resource("a", None, Some("true"))];
    let report = block_on(transaction::run(&context, request(&resources, &["1"])));
    assert!(
        matches!(&report.outcome, Outcome::Rejected(failure) if failure.message.contains("transaction.lock")),
        "{report:?}"
    );
    drop(held);
    assert_eq!(block_on(transaction::run(&context, request(&resources, &["1"]))).outcome, Outcome::Applied);
}
