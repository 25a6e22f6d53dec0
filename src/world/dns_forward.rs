//! Passes questions on to other name servers, and their replies back. Bounded: so many at a time, so long each. Never reads more of a
//! message than its header, and never makes one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::random;
use crate::world::tasks;

/// Most questions under way.
const MAX_IN_FLIGHT: usize = 256;
/// Most servers that are asked for one question.
const MAX_SERVERS: usize = 3;
/// Time limit for one server: three of them answer within the five seconds that clients wait.
const SERVER_LIMIT: Duration = Duration::from_millis(1500);
/// Longest datagram that is taken; the number of bytes that clients ask for at most.
const DATAGRAM_BYTES: usize = 4096;
/// Port of the name servers of resolv.conf.
const PORT: u16 = 53;

/// Reports whether a message is the reply to a question.
pub type IsReply = fn(reply: &[u8], question: &[u8]) -> bool;

/// The name servers to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardServers {
    /// These.
    These(Vec<SocketAddr>),
    /// Those of this resolv.conf, which is read for each question.
    OfFile(PathBuf),
}

/// The way of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardWay {
    /// Datagrams.
    Udp,
    /// A connection.
    Tcp,
}

/// Passes questions on.
#[derive(Debug)]
pub struct Forwarder {
    servers: ForwardServers,
    /// Our own addresses, which are never asked: a question would go round.
    own: Vec<SocketAddr>,
    is_reply: IsReply,
    in_flight: Arc<Semaphore>,
}

impl Forwarder {
    /// Returns a forwarder to these servers, except `own`.
    pub fn new(servers: ForwardServers, own: Vec<SocketAddr>, is_reply: IsReply) -> Forwarder {
        Forwarder { servers, own, is_reply, in_flight: Arc::new(Semaphore::new(MAX_IN_FLIGHT)) }
    }

    /// Asks the servers, one after the other until one knows, on the runtime of the caller; then calls `done` with the last reply, if
    /// there is one. If too many questions are under way, there is none.
    pub fn start(&self, question: Vec<u8>, way: ForwardWay, done: impl FnOnce(Option<Vec<u8>>) + Send + 'static) {
        let id = question.get(..2).and_then(|id| <[u8; 2]>::try_from(id).ok());
        let permit = Arc::clone(&self.in_flight).try_acquire_owned();
        let (Ok(permit), Some(id)) = (permit, id) else { return done(None) };
        let servers = self.servers();
        let is_reply = self.is_reply;
        tasks::spawn(async move {
            let mut reply = None;
            for server in servers {
                // A number of our own: a stranger who wants to answer first has to guess it, and the port.
                let mut asked = question.clone();
                let number = (random::fraction() * f64::from(u16::MAX)) as u16;
                asked.splice(..2, number.to_be_bytes());
                let exchange = async {
                    match way {
                        ForwardWay::Udp => over_udp(server, &asked, is_reply).await,
                        ForwardWay::Tcp => over_tcp(server, &asked, is_reply).await,
                    }
                };
                if let Ok(Ok(mut bytes)) = timeout(SERVER_LIMIT, exchange).await {
                    bytes.splice(..2, id);
                    let is_final = !says_nothing(&bytes);
                    reply = Some(bytes);
                    if is_final {
                        break;
                    }
                }
            }
            drop(permit);
            done(reply);
        });
    }

    fn servers(&self) -> Vec<SocketAddr> {
        let mut servers = match &self.servers {
            ForwardServers::These(servers) => servers.clone(),
            ForwardServers::OfFile(path) => of_resolv_conf(&std::fs::read_to_string(path).unwrap_or_default()),
        };
        servers.retain(|server| !self.own.contains(server));
        servers.truncate(MAX_SERVERS);
        servers
    }
}

/// Returns whether a server has not answered the question: SERVFAIL, NOTIMP or REFUSED (RFC 1035, 4.1.1). Another one may know.
fn says_nothing(reply: &[u8]) -> bool {
    reply.get(3).is_some_and(|flags| matches!(flags & 0x0f, 2 | 4 | 5))
}

/// Returns the name servers that a resolv.conf names.
fn of_resolv_conf(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let address: IpAddr = words.next().filter(|word| *word == "nameserver").and(words.next())?.parse().ok()?;
        Some(SocketAddr::new(address, PORT))
    };
    text.lines().filter_map(server).collect()
}

async fn over_udp(server: SocketAddr, question: &[u8], is_reply: IsReply) -> std::io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // The kernel chooses a port that is hard to guess; only datagrams of the server arrive.
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; DATAGRAM_BYTES + 1];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let reply = buffer.get(..length).unwrap_or_default();
        if length <= DATAGRAM_BYTES && is_reply(reply, question) {
            return Ok(reply.to_vec());
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &[u8], is_reply: IsReply) -> std::io::Result<Vec<u8>> {
    let mut connection = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(|_| std::io::ErrorKind::InvalidInput)?;
    connection.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let mut reply = vec![0; usize::from(connection.read_u16().await?)];
    connection.read_exact(&mut reply).await?;
    if is_reply(&reply, question) { Ok(reply) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_those_of_resolv_conf() {
        let text = "# nameserver 10.0.0.9\nsearch a.b\nnameserver 10.0.0.1\n nameserver\t2001:db8::1 # x\nnameserver x\nnameserver\n";
        let expected: Vec<SocketAddr> = ["10.0.0.1:53", "[2001:db8::1]:53"].map(|text| text.parse().unwrap()).into();
        assert_eq!(of_resolv_conf(text), expected);
    }
}
