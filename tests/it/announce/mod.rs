//! `upstreamd announce` as a real process against a real etcd, with real backends.

mod balance;
mod checks;
mod command;
mod docs;
mod drain;
mod folder;
mod layouts;
mod lease;
mod rivals;
mod seen;
mod story;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use etcd_client::{Client, GetOptions};

use crate::support::agent::{DEADLINE, Sandbox};
use crate::support::etcd::Etcd;
use crate::support::{Daemon, wait_or};

/// Times short enough for a test.
const QUICK: &[&str] = &["--interval", "300ms", "--timeout", "250ms", "--ttl", "3s", "--rise", "1", "--fall", "2"];
/// Their time to live.
const TTL: Duration = Duration::from_secs(3);

/// How often a lease is renewed while it lives twice: after each third of its time to live.
const RENEWALS_OF_TWO_LIVES: u64 = 6;

/// Returns how often leases have been renewed since etcd started.
fn renewals(etcd: &Etcd) -> u64 {
    etcd.metric("etcd_debugging_lease_renewed_total", "")
}

/// A key of the store as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    key: String,
    value: String,
    created: i64,
    changed: i64,
    lease: i64,
}

/// Reads the store without a process per look.
struct Reader {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Reader {
    fn new(etcd: &Etcd) -> Reader {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(Client::connect([etcd.url()], None)).unwrap();
        Reader { runtime, client }
    }

    /// Everything below a prefix, and the store's revision; `None` if etcd does not answer.
    fn read(&mut self, prefix: &str) -> Option<(i64, Vec<Entry>)> {
        let read = self.client.get(prefix, Some(GetOptions::new().with_prefix()));
        let limited = async { tokio::time::timeout(Duration::from_secs(2), read).await };
        let answer = self.runtime.block_on(limited).ok()?.ok()?;
        let entries = answer.kvs().iter().map(|pair| Entry {
            key: pair.key_str().unwrap().to_owned(),
            value: pair.value_str().unwrap().to_owned(),
            created: pair.create_revision(),
            changed: pair.mod_revision(),
            lease: pair.lease(),
        });
        Some((answer.header().unwrap().revision(), entries.collect()))
    }

    fn keys(&mut self, prefix: &str) -> Vec<String> {
        self.read(prefix).unwrap_or_default().1.into_iter().map(|entry| entry.key).collect()
    }

    /// Waits until the prefix has exactly one key, and gives it.
    #[track_caller]
    fn wait_one(&mut self, prefix: &str, log: impl Fn() -> String) -> Entry {
        let one = || <[Entry; 1]>::try_from(self.read(prefix)?.1).ok().map(|[entry]| entry);
        wait_or(DEADLINE, one, || format!("there is not one key below {prefix}:\n{}", log()))
    }

    /// Waits until the prefix has no key.
    #[track_caller]
    fn wait_none(&mut self, prefix: &str, log: impl Fn() -> String) {
        let none = || self.read(prefix)?.1.is_empty().then_some(());
        wait_or(DEADLINE, none, || format!("there is still a key below {prefix}:\n{}", log()));
    }
}

/// An etcd, a folder for upstreamd and a way to look.
struct World {
    etcd: Etcd,
    sandbox: Sandbox,
    reader: Reader,
}

impl World {
    fn new() -> World {
        let etcd = Etcd::start();
        let sandbox = Sandbox::on_etcd(&etcd.url());
        let reader = Reader::new(&etcd);
        World { etcd, sandbox, reader }
    }

    /// `upstreamd announce` with these arguments and quick times.
    fn announce(&self, arguments: &[&str]) -> Daemon {
        self.sandbox.start(&[&["announce"], arguments, QUICK].concat())
    }

    /// Announces `web` at this address under the id `one`, and waits until it is there.
    #[track_caller]
    fn announce_web(&mut self, backend: &Backend) -> (Daemon, Entry) {
        let daemon = self.announce(&["--name", "web", "--id", "one", "--address", &backend.address()]);
        let entry = self.wait_one("/services/");
        (daemon, entry)
    }

    #[track_caller]
    fn wait_one(&mut self, prefix: &str) -> Entry {
        let World { reader, sandbox, .. } = self;
        reader.wait_one(prefix, || sandbox.log())
    }

    #[track_caller]
    fn wait_none(&mut self, prefix: &str) {
        let World { reader, sandbox, .. } = self;
        reader.wait_none(prefix, || sandbox.log());
    }
}

/// A server that accepts TCP connections and, if configured, sends a greeting and closes.
struct Backend {
    port: u16,
    ended: Arc<AtomicBool>,
}

impl Backend {
    fn silent() -> Backend {
        Backend::on(TcpListener::bind(("127.0.0.1", 0)).unwrap(), "")
    }

    fn again(port: u16) -> Backend {
        Backend::on(TcpListener::bind(("127.0.0.1", port)).unwrap(), "")
    }

    fn saying(text: &'static str) -> Backend {
        Backend::on(TcpListener::bind(("127.0.0.1", 0)).unwrap(), text)
    }

    fn on(listener: TcpListener, text: &'static str) -> Backend {
        let port = listener.local_addr().unwrap().port();
        let ended = Arc::new(AtomicBool::new(false));
        let has_ended = Arc::clone(&ended);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if has_ended.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                stream.set_read_timeout(Some(Duration::from_secs(2))).ok();
                // What is said before it is asked for is no answer.
                if stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
                    stream.write_all(text.as_bytes()).ok();
                }
                stream.shutdown(std::net::Shutdown::Write).ok();
                // Until the other side has read it and closes: a reset would take the answer away.
                std::io::copy(&mut stream, &mut std::io::sink()).ok();
            }
        });
        Backend { port, ended }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Backend {
    /// Closes the port before it returns.
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
