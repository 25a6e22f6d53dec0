//! The files of a resource with `for_each`: which of them are ours by the journal, and which are removed because the store
//! no longer has their name. Never removes a file that somebody else has changed.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::resource::Resource;
use crate::world::fs;
use crate::world::fs::entry::{FileEntry, Folders};

use super::journal::{self, Journal};
use super::plan::{self, FileAction, Removal, ToRemove};
use super::staging::StagedFile;
use super::{Context, failure};

/// All files that a resource with `for_each` should have, rendered this time or not; its other files are removed.
#[derive(Clone, Debug)]
pub struct InstanceFiles {
    /// Resource with the `for_each`.
    pub resource: Arc<Resource>,
    /// Files that stay.
    pub wanted: BTreeSet<PathBuf>,
}

/// Files that a fleet loses.
#[derive(Debug, Default)]
pub(super) struct Surplus {
    /// Files to remove.
    pub(super) files: Vec<StagedFile>,
    /// Reasons why some files stay.
    pub(super) warnings: Vec<String>,
    /// Whether the journal has changed, even if nothing is left to do.
    pub(super) journal_changed: bool,
}

/// Returns the files of these fleets that are no longer wanted. Drops files that are no longer ours from the journal.
pub(super) fn surplus(
    context: &Context,
    folders: &mut Folders,
    group_id: &str,
    journal: &mut Journal,
    fleets: &[InstanceFiles],
) -> Surplus {
    let mut surplus = Surplus::default();
    for fleet in fleets {
        surplus.journal_changed |= adopt(context, group_id, journal, fleet.resource.name());
        for dest in gone(journal, fleet) {
            let (entry, found) = look_at(folders, &dest);
            let problem = match (plan::decide_removal(&found, journal.files.get(&dest).map(String::as_str)), entry) {
                (Removal::Remove, Some(entry)) => {
                    surplus.files.push(removal(fleet, dest, entry));
                    continue;
                }
                (Removal::Remove, None) => None,
                (Removal::Forget(problem), _) => problem,
            };
            let warning = problem.map(|problem| {
                format!("`{}` stays, although its name is gone from the store: {problem}", dest.display())
            });
            surplus.warnings.extend(warning);
            journal.forget(fleet.resource.name(), &dest);
            surplus.journal_changed = true;
        }
    }
    surplus
}

/// Returns the files that a pass would remove for these fleets. Touches nothing.
pub fn would_remove(context: &Context, group_id: &str, fleet: &InstanceFiles) -> Vec<PathBuf> {
    let mut journal = journal::peek(context, group_id).unwrap_or_default();
    adopt(context, group_id, &mut journal, fleet.resource.name());
    let known = |dest: &PathBuf| journal.files.get(dest).map(String::as_str);
    let mut folders = Folders::default();
    let goes = |dest: &PathBuf| plan::decide_removal(&look_at(&mut folders, dest).1, known(dest)) == Removal::Remove;
    gone(&journal, fleet).into_iter().filter(goes).collect()
}

/// Returns whether the journal knows any file of this resource. Touches nothing.
pub fn has_files(context: &Context, group_id: &str, resource: &str) -> bool {
    let journal = journal::peek(context, group_id).unwrap_or_default();
    journal.made.get(resource).is_some_and(|made| !made.is_empty())
}

fn gone(journal: &Journal, fleet: &InstanceFiles) -> Vec<PathBuf> {
    let made = journal.made.get(&**fleet.resource.name()).into_iter().flatten();
    made.filter(|dest| !fleet.wanted.contains(*dest)).cloned().collect()
}

/// Copies the entries for the resource from other groups' journals: its commands have changed, and with them its group.
/// Returns whether the journal has changed.
fn adopt(context: &Context, group_id: &str, journal: &mut Journal, resource: &str) -> bool {
    if journal.made.contains_key(resource) {
        return false;
    }
    let mut made = BTreeSet::new();
    for other in journal::others(context, group_id) {
        for dest in other.made.get(resource).into_iter().flatten() {
            if let Some(hash) = other.files.get(dest) {
                journal.files.entry(dest.clone()).or_insert_with(|| hash.clone());
                made.insert(dest.clone());
            }
        }
    }
    journal.made.insert(resource.to_owned(), made);
    true
}

/// Looks at the name itself: what a link leads to was never ours.
fn look_at(folders: &mut Folders, dest: &Path) -> (Option<FileEntry>, ToRemove) {
    let found = folders.entry(dest).and_then(|entry| {
        let found = match entry.is_regular_file()? {
            None => ToRemove::Absent,
            Some(false) => ToRemove::NoRegularFile,
            Some(true) if fs::is_mount_point(dest) => ToRemove::MountPoint,
            Some(true) => match entry.read()? {
                Some(on_disk) => ToRemove::File { hash: plan::hash(&on_disk.bytes) },
                None => ToRemove::Absent,
            },
        };
        Ok((Some(entry), found))
    });
    match found {
        Ok(found) => found,
        Err(error) if error.source.kind() == ErrorKind::NotFound => (None, ToRemove::Absent),
        Err(error) => (None, ToRemove::Unreadable(failure::describe(&error))),
    }
}

fn removal(fleet: &InstanceFiles, dest: PathBuf, target: FileEntry) -> StagedFile {
    let resource = Resource { dest, ..(*fleet.resource).clone() };
    let (resource, hash) = (Arc::new(resource), String::new());
    let (action, staged, difference, failure) = (FileAction::Remove, None, None, None);
    StagedFile { resource, target, staged, action, hash, existed: true, difference, failure }
}
