//! Heals what a killed process left: puts the previous files of a half-done transaction back and owes their reload.
//! Never goes forward: the next pass renders and checks anew.

use crate::world::fs::install::{remove, restore};
use crate::world::fs::{FileError, folder_of, read, sync_folder};

use super::journal::{self, InFlight, Journal};
use super::{Context, plan};

/// Undoes the group's half-done transaction, if there is one. The lock must be held. Answers whether there was one.
pub fn recover(context: &Context, group_id: &str, journal: &mut Journal) -> Result<bool, FileError> {
    let Some(in_flight) = journal.in_flight.clone() else { return Ok(false) };
    undo(&in_flight)?;
    journal.in_flight = None;
    // The killed process may have reloaded already: whatever runs may run the files that were just taken back.
    journal.reload_owed = true;
    journal::save(context, group_id, journal)?;
    Ok(true)
}

/// Puts every file of a transaction back to what it was; files that were not installed yet, or that somebody changed
/// since, stay as they are.
pub fn undo(in_flight: &InFlight) -> Result<(), FileError> {
    for file in &in_flight.files {
        let is_new = |bytes: &[u8]| plan::hash(bytes) == file.new_hash;
        let installed = file.in_place || read(&file.target)?.is_some_and(|on_disk| is_new(&on_disk.bytes));
        match (&file.backup, installed) {
            (Some(backup), true) if backup.exists() => restore(backup, &file.target)?,
            (None, true) => remove(&file.target)?,
            (Some(backup), false) => remove(backup)?,
            _ => {}
        }
        sync_folder(folder_of(&file.target))?;
    }
    Ok(())
}

/// Heals every group of the state folder. Answers the groups that had something to heal, and the failures.
pub fn recover_all(context: &Context) -> (Vec<String>, Vec<FileError>) {
    let (mut healed, mut failures) = (Vec::new(), Vec::new());
    let Some(folder) = &context.settings.state_folder else { return (healed, failures) };
    for id in journal::known_groups(folder) {
        let recovered = journal::load(context, &id).and_then(|mut journal| recover(context, &id, &mut journal));
        match recovered {
            Ok(true) => healed.push(id),
            Ok(false) => {}
            Err(error) => failures.push(error),
        }
    }
    (healed, failures)
}
