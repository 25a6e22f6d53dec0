//! Two announcers of one key: the second waits as long as a dead first could be remembered, then says who has it and ends.

use std::time::Instant;

use nix::sys::signal::Signal;

use super::{Backend, QUICK, TTL, World};
use crate::support::agent::DEADLINE;
use crate::support::wait_for;

const HELD: i32 = 11;

#[test]
fn the_second_says_who_holds_the_key_and_ends() {
    let mut world = World::new();
    let backend = Backend::silent();
    let (first, entry) = world.announce_web(&backend);
    let address = backend.address();
    let started = Instant::now();
    let second =
        world.sandbox.run(&[&["announce", "--name", "web", "--id", "one", "--address", &address], QUICK].concat());
    assert!(started.elapsed() >= TTL, "it gave its predecessor no time to be forgotten");
    let second = second.expect_code(HELD);
    let owner = format!("pid {} (lease {:x})", first.pid(), entry.lease);
    assert!(second.stderr.contains(&owner), "{owner}:\n{}", second.stderr);
    assert!(!second.stderr.contains("weight"), "a value is nobody's business:\n{}", second.stderr);
    assert_eq!(world.reader.read("/services/").unwrap().1, [entry], "the first was disturbed");
}

#[test]
fn the_successor_of_a_killed_one_takes_over() {
    let mut world = World::new();
    let backend = Backend::silent();
    let (mut first, entry) = world.announce_web(&backend);
    first.kill();
    let second = world.announce(&["--name", "web", "--id", "one", "--address", &backend.address()]);
    world.sandbox.wait_log("it will be announced as soon as it is free");
    let taken_over = wait_for("the successor's key", DEADLINE, || {
        let (_, entries) = world.reader.read("/services/")?;
        entries.into_iter().find(|found| found.lease != entry.lease)
    });
    assert!(taken_over.value.contains(&format!("pid {}", second.pid())));
}

#[test]
fn a_key_without_a_lease_is_never_overwritten() {
    let mut world = World::new();
    let backend = Backend::silent();
    world.etcd.put("/services/web/one", "192.0.2.1:80");
    let address = backend.address();
    let ran =
        world.sandbox.run(&[&["announce", "--name", "web", "--id", "one", "--address", &address], QUICK].concat());
    let ran = ran.expect_code(HELD);
    assert!(ran.stderr.contains("another announcer (without a lease)") && ran.stderr.contains("hint: delete the key"));
    assert_eq!(world.reader.read("/services/").unwrap().1[0].value, "192.0.2.1:80");
}

#[test]
fn whoever_was_paused_too_long_does_not_take_the_key_back() {
    let mut world = World::new();
    let backend = Backend::silent();
    let (mut first, _) = world.announce_web(&backend);
    first.signal(Signal::SIGSTOP);
    world.wait_none("/services/");
    let second = world.announce(&["--name", "web", "--id", "one", "--address", &backend.address()]);
    let entry = world.wait_one("/services/");
    assert!(entry.value.contains(&format!("pid {}", second.pid())));
    first.signal(Signal::SIGCONT);
    let status = wait_for("the first to end", DEADLINE, || first.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(HELD), "{}", world.sandbox.log());
    assert_eq!(world.reader.read("/services/").unwrap().1, [entry]);
}

#[test]
fn in_a_folder_one_that_is_held_does_not_end_the_others() {
    let mut world = World::new();
    let backend = Backend::silent();
    world.etcd.put("/services/web/one", "192.0.2.1:80");
    let service = |name: &str, id: &str| {
        format!(
            "[[service]]\nname = \"{name}\"\nid = \"{id}\"\naddress = \"{}\"\ninterval = \"300ms\"\ntimeout = \"250ms\"\nttl = \"3s\"\nrise = 1\n",
            backend.address()
        )
    };
    let folder = world.sandbox.path("announce.d");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("a.toml"), format!("{}\n{}", service("web", "one"), service("db", "two"))).unwrap();
    let mut announcer = world.sandbox.start(&["announce", "--config-dir", folder.to_str().unwrap()]);
    world.wait_one("/services/db/");
    world.sandbox.wait_log("for longer than a dead announcer could hold it");
    assert_eq!(announcer.child.try_wait().unwrap(), None);
    assert_eq!(world.reader.keys("/services/"), ["/services/db/two", "/services/web/one"]);
    world.etcd.delete("/services/web/one");
    let entry = world.wait_one("/services/web/");
    assert_ne!(entry.lease, 0, "it is taken as soon as it is free");
}
