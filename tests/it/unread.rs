//! A destination that nginx never reads: check and reload succeed, and nothing of it is ever served. `check` and the log say so, once.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::nginx::Nginx;
use crate::support::template::table;
use crate::support::wait_for;

const STORE: &str = "x: one\n";

/// A sandbox with this resource, its store, and an nginx that runs.
fn site(dest: &str) -> (Nginx, Sandbox) {
    let (nginx, sandbox) = (Nginx::started(), Sandbox::new());
    fs::create_dir_all(nginx.folder.join("sites-available")).unwrap();
    sandbox.set_store(STORE);
    sandbox.template("web.tera", "# {{ getv(key=\"/x\") }}\n");
    let dest = nginx.folder.join(dest);
    sandbox.resource("web", &table("web.tera", dest.display()).keys(&["/"]).driving(&nginx));
    (nginx, sandbox)
}

#[test]
fn a_file_that_nginx_never_reads_is_said_once_in_the_log() {
    let (nginx, sandbox) = site("conf.d/web");
    let said = format!(
        "nginx never reads `{}`: `{}` does not include it (hint: `include {}` takes other names only: \
         choose such a name, `web.conf` for example)",
        nginx.folder.join("conf.d/web").display(),
        nginx.conf().display(),
        nginx.folder.join("conf.d/*.conf").display()
    );
    let _agent = sandbox.watch();
    sandbox.wait_log(&said);
    for value in ["two", "three"] {
        let mark = sandbox.mark();
        sandbox.set_store(&format!("x: {value}\n"));
        sandbox.wait_log_since(mark, "updated ");
    }
    let mark = sandbox.mark();
    sandbox.template("web.tera", "# again {{ getv(key=\"/x\") }}\n");
    sandbox.wait_log_since(mark, "updated ");
    assert_eq!(sandbox.log().matches("never reads").count(), 1, "{}", sandbox.log());
}

/// Waits until the status has these conditions, and returns them.
#[track_caller]
fn wait_conditions(sandbox: &Sandbox, kinds: &[&str]) -> Value {
    wait_for(&format!("{kinds:?}"), DEADLINE, || {
        let status: Value = serde_json::from_str(&sandbox.run(&["status", "--json"]).stdout).ok()?;
        let found = status["conditions"].as_array()?;
        (found.len() == kinds.len() && found.iter().zip(kinds).all(|(found, kind)| found["kind"] == *kind))
            .then(|| status["conditions"].clone())
    })
}

#[test]
fn a_file_that_nginx_never_reads_is_a_condition_until_it_does() {
    let (nginx, sandbox) = site("web/app");
    fs::create_dir(nginx.folder.join("web")).unwrap();
    let dest = nginx.folder.join("web/app").display().to_string();
    let _agent = sandbox.watch();
    let found = wait_conditions(&sandbox, &["unread"]);
    assert_eq!((&found[0]["subject"], &found[0]["causes"][0]["file"]), (&json!("web.toml"), &json!(dest)));
    assert!(found[0]["reason"].as_str().unwrap().contains("nginx never reads"), "{found}");
    sandbox.run(&["status"]).expect_code(3);
    // Nothing in conf.d or the store changes.
    fs::write(nginx.http_file("more.conf"), format!("include {};\n", dest)).unwrap();
    wait_conditions(&sandbox, &[]);
    // And back, and then conf.d names a file that nginx reads.
    fs::remove_file(nginx.http_file("more.conf")).unwrap();
    sandbox.set_store("x: two\n");
    wait_conditions(&sandbox, &["unread"]);
    let dest = nginx.http_file("web.conf");
    sandbox.resource("web", &table("web.tera", dest.display()).keys(&["/"]).driving(&nginx));
    wait_conditions(&sandbox, &[]);
}

#[test]
fn a_file_that_was_there_before_is_looked_at_too() {
    let (_nginx, sandbox) = site("web.conf");
    let ran = sandbox.onetime().expect_code(0);
    assert_eq!(ran.stderr.matches("nginx never reads").count(), 1, "{ran:?}");
    let _agent = sandbox.watch();
    sandbox.wait_log("nginx never reads");
}

#[test]
fn check_names_the_resource_and_what_to_do() {
    for (dest, hint) in [
        ("conf.d/web", "choose such a name, `web.conf` for example"),
        ("conf.d/.web.conf", "leaves out names that begin with a dot"),
        ("sites-available/web", "write `include "),
        ("other/nginx.conf", "name it in both commands: `nginx -c "),
    ] {
        let (nginx, sandbox) = site(dest);
        let ran = sandbox.run(&["check"]).expect_code(0);
        let path = nginx.folder.join(dest);
        let said = format!("web.toml:3:1: nginx never reads `{}`: `{}`", path.display(), nginx.conf().display());
        assert!(ran.stderr.contains(&said) && ran.stderr.contains(hint), "{ran:?}");
    }
}

#[test]
fn what_nginx_reads_or_may_read_is_not_said() {
    let is_silent = |sandbox: &Sandbox| {
        let (checked, ran) = (sandbox.run(&["check"]).expect_code(0), sandbox.onetime().expect_code(0));
        let said = [checked.stderr, ran.stderr].concat();
        assert!(!said.contains("never reads"), "{said}");
    };
    for dest in ["conf.d/web.conf", "stream.d/web.conf"] {
        is_silent(&site(dest).1);
    }
    let (nginx, sandbox) = site("sites-available/web");
    symlink(nginx.folder.join("sites-available/web"), nginx.folder.join("conf.d/web.conf")).unwrap();
    fs::write(nginx.folder.join("sites-available/web"), "").unwrap();
    is_silent(&sandbox);
    // A file that a server shows, and one of a group that drives no nginx.
    let (nginx, sandbox) = site("www/index.html");
    fs::create_dir(nginx.folder.join("www")).unwrap();
    let root = format!("server {{ listen unix:{0}/s; root {0}/www; }}", nginx.folder.display());
    fs::write(nginx.http_file("www.conf"), root).unwrap();
    is_silent(&sandbox);
    let sandbox = Sandbox::new();
    sandbox.set_store(STORE);
    sandbox.template("web.tera", "# {{ getv(key=\"/x\") }}\n");
    let dest = sandbox.text_path("out/web");
    sandbox.resource("web", &table("web.tera", dest).keys(&["/"]).set("check_cmd", "true").set("reload_cmd", "true"));
    is_silent(&sandbox);
}

#[test]
fn a_folder_of_a_for_each_that_nginx_never_reads_is_said_once() {
    let nginx = Nginx::started();
    let sandbox = Sandbox::new();
    sandbox.set_store("sites: {a: {x: one}}\n");
    sandbox.template("site.tera", "# {{ item }}\n");
    let lines = table("site.tera", nginx.folder.join("conf.d/{{ item }}.site").display()).keys(&["/sites"]);
    sandbox.resource("site", &lines.set("for_each", "/sites/*").driving(&nginx));
    let ran = sandbox.run(&["check"]).expect_code(0);
    assert!(ran.stderr.contains("conf.d/NAME.site`"), "{ran:?}");
    let _agent = sandbox.watch();
    sandbox.wait_log("conf.d/a.site`: ");
    sandbox.set_store("sites: {a: {x: one}, b: {x: two}}\n");
    sandbox.wait_log(&format!("updated {}", nginx.folder.join("conf.d/b.site").display()));
    assert_eq!(sandbox.log().matches("never reads").count(), 1, "{}", sandbox.log());
}

#[test]
fn the_configuration_of_a_supervised_nginx_is_the_one_that_counts() {
    let (nginx, sandbox) = (Nginx::builder().build(), Sandbox::new());
    sandbox.set_store(STORE);
    sandbox.template("web.tera", "# {{ getv(key=\"/x\") }}\n");
    let lines = table("web.tera", nginx.folder.join("web.conf").display()).keys(&["/"]);
    sandbox.resource("web", &lines.lines("reload = \"nginx\""));
    let conf = nginx.conf().display().to_string();
    let command = ["--", nginx.program(), "-c", &conf, "-g", "daemon off;"];
    let _agent = sandbox.start_with_command(&command);
    sandbox.wait_log(&format!("nginx never reads `{}`: `{conf}`", nginx.folder.join("web.conf").display()));
}

#[test]
fn the_nginx_that_runs_counts_whatever_the_commands_name() {
    let (nginx, sandbox) = (Nginx::started(), Sandbox::new());
    fs::create_dir(nginx.folder.join("other.d")).unwrap();
    let other = fs::read_to_string(nginx.conf()).unwrap().replace("conf.d/", "other.d/");
    fs::write(nginx.folder.join("other.conf"), other).unwrap();
    sandbox.set_store(STORE);
    sandbox.template("web.tera", "# {{ getv(key=\"/x\") }}\n");
    let dest = nginx.folder.join("other.d/web.conf");
    let commands = [nginx.check_command(), nginx.reload_command()].map(|text| text.replace("nginx.conf", "other.conf"));
    let lines = table("web.tera", dest.display()).keys(&["/"]);
    sandbox.resource("web", &lines.set("check_cmd", &commands[0]).set("reload_cmd", &commands[1]));
    let said = format!("nginx never reads `{}`: `{}` does not include it", dest.display(), nginx.conf().display());
    assert!(sandbox.onetime().expect_code(0).stderr.contains(&said));
}
