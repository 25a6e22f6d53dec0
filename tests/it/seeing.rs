//! What the status shows of the outside: the store and its member, the lease of the receipt, what is not asked. On the real program.

use std::io::Read;
use std::process::Stdio;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use serde_json::{Value, json};

use upstreamd::world::lock::Lock;

use crate::status::wait_answer;
use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::etcd::Etcd;
use crate::support::nginx::Nginx;
use crate::support::proxy::Proxy;
use crate::support::template::table;
use crate::support::{Daemon, free_port, wait_for};

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
    for said in [format!("read from {address} since "), "last heard at revision ".to_owned()] {
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
    assert!(shown.contains("serving: no nginx  no resource reloads an nginx"), "{shown}");
}

#[test]
fn a_list_says_how_many_backends_the_store_has_while_the_file_has_others() {
    let sandbox = Sandbox::new();
    sandbox.template("web.tera", "{{ servers(prefix=\"/web\") }}\n");
    let lines = table("web.tera", sandbox.text_path("out/web.conf")).keys(&["/web"]).lines("min_backends = 2");
    sandbox.resource("web", &lines.set("check_cmd", "! grep -q 10.0.0.9 {{.src}}"));
    let store = |hosts: &[u8]| {
        let keys: Vec<String> = hosts.iter().map(|host| format!("k{host}: '10.0.0.{host}:80'")).collect();
        sandbox.set_store(&format!("web: {{{}}}\n", keys.join(", ")));
    };
    let wait = |expected: &Value| {
        wait_status(&sandbox, &format!("{expected}"), |status| {
            let list = &status["upstreams"][0];
            (list["serving"].as_u64()? == 3 && list["in_store"] == *expected).then_some(())
        });
    };
    store(&[1, 2, 3]);
    let _agent = sandbox.watch();
    wait(&Value::Null);
    // Held, then refused by the check.
    for (hosts, expected) in [(&[1][..], json!(1)), (&[1, 2, 3, 9], json!(4))] {
        store(hosts);
        wait(&expected);
        let shown = sandbox.run(&["status"]).stdout;
        assert!(shown.contains(&format!("3 of 3 backends serving ({expected} in the store)")), "{shown}");
        store(&[1, 2, 3]);
        wait(&Value::Null);
    }
}

#[test]
fn what_nginx_cannot_reach_is_said_in_its_words() {
    let (nginx, sandbox) = (Nginx::started(), Sandbox::new());
    let (port, a, b) = (free_port(), free_port(), free_port());
    let text = format!(
        "upstream web {{\n{{{{ servers(prefix=\"/web\") }}}}\n}}\n\
         server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://web; }} }}\n"
    );
    sandbox.template("web.tera", &text);
    let dest = nginx.http_file("web.conf");
    sandbox.resource("web", &table("web.tera", dest.display()).keys(&["/web"]).driving(&nginx));
    sandbox.set_store(&format!("web: {{a: '127.0.0.1:{a}', b: '127.0.0.1:{b}'}}\n"));
    let _agent = sandbox.watch();
    let none_live =
        |status: &Value| status["conditions"].as_array()?.iter().find(|found| found["kind"] == "none_live").cloned();
    // The agent follows the log from a moment of its own on; nginx tries again after 10 s.
    wait_status(&sandbox, "the failures", |status| {
        nginx.http_get(port, "/%22,%20upstream:%20x");
        let backends = status["upstreams"][0]["backends"].as_array()?;
        let said = |backend: &Value| {
            backend["last_failure"]["said"].as_str().is_some_and(|said| said.starts_with("connect() failed (111: "))
        };
        (backends.len() == 2 && backends.iter().all(said)).then_some(())
    });
    let found = wait_status(&sandbox, "no live server", |status| {
        nginx.http_get(port, "/");
        none_live(status).filter(|_| status["service"]["ok"] == false)
    });
    assert_eq!(found["causes"][0]["process"], "nginx upstream web", "{found}");
    // Nobody asks any more: nginx says nothing, and so does the status. What was is a fact.
    wait_status(&sandbox, "nothing in the way", |status| none_live(status).is_none().then_some(()));
    let shown = sandbox.run(&["status"]).expect_code(0).stdout;
    assert!(shown.contains("serving: yes") && shown.contains("nginx could not reach it "), "{shown}");
}

#[test]
fn the_fleet_is_short_and_says_when_it_cannot_be_read() {
    let etcd = Etcd::start();
    etcd.put("/v/x", "one");
    let resource = |number: usize| {
        json!({"name": format!("r{number}.toml"), "keys": [], "proof": "file", "seen": 1, "applied": null,
               "converged": null, "drained": null, "held": true})
    };
    let resources: Vec<Value> = (0..30).map(resource).collect();
    let receipt = json!({"format": 1, "id": "edge", "version": "1", "generation": 0, "drained_generation": null,
                         "resources": resources});
    etcd.put("/upstreamd/agents/edge", &receipt.to_string());
    etcd.enable_auth(&["/v"]);
    let receipts = ["--prefix=true", "reader", "readwrite", "/upstreamd/agents/"];
    etcd.ctl_as(Some("root:root"), &[&["role", "grant-permission"], &receipts[..]].concat());
    let mut sandbox = Sandbox::on_etcd(&etcd.url());
    sandbox.store.extend(["--username", "reader", "--password", "reader"].map(str::to_owned));
    sandbox.plain_resource("a", "");
    let _agent = sandbox.start(&["--watch", "--receipts", "--agent-id", "own"]);
    let read = wait_status(&sandbox, "both agents", |status| {
        let own = &status["fleet"][1];
        let is_read = own["id"] == "own" && own["lagging"] == json!([]) && own["version"] != "";
        is_read.then(|| status.clone())
    });
    let edge = &read["fleet"][0];
    assert_eq!((&edge["lagging_more"], &edge["held_more"]), (&json!(10), &json!(10)), "{edge}");
    assert_eq!(edge["held"].as_array().unwrap().len(), 20, "{edge}");
    assert_eq!(read["fleet_reading"]["problem"], Value::Null);
    let shown = sandbox.run(&["status"]).stdout;
    for said in
        ["1 of 2 agents up to date, read 2", "edge holds r0.toml, r1.toml, r2.toml and 27 more", "edge lags with "]
    {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    // Whether it may read the receipts is asked each time they are read.
    etcd.ctl_as(Some("root:root"), &["role", "revoke-permission", "--prefix=true", "reader", "/upstreamd/agents/"]);
    let refused = wait_status(&sandbox, "a refusal", |status| {
        status["fleet_reading"]["problem"].as_str().is_some().then(|| status.clone())
    });
    let reading = &refused["fleet_reading"];
    assert!(reading["problem"].as_str().unwrap().contains("permission denied"), "{reading}");
    assert!(reading["at"].is_string() && refused["fleet"][0]["id"] == "edge", "what was read stays: {refused}");
    let shown = sandbox.run(&["status"]).stdout;
    assert!(shown.contains("  the receipts cannot be read: ") && shown.contains("edge holds "), "{shown}");
}

#[test]
fn a_list_is_found_by_its_folder_its_file_and_its_resource() {
    let sandbox = Sandbox::new();
    sandbox.template("web.tera", "{{ servers(prefix=\"/web\") }}\n");
    let dest = sandbox.text_path("out/web.conf");
    sandbox.resource("web", &table("web.tera", &dest).keys(&["/web"]));
    let keys: Vec<String> = (0..250).map(|n| format!("k{n}: '10.0.0.{n}:80'")).collect();
    sandbox.set_store(&format!("web: {{{}}}\n", keys.join(", ")));
    let _agent = sandbox.watch();
    wait_status(&sandbox, "the list", |status| (status["upstreams"][0]["serving"] == 250).then_some(()));
    for name in ["/web", "/web/", &dest, "web.toml"] {
        let status: Value =
            serde_json::from_str(&sandbox.run(&["status", "--json", name]).expect_code(0).stdout).unwrap();
        assert_eq!(status["upstreams"][0]["backends"].as_array().unwrap().len(), 250, "{name}");
        assert!(sandbox.run(&["status", name]).expect_code(0).stdout.contains("/web/k249"), "{name}");
    }
    let shown = sandbox.run(&["status", "/wbe"]).expect_code(2).stdout;
    assert!(shown.contains("no list of backends is called /wbe"), "{shown}");
    sandbox.run(&["status", "--json", "/wbe"]).expect_code(2);
}

#[test]
fn the_exit_code_says_which_step_failed() {
    let sandbox = Sandbox::new();
    sandbox.set_store("x: one\n");
    sandbox.plain_resource("a", "");
    std::fs::write(sandbox.path("out/file"), "in the way").unwrap();
    sandbox.resource("b", &table("values.tera", sandbox.text_path("out/file/b")).keys(&["/x"]));
    let _agent = sandbox.watch();
    let wait = |code: i32| {
        wait_for(&format!("{code}"), DEADLINE, || (sandbox.run(&["status"]).code == Some(code)).then_some(()))
    };
    wait(7);
    sandbox.resource("b", &table("broken.tera", sandbox.text_path("out/b")).keys(&["/x"]));
    sandbox.template("broken.tera", "{{ getv(key=\"/missing\") }}");
    wait(5);
    assert_eq!(status(&sandbox).unwrap()["conditions"][0]["step"], "render");
}

#[test]
fn a_watched_status_is_written_to_a_file_when_it_changes() {
    let sandbox = Sandbox::new();
    sandbox.set_store("v: {x: one}\n");
    sandbox.plain_resource("a", "");
    let _agent = sandbox.watch();
    let moment = |status: &Value| (status["sync"]["ok"] == true).then(|| status["at"].to_string());
    wait_status(&sandbox, "in sync", moment);
    let file = sandbox.path("watched");
    let stdout = std::fs::File::create(&file).unwrap();
    let _watching = Daemon::start(sandbox.command(&["status", "--watch"]).stdout(stdout));
    let written = || std::fs::read_to_string(&file).unwrap();
    let looks = |text: &str| text.matches("in sync: ").count();
    wait_for("the first look", DEADLINE, || (looks(&written()) > 0).then_some(()));
    // Times pass.
    for _ in 0..4 {
        let before = wait_status(&sandbox, "a moment", moment);
        wait_status(&sandbox, "a later moment", |status| moment(status).filter(|now| *now != before));
    }
    assert_eq!(looks(&written()), 1, "{}", written());
    sandbox.set_store("v: {x: two}\n");
    wait_for("the change", DEADLINE, || written().contains("wanted 2, applied 2").then_some(()));
}

#[test]
fn a_watched_status_ends_when_nobody_reads_it() {
    let sandbox = Sandbox::new();
    let mut watching = Daemon::start(sandbox.command(&["status", "--watch"]).stdout(Stdio::piped()));
    let mut reader = watching.child.stdout.take().unwrap();
    reader.read_exact(&mut [0]).unwrap();
    drop(reader);
    wait_for("the end", DEADLINE, || watching.child.try_wait().unwrap());
}

#[test]
fn before_anything_was_tried_no_view_says_yes() {
    let sandbox = Sandbox::new();
    sandbox.set_store("v: {x: one}\n");
    sandbox.plain_resource("a", "reload_cmd = \"true\"");
    // A different process is in the middle of a transaction.
    std::fs::create_dir_all(sandbox.path("state")).unwrap();
    let held = Lock::try_take(&sandbox.path("state/transaction.lock")).unwrap().unwrap();
    let port = free_port();
    let _agent = sandbox.start(&["--watch", "--metrics-addr", &format!("127.0.0.1:{port}")]);
    let metrics = wait_answer(port, "/metrics", 200).body;
    for line in ["upstreamd_in_sync 0", "upstreamd_serving 0"] {
        assert!(metrics.lines().any(|found| found == line), "{line}:\n{metrics}");
    }
    let answer = |status: &Value| [status["sync"]["answer"].clone(), status["service"]["answer"].clone()];
    assert_eq!(status(&sandbox).as_ref().map(answer), Some([json!("starting"), json!("starting")]));
    sandbox.run(&["status"]).expect_code(15);
    drop(held);
    wait_status(&sandbox, "in sync", |status| (status["sync"]["ok"] == true).then_some(()));
}

#[test]
fn a_start_that_waits_for_another_process_can_be_stopped() {
    let sandbox = Sandbox::new();
    sandbox.set_store("v: {x: one}\n");
    sandbox.plain_resource("a", "reload_cmd = \"true\"");
    std::fs::create_dir_all(sandbox.path("state")).unwrap();
    let _held = Lock::try_take(&sandbox.path("state/transaction.lock")).unwrap().unwrap();
    let port = free_port();
    let mut agent = sandbox.start(&["--watch", "--metrics-addr", &format!("127.0.0.1:{port}")]);
    wait_answer(port, "/metrics", 200);
    agent.signal(Signal::SIGTERM);
    let end = wait_for("the end", DEADLINE, || agent.child.try_wait().unwrap());
    assert_eq!(end.code(), Some(0));
}

#[test]
fn a_start_that_waits_for_its_settings_can_be_stopped() {
    let sandbox = Sandbox::new();
    nix::unistd::mkfifo(&sandbox.path("settings"), Mode::S_IRWXU).unwrap();
    let arguments = ["--watch", "--config-file", &sandbox.text_path("settings")];
    let mut agent = Daemon::start(&mut sandbox.command(&arguments));
    agent.signal(Signal::SIGTERM);
    wait_for("the end", DEADLINE, || agent.child.try_wait().unwrap());
}

#[test]
fn of_two_nginx_only_the_one_that_is_down_serves_nobody() {
    let mut nginx = [Nginx::started(), Nginx::started()];
    let sandbox = Sandbox::new();
    sandbox.set_store("web: {k1: '10.0.0.1:80'}\n");
    sandbox.template("web.tera", "# {{ backends(prefix=\"/web\") | length }}\n");
    for (name, nginx) in ["a", "b"].into_iter().zip(&nginx) {
        let dest = nginx.http_file(&format!("{name}.conf"));
        sandbox.resource(name, &table("web.tera", dest.display()).keys(&["/web"]).driving(nginx));
    }
    let _agent = sandbox.watch();
    let serving = |expected: [i64; 2]| {
        wait_status(&sandbox, "the lists", |status| {
            let lists = status["upstreams"].as_array()?;
            let serving = lists.iter().map(|list| list["serving"].as_i64()).collect::<Option<Vec<i64>>>()?;
            (status["nginx"].as_array()?.len() == 2 && serving == expected).then(|| status.clone())
        })
    };
    serving([1, 1]);
    nginx[0].stop();
    let status = serving([0, 1]);
    let away = &status["conditions"][0];
    assert_eq!((&away["kind"], &away["resources"]), (&json!("nginx_away"), &json!(["a.toml"])), "{status}");
    let explained = sandbox.run(&["explain", "b.toml"]).expect_code(0).stdout;
    assert!(explained.contains("ok nginx") && !explained.contains("NO "), "{explained}");
    sandbox.run(&["explain", "a.toml"]).expect_code(13);
    nginx[0].start();
    serving([1, 1]);
}
