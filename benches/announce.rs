//! The cost of announcing many services in one process, at the default times (a TCP check every 5 s, a time to live of
//! 15 s): memory, CPU over a minute, writes to etcd, and how long a lost lease and the end take. The release binary, a real
//! etcd, and one listener that plays all backends. Prints a table; asserts nothing about time.
//!
//! `make bench`, or `cargo bench --bench announce`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark measures the world")]
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[path = "../tests/it/support/mod.rs"]
#[allow(dead_code, unreachable_pub, clippy::print_stderr)]
mod support;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use etcd_client::{Client, GetOptions};
use nix::sys::signal::Signal;
use support::etcd::Etcd;
use support::{Daemon, program, temp_dir, wait_for, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);
/// How long CPU time is counted.
const MEASURED: Duration = Duration::from_secs(60);

fn main() {
    // `cargo test --benches` runs this too, only to see that it starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    println!(
        "{:>8} {:>12} {:>10} {:>10} {:>9} {:>10} {:>8} {:>13} {:>12} {:>9}",
        "services",
        "announced s",
        "RSS MB",
        "peak MB",
        "CPU %",
        "checks/s",
        "writes",
        "lease lost s",
        "ended ms",
        "etcd CPU %"
    );
    for services in [1, 100, 1_000] {
        measure(services);
    }
}

/// The store, read without a process per look.
struct Store {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Store {
    /// How many keys there are, the store's revision, and a lease of one of them.
    fn look(&mut self) -> (usize, i64, i64) {
        let options = GetOptions::new().with_prefix().with_limit(1);
        let answer = self.runtime.block_on(self.client.get("/services/", Some(options))).unwrap();
        let lease = answer.kvs().first().map_or(0, |pair| pair.lease());
        (usize::try_from(answer.count()).unwrap(), answer.header().unwrap().revision(), lease)
    }

    fn wait_keys(&mut self, keys: usize) {
        wait_until(&format!("{keys} keys"), DEADLINE, || self.look().0 == keys);
    }
}

fn measure(services: usize) {
    let etcd = Etcd::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = runtime.block_on(Client::connect([etcd.url()], None)).unwrap();
    let mut store = Store { runtime, client };
    let (port, checks) = listen();
    let folder = temp_dir();
    for (nth, chunk) in (0..services).collect::<Vec<_>>().chunks(100).enumerate() {
        let text: String = chunk.iter().map(|service| table(*service, port)).collect();
        fs::write(folder.path().join(format!("{nth}.toml")), text).unwrap();
    }
    let started = Instant::now();
    let mut command = Command::new(program("upstreamd"));
    command.args(["announce", "--log-level", "warn", "--node", &etcd.url(), "--config-dir"]).arg(folder.path());
    let mut announcer = Daemon::start(command.stdout(Stdio::null()));
    store.wait_keys(services);
    let announced = started.elapsed();
    let (_, revision, _) = store.look();
    // What the start has cost is over when every backend has been checked twice more.
    let settled = Instant::now();
    wait_until("the start to be over", DEADLINE, || settled.elapsed() > Duration::from_secs(10));
    let before = (cpu(announcer.pid()), cpu(etcd.pid()), checks.load(Ordering::Relaxed), Instant::now());
    wait_until("the measurement to be over", MEASURED * 2, || before.3.elapsed() > MEASURED);
    let seconds = before.3.elapsed().as_secs_f64();
    let cpu_percent = (cpu(announcer.pid()) - before.0) / seconds * 100.0;
    let etcd_percent = (cpu(etcd.pid()) - before.1) / seconds * 100.0;
    let checks_per_second = (checks.load(Ordering::Relaxed) - before.2) as f64 / seconds;
    let (keys, now, lease) = store.look();
    assert_eq!(keys, services);
    let (resident, peak) = (memory(announcer.pid(), "VmRSS:"), memory(announcer.pid(), "VmHWM:"));
    let revoked = Instant::now();
    store.runtime.block_on(store.client.lease_revoke(lease)).unwrap();
    store.wait_keys(services);
    let lost = revoked.elapsed();
    let told = Instant::now();
    announcer.signal(Signal::SIGTERM);
    wait_for("the announcer to end", DEADLINE, || announcer.child.try_wait().unwrap());
    let ended = told.elapsed();
    assert_eq!(store.look().0, 0);
    println!(
        "{services:>8} {:>12.2} {resident:>10.1} {peak:>10.1} {cpu_percent:>9.2} {checks_per_second:>10.1} {:>8} {:>13.2} {:>12.0} {etcd_percent:>9.2}",
        announced.as_secs_f64(),
        now - revision,
        lost.as_secs_f64(),
        ended.as_secs_f64() * 1000.0,
    );
}

/// A service at a loopback address of its own.
fn table(nth: usize, port: u16) -> String {
    let address = format!("127.1.{}.{}", nth / 250, nth % 250 + 1);
    format!("[[service]]\nname = \"service-{nth}\"\nid = \"one\"\naddress = \"{address}:{port}\"\n\n")
}

/// Accepts connections at every loopback address; returns its port and the number of connections.
fn listen() -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::Relaxed);
            drop(stream);
        }
    });
    (port, count)
}

/// CPU seconds that a process has used, in user and in kernel mode.
fn cpu(pid: i32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks: f64 = fields.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().unwrap()).sum();
    // Linux counts in hundredths of a second for whoever asks this way, on every architecture that we run on.
    ticks / 100.0
}

/// A line of /proc/PID/status, in MB.
fn memory(pid: i32, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let found = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    let kilobytes: f64 = found.trim().trim_end_matches(" kB").parse().unwrap();
    kilobytes * 1024.0 / 1_000_000.0
}
