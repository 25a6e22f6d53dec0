//! The demo backends as real processes: reflector's echo, nano-container's HTTPS, limits, clean stops.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use hyper::{Method, StatusCode, Version};
use nix::sys::signal::Signal;

use crate::support::https::{Answer, Client, Protocol};
use crate::support::tls::Authority;
use crate::support::{Daemon, program, temp_dir, wait_for, wait_until};

const DEADLINE: Duration = Duration::from_secs(20);

struct Backend {
    daemon: Daemon,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Backend {
    fn start(name: &str, arguments: &[&str]) -> Backend {
        let folder = temp_dir();
        let log = File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(program(name));
        command.args(["--listen", "127.0.0.1:0"]).args(arguments).stderr(log);
        let daemon = Daemon::start(&mut command);
        let log = || fs::read_to_string(folder.path().join("log")).unwrap();
        let address = wait_for("the backend to say where it listens", DEADLINE, || {
            let log = log();
            let line = log.lines().find(|line| line.contains("is ready"))?;
            line.split(' ').find_map(|word| word.strip_prefix("address="))?.parse().ok()
        });
        Backend { daemon, address, folder }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    fn wait_exit(&mut self) -> ExitStatus {
        wait_for("the backend to exit", DEADLINE, || self.daemon.child.try_wait().unwrap())
    }

    fn ask(&self, client: &Client, protocol: Protocol, method: Method, path: &str) -> Answer {
        let request = client.request(protocol, method, self.address, path);
        runtime().block_on(request).unwrap_or_else(|problem| panic!("{protocol:?} {path}: {problem}\n{}", self.log()))
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn pattern(n_bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(n_bytes).collect()
}

fn echoes(mut stream: TcpStream, sent: &[u8]) {
    let mut sending = stream.try_clone().unwrap();
    let received = std::thread::scope(|scope| {
        scope.spawn(move || {
            sending.write_all(sent).unwrap();
            sending.shutdown(Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        received
    });
    assert!(received == sent, "sent {} bytes, got {} others back", sent.len(), received.len());
}

#[test]
fn reflector_sends_ten_megabytes_back_and_then_closes() {
    let reflector = Backend::start("reflector", &[]);
    echoes(reflector.connect(), &pattern(10_000_000, 1));
    echoes(reflector.connect(), &[]);
}

#[test]
fn reflector_answers_before_the_client_has_finished() {
    let reflector = Backend::start("reflector", &[]);
    let mut stream = reflector.connect();
    for message in [&b"one\n"[..], b"\0\xff\r\n", b"three"] {
        stream.write_all(message).unwrap();
        let mut back = vec![0; message.len()];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back, message);
    }
}

#[test]
fn reflector_serves_many_connections_at_once() {
    let reflector = Backend::start("reflector", &[]);
    let mut streams: Vec<TcpStream> = (0..200).map(|_| reflector.connect()).collect();
    for (stream, seed) in streams.iter_mut().zip(0..) {
        stream.write_all(&pattern(1000, seed)).unwrap();
    }
    for (mut stream, seed) in streams.into_iter().zip(0..) {
        stream.shutdown(Shutdown::Write).unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert_eq!(back, pattern(1000, seed), "connection {seed}");
    }
}

#[test]
fn connections_above_the_limit_wait_for_a_place() {
    let reflector = Backend::start("reflector", &["--max-connections", "1"]);
    let mut first = reflector.connect();
    let mut second = reflector.connect();
    second.write_all(b"second").unwrap();
    // Were the second connection served as well, it would be by the time the first one has been served a hundred times.
    for _ in 0..100 {
        first.write_all(b"first").unwrap();
        first.read_exact(&mut [0; 5]).unwrap();
    }
    second.set_nonblocking(true).unwrap();
    assert_eq!(second.read(&mut [0; 6]).unwrap_err().kind(), ErrorKind::WouldBlock);
    second.set_nonblocking(false).unwrap();
    drop(first);
    let mut back = [0; 6];
    second.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"second");
}

#[test]
fn reflector_stops_accepting_and_lets_open_connections_finish() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut reflector = Backend::start("reflector", &["--grace-seconds", "60"]);
        let mut open = reflector.connect();
        open.write_all(b"before").unwrap();
        open.read_exact(&mut [0; 6]).unwrap();
        reflector.daemon.signal(signal);
        wait_until("new connections to be refused", DEADLINE, || TcpStream::connect(reflector.address).is_err());
        echoes(open, b"after");
        assert_eq!(reflector.wait_exit().code(), Some(0), "{signal}: {}", reflector.log());
    }
}

#[test]
fn a_connection_that_does_not_end_is_closed_when_the_grace_is_over() {
    let mut reflector = Backend::start("reflector", &["--grace-seconds", "0"]);
    let mut open = reflector.connect();
    open.write_all(b"x").unwrap();
    open.read_exact(&mut [0]).unwrap();
    reflector.daemon.signal(Signal::SIGTERM);
    assert_eq!(reflector.wait_exit().code(), Some(0));
    assert!(matches!(open.read(&mut [0]), Ok(0) | Err(_)));
}

#[test]
fn a_taken_address_is_an_error_that_names_it() {
    let reflector = Backend::start("reflector", &[]);
    let taken = reflector.address.to_string();
    for name in ["reflector", "nano-container"] {
        let mut command = Command::new(program(name));
        let output = command.args(["--listen", &taken]).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("cannot listen on {taken}")) && said.contains("hint:"), "{said}");
    }
}

#[test]
fn nano_container_says_who_it_is_over_both_protocols() {
    let nano = Backend::start("nano-container", &["--instance", "nano \"7\""]);
    let client = Client::trusting_anybody();
    for (protocol, version) in [(Protocol::Http1, Version::HTTP_11), (Protocol::Http2, Version::HTTP_2)] {
        let home = nano.ask(&client, protocol, Method::GET, "/");
        assert_eq!((home.status, home.version), (StatusCode::OK, version));
        assert_eq!(home.headers["content-type"], "application/json");
        let expected =
            "{\"platform\":\"docker\",\"language\":\"rust\",\"result\":\"bazinga!\",\"instance\":\"nano \\\"7\\\"\"}\n";
        assert_eq!(home.body, expected);

        let health = nano.ask(&client, protocol, Method::GET, "/healthz?full");
        assert_eq!((health.status, health.body.as_str()), (StatusCode::OK, "ok\n"));

        let head = nano.ask(&client, protocol, Method::HEAD, "/");
        assert_eq!((head.status, head.body.as_str()), (StatusCode::OK, ""));
        assert_eq!(head.headers["content-length"], expected.len().to_string());

        let missing = nano.ask(&client, protocol, Method::GET, "/nothing");
        assert_eq!(missing.status, StatusCode::NOT_FOUND);

        let posted = nano.ask(&client, protocol, Method::POST, "/");
        assert_eq!(posted.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(posted.headers["allow"], "GET, HEAD");
    }
    let log = nano.log();
    for said in ["protocol=HTTP/2.0 method=GET path=\"/\" status=200", "protocol=HTTP/1.1", "remote=127.0.0.1:"] {
        assert!(log.contains(said), "{said:?} is missing in:\n{log}");
    }
}

#[test]
fn without_a_name_the_instance_is_host_and_port() {
    let nano = Backend::start("nano-container", &[]);
    let home = nano.ask(&Client::trusting_anybody(), Protocol::Http2, Method::GET, "/");
    let home: serde_json::Value = serde_json::from_str(&home.body).unwrap();
    let hostname = nix::unistd::gethostname().unwrap().into_string().unwrap();
    assert_eq!(home["instance"], format!("{hostname}:{}", nano.address.port()));
}

#[test]
fn nano_container_uses_the_certificate_it_is_given() {
    let folder = temp_dir();
    let authority = Authority::new(folder.path());
    let files = authority.sign("server", &["nano-container"]);
    let (certificate, key) = (files.certificate.to_str().unwrap(), files.key.to_str().unwrap());
    let nano = Backend::start("nano-container", &["--cert", certificate, "--key", key]);
    let client = Client::trusting(authority.certificate(), "nano-container");
    assert_eq!(nano.ask(&client, Protocol::Http2, Method::GET, "/healthz").body, "ok\n");

    let self_signed = Backend::start("nano-container", &[]);
    let refused = runtime().block_on(client.get(Protocol::Http2, self_signed.address, "/")).unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
}

#[test]
fn an_unusable_certificate_is_an_error_that_names_the_file() {
    let folder = temp_dir();
    let authority = Authority::new(folder.path());
    let (one, other) = (authority.sign("one", &["a"]), authority.sign("other", &["b"]));
    let empty = folder.path().join("empty.crt");
    fs::write(&empty, "").unwrap();
    let absent = folder.path().join("absent.key");
    for (certificate, key, expected) in [
        (&empty, &one.key, "no certificate in "),
        (&one.certificate, &absent, "absent.key: "),
        (&one.certificate, &other.key, "cannot use the certificate with its key"),
    ] {
        let mut command = Command::new(program("nano-container"));
        command.args(["--listen", "127.0.0.1:0", "--cert"]).arg(certificate).arg("--key").arg(key);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "{expected:?} is missing in: {said}");
    }
}

#[test]
fn nano_container_ends_idle_connections_and_exits_cleanly() {
    let mut nano = Backend::start("nano-container", &["--grace-seconds", "60"]);
    let exit = runtime().block_on(async {
        let client = Client::trusting_anybody();
        let mut open = Vec::new();
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let mut connection = client.open(protocol, nano.address).await.unwrap();
            connection.send(Method::GET, "/").await.unwrap();
            open.push(connection);
        }
        nano.daemon.signal(Signal::SIGTERM);
        // The clients keep their connections: only a graceful end of these lets the server go before its grace is over.
        let exited = tokio::time::timeout(DEADLINE, async {
            loop {
                if let Some(exit) = nano.daemon.child.try_wait().unwrap() {
                    return exit;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let exit = exited.await.ok();
        drop(open);
        exit
    });
    assert_eq!(exit.and_then(|exit| exit.code()), Some(0), "{}", nano.log());
}

/// The load of the cluster test counts a request as lost unless the server declined it.
#[test]
fn a_request_is_declined_only_if_the_server_said_so() {
    for (signal, is_declined) in [(Signal::SIGTERM, true), (Signal::SIGKILL, false)] {
        let nano = Backend::start("nano-container", &["--grace-seconds", "60"]);
        let declined = runtime().block_on(async {
            let mut connection = Client::trusting_anybody().open(Protocol::Http2, nano.address).await.unwrap();
            connection.send(Method::GET, "/").await.unwrap();
            nano.daemon.signal(signal);
            // Answered for as long as the server has not heard of the signal.
            let problem = tokio::time::timeout(DEADLINE, async {
                loop {
                    if let Err(problem) = connection.send(Method::GET, "/").await {
                        return problem;
                    }
                }
            });
            let problem = problem.await.unwrap();
            connection.was_declined(&problem).await
        });
        assert_eq!(declined, is_declined, "{signal}: {}", nano.log());
    }
}
