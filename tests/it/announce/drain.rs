//! While a backend drains: receipts that etcd does not show, receipts that are watched, and the log from the signal to the end.

use nix::sys::signal::Signal;

use super::command::{announce_script, end};
use super::{Backend, Reader, World};
use crate::support::agent::DEADLINE;
use crate::support::wait_until;

const RUNS_ON: &str = "touch READY; exec sleep 1000";

/// The receipt of an agent that has drained what has changed so far, or only what had changed at revision 1.
fn put_receipt(world: &World, login: Option<&str>, has_drained: bool) {
    let id = "balancer";
    let answer = world.etcd.ctl_as(login, &["get", "--write-out=json", "/none"]);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let seen = answer["header"]["revision"].as_i64().unwrap();
    let drained = if has_drained { seen } else { 1 };
    let resource = format!(
        r#"{{"name":"a","keys":["/services"],"proof":"nginx","seen":{seen},"applied":{drained},"converged":{drained},"drained":{drained}}}"#
    );
    let head = format!(r#"{{"format":1,"id":"{id}","version":"1","generation":1,"drained_generation":1,"resources":"#);
    let receipt = format!("{head}[{resource}]}}");
    world.etcd.ctl_as(login, &["put", "--", &format!("/upstreamd/agents/{id}"), &receipt]);
}

#[test]
fn the_log_says_what_becomes_of_the_key_from_the_signal_to_the_end() {
    let mut world = World::new();
    let mut announcer = announce_script(&world, &["--drain-timeout", "0s"], RUNS_ON);
    world.wait_one("/services/");
    announcer.signal(Signal::SIGTERM);
    assert_eq!(end(&world, &mut announcer), Some(143));
    let log = world.sandbox.log();
    let mut rest = log.as_str();
    for line in [
        "announcing /services/web/one as soon as its backend is healthy",
        "announced /services/web/one (revision ",
        "draining: waiting until no balancer sends traffic to /services/web/one, at most 0ns (--drain-timeout)",
        "--drain-timeout is over: stopping, though a balancer may still send traffic to /services/web/one",
        "stopping: removing /services/web/one from etcd",
        "removed /services/web/one",
        "the command has ended: killed by SIGTERM",
    ] {
        rest = rest.split_once(line).unwrap_or_else(|| panic!("no line, or not in its place: {line}\n{log}")).1;
    }
    assert_eq!(log.matches("announced /services").count(), 1, "{log}");
}

#[test]
fn receipts_that_etcd_refuses_are_a_warning_with_a_hint_and_not_the_end() {
    let mut world = World::new();
    for arguments in [
        &["user", "add", "root:root"][..],
        &["user", "grant-role", "root", "root"],
        &["role", "add", "web"],
        &["role", "grant-permission", "--prefix=true", "web", "readwrite", "/services/web/"],
        &["user", "add", "web:web"],
        &["user", "grant-role", "web", "web"],
        &["auth", "enable"],
    ] {
        world.etcd.ctl(arguments);
    }
    world.sandbox.store.extend(["--username", "web", "--password", "web"].map(str::to_owned));
    let mut announcer = announce_script(&world, &["--drain-timeout", "1h"], RUNS_ON);
    world.sandbox.wait_log("announced /services/web/one");
    announcer.signal(Signal::SIGTERM);
    world.sandbox.wait_log("/services/web/one now says that its backend is draining");
    put_receipt(&world, Some("root:root"), true);
    world.sandbox.wait_log("cannot read which balancers still send traffic to /services/web/one, trying again");
    world.sandbox.wait_log("permission denied (hint: the etcd user needs read on /upstreamd/agents/)");
    let grant = &["role", "grant-permission", "--prefix=true", "web", "read", "/upstreamd/agents/"];
    world.etcd.ctl_as(Some("root:root"), grant);
    assert_eq!(end(&world, &mut announcer), Some(143));
    let log = world.sandbox.log();
    assert!(log.contains("drained: every balancer that reads /services/web/one"), "{log}");
    assert_eq!(log.matches("cannot read which balancers").count(), 1, "{log}");
}

#[test]
fn receipts_are_watched_and_not_asked_for_again_and_again() {
    let mut world = World::new();
    put_receipt(&world, None, false);
    let mut announcer = announce_script(&world, &["--drain-timeout", "1h"], RUNS_ON);
    world.wait_one("/services/");
    announcer.signal(Signal::SIGTERM);
    world.sandbox.wait_log("waiting for balancers that may still send traffic to /services/web/one: balancer");
    let reads = || world.etcd.metric("grpc_server_handled_total", "grpc_method=\"Range\"");
    let renewals = || world.etcd.metric("grpc_server_msg_received_total", "grpc_method=\"LeaseKeepAlive\"");
    // Time passes: the lease is renewed every 0.6 s.
    let (reads_before, renewals_before) = (reads(), renewals());
    wait_until("three renewals of the lease", DEADLINE, || renewals() >= renewals_before + 3);
    let more = reads() - reads_before;
    assert!(more <= 3, "{more} reads while nothing has changed");
    put_receipt(&world, None, true);
    assert_eq!(end(&world, &mut announcer), Some(143));
    assert!(world.sandbox.log().contains("drained: every balancer"), "{}", world.sandbox.log());
}

#[test]
fn the_receipts_are_watched_again_after_etcd_was_away() {
    let mut world = World::new();
    put_receipt(&world, None, false);
    let mut announcer = announce_script(&world, &["--drain-timeout", "1h"], RUNS_ON);
    world.wait_one("/services/");
    announcer.signal(Signal::SIGTERM);
    world.sandbox.wait_log("waiting for balancers");
    world.etcd.kill();
    world.sandbox.wait_log("etcd cannot be reached, trying again; the announced keys stay until their lease expires");
    world.etcd.restart();
    put_receipt(&world, None, true);
    assert_eq!(end(&world, &mut announcer), Some(143));
    assert!(world.sandbox.log().contains("drained: every balancer"), "{}", world.sandbox.log());
}

#[test]
fn an_etcd_that_is_away_at_the_start_is_not_said_to_hold_keys() {
    let mut world = World::new();
    world.etcd.kill();
    let backend = Backend::silent();
    let _announcer = world.announce(&["--name", "web", "--id", "one", "--address", &backend.address()]);
    world.sandbox.wait_log("etcd cannot be reached, trying again; nothing is announced until it can: ");
}

#[test]
fn a_host_name_is_announced_with_a_warning() {
    let mut world = World::new();
    let backend = Backend::silent();
    let port = backend.address().rsplit(':').next().unwrap().to_owned();
    let address = format!("localhost:{port}");
    let _announcer = world.announce(&["--name", "web", "--id", "one", "--address", &address]);
    world.wait_one("/services/");
    world.sandbox.wait_log("announces the host name localhost, which `backends()` skips unless it says hostnames=true");
}

#[test]
fn receipts_without_end_are_not_read_to_their_end() {
    let mut world = World::new();
    let value = "x".repeat(1 << 20);
    let Reader { runtime, client } = &mut world.reader;
    for n in 0..17 {
        runtime.block_on(client.put(format!("/upstreamd/agents/{n}"), value.as_str(), None)).unwrap();
    }
    let mut announcer = announce_script(&world, &["--drain-timeout", "1h"], RUNS_ON);
    world.sandbox.wait_log("announced /services/web/one");
    announcer.signal(Signal::SIGTERM);
    world.sandbox.wait_log("/upstreamd/agents has more than 10000 keys or 16777216 bytes");
    world.etcd.ctl(&["del", "--prefix", "/upstreamd/agents/"]);
    put_receipt(&world, None, true);
    assert_eq!(end(&world, &mut announcer), Some(143), "{}", world.sandbox.log());
}
