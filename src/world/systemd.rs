//! The way to the service manager (sd_notify(3)): sends what it is told to say, where there is one. Never decides what to
//! say, and never waits long for it to be heard.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::model::outward::ManagerNotice;

/// Variables by which a manager says where to send, and how often; not meant for the processes that we start.
pub const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// How long a manager may take to make room for a message: it must not hold up the agent.
const SEND_LIMIT: Duration = Duration::from_millis(500);

/// Whether a manager has asked to be notified.
pub fn is_listening() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Sends these in one message. Nothing happens where nobody has asked to be notified.
///
/// # Errors
/// The manager's socket did not take it within half a second.
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

/// How long the manager waits for a sign of life before it kills this process; `None` where it does not watch it.
pub fn watchdog_limit() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let is_for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    number("WATCHDOG_USEC").filter(|limit| is_for_us && *limit > 0).map(Duration::from_micros)
}
