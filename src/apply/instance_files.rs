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
    /// Files that resources have: those of others stay, too.
    pub claimed: Option<Arc<dyn ClaimedFiles>>,
}

/// The files that resources have at the moment.
pub trait ClaimedFiles: std::fmt::Debug + Send + Sync {
    /// Returns whether a resource has this file.
    fn is_claimed(&self, dest: &Path) -> bool;
}

impl InstanceFiles {
    fn stays(&self, dest: &Path) -> bool {
        self.wanted.contains(dest) || self.claimed.as_ref().is_some_and(|claimed| claimed.is_claimed(dest))
    }
}

/// Files that a resource loses.
#[derive(Debug, Default)]
pub(super) struct Surplus {
    /// Files to remove.
    pub(super) files: Vec<StagedFile>,
    /// Reasons why some files stay.
    pub(super) warnings: Vec<String>,
    /// Whether the journal has changed, even if nothing is left to do.
    pub(super) journal_changed: bool,
}

/// Returns the files of these resources that are no longer wanted. Drops files that are no longer ours from the journal.
pub(super) fn surplus(folders: &mut Folders, journal: &mut Journal, all: &[InstanceFiles]) -> Surplus {
    let mut surplus = Surplus::default();
    for of_one in all {
        for dest in gone(journal, of_one) {
            let (entry, found) = look_at(folders, &dest);
            let problem = match (plan::decide_removal(&found, journal.files.get(&dest).map(String::as_str)), entry) {
                (Removal::Remove, Some(entry)) => {
                    surplus.files.push(removal(of_one, dest, entry));
                    continue;
                }
                (Removal::Remove, None) => None,
                (Removal::Later(problem), _) => {
                    surplus.warnings.push(format!(
                        "`{}` stays until a key of its resource changes, although its name is gone from the store: {problem}",
                        dest.display()
                    ));
                    continue;
                }
                (Removal::Forget(problem), _) => problem,
            };
            let warning = problem.map(|problem| {
                format!("`{}` stays, although its name is gone from the store: {problem}", dest.display())
            });
            surplus.warnings.extend(warning);
            journal.forget(of_one.resource.name(), &dest);
            surplus.journal_changed = true;
        }
    }
    surplus
}

/// Returns the files that a pass would remove of one resource. Touches nothing.
pub fn would_remove(context: &Context, group_id: &str, of_one: &InstanceFiles) -> Vec<PathBuf> {
    let journal = with_others(context, group_id, of_one.resource.name());
    let known = |dest: &PathBuf| journal.files.get(dest).map(String::as_str);
    let mut folders = Folders::default();
    let goes = |dest: &PathBuf| plan::decide_removal(&look_at(&mut folders, dest).1, known(dest)) == Removal::Remove;
    gone(&journal, of_one).into_iter().filter(goes).collect()
}

/// Returns whether the journal knows any file of this resource. Touches nothing.
pub fn has_files(context: &Context, group_id: &str, resource: &str) -> bool {
    let has = |journal: &Journal| journal.made.get(resource).is_some_and(|made| !made.is_empty());
    match journal::peek(context, group_id).filter(|own| own.made.contains_key(resource)) {
        Some(own) => has(&own),
        // Its commands may have changed, and with them its group.
        None => journal::others(context, group_id).iter().any(has),
    }
}

fn gone(journal: &Journal, of_one: &InstanceFiles) -> Vec<PathBuf> {
    let made = journal.made.get(&**of_one.resource.name()).into_iter().flatten();
    made.filter(|dest| !of_one.stays(dest)).cloned().collect()
}

/// Returns a group's journal with what the others say of the resource, if it does not know that: it will be handed over.
fn with_others(context: &Context, group_id: &str, resource: &str) -> Journal {
    let mut journal = journal::peek(context, group_id).unwrap_or_default();
    if !journal.made.contains_key(resource) {
        for other in journal::others(context, group_id) {
            let made = other.made.get(resource).cloned().unwrap_or_default();
            journal.files.extend(other.files.into_iter().filter(|(dest, _)| made.contains(dest)));
            journal.made.entry(resource.to_owned()).or_default().extend(made);
        }
    }
    journal
}

/// Looks at the name itself: what a link leads to was never ours.
pub(super) fn look_at(folders: &mut Folders, dest: &Path) -> (Option<FileEntry>, ToRemove) {
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
        Err(error) => (None, ToRemove::Unreadable { problem: failure::describe(&error), may_pass: error.may_pass() }),
    }
}

fn removal(of_one: &InstanceFiles, dest: PathBuf, target: FileEntry) -> StagedFile {
    let resource = Resource { dest, ..(*of_one.resource).clone() };
    let (resource, hash) = (Arc::new(resource), String::new());
    let (action, staged, difference, failure) = (FileAction::Remove, None, None, None);
    StagedFile { resource, target, staged, action, hash, existed: true, difference, failure }
}
