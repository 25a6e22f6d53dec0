//! The sockets of a DNS server, and the thread that serves them: datagrams, connections with limits, and the time. Never reads a
//! message; answers that come by themselves may be sent from any thread.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use listenfd::ListenFd;
use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, getsockopt, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{clock, host};
use crate::world::tasks;

/// Room for questions that arrive at once: a thousand upstreams ask in the same moment when nginx starts.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// Longest datagram that is read; the rest of a longer one is lost, so it is no question.
const DATAGRAM_BYTES: usize = 4096;
/// Longest message that is read from a connection: no question is longer.
const LONGEST_MESSAGE_BYTES: u16 = 4096;
/// Most connections at a time, if the process may have enough descriptors; the oldest makes room for a new one.
const MAX_CONNECTIONS: usize = 256;
/// Connections that wait to be accepted: what comes beyond them tries again only after a second.
const BACKLOG: i32 = 4096;
/// Time limit for a question on a connection, and for its answer.
const CONNECTION_LIMIT: Duration = Duration::from_secs(5);
/// Datagrams that one asker gets without a pause: its buffer is small, and what does not fit is lost.
const BURST: u32 = 100;
/// The pause after that.
const BURST_PAUSE: Duration = Duration::from_millis(1);
/// Pause after a failed accept, and after a read that fails again: without a free descriptor or memory, an immediate retry would only
/// spin.
const FAILURE_PAUSE: Duration = Duration::from_millis(50);

/// Attempts to find a port that is free for both, if any port will do.
const ANY_PORT_ATTEMPTS: u32 = 20;

/// Longest pause between two attempts to listen at an address that is taken.
pub const LONGEST_LISTEN_PAUSE: Duration = Duration::from_secs(30);

/// The reply to a message on a connection.
#[derive(Debug)]
pub enum MessageReply {
    /// This one.
    Now(Vec<u8>),
    /// The one that comes from here; the connection ends if none comes.
    Later(oneshot::Receiver<Vec<u8>>),
    /// None: the connection ends.
    Close,
}

/// A source of answers.
pub trait Respond: Send + Sync + 'static {
    /// Returns the reply to a datagram that this socket got, if there is one by now; it `waited` that long until it was read.
    fn datagram(&self, socket: usize, from: SocketAddr, bytes: &[u8], waited: Duration) -> Option<Vec<u8>>;
    /// Returns the reply to a message on a connection to the address of this socket.
    fn message(&self, socket: usize, from: SocketAddr, bytes: &[u8]) -> MessageReply;
    /// Returns whether its askers drop datagrams that arrive in a burst.
    fn is_for_slow_askers(&self) -> bool {
        true
    }
    /// Sends what is due, all of it or some: then `wake_at` says so.
    fn tick(&self);
    /// Returns when something is due.
    fn wake_at(&self) -> Option<Instant>;
}

/// The bound sockets, one pair for each address.
#[derive(Debug)]
pub struct DnsListener {
    sockets: Arc<Vec<std::net::UdpSocket>>,
    listeners: Vec<std::net::TcpListener>,
    addresses: Vec<SocketAddr>,
    woken: Arc<Notify>,
}

/// Sends datagrams from the sockets of a listener.
#[derive(Clone, Debug)]
pub struct DatagramSender {
    sockets: Arc<Vec<std::net::UdpSocket>>,
    woken: Arc<Notify>,
}

impl DatagramSender {
    /// Sends a datagram. One that cannot be sent at once is lost, as datagrams may be: the asker repeats its question.
    pub fn send(&self, socket: usize, to: SocketAddr, bytes: &[u8]) {
        if let Some(socket) = self.sockets.get(socket) {
            socket.send_to(bytes, to).ok();
        }
    }

    /// Lets the thread ask again when something is due.
    pub fn wake(&self) {
        self.woken.notify_one();
    }
}

/// Sockets that are open: at first those that systemd has opened for us.
#[derive(Debug, Default)]
struct OpenSockets {
    sockets: Vec<std::net::UdpSocket>,
    listeners: Vec<std::net::TcpListener>,
}

static PASSED: Mutex<OpenSockets> = Mutex::new(OpenSockets { sockets: Vec::new(), listeners: Vec::new() });

/// Takes over the sockets that systemd has opened for us (`LISTEN_FDS`), so that no process that we start gets them. Called once, at
/// the start; listeners use them.
pub fn take_passed() {
    let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut manager = ListenFd::from_env();
    for index in 0..manager.len() {
        match manager.take_udp_socket(index) {
            Ok(socket) => passed.sockets.extend(socket),
            Err(_) => passed.listeners.extend(manager.take_tcp_listener(index).ok().flatten()),
        }
    }
}

impl OpenSockets {
    /// Removes and returns the sockets at this address.
    fn take(&mut self, address: SocketAddr) -> (Option<std::net::UdpSocket>, Option<std::net::TcpListener>) {
        let is_there = |bound: io::Result<SocketAddr>| bound.is_ok_and(|bound| bound == address);
        let socket = self.sockets.iter().position(|socket| is_there(socket.local_addr()));
        let listener = self.listeners.iter().position(|listener| is_there(listener.local_addr()));
        (socket.map(|index| self.sockets.remove(index)), listener.map(|index| self.listeners.remove(index)))
    }

    /// Adds sockets at this address, those of `passed` if it has them. Port 0 stands for any port that is free for both.
    fn add(&mut self, address: SocketAddr, passed: &mut OpenSockets) -> io::Result<()> {
        let attempts = if address.port() == 0 { ANY_PORT_ATTEMPTS } else { 0 };
        let any = (0..attempts).find_map(|_| bind_both(address, (None, None)).ok());
        let (socket, listener) = any.map_or_else(|| bind_both(address, passed.take(address)), Ok)?;
        self.sockets.push(socket);
        self.listeners.push(listener);
        Ok(())
    }
}

/// Returns these sockets; binds the one that is missing. TCP gets the port that UDP has.
fn bind_both(
    address: SocketAddr,
    (socket, listener): (Option<std::net::UdpSocket>, Option<std::net::TcpListener>),
) -> io::Result<(std::net::UdpSocket, std::net::TcpListener)> {
    let socket = socket.map_or_else(|| std::net::UdpSocket::bind(address), Ok)?;
    let at = socket.local_addr()?;
    Ok((socket, listener.map_or_else(|| std::net::TcpListener::bind(at), Ok)?))
}

impl DnsListener {
    /// Binds UDP and TCP at each of these addresses. If systemd has passed sockets for UDP that no other listener has taken, uses all of
    /// these instead.
    ///
    /// # Errors
    /// An address is taken, is not of this machine, or its port needs a privilege; with the address.
    pub fn bind(addresses: &[SocketAddr]) -> Result<DnsListener, (SocketAddr, io::Error)> {
        let mut passed = std::mem::take(&mut *PASSED.lock().unwrap_or_else(PoisonError::into_inner));
        if passed.sockets.is_empty() {
            for address in addresses {
                passed.add(*address, &mut OpenSockets::default()).map_err(|error| (*address, error))?;
            }
        }
        DnsListener::at(passed)
    }

    /// Binds UDP and TCP at each of these addresses, or takes the sockets that systemd has passed for it. Leaves all others that it has
    /// passed.
    ///
    /// # Errors
    /// As [`DnsListener::bind`].
    pub fn bind_only(addresses: &[SocketAddr]) -> Result<DnsListener, (SocketAddr, io::Error)> {
        let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
        let mut own = OpenSockets::default();
        for address in addresses {
            own.add(*address, &mut passed).map_err(|error| (*address, error))?;
        }
        DnsListener::at(own)
    }

    fn at(OpenSockets { sockets, listeners }: OpenSockets) -> Result<DnsListener, (SocketAddr, io::Error)> {
        let mut bound = Vec::new();
        let unknown = |error| (SocketAddr::from(([0, 0, 0, 0], 0)), error);
        for socket in &sockets {
            bound.push(socket.local_addr().map_err(unknown)?);
            socket.set_nonblocking(true).map_err(unknown)?;
            // A socket of systemd keeps what arrives while nobody runs. Without its time, a question counts as new.
            setsockopt(socket, sockopt::ReceiveTimestampns, &true).ok();
            make_room(socket);
        }
        for listener in &listeners {
            listener.set_nonblocking(true).map_err(unknown)?;
            rustix::net::listen(listener, BACKLOG).map_err(|error| unknown(error.into()))?;
        }
        Ok(DnsListener { sockets: Arc::new(sockets), listeners, addresses: bound, woken: Arc::new(Notify::new()) })
    }

    /// Returns the addresses.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns a sender.
    pub fn sender(&self) -> DatagramSender {
        DatagramSender { sockets: Arc::clone(&self.sockets), woken: Arc::clone(&self.woken) }
    }

    /// Serves on a thread of its own for as long as the process runs.
    ///
    /// # Errors
    /// The system has no further thread.
    pub fn serve(self, responder: Arc<dyn Respond>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("dns".to_owned());
        thread.spawn(move || runtime.block_on(serve(self, responder)))?;
        Ok(())
    }
}

async fn serve(listener: DnsListener, responder: Arc<dyn Respond>) {
    let mut tasks = JoinSet::new();
    let sender = listener.sender();
    for (index, socket) in listener.sockets.iter().enumerate() {
        let socket = socket.try_clone().and_then(UdpSocket::from_std);
        match (socket, listener.addresses.get(index)) {
            (Ok(socket), Some(address)) => {
                tasks.spawn(receive(socket, index, address.ip(), Arc::clone(&responder), sender.clone()));
            }
            (Err(error), _) => tracing::error!("cannot read questions from a socket: {error}"),
            (Ok(_), None) => {}
        }
    }
    for socket in listener.listeners {
        // systemd may have passed them in another order than those for datagrams.
        let own = socket.local_addr().ok();
        let index = listener.addresses.iter().position(|address| Some(*address) == own).unwrap_or(usize::MAX);
        match TcpListener::from_std(socket) {
            Ok(socket) => {
                tasks.spawn(accept(socket, index, Arc::clone(&responder)));
            }
            Err(error) => tracing::error!("cannot accept connections with questions: {error}"),
        }
    }
    loop {
        tokio::select! {
            () = clock::sleep_until(responder.wake_at()) => responder.tick(),
            () = listener.woken.notified() => {}
        }
    }
}

/// Makes room for what arrives, unless systemd has made enough: more than the kernel's usual limit needs CAP_NET_ADMIN, and trying without
/// it would take room away.
fn make_room(socket: &std::net::UdpSocket) {
    let has_room = getsockopt(socket, sockopt::RcvBuf).is_ok_and(|bytes| bytes >= RECEIVE_BUFFER_BYTES);
    if !has_room && setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).is_err() {
        setsockopt(socket, sockopt::RcvBuf, &RECEIVE_BUFFER_BYTES).ok();
    }
}

/// Returns whether a listener at this address is meant for somebody at that one.
fn is_meant_for(listener: IpAddr, asker: IpAddr) -> bool {
    !listener.is_loopback() || asker.is_loopback()
}

/// Reads a datagram. Returns its length, its sender, and for how long it has waited. `control` is room for what the kernel adds.
fn read(socket: &UdpSocket, buffer: &mut [u8], control: &mut [u8]) -> io::Result<(usize, SocketAddr, Duration)> {
    socket.try_io(Interest::READABLE, || {
        let mut parts = [IoSliceMut::new(buffer)];
        let received = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(control), MsgFlags::empty())?;
        let from = received.address.as_ref().and_then(|from| {
            let v4 = from.as_sockaddr_in().map(|from| SocketAddr::from(*from));
            v4.or_else(|| from.as_sockaddr_in6().map(|from| SocketAddr::from(*from)))
        });
        let arrived = received.cmsgs()?.find_map(|added| match added {
            ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
            _ => None,
        });
        let waited = arrived.map_or(Duration::ZERO, |at| clock::unix_time().saturating_sub(at));
        Ok((received.bytes, from.ok_or(io::ErrorKind::InvalidData)?, waited))
    })
}

async fn receive(socket: UdpSocket, index: usize, own: IpAddr, responder: Arc<dyn Respond>, sender: DatagramSender) {
    let (mut buffer, mut control) = (vec![0; DATAGRAM_BYTES], cmsg_space!(TimeSpec));
    let mut burst: (Option<SocketAddr>, u32) = (None, 0);
    let mut without_rest = 0;
    let mut has_failed = false;
    loop {
        let received = match read(&socket, &mut buffer, &mut control) {
            Ok(received) => {
                has_failed = false;
                received
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                (burst, without_rest, has_failed) = ((None, 0), 0, false);
                socket.readable().await.ok();
                continue;
            }
            Err(_) if std::mem::replace(&mut has_failed, true) => {
                tokio::time::sleep(FAILURE_PAUSE).await;
                continue;
            }
            // An answer found nobody there; the kernel says so with the next read.
            Err(_) => {
                tokio::task::yield_now().await;
                continue;
            }
        };
        without_rest += 1;
        if without_rest >= BURST {
            // Connections, and what is due, have their turn however many ask here.
            without_rest = 0;
            tokio::task::yield_now().await;
        }
        let (length, from, waited) = received;
        let bytes = buffer.get(..length).unwrap_or_default();
        if !is_meant_for(own, from.ip()) {
            continue;
        }
        let Some(reply) = responder.datagram(index, from, bytes, waited) else {
            sender.wake();
            continue;
        };
        sender.send(index, from, &reply);
        burst = if burst.0 == Some(from) { (burst.0, burst.1 + 1) } else { (Some(from), 1) };
        if burst.1 >= BURST {
            burst = (None, 0);
            match responder.is_for_slow_askers() {
                true => tokio::time::sleep(BURST_PAUSE).await,
                false => tokio::task::yield_now().await,
            }
        }
    }
}

async fn accept(listener: TcpListener, index: usize, responder: Arc<dyn Respond>) {
    let own = listener.local_addr().map(|address| address.ip());
    let mut connections = std::collections::VecDeque::new();
    let room = host::descriptor_share(MAX_CONNECTIONS);
    loop {
        match listener.accept().await {
            Ok((_, from)) if own.as_ref().is_ok_and(|own| !is_meant_for(*own, from.ip())) => {}
            Ok((connection, from)) => {
                connections.retain(|running: &tokio::task::AbortHandle| !running.is_finished());
                while connections.len() >= room {
                    if let Some(oldest) = connections.pop_front() {
                        oldest.abort();
                    }
                }
                let responder = Arc::clone(&responder);
                connections.push_back(tasks::spawn(converse(connection, (index, from), responder)).abort_handle());
            }
            Err(_) => tokio::time::sleep(FAILURE_PAUSE).await,
        }
    }
}

/// Answers the messages of one connection, each within its time.
async fn converse(mut connection: TcpStream, (index, from): (usize, SocketAddr), responder: Arc<dyn Respond>) {
    loop {
        let exchange = async {
            let length = connection.read_u16().await?;
            if length > LONGEST_MESSAGE_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut bytes = vec![0; usize::from(length)];
            connection.read_exact(&mut bytes).await?;
            let reply = match responder.message(index, from, &bytes) {
                MessageReply::Now(reply) => reply,
                MessageReply::Later(reply) => reply.await.map_err(|_| io::ErrorKind::InvalidData)?,
                MessageReply::Close => return Err(io::ErrorKind::InvalidData.into()),
            };
            let length = u16::try_from(reply.len()).map_err(|_| io::ErrorKind::InvalidData)?;
            connection.write_all(&[&length.to_be_bytes(), reply.as_slice()].concat()).await
        };
        if !matches!(timeout(CONNECTION_LIMIT, exchange).await, Ok(Ok(()))) {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
