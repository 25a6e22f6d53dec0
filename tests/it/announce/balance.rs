//! Three backends behind a real nginx that a real agent keeps true, under load with a connection for each request: one is
//! killed, all are restarted one after the other, etcd is restarted.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{RENEWALS_OF_TWO_LIVES, Reader, TTL, renewals};
use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::etcd::Etcd;
use crate::support::nginx::{Nginx, http_get};
use crate::support::template::table;
use crate::support::{Daemon, free_port, program, wait_for, wait_until};

const TIMES: &[&str] = &["--interval", "600ms", "--timeout", "500ms", "--ttl", "3s", "--rise", "1", "--fall", "2"];

/// Requests one after the other from several sides, each over a connection of its own; what went wrong is kept.
struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    failures: Arc<Mutex<Vec<String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn on(port: u16) -> Load {
        let mut load =
            Load { stop: Arc::default(), answers: Arc::default(), failures: Arc::default(), threads: Vec::new() };
        for _ in 0..3 {
            let (stop, answers, failures) =
                (Arc::clone(&load.stop), Arc::clone(&load.answers), Arc::clone(&load.failures));
            load.threads.push(std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    match http_get(port, "localhost", "/") {
                        Ok(answer) if answer.status == 200 && answer.body.contains("bazinga") => {
                            answers.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(answer) => failures.lock().unwrap().push(format!("{} {}", answer.status, answer.body)),
                        Err(error) => failures.lock().unwrap().push(error.to_string()),
                    }
                    std::thread::sleep(Duration::from_millis(3));
                }
            }));
        }
        load
    }

    /// Waits for this many more answers.
    #[track_caller]
    fn wait_more(&self, more: u64) {
        let wanted = self.answers.load(Ordering::Relaxed) + more;
        wait_until("answers", DEADLINE, || self.answers.load(Ordering::Relaxed) >= wanted);
    }

    /// Ends it; how many answers there were, and what went wrong.
    fn end(mut self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        (self.answers.load(Ordering::Relaxed), self.failures.lock().unwrap().clone())
    }
}

/// etcd, nginx, the agent between them.
struct Balanced {
    etcd: Etcd,
    reader: Reader,
    nginx: Nginx,
    port: u16,
    /// The agent's.
    sandbox: Sandbox,
    site: PathBuf,
    _agent: Option<Daemon>,
}

impl Balanced {
    /// `retries` is nginx's proxy_next_upstream.
    fn new(retries: &str) -> Balanced {
        let etcd = Etcd::start();
        let nginx = Nginx::started();
        let port = free_port();
        let sandbox = Sandbox::on_etcd(&etcd.url());
        sandbox.template(
            "site.tera",
            &format!(
                "upstream app {{ zone app 64k; {{% for backend in backends(prefix=\"/services/web\") %}}\
                 server {{{{ backend.address }}}}; {{% endfor %}}}}\n\
                 server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass https://app; proxy_ssl_verify off; \
                 proxy_next_upstream {retries}; }} }}\n"
            ),
        );
        let site = nginx.http_file("site.conf");
        sandbox.resource("site", &table("site.tera", site.display()).keys(&["/services/web"]).driving(&nginx));
        let reader = Reader::new(&etcd);
        Balanced { etcd, reader, nginx, port, sandbox, site, _agent: None }
    }

    /// Starts the agent, once the backends are there, and waits until nginx answers.
    #[track_caller]
    fn start_agent(&mut self) {
        self.start_agent_as(&["--watch"]);
    }

    #[track_caller]
    fn start_agent_as(&mut self, arguments: &[&str]) {
        wait_until("three keys", DEADLINE, || self.reader.keys("/services/").len() == 3);
        self._agent = Some(self.sandbox.start(arguments));
        wait_until("an answer", DEADLINE, || {
            http_get(self.port, "localhost", "/").is_ok_and(|answer| answer.status == 200)
        });
        wait_until("the first reload to be verified", DEADLINE, || self.reloads() == 1);
    }

    fn servers(&self) -> usize {
        std::fs::read_to_string(&self.site).unwrap_or_default().matches("server 127.").count()
    }

    fn reloads(&self) -> usize {
        self.sandbox.log().matches("verified the reload of nginx").count()
    }
}

/// nano-container at a loopback address of its own.
fn backend(nth: usize, port: u16, log: &Path) -> (Daemon, String) {
    let address = format!("127.0.2.{nth}:{port}");
    let log = std::fs::File::create(log).unwrap();
    (Daemon::start(Command::new(program("nano-container")).args(["--listen", &address]).stderr(log)), address)
}

fn announce_arguments<'a>(id: &'a str, address: &'a str) -> Vec<&'a str> {
    [&["announce", "--name", "web", "--id", id, "--address", address, "--check", "h2", "--check-insecure"], TIMES]
        .concat()
}

/// A backend and its announcer, side by side.
struct Pair {
    backend: Daemon,
    announcer: Daemon,
    sandbox: Sandbox,
    address: String,
}

fn pair(balanced: &Balanced, nth: usize) -> Pair {
    let sandbox = Sandbox::on_etcd(&balanced.etcd.url());
    let (backend, address) = backend(nth, free_port(), &sandbox.path("backend.log"));
    let id = nth.to_string();
    let announcer = sandbox.start(&announce_arguments(&id, &address));
    Pair { backend, announcer, sandbox, address }
}

#[test]
fn one_of_three_is_killed_under_load_and_no_request_is_lost() {
    let mut balanced = Balanced::new("error timeout");
    let mut pairs: Vec<Pair> = (1..=3).map(|nth| pair(&balanced, nth)).collect();
    balanced.start_agent();
    let load = Load::on(balanced.port);
    load.wait_more(100);
    // The backend alone; then the whole machine, as it were.
    for (expected, with_announcer) in [(2, false), (1, true)] {
        let mut pair = pairs.remove(0);
        let reloads = balanced.reloads();
        let killed = Instant::now();
        pair.backend.kill();
        if with_announcer {
            pair.announcer.kill();
        }
        wait_until("the server to be out", DEADLINE, || balanced.servers() == expected && balanced.reloads() > reloads);
        println!("out after {:?} with a time to live of {TTL:?}", killed.elapsed());
        let site = std::fs::read_to_string(&balanced.site).unwrap();
        assert!(!site.contains(&pair.address), "{site}");
        load.wait_more(50);
    }
    let (answers, failures) = load.end();
    assert!(failures.is_empty(), "of {answers}: {failures:?}\n{}", balanced.nginx.error_log());
}

#[test]
fn etcd_is_restarted_under_load_and_nobody_leaves() {
    let mut balanced = Balanced::new("off");
    let _pairs: Vec<Pair> = (1..=3).map(|nth| pair(&balanced, nth)).collect();
    balanced.start_agent();
    let before = balanced.reader.read("/services/").unwrap().1;
    let (reloads, load) = (balanced.reloads(), Load::on(balanced.port));
    balanced.etcd.kill();
    // Longer than a time to live.
    let away = Instant::now();
    wait_until("etcd to be away for long", DEADLINE, || away.elapsed() > TTL * 2);
    balanced.etcd.restart();
    wait_until("the leases to be renewed", DEADLINE, || renewals(&balanced.etcd) >= 3 * RENEWALS_OF_TWO_LIVES);
    let (_, after) = wait_for("etcd to answer", DEADLINE, || balanced.reader.read("/services/"));
    assert_eq!(after, before);
    let (answers, failures) = load.end();
    assert!(failures.is_empty(), "of {answers}: {failures:?}");
    assert_eq!((balanced.reloads(), balanced.servers()), (reloads, 3), "nginx was reloaded for nothing");
}

/// A backend as the announcer's child.
struct Supervised {
    announcer: Daemon,
    sandbox: Sandbox,
    id: String,
    address: String,
}

impl Supervised {
    fn new(balanced: &Balanced, nth: usize, drain_timeout: &str) -> Supervised {
        let (id, address) = (nth.to_string(), format!("127.0.2.{nth}:{}", free_port()));
        let sandbox = Sandbox::on_etcd(&balanced.etcd.url());
        let announcer = Supervised::start(&sandbox, &id, &address, drain_timeout);
        Supervised { announcer, sandbox, id, address }
    }

    fn start(sandbox: &Sandbox, id: &str, address: &str, drain_timeout: &str) -> Daemon {
        let nano_container = program("nano-container");
        let command = ["--", nano_container.as_str(), "--listen", address];
        let own = ["--drain-timeout", drain_timeout, "--start-grace", "10s"];
        sandbox.start_with_command(&[announce_arguments(id, address).as_slice(), &own, &command].concat())
    }

    /// SIGTERM, the end, and a new start; gives how long the end took.
    #[track_caller]
    fn restart(&mut self, drain_timeout: &str) -> Duration {
        let asked = Instant::now();
        self.announcer.signal(Signal::SIGTERM);
        let status = wait_for("the announcer to end", DEADLINE, || self.announcer.child.try_wait().unwrap());
        let took = asked.elapsed();
        assert_eq!(status.code(), Some(0), "{}", self.sandbox.log());
        self.announcer = Supervised::start(&self.sandbox, &self.id, &self.address, drain_timeout);
        took
    }
}

#[test]
fn a_rolling_restart_of_all_three_loses_no_request() {
    rolling_restart(&["--watch"], "5s");
}

#[test]
fn with_receipts_it_takes_no_longer_than_the_balancer_needs() {
    // An hour would end this test: only the receipt lets the backends go.
    let took = rolling_restart(&["--watch", "--receipts"], "1h");
    println!("SIGTERM to exit: {took:?}");
}

/// Restarts all three under load; gives how long each took to end.
fn rolling_restart(agent: &[&str], drain_timeout: &str) -> Vec<Duration> {
    // No retries: nginx must not once ask a backend that is no longer there.
    let mut balanced = Balanced::new("off");
    let mut backends: Vec<Supervised> = (1..=3).map(|nth| Supervised::new(&balanced, nth, drain_timeout)).collect();
    balanced.start_agent_as(agent);
    let mut took = Vec::new();
    let load = Load::on(balanced.port);
    load.wait_more(100);
    for backend in &mut backends {
        took.push(backend.restart(drain_timeout));
        let log = backend.sandbox.log();
        assert!(log.contains("draining:") && log.contains("the command has ended: exit status 0"), "{log}");
        wait_until("all three to be served from", DEADLINE, || {
            balanced.servers() == 3 && balanced.reader.keys("/services/").len() == 3
        });
        load.wait_more(50);
    }
    let (answers, failures) = load.end();
    assert!(failures.is_empty(), "of {answers}: {failures:?}\n{}", balanced.nginx.error_log());
    took
}
