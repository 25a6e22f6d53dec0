//! What the program does where it is PID 1, as in a container: it runs itself again as its child, hands signals on, reaps
//! everything that dies in this PID namespace, and ends as that child ends.
//!
//! A process of its own for this, because whoever waits for any child takes the exit statuses of check and reload commands
//! away from those who started them. Never reads the command line.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

use super::signals::HANDED_ON;

/// Whether this process has to look after orphans.
pub fn is_init() -> bool {
    getpid().as_raw() == 1
}

/// Lets signals through that whoever started us has blocked: `run` below does while it waits for them.
pub fn let_signals_through() {
    let signals: SigSet = HANDED_ON.iter().copied().collect();
    // Cannot fail for a set of ours; if it did, signals would stay as they are.
    signals.thread_unblock().ok();
}

/// The whole life of PID 1. Answers the exit status that its child ended with: 128 and the number where a signal ended it.
///
/// # Errors
/// The program could not be started again.
pub fn run(mut arguments: impl Iterator<Item = OsString>) -> Result<u8, String> {
    let mut awaited: SigSet = HANDED_ON.iter().copied().collect();
    awaited.add(Signal::SIGCHLD);
    // Before the child is there, so that no signal is lost: PID 1 does not even die of one that it does not handle.
    awaited.thread_block().map_err(|errno| format!("cannot block signals: {errno}"))?;
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let child = command.args(arguments).spawn().map_err(|error| format!("cannot run itself as a child: {error}"))?;
    let child = i32::try_from(child.id()).map(Pid::from_raw).map_err(|error| error.to_string())?;
    loop {
        match awaited.wait() {
            Ok(Signal::SIGCHLD) => {
                if let Some(status) = reap(child) {
                    return Ok(status);
                }
            }
            // A terminal sends it to the child as well: asked twice to stop is asked to stop.
            Ok(signal) => {
                kill(child, signal).ok();
            }
            Err(errno) => return Err(format!("cannot wait for signals: {errno}")),
        }
    }
}

/// Takes note of everything that has died. Answers the child's exit status once it is among them.
fn reap(child: Pid) -> Option<u8> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == child => {
                return Some(u8::try_from(status).unwrap_or(u8::MAX));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return Some(128 + u8::try_from(signal as i32).unwrap_or(127));
            }
            Ok(WaitStatus::StillAlive) => return None,
            Ok(_) | Err(Errno::EINTR) => {}
            // The child was ours until it was reaped above.
            Err(_) => return None,
        }
    }
}
