//! Heals what a killed process left: puts the previous files of a half-done transaction back and owes their reload. Never
//! goes forward: the next pass renders and checks again.

use std::path::{Path, PathBuf};

use crate::model::for_each::DestPattern;
use crate::model::report::{Stage, StepFailure};
use crate::world::fs::install::{remove, restore};
use crate::world::fs::{FileError, folder_of, read, stage, sync_folder};
use crate::world::host;

use super::journal::{self, InFlight, Journal};
use super::{Context, exclusion, failure, plan};

/// Undoes the group's half-done transaction, if there is one. The lock must be held. Returns whether there was one.
pub fn recover(context: &Context, group_id: &str, journal: &mut Journal) -> Result<bool, FileError> {
    let Some(in_flight) = journal.in_flight.clone() else { return Ok(false) };
    undo(&in_flight)?;
    journal.in_flight = None;
    // The killed process may have reloaded already: the files that were just undone may be in use.
    journal.reload_owed = true;
    journal::save(context, group_id, journal)?;
    Ok(true)
}

/// Puts every file of a transaction back to what it was; files that were not installed yet, or that somebody has changed
/// since, stay as they are.
pub fn undo(in_flight: &InFlight) -> Result<(), FileError> {
    for file in &in_flight.files {
        let is_new = |bytes: &[u8]| plan::hash(bytes) == file.new_hash;
        let installed = match file.removed {
            // A file that somebody has put there since is not the removed one.
            true => read(&file.target)?.is_none(),
            false => file.in_place || read(&file.target)?.is_some_and(|on_disk| is_new(&on_disk.bytes)),
        };
        match (&file.backup, installed) {
            (Some(backup), true) if host::exists(backup) => restore(backup, &file.target)?,
            (None, true) => remove(&file.target)?,
            (Some(backup), false) => remove(backup)?,
            _ => {}
        }
        sync_folder(folder_of(&file.target))?;
    }
    Ok(())
}

/// The result of a recovery.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Ids of the recovered groups; without a state folder, the files that went back.
    pub groups: Vec<String>,
    /// Failures on the way.
    pub failures: Vec<StepFailure>,
}

/// Recovers every group of the state folder and removes stage files that dead processes left beside `targets` and beside files
/// of `patterns`. Waits for transactions of other processes first: their files are not leftovers.
pub async fn recover_all<'a>(
    context: &Context,
    targets: impl IntoIterator<Item = &'a Path>,
    patterns: impl IntoIterator<Item = &'a DestPattern>,
) -> Recovered {
    let mut recovered = Recovered::default();
    let _held = match exclusion::enter(context, false).await {
        Ok(held) => held,
        Err(failure) => {
            recovered.failures.push(failure);
            return recovered;
        }
    };
    let ids = context.settings.state_folder.as_deref().map(journal::known_groups).unwrap_or_default();
    for id in ids {
        let undone = journal::load(context, &id).and_then(|mut journal| recover(context, &id, &mut journal));
        match undone {
            Ok(true) => recovered.groups.push(id),
            Ok(false) => {}
            Err(error) => recovered.failures.push(failure::of_file(Stage::Restore, &error)),
        }
    }
    let journals: Vec<PathBuf> = context.settings.state_folder.as_deref().map(journal::paths).unwrap_or_default();
    stage::remove_leftovers(journals.iter().map(PathBuf::as_path));
    let mut backups = stage::remove_leftovers(targets);
    for pattern in patterns {
        backups.extend(stage::remove_leftovers_like(&pattern.folder, |name| pattern.could_be(name)));
    }
    for lost in backups {
        // With a journal, everything is undone by now. Without a journal, a backup is the only trace of a transaction that
        // was cut off: it goes back, and the file has to be proven again.
        let done = if context.settings.state_folder.is_some() {
            remove(&lost.backup)
        } else {
            context.doubt(&lost.target);
            recovered.groups.push(lost.target.display().to_string());
            restore(&lost.backup, &lost.target)
        };
        recovered.failures.extend(done.err().map(|error| failure::of_file(Stage::Restore, &error)));
    }
    recovered
}
