//! Small durable records: replaced as a whole and synced, or left unchanged. Never leaves a half-written one.

use std::io;
use std::path::Path;

use super::stage::{self, Attributes, Durable};
use super::{FileContext, FileError, folder_of, sync_folder};

/// Reads the text of a record; `None` if there is no such record.
pub fn read(path: &Path) -> Result<Option<String>, FileError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("read the record", path),
    }
}

/// Replaces a record. It is on disk when this returns.
pub fn write(path: &Path, text: &str) -> Result<(), FileError> {
    let attributes = Attributes { mode: 0o600, owner: None, group: None };
    let staged = stage::write(folder_of(path), path, text.as_bytes(), attributes, Durable::AtOnce)?;
    std::fs::rename(&staged, path).context("rename the record to", path)?;
    sync_folder(folder_of(path))
}

/// Renames a record that cannot be read, so that its bytes are kept for people.
pub fn move_aside(path: &Path) -> Result<(), FileError> {
    let aside = path.with_extension("unreadable");
    std::fs::rename(path, &aside).context("move aside the record", path)
}
