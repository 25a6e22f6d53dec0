//! The maintained confd's modes: failure-mode, check-config, validate with mock data, preflight, noop with diff.

use std::fs;

use nix::sys::signal::Signal;

use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::etcd::Etcd;
use crate::support::nginx::{Nginx, lives};
use crate::support::template::table;
use crate::support::{free_port, wait_for, wait_until};

#[test]
fn fail_fast_stops_at_the_first_failure_and_best_effort_tries_everything() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c", "d"] {
        let check = if name == "b" { "false {{.src}}" } else { "true {{.src}}" };
        sandbox.plain_resource(name, &format!("check_cmd = \"{check}\"\nreload_cmd = \"true {name}\""));
    }
    sandbox.set_store("v: {x: one}\n");
    sandbox.run(&["--onetime", "--failure-mode", "fail-fast"]).expect_code(6);
    let written = ["a", "b", "c", "d"].map(|name| sandbox.output(name).is_some());
    assert_eq!(written, [true, false, false, false], "in the order of the files, until the first that fails");
    sandbox.run(&["-onetime", "-failure-mode=best-effort"]).expect_code(6);
    let written = ["a", "b", "c", "d"].map(|name| sandbox.output(name).is_some());
    assert_eq!(written, [true, false, true, true]);
    sandbox.run(&["--onetime", "--failure-mode", "sometimes"]).expect_code(2);
}

#[test]
fn fail_fast_goes_through_to_the_end_where_all_is_well() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.plain_resource("b", "reload_cmd = \"true\"");
    sandbox.plain_resource("c", "reload_cmd = \"true\"");
    sandbox.set_store("v: {x: one}\n");
    for _ in 0..2 {
        sandbox.run(&["--onetime", "--failure-mode=fail-fast"]).expect_code(0);
        assert!(["a", "b", "c"].iter().all(|name| sandbox.output(name).as_deref() == Some("one\n")));
    }
}

#[test]
fn a_signal_ends_a_single_run_and_its_commands_in_time() {
    let sandbox = Sandbox::new();
    let pid_file = sandbox.text_path("pid");
    let slow = format!("sleep 1000 & echo $! > {pid_file}.new; mv {pid_file}.new {pid_file}; wait");
    sandbox.plain_resource("a", &format!("reload_cmd = \"{slow}\""));
    sandbox.set_store("v: {x: one}\n");
    let mut agent = sandbox.start(&["--onetime", "--shutdown-timeout", "1s"]);
    sandbox.wait_for_file("pid");
    agent.signal(Signal::SIGTERM);
    let status = wait_for("the end of the run", DEADLINE, || agent.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(143), "{}", sandbox.log());
    sandbox.wait_log("a transaction did not end within 1s: its commands are killed");
    let pid = sandbox.lines("pid")[0].parse().unwrap();
    wait_until("the end of the orphan", DEADLINE, || !lives(pid));
}

#[test]
fn a_malformed_store_file_is_given_up_without_a_promise_to_go_on() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.set_store("v: [\n");
    let ran = sandbox.onetime().expect_code(4);
    assert!(ran.stderr.contains("no snapshot of the store") && !ran.stderr.contains("trying for another"), "{ran:?}");
}

#[test]
fn a_failed_check_shows_the_command_as_it_is_written() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a b", "check_cmd = \"false {{.src}}\"");
    sandbox.set_store("v: {x: one}\n");
    let ran = sandbox.onetime().expect_code(6);
    assert!(ran.stderr.contains("check_cmd `false {{.src}}`: exit status 1"), "{ran:?}");
}

#[test]
fn a_destination_that_can_never_be_written_is_a_problem() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    let toml = sandbox.text_path("etc/conf.d/a.toml");
    for (dest, said) in [
        (toml.clone(), "a.toml:3:1: dest: it is the resource's own file in conf.d"),
        (sandbox.text_path("store.yaml/a"), "store.yaml` is a file, not a folder"),
    ] {
        sandbox.resource("a", &table("values.tera", &dest).keys(&["/v"]));
        let ran = sandbox.run(&["check"]).expect_code(3);
        assert!(ran.stderr.contains(said), "{ran:?}");
    }
}

#[test]
fn a_first_pass_says_that_nginx_is_not_running() {
    let nginx = Nginx::builder().build();
    let sandbox = Sandbox::new();
    sandbox.template("app.tera", "# {{ getv(key=\"/v/x\") }}\n");
    let lines = table("app.tera", nginx.http_file("app").display()).keys(&["/v"]).driving(&nginx);
    sandbox.resource("app", &lines);
    sandbox.set_store("v: {x: one}\n");
    for _ in 0..2 {
        let ran = sandbox.onetime().expect_code(0);
        assert!(ran.stderr.contains("the reload is owed: nginx is not running (no master by `"), "{ran:?}");
    }
}

#[test]
fn a_missing_resource_or_confdir_is_one_problem_for_every_command() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    let ran = sandbox.run(&["--onetime", "--resource", "nothing"]).expect_code(3);
    assert!(ran.stderr.contains("there is no resource `nothing`"), "{ran:?}");
    assert!(!ran.stderr.contains("nothing to do"), "{ran:?}");
    fs::remove_dir_all(sandbox.path("etc/conf.d")).unwrap();
    for command in ["keys", "diff"] {
        sandbox.run(&[command]).expect_code(3);
    }
}

#[test]
fn fail_fast_touches_no_group_that_is_not_whole() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("good", "");
    sandbox.resource("bad", "nonsense = 1");
    sandbox.set_store("v: {x: one}\n");
    sandbox.run(&["--onetime", "--failure-mode=fail-fast"]).expect_code(3);
    assert_eq!(sandbox.output("good"), None);
    // Of a group with one member that cannot be rendered, the others stay as they are too.
    sandbox.template("missing.tera", "{{ getv(key=\"/v/missing\") }}");
    let dest = sandbox.text_path("out/bad");
    sandbox.resource("bad", &table("missing.tera", &dest).keys(&["/v"]).set("reload_cmd", "true"));
    sandbox.plain_resource("good", "reload_cmd = \"true\"");
    sandbox.run(&["--onetime", "--failure-mode=fail-fast"]).expect_code(5);
    assert_eq!(sandbox.output("good"), None);
    sandbox.onetime().expect_code(5);
    assert_eq!(sandbox.output("good").as_deref(), Some("one\n"), "best effort");
}

#[test]
fn check_config_needs_no_store_and_wants_the_folders_of_destinations() {
    let mut sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    let nobody = format!("http://127.0.0.1:{}", free_port());
    sandbox.store = ["--backend", "etcd", "--node", &nobody].map(str::to_owned).to_vec();
    let ran = sandbox.run(&["--check-config"]).expect_code(0);
    assert!(ran.stdout.contains("1 resource"), "{ran:?}");
    let dest = sandbox.text_path("nowhere/b");
    sandbox.resource("b", &table("values.tera", &dest).keys(&["/v"]));
    let ran = sandbox.run(&["-check-config"]).expect_code(3);
    assert!(ran.stderr.contains("conf.d/b.toml: dest: the folder"), "{ran:?}");
    sandbox.run(&["--check-config", "--resource", "a.toml"]).expect_code(0);
    sandbox.run(&["check"]).expect_code(0);
    sandbox
        .resource("d", &table("values.tera", sandbox.text_path("nowhere/d")).keys(&["/v"]).lines("make_dirs = true"));
    sandbox.run(&["--check-config", "--resource", "d.toml"]).expect_code(0);
    sandbox.resource("c", "src = \"missing.tera\"\ndest = \"/tmp/c\"\nkeys = [\"/v\"]\nmode = \"9\"");
    let ran = sandbox.run(&["--check-config"]).expect_code(3);
    assert!(ran.stderr.contains("b.toml: dest:") && ran.stderr.contains("`mode` `9`"), "everything at once: {ran:?}");
}

#[test]
fn validate_renders_both_languages_with_mock_data_and_no_store() {
    let mut sandbox = Sandbox::new();
    sandbox.store = vec!["etcd".to_owned()];
    let dest = |name: &str| format!("dest = \"{}\"\nkeys = [\"/v\"]", sandbox.text_path(&format!("out/{name}")));
    // Of a store that is not there: texts are empty, lists too, nothing exists.
    let go = "{{.name}} {{index .ports 0}} {{getv \"/v/x\"}}{{getv \"/v/x\" \"default\"}}{{range gets \"/v/*\"}}{{.Key}}{{end}}";
    sandbox.template("go.tmpl", go);
    sandbox.resource("go", &format!("src = \"go.tmpl\"\n{}", dest("go")));
    sandbox.template("t.tera", "{{ name }} {{ ports[0] }} {{ getv(key=\"/v/x\") }}{{ ls(dir=\"/v\") | length }}");
    sandbox.resource("t", &format!("src = \"t.tera\"\n{}", dest("t")));
    let mock = sandbox.text_path("mock.json");
    fs::write(&mock, r#"{"name": "app", "ports": [80]}"#).unwrap();
    sandbox.run(&["--validate"]).expect_code(0);
    sandbox.run(&["--validate", "--mock-data", &mock]).expect_code(0);
    fs::write(&mock, r#"{"ports": []}"#).unwrap();
    let ran = sandbox.run(&["-validate", "-mock-data", &mock]).expect_code(3);
    assert!(ran.stderr.contains("conf.d/go.toml") && ran.stderr.contains("conf.d/t.toml"), "{ran:?}");
    // What comes out is judged as well.
    sandbox.template("go.tmpl", "{\"name\": {{.name}}}");
    sandbox.resource("go", &format!("src = \"go.tmpl\"\noutput_format = \"json\"\n{}", dest("go")));
    fs::write(&mock, r#"{"name": "not-json", "ports": [1]}"#).unwrap();
    let ran = sandbox.run(&["--validate", "--mock-data", &mock, "--resource", "go.toml"]).expect_code(3);
    assert!(ran.stderr.to_lowercase().contains("json"), "{ran:?}");
    fs::write(&mock, "[1]").unwrap();
    let ran = sandbox.run(&["--validate", "--mock-data", &mock]).expect_code(3);
    assert!(ran.stderr.contains("mock.json:1:") && ran.stderr.contains("not a JSON object"), "{ran:?}");
    sandbox.run(&["--validate", "--mock-data", "/nowhere.json"]).expect_code(3);
    assert_eq!(sandbox.output("go"), None, "nothing is written");
}

#[test]
fn check_reports_differences_from_confd_without_failing() {
    let sandbox = Sandbox::new();
    sandbox
        .template("site.tmpl", "{{if exists \"/v\"}}\n{{range ls \"/\"}}{{.}}{{end}}{{end}}{{include \"part.tmpl\"}}");
    sandbox.template("part.tmpl", "\n{{range reverse (gets \"/v/*\")}}{{.Key}}{{end}}");
    for name in ["one", "two"] {
        let dest = sandbox.text_path(&format!("out/{name}"));
        let lines = table("site.tmpl", &dest).keys(&["/v"]).set("mode", "644").set("check_cmd", "true");
        sandbox.resource(name, &lines);
    }
    // A native resource is compared with nothing.
    sandbox.plain_resource("native", "mode = \"644\"");
    let ran = sandbox.run(&["check"]).expect_code(0);
    let found: Vec<String> = ran
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("differs from confd: "))
        .map(|line| {
            let line = line.strip_prefix(&format!("{}/", sandbox.text_path("etc"))).unwrap();
            line.splitn(3, ": ").take(2).collect::<Vec<_>>().join(": ").chars().take(60).collect()
        })
        .collect();
    let expected = [
        "conf.d/one.toml: shares its commands with two.toml",
        "conf.d/one.toml:5:1: mode",
        "conf.d/one.toml:6:1: check_cmd",
        "templates/part.tmpl:2:9: confd returns what gets gives as it",
        "templates/site.tmpl:1:6: true for a directory too; confd",
        "templates/site.tmpl:2:9: of the root, confd lists keys at the",
    ];
    assert_eq!(found.len(), expected.len(), "{}", ran.stdout);
    for (found, expected) in found.iter().zip(expected) {
        assert!(expected.starts_with(found.as_str()) || found.starts_with(expected), "{found} is not {expected}");
    }
    let also = format!("(also {}/conf.d/two.toml:5:1)", sandbox.text_path("etc"));
    assert!(ran.stdout.contains(&also), "what both resources have is said once: {ran:?}");
    assert!(ran.stdout.contains("3 resources"), "{ran:?}");
}

#[test]
fn preflight_asks_the_store_and_counts_keys() {
    let etcd = Etcd::start();
    etcd.put("/v/x", "one");
    etcd.put("/v/y", "a-secret");
    let mut sandbox = Sandbox::on_etcd(&etcd.url());
    sandbox.plain_resource("a", "");
    let dest = sandbox.text_path("out/b");
    sandbox.resource("b", &table("values.tera", &dest).keys(&["/none"]));
    let ran = sandbox.run(&["--preflight"]).expect_code(0);
    for line in ["store: etcd backend is healthy", "resources: 2 loaded, 0 problems", "a.toml: 2 keys"] {
        assert!(ran.stdout.lines().any(|found| found == line), "{line} is not in {ran:?}");
    }
    assert!(ran.stdout.contains("warning: b.toml: no key at or below /none"), "{ran:?}");
    assert!(!ran.stdout.contains("a-secret"), "{ran:?}");
    assert_eq!(sandbox.output("a"), None);
    sandbox.resource("c", "nonsense = 1");
    sandbox.run(&["-preflight"]).expect_code(3);
    let nobody = format!("http://127.0.0.1:{}", free_port());
    sandbox.store = ["etcd", "--node", &nobody].map(str::to_owned).to_vec();
    let ran = sandbox.run(&["--preflight", "--preflight-timeout", "3s"]).expect_code(4);
    assert!(ran.stdout.contains("store: etcd health check failed: cannot connect"), "{ran:?}");
    sandbox.store = ["file", "--file", "/nowhere.yaml"].map(str::to_owned).to_vec();
    sandbox.run(&["--preflight"]).expect_code(4);
    sandbox.store = vec!["env".to_owned()];
    sandbox.environment = vec![("V_X".to_owned(), "one".to_owned())];
    fs::remove_file(sandbox.path("etc/conf.d/c.toml")).unwrap();
    let ran = sandbox.run(&["--preflight"]).expect_code(0);
    assert!(ran.stdout.contains("a.toml: 1 key\n"), "{ran:?}");
}
