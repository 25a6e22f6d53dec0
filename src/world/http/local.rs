//! Status pages over a socket of this machine: the agent listens at it, and `upstreamd status` asks there. Only who may open the
//! socket gets through: root and the agent's group.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// Mode of the socket, and of its folder if that is made for it.
const SOCKET_MODE: u32 = 0o660;
const FOLDER_MODE: u32 = 0o750;
/// Time limit for one page.
const LIMIT: Duration = Duration::from_secs(5);
/// Largest page that is read, in bytes.
const MAX_BYTES: usize = 64 << 20;

/// Listens at this path. What an earlier process has left there is removed: the caller makes sure that none uses it.
///
/// # Errors
/// There can be no socket, or something else is at that path.
pub fn bind_local(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
        std::fs::DirBuilder::new().mode(FOLDER_MODE).create(folder)?;
    }
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process answers there"));
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
    Ok(listener)
}

/// Asks for a page at this socket. Returns its HTTP status and its text.
///
/// # Errors
/// Nobody answers there, or not in time, or this process may not open the socket.
pub async fn get(path: &Path, target: &str) -> io::Result<(u16, String)> {
    let asking = async {
        let stream = UnixStream::connect(path).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let running = tokio::spawn(connection);
        let request = Request::get(target).header("host", "localhost").body(Empty::<Bytes>::new());
        let response = sender.send_request(request.map_err(io::Error::other)?).await.map_err(io::Error::other)?;
        let status: StatusCode = response.status();
        let body = Limited::new(response.into_body(), MAX_BYTES).collect().await.map_err(io::Error::other)?;
        running.abort();
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        Ok((status.as_u16(), text))
    };
    timeout(LIMIT, asking).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
