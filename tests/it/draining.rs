//! The promise of `drained`, on real nginx and the real `reflector`: a backend that ends only after it breaks no connection.
//! Until then reloads are spread while old workers finish their connections.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::nginx::Nginx;
use crate::support::template::table;
use crate::support::{Daemon, free_port, program, wait_until};

/// Clients that talk to the front at any time.
const CLIENTS: usize = 24;
/// Lines that a client sends on one connection, a moment apart: about a second.
const LINES_PER_CONNECTION: usize = 50;
const PAUSE_BETWEEN_LINES: Duration = Duration::from_millis(20);

/// What the log says when the old workers have ended, or when they have no connection to a removed backend.
const DRAINED: &str = "echo.toml: drained, n";

/// A TCP front kept by upstreamd before `reflector`s that the store lists below `/echo`.
struct Front {
    nginx: Nginx,
    sandbox: Sandbox,
    port: u16,
}

impl Front {
    fn new(workers: usize, more_lines: &str) -> Front {
        let nginx = Nginx::builder().workers(workers).build();
        let sandbox = Sandbox::new();
        let port = free_port();
        sandbox.template(
            "echo.tera",
            &format!(
                "upstream echo {{\n{{% for b in backends(prefix=\"/echo\") %}}server {{{{ b.address }}}};\n{{% endfor %}}}}\n\
                 server {{ listen 127.0.0.1:{port}; proxy_pass echo; }}\n"
            ),
        );
        let (dest, check) = (nginx.stream_file("echo.conf"), nginx.check_command());
        sandbox.resource(
            "echo",
            &table("echo.tera", dest.display())
                .keys(&["/echo"])
                .set("check_cmd", &check)
                .set("reload", "nginx")
                .lines(more_lines),
        );
        Front { nginx, sandbox, port }
    }

    fn lists(&self, backends: &[u16]) {
        let lines: String = backends.iter().map(|port| format!("  b{port}: 127.0.0.1:{port}\n")).collect();
        self.sandbox.set_store(&format!("echo:\n{lines}"));
    }

    /// nginx serves these backends and upstreamd follows; the first reload is over.
    fn start(&mut self, backends: &[u16]) -> Daemon {
        self.lists(backends);
        self.nginx.start();
        let agent = self.sandbox.watch();
        self.sandbox.wait_log("drained, no worker");
        agent
    }

    /// A connection that the backend has answered on.
    fn connect(&self) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        assert!(echoes(&mut stream, "hello\n"));
        stream
    }
}

fn reflector(port: u16) -> Daemon {
    let mut command = Command::new(program("reflector"));
    let daemon =
        Daemon::start(command.arg(format!("--listen=127.0.0.1:{port}")).stdout(Stdio::null()).stderr(Stdio::null()));
    wait_until("the reflector", DEADLINE, || TcpStream::connect(("127.0.0.1", port)).is_ok());
    daemon
}

fn echoes(stream: &mut TcpStream, line: &str) -> bool {
    let mut answer = vec![0; line.len()];
    stream.write_all(line.as_bytes()).is_ok() && stream.read_exact(&mut answer).is_ok() && answer == line.as_bytes()
}

/// Clients that each talk for a while on one connection, then on the next, until they are stopped.
struct Clients {
    stop: Arc<AtomicBool>,
    broken: Arc<AtomicUsize>,
    finished: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Clients {
    fn of(port: u16) -> Clients {
        let (stop, broken, finished) = <(Arc<AtomicBool>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let talk = |n: usize| {
            let (stop, broken, finished) = (Arc::clone(&stop), Arc::clone(&broken), Arc::clone(&finished));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    let counter = if conversation(port, n) { &finished } else { &broken };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        let threads = (0..CLIENTS).map(|n| std::thread::spawn(talk(n))).collect();
        Clients { stop, broken, finished, threads }
    }

    fn broken(&self) -> usize {
        self.broken.load(Ordering::Relaxed)
    }

    /// Waits until every client may have begun and ended connections of its own after this moment.
    fn wait_for_more(&self) {
        let before = self.finished.load(Ordering::Relaxed);
        wait_until("more connections", DEADLINE, || self.finished.load(Ordering::Relaxed) >= before + 3 * CLIENTS);
    }

    /// Ends them all. Returns how many connections broke, and how many did not.
    fn end(self) -> (usize, usize) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        (self.broken.load(Ordering::Relaxed), self.finished.load(Ordering::Relaxed))
    }
}

/// One connection on which every line must come back.
fn conversation(port: u16, client: usize) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    (0..LINES_PER_CONNECTION).all(|line| {
        std::thread::sleep(PAUSE_BETWEEN_LINES);
        echoes(&mut stream, &format!("client {client} line {line}\n"))
    })
}

#[test]
fn a_backend_that_ends_after_drained_breaks_no_connection() {
    let ports = [free_port(), free_port(), free_port()];
    let mut backends = ports.map(reflector);
    let mut front = Front::new(2, "");
    let _agent = front.start(&ports);
    let clients = Clients::of(front.port);
    clients.wait_for_more();

    let mark = front.sandbox.mark();
    front.lists(&ports[1..]);
    front.sandbox.wait_log_since(mark, DRAINED);
    backends[0].kill();
    clients.wait_for_more();
    assert_eq!(clients.broken(), 0, "a backend ended after it was drained:\n{}", front.sandbox.log());

    // That this would be seen: the next backend ends as soon as the reload is verified, with connections on it. Of so many, some are.
    let mut held: Vec<TcpStream> = (0..16).map(|_| front.connect()).collect();
    let mark = front.sandbox.mark();
    front.lists(&ports[2..]);
    front.sandbox.wait_log_since(mark, "verified the reload of nginx");
    assert_eq!(front.sandbox.log().matches(DRAINED).count(), 2, "nobody would notice:\n{}", front.sandbox.log());
    backends[1].kill();
    let of_held = held.iter_mut().filter_map(|stream| (!echoes(stream, "still here\n")).then_some(())).count();
    let (broken, finished) = clients.end();
    assert!(broken + of_held > 0 && finished > 6 * CLIENTS, "{broken} broken, {finished} not");
}

#[test]
fn additions_are_spread_while_old_workers_pile_up_and_nothing_else_is() {
    const SPREAD: &str = "old workers of nginx pile up";
    let port = free_port();
    let _backend = reflector(port);
    let mut front = Front::new(1, "min_reload_interval = \"10ms\"\ndebounce = \"1ms\"");
    let _agent = front.start(&[port]);
    // Each connection holds its worker, so each reload leaves one more behind. Only the first backend lives.
    let mut held = vec![front.connect()];
    let reload = |n: usize| {
        let mark = front.sandbox.mark();
        front.sandbox.set_store(&format!("echo: {{ a: '127.0.0.1:{port}', b: '127.0.0.1:{n}' }}"));
        front.sandbox.wait_log_since(mark, "verified the reload of nginx");
    };
    let mut reloads = 1;
    // Spread after four generations of one worker each, which the log says a moment after the reload.
    while reloads < 6 && !front.sandbox.log().contains(SPREAD) {
        reloads += 1;
        reload(reloads);
        held.push(front.connect());
    }
    front.sandbox.wait_log(SPREAD);
    // Five that are changed and not added. Were they spread, it would take 2 s four times and 4 s once: three times as long as
    // one that is added now.
    let start = Instant::now();
    for _ in 0..5 {
        reloads += 1;
        reload(reloads);
        held.push(front.connect());
    }
    let changed = start.elapsed();
    let (start, mark) = (Instant::now(), front.sandbox.mark());
    reloads += 1;
    front
        .sandbox
        .set_store(&format!("echo: {{ a: '127.0.0.1:{port}', b: '127.0.0.1:{}', c: '127.0.0.1:2' }}", reloads - 1));
    front.sandbox.wait_log_since(mark, "verified the reload of nginx");
    let added = start.elapsed();
    assert!(added > Duration::from_secs(3), "not spread: {added:?}\n{}", front.sandbox.log());
    assert!(changed < 2 * added, "five changes took {changed:?}, one addition {added:?}\n{}", front.sandbox.log());
    drop(held);
    front.sandbox.wait_log("reloads are back to their usual pace");
}
