//! Go templates by way of the real binary: the shipped confdir, the engine by name and by suffix, the warning of `check`.

use std::fs;
use std::path::PathBuf;

use crate::support::agent::Sandbox;
use crate::support::package_root;
use crate::support::template::table;

fn example(name: &str) -> PathBuf {
    package_root().join("examples/confd").join(name)
}

#[test]
fn the_confdir_of_a_confd_user_renders_what_confd_wrote() {
    let sandbox = Sandbox::new();
    for file in ["conf.d/app.toml", "templates/app.conf.tmpl"] {
        fs::copy(example(file), sandbox.path("etc").join(file)).unwrap();
    }
    sandbox.set_store(&fs::read_to_string(example("store.yaml")).unwrap());
    let rendered = sandbox.run(&["render", "app"]).expect_code(0).stdout;
    assert_eq!(rendered, fs::read_to_string(example("app.conf")).unwrap());
}

#[test]
fn the_engine_is_known_by_suffix_and_by_name() {
    let sandbox = Sandbox::new();
    sandbox.set_store("v: {a: one}\n");
    let render = |template: &str, text: &str, more: &str| {
        sandbox.template(template, text);
        let dest = sandbox.text_path("out/x");
        sandbox.resource("x", &table(template, &dest).keys(&["/v"]).lines(more));
        sandbox.run(&["render", "x"]).expect_code(0).stdout
    };
    assert_eq!(render("a.tmpl", "{{range gets \"/v/*\"}}{{.}}{{end}}", ""), "{/v/a one}");
    assert_eq!(render("a.conf", "{{getv \"/v/a\"}}", "engine = \"go\""), "one");
    assert_eq!(render("b.tmpl", "{{ getv(key=\"/v/a\") }}", "engine = \"tera\""), "one");
}

#[test]
fn check_warns_of_values_that_go_into_an_nginx_file_as_they_are() {
    let sandbox = Sandbox::new();
    let dest = sandbox.text_path("out/x");
    let check = |template: &str, more: &str| {
        sandbox.template("a.tmpl", template);
        sandbox.template("part.tmpl", "{{getv \"/v/a\"}}");
        sandbox.resource("x", &table("a.tmpl", &dest).keys(&["/v"]).lines(more));
        sandbox.run(&["check"]).expect_code(0).stderr
    };
    let nginx = "check_cmd = \"/usr/sbin/nginx -t\"";
    for template in ["{{getv \"/v/a\"}}", "{{include \"part.tmpl\"}}"] {
        let said = check(template, nginx);
        assert!(
            said.contains("warning: ") && said.contains("`a.tmpl`") && said.contains("escape = \"nginx\""),
            "{said}"
        );
    }
    for (template, more) in [
        ("{{getv \"/v/a\"}}", "check_cmd = \"true\""),
        ("{{getv \"/v/a\"}}", "check_cmd = \"nginx -t\"\nescape = \"nginx\""),
        ("{{getenv \"HOME\"}}", nginx),
    ] {
        assert_eq!(check(template, more), "");
    }
}

#[test]
fn a_value_that_may_not_be_printed_keeps_the_live_file_and_is_not_logged() {
    let sandbox = Sandbox::new();
    sandbox.set_store("v: {a: one}\n");
    sandbox.template("a.tmpl", "name {{getv \"/v/a\"}};\n");
    let dest = sandbox.text_path("out/x");
    sandbox.resource("x", &table("a.tmpl", &dest).keys(&["/v"]).set("escape", "nginx"));
    sandbox.onetime().expect_code(0);
    sandbox.set_store("v: {a: 'HUNTER2; }'}\n");
    let ran = sandbox.onetime();
    assert_ne!(ran.code, Some(0));
    assert_eq!(sandbox.output("x").as_deref(), Some("name one;\n"));
    assert!(ran.stderr.contains("/v/a") && !ran.stderr.contains("HUNTER2"), "{ran:?}");
}
