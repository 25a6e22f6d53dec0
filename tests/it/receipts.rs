//! Receipts: real agents report in a real etcd which changes a real nginx uses, and `upstreamd agents` summarizes that.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};

use nix::sys::signal::Signal;
use upstreamd::model::key::Revision;
use upstreamd::model::receipt::{self, AgentProgress, Receipt, StoredReceipt};

use crate::endpoints::clean_worker;
use crate::support::agent::{DEADLINE, Mark, Sandbox};
use crate::support::etcd::Etcd;
use crate::support::nginx::Nginx;
use crate::support::template::table;
use crate::support::{Daemon, free_port, wait_for, wait_until};

/// A key as etcdctl shows it: value, lease, revision of its last change, changes since it was created.
#[derive(Debug, PartialEq, Eq)]
struct Stored {
    text: String,
    lease: i64,
    mod_revision: i64,
    version: i64,
}

fn stored(etcd: &Etcd, key: &str) -> Option<Stored> {
    let answer: serde_json::Value = serde_json::from_str(&etcd.ctl(&["get", key, "-w", "json"])).unwrap();
    let pair = answer["kvs"].as_array()?.first()?;
    use base64::Engine;
    let value = base64::engine::general_purpose::STANDARD.decode(pair["value"].as_str()?).unwrap();
    let number = |name: &str| pair[name].as_i64().unwrap_or(0);
    let text = String::from_utf8(value).unwrap();
    Some(Stored { text, lease: number("lease"), mod_revision: number("mod_revision"), version: number("version") })
}

fn stored_receipt(etcd: &Etcd, id: &str) -> Option<StoredReceipt> {
    let Stored { text, mod_revision, .. } = stored(etcd, &receipt::key_of(id))?;
    Some(StoredReceipt { id: id.to_owned(), text, written: Revision(mod_revision) })
}

fn receipt_of(etcd: &Etcd, id: &str) -> Option<Receipt> {
    stored_receipt(etcd, id).map(|stored| stored.read().unwrap())
}

#[track_caller]
fn wait_receipt(etcd: &Etcd, id: &str, what: &str, is_so: impl Fn(&Receipt) -> bool) -> Receipt {
    wait_for(what, DEADLINE, || receipt_of(etcd, id).filter(&is_so))
}

/// Returns whether all agents that see the key have drained its last change.
fn has_drained(etcd: &Etcd, key: &str) -> bool {
    let revision = stored(etcd, key).unwrap().mod_revision;
    let receipts: Vec<StoredReceipt> = ["a", "b"].iter().filter_map(|id| stored_receipt(etcd, id)).collect();
    receipt::fleet(&receipts, key, Revision(revision)).has_drained()
}

/// nginx in front of TCP backends that are listed below `/echo`, kept by an agent.
struct Balancer {
    nginx: Nginx,
    sandbox: Sandbox,
    port: u16,
}

impl Balancer {
    fn new(etcd: &Etcd) -> Balancer {
        Balancer::of(etcd, "/echo")
    }

    /// A balancer of the backends below this folder.
    fn of(etcd: &Etcd, folder: &str) -> Balancer {
        let servers =
            format!("{{% for b in backends(prefix=\"{folder}\") %}}server {{{{ b.address }}}};\n{{% endfor %}}");
        Balancer::on(Nginx::builder().workers(1).build(), etcd, folder, &servers)
    }

    /// A balancer that asks for the backends below `/echo`.
    fn asking(etcd: &Etcd) -> Balancer {
        let servers = "zone echo 256k;\n{{ servers(prefix=\"/echo\") }}";
        Balancer::on(Nginx::recent().workers(1).build(), etcd, "/echo", servers)
    }

    fn on(nginx: Nginx, etcd: &Etcd, folder: &str, servers: &str) -> Balancer {
        let mut balancer = Balancer { nginx, sandbox: Sandbox::on_etcd(&etcd.url()), port: free_port() };
        balancer.sandbox.template(
            "echo.tera",
            &format!(
                "upstream echo {{\n{servers}}}\n\
                 server {{ listen 127.0.0.1:{port}; proxy_pass echo; proxy_timeout 1h; }}\n\
                 server {{ listen 127.0.0.1:{port} udp; proxy_pass echo; proxy_timeout 3s; }}\n",
                port = balancer.port
            ),
        );
        let (dest, check) = (balancer.nginx.stream_file("echo.conf"), balancer.nginx.check_command());
        balancer.sandbox.resource(
            "echo",
            &table("echo.tera", dest.display()).keys(&[folder]).set("check_cmd", &check).set("reload", "nginx"),
        );
        balancer.nginx.start();
        balancer
    }

    fn start(&self, id: &str) -> Daemon {
        self.sandbox.start(&["--watch", "--receipts", "--agent-id", id])
    }
}

/// A backend that answers one line to each line, on as many connections as come.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let (mut from, mut to) = (stream.try_clone().unwrap(), stream);
                std::io::copy(&mut from, &mut to).ok();
            });
        }
    });
    port
}

/// A backend that answers each byte with this one, on as many connections as come, and each datagram too.
fn saying(letter: u8) -> u16 {
    let (listener, socket) = wait_for("a port", DEADLINE, || {
        let listener = TcpListener::bind("127.0.0.1:0").ok()?;
        let socket = UdpSocket::bind(listener.local_addr().ok()?).ok()?;
        Some((listener, socket))
    });
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(
                move || while stream.read_exact(&mut [0]).is_ok() && stream.write_all(&[letter]).is_ok() {},
            );
        }
    });
    std::thread::spawn(move || {
        while let Ok((_, sender)) = socket.recv_from(&mut [0]) {
            socket.send_to(&[letter], sender).ok();
        }
    });
    port
}

/// Returns the letter of the backend at the other end.
fn asked(stream: &mut TcpStream) -> Option<u8> {
    let mut letter = [0];
    stream.write_all(b"x").and_then(|()| stream.read_exact(&mut letter)).ok().map(|()| letter[0])
}

/// A connection through the balancer to the backend that answers with this letter.
fn connection_to(port: u16, letter: u8) -> TcpStream {
    wait_for("a connection to that backend", DEADLINE, || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        (asked(&mut stream) == Some(letter)).then_some(stream)
    })
}

/// A connection through the balancer that is known to be served.
fn held_connection(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    stream
}

#[test]
fn a_receipt_says_when_a_change_is_applied_and_when_nobody_lacks_it() {
    let etcd = Etcd::start();
    let (first, second) = (echo(), echo());
    etcd.put("/echo/1", &format!("127.0.0.1:{first}"));
    let balancer = Balancer::new(&etcd);
    let mut agent = balancer.start("a");
    wait_receipt(&etcd, "a", "the first receipt", |receipt| receipt.standing() == AgentProgress::InSync);
    let before = stored(&etcd, "/upstreamd/agents/a").unwrap();
    assert_ne!(before.lease, 0, "it goes with its agent");

    let connection = held_connection(balancer.port);
    etcd.put("/echo/2", &format!("127.0.0.1:{second}"));
    let revision = stored(&etcd, "/echo/2").unwrap().mod_revision;
    let draining = wait_receipt(&etcd, "a", "applied", |receipt| receipt.resources[0].applied == Some(revision));
    // The connection holds its worker, which does not know the second backend.
    assert_eq!(draining.standing(), AgentProgress::Draining, "{draining:?}");
    assert_eq!((draining.resources[0].converged, draining.generation), (Some(revision), 2));
    assert!(!has_drained(&etcd, "/echo/2"));
    drop(connection);
    wait_until("drained", DEADLINE, || has_drained(&etcd, "/echo/2"));
    let drained = wait_receipt(&etcd, "a", "in sync", |receipt| receipt.standing() == AgentProgress::InSync);
    assert_eq!((drained.generation, drained.drained_generation), (2, Some(2)));

    // Nothing moves: other keys, another look at everything, the same value again.
    let still = stored(&etcd, "/upstreamd/agents/a").unwrap();
    etcd.put("/elsewhere", "x");
    etcd.put("/echo/2", &format!("127.0.0.1:{second}"));
    let mark = balancer.sandbox.mark();
    agent.signal(Signal::SIGUSR1);
    balancer.sandbox.wait_log_since(mark, "is up to date");
    // A change that does move it, behind those.
    etcd.put("/echo/3", "127.0.0.1:1");
    wait_receipt(&etcd, "a", "in sync again", |receipt| {
        receipt.generation == 3 && receipt.standing() == AgentProgress::InSync
    });
    let moved = stored(&etcd, "/upstreamd/agents/a").unwrap();
    // Applied and, unless both came at once, drained.
    assert!((1..=2).contains(&(moved.version - still.version)), "{still:?}\n{moved:?}");
    assert_eq!(moved.lease, before.lease);

    agent.signal(Signal::SIGTERM);
    wait_until("the receipt to go", DEADLINE, || stored(&etcd, "/upstreamd/agents/a").is_none());
    assert!(agent.child.wait().unwrap().success());
}

#[test]
fn a_backend_drains_with_its_last_connection_while_a_worker_is_pinned() {
    let etcd = Etcd::start();
    etcd.put("/echo/a", &format!("127.0.0.1:{}", saying(b'a')));
    etcd.put("/echo/b", &format!("127.0.0.1:{}", saying(b'b')));
    let balancer = Balancer::new(&etcd);
    let _agent = balancer.start("a");
    wait_receipt(&etcd, "a", "the first receipt", |receipt| receipt.standing() == AgentProgress::InSync);
    let mut to_b = connection_to(balancer.port, b'b');
    let to_a = [connection_to(balancer.port, b'a'), connection_to(balancer.port, b'a')];
    let [worker] = balancer.nginx.worker_pids().try_into().unwrap();

    etcd.delete("/echo/a");
    let removed = wait_receipt(&etcd, "a", "applied", |receipt| receipt.generation == 2);
    let removal = removed.resources[0].applied;
    // The next receipt is a second younger, in which the connections were looked at several times.
    etcd.put("/echo/c", "127.0.0.1:1");
    let added = wait_receipt(&etcd, "a", "applied", |receipt| receipt.generation == 3);
    for receipt in [removed, added] {
        assert!(receipt.resources[0].drained < removal, "{receipt:?}");
    }
    let [first, last] = to_a;
    drop(first);
    etcd.put("/echo/d", "127.0.0.1:2");
    let one_left = wait_receipt(&etcd, "a", "applied", |receipt| receipt.generation == 4);
    assert!(one_left.resources[0].drained < removal, "{one_left:?}");
    drop(last);
    let drained = wait_receipt(&etcd, "a", "drained", |receipt| receipt.resources[0].drained >= removal);
    assert_eq!((drained.resources[0].drained, drained.drained_generation), (removal, Some(1)), "{drained:?}");
    balancer.sandbox.wait_log("drained, nginx has no connection to a removed backend any more");
    assert!(
        balancer.nginx.draining_worker_pids().contains(&worker) && asked(&mut to_b) == Some(b'b'),
        "the old worker is there"
    );
    drop(to_b);
    wait_receipt(&etcd, "a", "in sync", |receipt| receipt.standing() == AgentProgress::InSync);
    let log = balancer.sandbox.log();
    assert_eq!(log.matches("drained, nginx has no connection").count(), 1, "{log}");
    assert_eq!(log.matches("drained, no worker").count(), 3, "the first change and both additions:\n{log}");
}

#[test]
fn a_backend_that_nginx_asks_for_drains_with_its_last_connection() {
    let etcd = Etcd::start();
    etcd.put("/echo/a", &format!("127.0.0.1:{}", saying(b'a')));
    etcd.put("/echo/b", &format!("127.0.0.1:{}", saying(b'b')));
    let balancer = Balancer::asking(&etcd);
    let port = free_port();
    let listen = format!("127.7.{}.{}:{port}", port >> 8, port & 255);
    let arguments = ["--watch", "--receipts", "--agent-id", "a", "--endpoints-listen", &listen];
    let _agent = balancer.sandbox.start(&arguments);
    balancer.sandbox.wait_log("reloading nginx once more");
    balancer.sandbox.wait_log_times_since(Mark::START, "verified the reload", 2);
    wait_receipt(&etcd, "a", "in sync", |receipt| receipt.standing() == AgentProgress::InSync);
    let mut to_b = connection_to(balancer.port, b'b');
    let to_a = connection_to(balancer.port, b'a');
    let workers = balancer.nginx.worker_pids();
    // nginx is known as long as it runs, even without its pid file.
    let pid_file = balancer.nginx.pid_file();
    let elsewhere = pid_file.with_extension("elsewhere");
    std::fs::rename(&pid_file, &elsewhere).unwrap();

    etcd.delete("/echo/a");
    let removed = wait_receipt(&etcd, "a", "applied", |receipt| {
        let echo = &receipt.resources[0];
        echo.applied == Some(echo.seen) && echo.drained < echo.applied
    });
    let removal = removed.resources[0].applied;
    etcd.put("/echo/c", "127.0.0.1:1");
    let added = wait_receipt(&etcd, "a", "applied", |receipt| receipt.resources[0].applied > removal);
    assert!(added.resources[0].drained < removal, "{added:?}");
    drop(to_a);
    std::fs::rename(&elsewhere, &pid_file).unwrap();
    let drained = wait_receipt(&etcd, "a", "in sync", |receipt| receipt.standing() == AgentProgress::InSync);
    assert_eq!(drained.generation, 2, "no reload: {drained:?}");
    balancer.sandbox.wait_log("drained, nginx has no connection to a removed backend any more");
    assert_eq!((balancer.nginx.worker_pids(), asked(&mut to_b)), (workers, Some(b'b')));
}

#[test]
fn workers_of_a_master_that_has_quit_keep_their_backends_from_draining() {
    for asks in [false, true] {
        let etcd = Etcd::start();
        etcd.put("/echo/a", &format!("127.0.0.1:{}", saying(b'a')));
        etcd.put("/echo/b", &format!("127.0.0.1:{}", saying(b'b')));
        let mut balancer = if asks { Balancer::asking(&etcd) } else { Balancer::new(&etcd) };
        let port = free_port();
        let listen = format!("127.7.{}.{}:{port}", port >> 8, port & 255);
        let arguments = ["--watch", "--receipts", "--agent-id", "a", "--endpoints-listen", &listen];
        let _agent = balancer.sandbox.start(&arguments);
        if asks {
            balancer.sandbox.wait_log("reloading nginx once more");
            balancer.sandbox.wait_log_times_since(Mark::START, "verified the reload", 2);
        }
        wait_receipt(&etcd, "a", "in sync", |receipt| receipt.standing() == AgentProgress::InSync);
        let mut to_a = connection_to(balancer.port, b'a');
        let mut master = balancer.nginx.quit();
        balancer.nginx.start();

        etcd.delete("/echo/a");
        let removed = wait_receipt(&etcd, "a", "applied", |receipt| {
            let echo = &receipt.resources[0];
            echo.applied == Some(echo.seen) && echo.drained < echo.applied
        });
        let removal = removed.resources[0].applied;
        etcd.put("/echo/c", "127.0.0.1:1");
        let added = wait_receipt(&etcd, "a", "applied", |receipt| receipt.resources[0].applied > removal);
        assert!(added.resources[0].drained < removal, "asks: {asks}, {added:?}");
        assert_eq!(asked(&mut to_a), Some(b'a'));
        drop(to_a);
        wait_receipt(&etcd, "a", "in sync", |receipt| receipt.standing() == AgentProgress::InSync);
        wait_for("the end of the master", DEADLINE, || master.try_wait().unwrap());
    }
}

#[test]
fn what_nginx_still_uses_is_known_after_a_restart_of_the_agent() {
    let etcd = Etcd::start();
    etcd.put("/echo/a", &format!("127.0.0.1:{}", saying(b'a')));
    etcd.put("/echo/b", &format!("127.0.0.1:{}", saying(b'b')));
    let balancer = Balancer::asking(&etcd);
    let port = free_port();
    let listen = format!("127.7.{}.{}:{port}", port >> 8, port & 255);
    let start = || balancer.sandbox.start(&["--watch", "--receipts", "--agent-id", "a", "--endpoints-listen", &listen]);
    let mut agent = start();
    balancer.sandbox.wait_log("reloading nginx once more");
    balancer.sandbox.wait_log_times_since(Mark::START, "verified the reload", 2);
    wait_receipt(&etcd, "a", "in sync", |receipt| receipt.standing() == AgentProgress::InSync);
    let to_a = connection_to(balancer.port, b'a');
    let workers = balancer.nginx.worker_pids();
    // Otherwise the next agent reloads an nginx that may have read of the backend on disk.
    let wait_saved = || {
        let is_saved = || clean_worker(&balancer.sandbox, &balancer.nginx).is_some();
        wait_until("the record of the worker", DEADLINE, is_saved);
    };
    wait_saved();
    agent.kill();
    etcd.delete("/echo/a");
    // It finds the removal at its start; then it knows of it from its first run only.
    for round in 1..3 {
        etcd.delete("/upstreamd/agents/a");
        agent = start();
        // The last receipt is half a second younger than the first, in which connections were looked at several times.
        for key in ["/echo/c", "/echo/d"] {
            etcd.put(key, &format!("127.0.0.1:{}", if key == "/echo/c" { round } else { round + 2 }));
            let added = stored(&etcd, key).map(|stored| stored.mod_revision);
            let receipt = wait_receipt(&etcd, "a", "applied", |receipt| receipt.resources[0].applied >= added);
            assert_eq!(receipt.resources[0].drained, None, "{receipt:?}");
        }
        wait_saved();
        agent.kill();
    }
    etcd.delete("/upstreamd/agents/a");
    let _agent = start();
    drop(to_a);
    wait_receipt(&etcd, "a", "in sync", |receipt| receipt.standing() == AgentProgress::InSync);
    assert_eq!(balancer.nginx.worker_pids(), workers, "no reload");
}

#[test]
fn a_udp_session_counts_until_nginx_ends_it() {
    let etcd = Etcd::start();
    let backend = saying(b'a');
    etcd.put("/echo/a", &format!("127.0.0.1:{backend}"));
    etcd.put("/echo/b", &format!("127.0.0.1:{}", saying(b'b')));
    let balancer = Balancer::new(&etcd);
    let _agent = balancer.start("a");
    wait_receipt(&etcd, "a", "the first receipt", |receipt| receipt.standing() == AgentProgress::InSync);
    let mut to_b = connection_to(balancer.port, b'b');
    wait_for("a session with the backend", DEADLINE, || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut letter = [0];
        socket.send_to(b"x", ("127.0.0.1", balancer.port)).unwrap();
        socket.recv(&mut letter).unwrap();
        (letter == *b"a").then_some(())
    });
    // nginx connects its sockets of UDP.
    let sessions =
        || std::fs::read_to_string("/proc/net/udp").unwrap().contains(&format!(" 0100007F:{backend:04X} 01"));
    assert!(sessions());
    etcd.delete("/echo/a");
    let removal = wait_receipt(&etcd, "a", "applied", |receipt| receipt.generation == 2).resources[0].applied;
    wait_receipt(&etcd, "a", "drained", |receipt| receipt.resources[0].drained >= removal);
    assert!(!sessions() && asked(&mut to_b) == Some(b'b'));
}

#[test]
fn a_command_ends_with_its_last_connection_while_a_worker_is_pinned() {
    let etcd = Etcd::start();
    etcd.put("/services/echo/b", &format!("127.0.0.1:{}", saying(b'b')));
    let backend = format!("127.0.0.1:{}", saying(b'a'));
    let balancer = Balancer::of(&etcd, "/services/echo");
    let _agent = balancer.start("balancer");
    let announces = Sandbox::on_etcd(&etcd.url());
    let mut announcer = announces.start_with_command(&[
        "announce",
        "--name",
        "echo",
        "--id",
        "a",
        "--address",
        &backend,
        "--drain-timeout",
        "1h",
        "--",
        "sleep",
        "1000",
    ]);
    let mut to_a = connection_to(balancer.port, b'a');
    let mut to_b = connection_to(balancer.port, b'b');
    announcer.signal(Signal::SIGTERM);
    announces.wait_log("waiting for balancers that may still send traffic to /services/echo/a: balancer");
    wait_receipt(&etcd, "balancer", "applied", |receipt| {
        let echo = &receipt.resources[0];
        echo.applied == Some(echo.seen) && echo.drained < echo.applied
    });
    assert!(announcer.child.try_wait().unwrap().is_none() && asked(&mut to_a) == Some(b'a'), "{}", announces.log());
    drop(to_a);
    let status = wait_for("the announcer to end", DEADLINE, || announcer.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(143), "{}", announces.log());
    assert_eq!(asked(&mut to_b), Some(b'b'), "an old worker is pinned");
}

#[test]
fn what_is_refused_shows_as_lagging_in_the_fleet() {
    let etcd = Etcd::start();
    etcd.put("/v/x", "good");
    let (good, bad) = (Sandbox::on_etcd(&etcd.url()), Sandbox::on_etcd(&etcd.url()));
    good.plain_resource("app", "reload_cmd = \"true\"");
    bad.plain_resource("app", "check_cmd = \"! grep -q bad {{.src}}\"\nreload_cmd = \"true\"");
    let _agents =
        [("a", &good), ("b", &bad)].map(|(id, sandbox)| sandbox.start(&["--watch", "--receipts", "--agent-id", id]));
    for id in ["a", "b"] {
        wait_receipt(&etcd, id, "in sync", |receipt| receipt.standing() == AgentProgress::InSync);
    }
    etcd.put("/v/x", "bad");
    let revision = stored(&etcd, "/v/x").unwrap().mod_revision;
    let behind = wait_receipt(&etcd, "b", "behind", |receipt| receipt.standing() == AgentProgress::Behind);
    assert_eq!((behind.resources[0].seen, behind.resources[0].drained), (revision, None));
    wait_receipt(&etcd, "a", "applied", |receipt| receipt.resources[0].applied == Some(revision));

    let applied = behind.resources[0].applied.unwrap();
    let table = good.run(&["agents"]).expect_code(0).stdout;
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["AGENT", "STATE", "GENERATION", "DRAINED", "RESOURCES", "LAGGING"]);
    assert_eq!(rows[1][..3], ["a", "in", "sync"]);
    let lagging = format!("app.toml: applied {applied}, seen {revision}");
    assert_eq!(rows[2][..2], ["b", "behind"], "{table}");
    assert!(table.lines().nth(2).unwrap().ends_with(&lagging), "{table}");

    let json = good.run(&["agents", "--format", "json"]).expect_code(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json[0]["standing"], &json[1]["standing"]), (&"in-sync".into(), &"behind".into()));
    assert_eq!(json[1]["receipt"]["resources"][0]["applied"], applied);

    etcd.put("/v/x", "good again");
    wait_receipt(&etcd, "b", "in sync", |receipt| receipt.standing() == AgentProgress::InSync);
}

#[test]
fn a_receipt_goes_on_while_another_of_the_group_is_refused() {
    let etcd = Etcd::start();
    let sandbox = Sandbox::on_etcd(&etcd.url());
    // Whatever the value is, the file of `same` stays the same.
    for (name, text) in [("other", "{{ getv(key=\"/other/x\") }}"), ("same", "{% set x = getv(key=\"/same/x\") %}same")]
    {
        etcd.put(&format!("/{name}/x"), "good");
        sandbox.template(&format!("{name}.tera"), text);
        let lines = table(format!("{name}.tera"), sandbox.text_path(&format!("out/{name}")));
        let lines =
            lines.keys(&[&format!("/{name}")]).set("check_cmd", "! grep -q bad {{.src}}").set("reload_cmd", "true");
        sandbox.resource(name, &lines);
    }
    let _agent = sandbox.start(&["--watch", "--receipts", "--agent-id", "a"]);
    wait_receipt(&etcd, "a", "in sync", |receipt| receipt.standing() == AgentProgress::InSync);
    etcd.put("/other/x", "bad");
    let refused = stored(&etcd, "/other/x").unwrap().mod_revision;
    wait_receipt(&etcd, "a", "refused", |receipt| receipt.resources[0].seen == refused);
    // Alone, and rendered together with the one that is refused.
    for put_other in [false, true] {
        etcd.put("/same/x", if put_other { "2" } else { "1" });
        let revision = stored(&etcd, "/same/x").unwrap().mod_revision;
        if put_other {
            etcd.put("/other/x", "bad too");
        }
        let receipt = wait_receipt(&etcd, "a", "applied", |receipt| receipt.resources[1].applied >= Some(revision));
        assert!(receipt.resources[0].applied < Some(refused), "{receipt:?}");
    }
}

#[test]
fn etcd_away_disturbs_nobody_and_the_receipt_comes_back() {
    let mut etcd = Etcd::start();
    etcd.put("/v/x", "one");
    let sandbox = Sandbox::on_etcd(&etcd.url());
    sandbox.plain_resource("app", "");
    let mut agent = sandbox.start(&["--watch", "--receipts", "--agent-id", "a"]);
    sandbox.wait_output("app", "one\n");
    wait_receipt(&etcd, "a", "the receipt", |receipt| receipt.standing() == AgentProgress::InSync);
    etcd.kill();
    sandbox.wait_log("cannot update the agent's receipt, trying again");
    // An edit of the template is applied without etcd.
    sandbox.template("values.tera", "edited {% for pair in gets(pattern=\"/v/*\") %}{{ pair.value }}\n{% endfor %}");
    sandbox.wait_output("app", "edited one\n");
    etcd.restart();
    etcd.delete("/upstreamd/agents/a");
    etcd.put("/v/x", "two");
    sandbox.wait_output("app", "edited two\n");
    let revision = stored(&etcd, "/v/x").unwrap().mod_revision;
    wait_receipt(&etcd, "a", "the receipt again", |receipt| receipt.resources[0].applied == Some(revision));

    etcd.kill();
    agent.signal(Signal::SIGTERM);
    let ended = wait_for("the end without etcd", DEADLINE, || agent.child.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0), "{}", sandbox.log());
}

#[test]
fn after_a_restore_a_receipt_has_revisions_of_the_restored_store() {
    let mut etcd = Etcd::start();
    let [one, two] = [echo(), echo()].map(|port| format!("127.0.0.1:{port}"));
    etcd.put("/echo/1", &one);
    let balancer = Balancer::new(&etcd);
    let copy = balancer.sandbox.path("copy.db");
    etcd.save_copy(&copy);
    let mut writer = etcd.writer();
    let last = [&two, &one].map(|value| (0..50).map(|_| writer.put("/echo/1", value.as_str())).last())[1];
    let _agent = balancer.start("a");
    let is_in_sync = |receipt: &Receipt| receipt.standing() == AgentProgress::InSync;
    wait_receipt(&etcd, "a", "in sync", |receipt| is_in_sync(receipt) && receipt.resources[0].drained == last);
    etcd.kill();
    etcd.restore_copy(&copy);
    etcd.restart();
    // With the same values. A receipt that names later revisions than the store has is not believed.
    wait_for("a receipt that is believed", DEADLINE, || {
        let receipt = stored_receipt(&etcd, "a")?.read().ok()?;
        (is_in_sync(&receipt) && receipt.resources[0].applied < last).then_some(())
    });
    wait_until("drained", DEADLINE, || has_drained(&etcd, "/echo/1"));
    etcd.put("/echo/1", &two);
    wait_until("the next change", DEADLINE, || has_drained(&etcd, "/echo/1"));
    let receipt = wait_receipt(&etcd, "a", "in sync again", is_in_sync);
    assert!(receipt.resources[0].drained < last, "{receipt:?}");
}

#[test]
fn a_resource_that_sees_every_key_does_not_chase_its_own_receipt() {
    let etcd = Etcd::start();
    etcd.put("/v/x", "one");
    let sandbox = Sandbox::on_etcd(&etcd.url());
    sandbox
        .template("all.tera", "{% for pair in gets(pattern=\"/*/*\") %}{{ pair.key }} {{ pair.value }}\n{% endfor %}");
    let dest = sandbox.text_path("out/all");
    sandbox.resource("all", &table("all.tera", &dest).keys(&["/"]));
    let agent = sandbox.start(&["--watch", "--receipts", "--agent-id", "a"]);
    wait_receipt(&etcd, "a", "in sync", |receipt| receipt.standing() == AgentProgress::InSync);
    for round in 1..=5 {
        etcd.put("/v/x", &round.to_string());
        sandbox.wait_output("all", &format!("/v/x {round}\n"));
    }
    let last = stored(&etcd, "/v/x").unwrap().mod_revision;
    wait_receipt(&etcd, "a", "the last change", |receipt| receipt.resources[0].applied == Some(last));
    agent.signal(Signal::SIGUSR1);
    etcd.put("/v/x", "end");
    sandbox.wait_output("all", "/v/x end\n");
    // One for the start, and for each of the seven changes one or two, as it was seen and applied: had one called for another,
    // there would be no end of them.
    assert!(stored(&etcd, "/upstreamd/agents/a").unwrap().version <= 16);
}

#[test]
fn two_agents_with_one_name_are_reported() {
    let etcd = Etcd::start();
    let sandboxes = [Sandbox::on_etcd(&etcd.url()), Sandbox::on_etcd(&etcd.url())];
    let agents = sandboxes.each_ref().map(|sandbox| {
        sandbox.plain_resource("app", "");
        let agent = sandbox.start(&["--watch", "--receipts", "--agent-id", "a"]);
        wait_until("a receipt", DEADLINE, || stored(&etcd, "/upstreamd/agents/a").is_some());
        agent
    });
    let log = || sandboxes[1].log();
    // It waits until a predecessor that has just died would be forgotten.
    wait_until("the complaint", DEADLINE * 2, || log().contains("give each agent its own --agent-id"));
    drop(agents);
}

#[test]
fn settings_that_make_no_receipt_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("app", "");
    let ran = sandbox.run(&["--onetime", "--receipts"]).expect_code(2);
    assert!(ran.stderr.contains("receipts: they are kept in etcd"), "{}", ran.stderr);
    let ran = sandbox.run(&["--onetime", "--agent-id", "a/b"]).expect_code(2);
    assert!(ran.stderr.contains("`a/b` is not a name for an agent"), "{}", ran.stderr);
}
