//! `for_each` with the real agent: a file for each name in both engines, removal as part of the transaction (checked, rolled
//! back, undone after a kill), files that are never removed, and nginx with its sites.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use crate::support::agent::{DEADLINE, Sandbox, without_mounting};
use crate::support::nginx::{Nginx, http_get};
use crate::support::template::table;
use crate::support::{free_port, wait_until};

/// A sandbox with the resource `sites`: a file `out/NAME.conf` for each name below /sites, with its port.
fn sites(more_lines: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.template("site.tera", "{{ item }}={{ getv(key=\"/sites/\" ~ item ~ \"/port\") }}\n");
    let dest = sandbox.text_path("out/{{ item }}.conf");
    sandbox.resource("sites", &table("site.tera", &dest).set("for_each", "/sites/*").lines(more_lines));
    sandbox
}

fn store(names: &[&str]) -> String {
    let sites: Vec<String> = names.iter().map(|name| format!("{name}: {{port: '80'}}")).collect();
    format!("sites: {{{}}}\nother: x\n", sites.join(", "))
}

/// Everything in `out`, dot files too.
fn files(sandbox: &Sandbox) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(sandbox.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn each_name_has_a_file_as_long_as_it_has_keys() {
    let sandbox = sites("");
    fs::write(sandbox.path("out/by-hand.conf"), "not ours").unwrap();
    sandbox.set_store(&store(&["a", "b"]));
    let _agent = sandbox.watch();
    sandbox.wait_output("a.conf", "a=80\n");
    sandbox.wait_output("b.conf", "b=80\n");
    sandbox.set_store(&store(&["b", "c"]));
    wait_until("the change of names", DEADLINE, || files(&sandbox) == ["b.conf", "by-hand.conf", "c.conf"]);
    sandbox.wait_log("removed /");
    sandbox.set_store(&store(&["a", "b", "c"]).replace("b: {port: '80'}", "b: {port: '81'}"));
    sandbox.wait_output("b.conf", "b=81\n");
    sandbox.wait_output("a.conf", "a=80\n");
}

#[test]
fn go_templates_have_the_name_too() {
    let sandbox = Sandbox::new();
    sandbox.template("site.tmpl", "{{ .item }} {{ range gets \"/sites/*/port\" }}{{ item }}/{{ $.item }}{{ end }}\n");
    let dest = sandbox.text_path("out/{{.item}}.conf");
    let lines = table("site.tmpl", &dest).keys(&["/sites"]).set("for_each", "/sites");
    sandbox.resource("sites", &lines);
    sandbox.set_store(&store(&["a", "b"]));
    sandbox.onetime().expect_code(0);
    assert_eq!(files(&sandbox), ["a.conf", "b.conf"]);
    assert_eq!(sandbox.output("a.conf").as_deref(), Some("a a/aa/a\n"));
    // Elsewhere there is no name, and nothing is printed in its stead.
    sandbox.template("plain.tmpl", "{{ item }}");
    sandbox.resource("plain", &table("plain.tmpl", sandbox.text_path("out/plain")));
    let ran = sandbox.onetime().expect_code(5);
    assert!(ran.stderr.contains("only a resource with for_each has one"), "{ran:?}");
}

#[test]
fn a_restart_remembers_our_files_even_if_commands_changed() {
    let sandbox = sites("");
    sandbox.set_store(&store(&["a", "b", "c"]));
    sandbox.onetime().expect_code(0);
    sandbox.set_store(&store(&["b", "c"]));
    sandbox.onetime().expect_code(0);
    assert_eq!(files(&sandbox), ["b.conf", "c.conf"]);
    let dest = sandbox.text_path("out/{{ item }}.conf");
    let lines = table("site.tera", &dest).set("for_each", "/sites/*").set("reload_cmd", "true");
    sandbox.resource("sites", &lines);
    sandbox.set_store(&store(&["c"]));
    sandbox.onetime().expect_code(0);
    assert_eq!(files(&sandbox), ["c.conf"]);
}

#[test]
fn a_file_that_others_have_a_hand_in_stays() {
    let sandbox = sites("");
    sandbox.set_store(&store(&["a", "b", "c", "d"]));
    sandbox.onetime().expect_code(0);
    fs::write(sandbox.path("out/a.conf"), "changed by hand").unwrap();
    fs::remove_file(sandbox.path("out/b.conf")).unwrap();
    symlink(sandbox.path("store.yaml"), sandbox.path("out/b.conf")).unwrap();
    fs::remove_file(sandbox.path("out/c.conf")).unwrap();
    sandbox.set_store(&store(&["d"]));
    let ran = sandbox.onetime().expect_code(0);
    assert!(ran.stderr.contains("a.conf` stays") && ran.stderr.contains("somebody else has changed it"), "{ran:?}");
    assert!(ran.stderr.contains("b.conf` stays") && ran.stderr.contains("no longer the regular file"), "{ran:?}");
    assert_eq!(files(&sandbox), ["a.conf", "b.conf", "d.conf"]);
    assert!(sandbox.path("store.yaml").exists());
    let ran = sandbox.onetime().expect_code(0);
    assert!(!ran.stderr.contains("stays"), "said once: {ran:?}");
}

#[test]
fn names_that_leave_the_folder_or_take_a_foreign_file_are_refused() {
    let sandbox = sites("");
    let taken = sandbox.text_path("out/taken.conf");
    sandbox.plain_resource("v", "");
    fs::write(
        sandbox.path("etc/conf.d/v.toml"),
        fs::read_to_string(sandbox.path("etc/conf.d/v.toml")).unwrap().replace("/out/v", "/out/taken.conf"),
    )
    .unwrap();
    sandbox.set_store("sites: {good: {port: '1'}, taken: {port: '2'}, .hidden: {port: '3'}, \"n\\nl\": {port: '4'}}\n");
    let ran = sandbox.onetime().expect_code(7);
    for said in ["v.toml", "hidden one", "control character"] {
        assert!(ran.stderr.contains(said), "{said}: {ran:?}");
    }
    assert_eq!(files(&sandbox), ["good.conf", "taken.conf"]);
    assert_eq!(fs::read_to_string(taken).unwrap(), "");
}

#[test]
fn without_any_name_the_files_stay_unless_the_resource_says_otherwise() {
    for (lines, left, said) in [
        ("", vec!["a.conf", "b.conf"], "on_empty = \"keep\""),
        ("on_empty = \"apply\"", vec![], "removed /"),
        ("on_empty = \"apply\"\nmax_drop_percent = 60", vec!["a.conf", "b.conf"], "max_drop_hold"),
    ] {
        let sandbox = sites(lines);
        sandbox.set_store(&store(&["a", "b"]));
        sandbox.onetime().expect_code(0);
        sandbox.set_store("other: x\n");
        let ran = sandbox.onetime().expect_code(0);
        assert!(ran.stderr.contains(said), "{lines}: {ran:?}");
        assert_eq!(files(&sandbox), left, "{lines}");
    }
}

#[test]
fn a_check_sees_the_tree_without_the_file_that_is_to_go() {
    for with_namespace in [true, false] {
        // Refused: the tree without a.conf. The live tree is noted at each check from outside of any namespace.
        let mut sandbox = sites("");
        if !with_namespace {
            sandbox.wrapper = without_mounting();
        }
        let out = sandbox.text_path("out");
        let dest = sandbox.text_path("out/{{ item }}.conf");
        let lines = |check: &str| {
            table("site.tera", &dest)
                .set("for_each", "/sites/*")
                .set("check_cmd", check)
                .set("reload_cmd", format!("echo reload >> {}", sandbox.text_path("reloads")))
        };
        sandbox.resource("sites", &lines("true"));
        sandbox.set_store(&store(&["a", "b", "c"]));
        sandbox.onetime().expect_code(0);
        let inode = fs::metadata(sandbox.path("out/a.conf")).unwrap().ino();
        sandbox.resource("sites", &lines(&format!("test -e {out}/a.conf || {{ echo a is needed; exit 1; }}")));
        sandbox.set_store(&store(&["b"]).replace("80", "82"));
        let ran = sandbox.onetime().expect_code(6);
        assert!(ran.stderr.contains("a is needed"), "{ran:?}");
        assert_eq!(fs::metadata(sandbox.path("out/a.conf")).unwrap().ino(), inode, "the very same file");
        assert_eq!(sandbox.output("b.conf").as_deref(), Some("b=82\n"), "the others go live ({with_namespace})");
        // And the other way round: only the tree without it passes.
        sandbox.resource("sites", &lines(&format!("! test -e {out}/a.conf && ! test -e {out}/c.conf")));
        sandbox.onetime().expect_code(0);
        assert_eq!(files(&sandbox), ["b.conf"], "with a namespace: {with_namespace}");
    }
}

#[test]
fn a_failed_reload_brings_the_file_back() {
    let sandbox = sites("");
    let (dest, reloads) = (sandbox.text_path("out/{{ item }}.conf"), sandbox.text_path("reloads"));
    let reload = format!("echo r >> {reloads}; test -e {}", sandbox.text_path("out/a.conf"));
    let lines = table("site.tera", &dest)
        .set("for_each", "/sites/*")
        .set("on_reload_failure", "rollback")
        .set("reload_cmd", &reload);
    sandbox.resource("sites", &lines);
    sandbox.set_store(&store(&["a", "b"]));
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.lines("reloads").len(), 1, "one reload for all files");
    let inode = fs::metadata(sandbox.path("out/a.conf")).unwrap().ino();
    sandbox.set_store(&store(&["b", "c"]));
    let ran = sandbox.onetime().expect_code(8);
    assert!(ran.stderr.contains("the previous files are back"), "{ran:?}");
    assert_eq!(files(&sandbox), ["a.conf", "b.conf"]);
    assert_eq!(fs::metadata(sandbox.path("out/a.conf")).unwrap().ino(), inode);
}

#[test]
fn render_diff_and_noop_show_every_name_and_what_would_go() {
    let sandbox = sites("");
    sandbox.set_store(&store(&["a", "b"]));
    let all = sandbox.run(&["render", "sites"]).expect_code(0).stdout;
    let header = |name: &str| format!("==> {} <==\n", sandbox.text_path(&format!("out/{name}.conf")));
    assert_eq!(all, format!("{}a=80\n{}b=80\n", header("a"), header("b")));
    assert_eq!(sandbox.run(&["render", "sites[b]"]).expect_code(0).stdout, "b=80\n");
    sandbox.run(&["render", "sites[x]"]).expect_code(5);
    sandbox.onetime().expect_code(0);
    sandbox.run(&["diff"]).expect_code(0);
    sandbox.set_store(&store(&["b", "c"]));
    for ran in [sandbox.run(&["diff"]).expect_code(1), sandbox.run(&["--onetime", "--noop", "--diff"]).expect_code(0)] {
        assert!(ran.stdout.contains("+++ /dev/null\n@@ -1 +0,0 @@\n-a=80") && ran.stdout.contains("+c=80"), "{ran:?}");
    }
    assert_eq!(files(&sandbox), ["a.conf", "b.conf"]);
}

#[test]
fn sites_of_nginx_come_and_go_with_their_keys() {
    let mut nginx = Nginx::builder().build();
    let sandbox = Sandbox::new();
    sandbox.template(
        "site.tera",
        "upstream {{ item }} {\n    zone {{ item }} 64k;\n{%- for b in backends(prefix=\"/sites/\" ~ item) %}\n    server {{ b.address }};\n{%- endfor %}\n}\n",
    );
    let dest = nginx.http_file("{{ item }}.conf").display().to_string();
    sandbox.resource(
        "sites",
        &table("site.tera", &dest).set("for_each", "/sites/*/").driving(&nginx).set("min_reload_interval", "0s"),
    );
    let site = |names: &[&str]| {
        let sites: Vec<String> = names.iter().map(|name| format!("{name}: {{b1: '127.0.0.1:81'}}")).collect();
        format!("sites: {{{}}}\n", sites.join(", "))
    };
    sandbox.set_store(&site(&["a", "b"]));
    sandbox.onetime().expect_code(0);
    nginx.start();
    let _agent = sandbox.watch();
    sandbox.set_store(&site(&["b", "c"]));
    let exists = |name: &str| nginx.http_file(&format!("{name}.conf")).exists();
    wait_until("the sites", DEADLINE, || !exists("a") && exists("b") && exists("c"));
    sandbox.wait_log("verified the reload of nginx");
    assert!(nginx.command(&["-t"]).status.success());
    // A site that others still need cannot go: nginx would not load.
    fs::write(nginx.http_file("z-uses-b.conf"), "server { listen 127.0.0.1:1; location / { proxy_pass http://b; } }\n")
        .unwrap();
    sandbox.set_store(&site(&["c", "d"]));
    sandbox.wait_log("without `");
    wait_until("the new site", DEADLINE, || exists("d"));
    assert!(exists("b") && nginx.command(&["-t"]).status.success());
    fs::remove_file(nginx.http_file("z-uses-b.conf")).unwrap();
    wait_until("the site to go after all", DEADLINE, || !exists("b"));
}

#[test]
fn a_kill_in_the_middle_of_a_removal_is_undone_at_the_next_start() {
    let sandbox = sites("");
    let dest = sandbox.text_path("out/{{ item }}.conf");
    let (reloads, hang) = (sandbox.text_path("reloads"), sandbox.text_path("hang"));
    // The reload hangs as long as a file says so: that is where the agent is killed.
    let reload = format!("echo r >> {reloads}; while test -e {hang}; do sleep 0.05; done");
    let lines = table("site.tera", &dest).set("for_each", "/sites/*").set("reload_cmd", &reload);
    sandbox.resource("sites", &lines);
    sandbox.set_store(&store(&["a", "b"]));
    sandbox.onetime().expect_code(0);
    let inode = fs::metadata(sandbox.path("out/a.conf")).unwrap().ino();
    fs::write(&hang, "").unwrap();
    sandbox.set_store(&store(&["b", "c"]));
    let mut agent = sandbox.watch();
    wait_until("the reload that hangs", DEADLINE, || sandbox.lines("reloads").len() == 2);
    assert!(!sandbox.path("out/a.conf").exists() && sandbox.path("out/c.conf").exists());
    agent.kill();
    fs::remove_file(&hang).unwrap();
    // With the store as it was before, the very same file is back and has not been written again.
    sandbox.set_store(&store(&["a", "b"]));
    let ran = sandbox.onetime().expect_code(0);
    assert!(ran.stderr.contains("undid an interrupted transaction: its previous files are back"), "{ran:?}");
    assert_eq!(files(&sandbox), ["a.conf", "b.conf"]);
    assert_eq!(fs::metadata(sandbox.path("out/a.conf")).unwrap().ino(), inode);
    assert_eq!(sandbox.lines("reloads").len(), 3, "what runs may have read the other files: it is reloaded");
    sandbox.set_store(&store(&["b", "c"]));
    sandbox.onetime().expect_code(0);
    assert_eq!(files(&sandbox), ["b.conf", "c.conf"]);
}

#[test]
fn only_the_files_that_a_change_concerns_are_rendered() {
    let sandbox = Sandbox::new();
    let template =
        "{{ item }} {{ getv(key=\"/sites/\" ~ item ~ \"/port\") }} {{ getv(key=\"/common\", default=\"-\") }}\n";
    sandbox.template("site.tera", template);
    let dest = sandbox.text_path("out/{{ item }}.conf");
    let lines = table("site.tera", &dest).set("for_each", "/sites/*").keys(&["/"]);
    sandbox.resource("sites", &lines);
    let ports = |ports: &[(&str, &str)], more: &str| {
        let sites: Vec<String> = ports.iter().map(|(name, port)| format!("{name}: {{port: '{port}'}}")).collect();
        sandbox.set_store(&format!("sites: {{{}}}\n{more}", sites.join(", ")));
    };
    ports(&[("a", "1"), ("b", "2"), ("c", "3")], "");
    let port = free_port();
    let _agent = sandbox.start(&["--watch", "--metrics-addr", &format!("127.0.0.1:{port}")]);
    sandbox.wait_output("c.conf", "c 3 -\n");
    let renders = || {
        let page = http_get(port, "localhost", "/metrics").ok()?.body;
        page.lines().find_map(|line| line.strip_prefix("upstreamd_renders_total ")?.parse::<u64>().ok())
    };
    wait_until("three renders", DEADLINE, || renders() == Some(3));
    ports(&[("a", "1"), ("b", "9"), ("c", "3")], "");
    sandbox.wait_output("b.conf", "b 9 -\n");
    wait_until("one key of one name", DEADLINE, || renders() == Some(4));
    ports(&[("a", "1"), ("b", "9"), ("c", "3"), ("d", "4")], "");
    sandbox.wait_output("d.conf", "d 4 -\n");
    wait_until("a new name", DEADLINE, || renders() == Some(5));
    ports(&[("a", "1"), ("b", "9"), ("c", "3"), ("d", "4")], "common: x\n");
    sandbox.wait_output("a.conf", "a 1 x\n");
    sandbox.wait_output("d.conf", "d 4 x\n");
    wait_until("a key that was not there, and that all have asked for", DEADLINE, || renders() == Some(9));
    ports(&[("a", "1"), ("b", "9"), ("d", "5")], "common: x\n");
    sandbox.wait_output("d.conf", "d 5 x\n");
    wait_until("the file of a name that is gone to go", DEADLINE, || sandbox.output("c.conf").is_none());
    wait_until("a name that is gone, and one key", DEADLINE, || renders() == Some(10));
}

#[test]
fn a_change_that_did_not_go_live_is_not_forgotten_by_an_unrelated_one() {
    let sandbox = sites("");
    let closed = sandbox.path("closed");
    let check = format!("check_cmd = \"! grep -q a=2 {{{{.src}}}} || ! test -e {}\"", closed.display());
    let dest = sandbox.text_path("out/{{ item }}.conf");
    sandbox.resource("sites", &table("site.tera", &dest).set("for_each", "/sites/*").lines(&check));
    let set = |a: &str, b: &str| sandbox.set_store(&format!("sites: {{a: {{port: '{a}'}}, b: {{port: '{b}'}}}}\n"));
    set("1", "2");
    let _agent = sandbox.watch();
    sandbox.wait_output("b.conf", "b=2\n");
    fs::write(&closed, "").unwrap();
    set("2", "2");
    sandbox.wait_log("check failed");
    fs::remove_file(&closed).unwrap();
    set("2", "3");
    sandbox.wait_output("b.conf", "b=3\n");
    sandbox.wait_output("a.conf", "a=2\n");
}

#[test]
fn a_name_that_comes_back_unchanged_has_its_file_again() {
    let sandbox = Sandbox::new();
    sandbox.template("site.tera", "{{ item }}={{ getv(key=\"/sites/\" ~ item ~ \"/port\") }}\n");
    let dest = sandbox.text_path("out/{{ item }}.conf");
    let lines = table("site.tera", &dest).set("for_each", "/sites/*/enabled");
    sandbox.resource("sites", &lines.keys(&["/sites"]));
    let set = |a: &str, b: &str| {
        sandbox.set_store(&format!("sites: {{a: {{port: '1'{a}}}, b: {{port: '2'{b}}}}}\n"));
    };
    let (on, off) = (", enabled: 'yes'", "");
    set(on, on);
    let _agent = sandbox.watch();
    wait_until("both files", DEADLINE, || files(&sandbox) == ["a.conf", "b.conf"]);
    set(off, on);
    wait_until("the first to go", DEADLINE, || files(&sandbox) == ["b.conf"]);
    // Without any name every file stays.
    set(off, off);
    sandbox.wait_log("the last good file stays");
    set(on, off);
    wait_until("the other to go", DEADLINE, || files(&sandbox) == ["a.conf"]);
    set(on, on);
    wait_until("both files again", DEADLINE, || files(&sandbox) == ["a.conf", "b.conf"]);
}

#[test]
fn a_file_that_moves_to_a_different_resource_stays() {
    let sandbox = Sandbox::new();
    for (kind, name) in [("plain", "{{ item }}"), ("tls", "tls-{{ item }}")] {
        let dest = sandbox.text_path(&format!("out/{name}.conf"));
        sandbox.template(&format!("{kind}.tera"), &format!("{kind} {{{{ item }}}}\n"));
        let for_each = format!("for_each = \"/sites/*/{kind}\"\nkeys = [\"/sites\"]\ncheck_cmd = \"true\"");
        sandbox.resource(kind, &table(format!("{kind}.tera"), &dest).lines(&for_each));
    }
    sandbox.set_store("sites: {tls-x: {plain: '1'}, y: {plain: '1'}, z: {tls: '1'}}\n");
    let _agent = sandbox.watch();
    sandbox.wait_output("tls-x.conf", "plain tls-x\n");
    sandbox.wait_output("tls-z.conf", "tls z\n");
    sandbox.set_store("sites: {x: {tls: '1'}, y: {plain: '1'}, z: {tls: '1'}}\n");
    sandbox.wait_output("tls-x.conf", "tls x\n");
    sandbox.set_store("sites: {x: {tls: '1'}, y: {plain: '1'}, z: {tls: '1'}, w: {plain: '1'}}\n");
    sandbox.wait_output("w.conf", "plain w\n");
    assert_eq!(files(&sandbox), ["tls-x.conf", "tls-z.conf", "w.conf", "y.conf"]);
    assert_eq!(sandbox.output("tls-x.conf").as_deref(), Some("tls x\n"));
}

#[test]
fn a_file_that_has_moved_is_not_removed_by_who_had_it() {
    let sandbox = Sandbox::new();
    for (kind, name, more) in [("plain", "{{ item }}", ""), ("tls", "tls-{{ item }}", "require = [\"/certificate\"]")] {
        let dest = sandbox.text_path(&format!("out/{name}.conf"));
        sandbox.template(&format!("{kind}.tera"), &format!("{kind} {{{{ item }}}}\n"));
        let for_each = format!("for_each = \"/sites/*/{kind}\"\nkeys = [\"/\"]\ncheck_cmd = \"true\"\n{more}");
        sandbox.resource(kind, &table(format!("{kind}.tera"), &dest).lines(&for_each));
    }
    let (before, after) = ("tls-x: {plain: '1'}", "x: {tls: '1'}");
    for (site, key, code) in [(before, "certificate", 0), (after, "certificate", 0), (after, "none", 5)] {
        sandbox.set_store(&format!("sites: {{{site}, w: {{plain: '1'}}}}\n{key}: y\n"));
        sandbox.onetime().expect_code(code);
    }
    assert_eq!(files(&sandbox), ["tls-x.conf", "w.conf"]);
    assert_eq!(sandbox.output("tls-x.conf").as_deref(), Some("tls x\n"));
}

#[test]
fn a_reload_of_no_file_is_not_owed_once_nginx_runs() {
    let mut nginx = Nginx::started();
    let sandbox = sites("");
    let dest = nginx.http_file("{{ item }}.conf").display().to_string();
    let reload = format!("echo {{{{.dest}}}} >> {} && {}", sandbox.text_path("reloads"), nginx.reload_command());
    sandbox.template("site.tera", "# {{ item }}\n");
    let lines = table("site.tera", &dest).set("for_each", "/sites/*").set("on_empty", "apply");
    sandbox.resource("sites", &lines.set("check_cmd", nginx.check_command()).set("reload_cmd", reload));
    sandbox.set_store(&store(&["a"]));
    sandbox.onetime().expect_code(0);
    nginx.stop();
    sandbox.set_store("other: x\n");
    let ran = sandbox.onetime();
    assert!(ran.stderr.contains("nginx is not running"), "{ran:?}");
    assert!(!nginx.http_file("a.conf").exists());
    nginx.start();
    sandbox.onetime().expect_code(0);
    assert_eq!(fs::read_to_string(sandbox.path("reloads")).unwrap().lines().count(), 1);
}

#[test]
fn a_file_that_an_edit_gave_to_a_different_resource_stays() {
    let sandbox = sites("");
    sandbox.set_store(&store(&["a", "b"]));
    sandbox.onetime().expect_code(0);
    fs::create_dir(sandbox.path("moved")).unwrap();
    let dest = sandbox.text_path("moved/{{ item }}.conf");
    sandbox.resource("sites", &table("site.tera", &dest).set("for_each", "/sites/*"));
    // It has no file yet: its render fails.
    sandbox.template("own.tera", "{{ getv(key=\"/none\") }}\n");
    sandbox.resource("z-own", &table("own.tera", sandbox.text_path("out/b.conf")).set("check_cmd", "true {{.src}}"));
    sandbox.onetime().expect_code(5);
    assert_eq!((files(&sandbox), sandbox.path("moved/b.conf").exists()), (vec!["b.conf".to_owned()], true));
}
