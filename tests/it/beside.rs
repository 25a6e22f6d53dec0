//! What goes wrong with one file, and what must not depend on it: the others of its group go live and count as applied, the others of a
//! transaction that was cut off go back, and an owed reload stays owed.

use std::fs;

use upstreamd::apply::machine::{Next, Step};
use upstreamd::apply::transaction::{self, Begun};
use upstreamd::apply::{Context, Settings, instance_files, plan, recovery};
use upstreamd::model::report::{Outcome, Report, Stage, StepFailure};
use upstreamd::model::resource::Resource;

use crate::apply::{Place, apply, block_on, dead_pid, names_request_with, request};

const GOOD: &str = "grep -q good {{.src}}";

/// Two resources of one group.
fn pair(place: &Place, check: &str, reload: &str) -> [Resource; 2] {
    ["a", "b"].map(|name| place.resource(name, Some(check), Some(reload)))
}

/// Whether each of the two is live.
fn taken(report: &Report) -> [bool; 2] {
    ["a.toml", "b.toml"].map(|name| report.is_applied(name))
}

/// The step at which each of these dropped out.
fn dropped(report: &Report) -> Vec<(String, Stage)> {
    report.dropped.iter().map(|(id, failure)| (id.to_string(), failure.at)).collect()
}

#[test]
fn a_member_that_is_up_to_date_has_taken_while_another_is_refused() {
    let place = Place::new();
    let resources = pair(&place, GOOD, &place.note("reload"));
    let context = place.context();
    let pass = |texts: [&str; 2]| block_on(transaction::run(&context, request(&resources, &texts)));
    assert_eq!(taken(&pass(["good", "good"])), [true, true]);
    // Refused beside the other one, and from then on after it.
    for _ in 0..2 {
        let report = pass(["bad", "good"]);
        assert!(matches!(report.outcome, Outcome::Rejected(_)), "{report:?}");
        assert_eq!((report.resources.len(), taken(&report)), (1, [false, true]));
    }
    assert_eq!(place.log(), ["reload"]);
}

#[test]
fn a_member_that_went_live_has_taken_although_another_is_undone() {
    let place = Place::new();
    let check = format!("test -e {} || {GOOD}", place.path("allow").display());
    let reload = format!("! grep -q bad {}", place.path("out/a").display());
    let resources = pair(&place, &check, &reload);
    let context = place.context();
    let pass = |texts: [&str; 2]| block_on(transaction::run(&context, request(&resources, &texts)));
    assert_eq!(taken(&pass(["good", "good"])), [true, true]);
    assert_eq!(taken(&pass(["bad", "good 2"])), [false, true]);
    fs::write(place.path("allow"), "").unwrap();
    let report = pass(["bad", "good 3"]);
    let Outcome::RolledBack { cause, reload_old: None } = &report.outcome else { panic!("{report:?}") };
    assert_eq!((cause.at, taken(&report)), (Stage::Reload, [false, true]));
    assert_eq!((place.read("a").as_deref(), place.read("b").as_deref()), (Some("good"), Some("good 3")));
}

#[test]
fn a_member_has_not_taken_while_its_own_reload_is_owed() {
    let place = Place::new();
    let reload = format!("test ! -e {}", place.path("fail").display());
    let resources = pair(&place, GOOD, &reload);
    assert_eq!(taken(&apply(&place, &resources, &["good", "good"])), [true, true]);
    fs::write(place.path("fail"), "").unwrap();
    assert_eq!(taken(&apply(&place, &resources, &["good", "good 2"])), [false, false]);
    let report = apply(&place, &resources, &["bad", "good"]);
    assert!(matches!(report.outcome, Outcome::Rejected(_)), "{report:?}");
    assert_eq!(taken(&report), [false, false]);
}

#[test]
fn a_reload_that_is_not_in_effect_stays_owed_after_a_refused_change() {
    let place = Place::new();
    let resources = [place.resource("a", Some(GOOD), Some(&place.note("reload")))];
    let context = place.context();
    let pass = |text: &str| block_on(transaction::run(&context, request(&resources, &[text])));
    assert_eq!(pass("good").outcome, Outcome::Applied);
    context.disprove(&request(&resources, &["good"]).group.id);
    assert!(matches!(pass("bad").outcome, Outcome::Rejected(_)));
    assert_eq!(pass("good").outcome, Outcome::Applied);
    assert_eq!(pass("good").outcome, Outcome::Unchanged);
    assert_eq!(place.log(), ["reload", "reload"]);
}

#[test]
fn an_owed_reload_does_not_wait_for_a_refusal_to_end() {
    let place = Place::new();
    // A tree without `a.conf` is refused, so its removal is.
    let check = format!("test -e {}", place.path("out/a.conf").display());
    let context = place.context();
    let pass = |names: &[&str]| block_on(transaction::run(&context, names_request_with(&place, names, "x", &check)));
    assert_eq!(pass(&["a", "b"]).outcome, Outcome::Applied);
    context.disprove(&names_request_with(&place, &[], "x", &check).group.id);
    for reloads in [1, 2, 2] {
        let report = pass(&["b"]);
        let (Outcome::Rejected(cause) | Outcome::RolledBack { cause, .. }) = &report.outcome else {
            panic!("{report:?}")
        };
        assert_eq!((cause.at, place.log().len()), (Stage::Check, reloads));
        assert_eq!(report.in_place.is_empty(), reloads == 1, "{report:?}");
    }
}

#[test]
fn an_owed_reload_does_not_wait_for_a_file_that_finds_no_place() {
    let place = Place::new();
    let resources = pair(&place, "case {{.src}} in */.b.*) rm {{.src}};; esac", &place.note("reload"));
    let context = place.context();
    let pass = |texts: &[&str]| block_on(transaction::run(&context, request(&resources, texts)));
    assert_eq!(pass(&["1"]).outcome, Outcome::Applied);
    context.disprove(&request(&resources, &[]).group.id);
    for reloads in [1, 2, 2] {
        let report = pass(&["1", "1"]);
        assert!(matches!(report.outcome, Outcome::RolledBack { .. } | Outcome::Rejected(_)), "{report:?}");
        assert_eq!(place.log().len(), reloads);
    }
}

#[test]
fn a_refused_removal_does_not_hold_up_what_was_refused_before() {
    let place = Place::new();
    let [keep, bad, allowed] = ["out/keep.conf", "out/bad.conf", "allowed"].map(|name| place.path(name));
    let check =
        format!("test -e {} && {{ test ! -e {} || test -e {}; }}", keep.display(), bad.display(), allowed.display());
    let context = place.context();
    let pass = |names: &[&str]| block_on(transaction::run(&context, names_request_with(&place, names, "x", &check)));
    assert_eq!(pass(&["keep"]).outcome, Outcome::Applied);
    assert_eq!((pass(&["keep", "good", "bad"]).dropped.len(), place.read("bad.conf")), (1, None));
    fs::write(&allowed, "").unwrap();
    let report = pass(&["good", "bad"]);
    assert_eq!((&report.outcome, place.read("bad.conf").as_deref()), (&Outcome::Applied, Some("x")), "{report:?}");
    assert_eq!(dropped(&report), [("sites.toml".to_owned(), Stage::Check)]);
    assert_eq!(place.read("keep.conf").as_deref(), Some("x"));
}

#[test]
fn a_file_that_changes_during_the_check_is_not_removed() {
    let place = Place::new();
    let check = format!(
        "test ! -e {0} || echo mine > {1}; true {{{{.src}}}}",
        place.path("edit").display(),
        place.path("out/gone.conf").display()
    );
    let context = place.context();
    let pass = |names: &[&str]| block_on(transaction::run(&context, names_request_with(&place, names, "x", &check)));
    assert_eq!(pass(&["gone"]).outcome, Outcome::Applied);
    fs::write(place.path("edit"), "").unwrap();
    let report = pass(&["new"]);
    assert_eq!((&report.outcome, place.read("new.conf").as_deref()), (&Outcome::Applied, Some("x")), "{report:?}");
    assert_eq!(place.read("gone.conf").as_deref(), Some("mine\n"));
    assert!(report.dropped[0].1.message.contains("somebody else has changed it"), "{report:?}");
    assert_eq!((pass(&["new"]).removed, place.read("gone.conf").as_deref()), (Vec::new(), Some("mine\n")));
}

#[test]
fn what_a_search_did_not_come_to_is_not_live_beside_an_owed_reload() {
    let place = Place::new();
    let check = format!("! grep -rq bad {}", place.path("out").display());
    let resources = pair(&place, &check, "false");
    let report = apply(&place, &resources, &["good", "bad"]);
    assert!(matches!(report.outcome, Outcome::ReloadOwed { .. }), "{report:?}");
    assert_eq!((place.read("a").as_deref(), place.read("b")), (Some("good"), None));
    assert_eq!(dropped(&report), [("b.toml".to_owned(), Stage::Check)]);
}

#[test]
fn a_file_that_cannot_be_put_in_its_place_does_not_hold_up_the_others() {
    // The check comes between: it makes a folder of `out/b`, or takes away what was staged for it.
    for (act, before, at) in [
        ("mkdir -p OUT", &["a", "c"][..], Stage::Install),
        ("rm -f OUT; mkdir -p OUT", &["a", "b", "c"], Stage::Record),
        ("rm {{.src}}", &["a", "b", "c"], Stage::Record),
    ] {
        let place = Place::new();
        before.iter().for_each(|name| fs::write(place.path("out").join(name), "old").unwrap());
        let act = act.replace("OUT", &place.path("out/b").display().to_string());
        let check = format!("case {{{{.src}}}} in */.b.*) {act};; esac");
        let resources = ["a", "b", "c"].map(|name| place.resource(name, Some(&check), Some(&place.note("reload"))));
        let context = place.context();
        let report = block_on(transaction::run(&context, request(&resources, &["new", "new", "new"])));
        assert_eq!(
            (&report.outcome, dropped(&report)),
            (&Outcome::Applied, vec![("b.toml".to_owned(), at)]),
            "{report:?}"
        );
        assert_eq!(["a", "c"].map(|name| place.read(name)), [Some("new".to_owned()), Some("new".to_owned())]);
        assert_eq!((place.log().len(), place.litter()), (1, vec![]));
    }
}

#[test]
fn a_file_that_cannot_be_removed_does_not_hold_up_the_others() {
    let place = Place::new();
    let first = names_request_with(&place, &["a", "b"], "old", "true {{.src}}");
    assert_eq!(block_on(transaction::run(&place.context(), first)).outcome, Outcome::Applied);
    let gone = place.path("out/a.conf");
    let check = format!("rm -f {0}; mkdir -p {0}; true {{{{.src}}}}", gone.display());
    let request = names_request_with(&place, &["b"], "new", &check);
    let context = place.context();
    context.set_groups(std::slice::from_ref(&request.group));
    let report = block_on(transaction::run(&context, request));
    assert_eq!(
        (&report.outcome, dropped(&report)),
        (&Outcome::Applied, vec![("sites.toml".to_owned(), Stage::Record)])
    );
    assert_eq!((place.read("b.conf").as_deref(), report.is_applied("sites.toml")), (Some("new"), false));
}

/// Begins to change both files, and stops when they are in place, as a kill does.
fn cut_off(place: &Place, resources: &[Resource; 2]) {
    assert_eq!(apply(place, resources, &["old", "old"]).outcome, Outcome::Applied);
    block_on(async {
        let context = place.context();
        let begun = transaction::begin(&context, request(resources, &["new", "new"])).await;
        let Begun::Running(mut transaction, mut step) = begun else { panic!("nothing to do") };
        while !matches!(step, Step::Reload(_)) {
            let Next::Do(next) = transaction.perform(&context, step).await else { panic!("it has ended") };
            step = next;
        }
    });
}

fn recover(place: &Place) -> Vec<StepFailure> {
    block_on(recovery::recover_all(&place.context(), [&*place.path("out/a"), &*place.path("out/b")], [])).failures
}

#[test]
fn one_file_that_cannot_be_put_back_leaves_no_other_undone() {
    let place = Place::new();
    let resources = pair(&place, "true {{.src}}", "true");
    cut_off(&place, &resources);
    // More than is ever read.
    let too_large = fs::OpenOptions::new().write(true).open(place.path("out/a")).unwrap();
    too_large.set_len(1 << 30).unwrap();
    assert_eq!(recover(&place).len(), 1);
    assert_eq!(place.read("b").as_deref(), Some("old"));
    fs::write(place.path("out/a"), "new").unwrap();
    assert_eq!(recover(&place), []);
    assert_eq!((place.read("a").as_deref(), place.litter()), (Some("old"), vec![]));
}

#[test]
fn a_made_up_transaction_takes_nothing_away() {
    let entries = [
        r#""new_hash": "", "backup": "OTHER", "in_place": true"#,
        r#""new_hash": "HASH", "backup": "OTHER", "in_place": false"#,
        r#""new_hash": "HASH", "backup": "BESIDE", "in_place": false"#,
        r#""new_hash": "HASH", "backup": "MARKED", "in_place": false"#,
        r#""new_hash": "HASH", "backup": "/", "in_place": false"#,
        r#""new_hash": "HASH", "backup": null, "in_place": false"#,
        r#""new_hash": "", "backup": null, "in_place": true"#,
        r#""new_hash": "", "backup": "OTHER", "in_place": false, "removed": true"#,
    ];
    for entry in entries {
        let place = Place::new();
        let resources = pair(&place, "true {{.src}}", "true");
        assert_eq!(apply(&place, &resources, &["live", "live"]).outcome, Outcome::Applied);
        let others = [
            ("OTHER", place.path("other")),
            ("BESIDE", place.path("out/other")),
            ("MARKED", place.path(".a.upstreamd-backup-1-0")),
        ];
        let journal = fs::read_dir(place.path("state/groups")).unwrap().next().unwrap().unwrap().path();
        let mut entry = entry.replace("HASH", &plan::hash(b"live"));
        for (word, path) in &others {
            fs::write(path, "somebody's").unwrap();
            entry = entry.replace(word, path.to_str().unwrap());
        }
        let target = place.path("out/a");
        if entry.contains("removed") {
            fs::remove_file(&target).unwrap();
        }
        let plan = format!("\"in_flight\": {{\"files\": [{{\"target\": {target:?}, {entry}}}]}}");
        let text = fs::read_to_string(&journal).unwrap();
        fs::write(&journal, text.replace("\"in_flight\": null", &plan)).unwrap();
        let recovered = block_on(recovery::recover_all(&place.context(), [&*target], []));
        assert_eq!(recovered.failures, [], "{entry}");
        let live = (!entry.contains("removed")).then_some("live");
        assert_eq!((place.read("a").as_deref(), place.read("b").as_deref()), (live, Some("live")), "{entry}");
        others.iter().for_each(|(_, path)| assert_eq!(fs::read_to_string(path).unwrap(), "somebody's", "{entry}"));
        let is_said = |text: &str| recovered.warnings.iter().any(|warning| warning.contains(text));
        let has_backup = !entry.contains("null");
        assert_eq!((is_said("it is kept as"), journal.exists()), (has_backup, !has_backup), "{entry}");
        assert_eq!(is_said("before its journal was written"), !has_backup, "{entry}");
        // Everything goes on.
        assert_eq!(taken(&apply(&place, &resources, &["new", "new"])), [true, true], "{entry}");
    }
}

/// Renames the backups as if a process that is no more had made them. Returns its id.
fn give_backups_to_the_dead(place: &Place) -> u32 {
    let dead = dead_pid();
    for name in place.litter() {
        let (start, _) = name.split_once("-backup-").unwrap();
        fs::rename(place.path("out").join(&name), place.path("out").join(format!("{start}-backup-{dead}-0"))).unwrap();
    }
    dead
}

#[test]
fn backups_whose_journal_cannot_be_read_are_kept() {
    let place = Place::new();
    let resources = pair(&place, "true {{.src}}", "true");
    cut_off(&place, &resources);
    let dead = give_backups_to_the_dead(&place);
    let journal = fs::read_dir(place.path("state/groups")).unwrap().next().unwrap().unwrap().path();
    fs::write(&journal, "{ not json").unwrap();
    // At this start and at the next.
    for _ in 0..2 {
        assert_eq!(recover(&place), []);
        assert_eq!(place.litter(), ["a", "b"].map(|name| format!(".{name}.upstreamd-backup-{dead}-0")));
    }
    fs::remove_file(journal.with_extension("unreadable")).unwrap();
    assert_eq!((recover(&place), place.litter()), (vec![], vec![]));
}

#[test]
fn backups_whose_journals_are_gone_go_back() {
    let place = Place::new();
    let resources = pair(&place, "true {{.src}}", "true");
    cut_off(&place, &resources);
    let dead = give_backups_to_the_dead(&place);
    fs::remove_dir_all(place.path("state/groups")).unwrap();
    assert_eq!(recover(&place), []);
    assert_eq!(["a", "b"].map(|name| place.read(name)), [Some("old".to_owned()), Some("old".to_owned())]);
    assert_eq!(place.litter(), Vec::<String>::new());
    // What a journal says is live has no need of one.
    assert_eq!(taken(&apply(&place, &resources, &["new", "new"])), [true, true]);
    fs::write(place.path("out").join(format!(".a.upstreamd-backup-{dead}-1")), "old").unwrap();
    assert_eq!((recover(&place), place.read("a").as_deref(), place.litter()), (vec![], Some("new"), vec![]));
}

#[test]
fn a_file_among_the_journals_that_is_none_is_left_alone() {
    let place = Place::new();
    let resources = pair(&place, "true {{.src}}", "true");
    assert_eq!(taken(&apply(&place, &resources, &["live", "live"])), [true, true]);
    let names = ["alien.json", "0123456789abcdeg.json", "0123456789abcdef0.json"];
    let path = |name: &str| place.path("state/groups").join(name);
    names.iter().for_each(|name| fs::write(path(name), "{ not json").unwrap());
    assert_eq!((recover(&place), place.read("a").as_deref()), (vec![], Some("live")));
    names.iter().for_each(|name| assert_eq!(fs::read_to_string(path(name)).unwrap(), "{ not json"));
}

#[test]
fn while_the_folder_of_journals_cannot_be_read_backups_are_kept() {
    let place = Place::new();
    let resources = pair(&place, "true {{.src}}", "true");
    cut_off(&place, &resources);
    let (groups, aside) = (place.path("state/groups"), place.path("aside"));
    fs::rename(&groups, &aside).unwrap();
    // A file there cannot be listed, whoever looks.
    fs::write(&groups, "").unwrap();
    let failures = recover(&place);
    assert!(failures[0].message.contains("read the folder"), "{failures:?}");
    assert_eq!(place.litter().len(), 2);
    fs::remove_file(&groups).unwrap();
    fs::rename(&aside, &groups).unwrap();
    assert_eq!(recover(&place), []);
    assert_eq!(["a", "b"].map(|name| place.read(name)), [Some("old".to_owned()), Some("old".to_owned())]);
    assert_eq!(place.litter(), Vec::<String>::new());
}

#[test]
fn what_an_earlier_process_with_our_pid_left_is_healed() {
    let place = Place::new();
    fs::write(place.path("out/a"), "half").unwrap();
    fs::write(place.path("out").join(format!(".a.upstreamd-backup-{}-0", std::process::id())), "old").unwrap();
    let context = Context::new(Settings::default());
    let healed = block_on(recovery::recover_all(&context, [&*place.path("out/a")], []));
    assert_eq!((healed.failures, healed.groups.len()), (vec![], 1));
    assert_eq!((place.read("a").as_deref(), place.litter()), (Some("old"), vec![]));
}

#[test]
fn leftovers_in_the_state_folder_are_removed() {
    let place = Place::new();
    let folders = ["groups", "live", "scratch"].map(|name| place.path("state").join(name));
    for folder in &folders {
        fs::create_dir_all(folder).unwrap();
        for kind in ["stage", "backup"] {
            fs::write(folder.join(format!(".x.upstreamd-{kind}-{}-0", dead_pid())), "x").unwrap();
        }
    }
    assert_eq!(recover(&place), []);
    for folder in &folders {
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "{folder:?}");
    }
}

#[test]
fn a_look_at_what_would_be_removed_leaves_a_broken_journal_in_place() {
    let place = Place::new();
    let request = names_request_with(&place, &["a"], "x", "true {{.src}}");
    assert_eq!(block_on(transaction::run(&place.context(), request.clone())).outcome, Outcome::Applied);
    let journal = fs::read_dir(place.path("state/groups")).unwrap().next().unwrap().unwrap().path();
    fs::write(&journal, "{ not json").unwrap();
    let (context, id) = (place.context(), &request.group.id);
    assert!(!instance_files::has_files(&context, id, "sites.toml"));
    assert!(instance_files::would_remove(&context, id, &request.instance_files[0]).is_empty());
    assert_eq!(fs::read_to_string(&journal).unwrap(), "{ not json");
}

#[test]
fn an_edit_of_the_commands_does_not_hide_the_files_of_a_for_each() {
    let place = Place::new();
    let request = names_request_with(&place, &["a"], "x", "true {{.src}}");
    assert_eq!(block_on(transaction::run(&place.context(), request)).outcome, Outcome::Applied);
    let edited = names_request_with(&place, &["a"], "x", "true edited {{.src}}");
    let has_files = |resource: &str| instance_files::has_files(&place.context(), &edited.group.id, resource);
    assert!(has_files("sites.toml") && !has_files("other.toml"));
}
