//! The classic resource against real nginx: a whole-tree check, bad values, first deploys, boot order. With a private mount
//! namespace and, by taking CAP_SYS_ADMIN away, without.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::agent::{DEADLINE, Sandbox, mounting, without_mounting};
use crate::support::nginx::Nginx;
use crate::support::template::table;
use crate::support::{free_port, wait_or, wait_until};

const TEMPLATE: &str = r#"upstream app {
{% for pair in gets(pattern="/services/*") %}    server {{ pair.value }};
{% endfor %}}
"#;

/// An nginx and an upstreamd that writes `app.conf` into it.
struct Classic {
    nginx: Nginx,
    sandbox: Sandbox,
    port: u16,
}

impl Classic {
    fn new(with_namespace: bool) -> Classic {
        let port = free_port();
        let http = format!("    server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://app; }} }}");
        // Ignored by an nginx that is not root, needed by the check that is root in its namespace.
        let main = if nix::unistd::geteuid().is_root() { "" } else { "user root;" };
        let nginx = Nginx::builder().main(main).http(&http).build();
        let mut sandbox = Sandbox::new();
        sandbox.wrapper = if !with_namespace {
            without_mounting()
        } else if nix::unistd::geteuid().is_root() {
            Vec::new()
        } else {
            mounting("exec \"$@\"")
        };
        // In a user namespace of its own, whoever runs the test is root.
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
        let owner = if with_namespace { "root".to_owned() } else { user };
        sandbox.template("app.tera", TEMPLATE);
        sandbox.resource(
            "app",
            &table("app.tera", nginx.http_file("app.conf").display())
                .keys(&["/services"])
                .set("owner", owner)
                .set("mode", "0644")
                .driving(&nginx),
        );
        Classic { nginx, sandbox, port }
    }

    fn live_file(&self) -> String {
        fs::read_to_string(self.nginx.http_file("app.conf")).unwrap_or_default()
    }

    #[track_caller]
    fn wait_live(&self, text: &str) {
        let problem = || format!("no {text:?} in:\n{}\n{}", self.live_file(), self.sandbox.log());
        wait_or(DEADLINE, || self.live_file().contains(text).then_some(()), problem);
    }
}

/// Reads a file all the time and remembers whether it ever held a text.
struct Observer {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<bool>>,
}

impl Observer {
    fn of(path: std::path::PathBuf, text: &'static str) -> Observer {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = false;
            while !stopped.load(Ordering::Relaxed) {
                seen |= fs::read_to_string(&path).unwrap_or_default().contains(text);
                std::thread::yield_now();
            }
            seen
        });
        Observer { stop, thread: Some(thread) }
    }

    fn saw_it(mut self) -> bool {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

#[test]
fn a_bad_value_stays_out_and_the_next_good_one_goes_live() {
    let mut classic = Classic::new(true);
    classic.sandbox.set_store("services: {a: 127.0.0.1:8001}\n");
    classic.sandbox.onetime().expect_code(0);
    classic.nginx.start();
    let observer = Observer::of(classic.nginx.http_file("app.conf"), "99999");
    let _agent = classic.sandbox.watch();
    classic.sandbox.set_store("services: {a: 127.0.0.1:8001, b: 127.0.0.1:99999}\n");
    classic.sandbox.wait_log("check failed");
    assert!(classic.sandbox.log().contains("invalid port"), "nginx's own words: {}", classic.sandbox.log());
    classic.sandbox.set_store("services: {a: 127.0.0.1:8001, b: 127.0.0.1:8002}\n");
    classic.wait_live("server 127.0.0.1:8002;");
    assert!(!observer.saw_it(), "the bad value was live");
    assert!(!classic.sandbox.log().contains("no private mount namespace"), "{}", classic.sandbox.log());
    classic.sandbox.wait_log("updated /");
    wait_until("two workers", DEADLINE, || classic.nginx.worker_pids().len() == 2);
}

#[test]
fn without_a_namespace_a_failed_check_takes_the_bad_file_back() {
    let mut classic = Classic::new(false);
    classic.sandbox.set_store("services: {a: 127.0.0.1:8001}\n");
    classic.sandbox.onetime().expect_code(0);
    classic.nginx.start();
    let _agent = classic.sandbox.watch();
    // nginx was not running at the first run, so that its reload is owed.
    classic.sandbox.wait_log("drained, no worker");
    let before = classic.nginx.error_log().matches("SIGHUP").count();
    classic.sandbox.set_store("services: {a: 127.0.0.1:8001, b: 127.0.0.1:99999}\n");
    classic.sandbox.wait_log("check failed");
    classic.sandbox.wait_log("the previous files are back");
    let hint = "(hint: `upstreamd render app.toml --line 3` with the agent's own flags shows the refused line)";
    classic.sandbox.wait_log(hint);
    let ran = classic.sandbox.run(&["render", "app.toml", "--line", "3"]).expect_code(0);
    let shown = "  1 | upstream app {\n  2 |     server 127.0.0.1:8001;\n> 3 |     server 127.0.0.1:99999;\n  4 | }\n";
    assert_eq!(ran.stdout, shown);
    // It is tried again, now and then.
    wait_until("the previous file", DEADLINE, || !classic.live_file().contains("99999"));
    assert!(classic.live_file().contains("8001"));
    assert_eq!(classic.nginx.error_log().matches("SIGHUP").count(), before, "nginx was not asked to read it");
    classic.sandbox.set_store("services: {a: 127.0.0.1:8001, b: 127.0.0.1:8002}\n");
    classic.wait_live("server 127.0.0.1:8002;");
    assert_eq!(classic.sandbox.log().matches("no private mount namespace").count(), 1, "said once");
}

#[test]
fn with_rollback_and_no_nginx_the_log_promises_no_new_file() {
    let classic = Classic::new(true);
    let lines = fs::read_to_string(classic.sandbox.path("etc/conf.d/app.toml")).unwrap();
    classic.sandbox.resource("app", &lines.replace("[template]", "on_reload_failure = \"rollback\""));
    classic.sandbox.set_store("services: {a: 127.0.0.1:8001}\n");
    let ran = classic.sandbox.onetime();
    let said = "it reads the files when it starts (the previous files are back)";
    assert!(ran.stderr.contains(said) && !ran.stderr.contains("new files"), "{ran:?}");
    assert_eq!(classic.live_file(), "");
}

#[test]
fn the_first_deploy_works_if_nginx_already_refers_to_the_upstream() {
    for with_namespace in [true, false] {
        let mut classic = Classic::new(with_namespace);
        assert!(!classic.nginx.command(&["-t"]).status.success(), "without the file nginx cannot start");
        classic.sandbox.set_store("services: {a: 127.0.0.1:8001}\n");
        let ran = classic.sandbox.onetime().expect_code(0);
        assert!(ran.stderr.contains("nginx is not running") || ran.stderr.contains("the reload is owed"), "{ran:?}");
        classic.nginx.start();
        classic.sandbox.onetime().expect_code(0);
        wait_until("the owed reload", DEADLINE, || classic.nginx.error_log().contains("SIGHUP"));
        assert!(classic.nginx.http_get(classic.port, "/").is_some());
    }
}

#[test]
fn a_first_deploy_that_nginx_refuses_leaves_nothing_behind() {
    for with_namespace in [true, false] {
        let classic = Classic::new(with_namespace);
        classic.sandbox.set_store("services: {a: 127.0.0.1:99999}\n");
        let ran = classic.sandbox.onetime();
        assert!(!matches!(ran.code, Some(0) | None), "{ran:?}");
        assert!(ran.stderr.contains("invalid port"), "{ran:?}");
        assert!(!classic.nginx.http_file("app.conf").exists());
        let litter: Vec<_> = fs::read_dir(classic.nginx.folder.join("conf.d")).unwrap().collect();
        assert!(litter.is_empty(), "{litter:?}");
    }
}

#[test]
fn an_empty_upstream_is_refused_by_the_check_and_the_last_good_one_stays() {
    let mut classic = Classic::new(true);
    classic.sandbox.set_store("services: {a: 127.0.0.1:8001}\n");
    classic.sandbox.onetime().expect_code(0);
    classic.nginx.start();
    let _agent = classic.sandbox.watch();
    classic.sandbox.set_store("other: {}\n");
    classic.sandbox.wait_log("no servers are inside upstream");
    assert!(classic.live_file().contains("8001"));
}
