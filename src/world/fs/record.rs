//! Small durable records: replaced as a whole and synced, or left unchanged. Never leaves a half-written one.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::stat::SFlag;

use super::entry::{FileEntry, Folders, is_kind};
use super::stage::{self, Attributes, Durable};
use super::{FileContext, FileError};

/// Extension of a record that could not be read.
pub const ASIDE: &str = "unreadable";
/// Most records that are kept of one name.
const MAX_ASIDE: usize = 100;

/// Reads the text of a record; `None` if there is no such record.
///
/// # Errors
/// It is not a regular file, is not UTF-8, or cannot be read.
pub fn read(path: &Path) -> Result<Option<String>, FileError> {
    let entry = match FileEntry::find(path) {
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    let Some(found) = entry.read()? else { return Ok(None) };
    let text = String::from_utf8(found.bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
    text.map(Some).context("read the record", path)
}

/// Replaces a record, and makes its folder if there is none. It is on disk when this returns. A link in its place is replaced, and what it
/// leads to stays as it is.
pub fn write(path: &Path, text: &str) -> Result<(), FileError> {
    let attributes = Attributes { mode: 0o600, owner: None, group: None };
    let mut folders = Folders::default();
    folders.make_folder_of(path)?;
    let entry = folders.entry(path)?;
    let staged = stage::write(entry.folder(), &entry, text.as_bytes(), attributes, Durable::AtOnce)?;
    staged.rename_to(&entry).context("rename the record to", path)?;
    entry.folder().sync()
}

/// Replaces a small file that everybody may read, in a folder that exists. After a power failure it may be empty. A link in its place is
/// replaced.
///
/// # Errors
/// There is no such folder, or the file cannot be written.
pub fn write_readable(path: &Path, text: &str) -> Result<(), FileError> {
    let attributes = Attributes { mode: 0o644, owner: None, group: None };
    let entry = Folders::default().entry(path)?;
    let staged = stage::write(entry.folder(), &entry, text.as_bytes(), attributes, Durable::Later)?;
    staged.rename_to(&entry).context("rename the file to", path)
}

/// Removes a small file, if there is one. A link in its place is removed, and what it leads to stays as it is.
///
/// # Errors
/// The system's own.
pub fn remove(path: &Path) -> Result<(), FileError> {
    Folders::default().entry(path)?.remove()
}

/// Renames a record that cannot be read, so that its bytes are kept for people, beside those that were kept before. Returns where they
/// are.
///
/// # Errors
/// The system's own, or very many have been kept.
pub fn move_aside(path: &Path) -> Result<PathBuf, FileError> {
    // The name itself, be it a link.
    let entry = Folders::default().entry(path)?;
    for number in 1..=MAX_ASIDE {
        let extension = if number == 1 { ASIDE.to_owned() } else { format!("{number}.{ASIDE}") };
        let aside = entry.folder().entry(Path::new(entry.name()).with_extension(extension));
        if aside.look()?.is_none() {
            entry.rename_to(&aside).context("move aside the record", path)?;
            return Ok(aside.path());
        }
    }
    Err(io::Error::other(format!("{MAX_ASIDE} are there already (hint: remove the `.{ASIDE}` ones)")))
        .context("move aside the record", path)
}

/// Requirement on a name in the state folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Folder => "folder",
            Kind::File => "regular file",
        })
    }
}

/// Renames what is at this path and is of another kind. Returns where it is now; `None` if nothing had to be done.
///
/// # Errors
/// The system's own.
pub fn put_aside_unless(path: &Path, kind: Kind) -> Result<Option<PathBuf>, FileError> {
    let wanted = match kind {
        Kind::Folder => SFlag::S_IFDIR,
        Kind::File => SFlag::S_IFREG,
    };
    let found = Folders::default().entry(path)?.look()?;
    if found.is_none_or(|found| is_kind(&found, wanted)) {
        return Ok(None);
    }
    move_aside(path).map(Some)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_was_kept_before_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("a.2.unreadable")).unwrap();
        for (text, aside) in [("one", "a.unreadable"), ("two", "a.3.unreadable"), ("three", "a.4.unreadable")] {
            std::fs::write(path("a.json"), text).unwrap();
            assert_eq!(move_aside(&path("a.json")).unwrap(), path(aside));
        }
        for number in 5..=MAX_ASIDE {
            std::fs::write(path(&format!("a.{number}.unreadable")), "").unwrap();
        }
        std::fs::write(path("a.json"), "four").unwrap();
        assert!(move_aside(&path("a.json")).unwrap_err().source.to_string().contains("there already"));
        assert_eq!(std::fs::read_to_string(path("a.unreadable")).unwrap(), "one");
    }

    #[test]
    fn what_a_link_in_the_place_of_a_record_leads_to_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("record"), folder.path().join("other"));
        std::fs::write(&other, "somebody's").unwrap();
        for act in [write, write_readable, |path: &Path, _: &str| remove(path)] {
            symlink(&other, &path).unwrap();
            act(&path, "ours").unwrap();
            assert!(!path.is_symlink());
            assert_eq!(std::fs::read_to_string(&other).unwrap(), "somebody's");
            remove(&path).unwrap();
        }
    }
}
