//! Each case: a real etcd, the real binary, changes put one after the other, each timed from the watch event that this
//! process sees to the rename that inotify reports.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use etcd_client::{Client, Compare, PutOptions, TxnOp, WatchOptions};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::floor;
use crate::support::etcd::Etcd;
use crate::support::{Daemon, program, temp_dir};

const CHANGES: usize = 41;

/// One line of the table.
pub(crate) struct Row {
    case: String,
    p50: Duration,
    worst: Duration,
    watch: Duration,
    write: Duration,
    cpu: Duration,
    target_ms: f64,
}

impl Row {
    pub(crate) fn print_table(rows: &[Row]) {
        println!(
            "{:<34} {:>9} {:>9} {:>9} {:>11} {:>11} {:>10}",
            "event to renamed file", "p50 ms", "worst ms", "goal ms", "put-event", "write+sync", "CPU/change"
        );
        for row in rows {
            println!(
                "{:<34} {:>9.3} {:>9.3} {:>9.1} {:>11.3} {:>11.3} {:>10.3}",
                row.case,
                ms(row.p50),
                ms(row.worst),
                row.target_ms,
                ms(row.watch),
                ms(row.write),
                ms(row.cpu)
            );
        }
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// An etcd and a folder for upstreamd.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
    _etcd: Etcd,
    url: String,
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Bench {
    fn new() -> Bench {
        let dir = temp_dir();
        for name in ["etc/conf.d", "etc/templates", "out"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let etcd = Etcd::start();
        let url = etcd.url();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(Client::connect([&url], None)).unwrap();
        Bench { dir, _etcd: etcd, url, runtime, client }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn resource(&self, name: &str, more: &str) {
        let dest = self.path("out").join(name);
        let text =
            format!("[template]\nsrc = \"t.tera\"\ndest = \"{}\"\nkeys = [\"/services\"]\n{more}", dest.display());
        fs::write(self.path("etc/conf.d").join(format!("{name}.toml")), text).unwrap();
    }

    fn template(&self, text: &str) {
        fs::write(self.path("etc/templates/t.tera"), text).unwrap();
    }

    fn put(&mut self, key: &str, value: &str) {
        self.runtime.block_on(self.client.put(key, value, None)).unwrap();
    }

    fn put_all(&mut self, pairs: &[(String, String)]) {
        for chunk in pairs.chunks(100) {
            let puts: Vec<TxnOp> =
                chunk.iter().map(|(k, v)| TxnOp::put(k.as_str(), v.as_str(), None::<PutOptions>)).collect();
            let txn = etcd_client::Txn::new().when(Vec::<Compare>::new()).and_then(puts);
            self.runtime.block_on(self.client.txn(txn)).unwrap();
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("upstreamd"));
        command.args(arguments).arg("--confdir").arg(self.path("etc")).arg("--state-dir").arg(self.path("state"));
        command.args(["--node", &self.url]).stdout(Stdio::null());
        command
    }

    fn watch(&self) -> Daemon {
        let log = fs::File::create(self.path("log")).unwrap();
        let daemon = Daemon::start(self.command(&["--watch"]).stderr(log));
        let started = Instant::now();
        while fs::read_dir(self.path("out")).unwrap().count() == 0 {
            assert!(started.elapsed() < Duration::from_secs(30), "{}", fs::read_to_string(self.path("log")).unwrap());
            std::thread::sleep(Duration::from_millis(2));
        }
        daemon
    }

    /// Puts `CHANGES` values one after the other; times each from our own watch's event to the rename.
    fn measure(&mut self, case: &str, target_ms: f64, change: impl Fn(usize) -> (String, String)) -> Row {
        let daemon = self.watch();
        std::thread::sleep(Duration::from_millis(300));
        let renames = renames_in(&self.path("out"));
        let cpu_before = cpu_time(&daemon.child);
        let (mut latencies, mut watch_times) = (Vec::new(), Vec::new());
        let Bench { runtime, client, .. } = self;
        runtime.block_on(async {
            let options = WatchOptions::new().with_prefix();
            let mut events = client.watch("/services", Some(options)).await.unwrap();
            let created = events.message().await.unwrap().unwrap();
            assert!(created.created());
            for n in 0..CHANGES {
                let (key, value) = change(n);
                let putting = Instant::now();
                let mut writer = client.clone();
                let put = tokio::spawn(async move { writer.put(key, value, None).await });
                let event = events.message().await.unwrap().unwrap();
                let seen = Instant::now();
                assert_eq!(event.events().len(), 1);
                watch_times.push(seen - putting);
                let renamed = renames.recv_timeout(Duration::from_secs(10));
                let renamed = renamed.unwrap_or_else(|_| panic!("no rename after change {n}"));
                latencies.push(renamed.saturating_duration_since(seen));
                put.await.unwrap().unwrap();
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
        });
        let cpu = (cpu_time(&daemon.child) - cpu_before) / CHANGES as u32;
        drop(daemon);
        latencies.sort();
        watch_times.sort();
        let dest = fs::read_dir(self.path("out")).unwrap().next().unwrap().unwrap().path();
        let write = floor::write_sync_rename(&self.path("etc"), &fs::read(dest).unwrap());
        Row {
            case: case.to_owned(),
            p50: latencies[CHANGES / 2],
            worst: latencies[CHANGES - 1],
            watch: watch_times[CHANGES / 2],
            write,
            cpu,
            target_ms,
        }
    }
}

const FLAT: &str =
    "upstream app {\n{% for pair in gets(pattern=\"/services/*\") %}    server {{ pair.value }};\n{% endfor %}}\n";
const NESTED: &str = "{% for service in ls(dir=\"/services\") %}upstream {{ service }} {\n\
{% for value in getvs(pattern=\"/services/\" ~ service ~ \"/*\") %}    server {{ value }};\n{% endfor %}}\n{% endfor %}";

fn backend(n: usize) -> (String, String) {
    (format!("/services/backend-{n:05}"), format!("10.{}.{}.{}:8080", n / 65536, n / 256 % 256, n % 256))
}

pub(crate) fn one_of(backends: usize, target_ms: f64) -> Row {
    let mut bench = Bench::new();
    bench.template(FLAT);
    bench.resource("app.conf", "");
    bench.put_all(&(0..backends).map(backend).collect::<Vec<_>>());
    bench.measure(&format!("{backends} backends, one changes"), target_ms, |n| {
        (backend(backends / 2).0, format!("10.9.9.{n}:8080"))
    })
}

pub(crate) fn nested(services: usize, target_ms: f64) -> Row {
    let mut bench = Bench::new();
    bench.template(NESTED);
    bench.resource("app.conf", "");
    let keys =
        (0..services).flat_map(|s| (0..5).map(move |n| (format!("/services/s{s:04}/{n}"), format!("10.0.{n}.1:80"))));
    bench.put_all(&keys.collect::<Vec<_>>());
    bench.measure(&format!("{services} services x 5, ls + getvs"), target_ms, |n| {
        ("/services/s1000/3".to_owned(), format!("10.9.9.{n}:8080"))
    })
}

/// One resource over the environment, as an entrypoint of a container runs it: a process from its start to its end.
pub(crate) fn entrypoint(target_ms: f64) {
    let dir = temp_dir();
    for name in ["etc/conf.d", "etc/templates", "out"] {
        fs::create_dir_all(dir.path().join(name)).unwrap();
    }
    let output = dir.path().join("out/a");
    fs::write(dir.path().join("etc/templates/a.tmpl"), "{{getv \"/a\"}}\n").unwrap();
    let resource = format!("[template]\nsrc = \"a.tmpl\"\ndest = {output:?}\nkeys = [\"/a\"]\n");
    fs::write(dir.path().join("etc/conf.d/a.toml"), resource).unwrap();
    let mut times: Vec<Duration> = (0..101)
        .map(|_| {
            fs::remove_file(&output).ok();
            let mut command = Command::new(program("upstreamd"));
            command.args(["-onetime", "-backend", "env", "-confdir"]).arg(dir.path().join("etc"));
            command.arg("--state-dir").arg(dir.path().join("state")).env("A", "one").stderr(Stdio::null());
            let started = Instant::now();
            assert!(command.status().unwrap().success());
            started.elapsed()
        })
        .collect();
    times.sort();
    let (median, p90) = (ms(times[50]), ms(times[90]));
    println!(
        "1 resource, -onetime -backend env, whole process {median:>8.1} ms, p90 {p90:.1} ms (goal {target_ms} ms)"
    );
}

pub(crate) fn onetime(resources: usize, target_ms: f64) {
    let mut bench = Bench::new();
    bench.template(FLAT);
    for n in 0..resources {
        bench.resource(&format!("r{n}.conf"), "");
    }
    bench.put_all(&(0..10).map(backend).collect::<Vec<_>>());
    let run = |what: &str, clear: bool| {
        let mut times: Vec<Duration> = (0..7)
            .map(|_| {
                if clear {
                    fs::remove_dir_all(bench.path("out")).unwrap();
                    fs::create_dir(bench.path("out")).unwrap();
                }
                let started = Instant::now();
                let status = bench.command(&["--onetime"]).stderr(Stdio::null()).status().unwrap();
                assert!(status.success());
                started.elapsed()
            })
            .collect();
        times.sort();
        println!("{resources} resources, -onetime, {what:<24} {:>8.1} ms (goal {target_ms} ms)", ms(times[3]));
    };
    run("all files new", true);
    let bytes = fs::read(bench.path("out").join("r0.conf")).unwrap();
    let floor = floor::many_files(&bench.path("."), resources, &bytes);
    println!("floor: {resources} files created, written, synced, renamed {:>12.1} ms", ms(floor));
    run("nothing to do", false);
    bench.put("/services/backend-00000", "10.0.0.1:1");
}

pub(crate) fn memory() {
    for (backends, goal) in [(10, 8), (10_000, 16)] {
        let mut bench = Bench::new();
        bench.template(FLAT);
        bench.resource("app.conf", "");
        bench.put_all(&(0..backends).map(backend).collect::<Vec<_>>());
        let daemon = bench.watch();
        for n in 0..20 {
            bench.put("/services/backend-00003", &format!("10.0.0.3:{}", 1000 + n));
            std::thread::sleep(Duration::from_millis(30));
        }
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: f64 = rss.split_whitespace().next().unwrap().parse().unwrap();
        println!("resident memory, {backends} keys{:>30.1} MB (goal {goal} MB)", kib / 1024.0);
    }
}

pub(crate) fn burst(puts: usize) {
    let mut bench = Bench::new();
    bench.template(FLAT);
    let reloads = bench.path("reloads");
    bench.resource("app.conf", &format!("reload_cmd = \"echo r >> {}\"", reloads.display()));
    bench.put_all(&(0..100).map(backend).collect::<Vec<_>>());
    let daemon = bench.watch();
    std::thread::sleep(Duration::from_millis(1200));
    let count = || fs::read_to_string(&reloads).unwrap_or_default().lines().count();
    let before = count();
    let started = Instant::now();
    let Bench { runtime, client, .. } = &mut bench;
    runtime.block_on(async {
        for n in 0..puts {
            client.put(backend(n % 100).0, format!("10.8.{}.{}:80", n / 256, n % 256), None).await.unwrap();
        }
    });
    let took = started.elapsed();
    let last = format!("10.8.{}.{}:80", (puts - 1) / 256, (puts - 1) % 256);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !fs::read_to_string(bench.path("out/app.conf")).unwrap().contains(&last) {
        assert!(Instant::now() < deadline, "the last value never came");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(1500));
    println!("burst of {puts} puts in {:.2} s: {} reloads (goal at most 5)", took.as_secs_f64(), count() - before);
    drop(daemon);
}

pub(crate) fn binary_size() {
    let bytes = fs::metadata(program("upstreamd")).unwrap().len();
    println!("binary{:>40.1} MB (goal 12 MB)", bytes as f64 / 1024.0 / 1024.0);
}

/// Times at which files were renamed into a folder, recorded by a thread that sleeps in between: a busy wait would take a core from etcd
/// and upstreamd.
fn renames_in(folder: &Path) -> mpsc::Receiver<Instant> {
    let inotify = Inotify::init(InitFlags::empty()).unwrap();
    inotify.add_watch(folder, AddWatchFlags::IN_MOVED_TO).unwrap();
    let (sender, renames) = mpsc::channel();
    std::thread::spawn(move || {
        while inotify.read_events().is_ok() {
            if sender.send(Instant::now()).is_err() {
                return;
            }
        }
    });
    renames
}

/// Time that a child's threads have run so far.
fn cpu_time(child: &Child) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap().flatten();
    let nanoseconds = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}
