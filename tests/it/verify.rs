//! Reloads that nginx refuses or dies of although its own check and reload exit with 0, on real nginx: reported as refused
//! in nginx's own words, the last good file is back, and traffic continues.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::agent::{DEADLINE, Mark, Sandbox};
use crate::support::nginx::{Nginx, http_get};
use crate::support::template::table;
use crate::support::{Daemon, free_port, temp_dir, tls, wait_for, wait_until};

/// How the resource under test asks nginx to reload.
#[derive(Clone, Copy, PartialEq)]
enum Asks {
    /// `reload_cmd` with nginx's own signaller.
    Signaller,
    /// `reload = "nginx"`.
    BuiltIn,
}

/// An nginx whose whole configuration upstreamd keeps true: `/workers`, `/main`, `/pid` and `/http` of the store go into it.
struct Driven {
    nginx: Nginx,
    sandbox: Sandbox,
    agent: Option<Daemon>,
    good: String,
    /// Begins after the reload that the first run owes.
    mark: Mark,
}

/// Counts answers of nginx all the time, one connection each.
struct Traffic {
    stop: Arc<AtomicBool>,
    longest_gap_ms: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Traffic {
    /// Sends the requests; each may take this long.
    fn to(port: u16, limit: Duration) -> Traffic {
        let (stop, longest_gap_ms) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, gap) = (Arc::clone(&stop), Arc::clone(&longest_gap_ms));
        let thread = std::thread::spawn(move || {
            let mut last_answer = Instant::now();
            let mut failing = false;
            while !stopped.load(Ordering::Relaxed) {
                let answered = get(port, limit);
                if answered && failing {
                    gap.fetch_max(u64::try_from(last_answer.elapsed().as_millis()).unwrap(), Ordering::Relaxed);
                }
                if answered {
                    last_answer = Instant::now();
                }
                failing = !answered;
                std::thread::sleep(Duration::from_millis(2));
            }
            if failing {
                gap.fetch_max(u64::MAX, Ordering::Relaxed);
            }
        });
        Traffic { stop, longest_gap_ms, thread: Some(thread) }
    }

    /// The longest time without an answer, in milliseconds; 0 if no request failed.
    fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.longest_gap_ms.load(Ordering::Relaxed)
    }
}

/// For one of the requests in an outage: the kernel takes their connections and nobody answers.
const OUTAGE_LIMIT: Duration = Duration::from_millis(250);

fn get(port: u16, limit: Duration) -> bool {
    use std::io::{Read, Write};
    let attempt = || -> std::io::Result<bool> {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200"))
    };
    attempt().unwrap_or(false)
}

impl Driven {
    /// A running nginx with the good configuration, and an upstreamd that follows.
    fn new(asks: Asks, good_http: &str) -> Driven {
        let nginx = Nginx::builder().main("#main").http("#http").build();
        let sandbox = Sandbox::new();
        let template = std::fs::read_to_string(nginx.conf())
            .unwrap()
            .replace("worker_processes 2;", "worker_processes {{ getv(key=\"/workers\") }};")
            .replace(&format!("pid \"{}\";", nginx.pid_file().display()), "pid \"{{ getv(key=\"/pid\") }}\";")
            .replace("#main", "{{ getv(key=\"/main\") }}")
            .replace("#http", "{{ getv(key=\"/http\") }}");
        sandbox.template("nginx.tera", &template);
        let reload = match asks {
            Asks::Signaller => format!("reload_cmd = \"{}\"", nginx.reload_command()),
            Asks::BuiltIn => "reload = \"nginx\"".to_owned(),
        };
        sandbox.resource(
            "nginx",
            &table("nginx.tera", nginx.conf().display())
                .keys(&["/"])
                .set("escape", "none")
                .set("check_cmd", nginx.check_command())
                .lines(&reload),
        );
        let mut driven = Driven { nginx, sandbox, agent: None, good: String::new(), mark: Mark::START };
        driven.set(&[("http", good_http)]);
        driven.sandbox.onetime().expect_code(0);
        driven.nginx.start();
        driven.good = driven.live();
        driven.agent = Some(driven.sandbox.watch());
        // nginx was not running at the first run, so that its reload is owed.
        driven.sandbox.wait_log("drained, no worker");
        wait_until("the workers", DEADLINE, || driven.nginx.worker_pids().len() == 2);
        driven.mark = driven.sandbox.mark();
        driven
    }

    /// Puts these values into the store, the usual ones beside them.
    fn set(&self, values: &[(&str, &str)]) {
        let pid_file = self.nginx.pid_file().display().to_string();
        let mut all = [("workers", "2"), ("main", ""), ("http", ""), ("pid", pid_file.as_str())];
        for (name, value) in values {
            all.iter_mut().find(|(known, _)| known == name).unwrap().1 = value;
        }
        let lines: String = all.iter().map(|(name, value)| format!("{name}: {value:?}\n")).collect();
        self.sandbox.set_store(&lines);
    }

    fn live(&self) -> String {
        std::fs::read_to_string(self.nginx.conf()).unwrap()
    }

    /// Sets bad values and waits until upstreamd says `said`, in a log line that names what nginx said.
    #[track_caller]
    fn refuses(self, bad: &[(&str, &str)], said: &[&str]) {
        self.ends(bad, said, false);
    }

    #[track_caller]
    fn ends(mut self, bad: &[(&str, &str)], said: &[&str], has_outage: bool) {
        let traffic = Traffic::to(self.nginx.status_port, if has_outage { OUTAGE_LIMIT } else { DEADLINE });
        self.set(bad);
        for text in said {
            self.sandbox.wait_log_since(self.mark, text);
        }
        wait_until("the last good file", DEADLINE, || self.live() == self.good);
        let serving = || self.nginx.worker_pids().len() == 2 && get(self.nginx.status_port, OUTAGE_LIMIT);
        wait_until("two workers that serve", DEADLINE, serving);
        let gap = traffic.end();
        println!("no answer for {gap} ms");
        if !has_outage {
            assert_eq!(gap, 0, "{}", self.sandbox.log());
        }
        assert!(self.nginx.is_running());
        // The next good value goes live by itself.
        let mark = self.sandbox.mark();
        self.set(&[("http", "server { listen unix:after.sock; }")]);
        wait_until("the next good file", DEADLINE, || self.live().contains("after.sock"));
        self.sandbox.wait_log_since(mark, "verified the reload of nginx");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.nginx.folder.join(name)
    }
}

const REFUSED: &str = "nginx refused the new configuration and keeps the previous one";

#[test]
fn a_port_that_another_process_owns() {
    let owner = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("server {{ listen 127.0.0.1:{}; }}", owner.local_addr().unwrap().port());
    for asks in [Asks::Signaller, Asks::BuiltIn] {
        let said = [REFUSED, "still could not bind()", "Address already in use", "the previous files are back"];
        Driven::new(asks, "").refuses(&[("http", &listen)], &said);
    }
}

#[test]
fn a_repeated_failure_of_a_reload_keeps_nginxs_words() {
    let owner = TcpListener::bind("127.0.0.1:0").unwrap();
    let driven = Driven::new(Asks::BuiltIn, "");
    let listen = format!("server {{ listen 127.0.0.1:{}; }}", owner.local_addr().unwrap().port());
    driven.set(&[("http", &listen)]);
    driven.sandbox.wait_log("attempt=2");
    let log = driven.sandbox.log();
    let line = log.lines().find(|line| line.contains("attempt=2")).unwrap();
    assert!(line.contains("still failing since") && line.contains("Address already in use"), "{line}");
}

#[test]
fn a_wildcard_in_the_way_of_its_own_address() {
    let port = free_port();
    let (good, bad) = (format!("server {{ listen 127.0.0.1:{port}; }}"), format!("server {{ listen {port}; }}"));
    Driven::new(Asks::Signaller, &good).refuses(&[("http", &bad)], &[REFUSED, "still could not bind()"]);
}

#[test]
fn a_stale_unix_socket() {
    let driven = Driven::new(Asks::BuiltIn, "");
    let socket = driven.path("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let listen = format!("server {{ listen unix:{}; }}", socket.display());
    driven.refuses(&[("http", &listen)], &[REFUSED, "still could not bind()"]);
}

#[test]
fn a_different_key_for_the_same_limit_zone() {
    let zone = |key: &str| format!("limit_req_zone ${key} zone=z1:1m rate=1r/s;");
    for asks in [Asks::Signaller, Asks::BuiltIn] {
        let said = [REFUSED, "key while previously it used the"];
        let said = [said[0], &said[1].replace("\\\"", "\"")];
        Driven::new(asks, &zone("binary_remote_addr")).refuses(&[("http", &zone("server_name"))], &said);
    }
}

#[test]
fn a_different_path_for_the_same_cache_zone() {
    let dir = temp_dir();
    let cache = |name: &str| format!("proxy_cache_path {}/{name} keys_zone=cz:1m;", dir.path().display());
    Driven::new(Asks::Signaller, &cache("a"))
        .refuses(&[("http", &cache("b"))], &[REFUSED, "cache path while previously it used the"]);
}

#[test]
fn what_the_check_finds_is_refused_before_it_is_live() {
    let servers: String = (0..500).map(|n| format!("server 127.0.0.1:{};", 10_000 + n)).collect();
    let zone = format!("upstream u {{ zone z 32k; {servers} }}");
    for (bad, said) in [
        ("server { listen 192.0.2.1:80; }", "Cannot assign requested address"),
        ("upstream u { server no-such-host.invalid:80; }", "host not found in upstream"),
        ("upstream u { }", "no servers are inside upstream"),
        ("upstream u { server 127.0.0.1:1 backup; }", "no servers in upstream"),
        (zone.as_str(), "no memory in upstream zone"),
        ("error_log /no/such/folder/e.log;", "No such file or directory"),
        ("include /no/such/file.conf;", "No such file or directory"),
    ] {
        let driven = Driven::new(Asks::Signaller, "");
        driven.refuses(&[("http", bad)], &["check failed", said, "nothing was changed"]);
    }
}

#[test]
fn a_certificate_that_goes_after_the_check() {
    for (reload, said) in [
        // nginx's own signaller reads everything once more and sends nothing.
        ("-s reload", "reload failed"),
        // A bare signal: only the log shows the outcome.
        ("kill", REFUSED),
    ] {
        let mut driven = Driven::new(Asks::Signaller, "");
        let authority = tls::Authority::new(&driven.nginx.folder);
        let files = authority.sign("gone", &["gone.example.com"]);
        let (crt, key) = (files.certificate.display().to_string(), files.key.display().to_string());
        driven.agent = None;
        let resource = driven.sandbox.path("etc/conf.d/nginx.toml");
        let text = std::fs::read_to_string(&resource).unwrap();
        let then = match reload {
            "kill" => format!("kill -HUP $(cat {})", driven.nginx.pid_file().display()),
            _ => driven.nginx.reload_command(),
        };
        // Gone for the length of this one reload, as when a renewal replaces it.
        let command =
            format!("if grep -q gone {0}; then mv {crt} {crt}.away; fi; {then}", driven.nginx.conf().display());
        std::fs::write(&resource, text.replace(&driven.nginx.reload_command(), &command)).unwrap();
        driven.agent = Some(driven.sandbox.watch());
        let tls = format!(
            "server {{ listen unix:tls.sock ssl; ssl_certificate {crt}; ssl_certificate_key {key}; server_name gone; }}"
        );
        driven.refuses(&[("http", &tls)], &[said, "cannot load certificate"]);
    }
}

#[test]
fn a_pid_file_that_moves() {
    // The signaller reads the new place, finds nobody there, and refuses; the built-in reload knows its master.
    let driven = Driven::new(Asks::Signaller, "");
    let moved = driven.path("moved.pid").display().to_string();
    driven.refuses(&[("pid", &moved)], &["reload failed", "invalid PID number"]);

    let driven = Driven::new(Asks::BuiltIn, "");
    let moved = driven.path("moved.pid").display().to_string();
    driven.set(&[("pid", &moved)]);
    driven.sandbox.wait_log_since(driven.mark, "verified the reload of nginx");
    let mark = driven.sandbox.mark();
    driven.set(&[("pid", &moved), ("http", "server { listen unix:next.sock; }")]);
    driven.sandbox.wait_log_since(mark, "verified the reload of nginx");
    assert!(!driven.sandbox.log().contains("failed"), "{}", driven.sandbox.log());
}

#[test]
fn workers_that_cannot_live_are_an_outage_that_ends() {
    for asks in [Asks::Signaller, Asks::BuiltIn] {
        let said = ["nginx does not serve with the new configuration", "chdir(\"/no", "the previous files are back"];
        Driven::new(asks, "").ends(&[("main", "working_directory /no/such/folder;")], &said, true);
    }
}

#[test]
fn no_workers_at_all_are_an_outage_that_ends() {
    for asks in [Asks::Signaller, Asks::BuiltIn] {
        let said =
            ["nginx does not serve with the new configuration", "there is no new one", "the previous files are back"];
        Driven::new(asks, "").ends(&[("workers", "0")], &said, true);
    }
}

#[test]
fn a_lua_error_where_the_module_is_installed() {
    let module = "/usr/lib/nginx/modules/ngx_http_lua_module.so";
    if !std::path::Path::new(module).exists() {
        eprintln!("libnginx-mod-http-lua is not installed: nothing was tested");
        return;
    }
    let ndk = "load_module /usr/lib/nginx/modules/ndk_http_module.so;";
    let main = format!("{ndk} load_module {module};");
    let driven = Driven::new(Asks::BuiltIn, "");
    driven.refuses(&[("main", &main), ("http", "init_by_lua_block { error(\"no\") }")], &[REFUSED, "init_by_lua"]);
}

#[test]
fn every_stage_of_a_good_reload_has_its_time() {
    let driven = Driven::new(Asks::BuiltIn, "");
    let traffic = Traffic::to(driven.nginx.status_port, DEADLINE);
    // A connection that an old worker has to finish.
    let mut held = std::net::TcpStream::connect(("127.0.0.1", driven.nginx.status_port)).unwrap();
    std::io::Write::write_all(&mut held, b"GET /ready HTTP/1.1\r\n").unwrap();
    driven.set(&[("http", "server { listen unix:new.sock; }")]);
    driven.sandbox.wait_log_since(driven.mark, "verified the reload of nginx");
    let log = driven.sandbox.log_since(driven.mark);
    for stage in ["accepted_ms=", "healthy_ms=", "converged_ms=", "workers=2"] {
        assert!(log.contains(stage), "no {stage} in {log}");
    }
    assert!(!log.contains("drained"), "a connection is still open: {log}");
    drop(held);
    driven.sandbox.wait_log_since(driven.mark, "drained");
    assert_eq!(traffic.end(), 0);
}

#[test]
fn an_old_worker_that_hangs_keeps_its_change_from_counting_as_drained() {
    let driven = Driven::new(Asks::BuiltIn, "");
    let worker = nix::unistd::Pid::from_raw(driven.nginx.worker_pids()[0]);
    let signal = |signal| nix::sys::signal::kill(worker, signal).unwrap();
    signal(nix::sys::signal::Signal::SIGSTOP);
    driven.set(&[("http", "server { listen unix:new.sock; }")]);
    driven.sandbox.wait_log_since(driven.mark, "an old worker of nginx has not begun to shut down");
    driven.sandbox.wait_log_since(driven.mark, "leaving=1");
    assert!(!driven.sandbox.log_since(driven.mark).contains("drained"), "{}", driven.sandbox.log());
    let mark = driven.sandbox.mark();
    signal(nix::sys::signal::Signal::SIGCONT);
    driven.sandbox.wait_log_since(mark, "drained, no worker");
}

#[test]
fn a_pid_that_is_no_nginx_master_is_never_signalled() {
    // The second one even bears a master's title.
    for title in ["sleep", "nginx: master process /usr/sbin/nginx"] {
        a_bystander_is_not_signalled(title);
    }
}

fn a_bystander_is_not_signalled(title: &str) {
    let mut driven = Driven::new(Asks::BuiltIn, "");
    driven.nginx.stop();
    let mut bystander = Daemon::start(std::process::Command::new("sleep").arg0(title).arg("1000"));
    std::fs::write(driven.nginx.pid_file(), format!("{}\n", bystander.pid())).unwrap();
    driven.set(&[("http", "server { listen unix:new.sock; }")]);
    driven.sandbox.wait_log_since(driven.mark, "checked files are in place, the reload is owed: nginx is not running");
    assert!(bystander.child.try_wait().unwrap().is_none(), "{title} was signalled");
    assert!(driven.live().contains("new.sock"), "checked files wait for nginx to start");
}

#[test]
fn without_verification_the_exit_code_is_taken_for_the_truth() {
    let mut driven = Driven::new(Asks::Signaller, "");
    driven.agent = None;
    let resource = driven.sandbox.path("etc/conf.d/nginx.toml");
    let text = std::fs::read_to_string(&resource).unwrap();
    // nginx runs where this machine cannot see it.
    let out_of_sight = text.replace(&driven.nginx.reload_command(), "true nginx") + "verify = \"off\"\n";
    std::fs::write(&resource, out_of_sight).unwrap();
    driven.nginx.stop();
    driven.agent = Some(driven.sandbox.watch());
    driven.set(&[("http", "server { listen unix:new.sock; }")]);
    driven.sandbox.wait_log_since(driven.mark, "updated /");
    assert!(!driven.sandbox.log_since(driven.mark).contains("nginx is not running"), "{}", driven.sandbox.log());
}

#[test]
fn onetime_ends_with_a_code_and_nginx_own_words_where_nginx_refused() {
    let mut driven = Driven::new(Asks::Signaller, "limit_req_zone $binary_remote_addr zone=z1:1m rate=1r/s;");
    driven.agent = None;
    driven.set(&[("http", "limit_req_zone $server_name zone=z1:1m rate=1r/s;")]);
    let ran = driven.sandbox.onetime().expect_code(8);
    assert!(ran.stderr.contains(REFUSED) && ran.stderr.contains("key while previously"), "{}", ran.stderr);
    assert_eq!(driven.live(), driven.good);
    assert_eq!(http_get(driven.nginx.status_port, "localhost", "/ready").unwrap().status, 200);
    wait_for("two workers", DEADLINE, || (driven.nginx.worker_pids().len() == 2).then_some(()));
}

/// Two resources of one group, whose servers in `http` and in `stream` answer with the generation of their file.
struct Generations {
    nginx: Nginx,
    sandbox: Sandbox,
    endpoints: [String; 2],
}

impl Generations {
    fn new() -> Generations {
        let (nginx, sandbox) = (Nginx::builder().build(), Sandbox::new());
        let endpoints = [format!("unix:{}", sandbox.text_path("http.sock")), format!("127.0.0.1:{}", free_port())];
        let [http, stream] = &endpoints;
        for (name, listen, dest) in
            [("http", http, nginx.http_file("g.conf")), ("stream", stream, nginx.stream_file("g.conf"))]
        {
            let answer = if name == "http" { "return 200" } else { "return" };
            sandbox.template(
                &format!("{name}.tera"),
                &format!("# {{{{ getv(key=\"/a\") }}}}\nserver {{ listen {listen}; {answer} \"{{{{ generation() }}}}\\n\"; }}\n"),
            );
            let commands = format!("check_cmd = \"{}\"\nreload = \"nginx\"", nginx.check_command());
            let (dest, src) = (dest.display(), format!("src = \"{name}.tera\""));
            let lines = format!("{src}\ndest = \"{dest}\"\nkeys = [\"/\"]\ngeneration = \"{listen}\"\n{commands}");
            sandbox.resource(name, &lines);
        }
        Generations { nginx, sandbox, endpoints }
    }
}

#[test]
fn servers_answer_with_the_generation_of_the_file_that_is_live() {
    let Generations { mut nginx, sandbox, .. } = Generations::new();
    sandbox.set_store("a: one\n");
    sandbox.onetime().expect_code(0);
    nginx.start();
    let _agent = sandbox.watch();
    let live = |file: PathBuf| std::fs::read_to_string(file).unwrap();
    let (first, second) = (live(nginx.http_file("g.conf")), live(nginx.stream_file("g.conf")));
    assert!(first.contains("upstreamd-generation-") && !first.contains("-0000000000000000"), "{first}");
    assert_ne!(first.lines().last(), second.lines().last());
    sandbox.wait_log("verified the reload of nginx");
    let mark = sandbox.mark();
    sandbox.set_store("a: two\n");
    sandbox.wait_log_since(mark, "generation_ms=");
    assert_ne!(live(nginx.http_file("g.conf")), first);
    // The same content has the same generation: nothing to do.
    sandbox.onetime().expect_code(0);
    assert_eq!(sandbox.log().matches("generation_ms=").count(), 2);
}

#[test]
fn another_server_that_answers_is_no_proof() {
    let Generations { mut nginx, sandbox, endpoints } = Generations::new();
    let [_, stream] = endpoints;
    // The template's server listens elsewhere than the resource says; nobody listens there.
    let dest = nginx.stream_file("g.conf");
    let template = std::fs::read_to_string(sandbox.path("etc/templates/stream.tera")).unwrap();
    let elsewhere = format!("127.0.0.1:{}", free_port());
    sandbox.set_store("a: one\n");
    sandbox.onetime().expect_code(0);
    nginx.start();
    let _agent = sandbox.watch();
    sandbox.wait_log("generation_ms=");
    let good = std::fs::read_to_string(&dest).unwrap();
    sandbox.template("stream.tera", &template.replace(&stream, &elsewhere));
    sandbox.wait_log(&format!("{stream} does not answer with the new generation"));
    wait_until("the last good file", DEADLINE, || std::fs::read_to_string(&dest).unwrap() == good);
    sandbox.template("stream.tera", &format!("# healed\n{template}"));
    wait_until("the healed file", DEADLINE, || std::fs::read_to_string(&dest).unwrap().contains("healed"));
}

#[test]
fn a_template_that_prints_no_generation_is_reported() {
    let Generations { nginx: _nginx, sandbox, .. } = Generations::new();
    sandbox.set_store("a: one\n");
    sandbox.template("http.tera", "# {{ getv(key=\"/a\") }}\n");
    let ran = sandbox.onetime();
    assert!(ran.code == Some(5) && ran.stderr.contains("does not print {{ generation() }}"), "{ran:?}");
}

#[test]
fn while_nginx_is_being_replaced_the_reload_stays_owed() {
    let mut driven = Driven::new(Asks::BuiltIn, "");
    driven.nginx.stop();
    let nginx = driven.nginx.start_daemonised();
    let (old, new) = nginx.replace_program();
    driven.set(&[("http", "server { listen unix:during.sock; }")]);
    driven.sandbox.wait_log("nginx's program is being replaced");
    assert_eq!(driven.sandbox.log().matches("drained, no worker").count(), 1, "{}", driven.sandbox.log());
    // The old one stays: it is asked to read what it has not read yet.
    let mark = driven.sandbox.mark();
    nginx.end(new);
    wait_until("the old master's place", DEADLINE, || nginx.masters() == [old]);
    driven.sandbox.wait_log_since(mark, "drained, no worker");
}

#[test]
fn an_outage_left_by_a_killed_upstreamd_ends_first() {
    let mut driven = Driven::new(Asks::BuiltIn, "");
    driven.agent.take().unwrap().kill();
    // As a kill in the outage leaves it: no worker, the good file put back, its reload owed, the bad value in the store.
    let good = driven.live();
    std::fs::write(driven.nginx.conf(), good.replace("worker_processes 2;", "worker_processes 0;")).unwrap();
    assert!(driven.nginx.command(&["-s", "reload"]).status.success());
    wait_until("the outage", DEADLINE, || driven.nginx.worker_pids().is_empty());
    std::fs::write(driven.nginx.conf(), &good).unwrap();
    let journals = std::fs::read_dir(driven.sandbox.path("state/groups")).unwrap();
    for journal in journals.flatten() {
        let text = std::fs::read_to_string(journal.path()).unwrap();
        assert!(text.contains("\"reload_owed\": false"), "{text}");
        let owed = text.replace("\"reload_owed\": false", "\"reload_owed\": true");
        std::fs::write(journal.path(), owed).unwrap();
    }
    driven.set(&[("workers", "0")]);
    let before = driven.nginx.error_log().len();
    driven.agent = Some(driven.sandbox.watch());
    driven.sandbox.wait_log("nginx does not serve with the new configuration");
    // The first of these reloads is that of the good file.
    let said = driven.nginx.error_log().split_off(before);
    let first = said.split("(SIGHUP)").nth(1).unwrap_or_default();
    assert!(first.contains("start worker process"), "{said}");
    wait_until("two workers that serve", DEADLINE, || {
        driven.live() == good && driven.nginx.worker_pids().len() == 2 && get(driven.nginx.status_port, OUTAGE_LIMIT)
    });
}

#[test]
fn the_main_configuration_that_is_checked_says_where_nginx_is() {
    let (mut nginx, sandbox) = (Nginx::builder().main("#main").build(), Sandbox::new());
    let text = std::fs::read_to_string(nginx.conf()).unwrap();
    sandbox.template("nginx.tera", &text.replace("#main", "# {{ getv(key=\"/a\") }}"));
    let conf = nginx.conf().display().to_string();
    let check = "check_cmd = \"/usr/sbin/nginx -e stderr -t -c {{.src}}\"";
    let lines = table("nginx.tera", &conf).keys(&["/"]).lines(check).set("reload", "nginx");
    sandbox.resource("nginx", &lines);
    nginx.start();
    sandbox.set_store("a: one\n");
    let ran = sandbox.onetime().expect_code(0);
    assert!(ran.stderr.contains("verified the reload of nginx"), "{ran:?}");
}

#[test]
fn a_forged_line_in_the_error_log_undoes_no_good_reload() {
    use std::io::Write;
    let mut driven = Driven::new(Asks::BuiltIn, "");
    let master = driven.nginx.master_pid();
    let mut log = std::fs::OpenOptions::new().append(true).open(driven.nginx.error_log_file()).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let forger = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            for level in ["emerg", "alert"] {
                let said = "worker process 7 exited with fatal code 2 and cannot be respawned";
                writeln!(log, "2026/11/21 10:00:00 [{level}] {master}#{master}: {said}").unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let mark = driven.sandbox.mark();
    driven.set(&[("http", "# good")]);
    driven.sandbox.wait_log_since(mark, "verified the reload of nginx");
    stop.store(true, Ordering::Relaxed);
    forger.join().unwrap();
    assert!(driven.live().contains("# good"), "{}", driven.sandbox.log());
    assert!(!driven.sandbox.log_since(mark).contains("cannot be respawned"), "{}", driven.sandbox.log());
    driven.agent = None;
}

#[test]
fn an_nginx_that_serves_from_before_the_reload_is_noticed_later() {
    let driven = Driven::new(Asks::BuiltIn, "");
    // As a master of the same program that was there before; an upgrade that is taken back leaves such a one, too.
    let earlier = Nginx::started();
    let mark = driven.sandbox.mark();
    driven.set(&[("http", "# new")]);
    driven.sandbox.wait_log_since(mark, "verified the reload of nginx");
    let workers = earlier.worker_pids();
    std::fs::write(driven.nginx.pid_file(), format!("{}\n", earlier.master_pid())).unwrap();
    driven.sandbox.wait_log_since(mark, "nginx serves an earlier configuration");
    wait_until("a reload of what serves", DEADLINE, || {
        let now = earlier.worker_pids();
        !now.is_empty() && now.iter().all(|worker| !workers.contains(worker))
    });
    driven.sandbox.wait_log_times_since(mark, "verified the reload of nginx", 2);
    std::fs::write(driven.nginx.pid_file(), format!("{}\n", driven.nginx.master_pid())).ok();
}

#[test]
fn a_value_that_looks_like_a_generation_is_not_waited_for() {
    let Generations { mut nginx, sandbox, .. } = Generations::new();
    sandbox.set_store("a: one\n");
    sandbox.onetime().expect_code(0);
    nginx.start();
    for value in ["upstreamd-generation-0123456789abcdef", "upstreamd-generation-upstreamd-generation-00"] {
        sandbox.set_store(&format!("a: {value}\n"));
        sandbox.onetime().expect_code(0);
    }
}
