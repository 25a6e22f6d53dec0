//! One bad resource does not freeze the others that share its commands: found by the file that nginx names or by halving,
//! with a private namespace and without, and repaired by the next good value.

use crate::status::wait_answer;
use crate::support::agent::{DEADLINE, Sandbox, without_mounting};
use crate::support::nginx::Nginx;
use crate::support::template::table;
use crate::support::{free_port, wait_until};

/// `n` resources of one group, each a file with the value of `/r/NAME` in it.
fn group(n: usize, with_namespace: bool) -> (Nginx, Sandbox) {
    let mut nginx = Nginx::builder().build();
    let mut sandbox = Sandbox::new();
    if !with_namespace {
        sandbox.wrapper = without_mounting();
    }
    for member in 0..n {
        sandbox.template(&format!("r{member}.tera"), &format!("{{{{ getv(key=\"/r/{member}\") }}}}\n"));
        sandbox.resource(
            &format!("r{member}"),
            &table(format!("r{member}.tera"), nginx.http_file(&format!("r{member}.conf")).display())
                .keys(&["/r"])
                .set("escape", "none")
                .driving(&nginx)
                .set("min_reload_interval", "0s"),
        );
    }
    set(&sandbox, n, &[]);
    sandbox.onetime().expect_code(0);
    nginx.start();
    (nginx, sandbox)
}

/// Every member's value is a comment with a version, unless said otherwise.
fn set(sandbox: &Sandbox, n: usize, values: &[(usize, &str)]) {
    let value = |member: usize| values.iter().find(|(known, _)| *known == member).map_or("# v1", |(_, value)| value);
    let lines: String = (0..n).map(|member| format!("  '{member}': {:?}\n", value(member))).collect();
    sandbox.set_store(&format!("r:\n{lines}"));
}

fn live(nginx: &Nginx, member: usize) -> String {
    std::fs::read_to_string(nginx.http_file(&format!("r{member}.conf"))).unwrap().trim().to_owned()
}

#[track_caller]
fn one_bad_and_the_rest_goes_live(n: usize, bad_member: usize, bad: &str, said: &str, with_namespace: bool) {
    let (nginx, sandbox) = group(n, with_namespace);
    let _agent = sandbox.watch();
    let mut values: Vec<(usize, &str)> = (0..n).map(|member| (member, "# v2")).collect();
    values[bad_member].1 = bad;
    set(&sandbox, n, &values);
    wait_until("the others", DEADLINE, || (0..n).all(|member| member == bad_member || live(&nginx, member) == "# v2"));
    if with_namespace {
        assert_eq!(live(&nginx, bad_member), "# v1", "the last good version stays");
    }
    // Without a namespace a refused file is in place for as long as its check takes.
    wait_until("the last good version", DEADLINE, || live(&nginx, bad_member) == "# v1");
    sandbox.wait_log(said);
    sandbox.wait_log(&format!("resources=r{bad_member}.toml"));
    assert!(nginx.command(&["-t"]).status.success());
    values[bad_member].1 = "# v3";
    set(&sandbox, n, &values);
    wait_until("healed", DEADLINE, || live(&nginx, bad_member) == "# v3");
}

#[test]
fn the_file_that_nginx_names_is_held_and_the_others_go_live() {
    for with_namespace in [true, false] {
        let bad = "server { listen 127.0.0.1:99999; }";
        one_bad_and_the_rest_goes_live(4, 2, bad, "invalid port", with_namespace);
    }
}

#[test]
fn a_culprit_that_nginx_does_not_name_is_found_by_halving() {
    for with_namespace in [true, false] {
        // Told without a file: the address is only tried after everything has been read.
        let bad = "server { listen 192.0.2.1:80; }";
        one_bad_and_the_rest_goes_live(5, 3, bad, "Cannot assign requested address", with_namespace);
    }
}

#[test]
fn only_the_member_whose_change_is_refused_is_failing() {
    for with_namespace in [true, false] {
        let (nginx, sandbox) = group(2, with_namespace);
        let port = free_port();
        let _agent = sandbox.start(&["--watch", "--metrics-addr", &format!("127.0.0.1:{port}")]);
        wait_answer(port, "/ready", 200);
        set(&sandbox, 2, &[(1, "nonsense;")]);
        // The third attempt is a repeat of the second.
        sandbox.wait_log("r1.toml: still failing since");
        sandbox.wait_log("attempt=3");
        // Both are rendered again, and neither file is other than before.
        let mark = sandbox.mark();
        sandbox.set_store("r: {'0': '# v1', '1': 'nonsense;', '9': x}\n");
        sandbox.wait_log_times_since(mark, "still failing since", 2);
        let body: serde_json::Value = serde_json::from_str(&wait_answer(port, "/ready/detailed", 200).body).unwrap();
        assert_eq!(body["details"]["failing"], "r1.toml", "{body}");
        let metrics = wait_answer(port, "/metrics", 200).body;
        for (member, failing) in [("r0", 0), ("r1", 1)] {
            let line = format!("upstreamd_resource_failing{{resource=\"{member}.toml\"}} {failing}");
            assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
        }
        for line in sandbox.log().lines().filter(|line| line.contains("failed") || line.contains("failing")) {
            assert!(!line.contains("r0.toml"), "{line}");
        }
        // A change of the other one goes by it.
        set(&sandbox, 2, &[(0, "# v2"), (1, "nonsense;")]);
        wait_until("the other one", DEADLINE, || live(&nginx, 0) == "# v2");
    }
}

#[test]
fn onetime_applies_the_others_and_ends_with_the_code_of_the_bad_one() {
    let (nginx, sandbox) = group(3, true);
    set(&sandbox, 3, &[(0, "# v2"), (1, "nonsense;"), (2, "# v2")]);
    let ran = sandbox.onetime().expect_code(6);
    assert!(ran.stderr.contains("unknown directive"), "{}", ran.stderr);
    assert_eq!([0, 1, 2].map(|member| live(&nginx, member)), ["# v2", "# v1", "# v2"]);
}

#[test]
fn a_tree_that_others_have_broken_is_blamed_on_no_resource() {
    let (nginx, sandbox) = group(3, true);
    std::fs::write(nginx.http_file("by-hand.conf"), "nonsense;").unwrap();
    set(&sandbox, 3, &[(0, "# v2"), (1, "# v2"), (2, "# v2")]);
    let ran = sandbox.onetime().expect_code(6);
    assert!(ran.stderr.contains("by-hand.conf") && ran.stderr.contains("nothing was changed"), "{}", ran.stderr);
    assert_eq!([0, 1, 2].map(|member| live(&nginx, member)), ["# v1"; 3]);
    std::fs::remove_file(nginx.http_file("by-hand.conf")).unwrap();
    sandbox.onetime().expect_code(0);
    assert_eq!(live(&nginx, 0), "# v2");
}

/// A `for_each` whose files are in nginx's http block, one for each name below `/sites`, checked by a counted `nginx -t`.
fn sites() -> (Nginx, Sandbox) {
    let nginx = Nginx::started();
    let sandbox = Sandbox::new();
    sandbox.template("site.conf", "{{getv (print \"/sites/\" item)}}\n");
    let dest = nginx.http_file("{{ item }}.conf");
    let check = format!("echo >>{}; {}", sandbox.text_path("checks"), nginx.check_command());
    let lines = format!("for_each = \"/sites/*\"\ncheck_cmd = \"{check}\"\nreload = \"nginx\"\n");
    sandbox.resource("sites", &table("site.conf", dest.to_str().unwrap()).keys(&["/sites"]).lines(lines));
    (nginx, sandbox)
}

fn set_sites(sandbox: &Sandbox, n_bad: usize, good: &str) {
    let bad: String = (0..n_bad).map(|n| format!("  bad{n}: \"nonsense{n};\"\n")).collect();
    sandbox.set_store(&format!("sites:\n{bad}  good: \"# {good}\"\n"));
}

#[test]
fn many_bad_names_hold_no_good_one_up() {
    let (nginx, sandbox) = sites();
    let live = || std::fs::read_to_string(nginx.http_file("good.conf")).unwrap_or_default();
    set_sites(&sandbox, 150, "v1");
    let agent = sandbox.watch();
    wait_until("the good one of the first round", DEADLINE, || live() == "# v1\n");
    // Until the last of them is known.
    let journal = || {
        // Beside it may be the next one, half written under a hidden name.
        let mut files = std::fs::read_dir(sandbox.path("state/groups")).unwrap().map(|entry| entry.unwrap());
        let found = files.find(|entry| !entry.file_name().as_encoded_bytes().starts_with(b".")).unwrap().path();
        let journal: serde_json::Value = serde_json::from_slice(&std::fs::read(found).unwrap()).unwrap();
        journal["refused"].as_object().map_or(0, serde_json::Map::len)
    };
    wait_until("all bad ones to be known", DEADLINE, || journal() == 150);
    assert!(sandbox.log().matches("check failed").count() < 150, "the log names some of many");
    let checks = || sandbox.lines("checks").len();
    let before = checks();
    set_sites(&sandbox, 150, "v2");
    wait_until("a change of the good one", DEADLINE, || live() == "# v2\n");
    assert!(checks() - before <= 70, "one for the change; a retry of some bad ones may have been under way");
    drop(agent);
    // A new process knows them by the journal.
    set_sites(&sandbox, 150, "v3");
    let before = checks();
    let ran = sandbox.onetime();
    assert_eq!((ran.code, live().as_str()), (Some(6), "# v3\n"), "{ran:?}");
    assert!(checks() - before <= 30, "{} checks", checks() - before);
    // One that is right in the end is live at once.
    sandbox.set_store("sites:\n  bad3: \"# right\"\n  bad4: \"nonsense4;\"\n  good: \"# v3\"\n");
    sandbox.onetime();
    assert_eq!(std::fs::read_to_string(nginx.http_file("bad3.conf")).unwrap(), "# right\n");
}

#[test]
fn a_change_does_not_wait_until_all_bad_names_are_known() {
    cut_a_search_short(&Nginx::started());
}

#[test]
fn bad_names_keep_no_good_one_from_the_start_of_nginx() {
    cut_a_search_short(&Nginx::builder().build());
}

/// Ends a search among 80 names, half of them bad, by a change: that is in place first, and all good ones in the end.
fn cut_a_search_short(nginx: &Nginx) {
    let sandbox = Sandbox::new();
    sandbox.template("site.conf", "{{getv (print \"/sites/\" item)}}\n");
    let (checks, go) = (sandbox.text_path("checks"), sandbox.text_path("go"));
    let good = nginx.http_file("good.conf");
    // Each check notes what it sees of the good one; the third waits.
    let check = format!(
        "cat {} >>{checks} 2>/dev/null || echo none >>{checks}\n\
         while [ $(wc -l <{checks}) = 3 ] && ! [ -e {go} ]; do sleep 0.05; done\n{}",
        good.display(),
        nginx.check_command()
    );
    let lines = format!("for_each = '/sites/*'\ncheck_cmd = '''{check}'''\nreload = 'nginx'\n");
    let dest = nginx.http_file("{{ item }}.conf");
    sandbox.resource("sites", &table("site.conf", dest.to_str().unwrap()).keys(&["/sites"]).lines(lines));
    let set = |good: &str| {
        let text = |n: usize| if n.is_multiple_of(2) { "# x" } else { "nonsense;" };
        let names: String = (0..80).map(|n| format!("  n{n}: '{}'\n", text(n))).collect();
        sandbox.set_store(&format!("sites:\n  good: '# {good}'\n{names}"));
    };
    set("v1");
    let port = free_port();
    let _agent = sandbox.start(&["--watch", "--metrics-addr", &format!("127.0.0.1:{port}")]);
    wait_until("the third check", DEADLINE, || sandbox.lines("checks").len() == 3);
    set("v2");
    wait_until("the agent to see the change", DEADLINE, || {
        wait_answer(port, "/ready/detailed", 503).body.contains("\"store_revision\":\"2\"")
    });
    std::fs::write(go, "").unwrap();
    wait_until("the change", DEADLINE, || std::fs::read_to_string(&good).is_ok_and(|good| good == "# v2\n"));
    let checks = sandbox.lines("checks");
    let before = checks.iter().position(|seen| seen == "# v2").unwrap();
    assert!(before <= 7, "{before} checks of the first search: {checks:?}");
    let in_place = || (0..80).step_by(2).all(|n| nginx.http_file(&format!("n{n}.conf")).exists());
    wait_until("all good ones to be in place", DEADLINE, in_place);
}
