//! A connection of a process to a backend, as the kernel lists it. Data only.

use std::net::SocketAddr;

use super::process::Process;

/// One end of a TCP connection, or a UDP socket that was connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BackendConnection {
    /// The process that has it; `None` if the kernel does not show whose it is.
    pub owner: Option<Process>,
    /// Address at the other end, IPv4 also if the socket is of IPv6.
    pub remote: SocketAddr,
}
