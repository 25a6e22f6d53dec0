//! Heals what a killed process left: puts the previous files of a half-done transaction back and owes their reload. Never
//! goes forward: the next pass renders and checks again.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;

use crate::model::for_each::DestPattern;
use crate::model::report::{Stage, StepFailure};
use crate::world::fs::entry::{FileEntry, FileTime, Folders};
use crate::world::fs::install::restore;
use crate::world::fs::stage::LostBackup;
use crate::world::fs::{self, FileError, stage};

use super::journal::{self, InFlight, InFlightFile, Journal};
use super::{Context, exclusion, failure, plan};

/// Undoes the group's half-done transaction, if there is one. The lock must be held. Returns whether there was one.
pub fn recover(context: &Context, group_id: &str, journal: &mut Journal) -> Result<bool, FileError> {
    let Some(in_flight) = journal.in_flight.clone() else { return Ok(false) };
    let mut left = LeftForLater::default();
    let written_at = journal::written_at(context, group_id)?;
    let (files, acted_on) = still_there(context, (in_flight.files, written_at), &mut left);
    let mut problems = Vec::new();
    let undone = undo(&InFlight { files }, &acted_on, &mut problems);
    context.warn_in_next_report(problems);
    undone?;
    journal.in_flight = (!left.files.is_empty()).then_some(InFlight { files: left.files });
    // The killed process may have reloaded already: the files that were just undone may be in use.
    journal.reload_owed = true;
    journal::save(context, group_id, journal)?;
    left.error.map_or(Ok(true), Err)
}

/// The files of a transaction whose folders cannot be opened now, but may be later.
#[derive(Default)]
struct LeftForLater {
    files: Vec<InFlightFile>,
    /// The first reason.
    error: Option<FileError>,
}

impl LeftForLater {
    fn add(&mut self, file: InFlightFile, error: FileError) {
        self.files.push(file);
        self.error.get_or_insert(error);
    }
}

/// The entries of a file of a transaction, and of its backup.
#[derive(Clone, Debug)]
pub struct ActedOn {
    /// The file that is written to.
    pub target: FileEntry,
    /// The backup; `None` if there was no file.
    pub backup: Option<FileEntry>,
}

/// Opens the folders of a transaction's files again. A file whose folder cannot be opened stays as it is: whoever may change its path
/// must not hold the others up. So does a new file that was there before the journal was written: it is not of that transaction.
fn still_there(
    context: &Context,
    (files, written_at): (Vec<InFlightFile>, Option<FileTime>),
    left: &mut LeftForLater,
) -> (Vec<InFlightFile>, Vec<ActedOn>) {
    let mut folders = Folders::default();
    let mut found = (Vec::new(), Vec::new());
    for file in files {
        let target = match folders.entry(&file.target) {
            Ok(target) => target,
            Err(error) if error.may_pass() => {
                left.add(file, error);
                continue;
            }
            Err(error) => {
                let why = match error.source.kind() {
                    ErrorKind::NotFound | ErrorKind::NotADirectory => "its folder is gone".to_owned(),
                    _ => failure::describe(&error),
                };
                context.warn_in_next_report([format!(
                    "`{}` of a transaction that was cut off could not be put back: {why}",
                    file.target.display()
                )]);
                continue;
            }
        };
        let backup = match file.backup.as_deref().map(|backup| folders.entry(backup)).transpose() {
            Err(error) if error.may_pass() => {
                left.add(file, error);
                continue;
            }
            backup => backup.ok().flatten(),
        };
        let is_earlier = |at: Option<FileTime>| at.zip(written_at).is_some_and(|(at, written_at)| at < written_at);
        if file.backup.is_none() && target.changed_at().is_ok_and(is_earlier) {
            context.warn_in_next_report([format!(
                "`{}` of a transaction that was cut off stays as it is: it was there before its journal was written",
                file.target.display()
            )]);
            continue;
        }
        found.0.push(file);
        found.1.push(ActedOn { target, backup });
    }
    found
}

/// Puts every file of a transaction back to what it was; files that were not installed yet, or that somebody has changed
/// since, stay as they are. Adds sentences about files that cannot be put back.
///
/// # Errors
/// The first one of a file; all others have been put back nevertheless.
pub fn undo(in_flight: &InFlight, entries: &[ActedOn], problems: &mut Vec<String>) -> Result<(), FileError> {
    let mut done = Ok(());
    for (file, ActedOn { target, backup }) in in_flight.files.iter().zip(entries) {
        let undone = undo_file(file, target, backup.as_ref()).and_then(|problem| {
            problems.extend(problem);
            target.folder().sync()
        });
        done = done.and(undone);
    }
    done
}

fn undo_file(file: &InFlightFile, target: &FileEntry, backup: Option<&FileEntry>) -> Result<Option<String>, FileError> {
    let backup = match backup {
        Some(backup) if backup.is_regular_file()? == Some(true) => Some(backup),
        _ => None,
    };
    if target.is_regular_file()? == Some(false) {
        return Ok(Some(match backup {
            Some(backup) => format!(
                "`{}` is no longer a regular file and stays as it is; what it was before a transaction that was cut off is in `{}`",
                file.target.display(),
                backup.path().display()
            ),
            None => format!("`{}` is no longer a regular file and stays as it is", file.target.display()),
        }));
    }
    let found = target.read()?;
    let is_half_written = file.in_place && backup.is_some() && fs::is_mount_point(&file.target);
    let installed = match file.removed {
        // A file that somebody has put there since is not the removed one.
        true => found.is_none(),
        false => is_half_written || found.is_some_and(|found| plan::hash(&found.bytes) == file.new_hash),
    };
    match (backup, installed) {
        (Some(backup), true) => restore(backup, target)?,
        (Some(backup), false) => backup.remove()?,
        (None, true) if file.backup.is_none() => target.remove()?,
        (None, true) => {
            return Ok(Some(format!(
                "`{}` of a transaction that was cut off could not be put back, because its backup is gone",
                file.target.display()
            )));
        }
        (None, false) => {}
    }
    Ok(None)
}

/// The result of a recovery.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Ids of the recovered groups; without a state folder, the files that went back.
    pub groups: Vec<String>,
    /// Failures on the way.
    pub failures: Vec<StepFailure>,
    /// Sentences about what was put aside or could not be put back.
    pub warnings: Vec<String>,
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
    let ids = context.settings.state_folder.as_deref().map_or(Ok(Vec::new()), journal::known_groups);
    recovered.failures.extend(ids.as_ref().err().map(|error| failure::of_file(Stage::Restore, error)));
    for id in ids.unwrap_or_default() {
        let undone = journal::load(context, &id).and_then(|mut journal| recover(context, &id, &mut journal));
        match undone {
            Ok(true) => recovered.groups.push(id),
            Ok(false) => {}
            Err(error) => recovered.failures.push(failure::of_file(Stage::Restore, &error)),
        }
    }
    let mut beside = stage::remove_leftovers(targets);
    for pattern in patterns {
        beside.extend(stage::remove_leftovers_like(&pattern.folder, |name| pattern.could_be(name)));
    }
    let own = context.settings.state_folder.iter().flat_map(|folder| {
        FOLDERS_WITH_LEFTOVERS
            .map(|name| stage::remove_leftovers_like(&folder.join(name), |_| true))
            .into_iter()
            .flatten()
    });
    let own: Vec<LostBackup> = own.collect();
    let mut known = None;
    for (lost, is_beside) in
        beside.into_iter().map(|lost| (lost, true)).chain(own.into_iter().map(|lost| (lost, false)))
    {
        let known = known.get_or_insert_with(|| KnownBackups::of(context));
        let done = match known.fate(&lost, is_beside) {
            Fate::Stays => Ok(()),
            Fate::StaysUnknown => {
                context.warn_in_next_report([kept(&lost.backup)]);
                Ok(())
            }
            Fate::Goes => lost.backup.remove(),
            Fate::GoesBack => heal_without_journal(context, &lost, &mut recovered.groups),
        };
        recovered.failures.extend(done.err().map(|error| failure::of_file(Stage::Restore, &error)));
    }
    recovered.warnings = context.take_pending_warnings();
    recovered
}

/// The state folder and its folders, in which a killed process may have left files.
const FOLDERS_WITH_LEFTOVERS: [&str; 4] = ["", "groups", "live", "scratch"];

/// The decision about a backup that a dead process left.
enum Fate {
    /// A transaction that could not be undone yet needs it.
    Stays,
    /// It may be needed: a journal, or the folder of the journals, cannot be read.
    StaysUnknown,
    /// Its transaction has ended.
    Goes,
    /// No journal knows of its file.
    GoesBack,
}

/// The knowledge of the journals about backups.
enum KnownBackups {
    /// One of the journals cannot be read.
    Unknown,
    Known {
        /// Names of backups that a transaction needs which could not be undone.
        needed: HashSet<OsString>,
        journals: Vec<Journal>,
    },
}

impl KnownBackups {
    fn of(context: &Context) -> KnownBackups {
        let read = |folder: &Path| {
            if journal::was_moved_aside(folder).unwrap_or(true) {
                return None;
            }
            let ids = journal::known_groups(folder).ok()?;
            ids.iter().map(|id| journal::peek(context, id)).collect::<Option<Vec<Journal>>>()
        };
        let journals = match context.settings.state_folder.as_deref().map(read) {
            Some(None) => return KnownBackups::Unknown,
            found => found.flatten().unwrap_or_default(),
        };
        let files =
            journals.iter().filter_map(|journal| journal.in_flight.as_ref()).flat_map(|under_way| &under_way.files);
        let needed = files.filter_map(|file| Some(file.backup.as_ref()?.file_name()?.to_owned())).collect();
        KnownBackups::Known { needed, journals }
    }

    /// Returns what becomes of a backup, which lies beside its file or in our state folder. Everything that a journal says was to be undone
    /// has been by now.
    fn fate(&self, lost: &LostBackup, is_beside: bool) -> Fate {
        let KnownBackups::Known { needed, journals } = self else { return Fate::StaysUnknown };
        if needed.contains(lost.backup.name()) {
            return Fate::Stays;
        }
        // The journal may be gone with the state folder. One that has removed a file does not know it any more.
        let is_removed = || !journals.is_empty() && matches!(lost.target.is_regular_file(), Ok(None));
        match is_beside && !journals.iter().any(|journal| journal.has(&lost.dest)) && !is_removed() {
            true => Fate::GoesBack,
            false => Fate::Goes,
        }
    }
}

fn kept(backup: &FileEntry) -> String {
    format!(
        "`{}` is kept: it may be what a file was before a transaction that was cut off and whose journal cannot be read (hint: when you \
         no longer need it, remove it and the `.unreadable` journal)",
        backup.path().display()
    )
}

/// Without a journal, a backup is the only trace of a transaction that was cut off: it goes back, and the file has to be proven again.
/// If others may write to the folder, anybody may have put it there.
fn heal_without_journal(context: &Context, lost: &LostBackup, groups: &mut Vec<String>) -> Result<(), FileError> {
    let target = lost.target.path();
    context.doubt(&target);
    if lost.backup.folder().others_may_change()? {
        context.warn_in_next_report([format!(
            "`{}` looks like the previous content of `{}`, but stays where it is: other users may write to that folder",
            lost.backup.path().display(),
            target.display()
        )]);
        return Ok(());
    }
    groups.push(target.display().to_string());
    restore(&lost.backup, &lost.target)
}
