//! The steps of a transaction that write: the plan, the files, and what is live. Never decides which comes next.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::apply::journal::{self, InFlight, InFlightFile, Journal, UnsavedJournal};
use crate::apply::machine::Done;
use crate::apply::plan::{self, FileAction, Removal};
use crate::apply::recovery::ActedOn;
use crate::apply::staging::{self, StagedFile};
use crate::apply::{Context, failure, instance_files};
use crate::model::report::Stage;
use crate::world::fs::entry::{FileEntry, Folders};
use crate::world::fs::{self, FileError, stage};

use super::{Transaction, record_instance_files};

impl Transaction {
    /// Makes the staged files durable, backs up what they replace and writes the plan into the journal.
    pub(super) fn record(&mut self, context: &Context) -> Done {
        if !self.files.iter().any(StagedFile::differs) {
            return Ok(());
        }
        let (mut done, mut in_flight) = (Ok(()), InFlight::default());
        let synced = stage::sync_files(self.files.iter().filter_map(|file| file.staged.as_ref()));
        let staged = self.files.iter_mut().filter(|file| file.staged.is_some());
        for (file, synced) in staged.zip(synced) {
            done = done.and(file.note(Stage::Record, synced));
        }
        for file in self.files.iter_mut().filter(|file| file.differs()) {
            let backup = match file.existed.then(|| staging::back_up(context, &file.target)).transpose() {
                Ok(backup) => backup,
                Err(error) => {
                    done = done.and(file.note(Stage::Record, Err(error)));
                    continue;
                }
            };
            let target = file.target.path();
            in_flight.files.push(InFlightFile {
                in_place: fs::is_mount_point(&target),
                target,
                new_hash: file.hash.clone(),
                backup: backup.as_ref().map(FileEntry::path),
                removed: file.action == FileAction::Remove,
            });
            self.acted_on.push(ActedOn { target: file.target.clone(), backup });
        }
        done?;
        self.journal.in_flight = Some(in_flight);
        failure::at(Stage::Record, journal::save(context, &self.group.id, &self.journal))?;
        self.on_disk = self.journal.clone();
        Ok(())
    }

    /// Puts the staged files in place, and then removes those that go.
    pub(super) fn install(&mut self, context: &Context) -> Done {
        let is_gone = |file: &&mut StagedFile| file.action == FileAction::Remove;
        let (gone, new): (Vec<&mut StagedFile>, Vec<&mut StagedFile>) = self.files.iter_mut().partition(is_gone);
        for file in new {
            let installed = staging::install(context, file).map(|warning| self.report.warnings.extend(warning));
            file.note(Stage::Install, installed)?;
        }
        for file in gone {
            let removed = still_ours(&self.journal, file).and_then(|()| file.target.remove());
            file.note(Stage::Install, removed)?;
        }
        failure::at(Stage::Install, staging::sync_folders(self.acted_on.iter().map(|file| &file.target)))
    }

    /// Writes to the journal what is live now.
    ///
    /// # Errors
    /// It cannot be written: it is kept, and so are the backups.
    pub(super) fn commit(&mut self, context: &Context, reload_owed: bool) -> Result<(), FileError> {
        let group = &self.group;
        self.journal.made.retain(|resource, _| group.has_member(resource));
        record_instance_files(&mut self.journal, &self.files);
        for file in &self.files {
            self.journal.unproven.remove(file.dest());
            match file.action {
                FileAction::Remove => self.journal.forget(file.resource.name(), file.dest()),
                _ => drop(self.journal.files.insert(file.dest().clone(), file.hash.clone())),
            }
        }
        let made = self.journal.made.values().flatten();
        let known: BTreeSet<PathBuf> = self.group.destinations().chain(made).cloned().collect();
        self.journal.files.retain(|dest, _| known.contains(dest));
        self.journal.unproven.retain(|dest| known.contains(dest));
        self.journal.reload_owed = reload_owed;
        self.journal.in_flight = None;
        let saved = journal::save(context, &self.group.id, &self.journal);
        if saved.is_err() {
            let backups = self.acted_on.iter_mut().filter_map(|file| file.backup.take()).collect();
            let (journal, on_disk) = (self.journal.clone(), self.on_disk.clone());
            context.journals.keep_unsaved(&self.group.id, UnsavedJournal { journal, on_disk, backups });
        }
        // From now on the journal, saved or kept, says whether it is owed, unless something was disproved while the reload ran.
        match reload_owed || self.group.reload.is_none() {
            true => context.forget_disproof(&self.group.id),
            false => context.forget_made_up(&self.group.id),
        }
        saved
    }
}

/// Looks again at a file that is removed: the check may have taken long.
fn still_ours(journal: &Journal, file: &StagedFile) -> Result<(), FileError> {
    let (_, found) = instance_files::look_at(&mut Folders::default(), file.dest());
    match plan::decide_removal(&found, journal.files.get(file.dest()).map(String::as_str)) {
        Removal::Remove | Removal::Forget(None) => Ok(()),
        Removal::Later(problem) | Removal::Forget(Some(problem)) => {
            let source = std::io::Error::other(problem);
            Err(FileError { action: "remove", path: file.dest().clone(), source })
        }
    }
}
