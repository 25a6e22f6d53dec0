//! The walk of a resource's receipt from change to change.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::*;
use crate::apply::group;
use crate::config::resource::{Defaults, ResourceFile, parse};
use crate::model::process::Process;
use crate::model::report::{Outcome, Stage, StepFailure, Verified};
use crate::model::resource::InstanceId;

use crate::agent::drains::{BackendRemoval, Users};

/// Returns the group of a resource `NAME.toml` over `/services/NAME`, with these lines added.
fn group(name: &str, lines: &str) -> Group {
    let text = format!("[template]\nsrc = \"x.tera\"\ndest = \"/{name}\"\nkeys = [\"/services/{name}\"]\n{lines}\n");
    let file = ResourceFile { name: format!("{name}.toml").into(), path: name.into(), text };
    group::form(&[Arc::new(parse(&file, &Defaults::default()).unwrap())]).remove(0)
}

const NGINX: &str = "reload = \"nginx\"";

struct Walk {
    receipts: Receipts,
    reloads: Reloads,
    drains: Drains,
    /// Whether nginx takes the endpoints of changes at once.
    has_taken: bool,
    /// Serial of the last change of answers.
    answers: u64,
    groups: Vec<Group>,
    now: Instant,
}

impl Walk {
    fn new(groups: Vec<Group>) -> Walk {
        let mut receipts = Receipts::new("a".to_owned());
        receipts.set_groups(&groups);
        let (reloads, drains) = Default::default();
        Walk { receipts, reloads, drains, has_taken: true, answers: 0, groups, now: Instant::now() }
    }

    /// Runs a pass over the first group, at this tree's revision, with this report.
    fn pass(&mut self, tree: i64, report: Report) {
        self.pass_that_removes(tree, report, |_| RemovalKind::Anything);
    }

    /// Likewise, after a change of the first resource at this revision that removes as much.
    fn pass_that_removes(&mut self, tree: i64, report: Report, removal: impl FnOnce(&mut Drains) -> RemovalKind) {
        let group = self.groups[0].clone();
        for resource in &group.resources {
            self.receipts.rendering(resource.name(), Revision(tree));
        }
        self.reloads.add(&report, &BTreeSet::new(), self.now);
        let removals = BTreeMap::from([("web.toml".into(), removal(&mut self.drains))]);
        let mut taken = TakenAnswers::at(self.answers);
        if !self.has_taken {
            taken.lack(&"web.toml".into(), 0);
        }
        self.receipts.finished(&group, &report, &removals, (&self.reloads, &self.drains), &taken);
    }

    /// Looks at connections until nothing uses the addresses any more that were removed so far.
    fn end_of_connections(&mut self) {
        for _ in 0..2 {
            self.now += Duration::from_secs(1);
            self.drains.take(Some(&[]), &BTreeSet::new(), Duration::ZERO, self.now, |_| true);
        }
        self.receipts.look(&self.reloads, &self.drains);
    }

    fn end_of_workers(&mut self, pids: &[i32]) {
        self.now += Duration::from_secs(1);
        self.reloads.look(self.now, |process| !pids.contains(&process.pid));
        self.receipts.look(&self.reloads, &self.drains);
    }

    /// Checks seen, applied, converged and drained of the first resource, then the reload counts.
    #[track_caller]
    fn check(&self, seen: i64, rest: [Option<i64>; 3], generations: (u64, Option<u64>)) {
        let receipt = self.receipts.receipt(&self.reloads);
        let resource = &receipt.resources[0];
        assert_eq!((resource.seen, [resource.applied, resource.converged, resource.drained]), (seen, rest));
        assert_eq!((receipt.generation, receipt.drained_generation), generations);
    }
}

fn reloaded(now: Instant, leaving: &[i32], converged: bool) -> Report {
    let zero = Duration::ZERO;
    let leaving = leaving.iter().map(|pid| Process { pid: *pid, start_time: 1 }).collect();
    let converged = converged.then_some(zero);
    let (generation, asked_at, evidence) = (None, now, None);
    let verified =
        Verified { accepted: zero, healthy: zero, converged, generation, serving: 2, leaving, asked_at, evidence };
    Report { outcome: Outcome::Applied, verified: Some(verified), ..Report::unchanged(Revision(0)) }
}

fn unchanged() -> Report {
    Report::unchanged(Revision(0))
}

#[test]
fn a_change_is_seen_applied_converges_and_drains() {
    let mut walk = Walk::new(vec![group("web", NGINX)]);
    walk.check(0, [None; 3], (0, Some(0)));
    walk.pass(10, unchanged());
    walk.check(10, [Some(10); 3], (0, Some(0)));
    walk.receipts.touched(&"web.toml".into(), Revision(12), Instant::now());
    walk.check(12, [Some(10); 3], (0, Some(0)));
    walk.pass(15, reloaded(walk.now, &[7], true));
    walk.check(12, [Some(12), Some(12), Some(10)], (1, Some(0)));
    // No byte has changed, but the remaining old worker has none of it.
    walk.receipts.touched(&"web.toml".into(), Revision(20), Instant::now());
    walk.pass(20, unchanged());
    walk.check(20, [Some(20), Some(20), Some(10)], (1, Some(0)));
    walk.receipts.touched(&"web.toml".into(), Revision(30), Instant::now());
    walk.pass(30, reloaded(walk.now, &[7, 8], false));
    walk.check(30, [Some(30), Some(20), Some(10)], (2, Some(0)));
    // Nor does the worker that hangs serve any more than before.
    walk.pass(30, unchanged());
    walk.check(30, [Some(30), Some(20), Some(10)], (2, Some(0)));
    walk.end_of_workers(&[7]);
    walk.check(30, [Some(30), Some(20), Some(20)], (2, Some(1)));
    walk.end_of_workers(&[7, 8]);
    walk.check(30, [Some(30); 3], (2, Some(2)));
    // A further look at everything changes nothing.
    walk.pass(99, unchanged());
    walk.check(30, [Some(30); 3], (2, Some(2)));
}

#[test]
fn a_store_that_was_restored_has_reached_nothing_of_before() {
    let mut walk = Walk::new(vec![group("web", NGINX)]);
    walk.pass(10, unchanged());
    walk.receipts.touched(&"web.toml".into(), Revision(33), Instant::now());
    walk.pass(33, reloaded(walk.now, &[7], true));
    walk.check(33, [Some(33), Some(33), Some(10)], (1, Some(0)));
    walk.receipts.touched(&"web.toml".into(), Revision(5), Instant::now());
    walk.check(5, [None; 3], (1, Some(0)));
    walk.pass(5, reloaded(walk.now, &[7, 8], true));
    walk.check(5, [Some(5), Some(5), None], (2, Some(0)));
    walk.end_of_workers(&[7, 8]);
    walk.check(5, [Some(5); 3], (2, Some(2)));
}

#[test]
fn a_restored_store_with_the_same_values_is_reached_by_the_next_pass() {
    let mut walk = Walk::new(vec![group("web", NGINX)]);
    walk.pass(33, unchanged());
    walk.check(33, [Some(33); 3], (0, Some(0)));
    walk.receipts.went_back(Revision(40));
    walk.check(33, [Some(33); 3], (0, Some(0)));
    walk.receipts.went_back(Revision(5));
    walk.check(5, [None; 3], (0, Some(0)));
    walk.pass(7, unchanged());
    walk.check(5, [Some(5); 3], (0, Some(0)));
}

fn removed_from(users: Users, now: Instant) -> BackendRemoval {
    let addresses = ["10.0.0.1:80".parse().unwrap()].into();
    BackendRemoval { resource: "web.toml".into(), revision: Revision(0), addresses, users, since: now, answers: 0 }
}

/// The removal of a backend by the reload of this number, which leaves worker 7 behind.
fn backends(reload: u64, now: Instant) -> impl FnOnce(&mut Drains) -> RemovalKind {
    let users = Users::OldWorkers { reload, workers: [Process { pid: 7, start_time: 1 }].into() };
    move |drains| RemovalKind::Backends(drains.add(removed_from(users, now), now))
}

#[test]
fn a_backend_drains_with_its_last_connection_while_an_old_worker_stays() {
    let mut walk = Walk::new(vec![group("web", NGINX)]);
    walk.pass(10, unchanged());
    let change = |walk: &mut Walk, revision: i64| {
        walk.receipts.touched(&"web.toml".into(), Revision(revision), Instant::now());
        (revision, reloaded(walk.now, &[7], true))
    };
    let (revision, report) = change(&mut walk, 12);
    walk.pass_that_removes(revision, report, |_| RemovalKind::Nothing);
    walk.check(12, [Some(12), Some(12), Some(10)], (1, Some(0)));
    let (revision, report) = change(&mut walk, 14);
    walk.pass_that_removes(revision, report, backends(2, walk.now));
    walk.check(14, [Some(14), Some(14), Some(10)], (2, Some(0)));
    assert!(walk.receipts.take_moved());
    // The addition before it removed nothing, so nobody has to wait for it.
    walk.end_of_connections();
    walk.check(14, [Some(14); 3], (2, Some(0)));
    assert!(walk.receipts.take_moved());
    // What else a change removed is as long in use as there are old workers, and later changes wait for it.
    let (revision, report) = change(&mut walk, 16);
    walk.pass(revision, report);
    let (revision, report) = change(&mut walk, 18);
    walk.pass_that_removes(revision, report, backends(4, walk.now));
    walk.end_of_connections();
    walk.check(18, [Some(18), Some(18), Some(14)], (4, Some(0)));
    walk.end_of_workers(&[7]);
    walk.check(18, [Some(18); 3], (4, Some(4)));
}

#[test]
fn the_first_change_is_all_that_happened_before() {
    let mut walk = Walk::new(vec![group("web", NGINX)]);
    let report = reloaded(walk.now, &[7], true);
    walk.pass_that_removes(10, report, backends(1, walk.now));
    walk.end_of_connections();
    walk.check(10, [Some(10), Some(10), None], (1, Some(0)));
}

/// The removal of a backend that nginx asks for.
fn endpoints(now: Instant) -> impl FnOnce(&mut Drains) -> RemovalKind {
    move |drains| RemovalKind::Endpoints(drains.add(removed_from(Users::AllWorkers, now), now))
}

#[test]
fn a_change_that_nginx_asks_for_drains_once_it_is_taken_and_unused() {
    let mut walk = Walk::new(vec![group("web", NGINX)]);
    walk.pass(10, unchanged());
    let change = |walk: &mut Walk, revision: i64, report: Report, removes: bool| {
        walk.receipts.touched(&"web.toml".into(), Revision(revision), Instant::now());
        let now = walk.now;
        match removes {
            true => walk.pass_that_removes(revision, report, endpoints(now)),
            false => walk.pass_that_removes(revision, report, |_| RemovalKind::Nothing),
        }
    };
    let take = |walk: &mut Walk| {
        walk.drains.taken(&TakenAnswers::default(), walk.now);
        walk.receipts.settle(&TakenAnswers::default(), &walk.reloads);
        walk.receipts.look(&walk.reloads, &walk.drains);
    };
    change(&mut walk, 12, unchanged(), false);
    walk.check(12, [Some(12); 3], (0, Some(0)));
    walk.has_taken = false;
    change(&mut walk, 14, unchanged(), true);
    change(&mut walk, 16, unchanged(), true);
    change(&mut walk, 18, unchanged(), false);
    walk.end_of_connections();
    walk.check(18, [Some(12); 3], (0, Some(0)));
    take(&mut walk);
    walk.check(18, [Some(18), Some(18), Some(12)], (0, Some(0)));
    walk.end_of_connections();
    walk.check(18, [Some(18); 3], (0, Some(0)));
    // A reload among them that removed who knows what: its old workers count too.
    walk.pass(20, reloaded(walk.now, &[7], true));
    change(&mut walk, 22, unchanged(), true);
    take(&mut walk);
    walk.end_of_connections();
    walk.check(22, [Some(22), Some(22), Some(18)], (1, Some(0)));
    walk.end_of_workers(&[7]);
    walk.check(22, [Some(22); 3], (1, Some(1)));
}

#[test]
fn the_first_change_waits_for_endpoints_that_are_in_use() {
    let mut walk = Walk::new(vec![group("web", NGINX)]);
    let now = walk.now;
    walk.pass_that_removes(10, unchanged(), endpoints(now));
    walk.drains.taken(&TakenAnswers::default(), walk.now);
    walk.receipts.look(&walk.reloads, &walk.drains);
    walk.check(10, [Some(10), Some(10), None], (0, Some(0)));
    // An edit of conf.d begins it again.
    let edited = group("web", &format!("{NGINX}\nprefix = \"/other\""));
    walk.receipts.set_groups(std::slice::from_ref(&edited));
    walk.groups = vec![edited];
    walk.pass_that_removes(12, unchanged(), |_| RemovalKind::Nothing);
    walk.check(12, [Some(12), Some(12), None], (0, Some(0)));
    // So does a reload: its old workers count too.
    walk.receipts.touched(&"web.toml".into(), Revision(14), now);
    let and_more = |drains: &mut Drains| RemovalKind::EndpointsAndMore(drains.last_open("web.toml").unwrap());
    walk.pass_that_removes(14, reloaded(now, &[7], true), and_more);
    walk.end_of_connections();
    walk.check(14, [Some(14), Some(14), Some(12)], (1, Some(0)));
    walk.end_of_workers(&[7]);
    walk.check(14, [Some(14); 3], (1, Some(1)));
}

#[test]
fn what_changes_all_the_time_is_applied_and_drains_all_the_same() {
    let mut walk = Walk::new(vec![group("web", NGINX)]);
    walk.pass(0, unchanged());
    walk.has_taken = false;
    // Two changes for each question of nginx, which proves the answer before: that of the last change but two.
    for revision in 1..=20_u64 {
        walk.answers = revision;
        let (number, now) = (i64::try_from(revision).unwrap(), walk.now);
        walk.receipts.touched(&"web.toml".into(), Revision(number), now);
        let removal = BackendRemoval { answers: revision, ..removed_from(Users::AllWorkers, now) };
        walk.pass_that_removes(number, unchanged(), |drains| RemovalKind::Endpoints(drains.add(removal, now)));
        if revision % 2 == 0 {
            let mut taken = TakenAnswers::at(revision);
            taken.lack(&"web.toml".into(), revision - 1);
            walk.drains.taken(&taken, now);
            walk.receipts.settle(&taken, &walk.reloads);
            walk.end_of_connections();
        }
    }
    walk.check(20, [Some(18), Some(18), Some(18)], (0, Some(0)));
}

#[test]
fn changes_that_are_taken_one_after_the_other_drain_so_too() {
    let mut walk = Walk::new(vec![group("web", NGINX)]);
    walk.pass(10, unchanged());
    walk.has_taken = false;
    let remove = |walk: &mut Walk, revision: i64| {
        walk.receipts.touched(&"web.toml".into(), Revision(revision), Instant::now());
        let now = walk.now;
        walk.pass_that_removes(revision, unchanged(), endpoints(now));
    };
    remove(&mut walk, 12);
    walk.drains.taken(&TakenAnswers::default(), walk.now);
    remove(&mut walk, 14);
    walk.end_of_connections();
    walk.receipts.settle(&TakenAnswers::default(), &walk.reloads);
    walk.end_of_connections();
    walk.check(14, [Some(14), Some(14), Some(12)], (0, Some(0)));
    walk.drains.taken(&TakenAnswers::default(), walk.now);
    walk.end_of_connections();
    walk.check(14, [Some(14); 3], (0, Some(0)));
}

#[test]
fn changes_beyond_a_bound_are_kept_together_until_all_have_drained() {
    let mut walk = Walk::new(vec![group("web", NGINX)]);
    walk.pass(1, unchanged());
    for revision in 2..=1100 {
        walk.receipts.touched(&"web.toml".into(), Revision(revision), walk.now);
        // Worker 1 stays for ever; each reload leaves another one behind.
        let report = reloaded(walk.now, &[1, 10_000 + i32::try_from(revision).unwrap()], true);
        walk.pass(revision, report);
    }
    let kept = |walk: &Walk| walk.receipts.tracks.values().next().unwrap().undrained.len();
    assert_eq!(kept(&walk), MAX_UNDRAINED);
    for revision in 1101..=2300 {
        walk.receipts.touched(&"web.toml".into(), Revision(revision), walk.now);
        let now = walk.now;
        walk.pass_that_removes(revision, unchanged(), endpoints(now));
        walk.drains.taken(&TakenAnswers::default(), walk.now);
        if revision < 2300 {
            walk.end_of_connections();
        }
        assert!(kept(&walk) <= MAX_UNDRAINED);
    }
    walk.check(2300, [Some(2300), Some(2300), Some(1)], (1099, Some(0)));
    let workers: Vec<i32> = std::iter::once(1).chain(10_000..12_000).collect();
    walk.end_of_workers(&workers);
    walk.check(2300, [Some(2300), Some(2300), Some(2299)], (1099, Some(1099)));
    walk.end_of_connections();
    walk.check(2300, [Some(2300); 3], (1099, Some(1099)));
}

#[test]
fn workers_that_were_leaving_before_count() {
    let mut walk = Walk::new(vec![group("web", NGINX)]);
    walk.reloads.add_earlier(BTreeSet::from([Process { pid: 7, start_time: 1 }]), walk.now);
    walk.pass(10, unchanged());
    walk.check(10, [Some(10), Some(10), None], (0, None));
    walk.end_of_workers(&[7]);
    walk.check(10, [Some(10); 3], (0, Some(0)));
}

#[test]
fn what_failed_or_is_held_is_not_applied() {
    let failure = || StepFailure::new(Stage::Check, "x");
    let mut walk = Walk::new(vec![group("web", NGINX)]);
    walk.pass(10, unchanged());
    walk.receipts.touched(&"web.toml".into(), Revision(12), Instant::now());
    walk.pass(12, Report { outcome: Outcome::Rejected(failure()), ..unchanged() });
    walk.pass(12, Report { dropped: vec![("web.toml".into(), failure())], ..unchanged() });
    let instance = InstanceId { item: Some("a".into()), .."web.toml".into() };
    walk.pass(12, Report { dropped: vec![(instance, failure())], ..unchanged() });
    let owed = Outcome::ReloadOwed { cause: failure(), nothing_runs: true };
    walk.pass(12, Report { outcome: owed, ..unchanged() });
    walk.check(12, [Some(10); 3], (0, Some(0)));
    walk.pass(12, Report { dropped: vec![("web2.toml".into(), failure())], ..unchanged() });
    walk.check(12, [Some(12); 3], (0, Some(0)));
}

#[test]
fn what_changes_during_a_pass_waits_for_the_next() {
    let mut walk = Walk::new(vec![group("web", NGINX)]);
    walk.pass(10, unchanged());
    let web = walk.groups[0].clone();
    walk.receipts.touched(&"web.toml".into(), Revision(11), Instant::now());
    walk.receipts.rendering("web.toml", Revision(11));
    walk.receipts.touched(&"web.toml".into(), Revision(12), Instant::now());
    walk.receipts.finished(
        &web,
        &unchanged(),
        &BTreeMap::new(),
        (&walk.reloads, &walk.drains),
        &TakenAnswers::default(),
    );
    walk.check(12, [Some(11); 3], (0, Some(0)));
}

#[test]
fn what_cannot_be_proven_is_not_said() {
    for (lines, proof) in [
        ("", Proof::File),
        ("check_cmd = \"nginx -t\"", Proof::File),
        ("reload_cmd = \"service haproxy reload\"", Proof::Unseen),
        ("reload_cmd = \"nginx -s reload\"\nverify = \"off\"", Proof::Unseen),
        ("reload_cmd = \"nginx -s reload\"", Proof::Nginx),
    ] {
        let mut walk = Walk::new(vec![group("web", lines)]);
        walk.pass(10, unchanged());
        let rest = if proof == Proof::Nginx { Some(10) } else { None };
        walk.check(10, [Some(10), rest, rest], (0, Some(0)));
        let receipt = walk.receipts.receipt(&walk.reloads);
        assert_eq!(
            (receipt.resources[0].proof, receipt.resources[0].keys.as_slice()),
            (proof, &["/services/web".to_owned()][..])
        );
    }
}

#[test]
fn a_resource_that_stays_has_come_as_far_as_it_had() {
    let mut walk = Walk::new(vec![group("web", NGINX)]);
    walk.pass(10, unchanged());
    walk.receipts.set_groups(&[group("web", NGINX), group("echo", NGINX)]);
    let receipt = walk.receipts.receipt(&walk.reloads);
    let applied: Vec<_> = receipt.resources.iter().map(|resource| (resource.name.as_str(), resource.applied)).collect();
    assert_eq!(applied, [("echo.toml", None), ("web.toml", Some(10))]);
    walk.receipts.set_groups(&[group("web", "")]);
    assert_eq!(walk.receipts.receipt(&walk.reloads).resources[0].applied, None, "it is proven in another way");
}

#[test]
fn the_oldest_change_that_is_not_applied_says_how_far_behind_it_is() {
    let mut walk = Walk::new(vec![group("web", NGINX)]);
    let start = walk.now;
    let at = |second: u64| start + Duration::from_secs(second);
    let name: Arc<str> = "web.toml".into();
    let behind = |walk: &mut Walk| {
        walk.receipts.news.insert("web.toml".into());
        let progress = walk.receipts.take_progress(at(100), 1100)[0].1;
        progress.behind_since.map(|since| (since, progress.behind_changes))
    };
    walk.pass(1, unchanged());
    assert_eq!(behind(&mut walk), None);
    // A key is touched while each pass runs.
    let group = walk.groups[0].clone();
    for second in 10..20 {
        walk.receipts.touched(&name, Revision(second as i64), at(second));
        assert_eq!(behind(&mut walk), Some(if second == 10 { (1010, 1) } else { (1000 + second - 1, 2) }));
        walk.receipts.rendering(&name, Revision(second as i64));
        walk.receipts.touched(&name, Revision(second as i64), at(second));
        let removals = BTreeMap::new();
        walk.receipts.finished(
            &group,
            &unchanged(),
            &removals,
            (&walk.reloads, &walk.drains),
            &TakenAnswers::default(),
        );
        assert_eq!(behind(&mut walk), Some((1000 + second, 1)), "only what came after the render is left");
    }
    let failed = || Report { outcome: Outcome::Rejected(StepFailure::new(Stage::Check, "no")), ..unchanged() };
    walk.pass(20, failed());
    walk.receipts.touched(&name, Revision(21), at(30));
    walk.pass(21, failed());
    assert_eq!(behind(&mut walk), Some((1019, 2)), "no pass has made it live");
    // nginx does not ask at once.
    walk.has_taken = false;
    walk.pass(21, unchanged());
    walk.receipts.touched(&name, Revision(22), at(40));
    walk.pass(22, unchanged());
    walk.receipts.touched(&name, Revision(23), at(50));
    assert_eq!(behind(&mut walk), Some((1019, 4)));
    walk.receipts.settle(&TakenAnswers::default(), &walk.reloads);
    assert_eq!(behind(&mut walk), Some((1050, 1)));
    walk.has_taken = true;
    walk.pass(23, unchanged());
    assert_eq!(behind(&mut walk), None);
}
