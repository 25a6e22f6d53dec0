//! Puts a staged file in its place, and takes it back. By rename; in place if the destination is a mount point. Never
//! decides whether a file should be installed.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::entry::{FileEntry, Folder};
use super::stage::{Attributes, apply_attributes};
use super::{FileContext, FileError};

/// The way in which a file was installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    /// Atomically, by rename.
    Renamed,
    /// By truncating and writing: the destination is a mount point, which cannot be renamed over.
    InPlace,
}

/// Puts `staged` at `target` and removes the staged name.
pub fn install(staged: &FileEntry, target: &FileEntry) -> Result<Installed, FileError> {
    match staged.rename_to(target).map_err(io::Error::from) {
        Ok(()) => Ok(Installed::Renamed),
        Err(error) if matches!(error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices) => {
            overwrite_with(staged, target)?;
            staged.remove()?;
            Ok(Installed::InPlace)
        }
        Err(error) => Err(error).context("rename the staged file over", &target.path()),
    }
}

/// Puts a backup back. Renames if possible, which restores the very same file.
pub fn restore(backup: &FileEntry, target: &FileEntry) -> Result<(), FileError> {
    install(backup, target)?;
    // Renaming one of two names of the same file over the other does nothing and leaves both names.
    backup.remove()
}

/// Creates `folder` and its parents.
pub fn make_folders(folder: &Path) -> Result<(), FileError> {
    Folder::make(folder).map(drop)
}

fn overwrite_with(source: &FileEntry, target: &FileEntry) -> Result<(), FileError> {
    let Some(wanted) = source.read()? else {
        return Err(io::Error::from(io::ErrorKind::NotFound)).context("read", &source.path());
    };
    let path = target.path();
    let Some((mut file, _)) = target.open(OFlag::O_WRONLY)? else {
        return Err(io::Error::from(io::ErrorKind::NotFound)).context("open for writing", &path);
    };
    // Written first and truncated afterwards: a reader never sees an empty file.
    file.write_all(&wanted.bytes).context("write in place to", &path)?;
    file.set_len(wanted.bytes.len() as u64).context("truncate", &path)?;
    let attributes = Attributes { mode: wanted.mode, owner: Some(wanted.uid), group: Some(wanted.gid) };
    apply_attributes(&file, &path, attributes)?;
    file.sync_all().context("sync", &path)
}

/// Returns the scratch folder for files that cannot be staged beside their destination: one in the state folder, or the
/// system's temporary folder.
pub fn scratch_folder(state_folder: Option<&Path>) -> PathBuf {
    state_folder.map_or_else(std::env::temp_dir, |folder| folder.join("scratch"))
}
