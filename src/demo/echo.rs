//! reflector's connections: echoes every byte that a client sends. After the client closes its sending side, the rest is echoed
//! before our side closes. Never inspects the bytes.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Size of the buffer that each connection has.
const BUFFER_BYTES: usize = 16 * 1024;
/// Time without progress after which a client is disconnected.
const IDLE_LIMIT: Duration = Duration::from_secs(3600);

/// Echoes until the client has closed its sending side and received everything.
///
/// # Errors
/// The connection broke, or nothing was sent or received for an hour.
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
