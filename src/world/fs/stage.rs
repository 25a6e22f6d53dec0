//! Staged files: content, owner and mode are complete before a file appears under its real name, never after.
//! Their names start with a dot, so that no `include dir/*` of nginx picks one up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{FileContext, FileError, OnDisk, folder_of};

/// Prefix of our temporary files, so that a later start can remove those that a killed process left behind.
const STAGE_MARK: &str = ".upstreamd-stage-";
const BACKUP_MARK: &str = ".upstreamd-backup-";
/// Maximum bytes of a destination's name that are repeated in a temporary name (the kernel allows 255 bytes in all).
const MAX_NAME_BYTES: usize = 180;

/// Mode and owner of a staged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits.
    pub mode: u32,
    /// Owner; `None` leaves it unchanged.
    pub owner: Option<u32>,
    /// Group; `None` leaves it unchanged.
    pub group: Option<u32>,
}

/// The moment at which a file's content is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durable {
    /// As soon as it is written.
    AtOnce,
    /// Together with others, by `sync_files`.
    Later,
}

impl Durable {
    /// Returns the cheaper choice for this many files.
    pub fn with(files: usize) -> Durable {
        if files < MANY { Durable::AtOnce } else { Durable::Later }
    }
}

/// Number of files from which on one syncfs costs less than an fsync of each.
const MANY: usize = 8;

/// Writes `bytes` to a new file in `folder`, named after `target`, with owner and mode set on the descriptor.
pub fn write(
    folder: &Path,
    target: &Path,
    bytes: &[u8],
    attributes: Attributes,
    durable: Durable,
) -> Result<PathBuf, FileError> {
    let path = folder.join(fresh_name(target, STAGE_MARK));
    let written = write_new(&path, bytes, attributes, durable);
    if written.is_err() {
        std::fs::remove_file(&path).ok();
    }
    written.map(|()| path)
}

fn write_new(path: &Path, bytes: &[u8], attributes: Attributes, durable: Durable) -> Result<(), FileError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .context("create the staged file", path)?;
    file.write_all(bytes).context("write the staged file", path)?;
    apply_attributes(&file, path, attributes)?;
    match durable {
        Durable::AtOnce => file.sync_all().context("sync", path),
        Durable::Later => Ok(()),
    }
}

/// Sets owner, then mode: a change of owner would clear the setuid bits.
pub(super) fn apply_attributes(file: &File, path: &Path, attributes: Attributes) -> Result<(), FileError> {
    if attributes.owner.is_some() || attributes.group.is_some() {
        fchown(file, attributes.owner, attributes.group).context("set the owner of", path)?;
    }
    file.set_permissions(Permissions::from_mode(attributes.mode)).context("set the mode of", path)
}

/// Makes these files' contents durable: one by one, or with one syncfs per file system if there are many.
pub fn sync_files(paths: &[&Path]) -> Result<(), FileError> {
    if paths.len() < MANY {
        for path in paths {
            File::open(path).and_then(|file| file.sync_all()).context("sync", path)?;
        }
        return Ok(());
    }
    let mut synced = BTreeSet::new();
    for path in paths {
        let file = File::open(path).context("open", path)?;
        let device = file.metadata().context("look at", path)?.dev();
        if synced.insert(device) {
            nix::unistd::syncfs(&file).context("sync the file system of", path)?;
        }
    }
    Ok(())
}

/// Creates a hard link in `folder` to `target`'s present file, so that it can be restored exactly; copies it if links are
/// refused.
pub fn back_up(target: &Path, folder: &Path) -> Result<PathBuf, FileError> {
    let path = folder.join(fresh_name(target, BACKUP_MARK));
    if std::fs::hard_link(target, &path).is_err() {
        copy_with_attributes(target, &path)?;
    }
    Ok(path)
}

/// Copies a file with mode and owner, for backups that cannot be links.
pub fn copy_with_attributes(from: &Path, to: &Path) -> Result<(), FileError> {
    let Some(original) = super::read(from)? else {
        return Err(std::io::Error::from(std::io::ErrorKind::NotFound)).context("copy", from);
    };
    write_like(&original, to)
}

/// Creates a file with the content, mode and owner of another as it was read.
pub fn write_like(original: &OnDisk, to: &Path) -> Result<(), FileError> {
    let attributes = Attributes { mode: original.mode, owner: Some(original.uid), group: Some(original.gid) };
    write_new(to, &original.bytes, attributes, Durable::AtOnce)
}

/// Gives a folder or file the mode and owner of another.
pub fn copy_attributes(from: &Path, to: &Path) -> Result<(), FileError> {
    let original = std::fs::metadata(from).context("look at", from)?;
    let (owner, group) = (Some(original.uid()), Some(original.gid()));
    let attributes = Attributes { mode: original.mode() & 0o7777, owner, group };
    apply_attributes(&File::open(to).context("open", to)?, to, attributes)
}

/// A backup that a dead process left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostBackup {
    /// The backup.
    pub backup: PathBuf,
    /// The file that was backed up.
    pub target: PathBuf,
}

/// Removes stage files that dead processes left beside these targets. Returns the backups that they left.
pub fn remove_leftovers<'a>(targets: impl IntoIterator<Item = &'a Path>) -> Vec<LostBackup> {
    let mut by_folder: BTreeMap<PathBuf, BTreeMap<String, PathBuf>> = BTreeMap::new();
    for target in targets {
        let Ok(target) = super::resolve_links(target) else { continue };
        let prefixes = by_folder.entry(folder_of(&target).to_owned()).or_default();
        for mark in [STAGE_MARK, BACKUP_MARK] {
            prefixes.insert(name_prefix(&target, mark), target.clone());
        }
    }
    let mut backups = Vec::new();
    for (folder, prefixes) in by_folder {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some((prefix, target)) = leftover_of(&name, &prefixes) else { continue };
            if prefix.ends_with(BACKUP_MARK) {
                backups.push(LostBackup { backup: entry.path(), target: target.clone() });
            } else {
                std::fs::remove_file(entry.path()).ok();
            }
        }
    }
    backups
}

/// As [`remove_leftovers`], beside every file of this folder whose name is one of `ours`.
pub fn remove_leftovers_like(folder: &Path, ours: impl Fn(&str) -> bool) -> Vec<LostBackup> {
    let mut targets: BTreeSet<PathBuf> = BTreeSet::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let target = [STAGE_MARK, BACKUP_MARK].into_iter().find_map(|mark| name.strip_prefix('.')?.rsplit_once(mark));
        if let Some((target, _)) = target.filter(|(target, _)| ours(target)) {
            targets.insert(folder.join(target));
        }
    }
    remove_leftovers(targets.iter().map(PathBuf::as_path))
}

/// Returns our prefix of a name and its target, if a dead process made it.
fn leftover_of<'a>(name: &str, prefixes: &'a BTreeMap<String, PathBuf>) -> Option<(&'a String, &'a PathBuf)> {
    let end = [STAGE_MARK, BACKUP_MARK].into_iter().find_map(|mark| Some(name.rfind(mark)? + mark.len()))?;
    let (prefix, rest) = name.split_at(end);
    let found = prefixes.get_key_value(prefix)?;
    let pid: u32 = rest.split('-').next()?.parse().ok()?;
    let is_dead = pid != std::process::id() && !Path::new(&format!("/proc/{pid}")).exists();
    is_dead.then_some(found)
}

fn name_prefix(target: &Path, mark: &str) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let mut end = name.len().min(MAX_NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!(".{}{mark}", &name[..end])
}

fn fresh_name(target: &Path, mark: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{}{}-{count}", name_prefix(target, mark), std::process::id())
}
