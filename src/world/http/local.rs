//! Status pages over a socket of this machine: the agent listens at it, and `upstreamd status` asks there. Only who may open the
//! socket gets through: root and the agent's group.

use std::fs::Permissions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
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
        if is_answered(path)? {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process answers there"));
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    let made = rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    open_to_group(&made)?;
    Ok(listener)
}

/// Returns whether a process listens at this socket, without waiting for it: one that is busy lets clients wait.
fn is_answered(path: &Path) -> io::Result<bool> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let connected = rustix::net::connect(&socket, &SocketAddrUnix::new(path)?);
    Ok(matches!(connected, Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS)))
}

/// Lets the group open a socket that was just made. If somebody has put something else in its place, that stays as it is.
fn open_to_group(made: &OwnedFd) -> io::Result<()> {
    let found = rustix::fs::fstat(made)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::Socket || found.st_uid != rustix::process::geteuid().as_raw()
    {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "others may exchange files in its folder"));
    }
    // The descriptor leads to the socket itself, whatever is at the path by now.
    std::fs::set_permissions(format!("/proc/self/fd/{}", made.as_raw_fd()), Permissions::from_mode(SOCKET_MODE))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_busy_process_at_the_socket_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status.sock");
        let _busy = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let mut clients = Vec::new();
        // Until no further one is let in.
        while let Ok(client) = UnixStream::connect(&path).await {
            clients.push(client);
        }
        assert_eq!(bind_local(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn what_others_put_in_place_of_the_socket_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let (secret, path) = (folder.path().join("secret"), folder.path().join("status.sock"));
        std::fs::write(&secret, "x").unwrap();
        std::fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        let open = |path: &Path| rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).unwrap();
        std::os::unix::fs::symlink(&secret, &path).unwrap();
        for other in [&path, &secret] {
            assert_eq!(open_to_group(&open(other)).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        }
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&secret), 0o600);
        std::fs::remove_file(&path).unwrap();
        let _listener = bind_local(&path).unwrap();
        assert_eq!(mode(&path), SOCKET_MODE);
    }
}
