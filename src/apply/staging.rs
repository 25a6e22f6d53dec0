//! Staging of one file, and the small file work around a transaction: backups, kept copies, scratch space. Never decides
//! what to install.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::model::difference::Difference;
use crate::model::report::{Rendered, Stage, StepFailure};
use crate::model::resource::{Identity, Resource};
use crate::world::fs::entry::{FileEntry, Folder, Folders};
use crate::world::fs::install::{self, Installed};
use crate::world::fs::stage::{self, Attributes, Durable};
use crate::world::fs::{self, FileError, OnDisk, owner};

use super::journal::{self, Journal};
use super::plan::{self, FileAction, WantedFile};
use super::{Context, failure};

/// A file of a transaction.
#[derive(Debug)]
pub struct StagedFile {
    pub(super) resource: Arc<Resource>,
    /// The file that is written to, links resolved.
    pub(super) target: FileEntry,
    /// The staged file, until it is installed.
    pub(super) staged: Option<FileEntry>,
    pub(super) action: FileAction,
    /// SHA-256 of the new content; empty if there is no journal.
    pub(super) hash: String,
    /// Whether there was a file before.
    pub(super) existed: bool,
    /// The change, for people.
    pub(super) difference: Option<Difference>,
    /// Why it could not be put in its place.
    pub(super) failure: Option<StepFailure>,
}

impl StagedFile {
    /// Returns whether the file on disk changes.
    pub(super) fn differs(&self) -> bool {
        self.staged.is_some() || self.action == FileAction::Remove
    }

    /// Keeps the failure of a step at this file, and returns it.
    pub(super) fn note(&mut self, at: Stage, result: Result<(), FileError>) -> Result<(), StepFailure> {
        let done = failure::at(at, result);
        self.failure = self.failure.take().or_else(|| done.clone().err());
        done
    }

    /// Returns the destination as the resource names it.
    pub(super) fn dest(&self) -> &PathBuf {
        &self.resource.dest
    }
}

/// Compares one destination with its new content and stages it if it differs. Without a journal, the file on disk counts as
/// live: nothing would have to be reloaded.
pub(super) fn stage(
    context: &Context,
    folders: &mut Folders,
    rendered: &Rendered,
    journal: Option<&Journal>,
    durable: Durable,
) -> Result<StagedFile, StepFailure> {
    let resource = Arc::clone(&rendered.resource);
    let staging_failed = |error: FileError| failure::of_file(Stage::Stage, &error);
    if resource.target.make_dirs {
        folders.make_folder_of(&resource.dest).map_err(staging_failed)?;
    }
    let target = find(folders, &resource).map_err(|error| not_found(&resource.dest, &error))?;
    let on_disk = target.read().map_err(staging_failed)?;
    refuse_foreign(context, rendered, on_disk.as_ref(), journal)?;
    let ids = owners(&resource)?;
    let hash = journal.map(|_| plan::hash(&rendered.bytes)).unwrap_or_default();
    let known_live = journal.is_none_or(|journal| journal::knows(context, journal, &resource.dest, &hash));
    let wanted = WantedFile { bytes: &rendered.bytes, mode: resource.target.mode, owner: ids.0, group: ids.1 };
    let action = plan::decide(wanted, on_disk.as_ref(), known_live);
    let staged = match action {
        FileAction::Write(attributes) => Some(write(context, &target, &rendered.bytes, attributes, durable)?),
        FileAction::Keep | FileAction::Prove | FileAction::Remove => None,
    };
    let old = on_disk.as_ref().map(|on_disk| on_disk.bytes.as_slice());
    let is_shown = staged.is_some() && !context.settings.onetime && !resource.target.is_secret;
    let difference = is_shown.then(|| Difference::between(old, &rendered.bytes));
    Ok(StagedFile { resource, target, staged, action, hash, existed: old.is_some(), difference, failure: None })
}

/// Returns the numeric owner and group of a resource.
pub(super) fn owners(resource: &Resource) -> Result<(Option<u32>, Option<u32>), StepFailure> {
    let resolve = |what: &str, identity: &Option<Identity>, by_name: fn(&str) -> Result<u32, String>| match identity {
        None => Ok(None),
        Some(Identity::Id(id)) => Ok(Some(*id)),
        Some(Identity::Name(name)) => by_name(name).map(Some).map_err(|problem| {
            let dest = resource.dest.display();
            let message = format!("cannot set the {what} of `{dest}`: {problem} (hint: {})", owner::UNKNOWN_HINT);
            StepFailure::new(Stage::Stage, message)
        }),
    };
    let owner = resolve("owner", &resource.target.owner, owner::user_id)?;
    Ok((owner, resolve("group", &resource.target.group, owner::group_id)?))
}

/// Returns the entry that a resource's file is written to. The name of an instance comes from the store: a link of that name was
/// made by somebody else, and is not followed.
pub(super) fn find(folders: &mut Folders, resource: &Resource) -> Result<FileEntry, FileError> {
    match resource.id.item.is_some() && !resource.target.adopt_existing {
        true => folders.entry(&resource.dest),
        false => folders.find(&resource.dest),
    }
}

/// Refuses to replace a file that upstreamd has not written by one whose name comes from the store.
pub(super) fn refuse_foreign(
    context: &Context,
    rendered: &Rendered,
    on_disk: Option<&OnDisk>,
    journal: Option<&Journal>,
) -> Result<(), StepFailure> {
    let resource = &rendered.resource;
    let must_be_ours = resource.id.item.is_some() && !resource.target.adopt_existing;
    let other = on_disk.filter(|found| found.bytes != *rendered.bytes && must_be_ours);
    let is_ours = |found: &OnDisk| match journal {
        None => journal::knows_path(context, &resource.dest),
        Some(journal) => {
            journal.has(&resource.dest) || journal::knows_content(context, &resource.dest, &plan::hash(&found.bytes))
        }
    };
    if other.is_none_or(is_ours) {
        return Ok(());
    }
    let message = format!(
        "`{}` is there already, and upstreamd has not written it: it stays as it is (hint: move it away, or set adopt_existing = true)",
        resource.dest.display()
    );
    Err(StepFailure::new(Stage::Stage, message))
}

/// Returns the failure of a destination whose folder could not be opened.
fn not_found(dest: &Path, error: &FileError) -> StepFailure {
    if error.source.kind() != ErrorKind::NotFound {
        return failure::of_file(Stage::Stage, error);
    }
    let message = format!(
        "failed to stage `{}`: its folder `{}` does not exist (hint: create it, or set make_dirs = true)",
        dest.display(),
        error.path.display()
    );
    StepFailure::new(Stage::Stage, message)
}

fn write(
    context: &Context,
    target: &FileEntry,
    bytes: &[u8],
    attributes: Attributes,
    durable: Durable,
) -> Result<FileEntry, StepFailure> {
    let problem = match stage::write(target.folder(), target, bytes, attributes, durable) {
        Ok(staged) => return Ok(staged),
        Err(error) => error,
    };
    let read_only = matches!(problem.source.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied);
    // A single mounted file can be writable even if its folder is not.
    if read_only && fs::is_mount_point(&target.path()) {
        let scratch = scratch(context).map_err(|error| failure::of_file(Stage::Stage, &error))?;
        return stage::write(&scratch, target, bytes, attributes, durable)
            .map_err(|error| failure::of_file(Stage::Stage, &error));
    }
    Err(failure::of_file(Stage::Stage, &problem))
}

/// Makes a backup beside the target, or in scratch space if that folder is not writable.
pub(super) fn back_up(context: &Context, target: &FileEntry) -> Result<FileEntry, FileError> {
    match stage::back_up(target, target.folder()) {
        Err(error) if matches!(error.source.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => {
            stage::back_up(target, &scratch(context)?)
        }
        done => done,
    }
}

/// Returns a folder of our own, which is created if needed.
pub(super) fn scratch(context: &Context) -> Result<Arc<Folder>, FileError> {
    let folder = Folder::make(&install::scratch_folder(context.settings.state_folder.as_deref()))?;
    if !folder.keeps_files()? {
        let source = std::io::Error::other("other users may exchange files in it (hint: set a state folder)");
        return Err(FileError { action: "stage in the folder", path: folder.path().to_owned(), source });
    }
    Ok(Arc::new(folder))
}

/// Puts a staged file in its place. Returns what people should know about that.
pub(super) fn install(context: &Context, file: &mut StagedFile) -> Result<Option<String>, FileError> {
    let Some(staged) = &file.staged else { return Ok(None) };
    if context.settings.keep_stage_file {
        keep_copy(staged, &file.target)?;
    }
    let how = install::install(staged, &file.target)?;
    file.staged = None;
    Ok(in_place_warning(context, how, file.dest()))
}

/// Leaves a copy of what was staged as `.NAME.staged` beside the destination, replacing the last one.
fn keep_copy(staged: &FileEntry, target: &FileEntry) -> Result<(), FileError> {
    let kept = target.folder().entry(format!(".{}.staged", target.name().to_string_lossy()));
    kept.remove()?;
    stage::copy_with_attributes(staged, &kept)
}

/// Removes a staged file that was not installed, or keeps it if the user asked for that.
pub(super) fn discard(context: &Context, staged: &FileEntry) {
    if !context.settings.keep_stage_file {
        // Nothing depends on it, and the next start removes leftovers.
        if staged.remove().is_err() {
            context.cleanup_errors.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn in_place_warning(context: &Context, how: Installed, dest: &Path) -> Option<String> {
    match how {
        Installed::Renamed => None,
        Installed::InPlace => context.once(format!(
            "`{}` is a mount point: it is written in place, so a reader may see it half written",
            dest.display()
        )),
    }
}

/// Syncs the folder of each target once.
pub(super) fn sync_folders<'a>(targets: impl Iterator<Item = &'a FileEntry>) -> Result<(), FileError> {
    let folders: BTreeMap<&Path, &Folder> =
        targets.map(|target| (target.folder().path(), &**target.folder())).collect();
    folders.into_values().try_for_each(Folder::sync)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staged_file_that_stays_is_counted() {
        let (context, folder) = (Context::default(), tempfile::tempdir().unwrap());
        let path = folder.path().join("staged");
        std::fs::write(&path, "x").unwrap();
        discard(&context, &FileEntry::find(&path).unwrap());
        assert_eq!((path.exists(), context.cleanup_errors()), (false, 0));
        // A folder cannot be removed as a file.
        discard(&context, &FileEntry::find(folder.path()).unwrap());
        assert_eq!(context.cleanup_errors(), 1);
    }
}
