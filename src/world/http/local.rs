//! Status pages over a socket of this machine: an agent or an announcer listens at it, and `upstreamd status` asks there. Only who may
//! open the socket gets through: root, and the group of the process that listens.

use std::fs::Permissions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
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
    Ok(!matches!(connected, Err(Errno::CONNREFUSED | Errno::NOENT)))
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
pub fn bind_own(folder: &Path, prefix: &str) -> io::Result<(UnixListener, SocketFile)> {
    let path = folder.join(format!("{prefix}{}.sock", std::process::id()));
    let listener = bind_local(&path)?;
    for (left, pid) in sockets_of(folder, prefix, usize::MAX) {
        let has_ended = !Path::new("/proc").join(pid.to_string()).exists();
        // A process that is not seen here may still run: in a different container.
        if has_ended && is_answered(&left).is_ok_and(|answered| !answered) {
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
