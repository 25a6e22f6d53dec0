//! Supervises the command that runs as our child for as long as we do: starts a server, passes signals on to it, stops it
//! within a time limit, and returns its exit status. Never restarts it.
//!
//! The child inherits our output, unlike the short commands of `process`. This module does not reap the processes that it
//! leaves behind; `init` does if we are PID 1. It can also make us the command.

use std::fmt;
use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::process::Command;

use super::process;

/// Time that a killed command may take to be reaped.
const REAP_GRACE: Duration = Duration::from_secs(2);

/// A running child.
#[derive(Debug)]
pub struct Child {
    child: tokio::process::Child,
    pid: Pid,
}

/// The end of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildEnd {
    /// The child exited with this status.
    Exited(u8),
    /// This signal ended the child.
    Signalled(i32),
    /// The child was killed, but the kernel has not released it.
    Unreaped,
}

impl ChildEnd {
    /// Returns the exit status to pass on: the child's own, or 128 plus the signal number, as in shells.
    pub fn exit_status(self) -> u8 {
        match self {
            ChildEnd::Exited(status) => status,
            ChildEnd::Signalled(signal) => 128_u8.saturating_add(u8::try_from(signal).unwrap_or(u8::MAX)),
            ChildEnd::Unreaped => ChildEnd::Signalled(Signal::SIGKILL as i32).exit_status(),
        }
    }

    fn of(status: ExitStatus) -> ChildEnd {
        use std::os::unix::process::ExitStatusExt;
        match (status.code(), status.signal()) {
            (Some(code), _) => ChildEnd::Exited(u8::try_from(code).unwrap_or(u8::MAX)),
            (None, Some(signal)) => ChildEnd::Signalled(signal),
            (None, None) => ChildEnd::Unreaped,
        }
    }
}

impl fmt::Display for ChildEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChildEnd::Exited(status) => write!(f, "exit status {status}"),
            ChildEnd::Signalled(signal) => match Signal::try_from(*signal) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {signal}"),
            },
            ChildEnd::Unreaped => write!(f, "killed, but still running after {REAP_GRACE:?}"),
        }
    }
}

/// A command that could not be started.
#[derive(Debug, thiserror::Error)]
#[error("failed to start `{program}`: {source}{}", self.hint())]
pub struct StartError {
    /// First word of the command.
    pub program: String,
    /// Cause.
    pub source: io::Error,
}

impl StartError {
    /// Returns a hint, in parentheses, where a whole command line was probably quoted as one word.
    fn hint(&self) -> &'static str {
        let is_line = self.source.kind() == io::ErrorKind::NotFound && self.program.contains(char::is_whitespace);
        if is_line {
            " (hint: the program and each of its arguments are words of their own, as in -- nginx -g 'daemon off;')"
        } else {
            ""
        }
    }

    /// Returns the exit status of shells: 127 if there is no such program, 126 if it cannot be run.
    pub fn exit_status(&self) -> u8 {
        if self.source.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
    }
}

/// Becomes a command, a program and its arguments: it keeps our process id, our input and output. Returns only if that fails.
pub fn become_command(command: &[String]) -> StartError {
    let (program, arguments) = parts(command);
    let mut command = std::process::Command::new(program);
    process::withhold_ours(command.args(arguments));
    let source = command.exec();
    StartError { program: program.to_owned(), source }
}

fn parts(command: &[String]) -> (&str, &[String]) {
    command.split_first().map_or(("", &[]), |(program, arguments)| (program, arguments))
}

impl Child {
    /// Starts a command, a program and its arguments, in a process group of its own: Ctrl-C on a terminal reaches us, and we
    /// pass it on later. The command inherits our output, and our input unless that is a terminal, because a background
    /// process group cannot read from it. Must be called inside the runtime.
    ///
    /// # Errors
    /// There is no such program, or it cannot be run.
    pub fn start(command: &[String]) -> Result<Child, StartError> {
        let (program, arguments) = parts(command);
        let failed = |source| StartError { program: program.to_owned(), source };
        let stdin = if io::stdin().is_terminal() { Stdio::null() } else { Stdio::inherit() };
        let mut command = Command::new(program);
        command.args(arguments).stdin(stdin).process_group(0);
        process::withhold_ours(command.as_std_mut());
        let child = command.spawn().map_err(failed)?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        let pid = pid.ok_or_else(|| failed(io::Error::other("it has no process id")))?;
        Ok(Child { child, pid })
    }

    /// Returns its process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Sends a signal to the process itself, not to the processes that it has started. Does nothing if it has ended.
    pub fn signal(&self, signal: Signal) {
        // Its number cannot be reused until it is reaped.
        if self.child.id().is_some() {
            kill(self.pid, signal).ok();
        }
    }

    /// Waits until it has ended. May be dropped and called again.
    pub async fn ended(&mut self) -> ChildEnd {
        match self.child.wait().await {
            Ok(status) => ChildEnd::of(status),
            Err(error) => {
                tracing::error!("failed to wait for process {}: {error}", self.pid);
                ChildEnd::Unreaped
            }
        }
    }

    /// Sends the signal that ends the child and waits; kills it with its process group after `limit`. Also returns whether
    /// it had to be killed.
    pub async fn stop(&mut self, signal: Signal, limit: Duration) -> (ChildEnd, bool) {
        self.signal(signal);
        if let Ok(ended) = tokio::time::timeout(limit, self.ended()).await {
            return (ended, false);
        }
        killpg(self.pid, Signal::SIGKILL).ok();
        let ended = tokio::time::timeout(REAP_GRACE, self.ended()).await;
        (ended.unwrap_or(ChildEnd::Unreaped), true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn in_runtime<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    fn shell(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[test]
    fn its_end_becomes_a_status() {
        for (script, ended, status) in [
            ("exit 0", ChildEnd::Exited(0), 0),
            ("exit 7", ChildEnd::Exited(7), 7),
            ("kill -TERM $$", ChildEnd::Signalled(15), 143),
            ("kill -KILL $$", ChildEnd::Signalled(9), 137),
        ] {
            let found = in_runtime(async { Child::start(&shell(script)).unwrap().ended().await });
            assert_eq!((found, found.exit_status()), (ended, status), "{script}");
        }
    }

    #[test]
    fn what_cannot_be_started_is_named() {
        let start = |program: &str| in_runtime(async { Child::start(&[program.to_owned()]).unwrap_err() });
        let missing = start("/no/such/program");
        let said = "failed to start `/no/such/program`: No such file or directory (os error 2)";
        assert_eq!((missing.to_string().as_str(), missing.exit_status()), (said, 127));
        assert!(start("nginx -g 'daemon off;'").to_string().ends_with("as in -- nginx -g 'daemon off;')"));
        assert_eq!(start("/etc/passwd").exit_status(), 126);
    }

    #[test]
    fn it_is_asked_to_end_and_then_killed_with_all_it_has_started() {
        in_runtime(async {
            let dir = tempfile::tempdir().unwrap();
            let ready = dir.path().join("ready");
            let script = format!(
                "trap '' TERM; sleep 1000 & echo $! > '{0}.new'; mv '{0}.new' '{0}'; wait; wait",
                ready.display()
            );
            let mut child = Child::start(&shell(&script)).unwrap();
            let deadline = std::time::Instant::now() + LONG;
            while !ready.exists() {
                assert!(std::time::Instant::now() < deadline, "the script did not come so far");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let (ended, killed) = child.stop(Signal::SIGTERM, Duration::from_millis(200)).await;
            assert_eq!((ended, killed), (ChildEnd::Signalled(9), true));
            let grandchild = std::fs::read_to_string(ready).unwrap();
            let stat = format!("/proc/{}/stat", grandchild.trim());
            // Gone, or a zombie that its new parent has not reaped yet.
            let gone = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
            while !gone() {
                assert!(std::time::Instant::now() < deadline, "the grandchild survived");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }

            let mut willing = Child::start(&shell("exec sleep 1000")).unwrap();
            assert_eq!(willing.stop(Signal::SIGTERM, LONG).await, (ChildEnd::Signalled(15), false));
            // Its number may belong to a different process now: no signal goes there.
            willing.signal(Signal::SIGKILL);
        });
    }
}
