//! Endpoints that an nginx from 1.27.3 on asks for: changes without a reload, and what happens when the agent, nginx or the store is
//! away. On real nginx 1.31 and the real program.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::agent::{DEADLINE, Mark, Sandbox};
use crate::support::nginx::{Nginx, http_get, wait_drained};
use crate::support::template::{Table, table};
use crate::support::{Daemon, free_port, wait_for, wait_or, wait_until};

/// Time in which a silent nginx is reloaded, and then given up.
const SILENCE: Duration = Duration::from_secs(60);

/// The template of the front; `{}` stands for directives of its upstream.
pub fn template(front: u16, directives: &str) -> String {
    format!(
        "upstream web {{\n    {directives}\n    {{{{ servers(prefix=\"/web\") }}}}\n}}\n\
         server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://web; proxy_connect_timeout 1s; }} }}\n"
    )
}

/// An nginx with a front, an agent that keeps the front, and three backends in an nginx of their own: a reload of the front must not
/// break connections at their end.
pub struct Bed {
    pub nginx: Nginx,
    _servers: Nginx,
    pub sandbox: Sandbox,
    pub front: u16,
    pub backends: [u16; 3],
    /// Where questions are answered; several addresses have a blank between them.
    pub listen: String,
}

impl Bed {
    pub fn new() -> Bed {
        Bed::with("zone web 256k;", |table| table)
    }

    /// Returns one that has not started. Its upstream has these directives.
    pub fn with(directives: &str, more: impl Fn(Table) -> Table) -> Bed {
        let backends = [free_port(), free_port(), free_port()];
        let servers: String = backends
            .iter()
            .map(|port| format!("server {{ listen 127.0.0.1:{port}; location / {{ return 200 {port}; }} }}\n"))
            .collect();
        let (nginx, mut servers) = (Nginx::recent().build(), Nginx::recent().http(&servers).build());
        servers.start();
        let (sandbox, front) = (Sandbox::new(), free_port());
        sandbox.template("web.tera", &template(front, directives));
        let table = table("web.tera", nginx.http_file("web.conf").display()).keys(&["/web"]).driving(&nginx);
        sandbox.resource("web", &more(table));
        let port = free_port();
        // An address of its own: that of the server for empty upstreams has a fixed port.
        let listen = format!("127.7.{}.{}:{port}", port >> 8, port & 255);
        Bed { nginx, _servers: servers, sandbox, front, backends, listen }
    }

    /// Lists these backends in the store.
    pub fn list(&self, ports: &[u16]) {
        let lines: String = ports.iter().map(|port| format!("  b{port}: 127.0.0.1:{port}\n")).collect();
        self.sandbox
            .set_store(if lines.is_empty() { "web: {}\n" } else { &lines }.replacen("  ", "web:\n  ", 1).as_str());
    }

    pub fn agent(&self) -> Daemon {
        self.agent_with(&[])
    }

    /// Starts the agent with further arguments.
    fn agent_with(&self, more: &[&str]) -> Daemon {
        let addresses = self.listen.split(' ').flat_map(|address| ["--endpoints-listen", address]);
        self.sandbox.start(&["--watch"].into_iter().chain(addresses).chain(more.iter().copied()).collect::<Vec<_>>())
    }

    /// Starts nginx and the agent with the first backend, and waits until nginx has nothing from disk any more.
    pub fn settle(&mut self) -> Daemon {
        self.settle_with(&[])
    }

    /// The same with further arguments for the agent.
    fn settle_with(&mut self, more: &[&str]) -> Daemon {
        self.nginx.start();
        self.settle_beside_nginx(more)
    }

    /// The same with an nginx that runs.
    pub fn settle_beside_nginx(&self, more: &[&str]) -> Daemon {
        self.list(&self.backends[..1]);
        let agent = self.agent_with(more);
        self.sandbox.wait_log("reloading nginx once more");
        self.sandbox.wait_log_times_since(Mark::START, "verified the reload", 2);
        self.wait_served_by(&self.backends[..1]);
        agent
    }

    /// Asks the front; returns the body, or the status of a failure.
    pub fn ask(&self) -> String {
        match http_get(self.front, "localhost", "/") {
            Ok(answer) if answer.status == 200 => answer.body,
            Ok(answer) => answer.status.to_string(),
            Err(error) => error.kind().to_string(),
        }
    }

    /// Waits until these backends and no others serve, as 30 requests in a row see it.
    #[track_caller]
    pub fn wait_served_by(&self, ports: &[u16]) {
        let wanted: BTreeSet<String> = ports.iter().map(u16::to_string).collect();
        let mut seen = std::collections::BTreeSet::new();
        let is_so = || {
            seen = (0..30).map(|_| self.ask()).collect();
            (seen == wanted).then_some(())
        };
        wait_or(DEADLINE, is_so, || {
            format!("not served by {wanted:?}:\n{}\n{}", self.sandbox.log(), self.nginx.error_log())
        });
    }

    fn file(&self) -> String {
        std::fs::read_to_string(self.nginx.http_file("web.conf")).unwrap_or_default()
    }

    /// Returns the lines on disk, for an nginx that starts while nobody answers.
    fn lines(&self) -> String {
        let entries = std::fs::read_dir(self.nginx.http_file("")).unwrap().map(|entry| entry.unwrap().path());
        let of_names = entries.filter(|path| path.extension().is_some_and(|extension| extension == "peers"));
        of_names.filter_map(|path| std::fs::read_to_string(path).ok()).collect()
    }

    /// Counts failed requests while `work` runs. There are some hundred in a second: each is two connections, which a machine that tracks
    /// connections remembers for two minutes.
    fn failures_during(&self, work: impl FnOnce()) -> (usize, usize) {
        let (stop, front) = (Arc::new(AtomicBool::new(false)), self.front);
        let (asked, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let (stop, asked, failed) = (Arc::clone(&stop), Arc::clone(&asked), Arc::clone(&failed));
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        asked.fetch_add(1, Ordering::Relaxed);
                        let is_good = http_get(front, "localhost", "/").is_ok_and(|answer| answer.status == 200);
                        failed.fetch_add(usize::from(!is_good), Ordering::Relaxed);
                        std::thread::sleep(Duration::from_millis(5));
                    }
                })
            })
            .collect();
        work();
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
        (failed.load(Ordering::Relaxed), asked.load(Ordering::Relaxed))
    }
}

impl Bed {
    /// Waits until the workers of nginx are known as clean, and the one that asks is another one than `before`. Returns its address.
    #[track_caller]
    fn wait_clean(&self, before: Option<&str>) -> String {
        let clean = || clean_worker(&self.sandbox, &self.nginx).filter(|worker| Some(&**worker) != before);
        wait_for("the record of the worker", DEADLINE, clean)
    }
}

/// Returns the address of the worker that asks for the first name if the agent's record says that the workers of nginx have not read
/// the lines on disk.
pub fn clean_worker(sandbox: &Sandbox, nginx: &Nginx) -> Option<String> {
    let record = std::fs::read_to_string(sandbox.path("state/endpoints.json")).ok()?;
    let record: serde_json::Value = serde_json::from_str(&record).ok()?;
    let worker = record["sets"][0]["clean_worker"].as_str()?;
    let known: BTreeSet<i64> = record["workers"].as_array()?.iter().filter_map(|one| one[0].as_i64()).collect();
    (known == nginx.worker_pids().into_iter().map(i64::from).collect()).then(|| worker.to_owned())
}

/// Returns whether somebody has a socket that is connected to this address. nginx connects its sockets.
fn has_socket_to(address: &str) -> bool {
    let address: std::net::SocketAddrV4 = address.parse().unwrap();
    let remote = format!("{:08X}:{:04X}", u32::from(*address.ip()).swap_bytes(), address.port());
    let sockets = std::fs::read_to_string("/proc/net/udp").unwrap();
    sockets.lines().any(|line| line.split_whitespace().nth(2) == Some(&*remote))
}

fn signal(daemon: &Daemon, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(daemon.child.id()).unwrap()), signal).unwrap();
}

#[test]
fn changes_reach_nginx_without_a_reload_and_without_loss() {
    let mut bed = Bed::new();
    let _agent = bed.settle();
    assert!(bed.file().contains("service=peers resolve"), "{}", bed.file());
    let (workers, file) = (wait_drained(&bed.nginx), bed.file());
    let (backends, mark) = (bed.backends, bed.sandbox.mark());
    let (failed, asked) = bed.failures_during(|| {
        for ports in [&backends[..], &backends[1..], &backends[..2], &backends[2..], &backends[..1]] {
            bed.list(ports);
            bed.wait_served_by(ports);
        }
    });
    assert_eq!((failed, asked > 0), (0, true), "of {asked} requests");
    bed.sandbox.wait_log_since(mark, "nginx took the endpoints of web.toml: 1 backend");
    assert_eq!((bed.nginx.worker_pids(), bed.file()), (workers, file), "no reload, and the same file");
}

/// nginx asks them in turn, from a socket for each: consecutive changes are answered at different addresses.
#[test]
fn changes_reach_nginx_by_several_addresses() {
    let mut bed = Bed::new();
    let both = [bed.listen.clone(), bed.listen.replacen("127.7.", "127.8.", 1)];
    bed.listen = both.join(" ");
    let _agent = bed.settle();
    assert!(bed.file().contains(&format!("resolver {};", bed.listen)), "{}", bed.file());
    let (workers, file) = (wait_drained(&bed.nginx), bed.file());
    let backends = bed.backends;
    let (failed, asked) = bed.failures_during(|| {
        for ports in [&backends[1..], &backends[..2], &backends[2..], &backends[..1], &backends[1..], &backends[..]] {
            let mark = bed.sandbox.mark();
            bed.list(ports);
            bed.wait_served_by(ports);
            bed.sandbox.wait_log_since(mark, "nginx took the endpoints of web.toml");
        }
    });
    assert_eq!((failed, asked > 0), (0, true), "of {asked} requests");
    assert_eq!((bed.nginx.worker_pids(), bed.file()), (workers, file), "no reload, and the same file");
    for address in both {
        assert!(has_socket_to(&address), "{address}");
    }
}

#[test]
fn a_killed_or_hung_agent_costs_no_peer_and_its_restart_no_reload() {
    let mut bed = Bed::new();
    let mut agent = bed.settle();
    let workers = wait_drained(&bed.nginx);
    let backends = bed.backends;
    bed.wait_clean(None);
    let (failed, asked) = bed.failures_during(|| {
        signal(&agent, Signal::SIGSTOP);
        bed.list(&backends[..2]);
        bed.wait_served_by(&backends[..1]);
        signal(&agent, Signal::SIGCONT);
        bed.wait_served_by(&backends[..2]);
        signal(&agent, Signal::SIGKILL);
        agent.child.wait().unwrap();
        bed.wait_served_by(&backends[..2]);
        agent = bed.agent();
        bed.list(&backends[1..]);
        bed.wait_served_by(&backends[1..]);
    });
    assert_eq!((failed, asked > 0), (0, true), "of {asked} requests");
    assert_eq!(bed.nginx.worker_pids(), workers);
}

#[test]
fn an_agent_that_was_away_for_long_costs_no_reload_when_it_is_back() {
    let mut bed = Bed::new();
    let mut agent = bed.settle();
    let workers = wait_drained(&bed.nginx);
    let clean_worker = bed.wait_clean(None);
    agent.kill();
    wait_until("nginx to close its socket, since nobody takes its question", DEADLINE, || !has_socket_to(&bed.listen));
    let mark = bed.sandbox.mark();
    let mut agent = bed.agent();
    bed.list(&bed.backends[1..]);
    bed.wait_served_by(&bed.backends[1..]);
    let next = bed.wait_clean(Some(&clean_worker));
    // The next one is away before nginx has asked it.
    agent.kill();
    wait_until("nginx to close its socket again", DEADLINE, || !has_socket_to(&bed.listen));
    for _ in 0..2 {
        let mark = bed.sandbox.mark();
        agent = bed.agent();
        bed.sandbox.wait_log_since(mark, "by DNS");
        agent.kill();
    }
    let _agent = bed.agent();
    bed.list(&bed.backends[..1]);
    bed.wait_served_by(&bed.backends[..1]);
    bed.wait_clean(Some(&next));
    assert_eq!(bed.nginx.worker_pids(), workers, "{}", bed.sandbox.log_since(mark));
    assert!(!bed.sandbox.log_since(mark).contains("reloading nginx"), "{}", bed.sandbox.log_since(mark));
}

#[test]
fn the_last_endpoints_are_on_disk_when_the_agent_has_stopped() {
    let mut bed = Bed::new();
    let mut agent = bed.settle();
    // They cannot be written for a while.
    let record = bed.sandbox.path("state/endpoints.json");
    bed.wait_clean(None);
    std::fs::remove_file(&record).unwrap();
    std::fs::create_dir(&record).unwrap();
    bed.list(&bed.backends[1..2]);
    bed.sandbox.wait_log(
        "the next start of upstreamd has no endpoints to answer with, or old ones, until it has read the store",
    );
    assert!(!bed.sandbox.log().contains("if nginx starts"), "nginx has its lines");
    bed.wait_served_by(&bed.backends[1..2]);
    std::fs::remove_dir(&record).unwrap();
    signal(&agent, Signal::SIGTERM);
    assert!(agent.child.wait().unwrap().success());
    let record = std::fs::read_to_string(record).unwrap();
    assert!(record.contains(&format!("\"127.0.0.1:{}\"", bed.backends[1])), "{record}");
}

#[test]
fn an_agent_that_gives_a_reload_up_leaves_the_lines_on_disk() {
    let mut bed = Bed::new();
    let conf_d = bed.sandbox.path("etc/conf.d/web.toml");
    let resource = std::fs::read_to_string(&conf_d).unwrap();
    let (reload, hangs, hung) = (bed.nginx.reload_command(), bed.sandbox.path("hangs"), bed.sandbox.path("hung"));
    let hanging = format!("if test -e {}; then touch {}; sleep 600; fi; {reload}", hangs.display(), hung.display());
    std::fs::write(&conf_d, resource.replace(&reload, &hanging)).unwrap();
    let mut agent = bed.settle_with(&["--shutdown-timeout", "100ms"]);
    let expected = format!("server 127.0.0.1:{} max_fails=0 backup;\n", bed.backends[0]);
    wait_until("the lines on disk", DEADLINE, || bed.lines() == expected);
    std::fs::write(&hangs, "").unwrap();
    bed.sandbox.template("web.tera", &template(bed.front, "zone web 256k;\n    keepalive 4;"));
    wait_until("a reload", DEADLINE, || hung.exists());
    assert_eq!(bed.lines(), "", "the new workers do not need them");
    signal(&agent, Signal::SIGTERM);
    agent.child.wait().unwrap();
    bed.sandbox.wait_log("a transaction did not end within 100ms");
    assert_eq!(bed.lines(), expected);
}

#[test]
fn nginx_starts_with_the_last_endpoints_while_the_agent_is_dead() {
    let mut bed = Bed::new();
    let mut agent = bed.settle();
    bed.list(&bed.backends[1..2]);
    bed.wait_served_by(&bed.backends[1..2]);
    let expected = format!("server 127.0.0.1:{} max_fails=0 backup;\n", bed.backends[1]);
    wait_until("the lines on disk", DEADLINE, || bed.lines() == expected);
    signal(&agent, Signal::SIGKILL);
    agent.child.wait().unwrap();
    bed.nginx.stop();
    bed.nginx.start();
    bed.wait_served_by(&bed.backends[1..2]);
    // The store is away as well: the agent answers with what it knew.
    std::fs::remove_file(bed.sandbox.path("store.yaml")).unwrap();
    let mark = bed.sandbox.mark();
    let _agent = bed.agent();
    bed.sandbox.wait_log_since(mark, "answering nginx's questions");
    bed.nginx.stop();
    bed.nginx.start();
    bed.wait_served_by(&bed.backends[1..2]);
    // It is back: nginx forgets what it has read from disk.
    bed.list(&bed.backends[1..]);
    bed.wait_served_by(&bed.backends[1..]);
    bed.sandbox.wait_log_since(mark, "reloading nginx once more");
}

#[test]
fn a_path_that_nginx_has_to_quote_has_its_lines_too() {
    let mut bed = Bed::new();
    let conf_d = bed.sandbox.path("etc/conf.d/web.toml");
    let resource = std::fs::read_to_string(&conf_d).unwrap();
    std::fs::write(&conf_d, resource.replace("/web.conf\"", "/web site;{ü}$a'#.conf\"")).unwrap();
    let mut agent = bed.settle();
    wait_until("the lines on disk", DEADLINE, || !bed.lines().is_empty());
    signal(&agent, Signal::SIGKILL);
    agent.child.wait().unwrap();
    bed.nginx.stop();
    bed.nginx.start();
    bed.wait_served_by(&bed.backends[..1]);
}

/// Answers at this port, or breaks connections while `breaks`, as long as the test runs.
fn serve_or_break(port: u16, breaks: &Arc<AtomicBool>) {
    let (listener, breaks) = (TcpListener::bind(("127.0.0.1", port)).unwrap(), Arc::clone(breaks));
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            let asked = connection.read(&mut [0; 4096]).is_ok();
            if asked && !breaks.load(Ordering::SeqCst) {
                connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").ok();
            }
        }
    });
}

#[test]
fn a_single_backend_stays_in_use_when_its_connections_break() {
    let mut bed = Bed::new();
    let (port, breaks) = (free_port(), Arc::new(AtomicBool::new(false)));
    serve_or_break(port, &breaks);
    bed.list(&[port]);
    bed.nginx.start();
    let mut agent = bed.agent();
    wait_until("an answer that nginx has taken", DEADLINE, || bed.file().contains(" resolve ") && bed.ask() == "ok");
    // nginx keeps the lines that it has read from disk beside the same server from an answer.
    signal(&agent, Signal::SIGKILL);
    agent.child.wait().unwrap();
    breaks.store(true, Ordering::SeqCst);
    assert_eq!([bed.ask(), bed.ask()], ["502", "502"]);
    breaks.store(false, Ordering::SeqCst);
    assert_eq!(bed.ask(), "ok", "{}", bed.nginx.error_log());
}

#[test]
fn going_from_one_way_to_the_other_loses_no_request() {
    let mut bed = Bed::new();
    let _agent = bed.settle();
    let resource = std::fs::read_to_string(bed.sandbox.path("etc/conf.d/web.toml")).unwrap();
    let (failed, asked) = bed.failures_during(|| {
        std::fs::write(bed.sandbox.path("etc/conf.d/web.toml"), format!("{resource}endpoints = \"reload\"\n")).unwrap();
        let line = format!("server 127.0.0.1:{} ", bed.backends[0]);
        wait_until("server lines", DEADLINE, || bed.file().contains(&line) && !bed.file().contains("resolve"));
        wait_drained(&bed.nginx);
        std::fs::write(bed.sandbox.path("etc/conf.d/web.toml"), &resource).unwrap();
        wait_until("names", DEADLINE, || bed.file().contains(" resolve "));
        bed.list(&bed.backends[2..]);
        bed.wait_served_by(&bed.backends[2..]);
    });
    assert_eq!((failed, asked > 0), (0, true), "of {asked} requests");
}

#[test]
fn guards_decide_about_answers_and_an_empty_one_says_503() {
    let mut bed = Bed::with("zone web 256k;", |table| table.lines("min_backends = 2"));
    bed.list(&bed.backends);
    bed.nginx.start();
    let _agent = bed.agent();
    bed.wait_served_by(&bed.backends);
    bed.list(&bed.backends[..1]);
    bed.sandbox.wait_log("min_backends");
    bed.wait_served_by(&bed.backends);
    let resource = std::fs::read_to_string(bed.sandbox.path("etc/conf.d/web.toml")).unwrap();
    let without = resource.replace("min_backends = 2", "on_empty = \"placeholder\"");
    std::fs::write(bed.sandbox.path("etc/conf.d/web.toml"), without).unwrap();
    bed.wait_served_by(&bed.backends[..1]);
    bed.list(&[]);
    wait_until("503", DEADLINE, || bed.ask() == "503");
    bed.list(&bed.backends[1..]);
    bed.wait_served_by(&bed.backends[1..]);
}

#[test]
fn every_method_takes_its_servers_by_name() {
    for method in
        ["least_conn;", "hash $uri consistent;", "hash $remote_port;", "ip_hash;", "random two;", "sticky cookie s;"]
    {
        let mut bed = Bed::with(&format!("zone web 256k;\n    {method}"), |table| table);
        bed.list(&bed.backends[..1]);
        bed.nginx.start();
        let _agent = bed.agent();
        bed.wait_served_by(&bed.backends[..1]);
        bed.list(&bed.backends[1..2]);
        bed.wait_served_by(&bed.backends[1..2]);
    }
}

#[test]
fn two_upstreams_with_the_same_servers_may_balance_differently() {
    let mut bed = Bed::new();
    let both = |method: &str| {
        let upstream = |name: &str, more: &str| {
            format!(
                "upstream {name} {{\n    zone {name} 256k;\n    {more}\n    {{{{ servers(prefix=\"/web\") }}}}\n}}\n"
            )
        };
        let server = format!(
            "server {{ listen 127.0.0.1:{}; location / {{ proxy_pass http://web; }} location /s {{ proxy_pass http://sticky; }} }}\n",
            bed.front
        );
        [upstream("web", ""), upstream("sticky", method), server].concat()
    };
    bed.sandbox.template("web.tera", &both("hash $uri consistent;"));
    let asked_below_s = || http_get(bed.front, "localhost", "/s").map(|answer| answer.body).unwrap_or_default();
    bed.list(&bed.backends[..1]);
    bed.nginx.start();
    let _agent = bed.agent();
    for port in [0, 1] {
        let mark = bed.sandbox.mark();
        bed.list(&bed.backends[port..=port]);
        bed.wait_served_by(&bed.backends[port..=port]);
        wait_until("the other upstream", DEADLINE, || asked_below_s() == bed.backends[port].to_string());
        if port > 0 {
            bed.sandbox.wait_log_since(mark, "nginx took the endpoints of web.toml");
        }
    }
}

/// nginx refuses a second `resolver` in an upstream. What is said of the way says it all, and once.
#[test]
fn an_upstream_with_two_calls_goes_by_reload() {
    let mut bed = Bed::new();
    let [a, b, c] = bed.backends;
    let one_call = template(bed.front, "zone web 256k;");
    let two_calls = one_call.replace("{{ servers", "{{ servers(prefix=\"/more\") }}\n    {{ servers");
    bed.sandbox.template("web.tera", &two_calls);
    let conf_d = bed.sandbox.path("etc/conf.d/web.toml");
    let resource = std::fs::read_to_string(&conf_d).unwrap();
    std::fs::write(&conf_d, resource.replace("[\"/web\"]", "[\"/web\", \"/more\"]")).unwrap();
    let list =
        |more: u16| bed.sandbox.set_store(&format!("web: {{a: 127.0.0.1:{a}}}\nmore: {{b: 127.0.0.1:{more}}}\n"));
    list(b);
    bed.nginx.start();
    let _agent = bed.agent();
    bed.wait_served_by(&[a, b]);
    list(c);
    bed.wait_served_by(&[a, c]);
    let lines = format!(
        "    server 127.0.0.1:{c} max_fails=1 fail_timeout=10s;\n    server 127.0.0.1:{a} max_fails=1 fail_timeout=10s;\n"
    );
    assert!(bed.file().contains(&lines), "{}", bed.file());
    let by_reload =
        "web.toml: changes of backends reach nginx by reloads: an upstream in its file would have two `resolver`";
    assert_eq!(bed.sandbox.log().matches(by_reload).count(), 1, "{}", bed.sandbox.log());
    assert!(!bed.sandbox.log().contains("duplicate"), "{}", bed.sandbox.log());
    // With one call it goes by DNS, as all others do.
    bed.sandbox.template("web.tera", &one_call);
    wait_until("names", DEADLINE, || bed.file().contains(" resolve "));
    bed.wait_served_by(&[a]);
}

#[test]
fn an_upstream_without_a_zone_is_refused_in_words() {
    let mut bed = Bed::with("least_conn;", |table| table);
    bed.list(&bed.backends[..1]);
    bed.nginx.start();
    let _agent = bed.agent();
    bed.sandbox.wait_log("upstream `web` asks for its endpoints and has no `zone`");
}

#[test]
fn as_long_as_the_address_is_taken_changes_go_by_reload() {
    for (choice, level) in [("auto", " WARN "), ("dns", "ERROR ")] {
        let mut bed = Bed::with("zone web 256k;", |table| table.lines(format!("endpoints = \"{choice}\"")));
        let taken = UdpSocket::bind(&bed.listen).unwrap();
        bed.list(&bed.backends[..1]);
        bed.nginx.start();
        let _agent = bed.agent();
        let problem = format!("cannot listen at {}", bed.listen);
        bed.sandbox.wait_log(&problem);
        let line = bed.sandbox.log().lines().find(|line| line.contains(&problem)).unwrap().to_owned();
        assert!(line.contains(level) && line.contains("an address of its own"), "{line}");
        bed.wait_served_by(&bed.backends[..1]);
        assert!(!bed.file().contains("resolve"), "{}", bed.file());
        drop(taken);
        wait_until("names", DEADLINE, || bed.file().contains(" resolve "));
        bed.list(&bed.backends[1..]);
        bed.wait_served_by(&bed.backends[1..]);
        assert_eq!(bed.sandbox.log().matches(&problem).count(), 2, "one line for the agent, one for the resource");
    }
}

/// A resource with a file for each name, on an nginx that has not started.
struct Fleet {
    nginx: Nginx,
    sandbox: Sandbox,
    port: u16,
}

impl Fleet {
    fn new() -> Fleet {
        let (nginx, sandbox) = (Nginx::recent().build(), Sandbox::new());
        sandbox.template(
            "vhost.tera",
            "upstream {{ item }} {\n    zone {{ item }} 256k;\n    {{ servers(prefix=\"/vhosts/\" ~ item) }}\n}\n\
             server { listen 127.0.0.1:{{ getv(key=\"/port\") }}; server_name {{ item }}; \
             location / { proxy_pass http://{{ item }}; } }\n",
        );
        let dest = nginx.http_file("{{ item }}.conf");
        let resource = table("vhost.tera", dest.display()).keys(&["/port", "/vhosts"]).set("for_each", "/vhosts/*/");
        sandbox.resource("vhost", &resource.driving(&nginx));
        Fleet { nginx, sandbox, port: free_port() }
    }

    fn list(&self, names: &[&str]) {
        let lines: String = names.iter().map(|name| format!("  {name}: {{x: 127.0.0.1:81}}\n")).collect();
        self.sandbox.set_store(&format!("port: {}\nvhosts:\n{lines}", self.port));
    }

    pub fn agent(&self) -> Daemon {
        let listen = format!("127.8.{}.{}:{}", self.port >> 8, self.port & 255, self.port);
        self.sandbox.start(&["--watch", "--endpoints-listen", &listen])
    }

    /// Waits until these names and no others have lines on disk.
    #[track_caller]
    fn wait_lines(&self, names: &[char]) {
        wait_until("the lines", DEADLINE, || self.lines() == names.iter().copied().collect());
    }

    fn lines(&self) -> BTreeSet<char> {
        let names = std::fs::read_dir(self.nginx.http_file("")).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.filter_map(|name| name.into_string().ok()).filter(|name| name.ends_with(".peers"));
        names.filter_map(|name| name.chars().nth(1)).collect()
    }
}

#[test]
fn names_of_a_file_that_goes_away_go_with_it() {
    let mut fleet = Fleet::new();
    fleet.list(&["a", "b"]);
    fleet.nginx.start();
    let _agent = fleet.agent();
    fleet.wait_lines(&['a', 'b']);
    fleet.list(&["a"]);
    // During the reload the lines are away, and are put back one by one.
    fleet.sandbox.wait_log("removed /");
    fleet.wait_lines(&['a']);
    // The resource goes away, and its file with it.
    std::fs::remove_file(fleet.sandbox.path("etc/conf.d/vhost.toml")).unwrap();
    fleet.sandbox.wait_log("the resource is gone from conf.d");
    assert_eq!(fleet.lines(), ['a'].into());
    std::fs::remove_file(fleet.nginx.http_file("a.conf")).unwrap();
    fleet.nginx.stop();
    fleet.wait_lines(&[]);
}

#[test]
fn a_refused_removal_keeps_its_names_and_no_others() {
    let mut fleet = Fleet::new();
    fleet.list(&["a", "b", "c"]);
    fleet.nginx.start();
    let _agent = fleet.agent();
    fleet.wait_lines(&['a', 'b', 'c']);
    // nginx needs b.
    let user = format!("server {{ listen 127.0.0.1:{}; location / {{ proxy_pass http://b; }} }}\n", free_port());
    std::fs::write(fleet.nginx.http_file("user.conf"), user).unwrap();
    let mark = fleet.sandbox.mark();
    fleet.list(&["c"]);
    fleet.sandbox.wait_log_since(mark, "host not found in upstream");
    fleet.wait_lines(&['b', 'c']);
    let has = |name: &str| fleet.nginx.http_file(name).exists();
    assert!(!has("a.conf") && has("b.conf") && has("c.conf"), "{}", fleet.sandbox.log());
}

#[test]
fn a_failed_reload_that_is_owed_for_the_lines_is_tried_again() {
    let mut bed = Bed::new();
    let resource = std::fs::read_to_string(bed.sandbox.path("etc/conf.d/web.toml")).unwrap();
    let (reload, fails) = (bed.nginx.reload_command(), bed.sandbox.path("fails"));
    let has_failed = bed.sandbox.path("has_failed");
    let failing =
        format!("if test -e {}; then touch {}; false; else {reload}; fi", fails.display(), has_failed.display());
    std::fs::write(bed.sandbox.path("etc/conf.d/web.toml"), resource.replace(&reload, &failing)).unwrap();
    bed.list(&bed.backends[..1]);
    bed.nginx.start();
    let _agent = bed.agent();
    bed.sandbox.wait_log("verified the reload");
    std::fs::write(&fails, "").unwrap();
    bed.sandbox.wait_log("reloading nginx once more");
    wait_until("the failure", DEADLINE, || has_failed.exists());
    std::fs::remove_file(&fails).unwrap();
    bed.sandbox.wait_log_times_since(Mark::START, "verified the reload", 2);
    assert_eq!(bed.sandbox.log().matches("reloading nginx once more").count(), 1);
}

/// Neither command says that it is about nginx: it may be a fork of nginx, or a service with a name of its own.
#[test]
fn a_reload_command_that_does_not_name_nginx_ends_the_lines() {
    let mut bed = Bed::with("zone web 256k;", |table| table.lines("endpoints = \"dns\""));
    let script = bed.sandbox.text_path("edge");
    std::fs::write(&script, bed.nginx.reload_command()).unwrap();
    let conf_d = bed.sandbox.path("etc/conf.d/web.toml");
    let resource = std::fs::read_to_string(&conf_d).unwrap();
    let resource = resource.replace(&bed.nginx.check_command(), "true");
    std::fs::write(&conf_d, resource.replace(&bed.nginx.reload_command(), &format!("sh {script}"))).unwrap();
    bed.list(&bed.backends[..1]);
    bed.nginx.start();
    let _agent = bed.agent();
    bed.sandbox.wait_log("reloading nginx once more");
    bed.sandbox.wait_log("reloaded, no file changed (the reload was owed)");
    // By the first answer that they take the new workers are known, and a removal from lines that they had read would be urgent.
    for port in [1, 2] {
        let mark = bed.sandbox.mark();
        bed.list(&bed.backends[port..=port]);
        bed.sandbox.wait_log_since(mark, "nginx took the endpoints of web.toml");
        bed.wait_served_by(&bed.backends[port..=port]);
    }
    assert_eq!(bed.sandbox.log().matches("reloading nginx once more").count(), 1, "{}", bed.sandbox.log());
}

#[test]
fn a_backend_that_moves_to_another_name_serves_while_the_file_is_refused() {
    let mut bed = Bed::new();
    let resource = std::fs::read_to_string(bed.sandbox.path("etc/conf.d/web.toml")).unwrap();
    let (check, refuse) = (bed.nginx.check_command(), bed.sandbox.text_path("refuse"));
    let refusing = format!("test ! -e {refuse} && {check}");
    std::fs::write(bed.sandbox.path("etc/conf.d/web.toml"), resource.replace(&check, &refusing)).unwrap();
    let _agent = bed.settle();
    bed.list(&bed.backends[..2]);
    bed.wait_served_by(&bed.backends[..2]);
    std::fs::write(&refuse, "").unwrap();
    let [a, b, c] = bed.backends;
    let moved =
        format!("web:\n  a: '{{\"host\": \"127.0.0.1\", \"port\": {a}, \"max_conns\": 50}}'\n  b: 127.0.0.1:{b}\n");
    bed.sandbox.set_store(&moved);
    bed.sandbox.wait_log("check failed");
    bed.sandbox.set_store(&format!("{moved}  c: 127.0.0.1:{c}\n"));
    bed.wait_served_by(&bed.backends);
    std::fs::remove_file(&refuse).unwrap();
    wait_until("two names", DEADLINE, || bed.file().matches(" resolve ").count() == 2);
    bed.wait_served_by(&bed.backends);
}

#[test]
fn an_nginx_that_does_not_ask_is_reloaded_and_then_given_up() {
    let mut bed = Bed::new();
    // nginx reads its files from elsewhere.
    let resource = std::fs::read_to_string(bed.sandbox.path("etc/conf.d/web.toml")).unwrap();
    let elsewhere = bed.sandbox.text_path("out/web.conf");
    let moved = resource.replace(bed.nginx.http_file("web.conf").to_str().unwrap(), &elsewhere);
    std::fs::write(bed.sandbox.path("etc/conf.d/web.toml"), moved).unwrap();
    bed.list(&bed.backends[..1]);
    bed.nginx.start();
    let pages = free_port();
    let pages_at = format!("127.0.0.1:{pages}");
    let _agent = bed.sandbox.start(&["--watch", "--endpoints-listen", &bed.listen, "--metrics-addr", &pages_at]);
    let says = |text: &'static str| {
        let says = || bed.sandbox.log().contains(text).then_some(());
        wait_or(SILENCE, says, || format!("the log does not say {text:?}:\n{}", bed.sandbox.log()));
    };
    says("does not ask for the endpoints in its file; reloading it");
    let goes = |way: &str| {
        let page = || http_get(pages, "localhost", "/ready/detailed").map(|page| page.body).unwrap_or_default();
        let wanted = format!("\"endpoints_by_{way}\":\"web.toml\"");
        wait_or(DEADLINE, || page().contains(&wanted).then_some(()), || format!("{wanted} is not in {}", page()));
    };
    goes("dns");
    says("even after a reload");
    goes("reload");
    let line = format!("server 127.0.0.1:{} ", bed.backends[0]);
    wait_until("server lines", DEADLINE, || bed.sandbox.output("web.conf").is_some_and(|text| text.contains(&line)));
}

#[test]
fn the_nginx_of_debian_gets_the_lines_of_today() {
    let nginx = Nginx::builder().build();
    let (sandbox, front) = (Sandbox::new(), free_port());
    sandbox.template("web.tera", &template(front, "zone web 256k;"));
    let dest = nginx.http_file("web.conf");
    sandbox.resource("web", &table("web.tera", dest.display()).keys(&["/web"]).driving(&nginx));
    sandbox.set_store("web:\n  a: 127.0.0.1:81\n  b: 127.0.0.1:82\n");
    let mut nginx = nginx;
    nginx.start();
    let _agent = sandbox.watch();
    sandbox.wait_log("verified the reload");
    let file = std::fs::read_to_string(dest).unwrap();
    let lines = "    server 127.0.0.1:81 max_fails=1 fail_timeout=10s;\n    server 127.0.0.1:82 max_fails=1 fail_timeout=10s;\n";
    assert!(file.contains(lines), "{file}");
    assert!(!sandbox.log().contains("answering nginx's questions"), "{}", sandbox.log());
}

#[test]
fn a_method_that_knows_no_backups_is_explained() {
    let (nginx, sandbox) = (Nginx::builder().build(), Sandbox::new());
    sandbox.template("web.tera", &template(free_port(), "ip_hash;"));
    sandbox.resource("web", &table("web.tera", nginx.http_file("web.conf").display()).keys(&["/web"]).driving(&nginx));
    sandbox.set_store("web: {a: 127.0.0.1:81, b: '{\"host\": \"127.0.0.1\", \"port\": 82, \"backup\": true}'}\n");
    let said = sandbox.onetime().stderr;
    let words = "balancing method does not support parameter \"backup\" in /";
    assert!(said.contains(words) && said.contains("methods that know no backups"), "{said}");
}

/// Sends a datagram to the agent, and returns what comes back within a moment.
fn exchange(to: &str, bytes: &[u8], patience: Duration) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(patience)).unwrap();
    socket.send_to(bytes, to).unwrap();
    let mut answer = [0; 65_535];
    let length = socket.recv(&mut answer).ok()?;
    Some(answer[..length].to_vec())
}

/// Returns a question: the name's labels, the type, the class.
pub fn question(id: u16, labels: &[&str], kind: u16, class: u16) -> Vec<u8> {
    let mut bytes = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in labels {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&class.to_be_bytes());
    bytes
}

#[test]
fn another_user_who_asks_like_nginx_does_not_count() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let mut bed = Bed::new();
    let _agent = bed.settle();
    let file = bed.file();
    let name = file.split_ascii_whitespace().find_map(|word| word.strip_suffix(".upstreamd.internal")).unwrap();
    let labels = ["_peers", "_tcp", name, "upstreamd", "internal"];
    let ask = |socket: &UdpSocket, id: u16| {
        socket.send(&question(id, &labels, 33, 1)).unwrap();
        socket.recv(&mut [0; 4096]).is_ok()
    };
    let (own, others) = (socket_of(0, &bed.listen), socket_of(65534, &bed.listen));
    assert!(ask(&own, 1) && !ask(&own, 2), "the second question of a worker is held");
    for id in 1..5 {
        assert!(ask(&others, id), "no question of another user is held");
    }
    bed.list(&bed.backends[1..2]);
    bed.wait_served_by(&bed.backends[1..2]);
}

/// Returns a socket of another user than ours that asks at this address.
fn socket_of(user: u32, listen: &str) -> UdpSocket {
    let socket = std::thread::scope(|scope| {
        let made = scope.spawn(|| {
            // Only for this thread, and the kernel remembers who has made a socket.
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(user));
            UdpSocket::bind("127.0.0.1:0").unwrap()
        });
        made.join().unwrap()
    });
    socket.connect(listen).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket
}

/// A hundred thousand questions a second for as long as it lives: to send more is a question of processors.
struct Flood(Arc<AtomicBool>);

impl Flood {
    fn from(socket: UdpSocket) -> Flood {
        let (nothing, is_over) = (question(1, &["example", "com"], 33, 1), Arc::new(AtomicBool::new(false)));
        let flood = Flood(Arc::clone(&is_over));
        std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let start = Instant::now();
                (0..100).for_each(|_| drop(socket.send(&nothing)));
                std::thread::sleep(Duration::from_millis(1).saturating_sub(start.elapsed()));
            }
        });
        flood
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_flood_by_another_user_keeps_no_question_of_nginx_away() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let mut bed = Bed::new();
    let _agent = bed.settle();
    let mark = bed.sandbox.mark();
    let flood = Flood::from(socket_of(65534, &bed.listen));
    // nginx asks once after each change, so each waits for a question in the flood.
    for round in 0..6 {
        let port = &bed.backends[round % 2..][..1];
        bed.list(port);
        bed.wait_served_by(port);
    }
    bed.sandbox.wait_log_times_since(mark, "nginx took the endpoints of web.toml", 3);
    drop(flood);
    let log = bed.sandbox.log_since(mark);
    assert!(!log.contains("does not ask") && bed.file().contains(" resolve "), "{log}");
}

#[test]
fn a_question_that_a_hung_agent_reads_late_is_not_held() {
    let mut bed = Bed::new();
    let agent = bed.settle();
    let file = bed.file();
    let name = file.split_ascii_whitespace().find_map(|word| word.strip_suffix(".upstreamd.internal")).unwrap();
    let labels = ["_peers", "_tcp", name, "upstreamd", "internal"];
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(&bed.listen).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let answered = || {
        let mut answer = [0; 4096];
        socket.recv(&mut answer).ok().map(|_| u16::from_be_bytes([answer[0], answer[1]]))
    };
    let ask = |id: u16| {
        socket.send(&question(id, &labels, 33, 1)).unwrap();
        answered()
    };
    assert_eq!((ask(1), ask(2)), (Some(1), None), "the second question of a worker is held");
    signal(&agent, Signal::SIGSTOP);
    wait_until("each thread to stop", DEADLINE, || {
        let mut threads = std::fs::read_dir(format!("/proc/{}/task", agent.child.id())).unwrap();
        threads.all(|thread| std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap().contains(") T "))
    });
    assert_eq!(ask(3), None);
    signal(&agent, Signal::SIGCONT);
    assert_eq!(answered(), Some(3), "nobody may wait for it any more");
    assert_eq!((ask(4), ask(5)), (Some(4), None), "the answer before proves nothing");
}

#[test]
fn hostile_questions_and_connections_stop_nothing() {
    let mut bed = Bed::new();
    let _agent = bed.settle();
    let own = ["v4-0a000001", "upstreamd", "internal"];
    let answer = exchange(&bed.listen, &question(7, &own, 1, 1), DEADLINE).expect("the answer for a target");
    assert_eq!((answer[..2].to_vec(), answer[7]), (vec![0, 7], 1), "one record");
    let refused = exchange(&bed.listen, &question(8, &["example", "com"], 1, 1), DEADLINE).expect("a refusal");
    assert_eq!(refused[3] & 0xf, 5);
    let chaos = exchange(&bed.listen, &question(9, &["version", "bind"], 16, 3), DEADLINE).expect("a refusal");
    assert_eq!(chaos[3] & 0xf, 5);
    let moment = Duration::from_millis(1);
    let good = question(1, &own, 1, 1);
    for length in 0..good.len() {
        exchange(&bed.listen, &good[..length], moment);
    }
    // A name that points at itself, counts that promise much, EDNS of a future version, a response, and much of nothing.
    let looped = [&good[..12], &[0xc0, 0x0c, 0, 1, 0, 1]].concat();
    let many = [&[0, 1, 1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], &good[12..]].concat();
    let response = [&[0, 1, 0x81], &good[3..]].concat();
    for bytes in [looped, many, response, vec![0xff; 9000], vec![0; 60_000]] {
        exchange(&bed.listen, &bytes, moment);
    }
    // Connections that say nothing, or stop in the middle: more than are served at a time.
    let silent: Vec<_> = (0..600).filter_map(|_| std::net::TcpStream::connect(&bed.listen).ok()).collect();
    assert!(silent.len() > 500);
    silent.iter().for_each(|connection| drop(std::io::Write::write(&mut &*connection, &[0xff, 0xff, 1])));
    let mut connection = std::net::TcpStream::connect(&bed.listen).unwrap();
    connection.set_read_timeout(Some(DEADLINE)).unwrap();
    let length = u16::try_from(good.len()).unwrap();
    std::io::Write::write_all(&mut connection, &[&length.to_be_bytes(), good.as_slice()].concat()).unwrap();
    let mut head = [0; 4];
    std::io::Read::read_exact(&mut connection, &mut head).unwrap();
    assert_eq!(head[2..], [0, 1]);
    bed.list(&bed.backends[1..]);
    bed.wait_served_by(&bed.backends[1..]);
}

#[test]
fn sockets_that_systemd_passes_are_used_and_kept_from_commands() {
    let mut bed = Bed::with("zone web 256k;", |table| table);
    let passed = bed.listen.clone();
    bed.sandbox.pass_sockets(&[&passed]);
    let resource = std::fs::read_to_string(bed.sandbox.path("etc/conf.d/web.toml")).unwrap();
    let seen = bed.sandbox.text_path("seen");
    let check = bed.nginx.check_command();
    let spying = format!("(ls -l /proc/self/fd; env) >> {seen}; {check}");
    std::fs::write(bed.sandbox.path("etc/conf.d/web.toml"), resource.replace(&check, &spying)).unwrap();
    bed.listen = format!("127.7.0.1:{}", free_port());
    let _agent = bed.settle();
    bed.sandbox.wait_log(&format!("answering nginx's questions for endpoints at {passed}"));
    bed.list(&bed.backends[1..2]);
    bed.wait_served_by(&bed.backends[1..2]);
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("PATH=") && !seen.contains("LISTEN_FDS") && !seen.contains("socket:"), "{seen}");
}

#[test]
fn check_and_render_say_which_way_changes_go() {
    let bed = Bed::new();
    bed.list(&bed.backends[..1]);
    let by_dns = "web.toml: changes of backends reach nginx by DNS";
    let checked = bed.sandbox.run(&["check"]);
    assert!(checked.stdout.contains(by_dns), "{}{}", checked.stdout, checked.stderr);
    let rendered = bed.sandbox.run(&["render", "web.toml"]);
    assert!(rendered.stderr.contains(by_dns) && rendered.stdout.contains(" resolve "), "{}", rendered.stderr);
    assert_eq!(bed.sandbox.onetime().code, Some(0));
    assert!(bed.file().contains("server 127.0.0.1:") && !bed.file().contains(" resolve "), "{}", bed.file());
    let rendered = bed.sandbox.run(&["render", "web.toml"]);
    assert!(!rendered.stdout.contains(" resolve "), "a single run would not change the file: {}", rendered.stdout);
    assert!(bed.sandbox.run(&["check"]).stdout.contains(by_dns));
}
