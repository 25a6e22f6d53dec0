//! Requests of confd's users, with the real binary: keys that are required or waited for, natural order,
//! directories that exist, folders through links, several confdirs, one resource of many, keys without a leading slash.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use crate::support::agent::Sandbox;
use crate::support::etcd::Etcd;
use crate::support::template::table;

fn resource(sandbox: &Sandbox, template: &str, more_lines: &str) {
    sandbox.template("x.tera", template);
    let dest = sandbox.text_path("out/x");
    sandbox.resource("x", &table("x.tera", &dest).keys(&["/app"]).lines(more_lines));
}

#[test]
fn required_keys_are_named_when_they_are_missing_and_the_live_file_stays() {
    for (require, named) in [
        ("true", None),
        ("[\"/app/name\", \"/app/db\"]", Some("`/app/name`, `/app/db`")),
        ("[\"/app/s*\"]", Some("`/app/s*`")),
    ] {
        let sandbox = Sandbox::new();
        resource(&sandbox, "{{ getv(key=\"/app/x\", default=\"none\") }}", &format!("require = {require}"));
        sandbox.set_store("app: {name: n, db: {host: h}, size: '1', x: one}\n");
        sandbox.onetime().expect_code(0);
        sandbox.set_store("app: {x: two}\n");
        let ran = sandbox.onetime();
        match named {
            None => assert_eq!((ran.code, sandbox.output("x").as_deref()), (Some(0), Some("two"))),
            Some(named) => {
                assert_eq!((ran.code, sandbox.output("x").as_deref()), (Some(5), Some("one")));
                assert!(ran.stderr.contains(&format!("required keys are missing: {named}")), "{ran:?}");
                let ran = sandbox.run(&["render", "x"]).expect_code(5);
                assert!(ran.stderr.contains(named), "{ran:?}");
            }
        }
        sandbox.set_store("other: x\n");
        let ran = sandbox.onetime().expect_code(5);
        assert!(ran.stderr.contains("required keys are missing: `/app"), "{ran:?}");
    }
}

#[test]
fn a_resource_waits_for_its_keys_and_then_goes_live() {
    let sandbox = Sandbox::new();
    resource(
        &sandbox,
        "{{ gets(pattern=\"/app/*\") | length }}",
        "wait_for = [\"/app/a\", \"/app/b\"]\nwait_timeout = \"1h\"",
    );
    sandbox.plain_resource("v", "");
    sandbox.set_store("app: {a: x}\nv: {k: one}\n");
    let _agent = sandbox.watch();
    sandbox.wait_log("waiting for keys, at most 3600s: /app/b");
    sandbox.wait_output("v", "one\n");
    assert_eq!(sandbox.output("x"), None);
    sandbox.set_store("app: {a: x, b: x}\nv: {k: one}\n");
    sandbox.wait_output("x", "2");
    // It has gone live: from now on that is for its guard to say.
    sandbox.set_store("app: {b: x}\nv: {k: one}\n");
    sandbox.wait_output("x", "1");
}

#[test]
fn the_wait_has_an_end_in_both_modes() {
    let lines = "wait_for = true\nwait_timeout = \"1s\"";
    let template = "{{ gets(pattern=\"/app/*\") | length }}";
    let sandbox = Sandbox::new();
    resource(&sandbox, template, lines);
    let started = Instant::now();
    let ran = sandbox.onetime().expect_code(0);
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    assert!(ran.stderr.contains("gave up waiting after 1s; continuing without: /app"), "{ran:?}");
    assert_eq!(sandbox.output("x").as_deref(), Some("0"));
    let sandbox = Sandbox::new();
    resource(&sandbox, template, lines);
    let _agent = sandbox.watch();
    sandbox.wait_log("gave up waiting");
    sandbox.wait_output("x", "0");
}

#[test]
fn a_single_pass_waits_for_keys_that_come_late() {
    let etcd = Etcd::start();
    let sandbox = Sandbox::on_etcd(&etcd.url());
    resource(&sandbox, "{{ getv(key=\"/app/a\") }}", "wait_for = true\nwait_timeout = \"1h\"");
    let mut pass = sandbox.start(&["--onetime"]);
    sandbox.wait_log("waiting for keys");
    etcd.put("/app/a", "late");
    sandbox.wait_output("x", "late");
    crate::support::wait_until("the end of the pass", Duration::from_secs(20), || {
        pass.child.try_wait().unwrap().is_some()
    });
}

#[test]
fn names_sort_as_people_expect_in_both_engines() {
    let sandbox = Sandbox::new();
    sandbox.set_store("app: {app10: c, app2: b, app1: a}\n");
    let pairs = "{% for p in gets(pattern=\"/app/*\") | natural_sort %}{{ p.value }}{% endfor %}";
    resource(&sandbox, &format!("{{{{ ls(dir=\"/app\") | natural_sort | join(sep=\" \") }}}} {pairs}"), "");
    assert_eq!(sandbox.run(&["render", "x"]).expect_code(0).stdout, "app1 app2 app10 abc");
    sandbox.template(
        "x.tmpl",
        "{{ naturalSort (ls \"/app\") }} {{ range naturalSort (gets \"/app/*\") }}{{ .Value }}{{ end }}",
    );
    let dest = sandbox.text_path("out/x");
    sandbox.resource("x", &table("x.tmpl", &dest).keys(&["/app"]));
    assert_eq!(sandbox.run(&["render", "x"]).expect_code(0).stdout, "[app1 app2 app10] abc");
}

#[test]
fn directories_exist_in_both_engines() {
    let sandbox = Sandbox::new();
    sandbox.set_store("app: {db: {host: h}}\n");
    resource(&sandbox, "{{ exists(key=\"/app/db\") }} {{ exists(key=\"/app/x\") }}", "");
    assert_eq!(sandbox.run(&["render", "x"]).expect_code(0).stdout, "true false");
    resource(&sandbox, "{{ exists \"/app/db\" }} {{ exists \"/app/x\" }}", "engine = \"go\"");
    assert_eq!(sandbox.run(&["render", "x"]).expect_code(0).stdout, "true false");
}

#[test]
fn folders_are_found_through_links_and_followed_while_watching() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("v", "");
    sandbox.set_store("v: {k: one}\n");
    for name in ["conf.d", "templates"] {
        fs::create_dir_all(sandbox.path("real")).unwrap();
        fs::rename(sandbox.path("etc").join(name), sandbox.path("real").join(name)).unwrap();
        symlink(sandbox.path("real").join(name), sandbox.path("etc").join(name)).unwrap();
    }
    let _agent = sandbox.watch();
    sandbox.wait_output("v", "one\n");
    fs::write(sandbox.path("real/templates/values.tera"), "{{ getv(key=\"/v/k\") }}!").unwrap();
    sandbox.wait_output("v", "one!");
}

/// A second confdir with the resource `w`.
fn second_confdir(sandbox: &Sandbox, dest: &str, name: &str) -> String {
    let second = sandbox.path("etc2");
    for folder in ["conf.d", "templates"] {
        fs::create_dir_all(second.join(folder)).unwrap();
    }
    fs::write(second.join("templates/values.tera"), "second: {{ getv(key=\"/v/k\") }}\n").unwrap();
    let lines = format!("[template]\nsrc = \"values.tera\"\ndest = \"{dest}\"\nkeys = [\"/v\"]\n");
    fs::write(second.join("conf.d").join(name), lines).unwrap();
    second.to_str().unwrap().to_owned()
}

#[test]
fn several_confdirs_are_one_set_of_resources_each_with_its_own_templates() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("v", "");
    sandbox.set_store("v: {k: one}\n");
    let second = second_confdir(&sandbox, &sandbox.text_path("out/w"), "w.toml");
    sandbox.run(&["--onetime", "--confdir", &second]).expect_code(0);
    assert_eq!(
        (sandbox.output("v").as_deref(), sandbox.output("w").as_deref()),
        (Some("one\n"), Some("second: one\n"))
    );
    // One of many, whichever confdir it is in.
    for (only, left) in [("v", ["v"]), ("w.toml", ["w"])] {
        for name in ["v", "w"] {
            fs::remove_file(sandbox.path("out").join(name)).ok();
        }
        sandbox.run(&["--onetime", "--confdir", &second, "--resource", only]).expect_code(0);
        let there: Vec<&str> = ["v", "w"].into_iter().filter(|name| sandbox.output(name).is_some()).collect();
        assert_eq!(there, left, "{only}");
    }
    let ran = sandbox.run(&["--onetime", "--confdir", &second, "--resource", "z"]).expect_code(3);
    assert_eq!(ran.stderr.matches("there is no resource `z`").count(), 1, "{ran:?}");
    assert!(ran.stderr.contains("there is v.toml w.toml"), "{ran:?}");
}

#[test]
fn confdirs_that_clash_are_reported_and_the_first_one_counts() {
    for (dest, name, said) in [
        ("out/w", "v.toml", "there is already a resource `v.toml`"),
        ("out/v", "w.toml", "`v.toml` and `w.toml` both write"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.plain_resource("v", "");
        sandbox.set_store("v: {k: one}\n");
        let second = second_confdir(&sandbox, &sandbox.text_path(dest), name);
        let first = sandbox.text_path("etc");
        let ran = sandbox.run(&["--onetime", "--confdir", &first, "--confdir", &second]);
        assert!(ran.stderr.contains(said), "{ran:?}");
        assert_eq!((ran.code, sandbox.output("w")), (Some(3), None));
    }
}

#[test]
fn keys_without_a_leading_slash_are_read_from_etcd() {
    let etcd = Etcd::start();
    etcd.put("stolon/cluster/a", "one");
    etcd.put("/stolon/cluster/a", "two");
    let sandbox = Sandbox::on_etcd(&etcd.url());
    for (engine, template) in [
        ("tera", "{{ getv(key=\"stolon/cluster/a\") }} {{ ls(dir=\"stolon\") | join(sep=\",\") }}"),
        ("go", "{{ getv \"stolon/cluster/a\" }} {{ join (ls \"stolon\") \",\" }}"),
    ] {
        sandbox.template("x.tera", template);
        let dest = sandbox.text_path("out/x");
        let lines = table("x.tera", &dest).set("engine", engine).keys(&["stolon"]).lines("raw_keys = true");
        sandbox.resource("x", &lines);
        assert_eq!(sandbox.run(&["render", "x"]).expect_code(0).stdout, "one cluster");
    }
}
