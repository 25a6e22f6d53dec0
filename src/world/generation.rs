//! Asks a server for the generation that it serves: one connection, one short answer, one deadline. Never judges the answer.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::model::generation::GenerationServer;

/// Maximum length of an answer in bytes.
const MAX_BYTES: usize = 4096;

/// Returns whether the server's answer has this generation in it, and comes within `limit`.
pub async fn answers(endpoint: &GenerationServer, wanted: &str, limit: Duration) -> bool {
    let answer = tokio::time::timeout(limit, async {
        match endpoint {
            GenerationServer::Unix(path) => read_answer(UnixStream::connect(path).await?, wanted).await,
            GenerationServer::Tcp(address) => read_answer(TcpStream::connect(address).await?, wanted).await,
        }
    });
    answer.await.is_ok_and(|answer| answer.is_ok_and(|found| found))
}

/// Sends an HTTP request and looks for `wanted` in the answer. A `stream` server answers without reading, and may close before we ask.
async fn read_answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, wanted: &str) -> io::Result<bool> {
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.ok();
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    let is_there = |answer: &[u8]| answer.windows(wanted.len()).any(|window| window == wanted.as_bytes());
    while answer.len() < MAX_BYTES && !is_there(&answer) {
        match stream.read(&mut piece).await {
            Ok(n) if n > 0 => answer.extend_from_slice(piece.get(..n).unwrap_or_default()),
            _ => break,
        }
    }
    Ok(is_there(&answer))
}
