//! Files by an open folder and a name in it. A folder is reached without a link that somebody else may have made, is opened once, and what
//! is done to its files goes by its descriptor: whatever happens to the path meanwhile, no other folder is touched. Never follows a link
//! in the last part of a name, and never waits for a pipe.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, geteuid, linkat, unlinkat};

use super::trust::FolderAccess;
use super::{FileContext, FileError, OnDisk};

/// The kernel's limit on links in a path.
const MAX_LINKS: usize = 40;
/// Largest file that is read, in bytes: no destination that upstreamd wrote is larger.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    opened: OwnedFd,
    path: PathBuf,
}

/// A name in an open folder, whether there is a file or not.
#[derive(Clone, Debug)]
pub struct FileEntry {
    folder: Arc<Folder>,
    name: OsString,
}

/// Time of the last change of a file, its name included, which nobody can set: seconds since 1970, and nanoseconds.
pub type FileTime = (i64, i64);

/// The folders that were opened for some work, each once.
#[derive(Debug, Default)]
pub struct Folders(HashMap<PathBuf, Arc<Folder>>);

impl Folders {
    /// Returns the entry that writing to `path` writes to: the end of its links, even if that file does not exist yet.
    ///
    /// # Errors
    /// A folder is missing or unreadable, or a link on the way is one that somebody else may have made.
    pub fn find(&mut self, path: &Path) -> Result<FileEntry, FileError> {
        let mut path = path.to_owned();
        for _ in 0..MAX_LINKS {
            let entry = self.entry(&path)?;
            let Some(link) = entry.folder.link(&entry.name).context("look at", &path)? else { return Ok(entry) };
            if !link.is_trusted {
                return Err(not_followed(entry.folder.path.clone())).context("follow", &path);
            }
            path = super::folder_of(&path).join(link.target);
        }
        Err(io::Error::from(Errno::ELOOP)).context("follow", &path)
    }

    /// Makes the folder of the file that `path` leads to, with its parents, if it is missing.
    ///
    /// # Errors
    /// As [`Folders::find`], or a folder could not be made.
    pub fn make_folder_of(&mut self, path: &Path) -> Result<(), FileError> {
        match self.find(path) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => Folder::make(&error.path).map(drop),
            found => found.map(drop),
        }
    }

    /// Returns the entry of the name itself: a link there is not followed.
    ///
    /// # Errors
    /// As [`Folders::find`].
    pub fn entry(&mut self, path: &Path) -> Result<FileEntry, FileError> {
        self.open(path, false)
    }

    fn open(&mut self, path: &Path, make: bool) -> Result<FileEntry, FileError> {
        let Some(name) = path.file_name() else {
            return Err(io::Error::from(io::ErrorKind::IsADirectory)).context("use as a file", path);
        };
        let folder_path = super::folder_of(path);
        let folder = match self.0.get(folder_path) {
            Some(folder) => Arc::clone(folder),
            None => {
                let folder = Arc::new(Folder::open_or_make(folder_path, make)?);
                self.0.insert(folder_path.to_owned(), Arc::clone(&folder));
                folder
            }
        };
        Ok(FileEntry { folder, name: name.to_owned() })
    }
}

/// A link as it was read.
struct Link {
    target: PathBuf,
    owner: u32,
    /// Whether only root or we can have made it.
    is_trusted: bool,
}

impl Folder {
    /// Opens a folder.
    ///
    /// # Errors
    /// There is none, or a link on the way is one that somebody else may have made.
    pub fn open(path: &Path) -> Result<Folder, FileError> {
        Folder::open_or_make(path, false)
    }

    /// Opens a folder by whatever its path leads to, for paths that only we can have made.
    ///
    /// # Errors
    /// The system's own.
    pub fn open_own(path: &Path) -> Result<Folder, FileError> {
        let opened = openat(AT_FDCWD, path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty());
        Ok(Folder { opened: opened.context("open the folder", path)?, path: path.to_owned() })
    }

    /// Opens a folder, and makes it with its parents if it is missing.
    ///
    /// # Errors
    /// As [`Folder::open`], or a folder could not be made.
    pub fn make(path: &Path) -> Result<Folder, FileError> {
        match Folder::open_or_make(path, false) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => Folder::open_or_make(path, true),
            opened => opened,
        }
    }

    fn open_or_make(path: &Path, make: bool) -> Result<Folder, FileError> {
        let opened = walk(path, make).map_err(|source| FileError {
            action: if make { "create the folder" } else { "open the folder" },
            path: path.to_owned(),
            source,
        })?;
        Ok(Folder { opened, path: path.to_owned() })
    }

    /// Returns its path as it was asked for.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the entry of a name in this folder.
    pub fn entry(self: &Arc<Folder>, name: impl Into<OsString>) -> FileEntry {
        FileEntry { folder: Arc::clone(self), name: name.into() }
    }

    /// Returns whether somebody else than root and us may put files into it, or take some away.
    ///
    /// # Errors
    /// The system's own.
    pub fn others_may_change(&self) -> Result<bool, FileError> {
        Ok(FolderAccess::of(&self.opened).context("look at", &self.path)?.others_may_change)
    }

    /// Returns whether nobody but root and us can exchange a file that we put into it: others may not change it, or it is sticky.
    ///
    /// # Errors
    /// The system's own.
    pub fn keeps_files(&self) -> Result<bool, FileError> {
        let access = FolderAccess::of(&self.opened).context("look at", &self.path)?;
        Ok(access.keeps_files_of(geteuid().as_raw()))
    }

    /// Returns the names in it that are UTF-8, in order.
    ///
    /// # Errors
    /// It cannot be read, or only in part.
    pub fn names(&self) -> Result<Vec<String>, FileError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut dir = Dir::openat(&self.opened, ".", flags, Mode::empty()).context("read the folder", &self.path)?;
        let mut names = Vec::new();
        for entry in dir.iter() {
            let entry = entry.context("read the folder", &self.path)?;
            names
                .extend(entry.file_name().to_str().ok().filter(|name| !matches!(*name, "." | "..")).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// Makes renames and removals in it durable.
    ///
    /// # Errors
    /// The system's own.
    pub fn sync(&self) -> Result<(), FileError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let opened = openat(&self.opened, ".", flags, Mode::empty());
        opened.and_then(nix::unistd::fsync).context("sync the folder", &self.path)
    }

    /// Returns the link of this name; `None` if it is not a link.
    fn link(&self, name: &OsStr) -> nix::Result<Option<Link>> {
        link_at(&self.opened, name)
    }
}

impl FileEntry {
    /// Finds a single entry; see [`Folders::find`].
    ///
    /// # Errors
    /// As [`Folders::find`].
    pub fn find(path: &Path) -> Result<FileEntry, FileError> {
        Folders::default().find(path)
    }

    /// Returns its path: the folder's as it was asked for, and the name.
    pub fn path(&self) -> PathBuf {
        self.folder.path.join(&self.name)
    }

    /// Returns its name.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// Returns its folder.
    pub fn folder(&self) -> &Arc<Folder> {
        &self.folder
    }

    /// Returns the kind and attributes of what is there; `None` if nothing is.
    pub(super) fn look(&self) -> Result<Option<FileStat>, FileError> {
        match fstatat(&self.folder.opened, &*self.name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno).context("look at", &self.path()),
        }
    }

    /// Returns whether a regular file is there; `None` if nothing is.
    ///
    /// # Errors
    /// The system's own.
    pub fn is_regular_file(&self) -> Result<Option<bool>, FileError> {
        Ok(self.look()?.map(|found| is_kind(&found, SFlag::S_IFREG)))
    }

    /// Returns when the regular file that is there was changed last, or got its name; `None` if there is none.
    ///
    /// # Errors
    /// The system's own.
    pub fn changed_at(&self) -> Result<Option<FileTime>, FileError> {
        let found = self.look()?.filter(|found| is_kind(found, SFlag::S_IFREG));
        Ok(found.map(|found| (found.st_ctime, found.st_ctime_nsec)))
    }

    /// Opens the regular file that is there, for reading or, with `O_WRONLY`, for writing. `None` if nothing is there.
    pub(super) fn open(&self, access: OFlag) -> Result<Option<(File, FileStat)>, FileError> {
        // What is no regular file is not even opened: opening a device may do something.
        let Some(found) = self.look()? else { return Ok(None) };
        if !is_kind(&found, SFlag::S_IFREG) {
            return Err(io::Error::other("not a regular file")).context("use as a destination", &self.path());
        }
        let flags = access | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        let file = match openat(&self.folder.opened, &*self.name, flags, Mode::empty()) {
            Ok(opened) => File::from(opened),
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(errno).context("open", &self.path()),
        };
        // It may have been exchanged since: only what is open counts.
        let found = fstat(&file).context("look at", &self.path())?;
        if !is_kind(&found, SFlag::S_IFREG) {
            return Err(io::Error::other("not a regular file")).context("use as a destination", &self.path());
        }
        Ok(Some((file, found)))
    }

    /// Reads the file with its attributes; `None` if there is none.
    ///
    /// # Errors
    /// It is not a regular file, is larger than 64 MiB, or cannot be read.
    pub fn read(&self) -> Result<Option<OnDisk>, FileError> {
        let Some((file, found)) = self.open(OFlag::O_RDONLY)? else { return Ok(None) };
        let mut bytes = Vec::with_capacity(usize::try_from(found.st_size).unwrap_or(0).min(1 << 20));
        let read = (&file).take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).context("read", &self.path())?;
        if read as u64 > MAX_FILE_BYTES {
            return Err(io::Error::other("it is larger than 64 MiB")).context("read", &self.path());
        }
        Ok(Some(OnDisk { bytes, mode: found.st_mode & 0o7777, uid: found.st_uid, gid: found.st_gid }))
    }

    /// Creates a file that only we may read yet.
    pub(super) fn create(&self) -> nix::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(&self.folder.opened, &*self.name, flags, Mode::S_IRUSR | Mode::S_IWUSR).map(File::from)
    }

    /// Gives the file at this place another name, and replaces what is there.
    pub(super) fn rename_to(&self, target: &FileEntry) -> nix::Result<()> {
        renameat(&self.folder.opened, &*self.name, &target.folder.opened, &*target.name)
    }

    /// Gives the file at this entry a second name. A link is not followed.
    pub(super) fn hard_link_to(&self, second: &FileEntry) -> nix::Result<()> {
        let (from, to) = (&self.folder.opened, &second.folder.opened);
        linkat(from, &*self.name, to, &*second.name, AtFlags::empty())
    }

    /// Removes what is there; succeeds if nothing is.
    ///
    /// # Errors
    /// The system's own.
    pub fn remove(&self) -> Result<(), FileError> {
        match unlinkat(&self.folder.opened, &*self.name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno).context("remove", &self.path()),
        }
    }
}

pub(super) fn is_kind(found: &FileStat, kind: SFlag) -> bool {
    SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == kind
}

fn not_followed(folder: PathBuf) -> io::Error {
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "it is a link, and other users may change its folder `{}`: they could lead it anywhere (hint: name the file that it leads to, \
             or let only root write to that folder)",
            folder.display()
        ),
    )
}

fn link_at(folder: impl AsFd + Copy, name: &OsStr) -> nix::Result<Option<Link>> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    // Opened, so that its owner and its text are those of one link.
    let opened = match openat(folder, name, flags, Mode::empty()) {
        Err(Errno::ENOENT) => return Ok(None),
        opened => opened?,
    };
    let found = fstat(&opened)?;
    if !is_kind(&found, SFlag::S_IFLNK) {
        return Ok(None);
    }
    let target = PathBuf::from(readlinkat(&opened, "")?);
    let is_trusted = FolderAccess::of(folder)?.keeps_files_of(found.st_uid);
    Ok(Some(Link { target, owner: found.st_uid, is_trusted }))
}

/// A link that is being followed although somebody else may have made it.
struct DoubtfulLink {
    owner: u32,
    /// Number of parts that are left at its end.
    left: usize,
    /// Its folder, for messages.
    folder: PathBuf,
}

/// Opens a folder part by part. A link that somebody else may have made is followed only to a folder of the same user: it gives
/// that user nothing.
fn walk(path: &Path, make: bool) -> io::Result<OwnedFd> {
    let open = |at: &Path| openat(AT_FDCWD, at, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty());
    let mut at = open(if path.is_absolute() { Path::new("/") } else { Path::new(".") })?;
    // Where it is, for messages.
    let mut shown = PathBuf::from(if path.is_absolute() { "/" } else { "." });
    let mut pending: Vec<OsString> = Vec::new();
    push(&mut pending, path);
    let mut links = 0;
    let mut doubt: Option<DoubtfulLink> = None;
    loop {
        if let Some(link) = doubt.take_if(|link| pending.len() <= link.left)
            && fstat(&at)?.st_uid != link.owner
        {
            return Err(not_followed(link.folder));
        }
        let Some(part) = pending.pop() else { return Ok(at) };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = match openat(&at, &*part, flags, Mode::empty()) {
            Err(Errno::ENOENT) if make => match mkdirat(&at, &*part, Mode::from_bits_truncate(0o777)) {
                Ok(()) | Err(Errno::EEXIST) => openat(&at, &*part, flags, Mode::empty()),
                Err(errno) => Err(errno),
            },
            opened => opened,
        };
        match opened {
            Ok(opened) => at = opened,
            Err(errno @ (Errno::ENOTDIR | Errno::ELOOP)) => {
                let Some(link) = link_at(&at, &part)? else { return Err(errno.into()) };
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::ELOOP.into());
                }
                if !link.is_trusted && doubt.is_none() {
                    if make {
                        return Err(not_followed(shown));
                    }
                    doubt = Some(DoubtfulLink { owner: link.owner, left: pending.len(), folder: shown.clone() });
                }
                if link.target.is_absolute() {
                    at = open(Path::new("/"))?;
                    shown = PathBuf::from("/");
                }
                push(&mut pending, &link.target);
                continue;
            }
            Err(errno) => return Err(errno.into()),
        }
        shown.push(&part);
    }
}

/// Puts the parts of a path on top of those that are pending.
fn push(pending: &mut Vec<OsString>, path: &Path) {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let parts: Vec<OsString> = parts.collect();
    pending.extend(parts.into_iter().rev());
}
