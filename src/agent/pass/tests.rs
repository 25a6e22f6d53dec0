//! Passes over resources of which one meets a bug of ours: a panic while it is rendered. And what passes find to be removed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::agent::catalog::{Catalog, Confdirs, load};
use crate::agent::desk::Desk;
use crate::agent::endpoints::{AnswerPlan, Endpoints};
use crate::apply::journal::{self, Journal};
use crate::config::resource::Defaults;
use crate::model::dns::Srv;
use crate::model::event::Event;
use crate::model::key::{Key, Value};
use crate::model::live_backends::LiveBackends;
use crate::model::resource::InstanceId;
use crate::nginx::installation::Version;
use crate::render::Facts;

use super::*;

/// A world in which a question for the environment panics, as long as it is broken.
struct Broken(AtomicBool);

impl Facts for Broken {
    fn instant(&self) -> Instant {
        Instant::now()
    }
    fn env(&self, _: &str) -> Option<String> {
        assert!(!self.0.load(Ordering::Relaxed), "a value");
        None
    }
    fn now(&self) -> jiff::Zoned {
        jiff::Zoned::default()
    }
    fn file_exists(&self, _: &str) -> bool {
        false
    }
    fn hostname(&self) -> Result<String, String> {
        Ok("host".to_owned())
    }
    fn lookup_ip(&self, _: &str, _: Option<Duration>) -> Result<Vec<IpAddr>, String> {
        Ok(Vec::new())
    }
    fn lookup_srv(&self, _: &str, _: &str, _: &str, _: Option<Duration>) -> Result<Vec<Srv>, String> {
        Ok(Vec::new())
    }
    fn interface_addresses(&self, _: &str) -> Vec<IpAddr> {
        Vec::new()
    }
    fn nginx_version(&self, _: Option<&std::path::Path>) -> Option<Version> {
        None
    }
}

/// Reads the confdir at this path, in which nothing is wrong.
fn loaded(path: &Path, facts: Arc<dyn Facts>) -> Catalog {
    let confdirs = Confdirs {
        folders: vec![path.to_owned()],
        defaults: Defaults::default(),
        only: None,
        also: Default::default(),
        named_by: None,
    };
    let catalog = load(&confdirs, &facts, None);
    assert!(catalog.problems.is_empty(), "{}", catalog.problems);
    catalog
}

#[test]
fn a_panic_in_one_render_fails_that_resource_alone_and_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for name in ["conf.d", "templates"] {
        std::fs::create_dir_all(path.join(name)).unwrap();
    }
    for (name, template) in [
        ("a.tera", "{{ getenv(name=\"BUG\") }}"),
        ("b.tmpl", "{{getenv \"BUG\"}}"),
        ("c.tera", "{{ getv(key=\"/v\") }}"),
        ("d.tera", "{{ item }}{% if item == \"v\" %}{{ getenv(name=\"BUG\") }}{% endif %}"),
    ] {
        std::fs::write(path.join("templates").join(name), template).unwrap();
        let each = if name == "d.tera" { ("-{{item}}", "for_each = '/'\n") } else { ("", "") };
        let dest = path.join(format!("{name}{}", each.0));
        // One group for all.
        let text = format!(
            "[template]\nsrc = '{name}'\ndest = '{}'\nkeys = ['/']\n{}reload_cmd = 'true'\n",
            dest.display(),
            each.1
        );
        std::fs::write(path.join("conf.d").join(format!("{name}.toml")), text).unwrap();
    }
    let facts = Arc::new(Broken(AtomicBool::new(true)));
    let catalog = loaded(path, Arc::clone(&facts) as Arc<dyn Facts>);
    let ranges = catalog.stores[0].wanted.all().clone();
    let entries = ["/v", "/w"].map(|key| (Key::from(key), Value::from("v"))).to_vec();
    let mut now = Instant::now();
    let mut desk = Desk::new(Arc::default(), Arc::new(catalog), true, now);
    desk.take_event(
        0,
        Event::Snapshot { revision: Revision(1), ranges, refused: None, entries, leases: Vec::new() },
        now,
    );
    now += Duration::from_secs(1);

    let rendered = |pass: &Pass| {
        let ids = pass.work.rendered.iter().map(|rendered| rendered.resource.id.to_string());
        ids.collect::<Vec<_>>()
    };
    let [mut pass] = desk.hand_out(now).try_into().ok().unwrap();
    pass.prepare();
    assert!(pass.terms.context.running_steps().is_empty(), "what comes next may have to wait");
    assert_eq!(rendered(&pass).len(), 2, "{:?}", rendered(&pass));
    let dropped: Vec<String> = pass.work.dropped.iter().map(|(id, failure)| format!("{id}: {failure}")).collect();
    assert_eq!(dropped.len(), 3, "{dropped:?}");
    for (line, (id, template)) in dropped.iter().zip([("a.", "a.tera"), ("b.", "b.tmpl"), ("d.", "d.tera")]) {
        let expected = format!("render failed: {template}: the render stopped because of a bug of upstreamd at ");
        assert!(line.starts_with(id) && line.contains(&expected) && !line.contains("a value"), "{line}");
    }
    let mut returned = pass.end(Report::unchanged(Revision(1)));
    assert_eq!(returned.findings.again.len(), 3);
    desk.take_back(&mut returned, now, 0.5);
    assert!(desk.hand_out(now).is_empty(), "it is not tried again at once");

    facts.0.store(false, Ordering::Relaxed);
    now = desk.wake_at().unwrap();
    let [mut pass] = desk.hand_out(now).try_into().ok().unwrap();
    pass.prepare();
    assert_eq!((rendered(&pass).len(), pass.work.dropped.len()), (4, 0));
}

#[test]
fn a_reload_may_be_owed_although_no_member_has_content() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = conf_d(folder.path(), "{{ getv(key=\"/web/none\") }}", EACH);
    std::fs::remove_file(folder.path().join("conf.d/each.toml")).unwrap();
    let ranges = catalog.stores[0].wanted.all().clone();
    let catalog = loaded(folder.path(), Arc::new(Broken(AtomicBool::new(false))));
    let now = Instant::now();
    let mut desk = Desk::new(Arc::default(), Arc::new(catalog), false, now);
    let entries = Vec::new();
    desk.take_event(
        0,
        Event::Snapshot { revision: Revision(1), ranges, refused: None, entries, leases: Vec::new() },
        now,
    );
    let [mut pass] = desk.hand_out(desk.wake_at().unwrap()).try_into().ok().unwrap();
    pass.prepare();
    assert_eq!((pass.work.rendered.len(), pass.work.dropped.len()), (0, 1));
    assert!(pass.has_something_to_apply());
    // It waits for its keys.
    pass.work.dropped.clear();
    assert!(pass.has_something_to_apply());
}

/// A desk over two resources in one group: `web` lists the backends below `/web`, and `each` has a file for each service.
struct Walk {
    desk: Desk,
    revision: i64,
    now: Instant,
    folder: tempfile::TempDir,
}

const LISTS_WEB: &str = "{% for b in backends(prefix=\"/web\") %}{{ b.address }}{% endfor %}";
const EACH: &str = "for_each = '/each'";
const LISTS_EACH: &str = "{% for b in backends(prefix=\"/each/\" ~ item) %}{{ b.address }}{% endfor %}";

/// Reads conf.d with the resources of a [`Walk`], this template of `web`, and these fields of `each`.
fn conf_d(path: &Path, web: &str, each: &str) -> Catalog {
    let each = format!("keys = ['/each', '/other']\n{each}");
    for (name, template, lines) in [("web", web, "keys = ['/web']"), ("each", LISTS_EACH, &each)] {
        std::fs::create_dir_all(path.join("conf.d")).unwrap();
        std::fs::create_dir_all(path.join("templates")).unwrap();
        std::fs::write(path.join(format!("templates/{name}.tera")), template).unwrap();
        let item = if name == "each" { "-{{item}}" } else { "" };
        let dest = path.join(format!("{name}{item}"));
        let fields = format!("src = '{name}.tera'\ndest = '{}'\nreload_cmd = 'true'\n{lines}\n", dest.display());
        std::fs::write(path.join(format!("conf.d/{name}.toml")), format!("[template]\n{fields}")).unwrap();
    }
    loaded(path, Arc::new(Broken(AtomicBool::new(false))))
}

impl Walk {
    fn new(keys: &[(&str, &str)], each: &str) -> Walk {
        let folder = tempfile::tempdir().unwrap();
        let catalog = conf_d(folder.path(), LISTS_WEB, each);
        let ranges = catalog.stores[0].wanted.all().clone();
        let entries = keys.iter().map(|(key, value)| (Key::from(*key), Value::from(*value))).collect();
        let now = Instant::now();
        let mut desk = Desk::new(Arc::default(), Arc::new(catalog), false, now);
        desk.take_event(
            0,
            Event::Snapshot { revision: Revision(1), ranges, refused: None, entries, leases: Vec::new() },
            now,
        );
        Walk { desk, revision: 1, now, folder }
    }

    /// One whose `web` has an upstream that nginx asks for. Returns the answerer, too.
    fn asked(keys: &[(&str, &str)]) -> (Walk, Arc<Endpoints>) {
        let mut walk = Walk::new(keys, EACH);
        let path = walk.folder.path();
        let web = "upstream web { zone web 64k; {{ servers(prefix=\"/web\") }} }";
        std::fs::remove_file(path.join("conf.d/each.toml")).unwrap();
        std::fs::write(path.join("templates/web.tera"), web).unwrap();
        let conf_d = path.join("conf.d/web.toml");
        let resource = std::fs::read_to_string(&conf_d).unwrap();
        std::fs::write(conf_d, format!("{resource}endpoints = 'dns'\n")).unwrap();
        let facts: Arc<dyn Facts> = Arc::new(Broken(AtomicBool::new(false)));
        let catalog = loaded(path, Arc::clone(&facts));
        let plan = AnswerPlan::Listen { addresses: vec![([127, 0, 0, 1], 0).into()], state_folder: None };
        let endpoints = Arc::new(Endpoints::new(plan, facts));
        endpoints.listen_for(catalog.members.iter().map(|member| &*member.resource), walk.now);
        let terms = Terms::new(Arc::default(), LastStep::Apply, false).with_endpoints(Arc::clone(&endpoints));
        let ranges = catalog.stores[0].wanted.all().clone();
        let entries = keys.iter().map(|(key, value)| (Key::from(*key), Value::from(*value))).collect();
        walk.desk = Desk::new(Arc::new(terms), Arc::new(catalog), false, walk.now);
        let snapshot = Event::Snapshot { revision: Revision(1), ranges, refused: None, entries, leases: Vec::new() };
        walk.desk.take_event(0, snapshot, walk.now);
        (walk, endpoints)
    }

    fn delete(&mut self, keys: &[&str]) {
        self.revision += 1;
        let deletes = keys.iter().map(|key| Key::from(*key)).collect();
        let revision = Revision(self.revision);
        let changes = Event::Changes { revision, puts: Vec::new(), leases: Vec::new(), deletes };
        self.desk.take_event(0, changes, self.now);
    }

    fn put(&mut self, key: &str, value: &str) {
        self.revision += 1;
        let (revision, puts) = (Revision(self.revision), vec![(Key::from(key), Value::from(value))]);
        let changes = Event::Changes { revision, puts, leases: Vec::new(), deletes: Vec::new() };
        self.desk.take_event(0, changes, self.now);
    }

    fn prepared(&mut self) -> Pass {
        self.now = self.desk.wake_at().unwrap().max(self.now);
        let [mut pass] = self.desk.hand_out(self.now).try_into().ok().unwrap();
        pass.prepare();
        pass
    }

    /// The first pass, which writes these files of `each`, as the journal then says.
    fn make_live(&mut self, names: &[&str]) {
        let pass = self.prepared();
        let made = names.iter().map(|name| self.folder.path().join(format!("each-{name}"))).collect();
        let made = [("each.toml".to_owned(), made)].into();
        journal::save(&pass.terms.context, &pass.group.id, &Journal { made, ..Journal::default() }).unwrap();
        let resources = vec!["each.toml".into(), "web.toml".into()];
        let files = pass.work.rendered.iter().map(|rendered| rendered.resource.dest.clone()).collect();
        let report = Report { outcome: Outcome::Applied, files, resources, ..Report::unchanged(Revision(1)) };
        self.desk.take_back(&mut pass.end(report), self.now, 0.5);
    }

    /// A pass that ends so. Returns what it has found.
    fn findings(&mut self, outcome: Outcome, writes: bool) -> Findings {
        let pass = self.prepared();
        let rendered = pass.work.rendered.iter().filter(|_| writes);
        let files = rendered.map(|rendered| rendered.resource.dest.clone()).collect();
        let resources = pass.group.resources.iter().map(|resource| Arc::clone(resource.name())).collect();
        let report = Report { outcome, files, resources, ..Report::unchanged(Revision(self.revision)) };
        let mut returned = pass.end(report);
        self.desk.take_back(&mut returned, self.now, 0.5);
        returned.findings
    }

    /// A pass that ends so. Returns what each resource has removed from nginx, if that is certain.
    fn pass(&mut self, outcome: Outcome, writes: bool) -> BTreeMap<String, Option<Vec<String>>> {
        let found = self.findings(outcome, writes);
        let removed = found.removed.iter().map(|(name, removed)| {
            let addresses = match &removed.removed {
                Removed::Unknown => None,
                Removed::Backends(addresses) => Some(addresses.iter().map(ToString::to_string).collect()),
            };
            (name.to_string(), addresses)
        });
        removed.collect()
    }
}

#[test]
fn what_a_pass_removes_is_known_once_nginx_serves_it() {
    let keys = ["/web/a", "/web/b", "/each/x/1", "/each/y/1"];
    let keys: Vec<(&str, String)> =
        keys.iter().zip(1..).map(|(key, number)| (*key, format!("10.0.0.{number}:80"))).collect();
    let keys: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let found = |web: Option<&[&str]>, each: Option<&[&str]>| {
        let texts = |addresses: &[&str]| addresses.iter().map(|address| (*address).to_owned()).collect::<Vec<_>>();
        BTreeMap::from([("each.toml".to_owned(), each.map(texts)), ("web.toml".to_owned(), web.map(texts))])
    };
    let mut walk = Walk::new(&keys, EACH);
    assert_eq!(walk.pass(Outcome::Applied, true), found(None, None), "nobody knows what was there before");

    walk.delete(&["/web/a"]);
    let owed = Outcome::ReloadOwed { cause: StepFailure::new(Stage::Reload, "no"), nothing_runs: false };
    assert_eq!(walk.pass(owed, true), BTreeMap::new(), "the file is in place, and nginx does not serve it");
    assert_eq!(walk.pass(Outcome::Applied, false), found(Some(&["10.0.0.1:80"]), Some(&[])));

    walk.delete(&["/each/x/1"]);
    assert_eq!(walk.pass(Outcome::Applied, true), found(Some(&[]), Some(&["10.0.0.3:80"])), "its file goes");

    // A guard keeps the last backend.
    std::fs::write(walk.folder.path().join("web"), "live").unwrap();
    walk.delete(&["/web/b"]);
    assert_eq!(walk.pass(Outcome::Applied, true).get("web.toml"), None);
}

#[test]
fn a_moved_backend_stays_where_nginx_asks_until_it_reads_the_file() {
    let owed = |at: Stage, nothing_runs: bool| Outcome::ReloadOwed { cause: StepFailure::new(at, "no"), nothing_runs };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let check = |outcome: Outcome, leaves_at_once: bool| {
        let (mut walk, endpoints) = Walk::asked(&[("/web/a", "10.0.0.1:80"), ("/web/b", "10.0.0.2:80")]);
        assert!(endpoints.service().is_some());
        let lost = || endpoints.lost("web.toml").iter().map(ToString::to_string).collect::<Vec<_>>();
        walk.findings(Outcome::Applied, true);
        // It gets a line of its own, with another name.
        walk.put("/web/a", "{\"host\": \"10.0.0.1\", \"port\": 80, \"max_conns\": 5}");
        walk.findings(outcome.clone(), true);
        assert_eq!(lost() == ["10.0.0.1:80"], leaves_at_once, "{outcome:?}: {:?}", lost());
        walk.findings(Outcome::Applied, false);
        assert_eq!(lost(), ["10.0.0.1:80"], "{outcome:?}");
    };
    check(owed(Stage::Reload, false), false);
    check(owed(Stage::Verify, false), false);
    check(owed(Stage::Reload, true), true);
    check(owed(Stage::Commit, false), true);
    check(Outcome::Rejected(StepFailure::new(Stage::Check, "no")), false);
}

#[test]
fn names_that_a_guard_holds_keep_all_that_is_known_of_their_files() {
    let keys = [("/each/x/1", "10.0.0.1:80"), ("/each/y/1", "10.0.0.2:80"), ("/each/z/1", "10.0.0.3:80")];
    let mut walk = Walk::new(&keys, &format!("{EACH}\nmax_drop_percent = 40"));
    walk.make_live(&["x", "y", "z"]);

    let names = |found: &Findings| found.live["each.toml"].keys().map(ToString::to_string).collect::<Vec<_>>();
    let removed = |found: &Findings| format!("{:?}", found.removed.get("each.toml").map(|removal| &removal.removed));
    let all = ["each.toml[x]", "each.toml[y]", "each.toml[z]"];
    walk.delete(&["/each/y/1", "/each/z/1"]);
    let held = walk.findings(Outcome::Applied, false);
    assert_eq!((names(&held), removed(&held)), (all.map(str::to_owned).to_vec(), "None".to_owned()));

    walk.put("/each/y/1", "10.0.0.4:80");
    let found = walk.findings(Outcome::Applied, true);
    assert_eq!(names(&found), all[..2]);
    assert_eq!(removed(&found), "Some(Unknown)", "anything may have changed while they were held");
    let changed = found.backends[&walk.folder.path().join("each-y")].to_string();
    assert_eq!(changed, "1 backend, +10.0.0.4:80, -10.0.0.2:80", "what was live is known");
}

#[test]
fn a_hold_that_is_over_while_its_name_is_gone_wakes_the_desk_once() {
    let mut walk = Walk::new(
        &[("/each/x/1", "10.0.0.1:80"), ("/each/x/2", "10.0.0.2:80")],
        &format!("{EACH}\nmax_drop_percent = 40"),
    );
    walk.make_live(&["x"]);
    std::fs::write(walk.folder.path().join("each-x"), "live").unwrap();
    walk.delete(&["/each/x/1"]);
    assert_eq!(walk.findings(Outcome::Applied, false).live["each.toml"].len(), 1);
    let until = walk.desk.wake_at().unwrap();
    assert!(until > walk.now + Duration::from_secs(29), "one of two is held");
    walk.delete(&["/each/x/2"]);
    walk.findings(Outcome::Applied, false);
    walk.findings(Outcome::Applied, false);
    assert_eq!(walk.now, until, "the hold is over");
    assert_eq!(walk.desk.wake_at(), None);
}

#[test]
fn the_end_of_one_hold_loses_no_other() {
    let keys = ["/each/x/1", "/each/x/2", "/each/y/1", "/each/y/2"];
    let keys: Vec<(&str, &str)> = keys
        .iter()
        .zip(["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"])
        .map(|(key, value)| (*key, value))
        .collect();
    let mut walk = Walk::new(&keys, &format!("{EACH}\nmax_drop_percent = 40\nmax_drop_hold = '50ms'"));
    walk.make_live(&["x", "y"]);
    for name in ["each-x", "each-y"] {
        std::fs::write(walk.folder.path().join(name), "live").unwrap();
    }
    walk.delete(&["/each/x/1"]);
    walk.findings(Outcome::Applied, false);
    let first = walk.desk.wake_at().unwrap();
    while Instant::now() < first {
        std::hint::spin_loop();
    }
    walk.now = first;
    walk.delete(&["/each/y/1"]);
    let pass = walk.prepared();
    let rendered: Vec<String> = pass.work.rendered.iter().map(|rendered| rendered.resource.id.to_string()).collect();
    assert_eq!(rendered, ["each.toml[x]"], "its hold is over, and that of y has begun");
    let report =
        Report { outcome: Outcome::Applied, resources: vec!["each.toml".into()], ..Report::unchanged(Revision(3)) };
    walk.desk.take_back(&mut pass.end(report), walk.now, 0.5);
    assert!(walk.desk.wake_at().is_some_and(|at| at > first), "y is still held");
}

#[test]
fn a_name_that_is_new_while_names_are_held_gets_its_file_afterwards() {
    let keys = ["x", "y", "z", "v"].map(|name| format!("/each/{name}/1"));
    let keys: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "10.0.0.1:80")).collect();
    let mut walk = Walk::new(&keys, &format!("{EACH}\nmax_drop_percent = 40"));
    walk.make_live(&["x", "y", "z", "v"]);
    walk.delete(&["/each/y/1", "/each/z/1", "/each/v/1"]);
    walk.findings(Outcome::Applied, false);
    walk.put("/each/w/1", "10.0.0.5:80");
    assert!(
        !walk.findings(Outcome::Applied, false).live["each.toml"]
            .contains_key(&InstanceId { resource: "each.toml".into(), item: Some("w".into()) })
    );
    walk.put("/each/y/1", "10.0.0.2:80");
    let pass = walk.prepared();
    let rendered: BTreeSet<&str> =
        pass.work.rendered.iter().filter_map(|rendered| rendered.resource.id.item.as_deref()).collect();
    assert!(pass.work.dropped.is_empty() && rendered.contains("w"), "{:?} {rendered:?}", pass.work.dropped);
}

#[test]
fn the_lists_of_a_resource_are_those_of_its_files_now() {
    let keys = [
        ("/web/a", "10.0.0.1:80"),
        ("/each/x/1", "10.0.0.2:80"),
        ("/each/x/2", "10.0.0.3:80"),
        ("/each/y/1", "10.0.0.4:80"),
        ("/other/y", "v"),
    ];
    let mut walk = Walk::new(&keys, EACH);
    let lists = |found: &Findings| {
        let files = found.live.values().flatten();
        let said = |(id, live): (&InstanceId, &Option<Arc<LiveBackends>>)| match live {
            None => format!("{id} none"),
            Some(live) => format!("{id} {}", live.len()),
        };
        files.map(said).collect::<Vec<_>>()
    };
    let found = walk.findings(Outcome::Applied, true);
    assert_eq!(lists(&found), ["each.toml[x] 2", "each.toml[y] 1", "web.toml 1"]);

    let path = walk.folder.path().to_owned();
    let reread = |walk: &mut Walk, web: &str, each: &str| {
        walk.desk.set_catalog(Arc::new(conf_d(&path, web, each)), walk.now);
    };
    reread(&mut walk, LISTS_WEB, EACH);
    walk.delete(&["/each/x/1"]);
    let found = walk.findings(Outcome::Applied, true);
    assert_eq!(found.backends[&path.join("each-x")].to_string(), "1 backend, -10.0.0.2:80", "what was live is known");

    reread(&mut walk, "nothing", "for_each = '/other'");
    let failed = Outcome::Rejected(StepFailure::new(Stage::Check, "no"));
    assert_eq!(lists(&walk.findings(failed, false)), [""; 0], "all files are as they were");
    let found = walk.findings(Outcome::Applied, true);
    assert_eq!(lists(&found), ["each.toml[y] 1", "web.toml none"], "a name is gone, and a template lists none");
}

#[test]
fn what_is_live_beside_a_failure_counts_and_what_is_not_is_tried_again() {
    let failure = || StepFailure::new(Stage::Reload, "no");
    let undone = |reload_old: Option<StepFailure>| Outcome::RolledBack { cause: failure(), reload_old };
    let check = |outcome: Outcome, live: &[&str], again: &[&str]| {
        let mut walk = Walk::new(&[("/web/a", "10.0.0.1:80"), ("/each/x/1", "10.0.0.3:80")], EACH);
        let mut pass = walk.prepared();
        pass.tried = ["web.toml", "each.toml"].map(Arc::from).into();
        let resources = vec!["each.toml".into()];
        let in_place = vec!["web.toml".into()];
        let Returned { findings, .. } =
            pass.end(Report { resources, in_place, outcome: outcome.clone(), ..Report::unchanged(Revision(1)) });
        let names = |names: Vec<&Arc<str>>| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(findings.live.keys().collect()), live, "{outcome:?}");
        assert_eq!(names(findings.removed.keys().collect()), live, "{outcome:?}");
        assert_eq!(names(findings.again.iter().collect()), again, "{outcome:?}");
    };
    for outcome in [Outcome::Rejected(failure()), undone(None)] {
        check(outcome, &["web.toml"], &["each.toml"]);
    }
    // Nobody knows what serves now.
    check(undone(Some(failure())), &[], &["each.toml", "web.toml"]);
}
