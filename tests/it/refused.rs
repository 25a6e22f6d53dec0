//! An etcd that refuses some of the keys: the resources that read them keep their last good files and say so, all others go on
//! as if they were not there.

use std::fs;

use nix::sys::signal::Signal;

use crate::status::wait_answer;
use crate::support::agent::{DEADLINE, Mark, Sandbox};
use crate::support::etcd::Etcd;
use crate::support::proxy::Proxy;
use crate::support::template::table;
use crate::support::{free_port, wait_until};

const REFUSAL: &str = "the store does not let user `reader` read `/other` and `/other/…`: permission denied";

/// An etcd with a key below /a and one below /other, whose user `reader` may read these prefixes only.
fn etcd(prefixes: &[&str]) -> Etcd {
    let etcd = Etcd::start();
    etcd.put("/a/x", "one");
    etcd.put("/a/b/x", "narrow");
    etcd.put("/other/x", "secret");
    etcd.enable_auth(prefixes);
    etcd
}

/// A sandbox whose agent logs in as `reader`.
fn sandbox(url: &str) -> Sandbox {
    let mut sandbox = Sandbox::on_etcd(url);
    sandbox.store.extend(["--username", "reader", "--password", "reader"].map(str::to_owned));
    sandbox
}

/// A resource `out/NAME` that prints the value of `KEY/x`.
fn resource(sandbox: &Sandbox, name: &str, key: &str, more_lines: &str) {
    let template = format!("{name}.tera");
    sandbox.template(&template, &format!("{{{{ getv(key=\"{key}/x\", default=\"-\") }}}}\n"));
    let dest = sandbox.text_path(&format!("out/{name}"));
    sandbox.resource(name, &table(&template, &dest).keys(&[key]).lines(more_lines));
}

fn root(etcd: &Etcd, arguments: &[&str]) {
    etcd.ctl_as(Some("root:root"), arguments);
}

fn put(etcd: &Etcd, key: &str, value: &str) {
    root(etcd, &["put", "--", key, value]);
}

/// Does what the message in this text says.
#[track_caller]
fn grant_as_told(etcd: &Etcd, text: &str) {
    let commands = text.split('`').filter(|part| part.starts_with("etcdctl role"));
    let mut granted = 0;
    for command in commands {
        let words: Vec<&str> =
            command.split(' ').skip(1).map(|word| if word == "ROLE" { "reader" } else { word }).collect();
        root(etcd, &words);
        granted += 1;
    }
    assert!(granted >= 2, "{text}");
}

#[test]
fn single_runs_do_the_others_and_end_with_the_stores_code() {
    let etcd = etcd(&["/a"]);
    let sandbox = sandbox(&etcd.url());
    let reloads = format!("reload_cmd = \"echo r >> {}\"", sandbox.text_path("reloads"));
    resource(&sandbox, "a", "/a", "");
    // One group with the refused one, which neither holds it nor its reload up.
    resource(&sandbox, "b", "/a/b", &reloads);
    resource(&sandbox, "other", "/other", &reloads);
    fs::write(sandbox.path("out/other"), "last good\n").unwrap();
    let said = format!("other.toml: {REFUSAL}");
    let ran = sandbox.run(&["diff"]).expect_code(4);
    assert!(ran.stdout.contains("+one") && ran.stdout.contains("+narrow") && ran.stderr.contains(&said), "{ran:?}");
    let ran = sandbox.onetime().expect_code(4);
    assert!(ran.stderr.contains(&said) && ran.stderr.contains("its file is left as it is"), "{ran:?}");
    assert_eq!(ran.stderr.matches("permission denied").count(), 1, "{ran:?}");
    assert!(!ran.stderr.contains("secret") && !ran.stderr.contains("cannot follow"), "{ran:?}");
    assert_eq!((sandbox.output("a").as_deref(), sandbox.output("b").as_deref()), (Some("one\n"), Some("narrow\n")));
    assert_eq!(sandbox.output("other").as_deref(), Some("last good\n"));
    assert_eq!(sandbox.lines("reloads").len(), 1);
    assert_eq!(sandbox.run(&["render", "a"]).expect_code(0).stdout, "one\n");
    let ran = sandbox.run(&["render", "other"]).expect_code(4);
    assert!(ran.stdout.is_empty() && ran.stderr.contains(&said), "{ran:?}");
    sandbox.run(&["keys", "a"]).expect_code(0);
    let ran = sandbox.run(&["keys"]).expect_code(4);
    assert!(ran.stdout.contains("/a/b/x") && ran.stderr.contains(&said), "{ran:?}");
    let ran = sandbox.run(&["--preflight"]).expect_code(4);
    assert!(ran.stdout.contains("a.toml: 2 keys") && ran.stderr.contains(&said), "{ran:?}");
    let ran = sandbox.run(&["agents"]).expect_code(4);
    assert!(ran.stderr.contains("read `/upstreamd/agents/…`: permission denied"), "{ran:?}");
    grant_as_told(&etcd, &sandbox.onetime().expect_code(4).stderr);
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.output("other").as_deref(), Some("secret\n"));
}

#[test]
fn a_wider_range_that_is_refused_does_not_hide_what_lies_within() {
    let etcd = etcd(&["/a/b"]);
    let sandbox = sandbox(&etcd.url());
    resource(&sandbox, "narrow", "/a/b", "");
    resource(&sandbox, "wide", "/a", "");
    resource(&sandbox, "everything", "/", "");
    let _agent = sandbox.watch();
    sandbox.wait_output("narrow", "narrow\n");
    sandbox.wait_log("wide.toml: the store does not let user `reader` read `/a` and `/a/…`: permission denied");
    sandbox.wait_log("everything.toml: the store does not let user `reader` read `/…`: permission denied");
    put(&etcd, "/a/b/x", "two");
    sandbox.wait_output("narrow", "two\n");
    assert_eq!((sandbox.output("wide"), sandbox.output("everything")), (None, None));
    root(&etcd, &["role", "grant-permission", "--prefix", "reader", "read", "/a"]);
    sandbox.wait_output("wide", "one\n");
    put(&etcd, "/a/x", "three");
    sandbox.wait_output("wide", "three\n");
    assert!(!sandbox.log().contains("narrow.toml: the store"), "{}", sandbox.log());
}

#[test]
fn a_refused_resource_that_is_added_later_holds_up_nothing() {
    let etcd = etcd(&["/a"]);
    let sandbox = sandbox(&etcd.url());
    resource(&sandbox, "a", "/a", "reload_cmd = \"true\"");
    let port = free_port();
    let _agent = sandbox.start(&["--watch", "--log-level", "debug", "--metrics-addr", &format!("127.0.0.1:{port}")]);
    sandbox.wait_output("a", "one\n");
    wait_answer(port, "/ready", 200);
    fs::write(sandbox.path("out/other"), "last good\n").unwrap();
    resource(&sandbox, "other", "/other", "reload_cmd = \"true \"");
    let said = format!("other.toml: {REFUSAL}");
    sandbox.wait_log(&said);
    let mark = sandbox.mark();
    put(&etcd, "/a/x", "two");
    sandbox.wait_output("a", "two\n");
    let answer = wait_answer(port, "/ready", 503);
    assert!(answer.body.starts_with(&format!("backend unhealthy: {said}")), "{}", answer.body);
    wait_answer(port, "/applied", 200);
    let body: serde_json::Value = serde_json::from_str(&wait_answer(port, "/ready/detailed", 503).body).unwrap();
    let details = &body["details"];
    assert_eq!((&details["refused"], &details["failing"]), (&"other.toml".into(), &"other.toml".into()), "{body}");
    assert_eq!(details["groups_in_sync"], "1 of 2", "{body}");
    let metrics = wait_answer(port, "/metrics", 200).body;
    for line in [
        "upstreamd_ready 0",
        "upstreamd_applied 1",
        "upstreamd_store_followed{backend=\"etcd\"} 1",
        "upstreamd_resource_failing{resource=\"a.toml\"} 0",
        "upstreamd_resource_failing{resource=\"other.toml\"} 1",
        "upstreamd_group_state{group=\"a.toml\",state=\"in_sync\"} 1",
        "upstreamd_group_state{group=\"other.toml\",state=\"incomplete\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    // It is asked for again and again, and nothing else is.
    sandbox.wait_log_times_since(mark, "asked the store again", 3);
    assert!(!sandbox.log_since(mark).contains("listed the store"), "{}", sandbox.log());
    assert_eq!(sandbox.output("other").as_deref(), Some("last good\n"));
    grant_as_told(&etcd, &sandbox.log());
    sandbox.wait_output("other", "secret\n");
    sandbox.wait_log("other.toml: the store lets all of its keys be read again");
    wait_answer(port, "/ready", 200);
    put(&etcd, "/other/x", "followed");
    sandbox.wait_output("other", "followed\n");
    assert_eq!(sandbox.log().matches(&said).count(), 1, "said once:\n{}", sandbox.log());
    assert!(!sandbox.log().contains("cannot follow the store"), "{}", sandbox.log());
}

#[test]
fn a_right_that_is_lost_and_regained_concerns_its_readers_only() {
    let etcd = etcd(&["/a", "/other"]);
    let proxy = Proxy::start(etcd.port());
    let sandbox = sandbox(&format!("http://{}", proxy.address()));
    resource(&sandbox, "a", "/a", "");
    resource(&sandbox, "other", "/other", "");
    let agent = sandbox.watch();
    sandbox.wait_output("a", "one\n");
    sandbox.wait_output("other", "secret\n");
    let revoke = ["role", "revoke-permission", "--prefix", "reader", "/other"];
    let grant = ["role", "grant-permission", "--prefix", "reader", "read", "/other"];
    let regained = "other.toml: the store lets all of its keys be read again";
    // A watch that has to be opened again is denied; so is a listing.
    for (round, lose) in ["watch", "listing"].into_iter().enumerate() {
        root(&etcd, &revoke);
        match lose {
            "watch" => proxy.break_connections(),
            _ => agent.signal(Signal::SIGUSR1),
        }
        sandbox.wait_log_times_since(Mark::START, &format!("other.toml: {REFUSAL}"), round + 1);
        let value = format!("{lose} lost");
        put(&etcd, "/other/x", &value);
        put(&etcd, "/a/x", &value);
        sandbox.wait_output("a", &format!("{value}\n"));
        assert_ne!(sandbox.output("other"), Some(format!("{value}\n")), "it is still refused");
        root(&etcd, &grant);
        sandbox.wait_output("other", &format!("{value}\n"));
        sandbox.wait_log_times_since(Mark::START, regained, round + 1);
    }
}

#[test]
fn a_user_who_may_read_nothing_waits_for_a_role() {
    let etcd = etcd(&["/nothing"]);
    let sandbox = sandbox(&etcd.url());
    resource(&sandbox, "other", "/other", "");
    let port = free_port();
    let _agent = sandbox.start(&["--watch", "--metrics-addr", &format!("127.0.0.1:{port}")]);
    sandbox.wait_log(&format!("other.toml: {REFUSAL}"));
    wait_until("/ready to say why", DEADLINE, || {
        wait_answer(port, "/ready", 503)
            .body
            .starts_with(&format!("not ready: other.toml: reading the keys failed: {REFUSAL}"))
    });
    grant_as_told(&etcd, &sandbox.log());
    sandbox.wait_output("other", "secret\n");
    wait_answer(port, "/ready", 200);
    put(&etcd, "/other/x", "followed");
    sandbox.wait_output("other", "followed\n");
}
