//! Real etcd servers: alone or as a cluster, plain or with TLS, with logins, killed, frozen, compacted, put back to an
//! older copy. Every server has a folder and ports of its own and ends with the test.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use etcd_client::{Client, CompactionOptions, ConnectOptions, GetOptions, PutOptions, Txn, TxnOp};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::certs::Certs;
use super::{Daemon, free_port, temp_dir, wait_until};

const START: Duration = Duration::from_secs(20);

/// How a server differs from a plain one.
#[derive(Default)]
pub struct Options {
    /// Speaks TLS to clients with a certificate of these.
    pub certs: Option<Certs>,
    /// Accepts only clients with a certificate of the same CA.
    pub needs_client_cert: bool,
    /// Speaks TLS to clients with a certificate that it makes for itself.
    pub auto_tls: bool,
    /// More command line.
    pub flags: Vec<String>,
}

impl Options {
    pub fn flag(mut self, flag: &str) -> Options {
        self.flags.push(flag.to_owned());
        self
    }
}

/// One etcd server.
pub struct Etcd {
    pub dir: TempDir,
    name: String,
    client_port: u16,
    peer_port: u16,
    health_port: u16,
    initial_cluster: String,
    options: Options,
    daemon: Option<Daemon>,
}

impl Etcd {
    /// A plain server that answers.
    pub fn start() -> Etcd {
        Etcd::start_with(Options::default())
    }

    /// A server that answers.
    pub fn start_with(options: Options) -> Etcd {
        let mut etcd = Etcd::new("one", options);
        etcd.initial_cluster = etcd.member();
        etcd.run();
        etcd.wait_healthy();
        etcd
    }

    fn new(name: &str, options: Options) -> Etcd {
        Etcd {
            dir: temp_dir(),
            name: name.to_owned(),
            client_port: free_port(),
            peer_port: free_port(),
            health_port: free_port(),
            initial_cluster: String::new(),
            options,
            daemon: None,
        }
    }

    fn member(&self) -> String {
        format!("{}={}", self.name, self.peer_url())
    }

    fn peer_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.peer_port)
    }

    /// The URL that clients connect to.
    pub fn url(&self) -> String {
        let scheme = if self.options.certs.is_some() || self.options.auto_tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.client_port)
    }

    /// The process that answers now.
    pub fn pid(&self) -> i32 {
        self.daemon.as_ref().unwrap().pid()
    }

    /// The TCP port for clients.
    pub fn port(&self) -> u16 {
        self.client_port
    }

    fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn run(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        let mut command = Command::new("etcd");
        command
            .arg(format!("--name={}", self.name))
            .arg(format!("--data-dir={}", self.data_dir().display()))
            .arg(format!("--listen-client-urls={}", self.url()))
            .arg(format!("--advertise-client-urls={}", self.url()))
            .arg(format!("--listen-peer-urls={}", self.peer_url()))
            .arg(format!("--initial-advertise-peer-urls={}", self.peer_url()))
            .arg(format!("--initial-cluster={}", self.initial_cluster))
            .arg(format!("--listen-metrics-urls=http://127.0.0.1:{}", self.health_port))
            .args(["--heartbeat-interval=50", "--election-timeout=500", "--grpc-keepalive-min-time=100ms"])
            .args(["--logger=zap", "--log-outputs=stderr"])
            .args(&self.options.flags)
            .stdout(Stdio::null())
            .stderr(log);
        if let Some(certs) = &self.options.certs {
            command.arg(format!("--cert-file={}", certs.server_cert.display()));
            command.arg(format!("--key-file={}", certs.server_key.display()));
            if self.options.needs_client_cert {
                command.arg("--client-cert-auth").arg(format!("--trusted-ca-file={}", certs.ca.display()));
            }
        }
        if self.options.auto_tls {
            command.arg("--auto-tls");
        }
        self.daemon = Some(Daemon::start(&mut command));
    }

    /// The certificate that the server made for itself.
    pub fn own_certificate(&self) -> PathBuf {
        self.data_dir().join("fixtures/client/cert.pem")
    }

    /// Waits until a line of the server's log has both of these words.
    #[track_caller]
    pub fn wait_log(&self, text: &str, more: &str) {
        let log = || std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let has_line = || log().lines().any(|line| line.contains(text) && line.contains(more));
        wait_until(&format!("etcd to log {text:?} of {more:?}"), START, has_line);
    }

    fn page(&self, path: &str, patience: Duration) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.health_port))?;
        stream.set_read_timeout(Some(patience))?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn is_healthy(&self) -> bool {
        self.page("/health", Duration::from_secs(2)).is_ok_and(|answer| answer.contains(r#""health":"true""#))
    }

    /// The sum of a metric of the server over all lines that have the text.
    #[track_caller]
    pub fn metric(&self, name: &str, text: &str) -> u64 {
        let page = self.page("/metrics", START).unwrap();
        let value = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            (series.split('{').next() == Some(name) && series.contains(text))
                .then(|| value.parse::<f64>().unwrap() as u64)
        };
        page.lines().filter_map(value).sum()
    }

    /// The number of watchers that the server has now: a follower has one, if it reads one directory.
    #[track_caller]
    pub fn watchers(&self) -> u64 {
        self.metric("etcd_debugging_mvcc_watcher_total", "")
    }

    /// Waits until the server answers linearizable reads.
    #[track_caller]
    pub fn wait_healthy(&self) {
        let healthy = std::panic::catch_unwind(|| {
            wait_until("etcd to be healthy", START, || self.is_healthy());
        });
        if healthy.is_err() {
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(5).collect();
            panic!("etcd {} is not healthy; its last words, latest first: {last:#?}", self.name);
        }
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill();
        }
    }

    /// Starts a killed server again, on the same ports and data, and waits until it answers.
    pub fn restart(&mut self) {
        self.start_again();
        self.wait_healthy();
    }

    /// Starts a killed server again and waits for nothing: it may need others to be healthy.
    pub fn start_again(&mut self) {
        self.run();
    }

    /// Freezes the server: connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.daemon.as_ref().unwrap().signal(Signal::SIGSTOP);
    }

    /// Ends `freeze`.
    pub fn thaw(&self) {
        self.daemon.as_ref().unwrap().signal(Signal::SIGCONT);
    }

    /// Runs etcdctl against this server alone and gives what it printed.
    #[track_caller]
    pub fn ctl<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        self.ctl_as(None, arguments)
    }

    /// Runs etcdctl, logged in as `user:password`.
    #[track_caller]
    pub fn ctl_as<S: AsRef<OsStr>>(&self, login: Option<&str>, arguments: &[S]) -> String {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").arg(format!("--endpoints={}", self.url()));
        if let Some(login) = login {
            command.arg(format!("--user={login}"));
        }
        if let Some(certs) = &self.options.certs {
            command.arg(format!("--cacert={}", certs.ca.display()));
            command.arg(format!("--cert={}", certs.client_cert.display()));
            command.arg(format!("--key={}", certs.client_key.display()));
        }
        if self.options.auto_tls {
            command.arg(format!("--cacert={}", self.own_certificate().display()));
        }
        let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "etcdctl {:?} failed: {out}{err}", command.get_args());
        out.into_owned()
    }

    #[track_caller]
    pub fn put(&self, key: &str, value: &str) {
        self.ctl(&["put", "--", key, value]);
    }

    #[track_caller]
    pub fn delete(&self, key: &str) {
        self.ctl(&["del", "--", key]);
    }

    /// Makes `root` (password `root`) and a user `reader` (password `reader`) who may read the `prefixes`, and turns
    /// authentication on.
    pub fn enable_auth(&self, prefixes: &[&str]) {
        self.ctl(&["user", "add", "root:root"]);
        self.ctl(&["user", "grant-role", "root", "root"]);
        self.ctl(&["role", "add", "reader"]);
        for prefix in prefixes {
            self.ctl(&["role", "grant-permission", "--prefix=true", "reader", "read", prefix]);
        }
        self.ctl(&["user", "add", "reader:reader"]);
        self.ctl(&["user", "grant-role", "reader", "reader"]);
        self.ctl(&["auth", "enable"]);
    }

    /// Writes a copy of the store to `path`.
    pub fn save_copy(&self, path: &Path) {
        self.ctl(&[OsStr::new("snapshot"), OsStr::new("save"), path.as_os_str()]);
    }

    /// Replaces the data of a killed server by a copy. It keeps its name, ports and cluster id.
    pub fn restore_copy(&self, path: &Path) {
        assert!(self.daemon.is_none(), "only a server that is down can be restored");
        std::fs::remove_dir_all(self.data_dir()).unwrap();
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["snapshot", "restore"])
            .arg(path)
            .arg(format!("--name={}", self.name))
            .arg(format!("--data-dir={}", self.data_dir().display()))
            .arg(format!("--initial-cluster={}", self.initial_cluster))
            .arg(format!("--initial-advertise-peer-urls={}", self.peer_url()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// A client for many writes.
    pub fn writer(&self) -> Writer {
        Writer::new(&self.url(), None)
    }
}

/// A cluster of `size` plain servers.
pub fn cluster(size: usize) -> Vec<Etcd> {
    let mut members: Vec<Etcd> = (0..size).map(|index| Etcd::new(&format!("m{index}"), Options::default())).collect();
    let initial_cluster = members.iter().map(Etcd::member).collect::<Vec<_>>().join(",");
    for member in &mut members {
        member.initial_cluster.clone_from(&initial_cluster);
        member.run();
    }
    for member in &members {
        member.wait_healthy();
    }
    members
}

/// One change of a transaction: a key with its new value, or `None` to delete it.
pub type Change<'a> = (&'a str, Option<&'a str>);

/// A client that writes, without a process per call.
pub struct Writer {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Writer {
    pub fn new(url: &str, login: Option<(&str, &str)>) -> Writer {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut options = ConnectOptions::new();
        if let Some((user, password)) = login {
            options = options.with_user(user, password);
        }
        let client = runtime.block_on(Client::connect([url], Some(options))).unwrap();
        Writer { runtime, client }
    }

    /// Returns the revision of the change.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> i64 {
        let answer = self.runtime.block_on(self.client.put(key, value, None)).unwrap();
        answer.header().unwrap().revision()
    }

    /// Puts an empty value that etcd takes away again after so many seconds.
    pub fn put_for_seconds(&mut self, key: &str, seconds: i64) {
        let lease = self.runtime.block_on(self.client.lease_grant(seconds, None)).unwrap().id();
        let options = PutOptions::new().with_lease(lease);
        self.runtime.block_on(self.client.put(key, "", Some(options))).unwrap();
    }

    /// Makes all changes at one revision, which is given back.
    pub fn change(&mut self, changes: &[Change<'_>]) -> i64 {
        let operation = |(key, value): &Change<'_>| match value {
            Some(value) => TxnOp::put(*key, *value, None),
            None => TxnOp::delete(*key, None),
        };
        let txn = Txn::new().and_then(changes.iter().map(operation).collect::<Vec<_>>());
        self.runtime.block_on(self.client.txn(txn)).unwrap().header().unwrap().revision()
    }

    /// Returns the keys that begin so, each with its value and the number of puts since it was created.
    pub fn read(&mut self, prefix: &str) -> Vec<(String, String, i64)> {
        let answer = self.runtime.block_on(self.client.get(prefix, Some(GetOptions::new().with_prefix()))).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        answer.kvs().iter().map(|pair| (text(pair.key()), text(pair.value()), pair.version())).collect()
    }

    pub fn compact(&mut self, revision: i64) {
        let options = CompactionOptions::new().with_physical();
        self.runtime.block_on(self.client.compact(revision, Some(options))).unwrap();
    }
}
