//! Staging of one file, and the small file work around a transaction: backups, kept copies, scratch space. Never decides
//! what to install.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::model::report::{Rendered, Stage, StepFailure};
use crate::model::resource::{Identity, Resource};
use crate::world::fs::install::{self, Installed};
use crate::world::fs::stage::{self, Attributes, Durable};
use crate::world::fs::{self, FileError, folder_of, owner};

use super::journal::{self, Journal};
use super::plan::{self, FileAction, WantedFile};
use super::{Context, failure};

/// A file of a transaction.
#[derive(Debug)]
pub struct StagedFile {
    pub(super) resource: Arc<Resource>,
    /// Path that is written to, links resolved.
    pub(super) target: PathBuf,
    /// Path of the staged file, until it is installed.
    pub(super) staged: Option<PathBuf>,
    pub(super) action: FileAction,
    /// SHA-256 of the new content; empty if there is no journal.
    pub(super) hash: String,
    /// Whether there was a file before.
    pub(super) existed: bool,
}

impl StagedFile {
    /// Returns whether the file on disk changes.
    pub(super) fn differs(&self) -> bool {
        self.staged.is_some() || self.action == FileAction::Remove
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
    rendered: &Rendered,
    journal: Option<&Journal>,
    durable: Durable,
) -> Result<StagedFile, StepFailure> {
    let resource = Arc::clone(&rendered.resource);
    let staging_failed = |error: FileError| failure::of_file(Stage::Stage, &error);
    let target = fs::resolve_links(&resource.dest).map_err(staging_failed)?;
    if resource.make_dirs {
        install::make_folders(folder_of(&target)).map_err(staging_failed)?;
    }
    let on_disk = fs::read(&target).map_err(staging_failed)?;
    let ids = owners(&resource)?;
    let hash = journal.map(|_| plan::hash(&rendered.bytes)).unwrap_or_default();
    let known_live = journal.is_none_or(|journal| journal::knows(context, journal, &resource.dest, &hash));
    let wanted = WantedFile { bytes: &rendered.bytes, mode: resource.mode, owner: ids.0, group: ids.1 };
    let action = plan::decide(wanted, on_disk.as_ref(), known_live);
    let staged = match action {
        FileAction::Write(attributes) => Some(write(context, &target, &rendered.bytes, attributes, durable)?),
        FileAction::Keep | FileAction::Prove | FileAction::Remove => None,
    };
    Ok(StagedFile { resource, target, staged, action, hash, existed: on_disk.is_some() })
}

/// Returns the numeric owner and group of a resource.
pub(super) fn owners(resource: &Resource) -> Result<(Option<u32>, Option<u32>), StepFailure> {
    let resolve = |identity: &Option<Identity>, by_name: fn(&str) -> Result<u32, String>| match identity {
        None => Ok(None),
        Some(Identity::Id(id)) => Ok(Some(*id)),
        Some(Identity::Name(name)) => {
            by_name(name).map(Some).map_err(|problem| StepFailure::new(Stage::Stage, problem))
        }
    };
    Ok((resolve(&resource.owner, owner::user_id)?, resolve(&resource.group, owner::group_id)?))
}

fn write(
    context: &Context,
    target: &Path,
    bytes: &[u8],
    attributes: Attributes,
    durable: Durable,
) -> Result<PathBuf, StepFailure> {
    let folder = folder_of(target);
    let problem = match stage::write(folder, target, bytes, attributes, durable) {
        Ok(staged) => return Ok(staged),
        Err(error) => error,
    };
    let read_only = matches!(problem.source.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied);
    // A single mounted file can be writable even if its folder is not.
    if read_only && fs::is_mount_point(target) {
        let scratch = scratch(context).map_err(|error| failure::of_file(Stage::Stage, &error))?;
        return stage::write(&scratch, target, bytes, attributes, durable)
            .map_err(|error| failure::of_file(Stage::Stage, &error));
    }
    let mut failure = failure::of_file(Stage::Stage, &problem);
    if problem.source.kind() == ErrorKind::NotFound {
        failure.message = format!(
            "failed to stage `{}`: its folder `{}` does not exist (hint: create it, or set make_dirs = true)",
            target.display(),
            folder.display()
        );
    }
    Err(failure)
}

/// Makes a backup beside the target, or in scratch space if that folder is not writable.
pub(super) fn back_up(context: &Context, target: &Path) -> Result<PathBuf, FileError> {
    match stage::back_up(target, folder_of(target)) {
        Err(error) if matches!(error.source.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => {
            stage::back_up(target, &scratch(context)?)
        }
        done => done,
    }
}

/// Returns a folder of our own, which is created if needed.
pub(super) fn scratch(context: &Context) -> Result<PathBuf, FileError> {
    let folder = install::scratch_folder(context.settings.state_folder.as_deref());
    install::make_folders(&folder)?;
    Ok(folder)
}

/// Leaves a copy of what was staged as `.NAME.staged` beside the destination, replacing the last one.
pub(super) fn keep_copy(staged: &Path, target: &Path) -> Result<(), FileError> {
    let kept = kept_name(target);
    install::remove(&kept)?;
    stage::copy_with_attributes(staged, &kept)
}

fn kept_name(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    folder_of(target).join(format!(".{name}.staged"))
}

/// Removes a staged file that was not installed, or keeps it if the user asked for that.
pub(super) fn discard(context: &Context, staged: &Path) {
    if !context.settings.keep_stage_file {
        // Nothing depends on it, and the next start removes leftovers.
        if install::remove(staged).is_err() {
            context.cleanup_errors.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub(super) fn in_place_warning(context: &Context, how: Installed, dest: &Path) -> Option<String> {
    match how {
        Installed::Renamed => None,
        Installed::InPlace => context.once(format!(
            "`{}` is a mount point: it is written in place, so a reader may see it half written",
            dest.display()
        )),
    }
}

/// Syncs the folder of each target once.
pub(super) fn sync_folders<'a>(targets: impl Iterator<Item = &'a Path>) -> Result<(), FileError> {
    let folders: BTreeSet<&Path> = targets.map(folder_of).collect();
    folders.into_iter().try_for_each(fs::sync_folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staged_file_that_stays_is_counted() {
        let (context, folder) = (Context::default(), tempfile::tempdir().unwrap());
        let file = folder.path().join("staged");
        std::fs::write(&file, "x").unwrap();
        discard(&context, &file);
        assert_eq!((file.exists(), context.cleanup_errors()), (false, 0));
        // A folder cannot be removed as a file.
        discard(&context, folder.path());
        assert_eq!(context.cleanup_errors(), 1);
    }
}
