//! The real binary on a file store with shell commands: passes, retries, owed reloads, signals, edits of conf.d.

use std::fs;
use std::os::unix::fs::symlink;

use nix::sys::signal::Signal;

use crate::support::agent::{DEADLINE, Mark, Sandbox, mounting};
use crate::support::template::table;
use crate::support::{wait_for, wait_until};

#[test]
fn onetime_writes_once_and_then_has_nothing_to_do() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", &format!("reload_cmd = \"echo r >> {}\"", sandbox.text_path("log")));
    sandbox.set_store("v: {x: one, y: two}\n");
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.output("a").as_deref(), Some("one\ntwo\n"));
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.lines("log"), ["r"]);
}

#[test]
fn watch_follows_the_store_and_stops_on_sigterm() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.set_store("v: {x: one}\n");
    let mut agent = sandbox.watch();
    sandbox.wait_output("a", "one\n");
    sandbox.set_store("v: {x: two}\n");
    sandbox.wait_output("a", "two\n");
    sandbox.wait_log("updated /");
    agent.signal(Signal::SIGTERM);
    let ended = wait_for("the agent to end", DEADLINE, || agent.child.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0), "{}", sandbox.log());
}

#[test]
fn ten_resources_with_one_reload_command_and_one_changed_key_reload_once() {
    let sandbox = Sandbox::new();
    let commands = format!(
        "check_cmd = \"echo check >> {0}\"\nreload_cmd = \"echo reload >> {0}\"",
        sandbox.text_path("commands")
    );
    for n in 0..10 {
        sandbox.plain_resource(&format!("f{n}"), &commands);
    }
    sandbox.set_store("v: {x: one}\n");
    let _agent = sandbox.watch();
    sandbox.wait_log_times_since(Mark::START, "updated /", 10);
    assert_eq!(sandbox.lines("commands"), ["check", "reload"]);
    let mark = sandbox.mark();
    sandbox.set_store("v: {x: two}\n");
    sandbox.wait_log_times_since(mark, "updated /", 10);
    assert_eq!(sandbox.lines("commands"), ["check", "reload", "check", "reload"]);
}

#[test]
fn a_failed_reload_puts_the_old_file_back_and_is_tried_again() {
    let sandbox = Sandbox::new();
    let script = sandbox.path("reload.sh");
    // Fails while `broken` exists, and says which file it saw.
    fs::write(
        &script,
        format!("cat {0}/out/a >> {0}/seen\ntest ! -e {0}/broken\n", sandbox.text_path("")).replace("//", "/"),
    )
    .unwrap();
    sandbox.plain_resource("a", &format!("reload_cmd = \"sh {}\"", script.display()));
    sandbox.set_store("v: {x: old}\n");
    let _agent = sandbox.watch();
    sandbox.wait_output("a", "old\n");
    // Not before the first reload has ended well.
    sandbox.wait_log("updated /");
    fs::write(sandbox.path("broken"), "").unwrap();
    sandbox.set_store("v: {x: new}\n");
    sandbox.wait_log("the previous files are back");
    // Each retry shows the new file for as long as its reload takes, and takes it back.
    sandbox.wait_output("a", "old\n");
    let mark = sandbox.mark();
    fs::remove_file(sandbox.path("broken")).unwrap();
    sandbox.wait_output("a", "new\n");
    sandbox.wait_log_since(mark, "updated /");
}

#[test]
fn an_owed_reload_survives_a_restart() {
    let sandbox = Sandbox::new();
    let reload = format!("echo r >> {}; test -e {}", sandbox.text_path("reloads"), sandbox.text_path("runs"));
    sandbox.plain_resource("a", &format!("reload_cmd = \"{reload}\""));
    sandbox.set_store("v: {x: one}\n");
    let first = sandbox.onetime();
    assert!(!matches!(first.code, Some(0)), "a failed reload must show: {first:?}");
    assert_eq!(sandbox.output("a").as_deref(), Some("one\n"), "and the checked file stays");
    fs::write(sandbox.path("runs"), "").unwrap();
    sandbox.onetime().expect_code(0);
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.lines("reloads").len(), 2);
}

#[test]
fn kill_9_during_the_reload_is_undone_at_the_next_start() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "reload_cmd = \"true\"");
    sandbox.set_store("v: {x: old}\n");
    sandbox.onetime().expect_code(0);
    let reload = format!(
        "echo r >> {0}; if ! test -e {1}; then touch {1}; kill -9 $PPID; sleep 5; fi",
        sandbox.text_path("reloads"),
        sandbox.text_path("killed")
    );
    sandbox.plain_resource("a", &format!("reload_cmd = '{reload}'"));
    sandbox.set_store("v: {x: new}\n");
    assert_eq!(sandbox.onetime().code, None, "killed");
    let again = sandbox.onetime().expect_code(0);
    assert!(again.stderr.contains("undid an interrupted transaction"), "{again:?}");
    assert_eq!(sandbox.output("a").as_deref(), Some("new\n"));
    assert_eq!(sandbox.lines("reloads").len(), 2);
}

#[test]
fn sigterm_lets_a_running_reload_finish() {
    let sandbox = Sandbox::new();
    let reload = format!("touch {0}; sleep 0.7; touch {1}", sandbox.text_path("begun"), sandbox.text_path("ended"));
    sandbox.plain_resource("a", &format!("reload_cmd = \"{reload}\""));
    sandbox.set_store("v: {x: one}\n");
    let mut agent = sandbox.watch();
    sandbox.wait_for_file("begun");
    agent.signal(Signal::SIGTERM);
    let ended = wait_for("the agent to end", DEADLINE, || agent.child.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0));
    assert!(sandbox.path("ended").exists(), "the reload was cut off");
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.output("a").as_deref(), Some("one\n"));
}

#[test]
fn one_hanging_reload_holds_up_nobody_else() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("hangs", "reload_cmd = \"sleep 60\"\nreload_cmd_timeout = \"30s\"");
    sandbox.plain_resource("goes", "reload_cmd = \"true\"");
    sandbox.set_store("v: {x: one}\n");
    let _agent = sandbox.watch();
    sandbox.wait_output("goes", "one\n");
    sandbox.set_store("v: {x: two}\n");
    sandbox.wait_output("goes", "two\n");
}

#[test]
fn edits_of_conf_d_take_effect_by_themselves_unless_broken() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.set_store("v: {x: one}\n");
    let _agent = sandbox.watch();
    sandbox.wait_output("a", "one\n");
    sandbox.template("values.tera", "edited {{ getv(key=\"/v/x\") }}\n");
    sandbox.wait_output("a", "edited one\n");
    sandbox.template("values.tera", "broken {{ getv(key= }}\n");
    sandbox.wait_log("values.tera:1");
    sandbox.wait_log("a.toml: the last good version stays in use until conf.d and templates are mended");
    sandbox.set_store("v: {x: two}\n");
    sandbox.wait_output("a", "edited two\n");
    assert!(!sandbox.log().contains("no problem any more"), "{}", sandbox.log());
    sandbox.template("values.tera", "mended {{ getv(key=\"/v/x\") }}\n");
    sandbox.wait_output("a", "mended two\n");
    sandbox.wait_log("conf.d and templates have no problem any more");
    // A resource's own file: broken keeps the last good one, a new one is taken up.
    let toml = fs::read_to_string(sandbox.path("etc/conf.d/a.toml")).unwrap();
    fs::write(sandbox.path("etc/conf.d/a.toml"), toml.replace("keys", "kyes")).unwrap();
    sandbox.wait_log("a.toml:4:1: unknown field of [template]: `kyes` (hint: did you mean `keys`?)");
    sandbox.plain_resource("b", "mode = \"0600\"");
    sandbox.template("values.tera", "again {{ getv(key=\"/v/x\") }}\n");
    sandbox.wait_output("a", "again two\n");
    sandbox.wait_output("b", "again two\n");
}

#[test]
fn resources_in_a_folder_that_cannot_be_read_stay() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    let (sub, away) = (sandbox.path("etc/conf.d/sub"), sandbox.path("away"));
    fs::create_dir(&sub).unwrap();
    fs::rename(sandbox.path("etc/conf.d/a.toml"), sub.join("a.toml")).unwrap();
    sandbox.set_store("v: {x: one}\n");
    let _agent = sandbox.watch();
    sandbox.wait_output("a", "one\n");
    fs::rename(&sub, &away).unwrap();
    // Even root cannot follow a link to itself.
    symlink("sub", &sub).unwrap();
    sandbox.wait_log("conf.d/sub`: Too many levels of symbolic links");
    sandbox.set_store("v: {x: two}\n");
    sandbox.wait_output("a", "two\n");
    let checked = sandbox.run(&["check"]);
    assert_eq!(checked.code, Some(3), "{checked:?}");
    let mark = sandbox.mark();
    fs::remove_file(&sub).unwrap();
    sandbox.wait_log_since(mark, "the resource is gone from conf.d");
    fs::rename(&away, &sub).unwrap();
    sandbox.set_store("v: {x: three}\n");
    sandbox.wait_output("a", "three\n");
}

#[test]
fn edits_take_effect_although_the_kernel_refuses_watches() {
    for limit in ["max_inotify_watches", "max_inotify_instances"] {
        let mut sandbox = Sandbox::new();
        sandbox.plain_resource("a", "");
        sandbox.set_store("v: {x: one}\n");
        // In a namespace of its own nobody else has watches.
        let script = format!("echo 0 > /proc/sys/user/{limit} && exec \"$@\"");
        sandbox.wrapper = ["unshare", "-r", "sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
        let _agent = sandbox.watch();
        sandbox.wait_output("a", "one\n");
        assert!(sandbox.log().contains("send SIGHUP after an edit"), "{}", sandbox.log());
        sandbox.template("values.tera", "edited {{ getv(key=\"/v/x\") }}\n");
        sandbox.wait_output("a", "edited one\n");
        sandbox.set_store("v: {x: two}\n");
        sandbox.wait_output("a", "edited two\n");
    }
}

#[test]
fn sighup_reads_again_and_survives_a_broken_file() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.set_store("v: {x: one}\n");
    let mut agent = sandbox.watch();
    sandbox.wait_output("a", "one\n");
    // What others did to the file is put right, too.
    fs::write(sandbox.path("out/a"), "tampered").unwrap();
    agent.signal(Signal::SIGHUP);
    sandbox.wait_output("a", "one\n");
    fs::write(sandbox.path("etc/conf.d/a.toml"), "[template\n").unwrap();
    agent.signal(Signal::SIGHUP);
    sandbox.wait_log("a.toml:1");
    fs::write(sandbox.path("out/a"), "tampered").unwrap();
    agent.signal(Signal::SIGUSR1);
    sandbox.wait_output("a", "one\n");
    assert!(agent.child.try_wait().unwrap().is_none());
}

#[test]
fn the_way_of_changes_is_logged_once_while_it_stays() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.template("values.tera", "{{ servers(prefix=\"/v\") }}\n");
    sandbox.set_store("v: {x: '127.0.0.1:1'}\n");
    let _agent = sandbox.watch();
    sandbox.wait_log("updated /");
    sandbox.template("values.tera", "again {{ servers(prefix=\"/v\") }}\n");
    sandbox.wait_log_times_since(Mark::START, "updated /", 2);
    let log = sandbox.log();
    assert_eq!(log.matches("changes of backends reach nginx by reloads: it reloads no nginx").count(), 1, "{log}");
}

#[test]
fn whoever_asks_is_told_that_nothing_had_to_be_done() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.set_store("v: {x: one}\n");
    let agent = sandbox.watch();
    sandbox.wait_log("updated /");
    for signal in [Signal::SIGHUP, Signal::SIGUSR1] {
        let mark = sandbox.mark();
        agent.signal(signal);
        sandbox.wait_log_since(mark, "the resource is up to date (revision ");
    }
    // What has to be done is said itself.
    fs::write(sandbox.path("out/a"), "tampered").unwrap();
    let mark = sandbox.mark();
    agent.signal(Signal::SIGUSR1);
    sandbox.wait_log_since(mark, "updated /");
    // A problem that is not mended is said again.
    sandbox.template("values.tera", "broken {{ getv(key= }}\n");
    sandbox.wait_log("values.tera:1");
    let mark = sandbox.mark();
    agent.signal(Signal::SIGHUP);
    sandbox.wait_log_since(mark, "values.tera:1");
    assert_eq!(sandbox.log().matches("is up to date").count(), 2, "{}", sandbox.log());
}

#[test]
fn a_configmap_swap_is_noticed_and_loaded_once() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("unused", "");
    fs::remove_file(sandbox.path("etc/conf.d/unused.toml")).unwrap();
    let toml = |text: &str| {
        format!(
            "[template]\nsrc = \"values.tera\"\ndest = \"{}\"\nkeys = [\"/v\"]\n{text}\n",
            sandbox.text_path("out/a")
        )
    };
    let conf_d = sandbox.path("etc/conf.d");
    fs::create_dir(conf_d.join("..1")).unwrap();
    fs::write(conf_d.join("..1/a.toml"), toml("")).unwrap();
    symlink("..1", conf_d.join("..data")).unwrap();
    symlink("..data/a.toml", conf_d.join("a.toml")).unwrap();
    sandbox.set_store("v: {x: one}\n");
    let _agent = sandbox.watch();
    sandbox.wait_output("a", "one\n");
    fs::create_dir(conf_d.join("..2")).unwrap();
    fs::write(conf_d.join("..2/a.toml"), toml("mode = \"0600\"")).unwrap();
    symlink("..2", conf_d.join("..data_tmp")).unwrap();
    fs::rename(conf_d.join("..data_tmp"), conf_d.join("..data")).unwrap();
    wait_until("the new mode", DEADLINE, || {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(sandbox.path("out/a")).unwrap().permissions().mode() & 0o777 == 0o600
    });
    assert_eq!(sandbox.log().matches("both write").count(), 0, "{}", sandbox.log());
}

#[test]
fn a_static_resource_is_rendered_even_while_the_store_is_away() {
    let mut sandbox = Sandbox::new();
    sandbox.store = ["--backend", "etcd", "--node", "http://127.0.0.1:1"].map(str::to_owned).to_vec();
    sandbox.template("static.tera", "static\n");
    sandbox.resource("static", &table("static.tera", sandbox.text_path("out/static")).keys(&[]));
    sandbox.plain_resource("a", "");
    let mut agent = sandbox.watch();
    sandbox.wait_output("static", "static\n");
    sandbox.wait_log("WARN");
    assert!(agent.child.try_wait().unwrap().is_none(), "an absent store is no reason to end");
    assert_eq!(sandbox.output("a"), None);
}

#[test]
fn onetime_gives_up_on_a_store_that_is_away() {
    let mut sandbox = Sandbox::new();
    sandbox.store = ["--backend", "etcd", "--node", "http://127.0.0.1:1"].map(str::to_owned).to_vec();
    sandbox.plain_resource("a", "");
    // It ends by itself, or `run` gives up.
    let ran = sandbox.run(&["--onetime", "--backend-timeout", "1s"]);
    assert!(!matches!(ran.code, Some(0) | None), "{ran:?}");
    assert!(ran.stderr.contains("127.0.0.1:1"), "{ran:?}");
}

#[test]
fn onetime_does_not_wait_for_a_malformed_file_to_mend_itself() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.set_store("v: {x: one\n");
    // Far longer than any test may take: it must end of itself.
    let ran = sandbox.run(&["--onetime", "--backend-timeout", "1h"]).expect_code(4);
    assert!(ran.stderr.contains("no snapshot of the store: ") && ran.stderr.contains(":2:1: "), "{ran:?}");
    assert_eq!(sandbox.output("a"), None);
}

#[test]
fn a_second_daemon_on_one_state_folder_is_refused_but_not_onetime() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "reload_cmd = \"true\"");
    sandbox.set_store("v: {x: one}\n");
    let _agent = sandbox.watch();
    sandbox.wait_output("a", "one\n");
    let second = sandbox.run(&["--watch"]);
    assert!(!matches!(second.code, Some(0) | None), "{second:?}");
    assert!(second.stderr.contains("state"), "{second:?}");
    sandbox.onetime().expect_code(0);
}

#[test]
fn interval_mode_polls_and_repairs() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.set_store("v: {x: one}\n");
    let _agent = sandbox.start(&["--interval", "1"]);
    sandbox.wait_output("a", "one\n");
    sandbox.set_store("v: {x: two}\n");
    sandbox.wait_output("a", "two\n");
    fs::write(sandbox.path("out/a"), "tampered").unwrap();
    sandbox.wait_output("a", "two\n");
}

#[test]
fn interval_mode_outlives_a_malformed_store() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    let mut agent = sandbox.start(&["--interval", "1"]);
    // Each problem is reported once: two that differ are two looks, one after the other.
    for (content, place) in [("v: {x: one\n", ":2:1: "), ("v: {x: one\n\n", ":3:1: ")] {
        sandbox.set_store(content);
        sandbox.wait_log(place);
    }
    sandbox.set_store("v: {x: two}\n");
    sandbox.wait_output("a", "two\n");
    for (content, place) in [("v: [\n", ":2:1: while parsing a node"), ("v: [\n\n", ":3:1: while parsing a node")] {
        sandbox.set_store(content);
        sandbox.wait_log(place);
    }
    assert!(agent.child.try_wait().unwrap().is_none(), "{}", sandbox.log());
    sandbox.set_store("v: {x: three}\n");
    sandbox.wait_output("a", "three\n");
}

#[test]
fn watch_with_an_interval_looks_at_everything_again_that_often() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.set_store("v: {x: one}\n");
    let _agent = sandbox.start(&["--watch", "--interval", "1"]);
    sandbox.wait_output("a", "one\n");
    fs::write(sandbox.path("out/a"), "tampered").unwrap();
    sandbox.wait_output("a", "one\n");
    sandbox.set_store("v: {x: two}\n");
    sandbox.wait_output("a", "two\n");
}

#[test]
fn a_confdir_that_appears_is_replaced_or_linked_is_followed() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.set_store("v: {x: one}\n");
    let says = |folder: &str, text: &str| {
        fs::write(sandbox.path(folder).join("templates/values.tera"), format!("{text} {{{{ getv(key=\"/v/x\") }}}}\n"))
            .unwrap();
    };
    // Not there at the start: the sandbox's etc is a link that leads nowhere yet.
    fs::rename(sandbox.path("etc"), sandbox.path("first")).unwrap();
    symlink("releases/1", sandbox.path("etc-link")).unwrap();
    fs::rename(sandbox.path("etc-link"), sandbox.dir.path().join("etc")).unwrap();
    let _agent = sandbox.watch();
    sandbox.wait_log("conf.d");
    says("first", "first");
    fs::create_dir(sandbox.path("releases")).unwrap();
    fs::rename(sandbox.path("first"), sandbox.path("releases/1")).unwrap();
    sandbox.wait_output("a", "first one\n");
    // The link is swapped, as a deployment does; then the folder behind it is replaced.
    let copy = |to: &str| {
        let made =
            std::process::Command::new("cp").arg("-r").args([sandbox.path("releases/1"), sandbox.path(to)]).status();
        assert!(made.unwrap().success());
    };
    copy("releases/2");
    says("releases/2", "second");
    symlink("releases/2", sandbox.path("etc-link")).unwrap();
    fs::rename(sandbox.dir.path().join("etc-link"), sandbox.dir.path().join("etc")).unwrap();
    sandbox.wait_output("a", "second one\n");
    copy("releases/3");
    says("releases/3", "third");
    fs::rename(sandbox.path("releases/2"), sandbox.path("releases/old")).unwrap();
    fs::rename(sandbox.path("releases/3"), sandbox.dir.path().join("releases/2")).unwrap();
    sandbox.wait_output("a", "third one\n");
    says("releases/2", "edited");
    sandbox.wait_output("a", "edited one\n");
}

#[test]
fn without_a_state_folder_a_killed_transaction_is_undone_by_its_backup() {
    let mut sandbox = Sandbox::new();
    sandbox.stateless = true;
    let run = |sandbox: &Sandbox| sandbox.run(&["--onetime"]);
    sandbox.plain_resource("a", "reload_cmd = \"true\"");
    sandbox.set_store("v: {x: old}\n");
    run(&sandbox).expect_code(0);
    let reload = format!(
        "cat {0} >> {1}; if ! test -e {2}; then touch {2}; kill -9 $PPID; sleep 5; fi",
        sandbox.text_path("out/a"),
        sandbox.text_path("seen"),
        sandbox.text_path("killed")
    );
    sandbox.plain_resource("a", &format!("reload_cmd = '{reload}'"));
    sandbox.set_store("v: {x: new}\n");
    assert_eq!(run(&sandbox).code, None, "killed");
    sandbox.set_store("v: {x: old}\n");
    run(&sandbox).expect_code(0);
    assert_eq!(sandbox.output("a").as_deref(), Some("old\n"));
    assert_eq!(sandbox.lines("seen"), ["new", "old"], "the file that went back was reloaded");
    run(&sandbox).expect_code(0);
    assert_eq!(sandbox.lines("seen").len(), 2, "and then there is nothing to do");
}

#[test]
fn a_bind_mounted_destination_is_written_in_place() {
    let mut sandbox = Sandbox::new();
    fs::write(sandbox.path("mounted"), "before, and quite a bit longer than what follows").unwrap();
    fs::write(sandbox.path("out/a"), "").unwrap();
    sandbox.plain_resource("a", "mode = \"0600\"\nreload_cmd = \"true\"");
    let script = format!("mount --bind {} {} && exec \"$@\"", sandbox.text_path("mounted"), sandbox.text_path("out/a"));
    sandbox.wrapper = mounting(&script);
    sandbox.set_store("v: {x: one}\n");
    let _agent = sandbox.watch();
    sandbox.wait_log("updated /");
    assert_eq!(fs::read_to_string(sandbox.path("mounted")).unwrap(), "one\n");
    let mark = sandbox.mark();
    sandbox.set_store("v: {x: two}\n");
    sandbox.wait_log_since(mark, "updated /");
    assert_eq!(fs::read_to_string(sandbox.path("mounted")).unwrap(), "two\n");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(sandbox.path("mounted")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(sandbox.log().matches("mount point").count(), 1, "{}", sandbox.log());
}
