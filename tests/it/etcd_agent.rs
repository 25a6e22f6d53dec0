//! The whole agent on real etcd: whatever happens to the store, the file on disk ends up true.

use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::etcd::{Etcd, Options};
use crate::support::proxy::Proxy;
use crate::support::template::table;
use crate::support::wait_until;

/// An agent's sandbox on this address, with one plain resource.
fn sandbox(address: &str) -> Sandbox {
    let sandbox = Sandbox::on_etcd(address);
    sandbox.plain_resource("a", "");
    sandbox
}

#[test]
fn etcd_killed_and_restarted() {
    let mut etcd = Etcd::start();
    etcd.put("/v/x", "one");
    let sandbox = sandbox(&etcd.url());
    let _agent = sandbox.watch();
    sandbox.wait_output("a", "one\n");
    etcd.kill();
    sandbox.wait_log("cannot follow the store");
    assert_eq!(sandbox.output("a").as_deref(), Some("one\n"), "the last good file stays");
    etcd.restart();
    etcd.put("/v/x", "two");
    sandbox.wait_output("a", "two\n");
    sandbox.wait_log("following the store again, after ");
}

#[test]
fn partitioned_and_compacted_while_away() {
    let etcd = Etcd::start();
    etcd.put("/v/x", "one");
    etcd.put("/v/gone", "old");
    let proxy = Proxy::start(etcd.port());
    let sandbox = sandbox(&format!("http://{}", proxy.address()));
    let _agent = sandbox.watch();
    sandbox.wait_output("a", "old\none\n");
    proxy.cut();
    proxy.break_connections();
    let mut writer = etcd.writer();
    etcd.delete("/v/gone");
    let mut revision = 0;
    for n in 0..50 {
        revision = writer.put("/v/x", format!("value {n}"));
    }
    writer.compact(revision);
    proxy.mend();
    sandbox.wait_output("a", "value 49\n");
    etcd.put("/v/x", "after");
    sandbox.wait_output("a", "after\n");
}

#[test]
fn restored_from_an_older_snapshot() {
    let mut etcd = Etcd::start();
    etcd.put("/v/x", "old");
    let sandbox = sandbox(&etcd.url());
    let copy = sandbox.path("copy.db");
    etcd.save_copy(&copy);
    let mut writer = etcd.writer();
    for n in 0..100 {
        writer.put("/v/x", format!("newer {n}"));
    }
    let _agent = sandbox.watch();
    sandbox.wait_output("a", "newer 99\n");
    etcd.kill();
    etcd.restore_copy(&copy);
    etcd.restart();
    sandbox.wait_output("a", "old\n");
    etcd.put("/v/x", "and on");
    sandbox.wait_output("a", "and on\n");
}

#[test]
fn a_login_whose_token_expires() {
    let etcd = Etcd::start_with(Options::default().flag("--auth-token-ttl=2"));
    etcd.put("/v/x", "one");
    etcd.enable_auth(&["/v"]);
    let mut sandbox = sandbox(&etcd.url());
    sandbox.plain_resource("a", "");
    sandbox.store.extend(["--username", "reader"].map(str::to_owned));
    sandbox.environment.push(("UPSTREAMD_PASSWORD".to_owned(), "reader".to_owned()));
    let _agent = sandbox.watch();
    sandbox.wait_output("a", "one\n");
    // The token dies; so do watches that were made with it.
    etcd.wait_log("deleted a simple token", "reader");
    for n in 0..3 {
        etcd.ctl_as(Some("root:root"), &["put", "/v/x", &format!("later {n}")]);
        sandbox.wait_output("a", &format!("later {n}\n"));
    }
}

#[test]
fn two_thousand_puts_in_a_burst_end_in_the_last_state_with_few_reloads() {
    let etcd = Etcd::start();
    let mut writer = etcd.writer();
    for n in 0..100 {
        writer.put(format!("/v/{n:03}"), "first");
    }
    let sandbox = Sandbox::on_etcd(&etcd.url());
    sandbox.plain_resource("a", &format!("reload_cmd = \"echo r >> {}\"", sandbox.text_path("reloads")));
    let _agent = sandbox.watch();
    sandbox.wait_output("a", &"first\n".repeat(100));
    let started = std::time::Instant::now();
    for n in 0..2_000 {
        writer.put(format!("/v/{:03}", n % 100), format!("value {n}"));
    }
    let took = started.elapsed();
    let expected: String = (1_900..2_000).map(|n| format!("value {n}\n")).collect();
    sandbox.wait_output("a", &expected);
    wait_until("the last reload", DEADLINE, || sandbox.log().contains("updated /"));
    // One at once, then at most one a second and one at the end.
    let most = 3 + took.as_secs() as usize;
    assert!(sandbox.lines("reloads").len() <= most, "{} reloads in {took:?}", sandbox.lines("reloads").len());
}

#[test]
fn a_resource_with_new_keys_is_not_rendered_before_they_are_known() {
    let etcd = Etcd::start();
    etcd.put("/v/x", "one");
    etcd.put("/w/x", "other");
    let sandbox = sandbox(&etcd.url());
    let _agent = sandbox.watch();
    sandbox.wait_output("a", "one\n");
    sandbox.template("w.tera", "{% for pair in gets(pattern=\"/w/*\") %}{{ pair.value }}{% endfor %}.");
    let dest = sandbox.text_path("out/w");
    let seen = sandbox.text_path("seen");
    sandbox.resource("w", &table("w.tera", &dest).keys(&["/w"]).set("reload_cmd", format!("cat {dest} >> {seen}")));
    sandbox.wait_output("w", "other.");
    wait_until("the reload", DEADLINE, || !sandbox.lines("seen").is_empty());
    assert_eq!(sandbox.lines("seen"), ["other."], "it was never rendered without its keys");
}

#[test]
fn keys_without_a_leading_slash_are_reached_with_raw_keys() {
    let etcd = Etcd::start();
    etcd.put("stolon/cluster", "raw");
    let sandbox = Sandbox::on_etcd(&etcd.url());
    sandbox.template("raw.tera", "{{ getv(key=\"stolon/cluster\") }}");
    let dest = sandbox.text_path("out/raw");
    sandbox.resource("raw", &table("raw.tera", &dest).keys(&["stolon"]).lines("raw_keys = true"));
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.output("raw").as_deref(), Some("raw"));
}

#[test]
fn a_value_that_is_not_text_is_refused_by_the_name_of_its_key() {
    let etcd = Etcd::start();
    etcd.writer().put("/v/x", vec![0xff, 0xfe]);
    let sandbox = sandbox(&etcd.url());
    let ran = sandbox.onetime().expect_code(5);
    assert!(ran.stderr.contains("/v/x") && ran.stderr.contains("UTF-8"), "{ran:?}");
    assert_eq!(sandbox.output("a"), None);
}

#[test]
fn a_resync_costs_no_second_copy_of_the_values() {
    let etcd = Etcd::start();
    let mut writer = etcd.writer();
    for number in 0..100 {
        writer.put(format!("/v/{number}"), number.to_string().repeat(1 << 19));
    }
    let sandbox = Sandbox::on_etcd(&etcd.url());
    sandbox.template("count.tera", "{{ ls(dir=\"/v\") | length }}");
    sandbox.resource("a", &table("count.tera", sandbox.text_path("out/a")).keys(&["/v"]));
    let agent = sandbox.start(&["--watch", "--log-level", "debug"]);
    sandbox.wait_output("a", "100");
    let peak = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() >> 10
    };
    let before = peak();
    for _ in 0..3 {
        let mark = sandbox.mark();
        agent.signal(nix::sys::signal::Signal::SIGUSR1);
        sandbox.wait_log_since(mark, "listed the store");
    }
    println!("before {before} MiB, after {} MiB", peak());
    assert!(peak() < before + 40, "{before} MiB before, {} MiB after", peak());
}
