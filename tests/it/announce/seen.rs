//! What `upstreamd status` says about announcers: alone on a machine, beside an agent, dead, and with hostile sockets in their place.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Backend, QUICK, World};
use crate::support::agent::{DEADLINE, Ran};
use crate::support::nginx::http_get;
use crate::support::template::table;
use crate::support::{Daemon, free_port, wait_for, wait_or, wait_until};

impl World {
    fn socket(&self, pid: impl std::fmt::Display) -> PathBuf {
        self.sandbox.path(&format!("state/announce-{pid}.sock"))
    }

    /// Waits until `status` ends with this code and says all of this.
    #[track_caller]
    pub(super) fn wait_status(&self, code: i32, said: &[&str]) -> Ran {
        let look = || {
            let ran = self.sandbox.run(&["status"]);
            let text = format!("{}{}", ran.stdout, ran.stderr);
            (ran.code == Some(code) && said.iter().all(|said| text.contains(said))).then_some(ran)
        };
        let last = || {
            let ran = self.sandbox.run(&["status"]);
            format!("not {code} {said:?} but {:?}:\n{}{}\n{}", ran.code, ran.stdout, ran.stderr, self.sandbox.log())
        };
        wait_or(DEADLINE, look, last)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.sandbox.run(&["status", "--json"]).stdout).unwrap()
    }

    /// The announcer of this process in the status.
    fn announcer(&self, pid: i32) -> Value {
        let status = self.json();
        let all = status["announced"].as_array().unwrap();
        all.iter().find(|announcer| announcer["pid"] == pid).unwrap_or(&Value::Null).clone()
    }
}

#[test]
fn a_backend_that_fails_and_heals_is_seen_with_its_reason() {
    let mut world = World::new();
    let backend = Backend::silent();
    let (announcer, _) = world.announce_web(&backend);
    let port = backend.port;
    world.wait_status(
        0,
        &["announced: yes  1 of 1 service by 1 announcer", "announced 127.0.0.1:", "check tcp: passed"],
    );
    let socket = world.socket(announcer.pid());
    let found = fs::metadata(&socket).unwrap();
    assert_eq!((found.permissions().mode() & 0o777, found.uid()), (0o660, nix::unistd::geteuid().as_raw()));
    // A slow disk may cost a lease, or the connection for a moment.
    let agrees = |world: &mut World| {
        let (status, entry) = (world.announcer(announcer.pid()), world.reader.read("/services/")?.1.pop()?);
        let service = status["services"][0].clone();
        let is_same = service["lease"]["id"] == format!("{:x}", entry.lease) && service["key"] == entry.key;
        (is_same && status["etcd"]["member"] == world.etcd.url()).then_some(service)
    };
    let service = wait_for("the store's key in the status", DEADLINE, || agrees(&mut world));
    assert_eq!((&service["state"], &service["address"]), (&"announced".into(), &format!("127.0.0.1:{port}").into()));
    for time in [&service["since"], &service["check"]["at"], &service["lease"]["expires"]] {
        assert!(time.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{service}");
    }
    drop(backend);
    let reason = format!("/services/web/one: cannot connect to 127.0.0.1:{port}: Connection refused");
    world.wait_status(13, &["announced: NO   0 of 1", "unhealthy 127.0.0.1:", &reason, "what to do"]);
    let _backend = Backend::again(port);
    world.wait_status(0, &["announced: yes"]);
    announcer.signal(Signal::SIGTERM);
    wait_until("the end of the socket", DEADLINE, || !socket.exists());
}

#[test]
fn two_do_not_meet_and_what_a_killed_one_leaves_is_no_announcer() {
    let mut world = World::new();
    let backend = Backend::silent();
    let (mut first, _) = world.announce_web(&backend);
    let two = ["--name", "web", "--id", "two", "--address", "127.0.0.1:1"];
    let second = world.announce(&two);
    world.wait_status(13, &["1 of 2 services by 2 announcers", "/services/web/two"]);
    first.kill();
    let left = world.socket(first.pid());
    assert!(left.exists());
    world.wait_status(13, &["0 of 1 service by 1 announcer"]);
    assert!(left.exists(), "a look changes nothing");
    let third = world.announce(&["--name", "web", "--id", "three", "--address", &backend.address()]);
    wait_until("the end of what is left", DEADLINE, || !left.exists());
    world.wait_status(13, &["1 of 2 services by 2 announcers"]);
    assert!(world.socket(second.pid()).exists() && world.socket(third.pid()).exists());
}

#[test]
fn each_reason_has_its_exit_code() {
    let mut world = World::new();
    let backend = Backend::silent();
    world.etcd.put("/services/web/two", "192.0.2.1:80");
    let folder = world.sandbox.path("announce.d");
    fs::create_dir(&folder).unwrap();
    let service = |id: &str| {
        let address = backend.address();
        format!(
            "[[service]]\nname = \"web\"\nid = \"{id}\"\naddress = \"{address}\"\ninterval = \"300ms\"\n\
             timeout = \"250ms\"\nttl = \"3s\"\nrise = 1\n"
        )
    };
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write("a.toml", &service("one"));
    let _announcer = world.sandbox.start(&["announce", "--config-dir", folder.to_str().unwrap()]);
    world.wait_status(0, &["1 of 1 service", "announce.d: 1 of 1 announced"]);
    write("b.toml", &service("two"));
    world.wait_status(11, &["held", "another announcer (without a lease) has the key"]);
    fs::remove_file(folder.join("b.toml")).unwrap();
    write("a.toml", "[[service]]\nname = \"<b>\"\n");
    let broken = world.wait_status(3, &["file error", "a.toml:", "1 of 1 announced"]);
    assert!(!broken.stdout.contains("192.0.2.1"), "a value is nobody's business: {}", broken.stdout);
    world.etcd.kill();
    world.wait_status(4, &["away since", "the key stays until", "what to do Check etcd"]);
    world.wait_status(4, &["waiting", "the lease has expired"]);
}

/// Answers every connection with these bytes, or never.
fn hostile(path: PathBuf, answer: Option<Vec<u8>>) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        let mut silent: Vec<UnixStream> = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            match &answer {
                // One that only looks whether anybody listens asks for nothing.
                Some(answer) if stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0) => {
                    stream.write_all(answer).ok();
                }
                Some(_) => {}
                None => silent.push(stream),
            }
        }
    });
}

fn http(body: &str) -> Option<Vec<u8>> {
    Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

const MARKUP: &str = "<script>alert(1)</script>";

#[test]
fn what_stands_in_place_of_a_socket_harms_nobody() {
    let mut world = World::new();
    let backend = Backend::silent();
    let (announcer, _) = world.announce_web(&backend);
    let mine = world.socket(7);
    fs::write(&mine, "mine").unwrap();
    std::os::unix::fs::symlink(world.socket(announcer.pid()), world.socket(8)).unwrap();
    world.wait_status(0, &["1 of 1 service by 1 announcer"]);
    hostile(world.socket(1_000_001), None);
    hostile(world.socket(1_000_002), Some(vec![b'x'; 1 << 20]));
    hostile(world.socket(1_000_003), http(&format!("{{\"format\":1,\"version\":\"{}\"}}", "x".repeat(2 << 20))));
    let claimed = format!(
        r#"{{"format":1,"pid":1,"version":"{MARKUP}","total":1,"services":[{{"key":"/x/{MARKUP}","state":"held","reason":"a\u001b[2Jb"}}]}}"#
    );
    hostile(world.socket(1_000_004), http(&claimed));
    let seen = world.wait_status(14, &["process 1000001 does not answer: no answer in 1s", "1 of 2 services"]);
    for pid in 1_000_002..=1_000_003 {
        assert!(seen.stderr.contains(&format!("process {pid} does not answer")), "{}", seen.stderr);
    }
    assert!(!seen.stderr.contains("\u{1b}[2J"), "{}", seen.stderr);
    let seen = world.sandbox.run(&["status", "--color", "always"]).expect_code(14);
    assert!(seen.stderr.contains("announced: NO") && !seen.stderr.contains("[31m"), "{}", seen.stderr);
    let json = world.sandbox.run(&["status", "--json"]).expect_code(14);
    assert!(json.stderr.is_empty() && json.stdout.contains("\"silent\":\"no answer"), "{json:?}");
    // One that comes later cleans up after the dead, and touches nothing else.
    let later = world.announce(&["--name", "web", "--id", "two", "--address", &backend.address()]);
    world.wait_status(14, &["2 of 3 services"]);
    assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
    assert!(world.socket(8).exists() && world.socket(1_000_001).exists());
    drop(later);
}

#[test]
fn without_a_folder_for_the_socket_it_announces_all_the_same() {
    let mut world = World::new();
    let backend = Backend::silent();
    fs::write(world.sandbox.path("state"), "mine").unwrap();
    let (announcer, _) = world.announce_web(&backend);
    world.sandbox.wait_log("`upstreamd status` will not show this announcer: cannot listen in");
    drop(announcer);
    world.sandbox.stateless = true;
    let mark = world.sandbox.mark();
    let _announcer = world.announce(&["--name", "app", "--id", "one", "--address", &backend.address()]);
    world.wait_one("/services/app/");
    assert!(!world.sandbox.log_since(mark).contains("upstreamd status"), "{}", world.sandbox.log());
}

/// An agent with its pages at this port.
fn agent(world: &World) -> (Daemon, u16) {
    world.sandbox.template("web.tera", "{{ servers(prefix=\"/services/web\") }}\n");
    let dest = world.sandbox.text_path("out/web.conf");
    world.sandbox.resource("web", &table("web.tera", dest).keys(&["/services/web"]));
    let port = free_port();
    (world.sandbox.start(&["--watch", "--metrics-addr", &format!("127.0.0.1:{port}")]), port)
}

#[test]
fn beside_an_agent_all_views_agree_and_its_answers_stay() {
    let mut world = World::new();
    let backend = Backend::silent();
    let (_web, _) = world.announce_web(&backend);
    let (mut agent, port) = agent(&world);
    let page = || http_get(port, "localhost", "/").map(|answer| answer.body).unwrap_or_default();
    wait_until("the page", DEADLINE, || page().contains("1 of 1 announced"));
    assert!(!page().contains("<h2>Notices"), "{}", page());
    world.wait_status(0, &["in sync: yes", "Announced from this machine", "1 of 1 announced"]);

    let down = world.announce(&["--name", "app", "--id", "one", "--address", "127.0.0.1:1"]);
    let said = "/services/app/one: the check fails";
    let seen = world.wait_status(0, &["in sync: yes", said, "0 of 1 announced"]);
    assert!(!seen.stdout.contains("(no action needed)"), "{}", seen.stdout);
    wait_until("the notice on the page", DEADLINE, || page().contains(said));
    assert!(page().contains("<li class=\"notice\" data-id=\"not_announced"), "{}", page());
    let status = world.json();
    let kinds: Vec<&Value> = status["conditions"].as_array().unwrap().iter().map(|found| &found["kind"]).collect();
    assert_eq!((kinds, &status["sync"]["ok"]), (vec![&"not_announced".into()], &true.into()));
    let explained = world.sandbox.run(&["explain", "/services/app/one"]);
    assert!(explained.stdout.contains(said) && explained.code == Some(0), "{:?} {}", explained.code, explained.stdout);
    let metrics = http_get(port, "localhost", "/metrics").unwrap().body;
    assert!(!metrics.contains("not_announced"), "{metrics}");

    let claimed = format!(r#"{{"format":1,"total":1,"services":[{{"key":"/x/{MARKUP}","state":"held"}}]}}"#);
    hostile(world.socket(1_000_001), http(&claimed));
    wait_until("the markup on the page", DEADLINE, || page().contains("&lt;script&gt;alert(1)"));
    assert!(!page().contains(MARKUP));
    fs::remove_file(world.socket(1_000_001)).unwrap();

    // An agent that is expected and away counts more than what announcers say.
    drop(down);
    agent.kill();
    let away = world.wait_status(14, &["the agent does not answer at", "1 of 1 announced"]);
    assert!(away.stdout.is_empty(), "{}", away.stdout);
}

#[test]
fn a_reader_of_the_page_hears_of_what_is_announced() {
    let mut world = World::new();
    let backend = Backend::silent();
    let (_web, _) = world.announce_web(&backend);
    let (_agent, port) = agent(&world);
    crate::status::wait_answer(port, "/ready", 200);
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_millis(50))).unwrap();
    let mut seen = String::new();
    let mut events = |stream: &mut std::net::TcpStream| {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).unwrap_or(0);
        seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
        seen.matches("event: change").count()
    };
    // One for the beginning, and one for the first look after it. The next is about a key that no resource of this agent reads.
    wait_until("the first events", DEADLINE, || events(&mut stream) >= 2);
    let before = events(&mut stream);
    let _down = world.announce(&["--name", "app", "--id", "one", "--address", "127.0.0.1:1"]);
    wait_until("an event of the announcer", DEADLINE, || events(&mut stream) > before);
}

#[test]
fn one_that_drains_says_so_until_the_end() {
    let world = World::new();
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let own = ["announce", "--name", "web", "--id", "one", "--address", &address, "--check", "h2", "--check-insecure"];
    let program = crate::support::program("nano-container");
    let command = ["--drain-timeout", "60s", "--", &program, "--listen", &address].map(str::to_owned);
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let mut announcer = world.sandbox.start_with_command(&[&own[..], QUICK, &command].concat());
    world.wait_status(0, &["check h2: passed"]);
    announcer.signal(Signal::SIGTERM);
    world.wait_status(15, &["draining", "its last requests may take until"]);
    announcer.signal(Signal::SIGTERM);
    wait_for("the end", DEADLINE, || announcer.child.try_wait().unwrap());
    assert!(!world.socket(announcer.pid()).exists());
}
