//! What the status costs, as a table: 100 groups with 10,000 backends, without a reader and with 20 browsers that follow it, and how long
//! a page takes. With the release binary, on files; asserts nothing about time.
//!
//! `cargo bench --bench status`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark measures the world")]
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[path = "../tests/it/support/mod.rs"]
#[allow(dead_code, unreachable_pub, clippy::print_stderr)]
mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use support::agent::Sandbox;
use support::nginx::http_get;
use support::{Daemon, free_port, wait_until};

const GROUPS: usize = 100;
const BACKENDS_OF_GROUP: usize = 100;
const READERS: usize = 20;
/// How long an idle agent is watched.
const IDLE: Duration = Duration::from_secs(20);
const REQUESTS: usize = 20;
/// Longer than a status is served again.
const PAUSE: Duration = Duration::from_millis(600);

fn main() {
    // `cargo test --benches` runs this too, only to see that it starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let mut sandbox = Sandbox::new();
    // As the units and the image set it.
    sandbox.environment.push(("MALLOC_ARENA_MAX".to_owned(), "1".to_owned()));
    sandbox.template("list.tera", "{% for b in backends(prefix=\"/\") %}server {{ b.address }};\n{% endfor %}");
    let mut store = String::from("s:\n");
    for group in 0..GROUPS {
        let dest = sandbox.text_path(&format!("out/{group}"));
        // A check of its own makes each a group.
        let lines = format!("src = \"list.tera\"\ndest = \"{dest}\"\nprefix = \"/s/g{group}\"\nkeys = [\"/\"]\n");
        sandbox.resource(&format!("g{group}"), &format!("{lines}check_cmd = \"true # {group}\""));
        store += &format!("  g{group}:\n");
        for backend in 0..BACKENDS_OF_GROUP {
            store += &format!("    b{backend}: 10.{group}.0.{}:80\n", backend + 1);
        }
    }
    sandbox.set_store(&store);
    let port = free_port();
    let agent = sandbox.start(&["--watch", "--metrics-addr", &format!("127.0.0.1:{port}")]);
    let status = || http_get(port, "localhost", "/api/status").map(|answer| answer.body).unwrap_or_default();
    wait_until("everything is in sync", Duration::from_secs(120), || status().contains("\"sync\":{\"ok\":true"));
    std::thread::sleep(PAUSE * 5);
    println!("{GROUPS} groups, {} backends", GROUPS * BACKENDS_OF_GROUP);
    let (alone, before) = idle(&agent);
    println!("{:<44} {:>9.2} % of a core {:>8.1} MB", "idle, nobody reads", alone, before);
    for _ in 0..READERS {
        follow(port);
        http_get(port, "localhost", "/").unwrap();
    }
    std::thread::sleep(PAUSE * 5);
    let (with_readers, after) = idle(&agent);
    let more = after - before;
    println!(
        "idle, {READERS} browsers have the page open{:>16.2} % of a core {after:>8.1} MB ({more:+.1})",
        with_readers
    );
    for path in ["/metrics", "/api/status", "/"] {
        let mut times: Vec<Duration> = (0..REQUESTS).map(|_| timed(port, path)).collect();
        times.sort();
        let (median, worst) = (times[times.len() / 2].as_secs_f64() * 1e3, times[times.len() - 1].as_secs_f64() * 1e3);
        let bytes = http_get(port, "localhost", path).unwrap().body.len();
        println!("{path:<44} {median:>9.1} ms, at worst {worst:.1} ms, {} kB", bytes / 1000);
    }
}

/// Returns the processor's share, in per cent, and the resident memory, in MB.
fn idle(agent: &Daemon) -> (f64, f64) {
    let before = cpu_seconds(agent.pid());
    std::thread::sleep(IDLE);
    let used = cpu_seconds(agent.pid()) - before;
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    (used / IDLE.as_secs_f64() * 100.0, kib / 1024.0)
}

fn cpu_seconds(pid: i32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

/// Follows the changes until the program ends.
fn follow(port: u16) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while stream.read(&mut bytes).is_ok_and(|read| read > 0) {}
    });
}

fn timed(port: u16, path: &str) -> Duration {
    std::thread::sleep(PAUSE);
    let started = Instant::now();
    http_get(port, "localhost", path).unwrap();
    started.elapsed()
}
