//! Files on disk: reading, staging, installing, undoing, small durable records, whole folders.
//! Never decides whether something should be written.

pub mod entry;
pub mod folder;
pub mod install;
pub mod owner;

pub mod record;
pub mod stage;
mod trust;

use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use thiserror::Error;

/// An action on a file that failed.
#[derive(Debug, Error)]
#[error("failed to {action} `{path}`")]
pub struct FileError {
    /// The attempted action as a verb phrase: "rename over".
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// Cause.
    pub source: io::Error,
}

impl FileError {
    /// Returns whether the same may succeed a little later, with nothing done about it: the process or the machine has run short of
    /// something, or a disk or a network does not answer.
    pub fn may_pass(&self) -> bool {
        use nix::errno::Errno;
        let passing = [
            Errno::EMFILE,
            Errno::ENFILE,
            Errno::ENOMEM,
            Errno::EINTR,
            Errno::EAGAIN,
            Errno::EIO,
            Errno::ESTALE,
            Errno::ETIMEDOUT,
            Errno::EHOSTDOWN,
            Errno::ENOTCONN,
        ];
        self.source.raw_os_error().is_some_and(|code| passing.contains(&Errno::from_raw(code)))
    }
}

/// Adds the action and the path to an I/O error.
pub trait FileContext<T> {
    /// Turns the error into a `FileError`.
    fn context(self, action: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T> FileContext<T> for io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|source| FileError { action, path: path.to_owned(), source })
    }
}

impl<T> FileContext<T> for nix::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|errno| FileError { action, path: path.to_owned(), source: errno.into() })
    }
}

/// A regular file as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnDisk {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Permission bits, at most 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl OnDisk {
    /// Returns the permission bits that the next file may have from this one, without set-uid, set-gid and sticky: anyone who can
    /// write to the folder could otherwise turn it into a set-uid root program.
    pub fn carried_mode(&self) -> u32 {
        self.mode & 0o777
    }
}

/// Reads a file with its permissions; `None` if there is no file. Anything but a regular file is an error, and so is a link that
/// somebody else may have made.
pub fn read(path: &Path) -> Result<Option<OnDisk>, FileError> {
    match entry::FileEntry::find(path) {
        Ok(entry) => entry.read(),
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the bytes of the file that `path` leads to.
///
/// # Errors
/// The system's own error, for callers that name the file themselves.
pub fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(path)
}

/// Reads the bytes of a regular file of at most so many bytes. Does not wait for anybody, as opening a FIFO would.
///
/// # Errors
/// The system's own error, or that it is longer or no regular file, for callers that name the file themselves.
pub fn read_regular(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = std::fs::File::options().read(true).custom_flags(flags.bits()).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    if found.len() <= max_bytes {
        file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    }
    match found.len() > max_bytes || bytes.len() as u64 > max_bytes {
        true => Err(io::Error::other(format!("it has more than {max_bytes} bytes"))),
        false => Ok(bytes),
    }
}

/// Returns the path that writing to `dest` writes to: the end of its symlinks, even if that file does not exist yet.
pub fn resolve_links(dest: &Path) -> Result<PathBuf, FileError> {
    let mut path = dest.to_owned();
    // The kernel's limit on links in a path.
    for _ in 0..40 {
        match std::fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many levels of symbolic links")).context("follow", dest)
}

/// Returns whether there is a file, links followed, that is not empty.
pub fn has_content(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0)
}

/// Returns whether there is a file, links followed.
pub fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// Returns whether the path itself, links not followed, is a regular file; `None` if nothing is there.
pub fn is_regular_file(path: &Path) -> Option<bool> {
    std::fs::symlink_metadata(path).ok().map(|found| found.is_file())
}

/// Returns the path with every link resolved; `None` if nothing is there.
pub fn canonical(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}

/// Returns the names in a folder that are UTF-8, in order; none if there is no such folder.
///
/// # Errors
/// It cannot be read, or only in part.
pub fn names_in(folder: &Path) -> Result<Vec<String>, FileError> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.context("read the folder", folder)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.context("read the folder", folder)?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

/// Returns the size in bytes of a file that can be opened for reading; `None` for a folder that can be listed.
///
/// # Errors
/// The path does not exist, or we may not read it.
pub fn readable_size(path: &Path) -> io::Result<Option<u64>> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return std::fs::read_dir(path).map(|_| None);
    }
    std::fs::File::open(path).map(|_| Some(metadata.len()))
}

/// Returns a destination with the links of its folder resolved, to detect two destinations that lead to one file.
pub fn real_destination(dest: &Path) -> PathBuf {
    let target = resolve_links(dest).unwrap_or_else(|_| dest.to_owned());
    let name = target.file_name().unwrap_or_default();
    folder_of(&target).canonicalize().map_or_else(|_| target.clone(), |folder| folder.join(name))
}

/// Returns the mount points at or below `path`, outermost first, as the kernel names them: without links.
pub fn mount_points_at_or_below(path: &Path) -> Vec<PathBuf> {
    let real = path.canonicalize();
    let path = real.as_deref().unwrap_or(path);
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut points: Vec<PathBuf> = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|field| PathBuf::from(unescape_mount_field(field)))
        .filter(|point| point.starts_with(path))
        .collect();
    points.sort();
    points.dedup();
    points
}

/// Returns whether something is mounted exactly at `path`: such a file cannot be renamed over.
pub fn is_mount_point(path: &Path) -> bool {
    let real = path.canonicalize();
    let path = real.as_deref().unwrap_or(path);
    mount_points_at_or_below(path).iter().any(|point| point == path)
}

/// Decodes a mount point: the kernel writes space, tab, newline and backslash as three octal digits.
fn unescape_mount_field(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// Returns the folder that contains a file.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("/"))
}
