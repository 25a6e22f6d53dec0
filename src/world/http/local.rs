//! Status pages over a socket of this machine: an agent or an announcer listens at it, and `upstreamd status` asks there. Only who may
//! open the socket gets through: root, and the group of the process that listens.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Mode of the socket, and of its folder if that is made for it.
const SOCKET_MODE: u32 = 0o660;
const FOLDER_MODE: u32 = 0o750;
/// Most entries of a folder that are looked at.
const MAX_ENTRIES: usize = 10_000;

/// Listens at this path. What an earlier process has left there is removed: the caller makes sure that none uses it.
///
/// # Errors
/// There can be no socket, or something else is at that path.
pub async fn bind_local(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
        std::fs::DirBuilder::new().mode(FOLDER_MODE).create(folder)?;
    }
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        // A listener that is busy is one, too: nobody waits for it.
        let connected = UnixStream::connect(path).await;
        if connected.map_or_else(|error| error.kind() == io::ErrorKind::WouldBlock, |_| true) {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process answers there"));
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
    Ok(listener)
}

/// The file of a socket of which no other process can be the owner: it is removed when this is dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// Listens at a socket of this process's own in the folder: `PREFIX` and the number of the process. Removes the sockets with this prefix
/// that processes have left there which no longer run.
///
/// # Errors
/// As [`bind_local`].
pub async fn bind_own(folder: &Path, prefix: &str) -> io::Result<(UnixListener, SocketFile)> {
    let path = folder.join(format!("{prefix}{}.sock", std::process::id()));
    let listener = bind_local(&path).await?;
    for (left, pid) in sockets_of(folder, prefix, usize::MAX) {
        let has_ended = !Path::new("/proc").join(pid.to_string()).exists();
        // Does not wait for a listener that is busy. A process that is not seen here may still run: in a different container.
        if has_ended && UnixStream::connect(&left).await.is_err_and(|error| is_nobody(&error)) {
            std::fs::remove_file(&left).ok();
        }
    }
    Ok((listener, SocketFile(path)))
}

/// Returns the sockets of `bind_own` in this folder, so many at most, each with the number of the process in its name. A file or a link
/// of such a name is none.
pub fn sockets_of(folder: &Path, prefix: &str, most: usize) -> Vec<(PathBuf, u32)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let pid_in = |name: &str| name.strip_prefix(prefix)?.strip_suffix(".sock")?.parse().ok();
    let mut found: Vec<(PathBuf, u32)> = entries
        .take(MAX_ENTRIES)
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket()))
        .filter_map(|entry| Some((entry.path(), pid_in(entry.file_name().to_str()?)?)))
        .collect();
    found.sort_by_key(|(_, pid)| *pid);
    found.truncate(most);
    found
}

/// Returns whether nobody listens at a socket, or there is none any more, by the error of a connection.
pub fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}

/// Returns the folders in this one.
pub fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let folders = entries.take(MAX_ENTRIES).flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

/// Asks for a page at this socket, of so many bytes at most. Returns its HTTP status and its text.
///
/// # Errors
/// Nobody answers there, or not within the limit, or this process may not open the socket.
pub async fn get(path: &Path, target: &str, limit: Duration, max_bytes: usize) -> io::Result<(u16, String)> {
    let asking = async {
        let stream = UnixStream::connect(path).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // Ends with this future, whatever the other side does.
        let mut running = JoinSet::new();
        running.spawn(connection);
        let request = Request::get(target).header("host", "localhost").body(Empty::<Bytes>::new());
        let response = sender.send_request(request.map_err(io::Error::other)?).await.map_err(io::Error::other)?;
        let status: StatusCode = response.status();
        let body = Limited::new(response.into_body(), max_bytes).collect().await.map_err(io::Error::other)?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        Ok((status.as_u16(), text))
    };
    timeout(limit, asking).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
