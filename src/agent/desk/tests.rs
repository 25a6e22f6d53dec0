//! Events, catalogs and passes in every order that matters, without a store and without a file.

use std::time::Duration;

use super::*;
use crate::agent::catalog::{Confdirs, load};
use crate::agent::facts::WorldFacts;
use crate::config::resource::Defaults;
use crate::model::event::Event;
use crate::model::key::{Key, Revision, Value};
use crate::model::range::KeyRanges;
use crate::model::refusal::Refusal;
use crate::model::report::{Outcome, Report, Stage, StepFailure};
use crate::nginx::backend::Reason;
use crate::render::Facts;

/// Returns the catalog of these resources: a name and further lines, each with keys below `/NAME`.
fn catalog(folder: &std::path::Path, resources: &[(&str, &str)]) -> Arc<Catalog> {
    let (conf_d, templates) = (folder.join("conf.d"), folder.join("templates"));
    std::fs::remove_dir_all(&conf_d).ok();
    std::fs::create_dir_all(&conf_d).unwrap();
    std::fs::create_dir_all(&templates).unwrap();
    std::fs::write(templates.join("x.tera"), "x\n").unwrap();
    for (name, lines) in resources {
        let dest = folder.join(name);
        let text = format!("[template]\nsrc = 'x.tera'\ndest = '{}'\nkeys = ['/{name}']\n{lines}\n", dest.display());
        std::fs::write(conf_d.join(format!("{name}.toml")), text).unwrap();
    }
    let catalog = loaded(folder, None);
    assert!(catalog.problems.is_empty(), "{}", catalog.problems);
    Arc::new(catalog)
}

/// Returns what is loaded from a confdir.
fn loaded(folder: &std::path::Path, previous: Option<&Catalog>) -> Catalog {
    let confdirs = Confdirs {
        folders: vec![folder.to_owned()],
        defaults: Defaults::default(),
        only: None,
        also: KeyRanges::default(),
        named_by: None,
    };
    let facts: Arc<dyn Facts> = Arc::new(WorldFacts::new("nginx".into(), None));
    load(&confdirs, &facts, previous)
}

const RELOADS: &str = "reload_cmd = 'true'";

fn snapshot(catalog: &Catalog, revision: i64, keys: &[&str]) -> Event {
    let entries = keys.iter().map(|key| (Key::from(*key), Value::from("v"))).collect();
    let ranges = catalog.stores[0].wanted.all().clone();
    Event::Snapshot { revision: Revision(revision), ranges, refused: None, entries, leases: Vec::new() }
}

/// Returns a snapshot without the keys at and below `/NAME`, which the store refuses.
fn snapshot_without(catalog: &Catalog, revision: i64, name: &str) -> Event {
    let gone = catalog.member(&format!("{name}.toml")).unwrap().resource.ranges.clone();
    let (refused, granted) =
        catalog.stores[0].wanted.each().iter().cloned().partition(|range| gone.contains(&range.start));
    let refused = Some(Refusal { ranges: refused, user: None, reason: "no".to_owned() });
    let (revision, ranges) = (Revision(revision), KeyRanges::merged(granted));
    Event::Snapshot { revision, ranges, refused, entries: Vec::new(), leases: Vec::new() }
}

fn put(revision: i64, key: &str) -> Event {
    Event::Changes {
        revision: Revision(revision),
        puts: vec![(Key::from(key), Value::from(format!("{revision}").as_str()))],
        leases: Vec::new(),
        deletes: Vec::new(),
    }
}

/// Returns the passes that were handed out, as `NAME@REVISION`, with `*` after a marked name and `!` after a refused one.
fn names(passes: &[Pass]) -> Vec<String> {
    let resource = |in_hand: &InHand| {
        let mark = if in_hand.mark.is_some() { "*" } else { "" };
        let mark = if in_hand.refused.is_some() { "!" } else { mark };
        format!("{}{mark}@{}", in_hand.member.resource.id, in_hand.tree.revision())
    };
    passes.iter().map(|pass| pass.resources.iter().map(resource).collect::<Vec<_>>().join("+")).collect()
}

/// Returns the result of a pass that had nothing to do.
fn returned(pass: Pass, change: impl FnOnce(Report) -> Report) -> Returned {
    let report = change(Report::unchanged(pass.revision));
    pass.end(report)
}

struct Office {
    desk: Desk,
    now: Instant,
    _folder: tempfile::TempDir,
    path: std::path::PathBuf,
}

impl Office {
    fn open(resources: &[(&str, &str)]) -> Office {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let now = Instant::now();
        let desk = Desk::new(Arc::default(), catalog(&path, resources), true, now);
        Office { desk, now, _folder: folder, path }
    }

    fn take(&mut self, event: Event) {
        self.desk.take_event(0, event, self.now);
    }

    /// Delivers the first snapshot, and lets the debounce after it pass.
    fn take_snapshot(&mut self, revision: i64, keys: &[&str]) {
        let event = snapshot(&self.desk.catalog().clone(), revision, keys);
        self.take(event);
        self.now += Duration::from_millis(100);
    }

    fn hand_out(&mut self) -> Vec<Pass> {
        self.desk.hand_out(self.now)
    }

    fn end(&mut self, pass: Pass) {
        self.desk.take_back(&mut returned(pass, |report| report), self.now, 0.5);
    }
}

#[test]
fn nothing_is_handed_out_before_its_keys_are_known() {
    let mut office = Office::open(&[("a", "")]);
    assert_eq!(names(&office.hand_out()), [""; 0]);
    assert_eq!(office.desk.not_ready().count(), 1);
    office.take_snapshot(5, &["/a/1"]);
    assert_eq!(names(&office.hand_out()), ["a.toml*@5"]);
    assert_eq!(names(&office.hand_out()), [""; 0], "it is out");
}

#[test]
fn groups_do_not_hold_each_other_up_and_a_change_waits_for_its_own_pass() {
    let mut office = Office::open(&[("a", RELOADS), ("b", "")]);
    office.take_snapshot(1, &["/a/1", "/b/1"]);
    let mut passes = office.hand_out();
    assert_eq!(names(&passes), ["a.toml*@1", "b.toml*@1"]);
    office.take(put(2, "/a/1"));
    office.take(put(3, "/b/1"));
    assert_eq!(names(&office.hand_out()), [""; 0]);
    office.end(passes.pop().unwrap());
    let b = office.hand_out();
    assert_eq!(names(&b), ["b.toml*@3"], "a is still out");
    let reloaded = |report| Report { reload_ran: true, ..report };
    office.desk.take_back(&mut returned(passes.pop().unwrap(), reloaded), office.now, 0.5);
    assert_eq!(names(&office.hand_out()), [""; 0], "the reload was just now");
    assert_eq!(office.desk.wake_at(), Some(office.now + Duration::from_secs(1)));
    office.now += Duration::from_secs(1);
    assert_eq!(names(&office.hand_out()), ["a.toml*@3"]);
}

#[test]
fn what_drops_out_is_rendered_again_with_the_next_pass() {
    let mut office = Office::open(&[("a", RELOADS), ("b", RELOADS)]);
    office.take_snapshot(1, &["/a/1", "/b/1"]);
    let pass = office.hand_out().remove(0);
    assert_eq!(names(std::slice::from_ref(&pass)), ["a.toml*@1+b.toml*@1"]);
    let failure = crate::model::report::StepFailure::new(crate::model::report::Stage::Render, "no 1");
    let dropped = |report| Report { dropped: vec![("a.toml".into(), failure.clone())], ..report };
    assert_eq!(office.desk.take_back(&mut returned(pass, dropped), office.now, 0.0), 0);
    assert_eq!(office.desk.wake_at(), Some(office.now + Duration::from_secs(1)), "the first backoff");
    office.now += Duration::from_secs(1);
    let pass = office.hand_out().remove(0);
    assert_eq!(names(std::slice::from_ref(&pass)), ["a.toml*@1+b.toml@1"]);
    assert_eq!(office.desk.take_back(&mut returned(pass, dropped), office.now, 0.0), 1, "in the same way");
}

#[test]
fn what_the_store_refuses_is_reported_and_waits_for_the_store() {
    let mut office = Office::open(&[("a", RELOADS), ("b", RELOADS), ("c", "")]);
    let catalog = office.desk.catalog().clone();
    office.take(snapshot_without(&catalog, 1, "b"));
    office.now += Duration::from_millis(100);
    assert_eq!(office.desk.refusals().keys().map(|name| &**name).collect::<Vec<_>>(), ["b.toml"]);
    assert_eq!(office.desk.not_ready().count(), 0);
    let mut passes = office.hand_out();
    assert_eq!(names(&passes), ["a.toml*@1+b.toml!@1", "c.toml*@1"]);
    office.end(passes.pop().unwrap());
    let mut pass = passes.pop().unwrap();
    pass.prepare();
    office.end(pass);
    assert_eq!(office.desk.wake_at(), None, "no retry before the store says more");
    assert!(office.desk.first_round_is_over());
    // It stays dropped from its group while others change.
    office.take(put(2, "/a/1"));
    office.now += Duration::from_secs(1);
    let mut pass = office.hand_out().remove(0);
    assert_eq!(names(std::slice::from_ref(&pass)), ["a.toml*@2+b.toml!@2"]);
    pass.prepare();
    office.end(pass);
    // The same refusal again is no news.
    office.take(snapshot_without(&catalog, 3, "b"));
    office.now += Duration::from_secs(1);
    assert_eq!(names(&office.hand_out()).len(), 1, "only the key of a is gone");
    office.take_snapshot(4, &["/b/1"]);
    office.now += Duration::from_secs(1);
    assert!(office.desk.refusals().is_empty());
}

#[test]
fn a_right_that_is_lost_and_comes_back_is_two_passes() {
    let mut office = Office::open(&[("a", ""), ("b", "")]);
    office.take_snapshot(1, &["/a/1", "/b/1"]);
    office.hand_out().into_iter().for_each(|pass| office.end(pass));
    let catalog = office.desk.catalog().clone();
    office.take(snapshot_without(&catalog, 2, "b"));
    let mut passes = office.hand_out();
    assert_eq!(names(&passes), ["a.toml*@2", "b.toml!@2"]);
    passes.iter_mut().for_each(Pass::prepare);
    passes.into_iter().for_each(|pass| office.end(pass));
    office.take_snapshot(3, &["/b/1"]);
    assert_eq!(names(&office.hand_out()), ["b.toml*@3"]);
}

#[test]
fn a_new_catalog_keeps_timing_and_waits_for_a_pass_that_has_the_resource() {
    let mut office = Office::open(&[("a", RELOADS), ("b", "")]);
    office.take_snapshot(1, &["/a/1", "/b/1"]);
    let mut passes = office.hand_out();
    // `a` changes its commands, and with them its group; `b` goes.
    let changed = catalog(&office.path, &[("a", "reload_cmd = 'exit 0'"), ("c", "")]);
    office.desk.set_catalog(changed, office.now);
    office.take_snapshot(2, &["/a/1", "/c/1"]);
    assert_eq!(names(&office.hand_out()), ["c.toml*@2"], "the old pass still has a");
    assert!(!office.desk.first_round_is_over());
    office.end(passes.pop().unwrap());
    assert_eq!(names(&office.hand_out()), [""; 0]);
    office.end(passes.pop().unwrap());
    assert_eq!(names(&office.hand_out()), ["a.toml*@2"]);
}

#[test]
fn a_resource_that_was_gone_for_a_moment_waits_for_its_old_pass() {
    let mut office = Office::open(&[("a", "")]);
    office.take_snapshot(10, &["/a/1", "/a/2"]);
    let old = office.hand_out().remove(0);
    for resources in [&[("b", "")], &[("a", "")]] {
        office.desk.set_catalog(catalog(&office.path, resources), office.now);
    }
    office.take_snapshot(11, &["/a/1"]);
    assert_eq!(names(&office.hand_out()), [""; 0], "the old pass writes revision 10 when it ends");
    office.end(old);
    assert_eq!(names(&office.hand_out()), ["a.toml*@11"]);
    assert_eq!(names(&office.hand_out()), [""; 0], "it is out");
}

/// Its template may have changed: what the old pass has printed of it is not its own.
#[test]
fn a_resource_whose_file_is_broken_is_not_the_one_in_an_old_pass() {
    let mut office = Office::open(&[("a", "")]);
    let before = Arc::clone(office.desk.catalog());
    std::fs::write(office.path.join("conf.d/a.toml"), "[").unwrap();
    let after = loaded(&office.path, Some(&before));
    assert_eq!(after.problems.len(), 1);
    let [old, kept] = [&before, &after].map(|catalog| catalog.member("a.toml").unwrap());
    assert_eq!(old.resource, kept.resource);
    assert!(!Arc::ptr_eq(&old.renderer, &kept.renderer) && !Arc::ptr_eq(&old.resource, &kept.resource));
    office.desk.set_catalog(Arc::new(after), office.now);
}

#[test]
fn a_store_that_nobody_has_read_for_a_while_is_waited_for() {
    let mut office = Office::open(&[("a", "")]);
    office.take_snapshot(5, &["/a/1"]);
    office.hand_out().into_iter().for_each(|pass| office.end(pass));
    // An edit moves it to another store, and is taken back hours later.
    for lines in ["[backend]\nbackend = 'env'", ""] {
        office.desk.set_catalog(catalog(&office.path, &[("a", lines)]), office.now);
        office.now += Duration::from_secs(3600);
        assert_eq!(names(&office.hand_out()), [""; 0], "{lines}");
    }
    office.take_snapshot(9, &["/a/1"]);
    assert_eq!(names(&office.hand_out()), ["a.toml*@9"]);
}

#[test]
fn changed_keys_are_known_after_a_failure_and_beside_a_resync() {
    let mut office = Office::open(&[("a", RELOADS)]);
    office.take_snapshot(5, &["/a/1", "/a/2"]);
    let keys = |pass: &Pass| {
        let mark = pass.resources[0].mark.as_ref().unwrap();
        let keys = mark.keys().named().map(|key| key.to_string()).collect::<Vec<_>>();
        (keys, mark.paths("").is_none())
    };
    let fail = |office: &mut Office, mut pass: Pass| {
        pass.prepare();
        let mut returned = returned(pass, |report| Report {
            resources: vec!["a.toml".into()],
            outcome: Outcome::Rejected(StepFailure::new(Stage::Check, "no")),
            ..report
        });
        office.desk.take_back(&mut returned, office.now, 0.5);
        office.now += Duration::from_secs(100);
    };
    let pass = office.hand_out().remove(0);
    assert_eq!(keys(&pass), (Vec::new(), true), "what is known for the first time has not changed");
    fail(&mut office, pass);
    office.take(put(6, "/a/2"));
    office.now += Duration::from_secs(100);
    let pass = office.hand_out().remove(0);
    assert_eq!(keys(&pass), (vec!["/a/2".to_owned()], true), "a retry, and a key that has changed since");
    fail(&mut office, pass);
    office.desk.mark_all(office.now);
    office.take(snapshot(&office.desk.catalog().clone(), 7, &["/a/2"]));
    office.now += Duration::from_secs(100);
    let changed = vec!["/a/1".to_owned(), "/a/2".to_owned()];
    assert_eq!(keys(&office.hand_out()[0]), (changed, true), "a resync");
}

#[test]
fn every_skipped_key_has_its_reason_unless_a_pass_has_it() {
    let mut office = Office::open(&[("a", "prefix = '/p'")]);
    office.take_snapshot(5, &["/p/a/1"]);
    assert_eq!(office.desk.facts("/p/a/1").skipped, None);
    let state = office.desk.entries[0].seats[0].state.as_mut().unwrap();
    state.own.skipped = (0..100).map(|n| (format!("/a/{n:02}"), Reason::NoAddress)).collect();
    let facts = office.desk.facts("/p/a/99");
    assert_eq!((facts.skipped, facts.is_rendering), (Some(Reason::NoAddress.to_string()), false));
    let _pass = office.hand_out();
    assert!(office.desk.facts("/p/a/99").is_rendering);
}

#[test]
fn only_the_keys_that_are_still_missing_are_waited_for() {
    let mut office = Office::open(&[("a", "prefix = '/p'\nwait_for = ['/a/1', '/a/2']")]);
    let waiting = |office: &mut Office| {
        office.now += Duration::from_secs(1);
        let mut pass = office.hand_out().remove(0);
        pass.prepare();
        let mut returned = returned(pass, |report| report);
        office.desk.take_back(&mut returned, office.now, 0.5);
        returned.findings.waiting.get("a.toml").cloned()
    };
    office.take_snapshot(5, &[]);
    assert_eq!(waiting(&mut office), Some(vec!["/p/a/1".to_owned(), "/p/a/2".to_owned()]));
    office.take(put(6, "/p/a/1"));
    assert_eq!(waiting(&mut office), Some(vec!["/p/a/2".to_owned()]));
    office.take(put(7, "/p/a/2"));
    assert_eq!(waiting(&mut office), None);
}
