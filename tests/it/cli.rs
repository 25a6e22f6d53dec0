//! Commands that people type: check, render, diff, keys, noop, both confds' spellings, exit codes.

use std::fs;

use crate::support::agent::Sandbox;
use crate::support::template::table;

#[test]
fn check_prints_all_five_mistakes_with_file_line_and_hint() {
    let sandbox = Sandbox::new();
    sandbox.template("good.tera", "fine\n");
    sandbox.template("broken.tera", "first line\n{{ getvv(key=\"/a\") }}\n");
    let lines = |src: &str, dest: &str, more: &str| {
        table(src, sandbox.text_path(&format!("out/{dest}"))).keys(&["/v"]).lines(more)
    };
    sandbox.resource("a", &lines("good.tera", "a", "check_command = \"false\""));
    sandbox.resource("b", &lines("good.tera", "b", "mode = \"999\""));
    sandbox.resource("c", &lines("goood.tera", "c", ""));
    sandbox.resource("d", &lines("broken.tera", "d", ""));
    sandbox.resource("e", &lines("good.tera", "e", "reload_cmd = \"reload {{.destination}}\""));
    sandbox.resource("fine", &lines("good.tera", "fine", ""));
    let ran = sandbox.run(&["check"]).expect_code(3);
    for (place, words) in [
        ("a.toml:5:1", "check_cmd"),
        ("b.toml:5:", "octal"),
        ("c.toml:2:", "good.tera"),
        ("broken.tera:2:4", "getv"),
        ("e.toml:5:", "destination"),
    ] {
        assert!(ran.stderr.contains(place) && ran.stderr.contains(words), "{place} {words}\n{}", ran.stderr);
    }
    assert!(ran.stderr.matches("hint:").count() >= 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("5 problems; 1 resource OK"), "{}", ran.stderr);
}

#[test]
fn check_warns_of_keys_that_look_like_patterns() {
    let sandbox = Sandbox::new();
    sandbox.template("t.tera", "fine\n");
    let dest = sandbox.text_path("out/t");
    sandbox.resource("t", &table("t.tera", &dest).keys(&["/services/web/*", "/plain", "/*"]));
    let ran = sandbox.run(&["check"]).expect_code(0);
    let warning = "t.toml: keys: in `/services/web/*`, `*` and `?` stand for themselves\n  hint: a key covers itself and \
                   all keys below it: `/services/web`\n";
    assert!(ran.stderr.contains(warning) && ran.stderr.matches("warning: ").count() == 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("all keys below it: `/`\n"), "{}", ran.stderr);
}

#[test]
fn check_reports_a_broken_template_of_a_broken_resource() {
    let sandbox = Sandbox::new();
    sandbox.template("broken.tera", "{{ getvv(key=\"/a\") }}\n");
    sandbox.template("other.tera", "\n{{ getvv(key=\"/a\") }}\n");
    sandbox.template("third.tera", "\n\n{{ getvv(key=\"/a\") }}\n");
    sandbox.template("broken.tmpl", "\n\n{{ getvv \"/a\" }}\n");
    sandbox.template("good.tera", "fine\n");
    let resource = |name: &str, lines: &str| {
        sandbox.resource(name, &format!("{lines}\ndest = \"{}\"", sandbox.text_path(&format!("out/{name}"))));
    };
    resource("1", "src = \"broken.tera\"\nkeys = [\"/v\"]\nbogus = 1");
    resource("2", "src = \"broken.tmpl\"\nkeys = \"/v\"");
    resource("3", "src = \"goood.tera\"\nkeys = [\"/v\"]\nmode = \"999\"");
    // Only the syntax of another line is wrong.
    resource("4", "src = \"other.tera\"\nkeys = [\"/v\"]\nmode = 0644");
    // Two that write one file; the template of each is looked at.
    for name in ["5", "6"] {
        let src = if name == "5" { "third.tera" } else { "good.tera" };
        let dest = sandbox.text_path("out/shared");
        sandbox.resource(name, &table(src, &dest).keys(&["/v"]));
    }
    // Nobody knows in what language these are.
    sandbox.template("unclear.tera", "{{ getvv(key=\"/a\") }}\n");
    resource("7", "src = \"unclear.tera\"\nkeys = [\"/v\"]\nengine = \"g\"");
    resource("8", "src = \"unclear.tera\"\nkeys = [\"/v\"]\nengine = go");
    let ran = sandbox.run(&["check"]).expect_code(3);
    for (place, words) in [
        ("1.toml:4:1", "bogus"),
        ("broken.tera:1:4", "getv"),
        ("2.toml:3:", "keys"),
        ("broken.tmpl:3:", "getvv"),
        ("3.toml:2:7", "goood.tera"),
        ("3.toml:4:", "octal"),
        ("4.toml:4:8", "leading zero"),
        ("other.tera:2:4", "getvv"),
        ("6.toml:3:8", "both write"),
        ("third.tera:3:4", "getvv"),
        ("7.toml:4:10", "engine"),
        ("8.toml:4:10", "quoted"),
    ] {
        let is_told = ran.stderr.lines().any(|line| line.contains(place) && line.contains(words));
        assert!(is_told, "{place} {words}\n{}", ran.stderr);
    }
    assert!(ran.stderr.contains("12 problems; 0 resources OK"), "{}", ran.stderr);
}

#[test]
fn check_reports_mistakes_in_the_syntax_beside_all_others() {
    let sandbox = Sandbox::new();
    sandbox.template("a.tera", "{% if x %}\n{{ getvv(key=\"/a\") }}\n");
    sandbox.template("b.tera", "{% include \"part.tera\" %}\n{{ foo( }}\n");
    sandbox.template("part.tera", "{{ bar( }}\n");
    sandbox.template("c.tmpl", "{{ include \"part.tmpl\" }}{{ getvv \"/a\" }}\n{{ nofun }}\n{{ end }}\n");
    sandbox.template("part.tmpl", "{{ y }}\n");
    for (name, src, more) in [("a", "a.tera", "mode = \"999\"\nbogus = 1"), ("b", "b.tera", ""), ("c", "c.tmpl", "")] {
        let dest = sandbox.text_path(&format!("out/{name}"));
        sandbox.resource(name, &table(src, &dest).keys(&["/v"]).lines(more));
    }
    let ran = sandbox.run(&["check"]).expect_code(3);
    for place in [
        "a.toml:5:8",
        "a.toml:6:1",
        "a.tera:1:1",
        "b.tera:2:9",
        "part.tera:1:9",
        "c.tmpl:1:29",
        "c.tmpl:2:4",
        "c.tmpl:3:4",
        "part.tmpl:1:4",
    ] {
        assert!(ran.stderr.lines().any(|line| line.contains(&format!("/{place}: "))), "{place}\n{}", ran.stderr);
    }
    assert!(ran.stderr.contains("9 problems; 0 resources OK"), "{}", ran.stderr);
}

#[test]
fn check_reports_every_unknown_owner_and_group_with_its_place() {
    let sandbox = Sandbox::new();
    sandbox.template("broken.tera", "{{ getvv(key=\"/a\") }}\n");
    let resource = |name: &str, src: &str, more: &str| {
        let dest = sandbox.text_path(&format!("out/{name}"));
        let names = "owner = \"nosuchuser\"\ngroup = \"nosuchgroup\"";
        sandbox.resource(name, &table(src, &dest).keys(&["/v"]).lines(names).lines(more));
    };
    sandbox.plain_resource("fine", "owner = \"root\"\ngroup = \"0\"");
    resource("1", "values.tera", "");
    resource("2", "broken.tera", "");
    resource("3", "values.tera", "bogus = 1");
    resource("4", "gone.tera", "");
    // Numbers win, so the names beside them do not count.
    resource("5", "values.tera", "uid = 0\ngid = 0");
    let ran = sandbox.run(&["check"]).expect_code(3);
    for name in ["1", "2", "3", "4"] {
        for words in [":5:9: unknown user `nosuchuser`", ":6:9: unknown group `nosuchgroup`"] {
            assert!(ran.stderr.contains(&format!("conf.d/{name}.toml{words}\n")), "{name} {words}\n{}", ran.stderr);
        }
    }
    for place in ["broken.tera:1:4: ", "3.toml:7:1: ", "4.toml:2:7: "] {
        assert!(ran.stderr.contains(place), "{place}\n{}", ran.stderr);
    }
    assert!(ran.stderr.contains("11 problems; 2 resources OK"), "{}", ran.stderr);
}

#[test]
fn what_cannot_be_written_is_a_failure_of_diff_and_says_what_was_tried() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "owner = \"nosuchuser\"");
    sandbox.set_store("v: {x: one}\n");
    let dest = sandbox.text_path("out/a");
    let said = format!(
        "cannot set the owner of `{dest}`: unknown user `nosuchuser` (hint: it may exist on a different machine)"
    );
    for (arguments, code) in [(&["diff"][..], 7), (&["--onetime"], 7), (&["--onetime", "--noop"], 7)] {
        let ran = sandbox.run(arguments).expect_code(code);
        assert!(ran.stderr.contains(&said) && !ran.stderr.contains("stage failed"), "{arguments:?}: {ran:?}");
        assert!(!ran.stderr.contains("would change nothing"), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn one_broken_resource_shows_in_the_exit_code_and_stops_no_other() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("good", "");
    sandbox.resource("bad", "nonsense = 1");
    sandbox.set_store("v: {x: one}\n");
    sandbox.onetime().expect_code(3);
    assert_eq!(sandbox.output("good").as_deref(), Some("one\n"));
}

#[test]
fn two_daemons_need_two_state_folders() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.set_store("v: {x: one}\n");
    let _first = sandbox.watch();
    sandbox.wait_output("a", "one\n");
    let second = sandbox.run(&["--watch"]).expect_code(9);
    let said = format!("another upstreamd already uses the state folder `{}`", sandbox.text_path("state"));
    assert!(second.stderr.contains(&said) && second.stderr.contains("--state-dir"), "{second:?}");
    // A second confdir and state folder.
    let other = Sandbox::new();
    other.plain_resource("b", "");
    other.set_store("v: {x: two}\n");
    let _second = other.watch();
    other.wait_output("b", "two\n");
}

#[test]
fn noop_shows_a_diff_and_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", &format!("reload_cmd = \"touch {}\"", sandbox.text_path("reloaded")));
    sandbox.set_store("v: {x: one}\n");
    fs::write(sandbox.path("out/a"), "old\n").unwrap();
    let ran = sandbox.run(&["-onetime", "-noop", "-diff", "--color=always"]).expect_code(0);
    assert!(
        ran.stdout.contains("\u{1b}[31m-old\u{1b}[0m") && ran.stdout.contains("\u{1b}[32m+one\u{1b}[0m"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("will not be modified (a run without --noop would change it)"), "{ran:?}");
    assert!(!ran.stderr.contains("would change nothing"), "{ran:?}");
    // Without --watch it ends by itself, whatever the interval.
    assert!(sandbox.run(&["--noop", "--interval", "1"]).expect_code(0).stderr.contains("Noop mode enabled"));
    let silent = sandbox.run(&["--onetime", "--noop"]).expect_code(0);
    assert_eq!(silent.stdout, "", "a difference is shown where it is asked for, as in confd");
    assert!(silent.stderr.contains("Noop mode enabled"), "{silent:?}");
    assert_eq!(sandbox.output("a").as_deref(), Some("old\n"));
    assert!(!sandbox.path("reloaded").exists());
    let entries = fs::read_dir(sandbox.path("out")).unwrap().count();
    assert_eq!(entries, 1, "nothing was staged");
}

#[test]
fn render_diff_and_keys_read_and_change_nothing() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "mode = \"0600\"");
    sandbox.set_store("v: {x: one, y: secret}\nother: {z: 1}\n");
    assert_eq!(sandbox.run(&["render", "a"]).expect_code(0).stdout, "one\nsecret\n");
    let diff = sandbox.run(&["diff"]).expect_code(1);
    assert!(diff.stdout.contains("+one") && !diff.stderr.contains("Noop"), "{diff:?}");
    let keys = sandbox.run(&["keys", "a.toml"]).expect_code(0);
    assert!(keys.stdout.contains("/v/x (3 bytes)") && keys.stdout.contains("/v/y (6 bytes)"), "{keys:?}");
    assert!(!keys.stdout.contains("secret") && !keys.stdout.contains("/other"), "{keys:?}");
    assert_eq!(sandbox.output("a"), None);
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.run(&["diff"]).expect_code(0).stdout, "");
    let ran = sandbox.run(&["--onetime", "--noop"]).expect_code(0);
    assert!(ran.stderr.contains("A run without --noop would change nothing"), "{ran:?}");
    let ran = sandbox.run(&["render", "nothing"]).expect_code(3);
    assert!(ran.stderr.contains("there is no resource `nothing`\n  hint: there is a.toml\n"), "{ran:?}");
    sandbox.set_store("v: {x: o}\n");
    let keys = sandbox.run(&["keys", "a.toml"]).expect_code(0);
    assert!(keys.stdout.contains("/v/x (1 byte)"), "{keys:?}");
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let check = |lines: &str, template: &str, expected: i32| {
        let sandbox = Sandbox::new();
        sandbox.plain_resource("a", lines);
        sandbox.template("values.tera", template);
        sandbox.set_store("v: {x: one}\n");
        let ran = sandbox.onetime();
        assert_eq!(ran.code, Some(expected), "{lines} {ran:?}");
        sandbox
    };
    check("", "ok", 0);
    check("", "{{ getv(key=\"/v/missing\") }}", 5);
    check("check_cmd = \"exit 77 # {{.src}}\"", "ok", 6);
    let refused = check("output_format = \"json\"", "{ not json", 6);
    for command in [&["diff"][..], &["render", "a"], &["--onetime", "--noop"]] {
        refused.run(command).expect_code(6);
    }
    check("owner = \"no-such-user\"", "ok", 7);
    check("reload_cmd = \"exit 3\"", "ok", 8);
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["--no-such-flag"]).code, Some(2));
    assert_eq!(sandbox.run(&["--interval", "0"]).code, Some(2));
    let mut foreign = Sandbox::new();
    foreign.store = ["--backend", "consul"].map(str::to_owned).to_vec();
    assert_eq!(foreign.onetime().code, Some(2));
}

#[test]
fn a_command_that_dies_of_its_own_status_never_becomes_ours() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "check_cmd = \"exit 2 # {{.src}}\"");
    sandbox.set_store("v: {x: one}\n");
    sandbox.onetime().expect_code(6);
}

#[test]
fn both_confds_spellings_run() {
    for arguments in
        [&["-onetime", "-sync-only"][..], &["--onetime=true", "--sync-only"], &["-onetime", "-log-level", "debug"]]
    {
        let sandbox = Sandbox::new();
        sandbox.plain_resource("a", "");
        sandbox.set_store("v: {x: one}\n");
        sandbox.run(arguments).expect_code(0);
        assert_eq!(sandbox.output("a").as_deref(), Some("one\n"), "{arguments:?}");
    }
}

#[test]
fn sync_only_runs_no_command() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "check_cmd = \"false\"\nreload_cmd = \"false\"");
    sandbox.set_store("v: {x: one}\n");
    sandbox.run(&["--onetime", "--sync-only"]).expect_code(0);
    assert_eq!(sandbox.output("a").as_deref(), Some("one\n"));
}

#[test]
fn prefix_and_environment_store_work_together() {
    let mut sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.store = ["--backend", "env", "--prefix", "/prod"].map(str::to_owned).to_vec();
    sandbox.environment = vec![("PROD_V_X".into(), "from env".into()), ("V_X".into(), "wrong".into())];
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.output("a").as_deref(), Some("from env\n"));
}

#[test]
fn a_missing_key_of_the_environment_names_the_variable() {
    let mut sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.store = ["--backend", "env", "--prefix", "/prod"].map(str::to_owned).to_vec();
    for (key, words) in [
        ("/v/host-name", "key `/v/host-name` does not exist (in the environment: PROD_V_HOST-NAME)"),
        ("/v/a_b", "(no variable has the key /prod/v/a_b: `_` in its name is `/`, and letters are lower case)"),
    ] {
        sandbox.template("values.tera", &format!("{{{{ getv(key=\"{key}\") }}}}"));
        let ran = sandbox.onetime().expect_code(5);
        assert!(ran.stderr.contains(words), "{ran:?}");
    }
    // A variable that is set and empty is a key with an empty value.
    sandbox.environment = vec![("PROD_V_X".into(), String::new())];
    sandbox.template("values.tera", "[{{ getv(key=\"/v/x\") }}]");
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.output("a").as_deref(), Some("[]"));
}

#[test]
fn completions_and_the_man_page_come_from_the_same_definition() {
    let sandbox = Sandbox::new();
    for arguments in [&["completions", "bash"][..], &["man"], &["--help"]] {
        let ran = sandbox.run(arguments).expect_code(0);
        let plain = ran.stdout.replace('\\', "");
        assert!(plain.contains("check-cmd-timeout"), "{arguments:?}");
    }
    assert!(sandbox.run(&["--version"]).expect_code(0).stdout.starts_with("upstreamd 0."));
}

#[test]
fn one_resource_is_chosen_by_name_and_an_unknown_one_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.plain_resource("b", "");
    sandbox.set_store("v: {x: one}\n");
    sandbox.run(&["--onetime", "--resource", "b"]).expect_code(0);
    assert_eq!((sandbox.output("a"), sandbox.output("b").as_deref()), (None, Some("one\n")));
    let ran = sandbox.run(&["--onetime", "--resource", "typo"]).expect_code(3);
    assert!(ran.stderr.contains("typo") && ran.stderr.contains("a.toml b.toml"), "{ran:?}");
}

#[test]
fn two_resources_that_reach_one_file_through_a_link_are_reported() {
    let sandbox = Sandbox::new();
    std::os::unix::fs::symlink("out", sandbox.path("out2")).unwrap();
    sandbox.plain_resource("a", "");
    let toml = fs::read_to_string(sandbox.path("etc/conf.d/a.toml")).unwrap();
    fs::write(sandbox.path("etc/conf.d/b.toml"), toml.replace("/out/a", "/out2/a")).unwrap();
    let ran = sandbox.run(&["check"]).expect_code(3);
    assert!(ran.stderr.contains("both write"), "{ran:?}");
}

#[test]
fn check_knows_owners_and_keys_shows_no_control_character() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "owner = \"no-such-user\"");
    let ran = sandbox.run(&["check"]).expect_code(3);
    assert!(ran.stderr.contains("no-such-user") && ran.stderr.contains("a.toml"), "{ran:?}");
    sandbox.plain_resource("a", "");
    sandbox.set_store("v: {\"x\\e[31m\\ny\": one}\n");
    let ran = sandbox.run(&["keys"]).expect_code(0);
    assert!(ran.stdout.contains("/v/x\\u{1b}[31m\\ny (3 bytes)"), "{ran:?}");
}

#[test]
fn a_round_that_finds_everything_in_order_says_so() {
    let sandbox = Sandbox::new();
    sandbox.set_store("v:\n  x: right\n");
    sandbox.plain_resource("app", "");
    sandbox.plain_resource("site", "");
    let text = "all 2 resources are up to date (revision ";
    assert!(!sandbox.onetime().expect_code(0).stderr.contains(text));
    let ran = sandbox.onetime().expect_code(0);
    assert!(ran.stderr.contains(text), "{}", ran.stderr);
}

#[test]
fn what_changes_nothing_makes_no_state_folder() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.set_store("v: {x: one}\n");
    sandbox.run(&["--noop"]).expect_code(0);
    sandbox.run(&["diff"]).expect_code(1);
    sandbox.run(&["render", "a"]).expect_code(0);
    assert!(!sandbox.path("state").exists());
}

#[test]
fn diff_reports_a_reload_that_is_owed() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "reload_cmd = \"exit 3\"");
    sandbox.plain_resource("b", "");
    sandbox.set_store("v: {x: one}\n");
    sandbox.onetime().expect_code(8);
    let diff = sandbox.run(&["diff"]).expect_code(1);
    assert_eq!(diff.stdout, "a reload is owed for a.toml: the files are in place\n");
    sandbox.run(&["diff", "b"]).expect_code(0);
}

#[test]
fn a_signal_of_the_first_moment_ends_it_cleanly() {
    for (arguments, code) in [(vec!["--watch"], 0), (vec!["--onetime"], 143)] {
        let mut sandbox = Sandbox::new();
        sandbox.plain_resource("a", "");
        // It waits for the program: the program lets it through.
        let script = "import os, signal, sys\nsignal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n\
                      os.kill(os.getpid(), signal.SIGTERM)\nos.execvp(sys.argv[1], sys.argv[1:])";
        sandbox.wrapper = ["python3", "-c", script].map(str::to_owned).to_vec();
        sandbox.run(&arguments).expect_code(code);
    }
}
