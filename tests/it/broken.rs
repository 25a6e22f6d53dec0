//! Hostile and broken input: each gets a clear error with its place, and the live file stays.

use std::fs;
use std::path::PathBuf;

use crate::support::agent::{Ran, Sandbox, mounting};

/// A sandbox whose `out/a` is live as `one`.
fn live() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.set_store("v: {x: one}\n");
    sandbox.onetime().expect_code(0);
    sandbox
}

#[track_caller]
fn check(sandbox: &Sandbox, words: &[&str]) -> Ran {
    let ran = sandbox.onetime();
    assert!(!matches!(ran.code, Some(0) | None), "{ran:?}");
    for word in words {
        assert!(ran.stderr.contains(word), "no {word:?} in\n{}", ran.stderr);
    }
    assert_eq!(sandbox.output("a").as_deref(), Some("one\n"), "the live file stays");
    let litter: Vec<PathBuf> = fs::read_dir(sandbox.path("out")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(litter.len(), 1, "{litter:?}");
    ran
}

#[test]
fn broken_toml_template_and_fields_keep_the_live_file() {
    let sandbox = live();
    sandbox.resource("a", "src = \"values.tera\"\ndest = ");
    check(&sandbox, &["a.toml:3:"]);
    sandbox.plain_resource("a", "mode = \"8888\"");
    check(&sandbox, &["a.toml:5:", "8888"]);
    sandbox.plain_resource("a", "");
    sandbox.template("values.tera", "{% for %}");
    check(&sandbox, &["values.tera:1:"]);
    fs::remove_file(sandbox.path("etc/templates/values.tera")).unwrap();
    check(&sandbox, &["a.toml:2:", "values.tera"]);
    sandbox.plain_resource("a", "");
    sandbox.template("values.tera", "{{ getv(key=\"/v/none\") }}");
    check(&sandbox, &["values.tera:1:", "/v/none"]);
    fs::write(sandbox.path("etc/templates/values.tera"), [b'a', 0xff]).unwrap();
    check(&sandbox, &["values.tera", "UTF-8"]);
    fs::write(sandbox.path("etc/conf.d/a.toml"), [0xff, 0xfe]).unwrap();
    check(&sandbox, &["a.toml", "UTF-8"]);
}

#[test]
fn a_broken_go_template_keeps_the_live_file() {
    let sandbox = live();
    fs::rename(sandbox.path("etc/templates/values.tera"), sandbox.path("etc/templates/values.tmpl")).unwrap();
    let toml = fs::read_to_string(sandbox.path("etc/conf.d/a.toml")).unwrap().replace("values.tera", "values.tmpl");
    fs::write(sandbox.path("etc/conf.d/a.toml"), toml).unwrap();
    sandbox.template("values.tmpl", "{{range gets \"/v/*\"}}");
    check(&sandbox, &["values.tmpl:1:", "{{end}}"]);
    sandbox.template("values.tmpl", "x\n{{getv \"/v/none\"}}");
    check(&sandbox, &["values.tmpl:2:3:", "/v/none"]);
}

#[test]
fn a_missing_destination_folder_is_named_with_a_hint() {
    let sandbox = live();
    let toml = fs::read_to_string(sandbox.path("etc/conf.d/a.toml")).unwrap().replace("/out/a", "/gone/a");
    fs::write(sandbox.path("etc/conf.d/a.toml"), &toml).unwrap();
    check(&sandbox, &["gone", "make_dirs"]);
    fs::write(sandbox.path("etc/conf.d/a.toml"), toml + "make_dirs = true\n").unwrap();
    sandbox.onetime().expect_code(0);
    assert!(sandbox.path("gone/a").exists());
}

#[test]
fn a_full_disk_keeps_the_live_file() {
    let mut sandbox = Sandbox::new();
    // A tmpfs of 64 KiB over the destination folder, in a mount namespace of the agent's own.
    let script = format!(
        "mount -t tmpfs -o size=64k tmpfs {0} && \"$@\" && printf 'v: {{x: \"%s\"}}' $(head -c 200000 /dev/zero | tr '\\0' y) > {1} && \
         ! \"$@\" && cat {0}/a && ls -A {0} | wc -l",
        sandbox.text_path("out"),
        sandbox.text_path("store.yaml")
    );
    sandbox.wrapper = mounting(&script);
    sandbox.plain_resource("a", "");
    sandbox.set_store("v: {x: one}\n");
    let ran = sandbox.onetime().expect_code(0);
    assert_eq!(ran.stdout, "one\n1\n", "{ran:?}");
    assert!(ran.stderr.contains("No space left"), "{ran:?}");
}

#[test]
fn a_read_only_destination_folder_is_named_and_nothing_changes() {
    let mut sandbox = Sandbox::new();
    let script = format!(
        "\"$@\" && mount --bind {0} {0} && mount -o remount,ro,bind {0} && printf 'v: {{x: two}}' > {1} && ! \"$@\" && cat {0}/a",
        sandbox.text_path("out"),
        sandbox.text_path("store.yaml")
    );
    sandbox.wrapper = mounting(&script);
    sandbox.plain_resource("a", "");
    sandbox.set_store("v: {x: one}\n");
    let ran = sandbox.onetime().expect_code(0);
    assert_eq!(ran.stdout, "one\n", "{ran:?}");
    assert!(ran.stderr.contains("Read-only file system") && ran.stderr.contains("out/"), "{ran:?}");
}

#[test]
fn a_hundred_thousand_keys_and_a_value_of_a_mebibyte_are_no_trouble() {
    let sandbox = Sandbox::new();
    let mut store = "v:\n".to_owned();
    for n in 0..100_000 {
        store.push_str(&format!("  k{n:06}: v\n"));
    }
    sandbox.plain_resource("a", "");
    sandbox.set_store(&store);
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.output("a").unwrap().len(), 200_000);
    sandbox.set_store(&format!("v: {{x: '{}'}}\n", "z".repeat(1 << 20)));
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.output("a").unwrap().len(), (1 << 20) + 1);
}

#[test]
fn a_file_past_the_bounds_of_a_store_keeps_the_live_file() {
    let mut sandbox = live();
    let aliases: String = (0..40_000).map(|number| format!("k{number}: *a\n")).collect();
    sandbox.set_store(&format!("a: &a {}\n{aliases}", "x".repeat(1 << 20)));
    check(&sandbox, &["store.yaml:25", "256 MiB that --max-store-mib allows"]);
    sandbox.set_store(&format!("? {}b\n: {{x: 1, y: 2}}\n", "a/".repeat(300_000)));
    check(&sandbox, &["store.yaml:1:1", "600002 bytes", "4096 are allowed"]);
    sandbox.set_store(&format!("v: {{x: '{}'}}\n", "x".repeat(3 << 20)));
    check(
        &sandbox,
        &["values.tera:1:", "`/v/x` is too large to be kept: it has at least 3145728 bytes", "--max-value-mib"],
    );
    sandbox.set_store("v: {x: one, y: two}\n");
    sandbox.store.extend(["--max-store-keys", "1"].map(str::to_owned));
    check(&sandbox, &["store.yaml:1:1", "2 were read, and 1 are allowed", "--max-store-keys"]);
}

#[test]
fn values_never_reach_the_log() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "check_cmd = \"false # {{.src}}\"\noutput_format = \"json\"");
    sandbox.set_store("v: {x: hunter2secret, y: 'hunter2; secret'}\n");
    for level in ["debug", "trace"] {
        let ran = sandbox.run(&["--onetime", "--log-level", level]);
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
    sandbox.plain_resource("a", "escape = \"nginx\"");
    let ran = sandbox.run(&["--onetime", "--log-level", "trace"]).expect_code(5);
    assert!(!ran.stderr.contains("hunter2") && ran.stderr.contains("/v/y"), "{}", ran.stderr);
}
