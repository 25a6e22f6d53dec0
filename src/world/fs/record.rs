//! Small durable records: replaced whole, synced, or left as they were.

use std::io;
use std::path::Path;

use super::stage::{self, Attributes, Durable};
use super::{FileContext, FileError, folder_of, sync_folder};

/// The text of a record; `None` where there is none.
pub fn read(path: &Path) -> Result<Option<String>, FileError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("read the record", path),
    }
}

/// Replaces a record; it is on disk when this returns.
pub fn write(path: &Path, text: &str) -> Result<(), FileError> {
    let attributes = Attributes { mode: 0o600, owner: None, group: None };
    let staged = stage::write(folder_of(path), path, text.as_bytes(), attributes, Durable::AtOnce)?;
    std::fs::rename(&staged, path).context("rename the record to", path)?;
    sync_folder(folder_of(path))
}

/// Moves a record that cannot be read out of the way, so that its bytes are kept for people.
pub fn set_aside(path: &Path) -> Result<(), FileError> {
    let aside = path.with_extension("unreadable");
    std::fs::rename(path, &aside).context("set aside the record", path)
}
