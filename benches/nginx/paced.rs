//! Clients that ask so many times a second, and leave the rest of the machine alone. `wrk` asks as often as it can.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::load::Clients;

/// Sends requests at this rate for that long.
pub(crate) fn run(rate: u32, length: Duration, mut request: impl FnMut() -> Result<()>) -> Clients {
    let (start, mut clients) = (Instant::now(), Clients::default());
    loop {
        let due = Duration::from_secs(1).mul_f64(clients.requests as f64 / f64::from(rate));
        if due >= length {
            return clients;
        }
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        clients.requests += 1;
        clients.lost += u64::from(request().is_err());
    }
}

/// A client of an HTTP server.
pub(crate) struct Client {
    port: u16,
    /// Head of its requests.
    head: String,
    kept: Option<BufReader<TcpStream>>,
}

impl Client {
    /// Returns a client that asks for this path, each time on a connection of its own unless it `keeps` one.
    pub(crate) fn new(port: u16, path: &str, keeps: bool) -> Client {
        let connection = if keeps { "keep-alive" } else { "close" };
        let head = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: {connection}\r\n\r\n");
        Client { port, head, kept: None }
    }

    /// Asks once.
    ///
    /// # Errors
    /// The server could not be reached, or did not answer with 200 in five seconds.
    pub(crate) fn ask(&mut self) -> Result<()> {
        let mut stream = match self.kept.take() {
            Some(kept) => kept,
            None => {
                let stream = TcpStream::connect(("127.0.0.1", self.port))?;
                stream.set_read_timeout(Some(Duration::from_secs(5)))?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        stream.get_mut().write_all(self.head.as_bytes())?;
        let (mut head, mut line) = (String::new(), String::new());
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            head += &line.to_ascii_lowercase();
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
        let mut body = vec![0; length.ok_or(ErrorKind::InvalidData)?];
        stream.read_exact(&mut body)?;
        if !head.starts_with("http/1.1 200") {
            return Err(Error::other(head));
        }
        self.kept = Some(stream).filter(|_| !head.contains("connection: close"));
        Ok(())
    }
}
