//! Staged files: content, owner and mode are complete before a file appears under its real name, never after.
//! Their names start with a dot, so that no `include dir/*` of nginx picks one up.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::SFlag;

use super::entry::{FileEntry, Folder, Folders, is_kind};
use super::{FileContext, FileError, OnDisk};

/// Prefix of our temporary files, so that a later start can remove those that a killed process left behind.
const STAGE_MARK: &str = ".upstreamd-stage-";
const BACKUP_MARK: &str = ".upstreamd-backup-";
/// Maximum bytes of a destination's name that are repeated in a temporary name (the kernel allows 255 bytes in all).
const MAX_NAME_BYTES: usize = 180;
/// Temporary names that may be taken by others before we give up.
const MAX_TAKEN_NAMES: usize = 100;

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
    folder: &Arc<Folder>,
    target: &FileEntry,
    bytes: &[u8],
    attributes: Attributes,
    durable: Durable,
) -> Result<FileEntry, FileError> {
    let (staged, file) = create(folder, target, STAGE_MARK)?;
    let written = fill(file, &staged.path(), bytes, attributes, durable);
    if written.is_err() {
        staged.remove().ok();
    }
    written.map(|()| staged)
}

/// Creates a temporary file with a name that nobody has taken.
fn create(folder: &Arc<Folder>, target: &FileEntry, mark: &str) -> Result<(FileEntry, File), FileError> {
    for _ in 0..MAX_TAKEN_NAMES {
        let entry = folder.entry(fresh_name(target, mark));
        match entry.create() {
            Ok(file) => return Ok((entry, file)),
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno).context("create the staged file", &entry.path()),
        }
    }
    Err(io::Error::from(Errno::EEXIST)).context("create a staged file beside", &target.path())
}

fn fill(mut file: File, path: &Path, bytes: &[u8], attributes: Attributes, durable: Durable) -> Result<(), FileError> {
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

/// Makes these files' contents durable: one by one, or with one syncfs per file system if there are many. Returns the result of each,
/// in order.
pub fn sync_files<'a>(entries: impl Iterator<Item = &'a FileEntry>) -> Vec<Result<(), FileError>> {
    let entries: Vec<&FileEntry> = entries.collect();
    if entries.len() >= MANY && sync_file_systems(&entries).is_ok() {
        return entries.iter().map(|_| Ok(())).collect();
    }
    let sync = |entry: &&FileEntry| open_staged(entry)?.sync_all().context("sync", &entry.path());
    entries.iter().map(sync).collect()
}

fn sync_file_systems(entries: &[&FileEntry]) -> Result<(), FileError> {
    let mut synced = BTreeSet::new();
    for entry in entries {
        let file = open_staged(entry)?;
        let device = file.metadata().context("look at", &entry.path())?.dev();
        if synced.insert(device) {
            nix::unistd::syncfs(&file).context("sync the file system of", &entry.path())?;
        }
    }
    Ok(())
}

fn open_staged(entry: &FileEntry) -> Result<File, FileError> {
    match entry.open(OFlag::O_RDONLY)? {
        Some((file, _)) => Ok(file),
        None => Err(io::Error::from(io::ErrorKind::NotFound)).context("sync", &entry.path()),
    }
}

/// Creates a hard link in `folder` to `target`'s present file, so that it can be restored exactly; copies it if links are
/// refused.
pub fn back_up(target: &FileEntry, folder: &Arc<Folder>) -> Result<FileEntry, FileError> {
    let backup = folder.entry(fresh_name(target, BACKUP_MARK));
    if target.hard_link_to(&backup).is_err() {
        copy_with_attributes(target, &backup)?;
    }
    // What was linked may have been exchanged since it was looked at.
    if backup.look()?.is_some_and(|found| is_kind(&found, SFlag::S_IFREG)) {
        return Ok(backup);
    }
    backup.remove()?;
    Err(io::Error::other("not a regular file")).context("back up", &target.path())
}

/// Copies a file with mode and owner, for backups that cannot be links.
pub fn copy_with_attributes(from: &FileEntry, to: &FileEntry) -> Result<(), FileError> {
    let Some(original) = from.read()? else {
        return Err(io::Error::from(io::ErrorKind::NotFound)).context("copy", &from.path());
    };
    write_like(&OnDisk { mode: original.carried_mode(), ..original }, to)
}

/// Creates a file with the content, mode and owner of another as it was read.
pub fn write_like(original: &OnDisk, to: &FileEntry) -> Result<(), FileError> {
    let attributes = Attributes { mode: original.mode, owner: Some(original.uid), group: Some(original.gid) };
    let file = to.create().context("create", &to.path())?;
    fill(file, &to.path(), &original.bytes, attributes, Durable::AtOnce)
}

/// Gives a folder or file the mode and owner of another.
pub fn copy_attributes(from: &Path, to: &Path) -> Result<(), FileError> {
    let original = std::fs::metadata(from).context("look at", from)?;
    let (owner, group) = (Some(original.uid()), Some(original.gid()));
    let attributes = Attributes { mode: original.mode() & 0o7777, owner, group };
    apply_attributes(&File::open(to).context("open", to)?, to, attributes)
}

/// A backup that a dead process left behind.
#[derive(Clone, Debug)]
pub struct LostBackup {
    /// The backup.
    pub backup: FileEntry,
    /// The file that was backed up.
    pub target: FileEntry,
    /// The same as it was asked for: links in its path are not followed.
    pub dest: PathBuf,
}

/// Targets as they were found and as they were asked for, by the prefixes of our names for them.
type PrefixedTargets<'a> = BTreeMap<String, (FileEntry, &'a Path)>;

/// Removes stage files that dead processes left beside these targets. Returns the backups that they left. Called before this process
/// stages anything: files with its pid are those of an earlier process, as in a container, where every start has the same.
pub fn remove_leftovers<'a>(targets: impl IntoIterator<Item = &'a Path>) -> Vec<LostBackup> {
    let mut folders = Folders::default();
    let mut by_folder: BTreeMap<PathBuf, (Arc<Folder>, PrefixedTargets<'_>)> = BTreeMap::new();
    for dest in targets {
        let Ok(target) = folders.find(dest) else { continue };
        let folder = Arc::clone(target.folder());
        let (_, prefixes) = by_folder.entry(folder.path().to_owned()).or_insert_with(|| (folder, BTreeMap::new()));
        for mark in [STAGE_MARK, BACKUP_MARK] {
            prefixes.insert(name_prefix(target.name(), mark), (target.clone(), dest));
        }
    }
    let mut backups = Vec::new();
    for (folder, prefixes) in by_folder.into_values() {
        for name in folder.names().unwrap_or_default() {
            let Some((prefix, (target, dest))) = leftover_of(&name, &prefixes) else { continue };
            let leftover = folder.entry(&name);
            if prefix.ends_with(BACKUP_MARK) {
                backups.push(LostBackup { backup: leftover, target: target.clone(), dest: (*dest).to_owned() });
            } else {
                leftover.remove().ok();
            }
        }
    }
    backups
}

/// As [`remove_leftovers`], beside every file of this folder whose name is one of `ours`.
pub fn remove_leftovers_like(folder: &Path, ours: impl Fn(&str) -> bool) -> Vec<LostBackup> {
    let names = Folder::open(folder).and_then(|folder| folder.names()).unwrap_or_default();
    let target = |name: &String| {
        let name = name.strip_prefix('.')?;
        [STAGE_MARK, BACKUP_MARK].into_iter().find_map(|mark| Some(name.rsplit_once(mark)?.0.to_owned()))
    };
    let targets: BTreeSet<PathBuf> =
        names.iter().filter_map(target).filter(|target| ours(target)).map(|target| folder.join(target)).collect();
    remove_leftovers(targets.iter().map(PathBuf::as_path))
}

/// Returns our prefix of a name and its target, if a dead process made it.
fn leftover_of<'a, T>(name: &str, prefixes: &'a BTreeMap<String, T>) -> Option<(&'a String, &'a T)> {
    let end = [STAGE_MARK, BACKUP_MARK].into_iter().find_map(|mark| Some(name.rfind(mark)? + mark.len()))?;
    let (prefix, rest) = name.split_at(end);
    let found = prefixes.get_key_value(prefix)?;
    let pid: u32 = rest.split('-').next()?.parse().ok()?;
    let is_dead = pid == std::process::id() || !Path::new(&format!("/proc/{pid}")).exists();
    is_dead.then_some(found)
}

/// Returns whether a name is one that we give to backups of a file.
pub fn is_backup_name(name: &OsStr, target: &OsStr) -> bool {
    let rest = name.to_str().and_then(|name| name.strip_prefix(&name_prefix(target, BACKUP_MARK)));
    let is_number = |part: &str| part.parse::<u64>().is_ok();
    rest.and_then(|rest| rest.split_once('-')).is_some_and(|(pid, count)| is_number(pid) && is_number(count))
}

fn name_prefix(target: &OsStr, mark: &str) -> String {
    let name = target.to_string_lossy();
    let mut end = name.len().min(MAX_NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!(".{}{mark}", &name[..end])
}

fn fresh_name(target: &FileEntry, mark: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{}{}-{count}", name_prefix(target.name(), mark), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_that_cannot_be_synced_is_named_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        for n_files in [2, 2 * MANY] {
            let paths: Vec<PathBuf> = (0..n_files).map(|file| folder.path().join(file.to_string())).collect();
            paths.iter().for_each(|path| std::fs::write(path, "x").unwrap());
            let entries: Vec<FileEntry> = paths.iter().map(|path| FileEntry::find(path).unwrap()).collect();
            std::fs::remove_file(&paths[1]).unwrap();
            let synced = sync_files(entries.iter());
            let failed: Vec<&Path> = synced.iter().filter_map(|synced| Some(&*synced.as_ref().err()?.path)).collect();
            assert_eq!((synced.len(), failed), (n_files, vec![paths[1].as_path()]));
        }
    }
}
