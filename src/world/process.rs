//! Runs child processes: each has its own process group, bounded captured output, and a deadline that applies even if an
//! orphan keeps the output pipe open. Never interprets what a command prints.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::systemd;
use crate::config::settings::table;
use crate::world::tasks;

/// Maximum number of bytes of output that are kept; further ones are only counted.
const MAX_OUTPUT_BYTES: usize = 64 * 1024;
/// Time to wait for output after the command itself has ended; an orphan may keep the pipe open forever.
const OUTPUT_GRACE: Duration = Duration::from_millis(200);
/// Time that a killed command may take to be reaped.
const REAP_GRACE: Duration = Duration::from_secs(2);

/// The outcome of a command.
#[derive(Debug)]
pub struct FinishedCommand {
    /// The end of the command.
    pub end: CommandEnd,
    /// Standard output and error in order of arrival, at most 64 KiB, as text with a note if it was cut.
    pub output: String,
    /// Time from start to end.
    pub elapsed: Duration,
}

/// The end of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandEnd {
    /// The command exited with this status.
    Exited(i32),
    /// A signal ended the command.
    Signalled(i32),
    /// The command was killed with its process group because this limit had passed.
    TimedOut(Duration),
    /// The command could not be started or waited for.
    NotRun(String),
}

impl FinishedCommand {
    /// Returns whether the exit status is 0.
    pub fn succeeded(&self) -> bool {
        self.end == CommandEnd::Exited(0)
    }
}

impl fmt::Display for CommandEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandEnd::Exited(status) => write!(f, "exit status {status}"),
            CommandEnd::Signalled(signal) => match Signal::try_from(*signal) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {signal}"),
            },
            CommandEnd::TimedOut(limit) => write!(f, "killed, because it did not end within {limit:?}"),
            CommandEnd::NotRun(problem) => write!(f, "could not be run: {problem}"),
        }
    }
}

/// The process groups of the commands that run now.
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Kills every command that runs now, with its process group: this process ends and leaves no orphan.
pub fn kill_running() {
    for group in RUNNING.lock().iter().flat_map(|running| running.iter()) {
        killpg(Pid::from_raw(*group), Signal::SIGKILL).ok();
    }
}

/// A process group in `RUNNING` until it is dropped; then it is killed, unless its command has ended.
struct Registered {
    group: Option<Pid>,
    has_ended: bool,
}

impl Registered {
    fn new(group: Option<Pid>) -> Registered {
        if let (Some(group), Ok(mut running)) = (group, RUNNING.lock()) {
            running.insert(group.as_raw());
        }
        Registered { group, has_ended: false }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let Some(group) = self.group else { return };
        if let Ok(mut running) = RUNNING.lock() {
            running.remove(&group.as_raw());
        }
        if !self.has_ended {
            killpg(group, Signal::SIGKILL).ok();
        }
    }
}

/// Runs `/bin/sh -c text`. A `timeout` of `None` waits forever. If the future is dropped, the command is killed with its process group.
pub async fn run_shell(text: &str, timeout: Option<Duration>) -> FinishedCommand {
    run(OsStr::new("/bin/sh"), &["-c", text], None, timeout).await
}

/// Runs a program with these arguments and, if given, these bytes on its standard input (nothing otherwise).
pub async fn run(program: &OsStr, args: &[&str], stdin: Option<Vec<u8>>, timeout: Option<Duration>) -> FinishedCommand {
    let started = Instant::now();
    let output = Arc::new(Mutex::new(Captured::default()));
    let end = run_captured(program, args, stdin, timeout, &output).await;
    let output = match output.lock() {
        Ok(captured) => captured.text(),
        Err(_) => String::new(),
    };
    FinishedCommand { end, output, elapsed: started.elapsed() }
}

/// Runs a program as `run` does, on a thread of its own, for a caller that cannot wait asynchronously.
pub fn run_blocking(program: &OsStr, args: &[&str], timeout: Duration) -> FinishedCommand {
    let started = Instant::now();
    let not_run = |problem: String| FinishedCommand {
        end: CommandEnd::NotRun(problem),
        output: String::new(),
        elapsed: started.elapsed(),
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok::<_, std::io::Error>(runtime.block_on(run(program, args, None, Some(timeout))))
        });
        match thread.join() {
            Ok(Ok(finished)) => finished,
            Ok(Err(error)) => not_run(error.to_string()),
            Err(_) => not_run("its thread panicked".to_owned()),
        }
    })
}

/// Takes from a command's environment what is meant for us: our settings, with the store's password among them, and the service
/// manager's socket.
pub(super) fn withhold_ours(command: &mut std::process::Command) {
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name.to_str().is_some_and(table::is_own_variable)) {
        command.env_remove(name);
    }
    for name in systemd::VARIABLES {
        command.env_remove(name);
    }
}

async fn run_captured(
    program: &OsStr,
    args: &[&str],
    stdin: Option<Vec<u8>>,
    timeout: Option<Duration>,
    output: &Arc<Mutex<Captured>>,
) -> CommandEnd {
    let mut command = Command::new(program);
    // An empty input is a pipe that is closed at once, not /dev/null: a root that was made for one program may have no /dev.
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    withhold_ours(command.as_std_mut());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return CommandEnd::NotRun(error.to_string()),
    };
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let mut registered = Registered::new(group);
    let readers = [
        child.stdout.take().map(|pipe| tasks::spawn(capture(pipe, Arc::clone(output)))),
        child.stderr.take().map(|pipe| tasks::spawn(capture(pipe, Arc::clone(output)))),
    ];
    let finish = async {
        if let Some(mut pipe) = child.stdin.take() {
            // A command that does not read its input is no error of ours; its exit status decides.
            pipe.write_all(&stdin.unwrap_or_default()).await.ok();
        }
        child.wait().await
    };
    let waited = match timeout {
        Some(limit) => tokio::time::timeout(limit, finish).await.map_err(|_| limit),
        None => Ok(finish.await),
    };
    let end = match waited {
        Ok(Ok(status)) => ended(status),
        Ok(Err(error)) => CommandEnd::NotRun(format!("cannot wait for it: {error}")),
        Err(limit) => {
            if let Some(group) = group {
                killpg(group, Signal::SIGKILL).ok();
            }
            // Reaps it; bounded, because a process that is blocked in the kernel may not die at once.
            tokio::time::timeout(REAP_GRACE, child.wait()).await.ok();
            CommandEnd::TimedOut(limit)
        }
    };
    registered.has_ended = true;
    drop(registered);
    let deadline = tokio::time::Instant::now() + OUTPUT_GRACE;
    for reader in readers.into_iter().flatten() {
        let abort = reader.abort_handle();
        if tokio::time::timeout_at(deadline, reader).await.is_err() {
            abort.abort();
        }
    }
    end
}

fn ended(status: ExitStatus) -> CommandEnd {
    match (status.code(), status.signal()) {
        (Some(code), _) => CommandEnd::Exited(code),
        (None, Some(signal)) => CommandEnd::Signalled(signal),
        (None, None) => CommandEnd::NotRun(status.to_string()),
    }
}

/// The part of a command's output that is kept.
#[derive(Default)]
struct Captured {
    bytes: Vec<u8>,
    dropped: usize,
}

impl Captured {
    fn push(&mut self, chunk: &[u8]) {
        let room = MAX_OUTPUT_BYTES.saturating_sub(self.bytes.len()).min(chunk.len());
        self.bytes.extend_from_slice(&chunk[..room]);
        self.dropped += chunk.len() - room;
    }

    fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        if self.dropped > 0 {
            text.push_str(&format!("\n[{} more bytes of output]", self.dropped));
        }
        text
    }
}

async fn capture(mut pipe: impl AsyncRead + Unpin, output: Arc<Mutex<Captured>>) {
    let mut chunk = vec![0; 8 * 1024];
    loop {
        match pipe.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(length) => match output.lock() {
                Ok(mut captured) => captured.push(&chunk[..length]),
                Err(_) => return,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_now(text: &str, timeout: Duration) -> FinishedCommand {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run_shell(text, Some(timeout)))
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn status_and_output_come_back() {
        let finished = run_now("echo out; echo err >&2; exit 3", LONG);
        assert_eq!(finished.end, CommandEnd::Exited(3));
        assert!(finished.output.contains("out\n") && finished.output.contains("err\n"), "{}", finished.output);
        assert!(run_now("true", LONG).succeeded());
        assert_eq!(run_now("kill -TERM $$", LONG).end, CommandEnd::Signalled(15));
    }

    #[test]
    fn the_input_is_empty_and_nothing_below_dev() {
        let finished = run_now("readlink /proc/self/fd/0; cat; echo done", LONG);
        assert!(finished.output.starts_with("pipe:") && finished.output.ends_with("\ndone\n"), "{}", finished.output);
    }

    #[test]
    fn an_orphan_that_keeps_the_pipe_open_delays_nothing() {
        let finished = run_now("sleep 30 & echo $!", Duration::from_secs(10));
        assert_eq!(finished.end, CommandEnd::Exited(0), "not after ten seconds");
        let orphan = finished.output.trim();
        assert!(run_now(&format!("kill {orphan}"), LONG).succeeded(), "{orphan}");
    }

    #[test]
    fn a_timeout_kills_the_whole_group() {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("pid");
        let text = format!("sleep 1000 & echo $! > {}; wait", pid_file.display());
        let finished = run_now(&text, Duration::from_millis(300));
        assert_eq!(finished.end, CommandEnd::TimedOut(Duration::from_millis(300)));
        let pid = std::fs::read_to_string(pid_file).unwrap();
        let deadline = Instant::now() + LONG;
        loop {
            // Gone, or a zombie that its new parent has not reaped yet.
            let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                break;
            }
            assert!(Instant::now() < deadline, "the grandchild survived: {state}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_command_that_nobody_waits_for_any_more_is_killed() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (pid_file, text) = (dir.path().join("pid"), "echo $$ > pid.new; mv pid.new pid; exec sleep 1000");
        let text = format!("cd {}; {text}", dir.path().display());
        let task = runtime.spawn(async move { run_shell(&text, None).await });
        let deadline = Instant::now() + LONG;
        let until = |is_so: &dyn Fn() -> bool| {
            while !is_so() {
                assert!(Instant::now() < deadline, "{}", dir.path().display());
                runtime.block_on(async { tokio::time::sleep(Duration::from_millis(5)).await });
            }
        };
        until(&|| pid_file.exists());
        let pid = std::fs::read_to_string(&pid_file).unwrap();
        task.abort();
        until(&|| {
            let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            state.is_empty() || state.contains(") Z ")
        });
    }

    #[test]
    fn output_is_bounded() {
        let finished = run_now("head -c 1000000 /dev/zero | tr '\\0' x", LONG);
        assert!(finished.output.len() < MAX_OUTPUT_BYTES + 100);
        assert!(finished.output.ends_with("[934464 more bytes of output]"), "{}", &finished.output[65_500..]);
    }
}
