//! Templates that take long, by computing or by waiting for a name server: they hold up nobody but their own resource.

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::status::{Manager, wait_answer};
use crate::support::agent::{DEADLINE, Sandbox, mounting};
use crate::support::{Daemon, free_port, wait_for, wait_until};

/// Would compute for hours once `/v/slow` is `yes`.
const COMPUTES: &str = r#"{% if getv(key="/v/slow") == "yes" -%}
{% for a in range(end=100000) %}{% for b in range(end=100000) %}{% if a * b == 1.5 %}x{% endif %}{% endfor %}{% endfor %}
{%- endif %}{{ getv(key="/v/x") }}
"#;

/// A sandbox with a slow resource among fast ones: one without commands, and one with.
fn sandbox(slow: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.template("slow.tera", slow);
    let dest = |name: &str| sandbox.text_path(&format!("out/{name}"));
    // One in the batch of resources without commands, one in a group of its own.
    sandbox.resource("a-slow", &format!("src = 'slow.tera'\ndest = '{}'\nkeys = ['/v']", dest("a-slow")));
    let reload = "reload_cmd = 'true # slow'";
    sandbox.resource("b-slow", &format!("src = 'slow.tera'\ndest = '{}'\nkeys = ['/v']\n{reload}", dest("b-slow")));
    sandbox.template("x.tera", "{{ getv(key=\"/v/x\") }}\n");
    sandbox.resource("c-fast", &format!("src = 'x.tera'\ndest = '{}'\nkeys = ['/v']", dest("c-fast")));
    let reload = "reload_cmd = 'true'\nmin_reload_interval = '0s'";
    sandbox.resource("d-fast", &format!("src = 'x.tera'\ndest = '{}'\nkeys = ['/v']\n{reload}", dest("d-fast")));
    sandbox.resource("e-fast", &format!("src = 'x.tera'\ndest = '{}'\nkeys = ['/v']", dest("e-fast")));
    sandbox
}

/// Everything but the slow resources goes on: values, a new file of conf.d, pages, signs of life, SIGTERM.
fn check_others_go_on(mut sandbox: Sandbox) {
    let manager = Manager::bind(&sandbox.path("notify"));
    sandbox.environment =
        vec![("NOTIFY_SOCKET".into(), sandbox.text_path("notify")), ("WATCHDOG_USEC".into(), "600000".into())];
    sandbox.set_store("v: {slow: 'no', x: one}\n");
    let port = free_port();
    let mut agent = sandbox.start(&["--watch", "--metrics-addr", &format!("127.0.0.1:{port}")]);
    for name in ["a-slow", "b-slow", "c-fast", "d-fast", "e-fast"] {
        sandbox.wait_output(name, "one\n");
    }
    wait_answer(port, "/ready", 200);

    for x in ["two", "three"] {
        sandbox.set_store(&format!("v: {{slow: 'yes', x: {x}}}\n"));
        for name in ["c-fast", "d-fast", "e-fast"] {
            sandbox.wait_output(name, &format!("{x}\n"));
        }
        wait_answer(port, "/health", 200);
        assert!(wait_answer(port, "/metrics", 200).body.contains("upstreamd_"));
        manager.until("WATCHDOG=1");
    }
    let dest = sandbox.text_path("out/new");
    sandbox.resource("f-new", &format!("src = 'x.tera'\ndest = '{dest}'\nkeys = ['/v']"));
    sandbox.wait_output("new", "three\n");
    for name in ["a-slow", "b-slow"] {
        assert_eq!(sandbox.output(name).as_deref(), Some("one\n"), "the last good file stays");
    }
    agent.signal(Signal::SIGTERM);
    wait_until("the end", DEADLINE, || agent.child.try_wait().unwrap().is_some_and(|status| status.success()));
}

#[test]
fn a_template_that_computes_for_hours_holds_up_nobody() {
    check_others_go_on(sandbox(COMPUTES));
}

#[test]
fn a_render_that_takes_too_long_fails_by_itself() {
    let sandbox = sandbox(COMPUTES);
    sandbox.set_store("v: {slow: 'yes', x: one}\n");
    let ran = sandbox.run(&["--onetime", "--render-timeout", "50ms"]).expect_code(5);
    // On a busy machine, the time may be over before the innermost part is reached.
    let late = "the render takes longer than 50ms (hint: --render-timeout sets this limit)";
    let lines = ran.stderr.lines().filter(|line| line.contains("slow.tera:2:") && line.contains(late));
    assert_eq!(lines.count(), 2, "{}", ran.stderr);
    for name in ["c-fast", "d-fast", "e-fast"] {
        assert_eq!(sandbox.output(name).as_deref(), Some("one\n"), "{}", ran.stderr);
    }
}

#[test]
fn a_single_run_ends_at_once_on_sigterm_whatever_a_template_computes() {
    let sandbox = sandbox(COMPUTES);
    sandbox.set_store("v: {slow: 'yes', x: one}\n");
    let mut run = sandbox.start(&["--onetime"]);
    for name in ["c-fast", "d-fast", "e-fast"] {
        sandbox.wait_output(name, "one\n");
    }
    run.signal(Signal::SIGTERM);
    wait_until("the end", DEADLINE, || run.child.try_wait().unwrap().is_some());
}

#[test]
fn a_template_that_waits_for_a_name_server_holds_up_nobody() {
    const SILENT: &str = "127.53.53.53";
    let server = match UdpSocket::bind((SILENT, 53)) {
        Ok(server) => server,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            eprintln!("skipped: only root has a name server's port");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    // A hundred names, one after the other: each waits for a server that is silent.
    let slow = r#"{% if getv(key="/v/slow") == "yes" %}{% for n in range(end=100) %}{{ lookup_ip(host="n" ~ n ~ ".example.org") }}{% endfor %}{% endif %}{{ getv(key="/v/x") }}
"#;
    let mut sandbox = sandbox(slow);
    let resolv_conf = sandbox.text_path("resolv.conf");
    std::fs::write(&resolv_conf, format!("nameserver {SILENT}\n")).unwrap();
    sandbox.wrapper = mounting(&format!("mount --bind '{resolv_conf}' /etc/resolv.conf && exec \"$@\""));
    check_others_go_on(sandbox);
    let mut question = [0; 512];
    server.set_nonblocking(true).unwrap();
    assert!(server.recv(&mut question).is_ok(), "nobody asked the silent server");
}

/// Holds a lease on a file: to open it then takes until the lease is broken, as on a network folder that hangs.
const LEASE: &str = "import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
fcntl.fcntl(os.open(sys.argv[1], os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_WRLCK)
open(sys.argv[2], 'w')
signal.pause()";

/// Makes a file hang for everybody who opens it from now on, until the result is dropped.
pub fn hold_open(sandbox: &Sandbox, file: &Path) -> Daemon {
    let mut holder = Command::new("python3");
    holder.args(["-c", LEASE]).arg(file).arg(sandbox.path("held"));
    let holder = Daemon::start(&mut holder);
    sandbox.wait_for_file("held");
    holder
}

#[test]
fn a_file_of_keys_that_hangs_holds_up_neither_the_pages_nor_the_end() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    let _holder = hold_open(&sandbox, &sandbox.path("store.yaml"));
    let port = free_port();
    let mut agent = sandbox.start(&["--watch", "--metrics-addr", &format!("127.0.0.1:{port}")]);
    wait_answer(port, "/health", 200);
    let asking = std::thread::spawn(move || wait_answer(port, "/ready/detailed", 503).body);
    wait_answer(port, "/health", 200);
    let body = asking.join().unwrap();
    assert!(body.contains("no answer in 5s"), "{body}");
    wait_until("the next look, which does not wait", DEADLINE, || {
        wait_answer(port, "/ready/detailed", 503).body.contains("an earlier look at the files has not ended")
    });
    agent.signal(Signal::SIGTERM);
    let status = wait_for("the end", DEADLINE, || agent.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{}", sandbox.log());
}

/// Time for which a process has computed, in ticks of the kernel.
fn computed(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(11).unwrap().parse().unwrap()
}

#[test]
fn files_of_keys_that_take_minutes_to_read_hold_up_no_end() {
    let mut sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    // 600,000 empty lists by aliases, as often as there are names for the file.
    let mut yaml = format!("x0: &x0 [{}]\n", ["[]"; 10].join(", "));
    for n in 1..5 {
        yaml += &format!("x{n}: &x{n} [{}]\n", vec![format!("*x{}", n - 1); 10].join(", "));
    }
    yaml += &format!("y: [{}]\nv: {{a: one}}\n", ["*x4"; 6].join(", "));
    let folder = sandbox.path("keys");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("0.yaml"), yaml).unwrap();
    (1..3000).for_each(|n| std::os::unix::fs::symlink("0.yaml", folder.join(format!("{n}.yaml"))).unwrap());
    sandbox.store = ["--backend", "file", "--file", folder.to_str().unwrap()].map(str::to_owned).to_vec();
    let port = free_port();
    let mut agent = sandbox.start(&["--watch", "--metrics-addr", &format!("127.0.0.1:{port}")]);
    wait_until("the reading to be under way", DEADLINE, || computed(agent.child.id()) > 50);
    wait_answer(port, "/health", 200);
    agent.signal(Signal::SIGTERM);
    let status = wait_for("the end", DEADLINE, || agent.child.try_wait().unwrap());
    assert_eq!((status.code(), sandbox.output("a")), (Some(0), None), "{}", sandbox.log());
}

#[test]
fn a_file_of_conf_d_that_hangs_holds_up_nothing() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.set_store("v: {a: one}\n");
    let port = free_port();
    let agent = sandbox.start(&["--watch", "--metrics-addr", &format!("127.0.0.1:{port}")]);
    sandbox.wait_output("a", "one\n");
    let _holder = hold_open(&sandbox, &sandbox.path("etc/conf.d/a.toml"));
    agent.signal(Signal::SIGHUP);
    sandbox.wait_log("reading conf.d, templates and the store again (SIGHUP)");
    sandbox.set_store("v: {a: two}\n");
    sandbox.wait_output("a", "two\n");
    wait_answer(port, "/health", 200);
    // A start waits for it, and ends when it is asked to.
    let start = |mode: &str| {
        let log = std::fs::File::create(sandbox.path(mode)).unwrap();
        let mut command = sandbox.command(&[mode]);
        let process = Daemon::start(command.args(["--state-dir", ""]).stdout(log.try_clone().unwrap()).stderr(log));
        let said = || std::fs::read_to_string(sandbox.path(mode)).is_ok_and(|log| log.contains(" started ("));
        wait_until("the start", DEADLINE, said);
        process
    };
    let (watching, once) = (start("--watch"), start("--onetime"));
    for (mut process, code) in [(agent, Some(0)), (watching, Some(0)), (once, None)] {
        process.signal(Signal::SIGTERM);
        let status = wait_for("the end", DEADLINE, || process.child.try_wait().unwrap());
        assert!(code.is_none_or(|code| status.code() == Some(code)), "{status}\n{}", sandbox.log());
    }
}
