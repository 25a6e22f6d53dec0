//! `upstreamd --onetime -- COMMAND`: one pass, and then this process is the command.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::{Daemon, free_port, wait_for};

/// Returns a sandbox with a resource that prints `/v/x` from the environment, as most entrypoints have it.
fn entrypoint() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.plain_resource("app", "");
    sandbox.store = ["--backend", "env"].map(str::to_owned).to_vec();
    sandbox
}

/// Starts one pass with this command behind it.
fn start(sandbox: &Sandbox, more: &[&str], command: &[&str]) -> Daemon {
    sandbox.start_with_command(&[&["--onetime"], more, &["--"], command].concat())
}

#[track_caller]
fn code(daemon: &mut Daemon) -> Option<i32> {
    wait_for("the end", DEADLINE, || daemon.child.try_wait().unwrap()).code()
}

#[test]
fn the_process_becomes_the_command_once_its_files_are_there() {
    let mut sandbox = entrypoint();
    sandbox.wrapper = ["env", "V_X=one"].map(str::to_owned).to_vec();
    let got = sandbox.text_path("got");
    let output = sandbox.text_path("out/app");
    let script = format!("trap 'exit 5' USR2; cat {output} > {got}; echo $$ >> {got}; while :; do sleep 0.01; done");
    let mut daemon = start(&sandbox, &[], &["/bin/sh", "-c", &script]);
    wait_for("the command", DEADLINE, || (sandbox.lines("got").len() == 2).then_some(()));
    assert_eq!(sandbox.lines("got"), ["one", &daemon.pid().to_string()]);
    daemon.signal(Signal::SIGUSR2);
    assert_eq!(code(&mut daemon), Some(5), "signals reach the command itself");
}

#[test]
fn a_pass_that_fails_ends_with_its_code_and_starts_nothing() {
    let sandbox = entrypoint();
    sandbox.template("values.tera", "{{ getv(key=\"/v/none\") }}");
    let touch = ["/bin/sh", "-c", &format!("touch {}", sandbox.text_path("got"))];
    assert_eq!(code(&mut start(&sandbox, &[], &touch)), Some(5));
    assert!(!sandbox.path("got").exists());
    assert!(sandbox.log().contains("did not start `/bin/sh`"), "{}", sandbox.log());
}

#[test]
fn a_command_that_cannot_be_run_has_the_status_that_shells_give_it() {
    let mut sandbox = entrypoint();
    sandbox.wrapper = ["env", "V_X=one"].map(str::to_owned).to_vec();
    assert_eq!(code(&mut start(&sandbox, &[], &["/no/such/program"])), Some(127));
    assert_eq!(code(&mut start(&sandbox, &[], &["/"])), Some(126));
    assert!(sandbox.log().contains("failed to start `/no/such/program`: No such file"), "{}", sandbox.log());
    assert!(!sandbox.log().contains("words of their own"), "{}", sandbox.log());
    assert_eq!(code(&mut start(&sandbox, &[], &["nginx -g 'daemon off;'"])), Some(127));
    sandbox.wait_log("words of their own, as in -- nginx -g 'daemon off;')");
}

#[test]
fn as_pid_1_the_command_is_pid_1() {
    let mut sandbox = entrypoint();
    sandbox.wrapper =
        ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "env", "V_X=one"].map(str::to_owned).to_vec();
    let script = format!("echo $$ > {}", sandbox.text_path("got"));
    assert_eq!(code(&mut start(&sandbox, &[], &["/bin/sh", "-c", &script])), Some(0), "{}", sandbox.log());
    assert_eq!(sandbox.lines("got"), ["1"]);
}

#[test]
fn sigquit_waits_for_the_transaction_as_sigterm_does() {
    for arguments in [&["--onetime", "--", "/bin/true"][..], &["--onetime"], &["--watch"]] {
        let sandbox = Sandbox::new();
        sandbox.set_store("v: {x: one}\n");
        let (runs, go_on) = (sandbox.text_path("runs"), sandbox.text_path("go-on"));
        let slow = format!("touch {runs}; while ! test -e {go_on}; do sleep 0.01; done");
        sandbox.plain_resource("app", &format!("reload_cmd = \"{slow}\""));
        let mut daemon = match arguments.contains(&"--") {
            true => sandbox.start_with_command(arguments),
            false => sandbox.start(arguments),
        };
        sandbox.wait_for_file("runs");
        daemon.signal(Signal::SIGQUIT);
        std::fs::write(&go_on, "").unwrap();
        let expected = if arguments == ["--watch"] { 0 } else { 128 + 3 };
        assert_eq!(code(&mut daemon), Some(expected), "{arguments:?}: {}", sandbox.log());
    }
}

#[test]
fn a_signal_ends_a_pass_that_waits_for_its_store() {
    let mut sandbox = entrypoint();
    let nobody = format!("http://127.0.0.1:{}", free_port());
    sandbox.store = ["--backend", "etcd", "--node", &nobody].map(str::to_owned).to_vec();
    for command in [&["--onetime"][..], &["diff"], &["render", "app"]] {
        let log = sandbox.mark();
        let mut daemon = sandbox.start(&[command, &["--log-level", "debug"]].concat());
        if command == ["--onetime"] {
            sandbox.wait_log_since(log, "127.0.0.1");
        }
        // Before it listens for the signal, the signal ends it as well.
        daemon.signal(Signal::SIGTERM);
        let ended = wait_for("the end", Duration::from_secs(10), || daemon.child.try_wait().unwrap());
        let by_signal = std::os::unix::process::ExitStatusExt::signal(&ended) == Some(Signal::SIGTERM as i32);
        assert!(by_signal || ended.code() == Some(128 + 15), "{command:?}: {ended:?}");
    }
}
