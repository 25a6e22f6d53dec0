//! What the status shows of the outside: the store and its member, the lease of the receipt, what is not asked. On the real program.

use serde_json::{Value, json};

use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::etcd::Etcd;
use crate::support::proxy::Proxy;
use crate::support::wait_for;

/// The status of the agent that runs in this sandbox; `None` if it does not answer.
fn status(sandbox: &Sandbox) -> Option<Value> {
    serde_json::from_str(&sandbox.run(&["status", "--json"]).stdout).ok()
}

/// Waits until the status is like this, and returns what `find` has found in it.
fn wait_status<T>(sandbox: &Sandbox, what: &str, find: impl Fn(&Value) -> Option<T>) -> T {
    wait_for(what, DEADLINE, || find(&status(sandbox)?))
}

#[test]
fn the_status_names_the_member_the_revision_and_the_lease() {
    let etcd = Etcd::start();
    etcd.put("/v/x", "one");
    let proxy = Proxy::start(etcd.port());
    let address = format!("http://{}", proxy.address());
    let sandbox = Sandbox::on_etcd(&address);
    sandbox.plain_resource("a", "");
    let _agent = sandbox.start(&["--watch", "--receipts", "--agent-id", "seen"]);
    sandbox.wait_output("a", "one\n");
    let store = wait_status(&sandbox, "the lease", |status| {
        let store = status["stores"][0].clone();
        store["receipt_lease"]["id"].is_string().then_some(store)
    });
    assert_eq!(store["member"]["address"], json!(address));
    let lease = &store["receipt_lease"];
    let listed = etcd.ctl(&["lease", "list"]);
    assert!(listed.contains(lease["id"].as_str().unwrap()), "{lease} {listed}");
    assert!(lease["ttl_seconds"] == 15 && lease["left_seconds"].as_u64().unwrap() <= 15, "{lease}");
    etcd.put("/v/x", "two");
    let newest = etcd.writer().put("/v/x", "three");
    wait_status(&sandbox, "the revision", |status| {
        (status["stores"][0]["heard"]["revision"].as_i64()? >= newest).then_some(())
    });
    let shown = sandbox.run(&["status"]).stdout;
    for said in [format!("read from {address} since "), "the newest revision that it has named is ".to_owned()] {
        assert!(shown.contains(&said), "{shown}");
    }
    proxy.cut();
    proxy.break_connections();
    wait_status(&sandbox, "no member", |status| {
        let store = &status["stores"][0];
        (store["member"].is_null() && store["heard"]["revision"].as_i64()? >= newest).then_some(())
    });
    proxy.mend();
    wait_status(&sandbox, "a member again", |status| status["stores"][0]["member"]["since"].as_str().map(drop));
}

#[test]
fn what_is_not_asked_is_neither_yes_nor_no_in_every_view() {
    let sandbox = Sandbox::new();
    sandbox.set_store("x: one\n");
    sandbox.plain_resource("a", "");
    let _agent = sandbox.watch();
    let status = wait_status(&sandbox, "in sync", |status| (status["sync"]["ok"] == true).then(|| status.clone()));
    assert_eq!((&status["service"]["ok"], &status["service"]["answer"]), (&Value::Null, &json!("not_asked")));
    assert_eq!(status["sync"]["answer"], "yes");
    let shown = sandbox.run(&["status"]).expect_code(0).stdout;
    assert!(shown.contains("serving: not asked  no nginx is driven"), "{shown}");
}
