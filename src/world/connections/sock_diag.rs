//! Asks the kernel for the TCP sockets to some addresses, in the network namespace of this process: a dump of `NETLINK_SOCK_DIAG`,
//! sock_diag(7), with a program that makes the kernel leave out all other sockets; and for the owner of one socket. Only looks.
//!
//! What costs is that the kernel goes through its whole table of connections, however few there are. So the older request is sent, which
//! is about IPv4 and IPv6 at once.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

use super::{Socket, Transport};

/// Time limit for a part of an answer, which the kernel has at once.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Largest part of an answer, in bytes: the kernel makes none that is larger.
const PART_BYTES: usize = 32 << 10;
/// Most parts of an answer: some 700,000 sockets.
const MAX_PARTS: usize = 2048;
/// Most addresses in a program; for more the kernel lists all sockets, and the choice is made here.
const MAX_PROGRAM_ADDRESSES: usize = 64;

const ANY_FAMILY: u8 = 0;
const IPV4: u8 = 2;
const IPV6: u8 = 10;

/// Types of messages.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// `TCPDIAG_GETSOCK`.
const TCP_SOCKETS: u16 = 18;
/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// `TCP_ESTABLISHED`.
const ESTABLISHED: u8 = 1;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 0x1;
/// `NLM_F_REQUEST` and `NLM_F_DUMP`.
const DUMP_REQUEST: u16 = 0x301;
/// All states but those without an owner, `TIME_WAIT`, and without an other end, `LISTEN`.
const STATES: u32 = 0xfff & !(1 << 6) & !(1 << 10);
/// Type of the attribute that has the program.
const PROGRAM: u16 = 1;
/// Operations of the program: go elsewhere, and compare the address at the other end.
const JUMP: u8 = 1;
const COMPARE: u8 = 8;

const HEADER_BYTES: usize = 16;
const OPERATION_BYTES: usize = 4;
const SOCKET_BYTES: usize = 72;

/// Returns the TCP sockets to these addresses.
///
/// # Errors
/// The kernel has no such list, or a filter of system calls forbids it.
pub(super) fn tcp_sockets_to(remotes: &BTreeSet<SocketAddr>) -> io::Result<Vec<Socket>> {
    let mut found = Vec::new();
    let mut part = vec![0; PART_BYTES];
    let socket = ask(&request(remotes))?;
    for parts in 0.. {
        let (_, length) = recv(&socket, part.as_mut_slice(), RecvFlags::TRUNC)?;
        let messages = part.get(..length).filter(|_| parts < MAX_PARTS).ok_or(io::ErrorKind::FileTooLarge)?;
        if read_part(messages, remotes, &mut found)? {
            break;
        }
    }
    Ok(found)
}

/// Returns the user id of the socket at `local`, of those there the one that gets what `remote` sends.
///
/// # Errors
/// There is no such socket, the kernel cannot say, or a filter of system calls forbids it. Of one that was closed the kernel forgets the
/// user, so there is none.
pub(super) fn user_of_socket(transport: Transport, local: SocketAddr, remote: SocketAddr) -> io::Result<u32> {
    let family = if local.is_ipv4() { IPV4 } else { IPV6 };
    let (protocol, one, other) = match transport {
        Transport::Tcp => (6, local, remote),
        // For UDP the kernel takes the other end for the socket's own.
        Transport::Udp => (17, remote, local),
    };
    let mut body = vec![family, protocol, 0, 0];
    body.extend(u32::MAX.to_ne_bytes());
    body.extend([one.port().to_be_bytes(), other.port().to_be_bytes()].concat());
    body.extend([padded(one.ip()), padded(other.ip())].concat());
    // Any interface, and no cookie.
    body.extend([0; 4]);
    body.extend([u8::MAX; 8]);
    let socket = ask(&message(BY_FAMILY, REQUEST, &body))?;
    let mut part = [0; 1024];
    let (length, _) = recv(&socket, part.as_mut_slice(), RecvFlags::empty())?;
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    let body = part.get(HEADER_BYTES..length).ok_or_else(malformed)?;
    if u16::from_ne_bytes([part[4], part[5]]) == ERROR {
        return Err(io::Error::from_raw_os_error(error_code(body).ok_or_else(malformed)?));
    }
    let is_its = body.get(4..6) == Some(&local.port().to_be_bytes());
    if transport == Transport::Tcp && body.get(1) != Some(&ESTABLISHED) {
        return Err(io::ErrorKind::NotFound.into());
    }
    number(body, 64).filter(|_| is_its && body.len() >= SOCKET_BYTES).ok_or_else(malformed)
}

/// Returns an address in the room that the kernel has for any.
fn padded(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&ip.octets());
            bytes
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// Sends a request to the kernel. Returns the socket, from which the answer can be read.
fn ask(request: &[u8]) -> io::Result<OwnedFd> {
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(TIMEOUT))?;
    send(&socket, request, SendFlags::empty())?;
    Ok(socket)
}

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut message = u32::try_from(HEADER_BYTES + body.len()).unwrap_or(u32::MAX).to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// Returns the number of the error in a `struct nlmsgerr`, which begins with it, negated.
fn error_code(body: &[u8]) -> Option<i32> {
    Some(number(body, 0)?.cast_signed().wrapping_neg())
}

fn request(remotes: &BTreeSet<SocketAddr>) -> Vec<u8> {
    // The socket's own addresses, of which any will do, take 48 bytes.
    let mut body = vec![ANY_FAMILY, 0, 0, 0];
    body.extend([0; 48]);
    body.extend(STATES.to_ne_bytes());
    body.extend([0; 4]);
    let program = if remotes.len() <= MAX_PROGRAM_ADDRESSES { program(remotes) } else { Vec::new() };
    if !program.is_empty() {
        body.extend(short(4 + program.len()));
        body.extend(PROGRAM.to_ne_bytes());
        body.extend(program);
    }
    message(TCP_SOCKETS, DUMP_REQUEST, &body)
}

/// Returns a program that ends at its very end if a socket goes to one of the addresses, and beyond otherwise. Of each operation the
/// first number says how far to go on if the answer is yes, and the second how far if it is no.
fn program(remotes: &BTreeSet<SocketAddr>) -> Vec<u8> {
    let mut program: Vec<u8> = Vec::new();
    for remote in remotes.iter().rev() {
        let (family, bits, address) = match remote.ip() {
            IpAddr::V4(ip) => (IPV4, 32, ip.octets().to_vec()),
            IpAddr::V6(ip) => (IPV6, 128, ip.octets().to_vec()),
        };
        let rest = program;
        let length = OPERATION_BYTES + 8 + address.len();
        program = vec![COMPARE, u8::try_from(length).unwrap_or(u8::MAX)];
        program.extend(short(length + OPERATION_BYTES));
        program.extend([family, bits, 0, 0]);
        program.extend(u32::from(remote.port()).to_ne_bytes());
        program.extend(address);
        if !rest.is_empty() {
            // This one fits: past all the others.
            program.extend([JUMP, 4]);
            program.extend(short(OPERATION_BYTES + rest.len()));
        }
        program.extend(rest);
    }
    program
}

fn short(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes()
}

/// Reads the messages of one part of an answer. Returns whether it is the last.
fn read_part(mut messages: &[u8], remotes: &BTreeSet<SocketAddr>, found: &mut Vec<Socket>) -> io::Result<bool> {
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    while !messages.is_empty() {
        let length = number(messages, 0).and_then(|length| usize::try_from(length).ok()).ok_or_else(malformed)?;
        let message = messages.get(..length).filter(|_| length >= HEADER_BYTES).ok_or_else(malformed)?;
        let (kind, body) = (u16::from_ne_bytes([message[4], message[5]]), &message[HEADER_BYTES..]);
        match kind {
            DONE => return Ok(true),
            ERROR => return Err(io::Error::from_raw_os_error(error_code(body).ok_or_else(malformed)?)),
            _ => {
                let socket = read_socket(body).ok_or_else(malformed)?;
                found.extend(Some(socket).filter(|socket| socket.inode != 0 && remotes.contains(&socket.remote)));
            }
        }
        messages = messages.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// Reads a `struct inet_diag_msg`.
fn read_socket(body: &[u8]) -> Option<Socket> {
    let body: &[u8; SOCKET_BYTES] = body.get(..SOCKET_BYTES)?.try_into().ok()?;
    let port = u16::from_be_bytes([body[6], body[7]]);
    let address: [u8; 16] = body[24..40].try_into().ok()?;
    let ip = match body[0] {
        IPV4 => IpAddr::V4(Ipv4Addr::new(address[0], address[1], address[2], address[3])),
        IPV6 => IpAddr::V6(Ipv6Addr::from(address)).to_canonical(),
        _ => return None,
    };
    Some(Socket { inode: number(body, 68)?.into(), remote: SocketAddr::new(ip, port) })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn the_kernel_lists_the_sockets_to_each_of_some_addresses() {
        let listeners: Vec<TcpListener> = ["127.0.0.1:0", "127.0.0.2:0", "127.0.0.1:0", "[::1]:0", "[::]:0"]
            .iter()
            .filter_map(|address| TcpListener::bind(address).ok())
            .collect();
        let addresses: Vec<SocketAddr> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        let streams: Vec<TcpStream> = addresses.iter().filter_map(|address| TcpStream::connect(address).ok()).collect();
        assert_eq!(streams.len(), addresses.len());
        let check = |remotes: BTreeSet<SocketAddr>, expected: &[SocketAddr]| {
            let found = tcp_sockets_to(&remotes).unwrap();
            let found: BTreeSet<SocketAddr> = found.iter().map(|socket| socket.remote).collect();
            assert_eq!(found, expected.iter().copied().collect(), "{remotes:?}");
        };
        let peers: Vec<SocketAddr> = streams.iter().map(|stream| stream.peer_addr().unwrap()).collect();
        check(BTreeSet::new(), &[]);
        for peer in &peers {
            check([*peer].into(), &[*peer]);
        }
        check(peers.iter().copied().collect(), &peers);
        // The right address with another port, and the other way round.
        let other = |ip: &str, port: u16| SocketAddr::new(ip.parse().unwrap(), port);
        check([other("127.0.0.1", peers[1].port()), other("127.0.0.2", peers[0].port())].into(), &[]);
        // As many as a program takes, and one more.
        for count in [MAX_PROGRAM_ADDRESSES, MAX_PROGRAM_ADDRESSES + 1] {
            let many = (1..).map(|port| other("192.0.2.1", port)).take(count - 2);
            check(many.chain([peers[0], peers[3]]).collect(), &[peers[0], peers[3]]);
        }
    }

    #[test]
    fn a_malformed_answer_is_an_error() {
        let remotes = BTreeSet::new();
        for (part, expected) in [
            (&[][..], Some(false)),
            (&[1, 2, 3], None),
            (&[0; 16], None),
            (&[255; 16], None),
            (&[16, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], None),
        ] {
            let is_last = read_part(part, &remotes, &mut Vec::new()).ok();
            assert_eq!(is_last, expected, "{part:?}");
        }
        let mut done = vec![0; 20];
        (done[0], done[4]) = (20, 3);
        if cfg!(target_endian = "little") {
            assert_eq!(read_part(&done, &remotes, &mut Vec::new()).ok(), Some(true));
            done[4] = 2;
            done[16..].copy_from_slice(&(-95_i32).to_ne_bytes());
            let error = read_part(&done, &remotes, &mut Vec::new()).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(95));
        }
    }
}
