//! Lost backends, with the real agent: each policy, the three ways to lose all backends, held drops, restarts; and the
//! shipped templates on real etcd and real nginx, emptied, filled again, and given the same backends in a different layout.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;

use hyper::Method;

use crate::support::agent::{DEADLINE, Mark, Sandbox};
use crate::support::etcd::Etcd;
use crate::support::https::{Client, Protocol};
use crate::support::nginx::{Nginx, wait_drained};
use crate::support::shipped::with_settings;
use crate::support::template::table;
use crate::support::tls::{Authority, ServerFiles};
use crate::support::{free_port, package_root, temp_dir, wait_or, wait_until};

const LIST: &str = "{% for b in backends(prefix=\"/s\") %}{{ b.address }}\n{% else %}none\n{% endfor %}";

/// A sandbox with the resource `u`, a list of the backends below /s.
fn listing(more_lines: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.template("u.tera", LIST);
    let dest = sandbox.text_path("out/u");
    sandbox.resource("u", &table("u.tera", &dest).keys(&["/s"]).lines(more_lines));
    sandbox
}

/// A store with so many backends.
fn store_of(count: usize) -> String {
    let keys: Vec<String> = (1..=count).map(|n| format!("b{n}: '10.0.0.{n}:80'")).collect();
    format!("s: {{{}}}\nother: x\n", keys.join(", "))
}

fn list_of(count: usize) -> String {
    (1..=count).map(|n| format!("10.0.0.{n}:80\n")).collect()
}

#[test]
fn by_default_the_last_good_list_stays_and_the_log_says_why() {
    let sandbox = listing("");
    sandbox.set_store(&store_of(2));
    let _agent = sandbox.watch();
    sandbox.wait_output("u", &list_of(2));
    sandbox.set_store("other: x\n");
    sandbox.wait_log("the store has no key for it: the last good file stays (on_empty = \"keep\")");
    assert_eq!(sandbox.output("u"), Some(list_of(2)));
    sandbox.set_store("s: {a: SECRET, b: '10.0.0.9'}\n");
    sandbox.wait_log(
        "the store has keys for it (2), but none of them is a usable backend (2 skipped): the last good file stays",
    );
    assert_eq!(sandbox.output("u"), Some(list_of(2)));
    sandbox.set_store("s: [\n");
    sandbox.wait_log("cannot follow the store; every file stays as it is");
    assert_eq!(sandbox.output("u"), Some(list_of(2)));
    sandbox.set_store(&store_of(3));
    sandbox.wait_output("u", &list_of(3));
    sandbox.wait_log("the store has enough again");
    let dest = sandbox.text_path("out/u");
    sandbox.wait_log(&format!("updated {dest}: 2 backends (revision "));
    sandbox.wait_log(&format!("updated {dest}: 3 backends, +10.0.0.3:80 (revision "));
    assert!(!sandbox.log().contains("SECRET"), "{}", sandbox.log());
    // Once each, however often the store was looked at.
    assert_eq!(sandbox.log().matches("the store has no key for it").count(), 1, "{}", sandbox.log());
}

#[test]
fn what_is_not_there_yet_cannot_be_kept() {
    let sandbox = listing("");
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.output("u").as_deref(), Some("none\n"));
    // An empty file, as packages and people leave it, is nothing to keep either.
    fs::write(sandbox.path("out/u"), "").unwrap();
    let ran = sandbox.onetime().expect_code(0);
    assert!(ran.stderr.contains("there is no file with more backends to keep"), "{ran:?}");
    assert_eq!(sandbox.output("u").as_deref(), Some("none\n"));
    // Of a file that somebody else has made nobody knows what is in it: it stays.
    fs::write(sandbox.path("out/u"), "10.9.9.9:80\n").unwrap();
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.output("u").as_deref(), Some("10.9.9.9:80\n"));
}

#[test]
fn a_first_start_without_backends_alarms_nobody() {
    let sandbox = listing("");
    sandbox.set_store("other: x\n");
    let _agent = sandbox.watch();
    sandbox.wait_log(
        "u.toml: the store has no key for it: it goes live, because there is no file with more backends to keep",
    );
    sandbox.set_store(&store_of(1));
    sandbox.wait_log("u.toml: the store has enough now");
    let log = sandbox.log();
    assert!(!log.contains(" WARN ") && !log.contains("again") && !log.contains("last good"), "{log}");
}

#[test]
fn the_log_names_a_bounded_number_of_backends_that_came_and_went() {
    let sandbox = listing("on_empty = \"placeholder\"");
    sandbox.set_store(&store_of(1));
    let _agent = sandbox.watch();
    sandbox.wait_output("u", &list_of(1));
    let named = |sign: &str, range: std::ops::Range<u8>| -> String {
        range.map(|n| format!(", {sign}10.0.0.{n}:80")).collect()
    };
    sandbox.set_store(&store_of(8));
    sandbox.wait_log(&format!(": 8 backends{} and 2 more (revision ", named("+", 2..7)));
    sandbox.set_store("other: x\n");
    sandbox.wait_log(&format!(": 0 backends{} and 3 more (revision ", named("-", 1..6)));
    sandbox.wait_output("u", "none\n");
}

#[test]
fn each_policy_does_what_it_says() {
    for (lines, emptied, code, said) in [
        ("on_empty = \"keep\"", list_of(3), 0, "the last good file stays"),
        ("on_empty = \"placeholder\"", "none\n".to_owned(), 0, "rendered without backends"),
        ("on_empty = \"apply\"", "none\n".to_owned(), 0, "it is to go live (on_empty = \"apply\")"),
        ("on_empty = \"fail\"", list_of(3), 5, "render failed: the store has no key for it: refused"),
    ] {
        let sandbox = listing(lines);
        sandbox.set_store(&store_of(3));
        sandbox.onetime().expect_code(0);
        sandbox.set_store("other: x\n");
        let ran = sandbox.onetime().expect_code(code);
        assert!(ran.stderr.contains(said), "{lines}: {ran:?}");
        assert_eq!(sandbox.output("u"), Some(emptied), "{lines}");
        let diff = sandbox.run(&["diff"]);
        assert_eq!(diff.code, Some(code), "{lines}: nothing would change: {diff:?}");
        sandbox.set_store(&store_of(2));
        sandbox.onetime().expect_code(0);
        assert_eq!(sandbox.output("u"), Some(list_of(2)), "{lines}");
    }
}

#[test]
fn a_template_that_only_prints_servers_is_guarded_as_well() {
    for (name, template) in [("u.tera", "{{ servers(prefix=\"/s\") }}\n"), ("u.tmpl", "{{servers \"/s\"}}\n")] {
        let sandbox = Sandbox::new();
        sandbox.template(name, template);
        let dest = sandbox.text_path("out/u");
        sandbox.resource("u", &table(name, &dest).keys(&["/s"]));
        sandbox.set_store("s: {a: '10.0.0.1:80', b: SECRET}\n");
        let ran = sandbox.onetime().expect_code(0);
        assert!(ran.stderr.contains(&format!("updated {dest}: 1 backend")), "{ran:?}");
        let line = Some("server 10.0.0.1:80 max_fails=1 fail_timeout=10s;\n".to_owned());
        assert_eq!(sandbox.output("u"), line);
        sandbox.set_store("s: {b: SECRET}\n");
        let ran = sandbox.onetime().expect_code(0);
        let said =
            "the store has keys for it (1), but none of them is a usable backend (1 skipped): the last good file stays";
        assert!(ran.stderr.contains(said), "{name}: {ran:?}");
        assert_eq!(sandbox.output("u"), line);
        sandbox.resource("u", &table(name, &dest).keys(&["/s"]).lines("on_empty = \"placeholder\""));
        sandbox.onetime().expect_code(0);
        let none = "server 127.0.0.1:1 down; # nginx accepts no upstream without a server\n";
        assert_eq!(sandbox.output("u").as_deref(), Some(none), "{name}");
    }
}

#[test]
fn fewer_than_the_least_number_count_as_no_backends() {
    for (lines, with_two) in [
        ("min_backends = 3", list_of(4)),
        ("min_backends = 3\non_empty = \"placeholder\"", "none\n".to_owned()),
        ("min_backends = 3\non_empty = \"fail\"", list_of(4)),
    ] {
        let sandbox = listing(lines);
        sandbox.set_store(&store_of(4));
        sandbox.onetime().expect_code(0);
        sandbox.set_store(&store_of(2));
        let ran = sandbox.onetime();
        assert!(ran.stderr.contains("only 2 left, fewer than min_backends = 3"), "{lines}: {ran:?}");
        assert_eq!(sandbox.output("u"), Some(with_two), "{lines}");
        sandbox.set_store(&store_of(3));
        sandbox.onetime().expect_code(0);
        assert_eq!(sandbox.output("u"), Some(list_of(3)), "{lines}");
    }
}

#[test]
fn a_template_that_asks_for_no_backends_is_as_in_confd() {
    let sandbox = Sandbox::new();
    sandbox.plain_resource("a", "");
    sandbox.set_store("v: {x: one}\n");
    sandbox.onetime().expect_code(0);
    sandbox.set_store("{}\n");
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.output("a").as_deref(), Some(""));
    // Where it is asked for, its keys are counted.
    sandbox.plain_resource("a", "on_empty = \"keep\"\nmin_backends = 2");
    sandbox.set_store("v: {x: one, y: two}\n");
    sandbox.onetime().expect_code(0);
    sandbox.set_store("v: {x: one}\n");
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.output("a").as_deref(), Some("one\ntwo\n"));
}

#[test]
fn a_list_inside_a_loop_that_is_empty_still_counts_as_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.template("one.tera", "{% for b in backends(prefix=\"/s/\" ~ s) %}{{ b.address }}\n{% endfor %}");
    sandbox.template("all.tera", "{% for s in ls(dir=\"/s\") %}{% include \"one.tera\" %}{% endfor %}");
    let dest = sandbox.text_path("out/all");
    sandbox.resource("all", &table("all.tera", &dest).keys(&["/s"]));
    sandbox.set_store("s: {web: {a: '10.0.0.1:80'}, api: {a: '10.0.0.2:80'}}\n");
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.output("all").as_deref(), Some("10.0.0.2:80\n10.0.0.1:80\n"));
    sandbox.set_store("other: x\n");
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.output("all").as_deref(), Some("10.0.0.2:80\n10.0.0.1:80\n"));
}

#[test]
fn a_great_loss_is_held_for_its_time_and_a_recovery_takes_it_back() {
    let sandbox = listing("max_drop_percent = 50\nmax_drop_hold = \"2s\"");
    sandbox.set_store(&store_of(10));
    let _agent = sandbox.watch();
    sandbox.wait_output("u", &list_of(10));
    // Half of them may go at once.
    sandbox.set_store(&store_of(5));
    sandbox.wait_output("u", &list_of(5));
    sandbox.set_store(&store_of(2));
    sandbox.wait_log("dropped from 5 to 2, more than max_drop_percent allows: the last good file stays until");
    assert_eq!(sandbox.output("u"), Some(list_of(5)));
    sandbox.set_store(&store_of(4));
    sandbox.wait_output("u", &list_of(4));
    sandbox.wait_log("the store has enough again");
    let lost_at = std::time::Instant::now();
    sandbox.set_store(&store_of(1));
    sandbox.wait_log("dropped from 4 to 1");
    assert_eq!(sandbox.output("u"), Some(list_of(4)));
    // Nothing else happens: time alone lets it go live.
    sandbox.wait_output("u", &list_of(1));
    assert!(lost_at.elapsed().as_millis() >= 2000, "{:?}\n{}", lost_at.elapsed(), sandbox.log());
    sandbox.wait_log("dropped from 4 to 1, more than max_drop_percent allows: it has lasted 2s and goes live");
}

#[test]
fn how_many_are_live_and_how_long_a_loss_is_held_survive_the_process() {
    let sandbox = listing("max_drop_percent = 50\nmax_drop_hold = \"3s\"");
    sandbox.set_store(&store_of(10));
    sandbox.onetime().expect_code(0);
    sandbox.set_store(&store_of(1));
    let ran = sandbox.onetime().expect_code(0);
    assert!(ran.stderr.contains("dropped from 10 to 1"), "{ran:?}");
    assert_eq!(sandbox.output("u"), Some(list_of(10)));
    // Runs of their own, as cron makes them: the hold began with the first that saw the loss.
    wait_until("a later run to apply it", DEADLINE, || {
        sandbox.onetime().expect_code(0);
        sandbox.output("u") == Some(list_of(1))
    });
    // What was kept back is forgotten: the next loss is a new one.
    sandbox.set_store(&store_of(10));
    sandbox.onetime().expect_code(0);
    sandbox.set_store(&store_of(1));
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.output("u"), Some(list_of(10)));
}

#[test]
fn noop_says_what_a_guard_does_and_remembers_nothing() {
    let sandbox = listing("max_drop_percent = 50\nmax_drop_hold = \"1h\"");
    sandbox.set_store(&store_of(4));
    sandbox.onetime().expect_code(0);
    let state =
        || fs::read_dir(sandbox.path("state/live")).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    let before: Vec<Vec<u8>> = state().collect();
    sandbox.set_store(&store_of(1));
    let ran = sandbox.run(&["--onetime", "--noop"]).expect_code(0);
    assert!(ran.stderr.contains("dropped from 4 to 1") && !ran.stderr.contains("will not be modified"), "{ran:?}");
    assert_eq!(state().collect::<Vec<_>>(), before);
    // `diff` and `render` see the drop as the daemon does.
    let ran = sandbox.run(&["diff"]).expect_code(0);
    assert!(ran.stderr.contains("dropped from 4 to 1") && ran.stdout.is_empty(), "{ran:?}");
    let ran = sandbox.run(&["render", "u"]).expect_code(0);
    assert!(ran.stderr.contains("dropped from 4 to 1") && ran.stdout == list_of(1), "{ran:?}");
    assert_eq!(state().collect::<Vec<_>>(), before);
}

#[test]
fn a_reload_that_is_owed_is_done_while_the_list_is_kept() {
    let sandbox = listing("");
    let lines = fs::read_to_string(sandbox.path("etc/conf.d/u.toml")).unwrap();
    let (may, runs) = (sandbox.text_path("may"), sandbox.text_path("runs"));
    let reload = format!("reload_cmd = \"echo r >> {runs}; test -e {may}\"\non_reload_failure = \"keep\"");
    fs::write(sandbox.path("etc/conf.d/u.toml"), format!("{lines}{reload}\n")).unwrap();
    sandbox.set_store(&store_of(2));
    sandbox.onetime().expect_code(8);
    assert_eq!(sandbox.output("u"), Some(list_of(2)));
    sandbox.set_store("other: x\n");
    sandbox.onetime().expect_code(8);
    fs::write(&may, "").unwrap();
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.lines("runs").len(), 3);
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.lines("runs").len(), 3, "and only once");
    assert_eq!(sandbox.output("u"), Some(list_of(2)));
}

/// The three shipped resources between a real etcd and a real nginx, with ports and files of their own.
struct Balancer {
    etcd: Etcd,
    nginx: Nginx,
    sandbox: Sandbox,
    http: u16,
    https: u16,
    tcp: u16,
    _tls: tempfile::TempDir,
}

impl Balancer {
    fn new(more_lines: &str) -> Balancer {
        let (etcd, nginx, tls) = (Etcd::start(), Nginx::started(), temp_dir());
        let (http, https, tcp) = (free_port(), free_port(), free_port());
        let ServerFiles { certificate, key } = Authority::new(tls.path()).sign("web", &["localhost"]);
        let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
        let sandbox = Sandbox::on_etcd(&etcd.url());
        let files = [
            ("certificate", certificate.as_str()),
            ("certificate_key", &key),
            ("backend_authority", ""),
            ("server_name", "localhost"),
        ];
        for (name, port, settings, keys, dest) in [
            ("app", http, &files[3..], "/services", nginx.http_file("app.conf")),
            ("web", https, &files[..], "/services/web", nginx.http_file("web.conf")),
            ("echo", tcp, &files[..0], "/services/echo", nginx.stream_file("echo.conf")),
        ] {
            let template = format!("{}/templates/{name}.conf.tera", package_root().display());
            let listen = format!("127.0.0.1:{port}");
            let settings: Vec<(&str, &str)> = settings.iter().copied().chain([("listen", listen.as_str())]).collect();
            let template = with_settings(&fs::read_to_string(template).unwrap(), &settings);
            sandbox.template(&format!("{name}.tera"), &template);
            sandbox.resource(
                name,
                &table(format!("{name}.tera"), dest.display())
                    .keys(&[keys])
                    .driving(&nginx)
                    .set("min_reload_interval", "0s")
                    .lines(more_lines),
            );
        }
        Balancer { etcd, nginx, sandbox, http, https, tcp, _tls: tls }
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        if name == "echo" { self.nginx.stream_file("echo.conf") } else { self.nginx.http_file(&format!("{name}.conf")) }
    }

    #[track_caller]
    fn wait_file(&self, name: &str, says: impl Fn(&str) -> bool) {
        let text = || fs::read_to_string(self.file(name)).unwrap_or_default();
        wait_or(DEADLINE, || says(&text()).then_some(()), || format!("{name}:\n{}\n{}", text(), self.sandbox.log()));
    }

    fn https_status(&self) -> Option<(u16, Option<String>)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], self.https));
        let client = Client::trusting_anybody();
        let answer = runtime.block_on(client.request(Protocol::Http2, Method::GET, address, "/")).ok()?;
        let retry_after = answer.headers.get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        Some((answer.status.as_u16(), retry_after))
    }

    /// Clients of all three are sent away as they should be.
    #[track_caller]
    fn wait_all_refused(&self) {
        wait_until("503 over HTTP", DEADLINE, || {
            let answer = self.nginx.http_get(self.http, "/");
            answer.is_some_and(|answer| answer.status == 503 && answer.header("Retry-After") == Some("5"))
        });
        wait_until("503 over HTTPS", DEADLINE, || self.https_status() == Some((503, Some("5".to_owned()))));
        wait_until("a refused connection", DEADLINE, || {
            let refused = TcpStream::connect(("127.0.0.1", self.tcp)).err();
            refused.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
        });
    }

    /// The announcements of one backend for each resource, at a port that nothing listens on.
    fn announce(&self, more: &str) {
        for key in ["/services/a", "/services/web/a", "/services/echo/a"] {
            self.etcd.put(key, &format!("{{\"host\":\"127.0.0.1\",\"port\":9{more}}}"));
        }
    }

    fn reloads(&self) -> usize {
        self.nginx.error_log().matches("reconfiguring").count()
    }
}

#[test]
fn shipped_templates_answer_503_without_backends_and_come_back() {
    let balancer = Balancer::new("on_empty = \"placeholder\"");
    let _agent = balancer.sandbox.watch();
    balancer.wait_all_refused();
    balancer.announce("");
    // Nothing answers there: 502 shows that nginx has tried.
    wait_until("the backend to be tried", DEADLINE, || {
        balancer.nginx.http_get(balancer.http, "/").is_some_and(|answer| answer.status == 502)
            && balancer.https_status().is_some_and(|(status, _)| status == 502)
            && TcpStream::connect(("127.0.0.1", balancer.tcp)).is_ok()
    });
    balancer.announce(",\"state\":\"down\"");
    balancer.wait_all_refused();
    balancer.announce("");
    balancer.wait_file("echo", |text| text.contains("listen"));
    for key in ["/services/a", "/services/web/a", "/services/echo/a"] {
        balancer.etcd.delete(key);
    }
    balancer.wait_all_refused();
    let log = balancer.sandbox.log();
    assert!(log.contains("rendered without backends"), "{log}");
    assert!(!log.contains("failed") && !balancer.nginx.error_log().contains("[emerg]"), "{log}");
}

#[test]
fn by_default_nginx_keeps_the_last_good_backends() {
    let mut balancer = Balancer::new("");
    balancer.announce("");
    let _agent = balancer.sandbox.watch();
    for name in ["app", "web", "echo"] {
        balancer.wait_file(name, |text| text.contains("server 127.0.0.1:9 "));
    }
    wait_drained(&balancer.nginx);
    let files = || ["app", "web", "echo"].map(|name| fs::metadata(balancer.file(name)).unwrap().ino());
    let before = files();
    let mark = balancer.sandbox.mark();
    balancer.etcd.ctl(&["del", "--prefix", "/services"]);
    balancer.sandbox.wait_log_times_since(mark, "the store has no key for it: the last good file stays", 3);
    balancer.announce(",\"state\":\"asleep\"");
    // The site sees only the one key directly below /services, the other two have one each as well.
    balancer.sandbox.wait_log_times_since(
        mark,
        "the store has keys for it (1), but none of them is a usable backend (1 skipped)",
        3,
    );
    assert_eq!(files(), before);
    balancer.etcd.kill();
    balancer.sandbox.wait_log("cannot follow the store; every file stays as it is");
    let files = || ["app", "web", "echo"].map(|name| fs::metadata(balancer.file(name)).unwrap().ino());
    assert_eq!(files(), before);
    assert!(TcpStream::connect(("127.0.0.1", balancer.tcp)).is_ok());
}

#[test]
fn the_same_servers_written_differently_cause_no_reload() {
    let balancer = Balancer::new("");
    let etcd = &balancer.etcd;
    for (below, port) in [("/services", 1), ("/services/web", 2), ("/services/echo", 3)] {
        etcd.put(&format!("{below}/a"), &format!("127.0.0.1:{port}"));
        etcd.put(&format!("{below}/b"), &format!("{{\"host\":\"127.0.0.2\",\"port\":{port},\"version\":\"1\"}}"));
        etcd.put(&format!("{below}/c"), &format!("[2001:db8::1]:{port}"));
        etcd.put(&format!("{below}/none"), "no backend");
    }
    let first_workers = balancer.nginx.worker_pids();
    let _agent = balancer.sandbox.start(&["--watch", "--log-level", "debug"]);
    for name in ["app", "web", "echo"] {
        balancer.wait_file(name, |text| text.contains("127.0.0.2:") && text.contains("[2001:db8::1]:"));
    }
    balancer.sandbox.wait_log_times_since(Mark::START, "updated /", 3);
    wait_until("the first reload", DEADLINE, || {
        balancer.reloads() > 0 && balancer.nginx.worker_pids().iter().all(|pid| !first_workers.contains(pid))
    });
    wait_drained(&balancer.nginx);
    let state = || {
        let file = |name: &&str| fs::metadata(balancer.file(name)).map(|file| (file.ino(), file.mtime_nsec())).unwrap();
        (["app", "web", "echo"].iter().map(file).collect::<Vec<_>>(), balancer.nginx.worker_pids(), balancer.reloads())
    };
    let before = state();
    let mut last = 0;
    for (below, port) in [("/services", 1), ("/services/web", 2), ("/services/echo", 3)] {
        for (key, value) in [
            // Order of members, blanks, spelling.
            ("b", format!("{{ \"version\" : \"2\",\n\"port\" : \"{port}\", \"host\": \"127.0.0.2\" }}")),
            ("a", format!("tcp://127.0.0.1:{port}")),
            ("a", format!("http://127.0.0.1:{port}/")),
            ("a", format!("{{\"URL\":\"http://127.0.0.1:{port}\"}}")),
            ("c", format!(" [2001:0DB8:0::0:1]:{port}\n")),
            // A second key for one address; then the first goes: the order of keys is another one.
            ("z", format!("127.0.0.1:{port}")),
            ("0", format!("[2001:db8::1]:{port}")),
            ("none", "no backend either".to_owned()),
        ] {
            etcd.put(&format!("{below}/{key}"), &value);
        }
        etcd.delete(&format!("{below}/a"));
        etcd.delete(&format!("{below}/c"));
        etcd.delete(&format!("{below}/none"));
        // Both addresses trade their keys, at one revision.
        let (one, other) = (format!("{below}/b"), format!("{below}/z"));
        last = etcd
            .writer()
            .change(&[(&one, Some(&format!("127.0.0.1:{port}"))), (&other, Some(&format!("127.0.0.2:{port}")))]);
    }
    // A pass over all of it has ended, and found nothing to do.
    let is_done = |line: &str| {
        let revision = line.split("revision=").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<i64>().ok());
        line.contains("in sync") && line.contains("echo.toml") && revision.is_some_and(|revision| revision >= last)
    };
    wait_until("the last change to be looked at", DEADLINE, || balancer.sandbox.log().lines().any(is_done));
    assert_eq!(state(), before, "{}", balancer.sandbox.log());
    // The same test sees a change that is one.
    etcd.put("/services/b", "127.0.0.1:4");
    balancer.wait_file("app", |text| text.contains("127.0.0.1:4 "));
    wait_until("the reload", DEADLINE, || balancer.reloads() > before.2);
}
