//! `upstreamd announce … -- COMMAND`: announced when healthy, drained, removed, and only then stopped; its status is ours.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{QUICK, World};
use crate::support::agent::DEADLINE;
use crate::support::{Daemon, free_port, wait_for, wait_until};

/// Announces a shell script that becomes healthy by making the file `ready`.
pub(super) fn announce_script(world: &World, more: &[&str], script: &str) -> Daemon {
    let ready = world.sandbox.text_path("ready");
    let check = format!("exec:test -e '{ready}'");
    let own = ["announce", "--name", "web", "--id", "one", "--address", "127.0.0.1:1", "--check", &check];
    let script = script.replace("READY", &ready);
    world.sandbox.start_with_command(&[&own, QUICK, more, &["--", "/bin/sh", "-c", &script]].concat())
}

pub(super) fn end(world: &World, announcer: &mut Daemon) -> Option<i32> {
    let status = wait_for("the announcer to end", DEADLINE, || announcer.child.try_wait().unwrap());
    assert!(status.code().is_some(), "{}", world.sandbox.log());
    status.code()
}

#[test]
fn it_drains_before_the_command_is_stopped() {
    let mut world = World::new();
    let told = world.sandbox.text_path("told");
    let script = format!("trap 'touch {told}; exit 3' TERM; touch READY; while :; do sleep 0.05; done");
    let mut announcer = announce_script(&world, &["--drain-timeout", "4s"], &script);
    let up = world.wait_one("/services/");
    assert!(up.value.contains(r#""state":"up""#));
    let asked = Instant::now();
    announcer.signal(Signal::SIGTERM);
    let draining = wait_for("the key to say that it drains", DEADLINE, || {
        let entry = world.reader.read("/services/")?.1.pop()?;
        entry.value.contains(r#""state":"draining""#).then_some(entry)
    });
    assert_eq!((draining.created, draining.lease), (up.created, up.lease), "the same key under the same lease");
    assert!(!fs::exists(&told).unwrap(), "it was told before it had drained");
    world.wait_none("/services/");
    assert!(asked.elapsed() >= Duration::from_secs(4), "{:?}", asked.elapsed());
    assert_eq!(end(&world, &mut announcer), Some(3), "its status is ours");
    assert!(fs::exists(&told).unwrap());
}

#[test]
fn asked_twice_it_does_not_wait() {
    let mut world = World::new();
    let mut announcer = announce_script(&world, &["--drain-timeout", "1h"], "touch READY; exec sleep 1000");
    world.wait_one("/services/");
    announcer.signal(Signal::SIGTERM);
    world.sandbox.wait_log("draining:");
    announcer.signal(Signal::SIGTERM);
    assert_eq!(end(&world, &mut announcer), Some(143), "{}", world.sandbox.log());
    assert!(world.reader.keys("/services/").is_empty());
}

#[test]
fn layouts_without_a_word_for_draining_take_the_key_away_first() {
    let mut world = World::new();
    let more = &["--drain-timeout", "1h", "--layout", "plain"];
    let mut announcer = announce_script(&world, more, "touch READY; exec sleep 1000");
    world.wait_one("/services/");
    announcer.signal(Signal::SIGTERM);
    world.wait_none("/services/");
    assert_eq!(announcer.child.try_wait().unwrap(), None, "the command goes on serving meanwhile");
    announcer.signal(Signal::SIGTERM);
    assert_eq!(end(&world, &mut announcer), Some(143));
}

#[test]
fn a_key_that_drained_by_leaving_is_not_waited_for_again() {
    for layout in ["plain", "registrator"] {
        let mut world = World::new();
        let more = &["--drain-timeout", "1h", "--layout", layout];
        let mut announcer = announce_script(&world, more, "touch READY; exec sleep 1000");
        world.wait_one("/services/");
        // Agents that do not see the key, more than a page of them.
        let mut writer = world.etcd.writer();
        for number in 0..600 {
            let head = format!(r#"{{"format":1,"id":"b{number}","version":"1","generation":0,"drained_generation":0"#);
            writer.put(format!("/upstreamd/agents/b{number}"), format!(r#"{head},"resources":[]}}"#));
        }
        announcer.signal(Signal::SIGTERM);
        wait_until("the key to leave", DEADLINE, || world.reader.keys("/services/").is_empty());
        // An agent that sees the key, and has left the state before this change behind.
        let revision = world.reader.read("/").unwrap().0;
        let applied =
            format!(r#""proof":"file","seen":{revision},"applied":{revision},"converged":null,"drained":null"#);
        let keys = format!(r#"[{{"name":"a","keys":["/services"],{applied}}}]"#);
        let head = r#"{"format":1,"id":"a","version":"1","generation":0,"drained_generation":0,"resources":"#;
        // Nobody believes one that claims more than that, or another agent's.
        world.etcd.put("/upstreamd/agents/liar", &format!("{head}{keys}}}"));
        world.sandbox.wait_log(": liar");
        world.etcd.delete("/upstreamd/agents/liar");
        world.etcd.put("/upstreamd/agents/a", &format!("{head}{keys}}}"));
        assert_eq!(end(&world, &mut announcer), Some(143), "{}", world.sandbox.log());
        let log = world.sandbox.log();
        // The keys were gone before: there was nothing more to take away, and no wait for it.
        assert!(log.contains("drained: every balancer") && !log.contains(" stopping"), "{log}");
    }
}

#[test]
fn a_command_that_ends_takes_its_key_along() {
    let mut world = World::new();
    let mut announcer = announce_script(&world, &[], "touch READY; while test -e READY; do sleep 0.05; done; exit 7");
    world.wait_one("/services/");
    fs::remove_file(world.sandbox.path("ready")).unwrap();
    assert_eq!(end(&world, &mut announcer), Some(7), "{}", world.sandbox.log());
    assert!(world.reader.keys("/services/").is_empty());
    let log = world.sandbox.log();
    assert!(log.contains("the command has ended: exit status 7") && log.contains("removed /services/web/one"), "{log}");
}

#[test]
fn a_command_that_ends_before_it_was_announced_says_so() {
    let world = World::new();
    let mut announcer = announce_script(&world, &[], "exit 7");
    assert_eq!(end(&world, &mut announcer), Some(7), "{}", world.sandbox.log());
    let said = "the command has ended before its backend was announced: exit status 7";
    assert!(world.sandbox.log().contains(said), "{}", world.sandbox.log());
}

#[test]
fn one_that_cannot_be_started_is_reported_and_not_announced() {
    let mut world = World::new();
    let address = format!("127.0.0.1:{}", free_port());
    let own = ["announce", "--name", "web", "--address", &address];
    let mut announcer = world.sandbox.start_with_command(&[&own, QUICK, &["--", "/no/such/program"]].concat());
    assert_eq!(end(&world, &mut announcer), Some(127));
    assert!(world.sandbox.log().contains("failed to start `/no/such/program`"), "{}", world.sandbox.log());
    assert_eq!(world.reader.read("/").unwrap(), (1, vec![]));
}

#[test]
fn other_signals_are_handed_on() {
    let mut world = World::new();
    let got = world.sandbox.text_path("got");
    let script = format!(
        "trap 'echo HUP >> {got}' HUP; trap 'echo USR2 >> {got}' USR2; touch READY; while :; do sleep 0.05; done"
    );
    let announcer = announce_script(&world, &[], &script);
    world.wait_one("/services/");
    announcer.signal(Signal::SIGHUP);
    wait_until("SIGHUP at the command", DEADLINE, || world.sandbox.lines("got") == ["HUP"]);
    announcer.signal(Signal::SIGUSR2);
    wait_until("SIGUSR2 at the command", DEADLINE, || world.sandbox.lines("got") == ["HUP", "USR2"]);
    drop(announcer);
}

#[test]
fn one_that_never_was_healthy_is_stopped_at_once() {
    let world = World::new();
    let mut announcer = announce_script(&world, &["--drain-timeout", "1h"], "exec sleep 1000");
    world.sandbox.wait_log("a check failed");
    announcer.signal(Signal::SIGTERM);
    assert_eq!(end(&world, &mut announcer), Some(143), "{}", world.sandbox.log());
}

#[test]
fn as_pid_1_it_reaps_what_the_command_leaves() {
    let mut world = World::new();
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let etcd = world.etcd.url();
    let ready = world.sandbox.text_path("ready");
    let script = format!("sh -c 'sleep 0.2 & true'; touch {ready}; exec sleep 1000");
    let check = format!("exec:test -e '{ready}'");
    world.sandbox.wrapper = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"].map(str::to_owned).to_vec();
    let own =
        ["announce", "--name", "web", "--id", "one", "--address", "127.0.0.1:1", "--check", &check, "--node", &etcd];
    let more = ["--drain-timeout", "0s", "--", "/bin/sh", "-c", &script];
    let unshare = world.sandbox.start_with_command(&[&own, QUICK, &more].concat());
    world.wait_one("/services/");
    let children = |pid: i32| fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let init: i32 = children(unshare.pid()).trim().parse().unwrap();
    wait_until("orphans to be reaped", DEADLINE, || {
        let all = children(init);
        let zombie =
            |pid: &str| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
        !all.trim().is_empty() && !all.split_whitespace().any(zombie) && all.split_whitespace().count() == 1
    });
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(init), Signal::SIGTERM).unwrap();
    world.wait_none("/services/");
    let mut unshare = unshare;
    assert_eq!(end(&world, &mut unshare), Some(143), "{}", world.sandbox.log());
}

#[test]
fn checks_and_the_command_get_none_of_our_variables() {
    let mut world = World::new();
    let ours = [("UPSTREAMD_X", "secret"), ("NOTIFY_SOCKET", "/none")];
    world.sandbox.environment = ours.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    world.sandbox.environment.push(("OF_SOMEBODY_ELSE".to_owned(), "stays".to_owned()));
    let file = |name: &str| world.sandbox.text_path(name);
    let write = |name: &str| format!("env >{0}.new; mv {0}.new {0}", file(name));
    let check = format!("exec:{}", write("checked"));
    let script = format!("{}; exec sleep 1000", write("started"));
    let own = ["announce", "--name", "web", "--address", "127.0.0.1:1", "--check", &check];
    let command = ["--", "/bin/sh", "-c", &script];
    let _announcer = world.sandbox.start_with_command(&[&own, QUICK, &command].concat());
    for name in ["checked", "started"] {
        world.sandbox.wait_for_file(name);
        let found = fs::read_to_string(world.sandbox.path(name)).unwrap();
        assert!(found.contains("OF_SOMEBODY_ELSE=stays"), "{name}: {found}");
        for (ours, _) in ours {
            assert!(!found.contains(ours), "{name}: {found}");
        }
    }
}
