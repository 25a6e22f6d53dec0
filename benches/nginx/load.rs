//! A minute of load through nginx while backends come and go: what is lost, by kind of client.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::front::Front;
use crate::support::nginx::Nginx;
use crate::support::{Daemon, free_port, program, wait_until};

const SECONDS: u64 = 75;

/// `LOAD_SECONDS` sets a different length.
fn seconds() -> u64 {
    std::env::var("LOAD_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS)
}

/// Two changes a reload would be deferred: a little more than `min_reload_interval`.
const CHURN: Duration = Duration::from_millis(1100);

pub(crate) fn run() {
    let http: Vec<u16> = (0..3).map(|_| free_port()).collect();
    let servers: String = http
        .iter()
        .map(|port| format!("    server {{ listen 127.0.0.1:{port}; access_log off; return 200 backend-{port}; }}\n"))
        .collect();
    let reflectors: Vec<(Daemon, u16)> = (0..3).map(|_| reflector()).collect();
    let mut keys = Vec::new();
    for n in 0..3 {
        keys.push((format!("/services/app/{n}"), format!("127.0.0.1:{}", http[n])));
        keys.push((format!("/services/echo/{n}"), format!("127.0.0.1:{}", reflectors[n].1)));
    }
    // In an nginx of their own: one that reloads would cut the front's connections to them.
    let mut backends = Nginx::builder().http(&servers).build();
    backends.start();
    let front = Front::start("", &keys);
    let before = front.reloads();
    let stop = AtomicBool::new(false);
    let echo = Echo::default();
    let url = format!("http://127.0.0.1:{}/", front.http_port);
    let (closing, keeping) = std::thread::scope(|scope| {
        let wrk = |arguments: &'static [&'static str]| {
            let url = url.clone();
            scope.spawn(move || {
                let mut command = Command::new("wrk");
                command.args(["-t1", "-d", &format!("{}s", seconds()), "-H", "Host: app.example.com"]).args(arguments);
                let output = command.arg(url).output().expect("wrk is to be installed (Debian: apt install wrk)");
                Clients::of_wrk(&String::from_utf8_lossy(&output.stdout))
            })
        };
        let closing = wrk(&["-c4", "-H", "Connection: close"]);
        let keeping = wrk(&["-c4"]);
        for _ in 0..2 {
            scope.spawn(|| echo.run(front.tcp_port, &stop));
        }
        scope.spawn(|| {
            for round in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let started = Instant::now();
                // The third comes and goes; the second goes when the third comes, so that each round also takes one away.
                let (comes, goes) = if round % 2 == 0 { (1, 2) } else { (2, 1) };
                for kind in ["app", "echo"] {
                    let value = |n: usize| if kind == "app" { http[n] } else { reflectors[n].1 };
                    front.etcd.put(&format!("/services/{kind}/{comes}"), &format!("127.0.0.1:{}", value(comes)));
                    front.etcd.delete(&format!("/services/{kind}/{goes}"));
                }
                std::thread::sleep(CHURN.saturating_sub(started.elapsed()));
            }
        });
        let (closing, keeping) = (closing.join().unwrap(), keeping.join().unwrap());
        stop.store(true, Ordering::Relaxed);
        (closing, keeping)
    });
    let log = front.log();
    println!(
        "{} s of load, {} verified reloads, {} drained",
        seconds(),
        front.reloads() - before,
        log.matches("drained, no worker").count()
    );
    println!("{:<44} {:>10} {:>8}", "client", "requests", "lost");
    closing.print("wrk, one connection per request");
    keeping.print("wrk, keep-alive (idle-close race of nginx)");
    let (sent, lost) = (echo.sent.load(Ordering::Relaxed), echo.lost.load(Ordering::Relaxed));
    println!("{:<44} {sent:>10} {lost:>8}", "TCP echo, one connection per request");
    for line in log.lines().filter(|line| line.contains("ERROR") || line.contains("WARN")) {
        println!("{line}");
    }
}

/// Clients of one kind: their requests, and those that they lost.
#[derive(Default)]
pub(crate) struct Clients {
    pub(crate) requests: u64,
    pub(crate) lost: u64,
    /// wrk's words for what it lost.
    said: Vec<String>,
}

impl Clients {
    /// Reads what wrk has printed.
    pub(crate) fn of_wrk(output: &str) -> Clients {
        let requests = output.lines().find_map(|line| line.trim().split_once(" requests in")?.0.parse().ok());
        let mut clients = Clients { requests: requests.unwrap_or(0), ..Clients::default() };
        for line in output.lines().filter(|line| line.contains("Socket errors") || line.contains("Non-2xx")) {
            let mut numbers = line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse::<u64>().ok());
            clients.lost += if line.contains("Non-2xx") { numbers.next_back().unwrap_or(0) } else { numbers.sum() };
            clients.said.push(line.trim().to_owned());
        }
        clients
    }

    pub(crate) fn print(&self, what: &str) {
        println!("{what:<44} {:>10} {:>8}", self.requests, self.lost);
        self.said.iter().for_each(|line| println!("    {line}"));
    }
}

#[derive(Default)]
pub(crate) struct Echo {
    pub(crate) sent: AtomicUsize,
    pub(crate) lost: AtomicUsize,
}

impl Echo {
    pub(crate) fn run(&self, port: u16, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            self.sent.fetch_add(1, Ordering::Relaxed);
            if echo_once(port).is_err() {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

pub(crate) fn echo_once(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let message = [7; 64];
    stream.write_all(&message)?;
    let mut back = [0; 64];
    stream.read_exact(&mut back)?;
    if back == message { Ok(()) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}

pub(crate) fn reflector() -> (Daemon, u16) {
    let port = free_port();
    let mut command = Command::new(program("reflector"));
    command.args(["--listen", &format!("127.0.0.1:{port}")]).stdout(Stdio::null()).stderr(Stdio::null());
    let daemon = Daemon::start(&mut command);
    wait_until("the reflector", Duration::from_secs(10), || echo_once(port).is_ok());
    (daemon, port)
}
