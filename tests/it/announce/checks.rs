//! Health checks of every kind against real servers, right and wrong; `--address auto`; what the command line refuses.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{Backend, World};
use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::openssl::{AUTHORITY_AND_SERVER, Openssl, Pair, SERVER};
use crate::support::tls::Authority;
use crate::support::{Daemon, free_port, program, temp_dir, wait_for, wait_until};

/// A nano-container (HTTPS, HTTP/2) on its own port, and its address.
fn nano_container(folder: &std::path::Path, more: &[&str]) -> (Daemon, u16) {
    let path = folder.join(format!("log{}", more.len()));
    let log = fs::File::create(&path).unwrap();
    let daemon =
        Daemon::start(Command::new(program("nano-container")).args(["--listen", "127.0.0.1:0"]).args(more).stderr(log));
    let port = wait_for("where nano-container listens", DEADLINE, || {
        let log = fs::read_to_string(&path).unwrap();
        let line = log.lines().find(|line| line.contains("is ready"))?.to_owned();
        line.split(' ').find_map(|word| word.strip_prefix("address=127.0.0.1:"))?.parse().ok()
    });
    (daemon, port)
}

/// Expects the check to pass, or to fail with these words.
#[track_caller]
fn check(world: &mut World, address: &str, arguments: &[&str], problem: Option<&str>) {
    fs::remove_file(world.sandbox.path("log")).ok();
    let announcer = world.announce(&[&["--name", "web", "--id", "one", "--address", address], arguments].concat());
    match problem {
        None => {
            world.wait_one("/services/");
            world.sandbox.wait_log("announced /");
        }
        Some(words) => world.sandbox.wait_log(&format!("a check failed: {words}")),
    }
    announcer.signal(nix::sys::signal::Signal::SIGTERM);
    let mut announcer = announcer;
    wait_for("the announcer to end", DEADLINE, || announcer.child.try_wait().unwrap());
    let log = world.sandbox.log();
    assert_eq!(log.contains("announced /"), problem.is_none(), "{arguments:?}:\n{log}");
    // A server that is right may be slow now and then.
    let is_wrong = |line: &str| line.contains("a check failed") && !line.contains("no answer in");
    assert!(problem.is_some() || !log.lines().any(is_wrong), "{arguments:?}:\n{log}");
}

#[test]
fn http_is_judged_by_status_and_body() {
    let mut world = World::new();
    let good = Backend::saying("HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nthe pool is up\n");
    let pieces: String = "the pool is up\n".chars().map(|piece| format!("1\r\n{piece}\r\n")).collect();
    let split = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{pieces}0\r\n\r\n");
    let split = Backend::saying(split.leak());
    let bad = Backend::saying("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let mute = Backend::silent();
    let url = |backend: &Backend| format!("http://{}/healthz?full=1", backend.address());
    check(&mut world, &good.address(), &["--check", &url(&good)], None);
    check(&mut world, &good.address(), &["--check", &url(&good), "--check-body", "pool is up"], None);
    check(&mut world, &split.address(), &["--check", &url(&split), "--check-body", "pool is up"], None);
    let down = &["--check", &url(&good), "--check-body", "pool is down"];
    check(&mut world, &good.address(), down, Some("the body does not contain the expected text"));
    check(&mut world, &good.address(), &["--check", &url(&good), "--check-status", "204"], Some("HTTP status 200"));
    check(&mut world, &bad.address(), &["--check", &url(&bad)], Some("HTTP status 503"));
    check(&mut world, &bad.address(), &["--check", &url(&bad), "--check-status", "503"], None);
    check(&mut world, &mute.address(), &["--check", &url(&mute)], Some("HTTP: "));
    let no_http_2 =
        "HTTP/2: connection error detected: frame with invalid size (hint: this is no HTTP/2; is it http:// or";
    check(&mut world, &good.address(), &["--check", "h2c"], Some(no_http_2));
    let secure = url(&good).replace("http:", "https:");
    let no_tls = "TLS: the server does not speak TLS at this port (hint: check it with ";
    for (kind, instead) in [(&*secure, "http://)"), ("h2", "h2c)")] {
        let arguments = ["--check", kind, "--check-insecure"];
        check(&mut world, &good.address(), &arguments, Some(&format!("{no_tls}{instead}")));
    }
}

#[test]
fn a_server_that_says_nothing_is_given_up_in_time() {
    let mut world = World::new();
    // Its backlog takes the connection, and nobody ever answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let url = format!("http://{address}/");
    check(&mut world, &address, &["--check", &url], Some("no answer in 250ms"));
    check(&mut world, &address, &["--check", "h2c"], Some("no answer in 250ms"));
    check(&mut world, &address, &["--check", "tcp"], None);
}

#[test]
fn https_trusts_a_ca_or_anybody_or_the_system() {
    let mut world = World::new();
    let folder = temp_dir();
    let authority = Authority::new(folder.path());
    let files = authority.sign("server", &["127.0.0.1"]);
    let (certificate, key) = (files.certificate.to_str().unwrap(), files.key.to_str().unwrap());
    let (_server, port) = nano_container(folder.path(), &["--cert", certificate, "--key", key]);
    let address = format!("127.0.0.1:{port}");
    let url = format!("https://{address}/healthz");
    let ca_file = authority.certificate_file();
    let ca = ca_file.to_str().unwrap();
    check(&mut world, &address, &["--check", &url, "--check-ca", ca], None);
    check(&mut world, &address, &["--check", &url, "--check-insecure"], None);
    let unknown =
        "TLS: the server's certificate is signed by \"upstreamd test authority\", which is not among the system's";
    check(&mut world, &address, &["--check", &url], Some(unknown));
    let name = format!("https://localhost:{port}/healthz");
    let wrong = "TLS: the server's certificate is for 127.0.0.1, not for localhost";
    check(&mut world, &address, &["--check", &name, "--check-ca", ca], Some(wrong));
    check(&mut world, &address, &["--check", "h2", "--check-ca", ca], None);
    check(&mut world, &address, &["--check", "h2"], Some(unknown));
    let plain = format!("http://{address}/");
    let no_http = "HTTP: invalid HTTP version parsed (hint: this is no HTTP/1; is it https://, h2 or h2c?)";
    check(&mut world, &address, &["--check", &plain], Some(no_http));
    let missing = world.sandbox.text_path("missing.pem");
    check(&mut world, &address, &["--check", &url, "--check-ca", &missing], Some("cannot read the CA file"));
}

#[test]
fn a_ca_file_that_comes_late_or_is_replaced_is_read_again() {
    let mut world = World::new();
    let (folder, other_folder) = (temp_dir(), temp_dir());
    let (authority, other) = (Authority::new(folder.path()), Authority::new(other_folder.path()));
    let files = authority.sign("server", &["127.0.0.1"]);
    let (certificate, key) = (files.certificate.to_str().unwrap(), files.key.to_str().unwrap());
    let (_server, port) = nano_container(folder.path(), &["--cert", certificate, "--key", key]);
    let address = format!("127.0.0.1:{port}");
    let (url, ca) = (format!("https://{address}/healthz"), world.sandbox.path("ca.pem"));
    let replace = |by: &Authority| {
        let staged = ca.with_extension("new");
        fs::copy(by.certificate_file(), &staged).unwrap();
        fs::rename(staged, &ca).unwrap();
    };
    let check = ["--check", &url, "--check-ca", ca.to_str().unwrap()];
    let _announcer = world.announce(&[&["--name", "web", "--id", "one", "--address", &address], &check[..]].concat());
    world.sandbox.wait_log("a check failed: cannot read the CA file");
    replace(&authority);
    world.wait_one("/services/");
    replace(&other);
    world.wait_none("/services/");
    world.sandbox.wait_log("unhealthy after 2 failed checks, removing it: TLS: the server's certificate");
    replace(&authority);
    world.wait_one("/services/");
}

#[test]
fn https_accepts_a_certificate_that_is_the_ca_file() {
    let mut world = World::new();
    let folder = temp_dir();
    let openssl = Openssl::new(folder.path());
    let other = openssl.own("other", "other", "P-521", AUTHORITY_AND_SERVER);
    for section in [AUTHORITY_AND_SERVER, SERVER] {
        let own = openssl.own("own", "own", "P-521", section);
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new("openssl");
        command
            .args(["s_server", "-quiet", "-www", "-accept", &address, "-cert"])
            .arg(&own.cert)
            .arg("-key")
            .arg(&own.key);
        let _server = Daemon::start(&mut command);
        wait_until("openssl to listen", DEADLINE, || TcpStream::connect(&address).is_ok());
        let url = format!("https://{address}/");
        let check_ca = |ca: &Pair| ["--check", &url, "--check-ca", ca.cert.to_str().unwrap()].map(str::to_owned);
        check(&mut world, &address, &check_ca(&own).each_ref().map(String::as_str), None);
        check(
            &mut world,
            &address,
            &check_ca(&other).each_ref().map(String::as_str),
            Some("TLS: the server's certificate"),
        );
        check(&mut world, &address, &["--check", &url, "--check-insecure"], None);
    }
}

#[test]
fn a_server_that_wants_a_client_certificate_says_so() {
    let mut world = World::new();
    let folder = temp_dir();
    let openssl = Openssl::new(folder.path());
    let own = openssl.own("own", "own", "P-256", AUTHORITY_AND_SERVER);
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new("openssl");
    let server = ["s_server", "-quiet", "-Verify", "1", "-alpn", "h2,http/1.1", "-accept", &address, "-cert"];
    command.args(server).arg(&own.cert).arg("-key").arg(&own.key);
    let _server = Daemon::start(&mut command);
    wait_until("openssl to listen", DEADLINE, || TcpStream::connect(&address).is_ok());
    let url = format!("https://{address}/");
    for kind in [url.as_str(), "h2"].repeat(5) {
        let words =
            "TLS: the server wants a client certificate (for etcd, set client-cert and client-key; checks have none)";
        check(&mut world, &address, &["--check", kind, "--check-insecure"], Some(words));
    }
}

#[test]
fn http_2_answers_a_ping() {
    let mut world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || serve_http_2(listener));
    check(&mut world, &address, &["--check", "h2c"], None);
    let http_1 = Backend::saying("HTTP/1.1 400 Bad Request\r\n\r\n");
    check(&mut world, &http_1.address(), &["--check", "h2c"], Some("HTTP/2: "));
    check(&mut world, &http_1.address(), &["--check", "h2", "--check-insecure"], Some("TLS: "));
}

/// HTTP/2 with prior knowledge, for ever.
fn serve_http_2(listener: TcpListener) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async {
                let answer = service_fn(|_| async { Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::new()))) });
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                server.serve_connection(TokioIo::new(stream), answer).await.ok();
            });
        }
    });
}

#[test]
fn a_command_says_by_its_exit_status() {
    let mut world = World::new();
    let ready = world.sandbox.text_path("ready");
    let command = format!("exec:test -e '{ready}'");
    check(&mut world, "127.0.0.1:1", &["--check", &command], Some("exit status 1"));
    let saying = "exec:echo first; echo no disk >&2; exit 3";
    check(&mut world, "127.0.0.1:1", &["--check", saying], Some("exit status 3: no disk "));
    fs::write(&ready, "").unwrap();
    check(&mut world, "127.0.0.1:1", &["--check", &command], None);
    check(
        &mut world,
        "127.0.0.1:1",
        &["--check", "exec:sleep 60"],
        Some("killed, because it did not end within 250ms"),
    );
}

#[test]
fn failures_of_the_start_are_expected_for_a_while() {
    let mut world = World::new();
    let backend = Backend::silent();
    let port = backend.port;
    let address = backend.address();
    drop(backend);
    let _announcer = world.announce(&[
        "--name",
        "web",
        "--id",
        "one",
        "--address",
        &address,
        "--start-grace",
        "30s",
        "--log-level",
        "debug",
    ]);
    world.sandbox.wait_log("checking /");
    let _backend = Backend::again(port);
    world.wait_one("/services/");
    assert!(!world.sandbox.log().contains("a check failed"), "{}", world.sandbox.log());
}

#[test]
fn auto_is_the_address_that_leads_to_etcd() {
    let mut world = World::new();
    let backend = Backend::silent();
    let _announcer = world.announce(&["--name", "web", "--id", "one", "--address", &format!("auto:{}", backend.port)]);
    let entry = world.wait_one("/services/");
    assert!(entry.value.starts_with(r#"{"host":"127.0.0.1","#), "{}", entry.value);
    world.sandbox.wait_log("etcd is on this machine");
}

#[test]
fn wrong_arguments_are_all_reported_at_once() {
    let sandbox = Sandbox::on_etcd("127.0.0.1:1");
    let run = |arguments: &[&str]| sandbox.run(&[&["announce"], arguments].concat()).expect_code(2).stderr;
    let told = run(&["--name", "../x", "--address", "8080", "--timeout", "5s", "--ttl", "10s", "--check", "htp://a"]);
    for words in [
        "--name: `../x` contains `/`",
        "--address: `8080` is not host:port",
        "--timeout: 5s is not less than the interval of 5s",
        "--ttl: 10s is less than three intervals of 5s",
        "--check: `htp://a` is not a check",
    ] {
        assert!(told.contains(words), "no {words:?} in:\n{told}");
    }
    assert!(run(&["--config-dir", "/x", "--name", "web"]).contains("--config-dir and --name do not go together"));
    assert!(run(&["--config-dir", "/x", "--", "true"]).contains("do not go together"));
    assert!(run(&["--nam", "web"]).contains("--name"), "clap offers the likest");
    let file = Sandbox::new();
    let told = file.run(&["announce", "--name", "web", "--address", "a:1"]).expect_code(2).stderr;
    assert!(told.contains("services are announced in etcd only"), "{told}");
}
