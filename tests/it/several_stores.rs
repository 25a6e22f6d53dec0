//! `[backend]`: one agent, several stores. Each resource reads its own, a store that is away holds its own resources only, and
//! resources of several stores can be one transaction.

use std::fs;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::etcd::Etcd;
use crate::support::nginx::http_get;
use crate::support::{wait_for, wait_until};

/// A resource `out/NAME` with the values below /v, from the store that `backend` says.
fn resource(sandbox: &Sandbox, name: &str, more_lines: &str, backend: &str) {
    sandbox.plain_resource(name, &format!("{more_lines}\n\n[backend]\n{backend}"));
}

#[test]
fn each_resource_reads_its_own_store_in_every_mode() {
    let (first, second) = (Etcd::start(), Etcd::start());
    let mut sandbox = Sandbox::on_etcd(&first.url());
    sandbox.environment = vec![("V_K".to_owned(), "from env".to_owned())];
    first.put("/v/k", "from first");
    second.put("/v/k", "from second");
    sandbox.set_store("v: {k: from file}\n");
    sandbox.plain_resource("first", "");
    resource(&sandbox, "second", "", &format!("backend = \"etcd\"\nnodes = [\"{}\"]", second.url()));
    resource(&sandbox, "file", "", &format!("backend = \"file\"\nfile = [\"{}\"]", sandbox.text_path("store.yaml")));
    resource(&sandbox, "env", "", "backend = \"env\"");
    sandbox.run(&["diff"]).expect_code(1);
    sandbox.onetime().expect_code(0);
    let expect = |name: &str| assert_eq!(sandbox.output(name), Some(format!("from {name}\n")));
    ["first", "second", "file", "env"].into_iter().for_each(expect);
    let keys = sandbox.run(&["keys", "second"]).expect_code(0).stdout;
    assert!(keys.contains(&format!("of etcd {}", second.url())) || keys.contains(&second.url()), "{keys}");
    assert_eq!(sandbox.run(&["render", "second"]).expect_code(0).stdout, "from second\n");
    let _agent = sandbox.watch();
    first.put("/v/k", "first 2");
    second.put("/v/k", "second 2");
    sandbox.set_store("v: {k: file 2}\n");
    for name in ["first", "second", "file"] {
        sandbox.wait_output(name, &format!("{name} 2\n"));
    }
    // A resource that comes later brings its store with it; one that moves is read from the other.
    resource(&sandbox, "first", "", &format!("backend = \"etcd\"\nnodes = [\"{}\"]", second.url()));
    sandbox.wait_output("first", "second 2\n");
    second.put("/v/k", "second 3");
    sandbox.wait_output("first", "second 3\n");
    sandbox.wait_output("second", "second 3\n");
}

#[test]
fn a_store_that_is_away_holds_its_own_resources_only() {
    let here = Etcd::start();
    here.put("/v/k", "here");
    let sandbox = Sandbox::on_etcd(&here.url());
    let nobody = crate::support::free_port();
    sandbox.plain_resource("here", "reload_cmd = \"true\"");
    resource(
        &sandbox,
        "away",
        "reload_cmd = \"true\"",
        &format!("backend = \"etcd\"\nnodes = [\"127.0.0.1:{nobody}\"]"),
    );
    fs::write(sandbox.path("out/away"), "last good\n").unwrap();
    let ran = sandbox.run(&["--onetime", "--backend-timeout", "2s"]).expect_code(4);
    assert!(ran.stderr.contains(&format!("127.0.0.1:{nobody}")), "{ran:?}");
    assert_eq!(sandbox.output("here").as_deref(), Some("here\n"), "of one group, and not held");
    let _agent = sandbox.watch();
    here.put("/v/k", "still here");
    sandbox.wait_output("here", "still here\n");
    sandbox.wait_log("cannot follow a store of [backend]; the files of its resources stay as they are");
    assert_eq!(sandbox.output("away").as_deref(), Some("last good\n"));
    assert!(!sandbox.log().contains("every file stays"), "{}", sandbox.log());
}

#[test]
fn certificates_that_never_come_hold_up_their_own_store_only() {
    let sandbox = Sandbox::new();
    sandbox.set_store("v: {k: one}\n");
    sandbox.plain_resource("here", "");
    nix::unistd::mkfifo(&sandbox.path("ca.pem"), Mode::S_IRWXU).unwrap();
    let away = format!(
        "backend = \"etcd\"\nnodes = [\"https://127.0.0.1:1\"]\nclient_cakeys = \"{}\"",
        sandbox.text_path("ca.pem")
    );
    resource(&sandbox, "away", "", &away);
    let mut agent = sandbox.watch();
    sandbox.wait_log("ca.pem: it is not a regular file");
    sandbox.wait_output("here", "one\n");
    sandbox.set_store("v: {k: two}\n");
    sandbox.wait_output("here", "two\n");
    agent.signal(Signal::SIGTERM);
    wait_for("the end", DEADLINE, || agent.child.try_wait().unwrap());
}

#[test]
fn the_settings_store_need_not_be_there_where_nobody_reads_it() {
    let nobody = format!("http://127.0.0.1:{}", crate::support::free_port());
    let sandbox = Sandbox::on_etcd(&nobody);
    sandbox.set_store("v: {k: one}\n");
    resource(&sandbox, "file", "", &format!("backend = \"file\"\nfile = \"{}\"", sandbox.text_path("store.yaml")));
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.output("file").as_deref(), Some("one\n"));
    let _agent = sandbox.watch();
    sandbox.set_store("v: {k: two}\n");
    sandbox.wait_output("file", "two\n");
    assert!(!sandbox.log().contains("cannot follow"), "{}", sandbox.log());
}

#[test]
fn the_same_commands_make_one_transaction_across_stores() {
    let etcd = Etcd::start();
    etcd.put("/v/k", "etcd");
    let sandbox = Sandbox::on_etcd(&etcd.url());
    sandbox.set_store("v: {k: file}\n");
    let reload = format!("reload_cmd = \"echo r >> {}\"", sandbox.text_path("reloads"));
    sandbox.plain_resource("a", &reload);
    resource(&sandbox, "b", &reload, &format!("backend = \"file\"\nfile = \"{}\"", sandbox.text_path("store.yaml")));
    sandbox.onetime().expect_code(0);
    assert_eq!((sandbox.output("a").as_deref(), sandbox.output("b").as_deref()), (Some("etcd\n"), Some("file\n")));
    assert_eq!(sandbox.lines("reloads").len(), 1);
}

#[test]
fn readiness_is_about_every_store() {
    let (first, mut second) = (Etcd::start(), Etcd::start());
    first.put("/v/k", "first");
    second.put("/v/k", "second");
    let sandbox = Sandbox::on_etcd(&first.url());
    sandbox.plain_resource("first", "");
    resource(&sandbox, "second", "", &format!("backend = \"etcd\"\nnodes = [\"{}\"]", second.url()));
    let port = crate::support::free_port();
    let _agent = sandbox.start(&["--watch", "--metrics-addr", &format!("127.0.0.1:{port}")]);
    let answers = |status: u16| {
        wait_until(&format!("/ready to answer {status}"), DEADLINE, || {
            http_get(port, "localhost", "/ready").is_ok_and(|answer| answer.status == status)
        });
    };
    answers(200);
    second.kill();
    answers(503);
    first.put("/v/k", "still followed");
    sandbox.wait_output("first", "still followed\n");
    assert_eq!(sandbox.output("second").as_deref(), Some("second\n"));
    second.restart();
    answers(200);
}

#[test]
fn what_is_shown_of_a_resource_needs_no_store_but_its_own() {
    let sandbox = Sandbox::new();
    sandbox.set_store("v: {k: here}\n");
    sandbox.plain_resource("a", "");
    let nobody = crate::support::free_port();
    resource(&sandbox, "e", "", &format!("backend = \"etcd\"\nnodes = [\"http://127.0.0.1:{nobody}\"]"));
    let run = |arguments: &[&str]| sandbox.run(&[arguments, &["--backend-timeout", "1s"]].concat());
    assert_eq!(run(&["render", "a"]).expect_code(0).stdout, "here\n");
    let keys = run(&["keys", "a"]).expect_code(0);
    assert!(keys.stdout.starts_with("revision ") && keys.stdout.contains("/v/k (4 bytes)"), "{keys:?}");
    for ran in [run(&["render", "e"]), run(&["keys", "e"])] {
        let ran = ran.expect_code(4);
        assert!(ran.stdout.is_empty() && ran.stderr.contains(&format!("127.0.0.1:{nobody}")), "{ran:?}");
    }
    // Asked for all, they report what they can.
    let keys = run(&["keys"]).expect_code(4);
    assert!(keys.stdout.contains("/v/k (4 bytes)") && keys.stderr.contains("e.toml: left out"), "{keys:?}");
    let diff = run(&["diff"]).expect_code(4);
    assert!(diff.stdout.contains("+here") && diff.stderr.contains("e.toml: left out"), "{diff:?}");
    // The store of the settings may be the one that is away.
    let store = sandbox.text_path("store.yaml");
    resource(&sandbox, "e", "", &format!("backend = \"file\"\nfile = \"{store}\""));
    let away = ["--backend", "file", "--file", "/nowhere.yaml", "--backend-timeout", "1s"];
    let mut sandbox = sandbox;
    sandbox.store = away.map(str::to_owned).to_vec();
    assert_eq!(sandbox.run(&["render", "e"]).expect_code(0).stdout, "here\n");
    let keys = sandbox.run(&["keys"]).expect_code(4);
    assert!(keys.stdout.starts_with("e.toml (") && keys.stdout.contains("/v/k (4 bytes)"), "{keys:?}");
}
