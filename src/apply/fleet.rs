//! The files of a resource with `for_each`: which of them the journal says are ours, and which have to go because the store
//! has their name no more. A file that somebody else has a hand in is never removed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::resource::Resource;
use crate::world::fs;

use super::journal::{self, Journal};
use super::plan::{self, Action, Removal, ToRemove};
use super::staging::StagedFile;
use super::{Context, failure};

/// All files that a resource with `for_each` is to have, rendered this time or not; any other that is ours goes.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// The resource with the `for_each`.
    pub resource: Arc<Resource>,
    /// Files that stay.
    pub wanted: BTreeSet<PathBuf>,
}

/// What a fleet has to lose.
#[derive(Debug, Default)]
pub(super) struct Surplus {
    /// Files to remove.
    pub(super) files: Vec<StagedFile>,
    /// Why some stay.
    pub(super) warnings: Vec<String>,
    /// The journal has changed, whether or not anything is left to do.
    pub(super) journal_changed: bool,
}

/// Looks for files of these fleets that nothing asks for any more. What is not ours any longer is forgotten.
pub(super) fn surplus(context: &Context, group_id: &str, journal: &mut Journal, fleets: &[Fleet]) -> Surplus {
    let mut surplus = Surplus::default();
    for fleet in fleets {
        surplus.journal_changed |= adopt(context, group_id, journal, fleet.resource.name());
        for dest in gone(journal, fleet) {
            let to_remove = look_at(&dest);
            let problem = match plan::decide_removal(&to_remove, journal.files.get(&dest).map(String::as_str)) {
                Removal::Remove => {
                    surplus.files.push(removal(fleet, dest));
                    continue;
                }
                Removal::Forget(problem) => problem,
            };
            let said = problem.map(|problem| {
                format!("`{}` stays although the store has its name no more: {problem}", dest.display())
            });
            surplus.warnings.extend(said);
            journal.forget(fleet.resource.name(), &dest);
            surplus.journal_changed = true;
        }
    }
    surplus
}

/// What a pass would remove for these fleets. Touches nothing.
pub fn would_remove(context: &Context, group_id: &str, fleet: &Fleet) -> Vec<PathBuf> {
    let mut journal = journal::load(context, group_id).unwrap_or_default();
    adopt(context, group_id, &mut journal, fleet.resource.name());
    let known = |dest: &PathBuf| journal.files.get(dest).map(String::as_str);
    let goes = |dest: &PathBuf| plan::decide_removal(&look_at(dest), known(dest)) == Removal::Remove;
    gone(&journal, fleet).into_iter().filter(goes).collect()
}

/// Whether the journal knows any file of this resource.
pub fn has_files(context: &Context, group_id: &str, resource: &str) -> bool {
    let journal = journal::load(context, group_id).unwrap_or_default();
    journal.made.get(resource).is_some_and(|made| !made.is_empty())
}

fn gone(journal: &Journal, fleet: &Fleet) -> Vec<PathBuf> {
    let made = journal.made.get(&**fleet.resource.name()).into_iter().flatten();
    made.filter(|dest| !fleet.wanted.contains(*dest)).cloned().collect()
}

/// Takes over what another group's journal says of the resource: its commands have changed, and with them its group.
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

fn look_at(dest: &Path) -> ToRemove {
    match fs::is_regular_file(dest) {
        None => ToRemove::Absent,
        Some(false) => ToRemove::NoRegularFile,
        Some(true) if fs::is_mount_point(dest) => ToRemove::MountPoint,
        Some(true) => match fs::read(dest) {
            Ok(Some(on_disk)) => ToRemove::File { hash: plan::hash(&on_disk.bytes) },
            Ok(None) => ToRemove::Absent,
            Err(error) => ToRemove::Unreadable(failure::describe(&error)),
        },
    }
}

fn removal(fleet: &Fleet, dest: PathBuf) -> StagedFile {
    let resource = Resource { dest: dest.clone(), ..(*fleet.resource).clone() };
    let (resource, hash) = (Arc::new(resource), String::new());
    StagedFile { resource, target: dest, staged: None, action: Action::Remove, hash, existed: true }
}
