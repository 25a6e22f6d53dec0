//! Changes of endpoints by DNS and by reload, beside each other on one nginx that can do both: the time from a put in etcd to the first
//! answer of the new backend, the processor time of each change, what clients lose, and how many workers nginx starts.
//!
//! 20 upstreams of three backends, one of which is always dead, and one TCP upstream. `LOAD_SECONDS` sets the length (60), and
//! `LOAD_WAYS=dns` or `LOAD_WAYS=reload` leaves the other way out. Clients ask as often as they can, on the same processors; with
//! `LOAD_RATE` each of the three kinds asks so many times a second.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::front::time_until_answer_at;
use crate::load::{Clients, Echo, echo_once, reflector};
use crate::paced::{self, Client};
use crate::support::etcd::{Etcd, Writer};
use crate::support::nginx::Nginx;
use crate::support::{Daemon, free_port, program, temp_dir};

const UPSTREAMS: usize = 20;
/// Mean distance between two changes: 1,000 in ten minutes.
const CHURN: Duration = Duration::from_millis(600);
/// Changes without load, and their mean distance.
const IDLE_ROUNDS: usize = 60;
const IDLE_PAUSE: Duration = Duration::from_millis(1400);

/// Distances between changes, from half to one and a half times the mean, the same in every run: changes at regular distances would meet
/// nginx's questions always in the same phase.
struct Distances(u64);

impl Distances {
    fn next(&mut self, mean: Duration) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        mean / 2 + mean * u32::try_from(self.0 >> 54).unwrap_or(0) / 1024
    }
}

fn seconds() -> u64 {
    std::env::var("LOAD_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

fn rate() -> Option<u32> {
    std::env::var("LOAD_RATE").ok().and_then(|text| text.parse().ok())
}

pub(crate) fn run() {
    let ports: Vec<u16> = (0..4).map(|_| free_port()).collect();
    let servers: String = ports
        .iter()
        .map(|port| format!("    server {{ listen 127.0.0.1:{port}; access_log off; return 200 backend-{port}; }}\n"))
        .collect();
    let mut backends = Nginx::recent().http(&servers).build();
    backends.start();
    let reflectors: Vec<(Daemon, u16)> = (0..2).map(|_| reflector()).collect();
    let echoes = [reflectors[0].1, reflectors[1].1];
    let wanted = std::env::var("LOAD_WAYS").unwrap_or_default();
    let ways = ["reload", "dns"].into_iter().filter(|way| wanted.is_empty() || wanted == *way);
    let rows: Vec<Row> = ways.map(|way| measure(way, &ports, echoes)).collect();
    let line = |what: &str, value: &dyn Fn(&Row) -> String| {
        let values: String = rows.iter().map(|row| format!(" {:>12}", value(row))).collect();
        println!("{what:<52}{values}");
    };
    println!("\n{} s each, a change every {} ms in the mean", seconds(), CHURN.as_millis());
    line("", &|row| row.way.to_owned());
    let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1000.0);
    line("changes", &|row| row.times.len().to_string());
    line("reloads", &|row| row.reloads.to_string());
    for (what, share) in [("p50", 0.5), ("p99", 0.99)] {
        line(&format!("put to first new answer, idle, {what}, ms"), &|row| ms(Row::percentile(&row.idle_times, share)));
    }
    for (what, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("worst", 1.0)] {
        line(&format!("put to first new answer, under load, {what}, ms"), &|row| {
            ms(Row::percentile(&row.times, share))
        });
    }
    line("processor time of the agent for a change, ms", &|row| format!("{:.2}", row.agent_ms));
    line("processor time of nginx in all, ms for a second", &|row| format!("{:.0}", row.nginx_ms));
    line("workers of nginx seen", &|row| row.workers.to_string());
    line("TCP echo: connections", &|row| row.echo.0.to_string());
    line("TCP echo: lost", &|row| row.echo.1.to_string());
    for row in &rows {
        println!("{}:", row.way);
        row.closing.print("HTTP, one connection per request");
        row.keeping.print("HTTP, keep-alive");
    }
}

struct Row {
    way: &'static str,
    /// Without load.
    idle_times: Vec<Duration>,
    times: Vec<Duration>,
    reloads: usize,
    agent_ms: f64,
    nginx_ms: f64,
    workers: usize,
    echo: (usize, usize),
    closing: Clients,
    keeping: Clients,
}

impl Row {
    fn percentile(times: &[Duration], share: f64) -> Duration {
        let at = (times.len() as f64 * share).ceil() as usize;
        times[at.clamp(1, times.len()) - 1]
    }
}

/// Changes one upstream after the other, each with its own upstream, so that nginx has asked again.
fn idle_times(writer: &mut Writer, http_port: u16, ports: &[u16]) -> Vec<Duration> {
    let (mut times, mut distances) = (Vec::new(), Distances(1));
    for round in 0..IDLE_ROUNDS {
        std::thread::sleep(distances.next(IDLE_PAUSE));
        let (n, port) = (round % UPSTREAMS, ports[2 + round / UPSTREAMS % 2]);
        let started = Instant::now();
        writer.put(format!("/services/u{n}/x"), format!("127.0.0.1:{port}"));
        times.push(time_until_answer_at(http_port, &format!("/u{n}/"), started, &format!("backend-{port}")));
    }
    times.sort();
    times
}

fn measure(way: &'static str, ports: &[u16], echoes: [u16; 2]) -> Row {
    let dir = temp_dir();
    let path = |name: &str| dir.path().join(name);
    for name in ["etc/conf.d", "etc/templates"] {
        fs::create_dir_all(path(name)).unwrap();
    }
    let mut nginx = Nginx::recent().http("keepalive_min_timeout 1s;").build();
    let (http_port, tcp_port, listen) = (free_port(), free_port(), free_port());
    let mut template = String::new();
    for n in 0..UPSTREAMS {
        template += &format!(
            "upstream u{n} {{\n    zone u{n} 256k;\n    {{{{ servers(prefix=\"/services/u{n}\") }}}}\n    keepalive 16;\n}}\n"
        );
    }
    template += &format!("server {{ listen 127.0.0.1:{http_port}; access_log off;\n");
    for n in 0..UPSTREAMS {
        template += &format!(
            "  location /u{n}/ {{ proxy_pass http://u{n}; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
             proxy_next_upstream error timeout http_502; }}\n"
        );
    }
    template += "}\n";
    fs::write(path("etc/templates/http.tera"), template).unwrap();
    let echo = format!(
        "upstream echo {{\n    zone echo 256k;\n    {{{{ servers(prefix=\"/services/echo\") }}}}\n}}\n\
         server {{ listen 127.0.0.1:{tcp_port}; proxy_pass echo; }}\n"
    );
    fs::write(path("etc/templates/echo.tera"), echo).unwrap();
    for (name, dest) in [("http", nginx.http_file("http.conf")), ("echo", nginx.stream_file("echo.conf"))] {
        let lines = format!(
            "[template]\nsrc = \"{name}.tera\"\ndest = \"{}\"\nkeys = [\"/services\"]\ncheck_cmd = \"{}\"\nreload = \"nginx\"\n",
            dest.display(),
            nginx.check_command()
        );
        fs::write(path(&format!("etc/conf.d/{name}.toml")), lines).unwrap();
    }
    let etcd = Etcd::start();
    let dead = free_port();
    for n in 0..UPSTREAMS {
        for (key, port) in [("a", ports[0]), ("dead", dead), ("x", ports[1])] {
            etcd.put(&format!("/services/u{n}/{key}"), &format!("127.0.0.1:{port}"));
        }
    }
    etcd.put("/services/echo/a", &format!("127.0.0.1:{}", echoes[0]));
    nginx.start();
    let log = || fs::read_to_string(path("log")).unwrap_or_default();
    let mut command = Command::new(program("upstreamd"));
    command.args(["--watch", "--node", &etcd.url(), "--endpoints", way, "--nginx-pid-file"]).arg(nginx.pid_file());
    command.args(["--endpoints-listen", &format!("127.0.0.1:{listen}"), "--nginx-conf"]).arg(nginx.conf());
    command.arg("--confdir").arg(path("etc")).arg("--state-dir").arg(path("state")).stdout(Stdio::null());
    let agent = Daemon::start(command.stderr(fs::File::create(path("log")).unwrap()));
    let reloads = || log().matches("verified the reload of nginx").count();
    let settled = if way == "dns" { 2 } else { 1 };
    crate::support::wait_until("the first reloads", Duration::from_secs(30), || reloads() >= settled);
    std::thread::sleep(Duration::from_secs(2));

    let mut writer = etcd.writer();
    let idle_times = idle_times(&mut writer, http_port, ports);
    let (agent_before, nginx_before) = (processor_time(agent.child.id() as i32), nginx_time(&nginx));
    let reloads_before = reloads();
    let (stop, echo) = (AtomicBool::new(false), Echo::default());
    let changes = AtomicUsize::new(0);
    let mut workers: BTreeSet<i32> = BTreeSet::new();
    let (times, closing, keeping) = std::thread::scope(|scope| {
        let closing = scope.spawn(move || http_clients(http_port, "/u0/", false));
        let keeping = scope.spawn(move || http_clients(http_port, "/u1/", true));
        scope.spawn(|| match rate() {
            None => echo.run(tcp_port, &stop),
            Some(rate) => {
                let clients = paced::run(rate, Duration::from_secs(seconds()), || echo_once(tcp_port));
                echo.sent.store(clients.requests as usize, Ordering::Relaxed);
                echo.lost.store(clients.lost as usize, Ordering::Relaxed);
            }
        });
        let end = Instant::now() + Duration::from_secs(seconds());
        let (mut times, mut distances) = (Vec::new(), Distances(2));
        let mut current = [1_usize; UPSTREAMS];
        let mut round = 0_usize;
        while Instant::now() + CHURN < end {
            let started = Instant::now();
            let n = round % UPSTREAMS;
            current[n] = 1 + current[n] % 3;
            let port = ports[current[n]];
            writer.put(format!("/services/u{n}/x"), format!("127.0.0.1:{port}"));
            if round.is_multiple_of(5) {
                writer.put("/services/echo/x", format!("127.0.0.1:{}", echoes[1 - (round / 5) % 2]));
            }
            changes.fetch_add(1, Ordering::Relaxed);
            times.push(time_until_answer_at(http_port, &format!("/u{n}/"), started, &format!("backend-{port}")));
            workers.extend(nginx.worker_pids());
            round += 1;
            std::thread::sleep(distances.next(CHURN).saturating_sub(started.elapsed()));
        }
        let (closing, keeping) = (closing.join().unwrap(), keeping.join().unwrap());
        stop.store(true, Ordering::Relaxed);
        (times, closing, keeping)
    });
    let count = changes.load(Ordering::Relaxed) as f64;
    let agent_ms = (processor_time(agent.child.id() as i32) - agent_before).as_secs_f64() * 1000.0 / count;
    let nginx_ms = (nginx_time(&nginx).saturating_sub(nginx_before)).as_secs_f64() * 1000.0 / seconds() as f64;
    let mut times = times;
    times.sort();
    for line in log().lines().filter(|line| line.contains("ERROR") || line.contains("WARN")) {
        println!("{line}");
    }
    let echo = (echo.sent.load(Ordering::Relaxed), echo.lost.load(Ordering::Relaxed));
    Row {
        way,
        idle_times,
        times,
        reloads: reloads() - reloads_before,
        agent_ms,
        nginx_ms,
        workers: workers.len(),
        echo,
        closing,
        keeping,
    }
}

/// Asks nginx for a path all the time, on a connection for each request or on ones that are kept.
fn http_clients(port: u16, path: &str, keeps: bool) -> Clients {
    if let Some(rate) = rate() {
        let mut client = Client::new(port, path, keeps);
        return paced::run(rate, Duration::from_secs(seconds()), || client.ask());
    }
    let mut command = Command::new("wrk");
    command.args(["-t1", "-c2", "-d", &format!("{}s", seconds())]);
    command.args(["-H", "Connection: close"].iter().filter(|_| !keeps));
    let url = format!("http://127.0.0.1:{port}{path}");
    let output = command.arg(url).output().expect("wrk is to be installed (Debian: apt install wrk)");
    Clients::of_wrk(&String::from_utf8_lossy(&output.stdout))
}

/// Processor time of a process and of the children that it has waited for.
pub(crate) fn processor_time(pid: i32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<u64> = stat
        .rsplit_once(") ")
        .map(|(_, rest)| rest.split(' ').map(|field| field.parse().unwrap_or(0)).collect())
        .unwrap_or_default();
    // The ticks of user and system, then those of waited-for children: 100 in a second.
    Duration::from_millis(fields.get(11..15).map_or(0, |ticks| ticks.iter().sum::<u64>() * 10))
}

pub(crate) fn nginx_time(nginx: &Nginx) -> Duration {
    let workers = nginx.worker_pids().into_iter().chain(nginx.draining_worker_pids());
    workers.map(processor_time).sum::<Duration>() + processor_time(nginx.master_pid())
}
