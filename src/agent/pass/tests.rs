//! Passes over resources of which one meets a bug of ours: a panic while it is rendered.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::agent::catalog::{Confdirs, load};
use crate::agent::desk::Desk;
use crate::config::resource::Defaults;
use crate::model::dns::Srv;
use crate::model::event::Event;
use crate::model::key::{Key, Value};
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
    let confdirs = Confdirs {
        folders: vec![path.to_owned()],
        defaults: Defaults::default(),
        only: None,
        also: Default::default(),
    };
    let facts = Arc::new(Broken(AtomicBool::new(true)));
    let as_facts: Arc<dyn Facts> = Arc::clone(&facts) as Arc<dyn Facts>;
    let catalog = load(&confdirs, &as_facts, None);
    assert!(catalog.problems.is_empty(), "{}", catalog.problems);
    let ranges = catalog.stores[0].wanted.all().clone();
    let entries = ["/v", "/w"].map(|key| (Key::from(key), Value::from("v"))).to_vec();
    let mut now = Instant::now();
    let mut desk = Desk::new(Arc::default(), Arc::new(catalog), true, now);
    desk.take_event(0, Event::Snapshot { revision: Revision(1), ranges, refused: None, entries }, now);
    now += Duration::from_secs(1);

    let rendered = |pass: &Pass| {
        let ids = pass.work.rendered.iter().map(|rendered| rendered.resource.id.to_string());
        ids.collect::<Vec<_>>()
    };
    let [mut pass] = desk.hand_out(now).try_into().ok().unwrap();
    pass.prepare();
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
