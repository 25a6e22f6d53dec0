//! Asks a server for the generation that it serves: one connection, one short answer, one deadline. Never judges the answer.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::model::generation::{self, GenerationServer};

/// Maximum length of an answer in bytes.
const MAX_BYTES: usize = 4096;

/// Returns the generation that the server answers with; `None` if it does not answer within `limit`.
pub async fn ask(endpoint: &GenerationServer, limit: Duration) -> Option<String> {
    let answer = tokio::time::timeout(limit, async {
        match endpoint {
            GenerationServer::Unix(path) => read_answer(UnixStream::connect(path).await?).await,
            GenerationServer::Tcp(address) => read_answer(TcpStream::connect(address).await?).await,
        }
    });
    let bytes = answer.await.ok()?.ok()?;
    generation::in_text(&bytes).map(str::to_owned)
}

/// Sends an HTTP request and reads the answer. A `stream` server answers without reading, and may close before we ask.
async fn read_answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<Vec<u8>> {
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.ok();
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    while answer.len() < MAX_BYTES && generation::in_text(&answer).is_none() {
        match stream.read(&mut piece).await {
            Ok(n) if n > 0 => answer.extend_from_slice(piece.get(..n).unwrap_or_default()),
            _ => break,
        }
    }
    Ok(answer)
}
