//! Puts a staged file in its place, and takes it back. By rename; in place if the destination is a mount point. Never
//! decides whether a file should be installed.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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
pub fn install(staged: &Path, target: &Path) -> Result<Installed, FileError> {
    match std::fs::rename(staged, target) {
        Ok(()) => Ok(Installed::Renamed),
        Err(error) if matches!(error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices) => {
            overwrite_with(staged, target)?;
            std::fs::remove_file(staged).context("remove the staged file", staged)?;
            Ok(Installed::InPlace)
        }
        Err(error) => Err(error).context("rename the staged file over", target),
    }
}

/// Puts a backup back. Renames if possible, which restores the very same file.
pub fn restore(backup: &Path, target: &Path) -> Result<(), FileError> {
    install(backup, target)?;
    // Renaming one of two names of the same file over the other does nothing and leaves both names.
    remove(backup)
}

/// Removes a file that was not there before; succeeds if it is already gone.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("remove", path),
        _ => Ok(()),
    }
}

/// Creates `folder` and its parents.
pub fn make_folders(folder: &Path) -> Result<(), FileError> {
    std::fs::create_dir_all(folder).context("create the folder", folder)
}

fn overwrite_with(source: &Path, target: &Path) -> Result<(), FileError> {
    let Some(wanted) = super::read(source)? else {
        return Err(io::Error::from(io::ErrorKind::NotFound)).context("read", source);
    };
    let mut file = OpenOptions::new().write(true).open(target).context("open for writing", target)?;
    // Written first and truncated afterwards: a reader never sees an empty file.
    file.write_all(&wanted.bytes).context("write in place to", target)?;
    file.set_len(wanted.bytes.len() as u64).context("truncate", target)?;
    let attributes = Attributes { mode: wanted.mode, owner: Some(wanted.uid), group: Some(wanted.gid) };
    apply_attributes(&file, target, attributes)?;
    file.sync_all().context("sync", target)
}

/// Returns the scratch folder for files that cannot be staged beside their destination: one in the state folder, or the
/// system's temporary folder.
pub fn scratch_folder(state_folder: Option<&Path>) -> PathBuf {
    state_folder.map_or_else(std::env::temp_dir, |folder| folder.join("scratch"))
}
