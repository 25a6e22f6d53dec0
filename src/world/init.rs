//! The program as PID 1, for example in a container: it runs itself again as its child, passes signals on, reaps everything
//! that dies in this PID namespace, and ends as that child ends.
//!
//! This needs a process of its own, because waiting for any child would take the exit statuses of check and reload commands
//! from the code that started them. Never interprets the command line.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

use super::signals::HANDED_ON;

/// Returns whether this process must reap orphans.
pub fn is_init() -> bool {
    getpid().as_raw() == 1
}

/// Blocks the signals that end us: until `let_signals_through` they wait, so that one of the first moment ends us as any other does.
/// No thread and no child may start in between, because both inherit the block.
pub fn hold_signals() {
    let signals: SigSet = HANDED_ON.iter().copied().collect();
    // Cannot fail for a valid set.
    signals.thread_block().ok();
}

/// Unblocks the signals that `hold_signals` or our parent has blocked: `run` below blocks them while it waits for them.
pub fn let_signals_through() {
    let signals: SigSet = HANDED_ON.iter().copied().collect();
    // Cannot fail for a valid set; if it did, signals would stay as they are.
    signals.thread_unblock().ok();
}

/// Runs as PID 1. Returns the exit status of its child: 128 plus the signal number if a signal ended it.
///
/// # Errors
/// The program could not be started as the child.
pub fn run(mut arguments: impl Iterator<Item = OsString>) -> Result<u8, String> {
    let mut awaited: SigSet = HANDED_ON.iter().copied().collect();
    awaited.add(Signal::SIGCHLD);
    // Before the child starts, so that no signal is lost: PID 1 does not even die of one that it does not handle.
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
            // A terminal also sends it to the child: a second request to stop does no harm.
            Ok(signal) => {
                kill(child, signal).ok();
            }
            Err(errno) => return Err(format!("cannot wait for signals: {errno}")),
        }
    }
}

/// Reaps everything that has died. Returns the child's exit status once the child is among it.
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
            // There is always a child until it is reaped above.
            Err(_) => return None,
        }
    }
}
