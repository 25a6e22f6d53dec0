//! Notifies the service manager (sd_notify(3)), if there is one. Never decides what to send, and never waits long for the
//! manager to receive it.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::model::outward::ManagerNotice;

/// Variables with the manager's socket, its watchdog interval and the sockets that it passes; not meant for the processes that we
/// start.
pub const VARIABLES: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// Time that a manager may take to make room for a message: it must not delay the agent.
const SEND_LIMIT: Duration = Duration::from_millis(500);

/// Returns whether a manager has asked for notifications.
pub fn is_listening() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Sends these notices in one message. Does nothing if no manager has asked for notifications.
///
/// # Errors
/// The manager's socket did not accept the message within half a second.
pub fn notify(notices: &[ManagerNotice]) -> io::Result<()> {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|_| !notices.is_empty()) else { return Ok(()) };
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(&socket)?,
    };
    let sender = UnixDatagram::unbound()?;
    sender.set_write_timeout(Some(SEND_LIMIT))?;
    sender.send_to_addr(text(notices).as_bytes(), &address)?;
    Ok(())
}

fn text(notices: &[ManagerNotice]) -> String {
    let line = |notice: &ManagerNotice| match notice {
        ManagerNotice::Ready => "READY=1\n".to_owned(),
        ManagerNotice::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={}\n", monotonic_microseconds()),
        ManagerNotice::Stopping => "STOPPING=1\n".to_owned(),
        ManagerNotice::Status(text) => format!("STATUS={text}\n"),
        ManagerNotice::Watchdog => "WATCHDOG=1\n".to_owned(),
    };
    notices.iter().map(line).collect()
}

fn monotonic_microseconds() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

/// Returns the time after which the manager kills this process without a sign of life; `None` if there is no watchdog.
pub fn watchdog_limit() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let is_for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    number("WATCHDOG_USEC").filter(|limit| is_for_us && *limit > 0).map(Duration::from_micros)
}
