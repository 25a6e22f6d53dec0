//! The record of a group that survives restarts: which bytes are known to be live, whether a reload is owed, and what a
//! half-done transaction was about to do. One small file per group, replaced whole. Never decides what to do about it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::world::fs::entry::{FileEntry, FileTime};
use crate::world::fs::{self, FileContext, FileError, install, names_in, record, stage};

use super::{Context, failure, group};

/// The record of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// SHA-256 of each destination's content when it was last installed, after a passed check.
    pub files: BTreeMap<PathBuf, String>,
    /// Whether those bytes are in place but their reload is not confirmed.
    pub reload_owed: bool,
    /// Files that were made for each resource with `for_each`, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub made: BTreeMap<String, BTreeSet<PathBuf>>,
    /// Those of `files` that an earlier group has made live: the commands of this one have not run for them yet.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unproven: BTreeSet<PathBuf>,
    /// SHA-256 of content that the check has refused, by destination.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<PathBuf, String>,
    /// Transaction that has begun to install.
    pub in_flight: Option<InFlight>,
}

/// The plan of a transaction, written before it acts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// Files that it installs.
    pub files: Vec<InFlightFile>,
}

/// One file of a transaction under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlightFile {
    /// Path that is written to, links resolved.
    pub target: PathBuf,
    /// SHA-256 of the new content; empty if the file is removed.
    pub new_hash: String,
    /// Path of the backup; `None` if there was no file.
    pub backup: Option<PathBuf>,
    /// Whether the destination is a mount point, written in place: a killed write may have left half a file.
    pub in_place: bool,
    /// Whether the file is removed.
    #[serde(default)]
    pub removed: bool,
}

impl Journal {
    /// Returns whether upstreamd has written the file.
    pub fn has(&self, dest: &Path) -> bool {
        self.files.contains_key(dest) || self.made.values().any(|made| made.contains(dest))
    }

    /// Drops a file of a resource with `for_each` that is no longer ours.
    pub fn forget(&mut self, resource: &str, dest: &Path) {
        self.files.remove(dest);
        if let Some(made) = self.made.get_mut(resource) {
            made.remove(dest);
        }
    }
}

/// A journal that a commit could not save: what it records is live, while the one on disk still calls it half done.
#[derive(Debug)]
pub struct UnsavedJournal {
    /// Journal to save.
    pub journal: Journal,
    /// The journal as this process last wrote it, or read it. Anything else on disk was written by somebody else since.
    pub on_disk: Journal,
    /// Backups of the transaction: the next start needs them if the journal is never saved.
    pub backups: Vec<FileEntry>,
}

/// Journals of a process without a state folder, by group id.
type JournalsInMemory = HashMap<String, Journal>;

/// The journals that a process has in memory.
#[derive(Debug, Default)]
pub struct KeptJournals {
    memory: Mutex<JournalsInMemory>,
    /// Those that could not be saved, by group id.
    unsaved: Mutex<BTreeMap<String, UnsavedJournal>>,
}

impl KeptJournals {
    /// Keeps a journal that could not be saved.
    pub(super) fn keep_unsaved(&self, group_id: &str, journal: UnsavedJournal) {
        if let Ok(mut unsaved) = self.unsaved.lock() {
            unsaved.insert(group_id.to_owned(), journal);
        }
    }

    fn take_unsaved(&self, group_id: &str) -> Option<UnsavedJournal> {
        self.unsaved.lock().ok()?.remove(group_id)
    }

    fn unsaved(&self, group_id: &str) -> Option<Journal> {
        Some(self.unsaved.lock().ok()?.get(group_id)?.journal.clone())
    }
}

/// Returns a group's journal. A journal that cannot be parsed, or that names what no transaction leaves, is moved away and counts as empty:
/// everything is proven again.
pub fn load(context: &Context, group_id: &str) -> Result<Journal, FileError> {
    let Some(folder) = &context.settings.state_folder else {
        return Ok(saved(context, group_id).unwrap_or_default());
    };
    let path = path_of(folder, group_id);
    let problem = match record::read(&path) {
        Ok(None) => return Ok(Journal::default()),
        Ok(Some(text)) => match serde_json::from_str(&text) {
            Ok(journal) => match made_up_backup(folder, &journal) {
                None => return Ok(journal),
                Some(backup) => format!("upstreamd has not made `{}`, which it calls a backup", backup.display()),
            },
            Err(error) => error.to_string(),
        },
        // Its folder, or what the process or the machine is short of: a new journal could not be written either. A disk that cannot
        // read this one may write another.
        Err(error) if error.source.kind() == ErrorKind::PermissionDenied || is_shortage(&error) => return Err(error),
        Err(error) => failure::describe(&error),
    };
    let aside = record::move_aside(&path)?;
    context.warn_in_next_report([format!(
        "the journal `{}` cannot be read ({problem}): it is kept as `{}`, every file of its group is checked and reloaded once more, and files of a for_each whose content \
         differs now count as somebody else's (hint: adopt_existing = true takes them over)",
        path.display(),
        aside.display()
    )]);
    Ok(Journal::default())
}

/// Returns a backup that no transaction can have named so: to put it back could cost a file that is not ours.
fn made_up_backup(state_folder: &Path, journal: &Journal) -> Option<PathBuf> {
    let scratch = install::scratch_folder(Some(state_folder));
    let is_scratch = |folder: &Path| {
        let found = fs::canonical(folder);
        // One that is gone costs nothing.
        folder.file_name() == scratch.file_name() && (found.is_none() || found == fs::canonical(&scratch))
    };
    let is_backup = |backup: &Path, target: &Path| {
        let (Some(name), Some(target_name)) = (backup.file_name(), target.file_name()) else { return false };
        let (folder, beside) = (fs::folder_of(backup), fs::folder_of(target));
        stage::is_backup_name(name, target_name) && (folder == beside || is_scratch(folder))
    };
    let mut files = journal.in_flight.iter().flat_map(|in_flight| &in_flight.files);
    files.find_map(|file| file.backup.as_deref().filter(|backup| !is_backup(backup, &file.target))).map(Path::to_owned)
}

/// Returns when a group's journal was written; `None` if there is none on disk.
///
/// # Errors
/// It cannot be looked at.
pub fn written_at(context: &Context, group_id: &str) -> Result<Option<FileTime>, FileError> {
    let Some(folder) = &context.settings.state_folder else { return Ok(None) };
    FileEntry::find(&path_of(folder, group_id))?.changed_at()
}

fn is_shortage(error: &FileError) -> bool {
    error.may_pass() && error.source.raw_os_error() != Some(nix::errno::Errno::EIO as i32)
}

/// Returns a group's journal as [`load`] does, but leaves one that cannot be parsed where it is; one that could not be saved counts
/// before the one on disk.
pub fn peek(context: &Context, group_id: &str) -> Option<Journal> {
    context.journals.unsaved(group_id).or_else(|| saved(context, group_id))
}

fn saved(context: &Context, group_id: &str) -> Option<Journal> {
    read_saved(context, group_id).ok()?
}

/// Returns a group's journal as [`peek`] does; `None` if there is none, or none that can be parsed.
///
/// # Errors
/// It cannot be read.
pub(super) fn read(context: &Context, group_id: &str) -> Result<Option<Journal>, FileError> {
    match context.journals.unsaved(group_id) {
        Some(unsaved) => Ok(Some(unsaved)),
        None => read_saved(context, group_id),
    }
}

fn read_saved(context: &Context, group_id: &str) -> Result<Option<Journal>, FileError> {
    let Some(folder) = &context.settings.state_folder else {
        return Ok(context.journals.memory.lock().ok().and_then(|memory| memory.get(group_id).cloned()));
    };
    match record::read(&path_of(folder, group_id)) {
        Ok(text) => Ok(text.and_then(|text| serde_json::from_str(&text).ok())),
        Err(error) if error.source.kind() == ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the ids of all groups that have a journal.
///
/// # Errors
/// The folder of the journals cannot be read.
pub(super) fn group_ids(context: &Context) -> Result<Vec<String>, FileError> {
    match &context.settings.state_folder {
        Some(folder) => known_groups(folder),
        None => Ok(context.journals.memory.lock().map(|memory| memory.keys().cloned().collect()).unwrap_or_default()),
    }
}

/// Returns the journals of all other groups, without those that cannot be read.
pub fn others(context: &Context, group_id: &str) -> Vec<Journal> {
    let ids = group_ids(context).unwrap_or_default().into_iter().filter(|id| id != group_id);
    ids.filter_map(|id| peek(context, &id)).collect()
}

/// Returns whether the journal of any group has a file.
pub fn knows_path(context: &Context, dest: &Path) -> bool {
    // No group has this id.
    others(context, "").iter().any(|journal| journal.has(dest))
}

/// Returns whether the journal of any group has a file with this hash. A group that is no more may have had a file that has become
/// somebody else's since.
pub fn knows_content(context: &Context, dest: &Path, hash: &str) -> bool {
    others(context, "").iter().any(|journal| journal.files.get(dest).is_some_and(|known| known == hash))
}

/// Removes a group's journal.
pub(super) fn remove(context: &Context, group_id: &str) -> Result<(), FileError> {
    match &context.settings.state_folder {
        Some(folder) => record::remove(&path_of(folder, group_id)),
        None => {
            context.journals.memory.lock().iter_mut().for_each(|memory| drop(memory.remove(group_id)));
            Ok(())
        }
    }
}

/// Replaces a group's journal, durably.
pub fn save(context: &Context, group_id: &str, journal: &Journal) -> Result<(), FileError> {
    let Some(folder) = &context.settings.state_folder else {
        if let Ok(mut memory) = context.journals.memory.lock() {
            memory.insert(group_id.to_owned(), journal.clone());
        }
        return Ok(());
    };
    let path = path_of(folder, group_id);
    // A path that is not UTF-8 has no place in it.
    let text =
        serde_json::to_string_pretty(journal).map_err(std::io::Error::other).context("write the journal", &path)?;
    record::write(&path, &text)
}

/// Saves the journal that the last commit of the group could not save, if there is one, and removes the backups that were kept for it.
/// The lock must be held.
///
/// # Errors
/// It cannot be saved now either.
pub(super) fn save_unsaved(context: &Context, group_id: &str) -> Result<(), FileError> {
    let Some(mut unsaved) = context.journals.take_unsaved(group_id) else { return Ok(()) };
    if let Some(found) = saved(context, group_id) {
        // What is refused is written beside transactions.
        let lasting = |journal: &Journal| Journal { refused: BTreeMap::new(), ..journal.clone() };
        // It may be there after all: only the sync of its folder failed.
        if ![&unsaved.on_disk, &unsaved.journal].iter().any(|known| lasting(known) == lasting(&found)) {
            return Ok(());
        }
        unsaved.journal.refused = found.refused;
    }
    if let Err(error) = save(context, group_id, &unsaved.journal) {
        context.journals.keep_unsaved(group_id, unsaved);
        return Err(error);
    }
    let removed = unsaved.backups.iter().map(FileEntry::remove);
    context.warn_in_next_report(removed.filter_map(|removed| Some(failure::describe(&removed.err()?))));
    Ok(())
}

/// Returns whether these bytes of `dest` are known to have been installed after a passed check. A process without a state
/// folder assumes that a file it has not seen yet is live as found on disk.
pub fn knows(context: &Context, journal: &Journal, dest: &Path, hash: &str) -> bool {
    match journal.files.get(dest) {
        Some(known) => known == hash && (context.settings.state_folder.is_none() || !journal.unproven.contains(dest)),
        None => context.settings.state_folder.is_none() && !context.doubts(dest),
    }
}

fn path_of(folder: &Path, group_id: &str) -> PathBuf {
    folder.join("groups").join(format!("{group_id}.json"))
}

/// Returns whether a journal could not be read and was moved away, and is still there.
///
/// # Errors
/// The folder of the journals cannot be read.
pub fn was_moved_aside(folder: &Path) -> Result<bool, FileError> {
    let is_aside = |name: &String| Path::new(name).extension().is_some_and(|extension| extension == record::ASIDE);
    Ok(names_in(&folder.join("groups"))?.iter().any(is_aside))
}

/// Returns the ids of all groups that have a journal in the state folder. Other files there are nobody's.
///
/// # Errors
/// The folder of the journals cannot be read.
pub fn known_groups(folder: &Path) -> Result<Vec<String>, FileError> {
    let names = names_in(&folder.join("groups"))?;
    let mut ids: Vec<String> = names
        .iter()
        .filter_map(|name| name.strip_suffix(".json"))
        .filter(|id| group::is_id(id))
        .map(str::to_owned)
        .collect();
    ids.sort();
    Ok(ids)
}
