//! The status pages of a real agent and its notifications to systemd: over TCP, and on a real notification socket.

use std::fs;

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use upstreamd::status::names;

use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::etcd::Etcd;
use crate::support::nginx::{HttpAnswer, Nginx, http_get};
use crate::support::template::table;
use crate::support::{Daemon, free_port, package_root, wait_for, wait_or, wait_until};

/// An agent that follows and serves its pages on the port that comes back.
fn serving(sandbox: &Sandbox, more: &[&str]) -> (Daemon, u16) {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut arguments = vec!["--watch", "--metrics-addr", &address];
    arguments.extend(more);
    (sandbox.start(&arguments), port)
}

fn get(port: u16, path: &str) -> Option<HttpAnswer> {
    http_get(port, "localhost", path).ok()
}

#[track_caller]
pub(crate) fn wait_answer(port: u16, path: &str, status: u16) -> HttpAnswer {
    let answer = || get(port, path).filter(|answer| answer.status == status);
    wait_or(DEADLINE, answer, || format!("{path} answers {:?}, not {status}", get(port, path)))
}

/// The number on the line of this series; `None` if there is no such line.
fn number(port: u16, series: &str) -> Option<f64> {
    let body = get(port, "/metrics")?.body;
    body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn a_failure_that_lasts_says_since_when() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "check_cmd = \"false # {{.src}}\"");
    sandbox.set_store("v: {x: one}\n");
    let _agent = sandbox.watch();
    sandbox.wait_log("a.toml: still failing since 20");
    let log = sandbox.log();
    let (_, since) = log.split_once("still failing since ").unwrap();
    let (time, _) = since.split_once(": check failed").unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{log}");
}

#[test]
fn the_journal_is_given_a_priority_for_each_line() {
    use std::os::unix::fs::MetadataExt;
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "check_cmd = \"false # {{.src}}\"");
    sandbox.set_store("v: {x: one}\n");
    let log = fs::File::create(sandbox.path("journal")).unwrap();
    let id = log.metadata().map(|found| format!("{}:{}", found.dev(), found.ino())).unwrap();
    let mut command = sandbox.command(&["--onetime"]);
    assert_eq!(command.env("JOURNAL_STREAM", &id).stderr(log).status().unwrap().code(), Some(6));
    let text = fs::read_to_string(sandbox.path("journal")).unwrap();
    assert!(text.lines().any(|line| line.starts_with("<6>20") && line.contains("INFO upstreamd")), "{text}");
    assert!(text.lines().any(|line| line.starts_with("<3>20") && line.contains("ERROR a.toml")), "{text}");
    // The variable of a service that has its log elsewhere means nothing.
    let ran = Sandbox { environment: vec![("JOURNAL_STREAM".into(), id)], ..sandbox }.run(&["--onetime"]);
    assert!(ran.stderr.starts_with("20"), "{}", ran.stderr);
}

#[test]
fn the_log_in_json_has_numbers_and_arrays() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "reload_cmd = \"true\"");
    sandbox.set_store("v: {x: one}\n");
    let ran = sandbox.run(&["--onetime", "--log-format", "json"]).expect_code(0);
    let lines: Vec<serde_json::Value> =
        ran.stderr.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let line = |beginning: &str| {
        let begins = |line: &&serde_json::Value| line["message"].as_str().unwrap().starts_with(beginning);
        lines.iter().find(begins).unwrap_or_else(|| panic!("{beginning}: {lines:?}"))
    };
    let updated = line("updated /");
    assert!(updated["elapsed_ms"].is_f64() && updated["revision"].is_i64() && updated["reloaded"] == true, "{updated}");
    assert_eq!(line("upstreamd ")["confdir"], serde_json::json!([sandbox.text_path("etc")]));
    sandbox.set_store("v: {x: two}\n");
    sandbox.plain_resource("a", "check_cmd = \"false # {{.src}}\"");
    let ran = sandbox.run(&["--onetime", "--log-format", "json"]).expect_code(6);
    let failed = ran.stderr.lines().find(|line| line.contains("check failed")).unwrap();
    let failed: serde_json::Value = serde_json::from_str(failed).unwrap();
    assert_eq!(failed["resources"], serde_json::json!(["a.toml"]), "{failed}");
}

#[test]
fn pages_tell_a_followed_store_a_lost_one_and_the_way_back() {
    let mut etcd = Etcd::start();
    etcd.put("/v/x", "a-value-that-is-nobodys-business");
    let sandbox = Sandbox::on_etcd(&etcd.url());
    sandbox.plain_resource("app", "check_cmd = \"true {{.src}}\"\nreload_cmd = \"true\"");
    let (_agent, port) = serving(&sandbox, &[]);
    let answer = wait_answer(port, "/ready", 200);
    assert_eq!(answer.body, "ok");
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(wait_answer(port, "/health", 200).body, "ok");
    assert_eq!(wait_answer(port, "/nothing", 404).body, "404 page not found\n");

    let answer = wait_answer(port, "/ready/detailed", 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((&body["healthy"], &body["message"]), (&true.into(), &"etcd backend is healthy".into()));
    assert!(body["duration_ms"].is_u64() && body["checked_at"].as_str().unwrap().ends_with('Z'), "{body}");
    for name in ["endpoint", "version", "db_size", "leader_id", "raft_index"] {
        assert!(body["details"][name].is_string(), "{name} is not in {body}");
    }
    assert_eq!(body["details"]["endpoint"], etcd.url());

    let page = wait_answer(port, "/metrics", 200);
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(!page.body.contains("nobodys-business"), "{}", page.body);
    let dest = sandbox.text_path("out/app");
    for (series, value) in [
        ("upstreamd_ready", 1.0),
        ("upstreamd_store_followed{backend=\"etcd\"}", 1.0),
        ("upstreamd_store_lost_seconds{backend=\"etcd\"}", 0.0),
        ("upstreamd_group_state{group=\"app.toml\",state=\"in_sync\"}", 1.0),
        ("upstreamd_passes_total{outcome=\"applied\"}", 1.0),
        ("upstreamd_reloads_total{outcome=\"unverified\"}", 1.0),
        ("confd_backend_healthy{backend=\"etcd\"}", 1.0),
        ("confd_stage_file_cleanup_errors_total", 0.0),
        ("confd_templates_loaded", 1.0),
        (&format!("confd_template_process_total{{dest=\"{dest}\",status=\"success\"}}"), 1.0),
        (&format!("confd_command_total{{type=\"check\",dest=\"{dest}\"}}"), 1.0),
        (&format!("confd_command_total{{type=\"reload\",dest=\"{dest}\"}}"), 1.0),
        (&format!("confd_file_sync_total{{dest=\"{dest}\"}}"), 1.0),
    ] {
        assert_eq!(number(port, series), Some(value), "{series} in\n{}", page.body);
    }
    assert!(number(port, "process_resident_memory_bytes").is_some_and(|bytes| bytes > 1e6), "{}", page.body);
    let applied = number(port, "upstreamd_applied_revision").unwrap();
    etcd.put("/v/x", "two");
    wait_until("the next revision", DEADLINE, || number(port, "upstreamd_applied_revision") == Some(applied + 1.0));

    etcd.kill();
    let answer = wait_answer(port, "/ready", 503);
    assert!(answer.body.starts_with("backend unhealthy: "), "{}", answer.body);
    assert_eq!(wait_answer(port, "/applied", 200).body, "ok");
    assert_eq!(wait_answer(port, "/health", 200).body, "ok");
    let body: serde_json::Value = serde_json::from_str(&wait_answer(port, "/ready/detailed", 503).body).unwrap();
    assert_eq!(body["healthy"], false);
    assert!(body["details"]["error"].is_string(), "{body}");
    let lost = "upstreamd_store_lost_seconds{backend=\"etcd\"}";
    wait_until("the time without the store grows", DEADLINE, || number(port, lost).is_some_and(|lost| lost > 0.2));
    etcd.restart();
    wait_answer(port, "/ready", 200);
    assert_eq!(number(port, lost), Some(0.0));
    assert_eq!(number(port, "upstreamd_store_losses_total{backend=\"etcd\"}"), Some(1.0));
}

#[test]
fn an_agent_whose_only_file_is_refused_is_not_ready_and_says_why() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("app", "check_cmd = \"cat {{.src}}; false\"");
    sandbox.set_store("v: {x: a-secret-of-the-store}\n");
    let (agent, port) = serving(&sandbox, &[]);
    let is_told =
        || get(port, "/ready").is_some_and(|answer| answer.body.starts_with("not ready: app.toml: check failed"));
    wait_until("why it is not ready", DEADLINE, is_told);
    let answer = wait_answer(port, "/ready", 503);
    assert!(!answer.body.contains("a-secret-of-the-store"), "{}", answer.body);
    wait_answer(port, "/applied", 503);
    wait_answer(port, "/health", 200);
    assert_eq!(number(port, "upstreamd_group_state{group=\"app.toml\",state=\"rejected\"}"), Some(1.0));
    let exits = "confd_command_exit_code_total{type=\"check\",exit_code=\"1\"}";
    assert!(number(port, exits).is_some_and(|count| count >= 1.0));
    sandbox.plain_resource("app", "");
    wait_answer(port, "/ready", 200);
    // Its port is available again at once.
    drop(agent);
    let address = format!("127.0.0.1:{port}");
    let _next = sandbox.start(&["--watch", "--metrics-addr", &address]);
    wait_answer(port, "/ready", 200);
}

#[test]
fn ready_stays_while_a_value_is_refused_and_the_state_of_the_group_tells() {
    const IN_SYNC: &str = "upstreamd_group_state{group=\"app.toml\",state=\"in_sync\"}";
    let sandbox = Sandbox::new();
    sandbox.plain_resource("app", "check_cmd = \"! grep bad {{.src}}\"");
    sandbox.set_store("v: {x: good}\n");
    let (_agent, port) = serving(&sandbox, &[]);
    wait_answer(port, "/ready", 200);
    assert_eq!(number(port, IN_SYNC), Some(1.0));
    sandbox.set_store("v: {x: bad}\n");
    wait_until("the metric that docs/metrics.md names", DEADLINE, || number(port, IN_SYNC) == Some(0.0));
    wait_answer(port, "/ready", 200);
    let page = std::fs::read_to_string(package_root().join("docs/metrics.md")).unwrap();
    assert!(page.contains("`upstreamd_group_state{state=\"in_sync\"} == 0`"));
}

#[test]
fn what_nginx_proves_of_a_reload_is_on_the_page() {
    let nginx = Nginx::started();
    let sandbox = Sandbox::new();
    sandbox.template("app.tera", "# {{ getv(key=\"/v/x\") }}\n");
    let lines = table("app.tera", nginx.http_file("app").display()).keys(&["/v"]).driving(&nginx);
    sandbox.resource("app", &lines);
    sandbox.set_store("v: {x: one}\n");
    let conf = nginx.conf().display().to_string();
    let (_agent, port) = serving(&sandbox, &["--nginx-conf", &conf]);
    wait_answer(port, "/ready", 200);
    assert_eq!(number(port, "upstreamd_reloads_total{outcome=\"verified\"}"), Some(1.0), "{}", sandbox.log());
    assert_eq!(number(port, "upstreamd_reload_verify_seconds_count{stage=\"healthy\"}"), Some(1.0));
    assert!(number(port, "upstreamd_nginx_workers_serving").is_some_and(|workers| workers >= 1.0));
    wait_until("old workers gone", DEADLINE, || number(port, "upstreamd_drain_seconds_count") == Some(1.0));
    assert_eq!(number(port, "upstreamd_nginx_workers_draining"), Some(0.0));
}

#[test]
fn an_nginx_that_is_stopped_and_started_again_is_noticed() {
    let mut nginx = Nginx::started();
    let sandbox = Sandbox::new();
    sandbox.template("app.tera", "# {{ getv(key=\"/v/x\") }}\n");
    let lines = table("app.tera", nginx.http_file("app").display()).keys(&["/v"]).driving(&nginx);
    sandbox.resource("app", &lines);
    sandbox.set_store("v: {x: one}\n");
    let (_agent, port) = serving(&sandbox, &[]);
    let running = |expected: f64| {
        let is_so = || number(port, "upstreamd_nginx_running") == Some(expected);
        wait_until("the state of nginx on the page", DEADLINE, is_so);
    };
    running(1.0);
    nginx.stop();
    running(0.0);
    assert_eq!(number(port, "upstreamd_nginx_workers_serving"), Some(0.0));
    sandbox.wait_log("nginx is no longer running (no master by `");
    let body = wait_answer(port, "/ready/detailed", 200).body;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!(body["details"]["nginx"].as_str().unwrap().starts_with("not running since 20"), "{body}");
    wait_answer(port, "/ready", 200);
    nginx.start();
    running(1.0);
    wait_until("its workers", DEADLINE, || number(port, "upstreamd_nginx_workers_serving") > Some(0.0));
    sandbox.wait_log("nginx is running (a master by `");
    assert_eq!(sandbox.log().matches("no longer running").count(), 1, "{}", sandbox.log());
}

#[test]
fn a_taken_port_is_reported_and_a_single_pass_needs_no_port() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let sandbox = Sandbox::new();
    sandbox.plain_resource("app", "");
    let ran = sandbox.run(&["--watch", "--metrics-addr", &address]).expect_code(2);
    assert!(ran.stderr.contains(&format!("cannot serve status pages on `{address}`")), "{}", ran.stderr);
    sandbox.run(&["--onetime", "--metrics-addr", &address]).expect_code(0);
    sandbox.run(&["--watch", "--metrics-addr", "nine"]).expect_code(2);
}

/// A notification socket, as systemd gives one to a service.
pub(crate) struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    pub(crate) fn bind(path: &Path) -> Manager {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        Manager { socket }
    }

    /// The next message, if there is one soon.
    fn next(&self) -> Option<String> {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).ok()?;
        Some(String::from_utf8(bytes[..length].to_vec()).unwrap())
    }

    /// All lines up to the first that begins like this, which is the last.
    #[track_caller]
    pub(crate) fn until(&self, expected: &str) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let found = || {
            lines.extend(self.next().unwrap_or_default().lines().map(str::to_owned));
            lines.iter().any(|line| line.starts_with(expected)).then(|| lines.clone())
        };
        wait_for(expected, DEADLINE, found)
    }
}

#[test]
fn systemd_hears_ready_status_watchdog_reloading_and_stopping() {
    let mut sandbox = Sandbox::new();
    sandbox.plain_resource(
        "app",
        "reload_cmd = \"sh -c 'echo ${NOTIFY_SOCKET:-none} ${WATCHDOG_USEC:-none} >> '{{.dest}}.socket\"",
    );
    // Without its file, the store is lost at first.
    let manager = Manager::bind(&sandbox.path("notify"));
    sandbox.environment =
        vec![("NOTIFY_SOCKET".into(), sandbox.text_path("notify")), ("WATCHDOG_USEC".into(), "600000".into())];
    std::fs::remove_file(sandbox.path("store.yaml")).unwrap();
    let mut agent = sandbox.watch();
    let lines = manager.until("WATCHDOG=1");
    assert!(!lines.contains(&"READY=1".to_owned()), "{lines:?}");
    // A store that is away is no hang: signs of life go on, and no READY comes.
    for _ in 0..3 {
        let lines = manager.until("WATCHDOG=1");
        assert!(!lines.contains(&"READY=1".to_owned()), "{lines:?}");
    }
    sandbox.set_store("v: {x: one}\n");
    let lines = manager.until("READY=1");
    assert_eq!(sandbox.output("app").as_deref(), Some("one\n"), "ready before it was applied: {lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("STATUS=in sync at revision ")), "{lines:?}");
    assert_eq!(sandbox.lines("out/app.socket"), ["none none"], "commands must not speak in our name");

    let before = monotonic_microseconds();
    agent.signal(Signal::SIGHUP);
    let lines = manager.until("MONOTONIC_USEC=");
    let said: i64 = lines.last().unwrap().strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
    assert!(lines.contains(&"RELOADING=1".to_owned()), "{lines:?}");
    assert!((before..=monotonic_microseconds()).contains(&said), "{before} {said}");
    manager.until("READY=1");

    agent.signal(Signal::SIGTERM);
    let lines = manager.until("STOPPING=1");
    assert!(!lines.contains(&"READY=1".to_owned()), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("STATUS=stopping")), "{lines:?}");
    wait_until("the end", DEADLINE, || agent.child.try_wait().unwrap().is_some_and(|status| status.success()));
}

#[test]
fn a_reload_is_reported_as_done_once_its_changes_are_live() {
    let mut sandbox = Sandbox::new();
    sandbox.plain_resource("app", "");
    sandbox.set_store("v: {x: one}\n");
    let manager = Manager::bind(&sandbox.path("notify"));
    sandbox.environment = vec![("NOTIFY_SOCKET".into(), sandbox.text_path("notify"))];
    let agent = sandbox.watch();
    manager.until("READY=1");
    for round in 0..5 {
        let text = format!("{{{{ getv(key=\"/v/x\") }}}} {round}\n");
        // The folder watch would find the edit as well; whoever is first, READY must not come before the file is true.
        sandbox.template("values.tera", &text);
        agent.signal(Signal::SIGHUP);
        manager.until("RELOADING=1");
        manager.until("READY=1");
        assert_eq!(sandbox.output("app"), Some(format!("one {round}\n")));
    }
}

fn monotonic_microseconds() -> i64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap();
    now.tv_sec() * 1_000_000 + now.tv_nsec() / 1_000
}

#[test]
fn the_metrics_page_of_the_docs_is_made_from_the_table() {
    let path = package_root().join("docs/metrics.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, _) = text.split_once("| metric |").unwrap();
    let mut page = format!("{before}| metric | kind | labels | what it says |\n|---|---|---|---|\n");
    for metric in names::ALL {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(page, "| `{}` | {} | {} | {} |", metric.name, metric.kind.word(), labels.join(", "), metric.help)
            .unwrap();
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert!(std::fs::read_to_string(&path).unwrap() == page, "UPDATE_EXPECT=1 rewrites docs/metrics.md");
}

#[test]
fn a_signal_leaves_a_line() {
    let sandbox = Sandbox::new();
    sandbox.set_store("v:\n  x: right\n");
    sandbox.plain_resource("app", "");
    let (agent, port) = serving(&sandbox, &[]);
    wait_answer(port, "/ready", 200);
    agent.signal(Signal::SIGHUP);
    sandbox.wait_log("reading conf.d, templates and the store again (SIGHUP)");
    agent.signal(Signal::SIGUSR1);
    sandbox.wait_log("reading the store again and looking at every file (SIGUSR1)");
}

#[test]
fn a_refused_file_is_blamed_itself_and_in_nginxs_own_words() {
    let sandbox = Sandbox::new();
    sandbox.set_store("v:\n  x: right\n");
    // The staged file is gone by the time somebody reads this.
    let says = "nginx: [emerg] unknown directive in $1:3";
    // The words are not in the command: it would count as one that drives nginx.
    let check = sandbox.text_path("judge");
    fs::write(&check, format!("if grep -q ^wrong \"$1\"; then echo \"{says}\"; exit 1; fi\n")).unwrap();
    let more = format!("check_cmd = \"sh {check} {{{{.src}}}}\"\nreload_cmd = \"true\"");
    sandbox.plain_resource("app", &more);
    sandbox.template("site.tera", "wrong\n");
    let dest = sandbox.text_path("out/site");
    sandbox.resource("site", &table("site.tera", &dest).keys(&["/v"]).lines(&more));
    let (_agent, port) = serving(&sandbox, &[]);
    sandbox.wait_log("site.toml: check failed");
    sandbox.wait_output("app", "right\n");
    let answer = wait_answer(port, "/ready/detailed", 200);
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["details"]["failing"], "site.toml", "{body}\n{}", sandbox.log());
    let summary = body["details"]["summary"].as_str().unwrap();
    assert!(summary.contains("; site.toml: check failed: ") && !summary.contains("app.toml"), "{summary}");
    let place = format!("{dest}:3");
    assert!(summary.ends_with(&format!("unknown directive in {place}")), "{summary}");
    let answer = wait_answer(port, "/api/status", 200);
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let condition = &body["conditions"][0];
    assert_eq!(
        (&condition["kind"], &condition["causes"][0]["file"]),
        (&"check_refused".into(), &place.as_str().into())
    );
    assert!(condition["advice"].as_str().unwrap().contains("--line 3"), "{condition}");
    assert_eq!(number(port, "upstreamd_resource_failing{resource=\"site.toml\"}"), Some(1.0));
    sandbox.template("site.tera", "fine\n");
    sandbox.wait_log("site.toml has recovered (after ");
}

/// A connection to the pages that has sent this, and no more.
fn silent(port: u16, sent: &str) -> TcpStream {
    let mut stream = wait_for("a connection", DEADLINE, || TcpStream::connect(("127.0.0.1", port)).ok());
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(sent.as_bytes()).unwrap();
    stream
}

#[test]
fn silent_and_slow_clients_lock_nobody_out() {
    let sandbox = Sandbox::new();
    let (_agent, port) = serving(&sandbox, &[]);
    wait_answer(port, "/health", 200);
    let mut waiting: Vec<TcpStream> = (0..200).map(|n| silent(port, if n % 2 == 0 { "" } else { "GET /" })).collect();
    let answer = http_get(port, "localhost", "/health").unwrap();
    assert_eq!(answer.status, 200);
    let mut read = [0];
    assert!(matches!(waiting[0].read(&mut read), Ok(0) | Err(_)), "the oldest has gone");
    // The youngest goes by itself, whether it has sent anything or not.
    for client in waiting.iter_mut().rev().take(2) {
        assert!(matches!(client.read(&mut read), Ok(0)), "it was not closed in time");
    }
}

#[test]
fn with_few_descriptors_the_pages_leave_enough_for_the_work() {
    let mut sandbox = Sandbox::new();
    sandbox.wrapper = ["sh", "-c", "ulimit -n 48; exec \"$@\"", "sh"].map(str::to_owned).to_vec();
    sandbox.plain_resource("app", "check_cmd = \"true {{.src}}\"\nreload_cmd = \"true\"");
    sandbox.set_store("v: {x: one}\n");
    let (_agent, port) = serving(&sandbox, &[]);
    sandbox.wait_output("app", "one\n");
    let _waiting: Vec<TcpStream> = (0..100).map(|_| silent(port, "")).collect();
    sandbox.set_store("v: {x: two}\n");
    sandbox.wait_output("app", "two\n");
    assert!(!sandbox.log().contains("Too many open files"), "{}", sandbox.log());
    assert_eq!(wait_answer(port, "/health", 200).body, "ok");
}

#[test]
fn other_methods_than_get_and_head_are_refused() {
    let sandbox = Sandbox::new();
    let (_agent, port) = serving(&sandbox, &[]);
    wait_answer(port, "/health", 200);
    for (method, status) in [("GET", "200 OK"), ("HEAD", "200 OK"), ("POST", "405"), ("DELETE", "405"), ("X", "405")] {
        let mut answer = String::new();
        let request = format!("{method} /health HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
        silent(port, &request).read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{method}: {answer}");
        assert_eq!(answer.contains("allow: GET, HEAD\r\n"), status == "405", "{method}: {answer}");
    }
}
