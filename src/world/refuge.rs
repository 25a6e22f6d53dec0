//! The peer of an upstream that has none on purpose: it answers every HTTP request with 503, and closes any other connection. Never
//! reads more than the beginning of a request.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::model::backoff::Backoff;

use super::dns_listener::LONGEST_LISTEN_PAUSE;
use super::{random, tasks};

/// Its port: below 1024, so that no other user takes it while the agent is away.
const PORT: u16 = 503;
/// Time limit for a request to begin, and for its client to read the answer.
const LIMIT: Duration = Duration::from_secs(1);
/// Most connections at a time; others wait.
const MAX_CONNECTIONS: usize = 256;
/// Pause after a failed accept: without a free descriptor, an immediate retry would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const ANSWER: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 24\r\nRetry-After: 5\r\n\
                      Connection: close\r\n\r\nno backend is available\n";

/// Starts to answer at this address, as soon as it can be had: until then nobody answers there, and nginx says 502. `missing` takes the
/// reason, if it cannot be had at once. Returns the socket address.
pub fn start(address: IpAddr, missing: impl FnOnce(SocketAddr, &io::Error)) -> SocketAddr {
    let address = SocketAddr::from((address, PORT));
    start_at(address, missing);
    address
}

fn start_at(address: SocketAddr, missing: impl FnOnce(SocketAddr, &io::Error)) {
    match bind(address) {
        Ok(listener) => drop(tasks::spawn(serve(listener))),
        Err(error) => {
            missing(address, &error);
            tasks::spawn(serve_later(address));
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Tries again and again to get the address, and serves then.
async fn serve_later(address: SocketAddr) {
    let mut backoff = Backoff::up_to(LONGEST_LISTEN_PAUSE);
    loop {
        tokio::time::sleep(backoff.next_delay(random::fraction())).await;
        if let Ok(listener) = bind(address) {
            return serve(listener).await;
        }
    }
}

async fn serve(listener: TcpListener) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((connection, _)) => {
                tasks::spawn(async move {
                    timeout(LIMIT, answer(connection)).await.ok();
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn answer(mut connection: TcpStream) -> io::Result<()> {
    let mut beginning = [0; 4096];
    let length = connection.read(&mut beginning).await?;
    let is_http = beginning.get(..length).is_some_and(|bytes| bytes.first().is_some_and(u8::is_ascii_uppercase));
    if is_http {
        connection.write_all(ANSWER.as_bytes()).await?;
        connection.shutdown().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_is_in_use_is_reported_and_had_once_it_is_free() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = other.local_addr().unwrap();
        let mut reported = None;
        start_at(address, |address, error| reported = Some((address, error.kind())));
        assert_eq!(reported, Some((address, io::ErrorKind::AddrInUse)));
        drop(other);
        let answered = async {
            loop {
                let Ok(mut client) = TcpStream::connect(address).await else {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
                let mut received = String::new();
                client.read_to_string(&mut received).await.unwrap();
                return received;
            }
        };
        assert_eq!(timeout(Duration::from_secs(30), answered).await.unwrap(), ANSWER);
    }

    #[tokio::test]
    async fn http_is_answered_and_anything_else_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener));
        for (sent, expected) in [("GET / HTTP/1.1\r\nHost: a\r\n\r\n", ANSWER), ("\u{16}\u{3}", "")] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(sent.as_bytes()).await.unwrap();
            let mut received = String::new();
            client.read_to_string(&mut received).await.unwrap();
            assert_eq!(received, expected);
        }
        assert_eq!(ANSWER.split_once("\r\n\r\n").unwrap().1.len(), 24);
    }
}
