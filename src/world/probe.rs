//! Checks whether a backend answers: TCP, HTTP, HTTPS, HTTP/2, or a command's exit status. Every check has a deadline.
//! Never decides what a failed one means.

mod http;
mod http2;
mod tls;

use std::time::Duration;

use tokio::net::TcpStream;

use crate::model::service::{Check, CheckTls, HttpCheck, host_and_port};
use crate::model::text;
use crate::nginx::words;

use super::process::{self, FinishedCommand};
use tls::{Connector, Protocol};

pub use tls::TlsConfigs;

/// Longest part of a command's last line that a problem repeats, in characters.
const MAX_OUTPUT: usize = 200;

/// A check that can be run repeatedly.
pub struct Probe {
    kind: ProbeKind,
    timeout: Duration,
}

enum ProbeKind {
    Tcp(String),
    Http(Box<HttpCheck>, Option<Connector>),
    Http2(String, Option<Connector>),
    Exec(String),
}

impl Probe {
    /// Returns the check of a backend that listens at `host` (an IPv6 address without brackets) and `port`.
    pub fn new(check: &Check, host: &str, port: u16, timeout: Duration, configs: &TlsConfigs) -> Probe {
        let connector = |tls: &Option<CheckTls>, host: &str, protocol| {
            tls.as_ref().map(|tls| Connector::new(tls, host, protocol, configs))
        };
        let kind = match check {
            Check::Tcp => ProbeKind::Tcp(host_and_port(host, port)),
            Check::Http(check) => {
                let connector = connector(&check.tls, &check.host, Protocol::Http1);
                ProbeKind::Http(Box::new(check.clone()), connector)
            }
            Check::Http2 { tls } => ProbeKind::Http2(host_and_port(host, port), connector(tls, host, Protocol::Http2)),
            Check::Exec(command) => ProbeKind::Exec(command.clone()),
        };
        Probe { kind, timeout }
    }

    /// Checks once.
    ///
    /// # Errors
    /// The problem as a phrase, without any text of the backend; a command's last line is part of it.
    pub async fn run(&self) -> Result<(), String> {
        if let ProbeKind::Exec(command) = &self.kind {
            let finished = process::run_shell(command, Some(self.timeout)).await;
            return if finished.succeeded() { Ok(()) } else { Err(words_of(&finished)) };
        }
        // A future of several kinds is as large as the largest of them: only the small one is kept inline.
        let look = async {
            match &self.kind {
                ProbeKind::Tcp(address) => connect(address).await.map(drop),
                ProbeKind::Http(check, connector) => Box::pin(http::look(check, connector.as_ref())).await,
                ProbeKind::Http2(address, connector) => Box::pin(http2::look(address, connector.as_ref())).await,
                ProbeKind::Exec(_) => Ok(()),
            }
        };
        match tokio::time::timeout(self.timeout, look).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer in {:?}", self.timeout)),
        }
    }
}

/// Returns how a command ended, and the last line that it printed.
fn words_of(finished: &FinishedCommand) -> String {
    // What nginx quotes may come from the store.
    let masked = words::masked(finished.output.trim_end());
    let last = text::one_line(masked.lines().next_back().unwrap_or_default().trim(), MAX_OUTPUT, ' ');
    if last.is_empty() { finished.end.to_string() } else { format!("{}: {last}", finished.end) }
}

async fn connect(address: &str) -> Result<TcpStream, String> {
    TcpStream::connect(address).await.map_err(|error| format!("cannot connect to {address}: {error}"))
}
