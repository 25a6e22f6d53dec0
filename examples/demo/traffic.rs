//! Traffic through nginx: one connection per question, and who answered it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Failure;
use super::agent::Fronts;
use super::support::eventually;
use super::support::https::{Client, Protocol};
use super::support::nginx::Nginx;

const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// nginx writes its line when the session is over, a moment after the client has its bytes.
const LOG_DEADLINE: Duration = Duration::from_secs(5);

/// Asks through the fronts.
pub struct Traffic<'a> {
    pub fronts: Fronts,
    pub client: &'a Client,
    pub nginx: &'a Nginx,
}

impl Traffic<'_> {
    /// One HTTP/2 request; the instance that answered.
    ///
    /// # Errors
    /// No answer, or not one of a nano-container; holds the answer.
    pub async fn ask_web(&self) -> Result<String, String> {
        let answer = self.client.get(Protocol::Http2, self.fronts.web, "/").await.map_err(|error| error.to_string())?;
        let said: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
        match (answer.status.as_u16(), said["result"].as_str(), said["instance"].as_str()) {
            (200, Some("bazinga!"), Some(instance)) => Ok(instance.to_owned()),
            (status, ..) => Err(format!("status {status}: {}", answer.body.trim())),
        }
    }

    /// One TCP connection that is half-closed after a message; the address of the backend that echoed it.
    ///
    /// # Errors
    /// Other bytes came back, or nginx did not log who answered.
    pub async fn ask_echo(&self) -> Result<String, String> {
        let message: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
        let converse = async {
            let stream = TcpStream::connect(self.fronts.echo).await?;
            let own = stream.local_addr()?;
            let (mut reader, mut writer) = stream.into_split();
            let mut echoed = Vec::new();
            let send = async {
                writer.write_all(&message).await?;
                writer.shutdown().await
            };
            tokio::try_join!(send, reader.read_to_end(&mut echoed))?;
            Ok::<_, std::io::Error>((own, echoed))
        };
        let (own, echoed) = match timeout(ANSWER_DEADLINE, converse).await {
            Ok(outcome) => outcome.map_err(|error| format!("TCP: {error}"))?,
            Err(_) => return Err(format!("no echo within {ANSWER_DEADLINE:?}")),
        };
        if echoed != message {
            return Err(format!("sent {} bytes, got {} back", message.len(), echoed.len()));
        }
        self.answered_by(own).await.map_err(|failure| failure.to_string())
    }

    async fn answered_by(&self, own: SocketAddr) -> Result<String, Failure> {
        let start = format!("{own} ");
        eventually("nginx to log the session", LOG_DEADLINE, async || {
            let log = self.nginx.stream_log();
            let line = log.lines().rev().find_map(|line| line.strip_prefix(&start));
            // Several addresses where nginx went on to the next server; the last one answered.
            let upstream =
                line.and_then(|line| line.rsplit_once(' ')).and_then(|(fields, _)| fields.rsplit(' ').next());
            upstream.map(str::to_owned).ok_or_else(|| format!("no line for {own}"))
        })
        .await
    }
}

/// Asks until everybody `expected` has answered, at most `limit` times; who answered, in order.
///
/// # Errors
/// A question failed, somebody else answered, or somebody never did.
pub async fn until_all_answered(
    expected: &[&str],
    limit: usize,
    mut ask: impl AsyncFnMut() -> Result<String, String>,
) -> Result<Vec<String>, Failure> {
    let mut order = Vec::new();
    for _ in 0..limit {
        let answered = ask().await?;
        if !expected.contains(&answered.as_str()) {
            return Err(format!("{answered} answered, which is not one of {}", expected.join(", ")).into());
        }
        order.push(answered);
        if expected.iter().all(|name| order.iter().any(|answered| answered == name)) {
            return Ok(order);
        }
    }
    Err(format!("not all of {} answered in {limit} requests, but: {}", expected.join(", "), order.join(", ")).into())
}
