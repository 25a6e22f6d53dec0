//! Tools for every integration test: temp folders, free ports, waiting for a state, daemons that end with the test.
//! Never sleeps for a fixed time and never signals a process it did not start.

pub mod agent;
pub mod cases;
pub mod certs;
pub mod chromium;
pub mod dns;
pub mod etcd;
pub mod fake_etcd;
pub mod https;
pub mod nginx;
pub mod openssl;
pub mod proxy;
pub mod shipped;
pub mod template;
pub mod tls;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Returns the folder of the package: cargo names it to the tests that it runs; a test program that is run by itself finds it above
/// its own place. The clone it was built in may have moved since.
pub fn package_root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let of_cargo = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let above = || {
            let own = std::env::current_exe().unwrap();
            own.ancestors().find(|folder| folder.join("Cargo.toml").exists()).map(Path::to_owned)
        };
        of_cargo.or_else(above).unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into())
    });
    &ROOT
}

/// Returns the path of a program of the package: the one that was built beside this test program.
pub fn program(name: &str) -> String {
    let own = std::env::current_exe().unwrap();
    let beside = own.parent().and_then(Path::parent).unwrap().join(name);
    assert!(beside.exists(), "there is no {}: `cargo build --bins` makes it", beside.display());
    beside.into_os_string().into_string().unwrap()
}

/// A temp folder that goes with the test.
pub fn temp_dir() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("upstreamd-test-").tempdir().unwrap()
}

/// A TCP port of 127.0.0.1 that was free a moment ago, that this process did not hand out before, and that the kernel
/// gives to nobody by itself: those begin at 32768.
pub fn free_port() -> u16 {
    static HANDED_OUT: AtomicU32 = AtomicU32::new(0);
    loop {
        let nth = HANDED_OUT.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + (std::process::id().wrapping_mul(97).wrapping_add(nth) % 22_000);
        let port = u16::try_from(port).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Polls until `state` returns `Some`; panics with `what` when `deadline` has passed.
#[track_caller]
pub fn wait_for<T>(what: &str, deadline: Duration, state: impl FnMut() -> Option<T>) -> T {
    wait_or(deadline, state, || format!("gave up after {deadline:?} waiting for: {what}"))
}

/// Polls until `state` returns `Some`; panics with what `problem` says when `deadline` has passed.
#[track_caller]
pub fn wait_or<T>(deadline: Duration, mut state: impl FnMut() -> Option<T>, problem: impl FnOnce() -> String) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = state() {
            return value;
        }
        if start.elapsed() >= deadline {
            panic!("{}", problem());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Polls until `condition` holds; panics with `what` when `deadline` has passed.
#[track_caller]
pub fn wait_until(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, deadline, || condition().then_some(()));
}

/// A child process that is killed and reaped when the test drops it, and then whatever children it left.
pub struct Daemon {
    pub child: Child,
    left: Vec<Process>,
}

/// A process with its start time, which distinguishes it from a later one with the same pid.
struct Process {
    pid: i32,
    began: String,
}

impl Process {
    fn of(pid: i32) -> Option<Process> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold blanks and parentheses; what follows it is the third field, and the beginning the 22nd.
        let began = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.to_owned();
        Some(Process { pid, began })
    }

    fn children_of(pid: u32) -> Vec<Process> {
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| Process::of(pid.parse().ok()?)).collect()
    }

    fn end(&self) {
        if Process::of(self.pid).is_some_and(|now| now.began == self.began) {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid), nix::sys::signal::Signal::SIGKILL).ok();
        }
    }
}

impl Daemon {
    /// Starts `command` with stdin closed; output goes to the caller's target.
    pub fn start(command: &mut Command) -> Daemon {
        let child =
            command.stdin(Stdio::null()).spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Daemon { child, left: Vec::new() }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// kill -9, then reap.
    pub fn kill(&mut self) {
        self.left.extend(Process::children_of(self.child.id()));
        self.child.kill().ok();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
        self.left.iter().for_each(Process::end);
    }
}
