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
    let (go, tera) = ("{{getv \"/v/a\"}}", "{{ getv(key=\"/v/a\") }}");
    assert_eq!(render("a.tmpl", "{{range gets \"/v/*\"}}{{.}}{{end}}", ""), "{/v/a one}");
    assert_eq!(render("a.sh", "n=${#a[@]} \"${b%#}\" {{getv \"/v/a\"}}", ""), "n=${#a[@]} \"${b%#}\" one");
    assert_eq!(render("a.conf.tera", tera, ""), "one");
    assert_eq!(render("a.tera", go, "engine = \"go\""), "one");
    assert_eq!(render("b.tmpl", tera, "engine = \"tera\""), "one");

    sandbox.template("whole.conf", tera);
    sandbox.resource("x", &table("whole.conf", sandbox.text_path("out/x")).keys(&["/v"]));
    let refused = sandbox.run(&["render", "x"]).expect_code(3).stderr;
    assert!(refused.contains("whole.conf:1:12: ") && refused.contains("end its name in .tera"), "{refused}");
    assert_eq!(sandbox.run(&["render", "x", "--engine=tera"]).expect_code(0).stdout, "one");
    sandbox.template("whole.tera", go);
    sandbox.resource("x", &table("whole.tera", sandbox.text_path("out/x")).keys(&["/v"]));
    let refused = sandbox.run(&["render", "x"]).expect_code(3).stderr;
    assert!(refused.contains("whole.tera:1:8: ") && refused.contains("engine = \"go\""), "{refused}");
    std::fs::write(sandbox.path("etc/upstreamd.toml"), "engine = \"go\"\n").unwrap();
    assert_eq!(sandbox.run(&["render", "x"]).expect_code(0).stdout, "one");
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
    let nginx = format!("check_cmd = \"/usr/sbin/nginx -t -c {}\"", sandbox.text_path("nginx.conf"));
    for template in ["{{getv \"/v/a\"}}", "{{include \"part.tmpl\"}}"] {
        let said = check(template, &nginx);
        assert!(
            said.contains("warning: ") && said.contains("`a.tmpl`") && said.contains("escape = \"nginx\""),
            "{said}"
        );
    }
    for (template, more) in [
        ("{{getv \"/v/a\"}}", "check_cmd = \"true\""),
        ("{{getv \"/v/a\"}}", &format!("{nginx}\nescape = \"nginx\"")),
        ("{{getenv \"HOME\"}}", &nginx),
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

#[test]
fn hidden_templates_and_leftovers_are_found_if_somebody_names_them() {
    let sandbox = Sandbox::new();
    sandbox.set_store("v: {a: one}\n");
    fs::create_dir(sandbox.path("etc/templates/sub")).unwrap();
    for (name, text) in [
        (".env.tmpl", "A={{getv \"/v/a\"}}"),
        ("x.tmpl~", "{{include \".part.tmpl\"}}"),
        ("sub/.x.tera", "{% include \"sub/.y\" %}"),
        (".part.tmpl", "{{include (printf \"%s/.y\" \"sub\")}}"),
        ("sub/.y", "part"),
        // Nobody names it, so it may be broken.
        (".x.tmpl.swp", "{{"),
    ] {
        sandbox.template(name, text);
    }
    for (src, expected) in [(".env.tmpl", "A=one"), ("x.tmpl~", "part"), ("sub/.x.tera", "part")] {
        sandbox.resource("x", &table(src, sandbox.text_path("out/x")).keys(&["/v"]));
        assert_eq!(sandbox.run(&["render", "x"]).expect_code(0).stdout, expected);
    }
    sandbox.resource(".#x", "broken");
    fs::rename(sandbox.path("etc/conf.d/x.toml"), sandbox.path("etc/conf.d/.x.toml")).unwrap();
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.output("x").as_deref(), Some("part"));
}

#[test]
fn bytes_that_are_not_utf8_are_copied_in_go_and_refused_in_tera() {
    let sandbox = Sandbox::new();
    sandbox.set_store("v: {a: one}\n");
    let write = |name: &str, bytes: &[u8]| fs::write(sandbox.path("etc/templates").join(name), bytes).unwrap();
    write(
        "a.conf",
        b"\xef\xbb\xbf# caf\xe9 {{$x := `\xff`}}{{getv \"/v/a\"}} {{include \"part\"}}{{/* \xfc */}}{{$x}}\r\n",
    );
    write("part", b"{{/* */}}\xc3");
    sandbox.resource("x", &table("a.conf", sandbox.text_path("out/x")).keys(&["/v"]));
    sandbox.onetime().expect_code(0);
    let expected = b"\xef\xbb\xbf# caf\xe9 one \xc3\xff\r\n";
    assert_eq!(fs::read(sandbox.path("out/x")).unwrap(), expected);
    write("a.tera", b"one\n{% include \"part.conf\" %}");
    write("part.conf", b"a\n  \xe9 x");
    sandbox.resource("x", &table("a.tera", sandbox.text_path("out/x")).keys(&["/v"]));
    let refused = sandbox.onetime();
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("part.conf:2:3: not UTF-8"), "{}", refused.stderr);
}

#[test]
fn a_file_of_conf_d_given_as_the_settings_is_passed_over_in_one_line() {
    let sandbox = Sandbox::new();
    sandbox.set_store("v: {a: one}\n");
    sandbox.template("a.tmpl", "{{getv \"/v/a\"}}");
    sandbox.resource("x", &table("a.tmpl", sandbox.text_path("out/x")).keys(&["/v"]));
    let file = sandbox.text_path("etc/conf.d/x.toml");
    let ran = sandbox.run(&["-onetime", "-config-file", &file]).expect_code(0);
    assert_eq!(ran.stderr.lines().filter(|line| line.contains("this is a file for conf.d")).count(), 1, "{ran:?}");
    assert_eq!(sandbox.output("x").as_deref(), Some("one"));
}
