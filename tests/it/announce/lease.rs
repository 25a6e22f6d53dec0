//! One key under one lease: there while the backend is healthy, silent while nothing changes, gone when it should be, back
//! when it was lost.

use std::fs;

use nix::sys::signal::Signal;

use super::{Backend, QUICK, RENEWALS_OF_TWO_LIVES, Reader, TTL, World, renewals};
use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::certs::Certs;
use crate::support::etcd::{Etcd, Options};
use crate::support::proxy::Proxy;
use crate::support::{temp_dir, wait_for, wait_until};

#[test]
fn a_healthy_backend_is_announced_once_and_nothing_more_is_written() {
    let mut world = World::new();
    let backend = Backend::silent();
    let (mut announcer, entry) = world.announce_web(&backend);
    assert_eq!(entry.key, "/services/web/one");
    assert!(entry.value.starts_with(&format!(r#"{{"host":"127.0.0.1","port":{},"weight":100"#, backend.port)));
    assert!(entry.value.contains(r#""state":"up""#) && entry.value.contains(&format!("pid {}", announcer.pid())));
    assert_ne!(entry.lease, 0);
    let (revision, _) = world.reader.read("/").unwrap();
    let before = renewals(&world.etcd);
    wait_until("renewals", DEADLINE, || renewals(&world.etcd) >= before + RENEWALS_OF_TWO_LIVES);
    assert_eq!(world.reader.read("/").unwrap(), (revision, vec![entry]), "{}", world.sandbox.log());
    assert_eq!(announcer.child.try_wait().unwrap(), None);
}

#[test]
fn the_end_takes_the_key_away_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut world = World::new();
        let (mut announcer, _) = world.announce_web(&Backend::silent());
        announcer.signal(signal);
        let status = wait_for("the announcer to end", DEADLINE, || announcer.child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{}", world.sandbox.log());
        assert_eq!(world.reader.keys("/services/"), Vec::<String>::new(), "it ended before the key was gone");
    }
}

#[test]
fn a_killed_announcer_is_forgotten_after_its_time_to_live() {
    let mut world = World::new();
    let backend = Backend::silent();
    let (mut announcer, entry) = world.announce_web(&backend);
    let lease = world.etcd.ctl(&["lease", "timetolive", &format!("{:x}", entry.lease)]);
    // etcd may take a second more to notice.
    assert!(lease.contains(&format!("granted with TTL({}s)", TTL.as_secs() - 1)), "{lease}");
    announcer.kill();
    world.wait_none("/services/");
}

#[test]
fn a_backend_that_dies_is_taken_away_and_comes_back() {
    let mut world = World::new();
    let backend = Backend::silent();
    let port = backend.port;
    let (_announcer, _) = world.announce_web(&backend);
    drop(backend);
    world.wait_none("/services/");
    world.sandbox.wait_log("unhealthy after 2 failed checks, removing it: cannot connect to 127.0.0.1");
    let _backend = Backend::again(port);
    assert_eq!(world.wait_one("/services/").key, "/services/web/one");
}

#[test]
fn a_backend_that_is_not_there_is_not_announced() {
    let mut world = World::new();
    let backend = Backend::silent();
    let address = backend.address();
    drop(backend);
    let mut announcer = world.announce(&["--name", "web", "--address", &address]);
    world.sandbox.wait_log("a check failed: cannot connect to");
    announcer.signal(Signal::SIGTERM);
    wait_for("the announcer to end", DEADLINE, || announcer.child.try_wait().unwrap());
    let (revision, _) = world.reader.read("/services/").unwrap();
    assert_eq!(revision, 1, "not one key was ever written");
}

#[test]
fn a_lease_that_is_lost_is_granted_again() {
    let mut world = World::new();
    let backend = Backend::silent();
    let (_announcer, entry) = world.announce_web(&backend);
    world.etcd.ctl(&["lease", "revoke", &format!("{:x}", entry.lease)]);
    let back = world.wait_one("/services/");
    assert!(back.lease != entry.lease && back.created > entry.created);
    world.sandbox.wait_log("the lease expired");
}

#[test]
fn a_key_that_somebody_deletes_comes_back() {
    let mut world = World::new();
    let backend = Backend::silent();
    let (_announcer, entry) = world.announce_web(&backend);
    world.etcd.delete("/services/web/one");
    assert_eq!(world.wait_one("/services/").value, entry.value);
}

#[test]
fn sigusr1_looks_for_the_key_at_once() {
    let mut world = World::new();
    let backend = Backend::silent();
    // By itself it would look again in an hour.
    let address = backend.address();
    let service = ["announce", "--name", "web", "--id", "one", "--address", &address, "--ttl", "1h"];
    let checks = ["--interval", "300ms", "--timeout", "250ms", "--rise", "1"];
    let announcer = world.sandbox.start(&[service.as_slice(), &checks].concat());
    let entry = world.wait_one("/services/");
    world.etcd.delete("/services/web/one");
    announcer.signal(Signal::SIGUSR1);
    assert_eq!(world.wait_one("/services/").value, entry.value);
}

#[test]
fn etcd_that_is_killed_and_started_again_removes_nobody() {
    let mut world = World::new();
    let backend = Backend::silent();
    let (_announcer, entry) = world.announce_web(&backend);
    for _ in 0..2 {
        world.etcd.kill();
        world.etcd.restart();
    }
    // etcd counts from its start.
    wait_until("renewals", DEADLINE, || renewals(&world.etcd) >= RENEWALS_OF_TWO_LIVES);
    let (_, entries) = wait_for("etcd to answer", DEADLINE, || world.reader.read("/services/"));
    assert_eq!(entries, [entry], "{}", world.sandbox.log());
}

#[test]
fn an_etcd_that_forgot_everything_gets_the_key_again() {
    let mut world = World::new();
    let backend = Backend::silent();
    let (_announcer, _) = world.announce_web(&backend);
    world.etcd.kill();
    fs::remove_dir_all(world.etcd.dir.path().join("data")).unwrap();
    world.etcd.restart();
    world.wait_one("/services/");
}

#[test]
fn a_frozen_etcd_is_noticed_and_the_lease_survives() {
    let mut world = World::new();
    let backend = Backend::silent();
    let (_announcer, entry) = world.announce_web(&backend);
    world.etcd.freeze();
    world.sandbox.wait_log("etcd cannot be reached");
    world.etcd.thaw();
    world.sandbox.wait_log("etcd can be reached again");
    let now = world.wait_one("/services/");
    assert_eq!((now.key, now.value), (entry.key, entry.value));
}

#[test]
fn a_paused_process_puts_its_key_back() {
    let mut world = World::new();
    let backend = Backend::silent();
    let (announcer, entry) = world.announce_web(&backend);
    announcer.signal(Signal::SIGSTOP);
    world.wait_none("/services/");
    announcer.signal(Signal::SIGCONT);
    assert_eq!(world.wait_one("/services/").value, entry.value);
}

#[test]
fn a_cut_connection_is_made_again_and_nothing_is_written() {
    let mut world = World::new();
    let proxy = Proxy::start(world.etcd.port());
    let backend = Backend::silent();
    world.sandbox.store = ["--node", &proxy.address()].map(str::to_owned).to_vec();
    let (_announcer, entry) = world.announce_web(&backend);
    proxy.cut();
    world.sandbox.wait_log("etcd cannot be reached");
    proxy.mend();
    world.sandbox.wait_log("etcd can be reached again");
    assert_eq!(world.reader.read("/services/").unwrap().1, [entry]);
}

#[test]
fn it_waits_for_an_etcd_that_is_not_there_yet() {
    let mut world = World::new();
    world.etcd.kill();
    let backend = Backend::silent();
    let _announcer = world.announce(&["--name", "web", "--id", "one", "--address", &backend.address()]);
    world.sandbox.wait_log("etcd cannot be reached");
    world.etcd.restart();
    world.wait_one("/services/");
}

#[test]
fn an_etcd_without_space_is_reported_once_and_stays_connected() {
    let etcd = Etcd::start_with(Options::default().flag("--quota-backend-bytes=2000000"));
    let (sandbox, reader) = (Sandbox::on_etcd(&etcd.url()), Reader::new(&etcd));
    let mut world = World { etcd, sandbox, reader };
    let proxy = Proxy::start(world.etcd.port());
    world.sandbox.store = ["--node", &proxy.address()].map(str::to_owned).to_vec();
    let backend = Backend::silent();
    let (_announcer, _) = world.announce_web(&backend);
    let fill = |reader: &mut Reader| reader.runtime.block_on(reader.client.put("/filler", vec![b'x'; 200_000], None));
    // It looks at its size when it writes to disk, which many puts do not wait for.
    wait_until("an etcd that is full", DEADLINE, || fill(&mut world.reader).is_err());
    // Its lease is renewed, and its key cannot be written again.
    world.etcd.delete("/services/web/one");
    world.sandbox.wait_log("database space exceeded");
    let refused = |etcd: &Etcd| etcd.metric("grpc_server_handled_total", "grpc_code=\"ResourceExhausted\"");
    let before = refused(&world.etcd);
    wait_until("more tries", DEADLINE, || refused(&world.etcd) >= before + 10);
    let (revision, _) = world.reader.read("/services/").unwrap();
    world.etcd.ctl(&["compaction", &revision.to_string()]);
    world.etcd.ctl(&["defrag"]);
    world.etcd.ctl(&["alarm", "disarm"]);
    world.wait_one("/services/");
    world.sandbox.wait_log("etcd can be reached again");
    let log = world.sandbox.log();
    assert_eq!((log.matches("etcd cannot be reached").count(), proxy.accepted()), (1, 1), "{log}");
}

#[test]
fn an_expired_login_is_repeated_without_a_loss() {
    let etcd = Etcd::start_with(Options::default().flag("--auth-token-ttl=1"));
    etcd.ctl(&["role", "add", "web"]);
    etcd.ctl(&["role", "grant-permission", "--prefix=true", "web", "readwrite", "/services/web/"]);
    etcd.ctl(&["user", "add", "web:web"]);
    etcd.ctl(&["user", "grant-role", "web", "web"]);
    etcd.enable_auth(&[]);
    let (mut sandbox, backend) = (Sandbox::on_etcd(&etcd.url()), Backend::silent());
    sandbox.store.extend(["--username", "web", "--password", "web"].map(str::to_owned));
    // It asks etcd nothing for longer than its token lives.
    let service = ["announce", "--name", "web", "--id", "one", "--address", &backend.address(), "--ttl", "1h"];
    let checks = ["--interval", "300ms", "--timeout", "250ms", "--rise", "1", "--fall", "2"];
    let _announcer = sandbox.start(&[service.as_slice(), &checks].concat());
    let keys = || etcd.ctl_as(Some("root:root"), &["get", "--prefix", "--keys-only", "/services/"]);
    wait_until("the key", DEADLINE, || keys().trim() == "/services/web/one");
    etcd.wait_log("deleted a simple token", "\"web\"");
    drop(backend);
    wait_until("the key of a dead backend to go", DEADLINE, || keys().trim().is_empty());
    assert!(!sandbox.log().contains("etcd cannot be reached"), "{}", sandbox.log());
}

#[test]
fn rights_are_kept_and_an_expired_login_is_repeated() {
    let mut world = World::new();
    world.etcd.ctl(&["user", "add", "root:root"]);
    world.etcd.ctl(&["user", "grant-role", "root", "root"]);
    world.etcd.ctl(&["role", "add", "web"]);
    world.etcd.ctl(&["role", "grant-permission", "--prefix=true", "web", "readwrite", "/services/web/"]);
    world.etcd.ctl(&["user", "add", "web:web"]);
    world.etcd.ctl(&["user", "grant-role", "web", "web"]);
    world.etcd.ctl(&["auth", "enable"]);
    let backend = Backend::silent();
    world.sandbox.store.extend(["--username", "web", "--password", "web"].map(str::to_owned));
    let keys = |world: &World| world.etcd.ctl_as(Some("root:root"), &["get", "--prefix", "--keys-only", "/services/"]);
    let address = backend.address();
    let other = world.announce(&["--name", "db", "--id", "one", "--address", &address]);
    world.sandbox.wait_log("permission denied");
    let _announcer = world.announce(&["--name", "web", "--id", "one", "--address", &address]);
    wait_until("the key it may write", DEADLINE, || keys(&world).trim() == "/services/web/one");
    // What it never could write is not removed either.
    other.signal(Signal::SIGTERM);
    world.sandbox.wait_log("stopping: no key of ours is in etcd");
    world.etcd.kill();
    world.etcd.restart();
    // Tokens do not outlive etcd: the next write has to log in again.
    let port = backend.port;
    drop(backend);
    wait_until("the key of a dead backend to go", DEADLINE, || keys(&world).trim().is_empty());
    let _backend = Backend::again(port);
    wait_until("the key to come back", DEADLINE, || keys(&world).trim() == "/services/web/one");
}

#[test]
fn it_announces_over_tls_with_a_certificate_of_its_own() {
    let dir = temp_dir();
    let certs = Certs::new(dir.path(), &[]);
    let options = Options { certs: Some(certs.clone()), needs_client_cert: true, ..Options::default() };
    let mut etcd = Etcd::start_with(options);
    let mut sandbox = Sandbox::on_etcd(&etcd.url());
    for (flag, path) in
        [("--client-ca-keys", &certs.ca), ("--client-cert", &certs.client_cert), ("--client-key", &certs.client_key)]
    {
        sandbox.store.extend([flag.to_owned(), path.display().to_string()]);
    }
    let backend = Backend::silent();
    let arguments = ["announce", "--name", "web", "--id", "one", "--address", &backend.address()];
    let mut announcer = sandbox.start(&[&arguments[..], QUICK].concat());
    let keys = |etcd: &Etcd| etcd.ctl(&["get", "--prefix", "--keys-only", "/services/"]).trim().to_owned();
    wait_until("the key", DEADLINE, || keys(&etcd) == "/services/web/one");
    etcd.kill();
    etcd.restart();
    let port = backend.port;
    drop(backend);
    wait_until("the key of a dead backend to go", DEADLINE, || keys(&etcd).is_empty());
    let _backend = Backend::again(port);
    wait_until("the key to come back", DEADLINE, || keys(&etcd) == "/services/web/one");
    announcer.signal(Signal::SIGTERM);
    wait_for("the announcer to end", DEADLINE, || announcer.child.try_wait().unwrap());
    assert_eq!(keys(&etcd), "", "{}", sandbox.log());
}
