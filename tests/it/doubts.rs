//! What `check` says of resources that are written right and still cannot work: paths outside of `keys`, a fragment that
//! nginx gets as its whole configuration, programs that are not there. And what a render says of a key that does not exist.

use std::fs;

use crate::support::agent::{Ran, Sandbox};
use crate::support::template::table;

/// A resource `web` whose template is this text, in the language that the name says.
fn web(template: &str, text: &str, keys: &[&str], more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.template(template, text);
    let dest = sandbox.text_path("out/web");
    let lines = table(template, &dest);
    sandbox.resource("web", &if keys.is_empty() { lines } else { lines.keys(keys) }.lines(more));
    sandbox
}

const GO: (&str, &str) = ("web.tmpl", "servers:\n{{range gets \"/services/*\"}}{{.Value}}\n{{end}}");
const TERA: (&str, &str) =
    ("web.tera", "servers:\n{% for pair in gets(pattern=\"/services/*\") %}{{ pair.value }}\n{% endfor %}");

#[test]
fn a_path_outside_of_keys_fails_the_check_with_its_place() {
    for ((template, text), place) in [(GO, "web.tmpl:2:9: "), (TERA, "web.tera:2:16: ")] {
        let said = |ran: &Ran, words: &str| ran.stderr.lines().any(|line| line.contains(place) && line.contains(words));
        let ran = web(template, text, &["/service"], "").run(&["check"]).expect_code(3);
        let words = "`gets` of `/services/*` never finds anything: the `keys` of `web.toml` do not cover it";
        assert!(said(&ran, words), "{ran:?}");
        assert!(ran.stderr.contains("add \"/services\"") && ran.stderr.contains("0 resources OK"), "{ran:?}");
        let without = web(template, text, &[], "");
        let ran = without.run(&["check"]).expect_code(3);
        assert!(said(&ran, "`web.toml` has no `keys`") && ran.stderr.contains("keys = [\"/services\"]"), "{ran:?}");
        // To confd it is no mistake, neither asked with its flags nor when it renders.
        let ran = without.run(&["--check-config"]).expect_code(0);
        assert!(said(&ran, "warning: ") && ran.stdout.contains("no problem"), "{ran:?}");
        let ran = without.onetime().expect_code(0);
        assert!(said(&ran, "WARN") && ran.stderr.matches("never finds").count() == 1, "{ran:?}");
        assert_eq!(without.output("web").as_deref(), Some("servers:\n"), "{ran:?}");
        let ran = web(template, text, &["/services"], "").run(&["check"]).expect_code(0);
        assert!(!ran.stderr.contains("never finds"), "{ran:?}");
    }
}

#[test]
fn what_a_template_provides_for_is_only_a_warning() {
    for (template, text) in [
        ("web.tmpl", "{{getv \"/other/x\" \"default\"}}{{if exists \"/other/y\"}}{{getv \"/other/y\"}}{{end}}"),
        (
            "web.tera",
            "{{ getv(key=\"/other/x\", default=1) }}{% if exists(key=\"/other/y\") %}{{ getv(key=\"/other/y\") }}{% endif %}",
        ),
    ] {
        let ran = web(template, text, &["/services"], "").run(&["check"]).expect_code(0);
        assert_eq!(ran.stderr.matches("warning: ").count(), 3, "{ran:?}");
    }
}

#[test]
fn a_missing_key_is_named_with_its_prefix_and_the_other_prefix_mode() {
    for (template, text) in [("web.tmpl", "{{getv \"/x\"}}"), ("web.tera", "{{ getv(key=\"/x\") }}")] {
        let sandbox = web(template, text, &["/"], "prefix = \"/app\"");
        let run = |arguments: &[&str]| sandbox.run(&[&["--onetime"], arguments].concat()).expect_code(5).stderr;
        sandbox.set_store("app: {y: one}\n");
        let said = run(&[]);
        assert!(said.contains("key `/x` does not exist (in the store: `/app/x`)"), "{said}");
        assert!(!said.contains("prefix-mode"), "{said}");
        sandbox.set_store("prod: {x: one, app: {y: one}}\n");
        let said = run(&["--prefix", "/prod"]);
        assert!(said.contains("(in the store: `/prod/app/x`)"), "{said}");
        // The resource itself never sees that key: another one, or a store that is read as a whole, may have it.
        sandbox.set_store("prod: {x: one}\n");
        let said = run(&["--prefix", "/prod"]);
        assert!(said.contains("`/prod/x` with --prefix-mode replace"), "{said}");
        sandbox.run(&["--onetime", "--prefix", "/prod", "--prefix-mode", "replace"]).expect_code(0);
        sandbox.set_store("prod: {app: {x: one}}\n");
        let said = run(&["--prefix", "/prod", "--prefix-mode", "replace"]);
        assert!(said.contains("(in the store: `/prod/x`)"), "{said}");
    }
    let sandbox = web("web.tera", "fine\n", &["/"], "prefix = \"/app\"\nrequire = [\"/x\"]");
    let said = sandbox.onetime().stderr;
    assert!(said.contains("required keys are missing: `/x` (in the store: `/app/x`)"), "{said}");
}

#[test]
fn a_fragment_that_nginx_gets_as_a_whole_fails_the_check() {
    let command = "check_cmd = \"nginx -t -c {{.src}}\"\nescape = \"nginx\"";
    for template in ["web.tmpl", "web.tera"] {
        let sandbox = web(template, "upstream web {\n    server 127.0.0.1:1;\n}\n", &["/services"], command);
        let ran = sandbox.run(&["check"]).expect_code(3);
        assert!(ran.stderr.contains("web.toml:5:1: check_cmd: never passes: "), "{ran:?}");
        assert!(ran.stderr.contains("write check_cmd = \"nginx -t\""), "{ran:?}");
        let whole = "events {}\nhttp {\n    server { listen 127.0.0.1:1; }\n}\n";
        fs::write(sandbox.path("etc/templates").join(template), whole).unwrap();
        sandbox.run(&["check"]).expect_code(0);
    }
}

#[test]
fn check_warns_of_programs_that_are_not_there() {
    let sandbox = web(
        "web.tera",
        "fine\n",
        &["/services"],
        "check_cmd = \"env A=b no-such-check {{.src}}\"\nreload_cmd = \"/no/such/reload now\"",
    );
    let ran = sandbox.run(&["check"]).expect_code(0);
    for said in [
        "web.toml:5:1: check_cmd: there is no program `no-such-check` on this machine",
        "web.toml:6:1: reload_cmd: there is no program `/no/such/reload` on this machine",
    ] {
        assert!(ran.stderr.contains(said), "{said}: {ran:?}");
    }
    assert_eq!(ran.stderr.matches("warning: ").count(), 2, "{ran:?}");
}
