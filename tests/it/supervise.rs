//! `upstreamd --watch -- COMMAND`: a real nginx (or a shell) as the child of a real upstreamd.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::etcd::Etcd;
use crate::support::nginx::{Nginx, http_get};
use crate::support::template::table;
use crate::support::{Daemon, free_port, package_root, program, wait_for, wait_or, wait_until};

/// An nginx that upstreamd starts, with one site made from the store's `/v/answer`.
struct Balancer {
    nginx: Nginx,
    sandbox: Sandbox,
    port: u16,
    agent: Option<Daemon>,
}

impl Balancer {
    fn new() -> Balancer {
        let (nginx, sandbox, port) = (Nginx::builder().build(), Sandbox::new(), free_port());
        sandbox.template(
            "site.tera",
            &format!("server {{ listen 127.0.0.1:{port}; return 200 {{{{ getv(key=\"/v/answer\") }}}}; }}\n"),
        );
        sandbox.resource(
            "site",
            &table("site.tera", nginx.http_file("site.conf").display())
                .keys(&["/v"])
                .set("escape", "none")
                .driving(&nginx),
        );
        Balancer { nginx, sandbox, port, agent: None }
    }

    fn start(&mut self, more: &[&str]) {
        self.start_nginx(more, &["-g", "daemon off;"]);
    }

    /// Starts upstreamd with these words more, and these more for nginx.
    fn start_nginx(&mut self, more: &[&str], last: &[&str]) {
        let (log, conf) = (self.nginx.error_log_file(), self.nginx.conf());
        let nginx = ["nginx", "-e", log.to_str().unwrap(), "-c", conf.to_str().unwrap()];
        let arguments = [&["--watch"], more, &["--"], &nginx, last].concat();
        self.agent = Some(self.sandbox.start_with_command(&arguments));
    }

    fn agent(&mut self) -> &mut Daemon {
        self.agent.as_mut().unwrap()
    }

    #[track_caller]
    fn wait_answer(&self, expected: &str) {
        let answer = || http_get(self.port, "localhost", "/").ok().filter(|answer| answer.body == expected);
        let problem = || format!("no {expected:?}:\n{}\n{}", self.sandbox.log(), self.nginx.error_log());
        wait_or(DEADLINE, answer, problem);
    }

    fn master(&self) -> Option<i32> {
        fs::read_to_string(self.nginx.pid_file()).ok()?.trim().parse().ok()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let Some(agent) = &mut self.agent else { return };
        let start = std::time::Instant::now();
        if agent.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            agent.signal(Signal::SIGTERM);
        }
        // nginx outlives an upstreamd that is killed.
        while agent.child.try_wait().is_ok_and(|ended| ended.is_none()) && start.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[track_caller]
fn wait_end(agent: &mut Daemon) -> ExitStatus {
    wait_for("the end of upstreamd", DEADLINE, || agent.child.try_wait().unwrap())
}

/// Starts upstreamd over a resource without commands, supervising a shell script.
fn start_shell(sandbox: &Sandbox, more: &[&str], script: &str) -> Daemon {
    sandbox.plain_resource("app", "");
    sandbox.set_store("v: {x: one}\n");
    let arguments = [&["--watch"], more, &["--", "/bin/sh", "-c", script]].concat();
    sandbox.start_with_command(&arguments)
}

#[test]
fn nginx_starts_from_the_new_files_is_reloaded_and_ends_with_us() {
    let mut balancer = Balancer::new();
    balancer.sandbox.set_store("v: {answer: one}\n");
    balancer.start(&[]);
    balancer.wait_answer("one");
    // nginx may answer before the line is written.
    balancer.sandbox.wait_log("started `nginx");
    let log = balancer.sandbox.log();
    let (rendered, started) = (log.find("updated /"), log.find("started `nginx"));
    assert!(rendered.is_some() && rendered < started, "{log}");
    assert!(!log.contains("owed") && !balancer.nginx.error_log().contains("reconfiguring"), "{log}");

    let master = balancer.master();
    balancer.sandbox.set_store("v: {answer: two}\n");
    balancer.wait_answer("two");
    balancer.sandbox.wait_log("verified the reload of nginx");
    assert_eq!(balancer.master(), master, "the same nginx");

    // A bad value is refused, and nginx goes on.
    balancer.sandbox.set_store("v: {answer: 'three; }'}\n");
    balancer.sandbox.wait_log("nothing was changed");
    balancer.wait_answer("two");

    balancer.agent().signal(Signal::SIGQUIT);
    assert_eq!(wait_end(balancer.agent()).code(), Some(0), "{}", balancer.sandbox.log());
    assert!(balancer.nginx.error_log().contains("gracefully shutting down"), "it was told what we were told");
    assert!(http_get(balancer.port, "localhost", "/").is_err());
}

#[test]
fn an_nginx_that_dies_ends_us_with_its_status_and_is_not_started_again() {
    let mut balancer = Balancer::new();
    balancer.sandbox.set_store("v: {answer: one}\n");
    balancer.start(&[]);
    balancer.wait_answer("one");
    let workers: Vec<i32> = fs::read_to_string(format!("/proc/{0}/task/{0}/children", balancer.master().unwrap()))
        .unwrap()
        .split_ascii_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect();
    kill(Pid::from_raw(balancer.master().unwrap()), Signal::SIGKILL).unwrap();
    assert_eq!(wait_end(balancer.agent()).code(), Some(128 + 9), "{}", balancer.sandbox.log());
    assert!(balancer.sandbox.log().contains("the supervised command has ended (killed by SIGKILL); stopping"));
    // nginx's workers outlive their master.
    for worker in workers {
        kill(Pid::from_raw(worker), Signal::SIGTERM).ok();
    }
}

#[test]
fn an_nginx_that_goes_to_the_background_is_an_error() {
    let mut balancer = Balancer::new();
    balancer.sandbox.set_store("v: {answer: one}\n");
    balancer.start_nginx(&[], &[]);
    let ended = wait_end(balancer.agent());
    // It does serve; nobody but this test stops it.
    balancer.wait_answer("one");
    kill(Pid::from_raw(balancer.master().unwrap()), Signal::SIGTERM).unwrap();
    let log = balancer.sandbox.log();
    assert_eq!(ended.code(), Some(2), "{log}");
    assert!(log.contains("nginx has gone to the background") && log.contains("-g 'daemon off;'"), "{log}");
}

#[test]
fn the_commands_status_is_ours() {
    for (script, status) in [("exit 0", 0), ("exit 7", 7), ("kill -USR1 $$", 128 + 10)] {
        let sandbox = Sandbox::new();
        assert_eq!(wait_end(&mut start_shell(&sandbox, &[], script)).code(), Some(status), "{script}");
        assert_eq!(sandbox.output("app").as_deref(), Some("one\n"), "rendered before the command started");
    }
    let sandbox = Sandbox::new();
    sandbox.plain_resource("app", "");
    let mut agent = sandbox.start_with_command(&["--watch", "--", "/no/such/program"]);
    assert_eq!(wait_end(&mut agent).code(), Some(127));
    assert!(sandbox.log().contains("failed to start `/no/such/program`: No such file"), "{}", sandbox.log());
    let mut agent = sandbox.start_with_command(&["--watch", "--", "nginx -g 'daemon off;'"]);
    assert_eq!(wait_end(&mut agent).code(), Some(127));
    sandbox.wait_log("words of their own, as in -- nginx -g 'daemon off;')");
}

#[test]
fn signals_are_handed_on() {
    let sandbox = Sandbox::new();
    let got = sandbox.text_path("got");
    let traps: String =
        ["HUP", "USR1", "USR2", "WINCH"].map(|name| format!("trap 'echo {name} >> {got}' {name}; ")).concat();
    let script =
        format!("{traps} trap 'echo TERM >> {got}; exit 3' TERM; echo ready >> {got}; while :; do sleep 0.01; done");
    let mut agent = start_shell(&sandbox, &[], &script);
    let mut expected = vec!["ready"];
    let wait = |expected: &[&str]| wait_until(&format!("{expected:?}"), DEADLINE, || sandbox.lines("got") == *expected);
    wait(&expected);
    for (signal, name) in [
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGUSR1, "USR1"),
        (Signal::SIGUSR2, "USR2"),
        (Signal::SIGWINCH, "WINCH"),
        (Signal::SIGTERM, "TERM"),
    ] {
        agent.signal(signal);
        expected.push(name);
        wait(&expected);
    }
    assert_eq!(wait_end(&mut agent).code(), Some(3));
}

#[test]
fn a_command_that_does_not_end_is_killed() {
    let sandbox = Sandbox::new();
    let script = format!("trap '' TERM; echo ready >> {}; while :; do sleep 0.01; done", sandbox.text_path("got"));
    let mut agent = start_shell(&sandbox, &["--stop-timeout", "300ms"], &script);
    sandbox.wait_for_file("got");
    agent.signal(Signal::SIGTERM);
    assert_eq!(wait_end(&mut agent).code(), Some(128 + 9));
    assert!(sandbox.log().contains("did not end within 300ms of SIGTERM; killed"), "{}", sandbox.log());
}

#[test]
fn with_the_store_away_nginx_starts_from_the_last_good_files() {
    let mut balancer = Balancer::new();
    balancer.sandbox.set_store("v: {answer: one}\n");
    balancer.sandbox.onetime().expect_code(0);
    let nobody = format!("http://127.0.0.1:{}", free_port());
    balancer.sandbox.store = ["--backend", "etcd", "--node", &nobody].map(str::to_owned).to_vec();
    balancer.start(&["--backend-timeout", "500ms"]);
    balancer.wait_answer("one");
    assert!(
        balancer.sandbox.log().contains("starting the command with the files that are there"),
        "{}",
        balancer.sandbox.log()
    );
    balancer.agent().signal(Signal::SIGTERM);
    assert_eq!(wait_end(balancer.agent()).code(), Some(0));
}

#[test]
fn what_the_check_refuses_does_not_keep_nginx_from_starting() {
    let mut balancer = Balancer::new();
    balancer.sandbox.set_store("v: {answer: one}\n");
    balancer.sandbox.onetime().expect_code(0);
    balancer.sandbox.set_store("v: {answer: 'two; }'}\n");
    balancer.start(&[]);
    balancer.wait_answer("one");
    balancer.sandbox.set_store("v: {answer: three}\n");
    balancer.wait_answer("three");
}

/// Runs a shell script with `upstreamd` and `nginx` in its path being ours and this test's, and `etcd` as the store.
fn start_script(balancer: &mut Balancer, script: &str, etcd: &Etcd) {
    let (bin, nginx) = (balancer.sandbox.path("bin"), &balancer.nginx);
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(program("upstreamd"), bin.join("upstreamd")).unwrap();
    let wrapper = format!(
        "#!/bin/sh\nexec {} -e '{}' -c '{}' \"$@\"\n",
        nginx.program(),
        nginx.error_log_file().display(),
        nginx.conf().display()
    );
    fs::write(bin.join("nginx"), wrapper).unwrap();
    fs::set_permissions(bin.join("nginx"), fs::Permissions::from_mode(0o755)).unwrap();
    let log = fs::File::create(balancer.sandbox.path("log")).unwrap();
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", script])
        .env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()))
        .env("ETCD", etcd.url())
        .env("UPSTREAMD_CONFDIR", balancer.sandbox.path("etc"))
        .env("UPSTREAMD_STATE_DIR", balancer.sandbox.path("state"))
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    balancer.agent = Some(Daemon::start(&mut shell));
}

/// The last block of shell on a page of the docs that has these words.
fn last_script(page: &str, words: &str) -> String {
    let text = fs::read_to_string(format!("{}/docs/{page}", package_root().display())).unwrap();
    let blocks = text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.filter(|block| block.contains(words)).last().unwrap().to_owned()
}

#[test]
fn the_line_in_the_docs_runs() {
    let etcd = Etcd::start();
    etcd.put("/v/answer", "one");
    let mut balancer = Balancer::new();
    let line = last_script("supervise.md", "--watch").replace("http://127.0.0.1:2379", &etcd.url());
    start_script(&mut balancer, &format!("exec {line}"), &etcd);
    balancer.wait_answer("one");
}

#[test]
fn the_entrypoint_in_the_docs_renders_and_then_is_nginx() {
    let etcd = Etcd::start();
    etcd.put("/v/answer", "one");
    let mut balancer = Balancer::new();
    start_script(&mut balancer, &last_script("containers.md", "--onetime --node"), &etcd);
    balancer.wait_answer("one");
    assert_eq!(balancer.master(), Some(balancer.agent().pid()), "nginx is the process that the script was");
}

/// Runs upstreamd as PID 1 of a PID namespace of its own.
fn as_pid_1(sandbox: &mut Sandbox) {
    let mut words = vec!["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    if !nix::unistd::geteuid().is_root() {
        words.push("--map-root-user");
    }
    sandbox.wrapper = words.into_iter().map(str::to_owned).collect();
}

#[test]
fn as_pid_1_it_reaps_orphans_and_keeps_the_statuses_of_its_own_commands() {
    let mut sandbox = Sandbox::new();
    as_pid_1(&mut sandbox);
    // Orphans die all the time, in the command and in the check, whose status must come through all the same.
    let check = "for i in 1 2 3; do (sleep 0.02 &); done; test $(cat {{.src}}) != bad";
    sandbox.plain_resource("app", &format!("check_cmd = \"{check}\"\nreload_cmd = \"(sleep 0.02 &); true\""));
    sandbox.set_store("v: {x: '0'}\n");
    let (zombies, got) = (sandbox.text_path("zombies"), sandbox.text_path("got"));
    let script = format!(
        "trap 'exit 5' TERM; echo ready > {got}; while :; do (sleep 0.01 &); sleep 0.02; \
         grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l >> {zombies}; done"
    );
    let mut agent = sandbox.start_with_command(&["--watch", "--", "/bin/sh", "-c", &script]);
    sandbox.wait_for_file("got");
    for round in 1..=10 {
        sandbox.set_store(&format!("v: {{x: '{round}'}}\n"));
        sandbox.wait_output("app", &format!("{round}\n"));
    }
    sandbox.set_store("v: {x: bad}\n");
    sandbox.wait_log("check failed");
    wait_until("a hundred looks", DEADLINE, || sandbox.lines("zombies").len() >= 100);
    // One may be seen between its death and its reaping, but they do not gather: hundreds of orphans have died.
    let most: usize = sandbox.lines("zombies").iter().map(|line| line.trim().parse().unwrap()).max().unwrap();
    assert!(most < 10, "{most} zombies at once");
    assert_eq!(sandbox.output("app").as_deref(), Some("10\n"));

    // unshare itself does not pass signals on.
    let inner = wait_for("PID 1 of the namespace", DEADLINE, || {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", agent.pid())).ok()?;
        children.split_ascii_whitespace().next()?.parse().ok()
    });
    kill(Pid::from_raw(inner), Signal::SIGTERM).unwrap();
    assert_eq!(wait_end(&mut agent).code(), Some(5), "{}", sandbox.log());
}

#[test]
fn as_pid_1_it_stops_by_signal_and_passes_its_own_exit_code_on() {
    let mut sandbox = Sandbox::new();
    as_pid_1(&mut sandbox);
    sandbox.plain_resource("app", "");
    sandbox.set_store("v: {x: one}\n");
    sandbox.onetime().expect_code(0);
    sandbox.template("values.tera", "{% broken");
    sandbox.onetime().expect_code(3);
}
