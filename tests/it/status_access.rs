//! Who gets the status, and what whoever asks cannot do: other host names, endless requests, clients that do not read, names with
//! markup, and the socket's permissions. On the real program.

use std::collections::VecDeque;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::agent::{DEADLINE, Sandbox, mounting};
use crate::support::nginx::http_get;
use crate::support::template::table;
use crate::support::{Daemon, free_port, program, wait_or, wait_until};

/// An agent on files that serves its pages.
struct Served {
    sandbox: Sandbox,
    port: u16,
    agent: Daemon,
}

impl Served {
    fn new(yaml: &str) -> Served {
        let sandbox = Sandbox::new();
        sandbox.template("web.tera", "{{ servers(prefix=\"/web\") }}\n");
        sandbox.resource("web", &table("web.tera", sandbox.text_path("out/web.conf")).keys(&["/web"]));
        sandbox.set_store(yaml);
        let port = free_port();
        let agent = sandbox.start(&["--watch", "--metrics-addr", &format!("127.0.0.1:{port}")]);
        crate::status::wait_answer(port, "/ready", 200);
        Served { sandbox, port, agent }
    }

    /// The answer to these bytes, as far as it comes.
    fn answer(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        // The agent may refuse before it has read all.
        stream.write_all(request).ok();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

const STORE: &str = "web: {a: '127.0.0.1:9001'}\n";

#[test]
fn the_status_is_shown_under_no_name_of_others() {
    let served = Served::new(STORE);
    let status = |host: &str, path: &str| http_get(served.port, host, path).unwrap().status;
    for path in ["/", "/api/status", "/api/explain?of=/web/a"] {
        for host in ["127.0.0.1", "[::1]:80", "localhost", "LocalHost:9100"] {
            assert_eq!(status(host, path), 200, "{host} {path}");
        }
        for host in ["attacker.example", "localhost.attacker.example", "127.0.0.1.attacker.example:80"] {
            assert_eq!(status(host, path), 421, "{host} {path}");
        }
    }
    let refused = http_get(served.port, "attacker.example", "/api/events").unwrap();
    let is_a_line = !refused.body.contains('\\') && !refused.body.contains("  ") && refused.body.lines().count() == 1;
    assert!(refused.status == 421 && refused.body.ends_with("browser)\n") && is_a_line, "{:?}", refused.body);
    // A target that is a whole URL names the host too.
    let whole = served.answer(b"GET http://attacker.example/api/status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(whole.starts_with("HTTP/1.1 421"), "{whole}");
    // What Prometheus and load balancers ask for is answered under any name, as ever.
    assert_eq!(status("lb.example:9100", "/metrics"), 200);
    assert_eq!(status("lb.example:9100", "/ready"), 200);
}

#[test]
fn a_known_version_is_not_sent_again() {
    let served = Served::new(STORE);
    let first = http_get(served.port, "localhost", "/api/status").unwrap();
    let version = first.header("etag").unwrap();
    let ask = |version: &str| {
        served.answer(
            format!("GET /api/status HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {version}\r\n\r\n").as_bytes(),
        )
    };
    assert!(ask(version).starts_with("HTTP/1.1 304"), "{}", ask(version));
    served.sandbox.set_store("web: {b: '127.0.0.1:9002'}\n");
    wait_until("a new version", DEADLINE, || ask(version).starts_with("HTTP/1.1 200"));
    assert!(ask(version).contains("127.0.0.1:9002"));
}

#[test]
fn names_with_markup_are_text_everywhere() {
    let served =
        Served::new("web: {'<script>x</script>': 'no backend', '\"><img src=x onerror=y>': '127.0.0.1:9001'}\n");
    let body = |path: &str| http_get(served.port, "localhost", path).unwrap();
    let page = body("/");
    assert!(page.header("content-type").unwrap().starts_with("text/html"), "{}", page.head);
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"), "{}", page.head);
    for markup in ["<script>x", "<img src"] {
        assert!(!page.body.contains(markup), "{}", page.body);
    }
    assert!(page.body.contains("&lt;script&gt;x"), "{}", page.body);
    assert_eq!(body("/api/status").header("content-type"), Some("application/json"));
    assert_eq!(body("/api/status").header("x-content-type-options"), Some("nosniff"));
    assert!(served.sandbox.run(&["status"]).stdout.contains("<script>x</script>"));
}

#[test]
fn keys_reach_no_terminal_as_commands() {
    let served = Served::new("web: {\"\\u009b2J\\u202eevil\\U000E0041\": 'no backend', a: '127.0.0.1:9001'}\n");
    let key = "/web/\u{9b}2J\u{202e}evil\u{e0041}";
    let json = |args: &[&str]| {
        let text = served.sandbox.run(args).stdout;
        let value: Value = serde_json::from_str(&text).unwrap();
        (text, value)
    };
    let (status, explained) = (json(&["status", "--json"]), json(&["explain", "web", "--json"]));
    assert_eq!(status.1["conditions"][0]["causes"][0]["key"], key, "the value is the same");
    assert_eq!(explained.1["conditions"][0]["causes"][0]["key"], key);
    let plain = [&["status"][..], &["explain", "web"]].map(|args| served.sandbox.run(args).stdout);
    assert!(plain.iter().all(|text| text.contains("evil")), "{plain:?}");
    for text in [&status.0, &explained.0, &plain[0], &plain[1]] {
        assert!(!text.contains(|character| "\u{9b}\u{202e}\u{e0041}".contains(character)), "{text:?}");
    }
}

#[test]
fn heads_without_end_are_refused_and_hold_nothing_up() {
    let served = Served::new(STORE);
    let endless = [b"GET /api/status HTTP/1.1\r\nHost: localhost\r\nX: ".as_slice(), &vec![b'x'; 4 << 20]].concat();
    let refused = served.answer(&endless);
    assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 4"), "{refused}");
    let many: String = (0..100_000).map(|n| format!("X{n}: y\r\n")).collect();
    let refused = served.answer(format!("GET /api/status HTTP/1.1\r\n{many}\r\n").as_bytes());
    assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 4"), "{refused}");
    assert_eq!(http_get(served.port, "localhost", "/api/status").unwrap().status, 200);
}

#[test]
fn connections_that_ask_for_nothing_lock_nobody_out() {
    let served = Served::new(STORE);
    let mut silent = Vec::new();
    for n in 0..10_000_u32 {
        match TcpStream::connect(("127.0.0.1", served.port)) {
            Ok(mut stream) => {
                // Every other one begins a request and leaves it at that.
                if n % 2 == 0 {
                    stream.write_all(b"GET /api/sta").ok();
                }
                silent.push(stream);
            }
            Err(error) => panic!("connection {n}: {error}"),
        }
        // This process may have fewer descriptors than that: the oldest go, as with any client.
        if silent.len() > 500 {
            silent.remove(0);
        }
    }
    assert_eq!(http_get(served.port, "localhost", "/api/status").unwrap().status, 200);
    served.sandbox.set_store("web: {b: '127.0.0.1:9002'}\n");
    served.sandbox.wait_log("127.0.0.1:9002");
}

#[test]
fn a_reader_of_changes_that_does_not_read_holds_nobody_up() {
    let served = Served::new(STORE);
    let follow = || {
        let mut stream = TcpStream::connect(("127.0.0.1", served.port)).unwrap();
        stream.write_all(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        stream
    };
    let _deaf: Vec<TcpStream> = (0..20).map(|_| follow()).collect();
    let mut reader = follow();
    let mut seen = String::new();
    let events = |reader: &mut TcpStream, seen: &mut String| {
        let mut bytes = [0; 4096];
        match reader.read(&mut bytes) {
            Ok(0) => panic!("the stream has ended: {seen}"),
            Ok(n) => seen.push_str(&String::from_utf8_lossy(&bytes[..n])),
            Err(error) => assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}"),
        }
        seen.matches("event: change").count()
    };
    wait_or(DEADLINE, || (events(&mut reader, &mut seen) >= 1).then_some(()), || "no first event".to_owned());
    for n in 0..5 {
        let before = seen.matches("event: change").count();
        served.sandbox.set_store(&format!("web: {{b{n}: '127.0.0.1:9002'}}\n"));
        wait_or(DEADLINE, || (events(&mut reader, &mut seen) > before).then_some(()), || format!("no event {n}"));
    }
    assert!(seen.starts_with("HTTP/1.1 200 OK") && seen.contains("text/event-stream"), "{seen}");
}

#[test]
fn the_socket_is_for_the_agents_group_and_is_there_again_after_a_kill() {
    let mut served = Served::new(STORE);
    let socket = served.sandbox.path("state/status.sock");
    let mode = || fs::metadata(&socket).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o660);
    assert_eq!(fs::metadata(&socket).unwrap().uid(), nix::unistd::geteuid().as_raw());
    served.sandbox.run(&["status"]).expect_code(0);
    served.agent.kill();
    let away = served.sandbox.run(&["status"]).expect_code(14);
    assert!(away.stderr.contains("the agent does not answer at") && away.stdout.is_empty(), "{}", away.stderr);
    served.agent = served.sandbox.watch();
    wait_until("the socket", DEADLINE, || served.sandbox.run(&["status"]).code == Some(0));
    // A file of somebody else at that place stays.
    served.agent.kill();
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "mine").unwrap();
    served.agent = served.sandbox.watch();
    served.sandbox.wait_log("`upstreamd status` will not work: cannot listen at");
    assert_eq!(fs::read_to_string(&socket).unwrap(), "mine");
}

#[test]
fn an_agent_that_had_to_take_the_second_folder_is_found() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.set_store("v: {x: one}\n");
    let script = "mount -t tmpfs none /var/lib && mkdir /var/lib/upstreamd && mount -o remount,ro /var/lib && \
                  mount -t tmpfs none /run && exec \"$@\"";
    let command = |arguments: &[&str]| {
        let words = mounting(script);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(program("upstreamd")).args(arguments).args(&sandbox.store);
        command.args(["--confdir", &sandbox.text_path("etc")]).env("XDG_STATE_HOME", sandbox.text_path("home"));
        command
    };
    let log = fs::File::create(sandbox.path("log")).unwrap();
    let _agent = Daemon::start(command(&["--watch"]).stdout(log.try_clone().unwrap()).stderr(log));
    sandbox.wait_output("a", "one\n");
    assert!(sandbox.path("home/upstreamd/daemon.lock").exists(), "{}", sandbox.log());
    let asked = command(&["status"]).output().unwrap();
    assert_eq!(asked.status.code(), Some(0), "{asked:?}");
}

#[test]
fn requests_of_clients_that_are_gone_do_not_pile_up() {
    let list: String = (0..3000).map(|n| format!("  b{n}: '127.0.0.1:{}'\n", 10_000 + n)).collect();
    let served = Served::new(&format!("web:\n{list}"));
    let threads = || {
        let status = fs::read_to_string(format!("/proc/{}/status", served.agent.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap();
        line.trim().parse::<usize>().unwrap()
    };
    let before = threads();
    let mut most = 0;
    // The agent gives up the oldest of them for the newest.
    let mut clients = VecDeque::new();
    for _ in 0..600 {
        let mut stream = TcpStream::connect(("127.0.0.1", served.port)).unwrap();
        stream.write_all(b"GET /api/status?list=* HTTP/1.1\r\nHost: localhost\r\n\r\n").ok();
        clients.push_back(stream);
        most = most.max(threads());
        if clients.len() > 200 {
            clients.pop_front();
        }
    }
    assert!(most <= before + 8, "{most} threads, {before} before");
    served.sandbox.set_store("web: {b: '127.0.0.1:9002'}\n");
    served.sandbox.wait_log("127.0.0.1:9002");
}
