//! reflector's connections: whatever a client sends comes back byte for byte, and when it has closed its sending side,
//! everything is echoed before our side is closed. Never looks into the bytes.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Bytes read before they are sent back; each connection has one such buffer.
const BUFFER_BYTES: usize = 16 * 1024;
/// A client that neither sends nor takes anything for this long is given up.
const IDLE_LIMIT: Duration = Duration::from_secs(3600);

/// Echoes until the client has closed its sending side and has everything back.
///
/// # Errors
/// The connection broke, or the client neither sent nor took anything for an hour.
pub async fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let n_read = timeout(IDLE_LIMIT, stream.read(&mut buffer)).await??;
        if n_read == 0 {
            return stream.shutdown().await;
        }
        timeout(IDLE_LIMIT, stream.write_all(&buffer[..n_read])).await??;
    }
}
