//! The short way for resources without commands: stage all, one sync, rename each. Never keeps a journal: a rename is
//! atomic.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::key::Revision;
use crate::model::report::{Outcome, Rendered, Report, Stage, StepFailure};
use crate::world::clock;
use crate::world::fs::entry::{FileEntry, Folders};
use crate::world::fs::install;
use crate::world::fs::stage::{self, Durable};

use super::plan::FileAction;
use super::staging::{self, StagedFile};
use super::{Context, exclusion, failure};

/// Installs each file on its own; a file that fails does not hold up the others. Returns one report each, in order, without
/// a revision.
pub async fn run(context: &Context, rendered: Vec<Rendered>) -> Vec<Report> {
    let started = clock::now();
    let held = exclusion::enter(context, false).await;
    let durable = Durable::with(rendered.len());
    let mut files: Vec<Result<StagedFile, StepFailure>> = Vec::with_capacity(rendered.len());
    let mut folders = Folders::default();
    for rendered in &rendered {
        files.push(match &held {
            Ok(_) => staging::stage(context, &mut folders, rendered, None, durable),
            Err(failure) => Err(failure.clone()),
        });
    }
    let staged: Vec<&FileEntry> = files.iter().flatten().filter_map(|file| file.staged.as_ref()).collect();
    let synced = match durable {
        Durable::AtOnce => Ok(()),
        Durable::Later => stage::sync_files(&staged).map_err(|error| failure::of_file(Stage::Stage, &error)),
    };
    let mut reports = Vec::with_capacity(files.len());
    let mut renamed = Vec::new();
    for (rendered, file) in rendered.iter().zip(files) {
        let (mut warnings, mut differences) = (Vec::new(), BTreeMap::new());
        let (outcome, written) = match file {
            Err(failure) => (Outcome::Rejected(failure), false),
            Ok(file) if file.action == FileAction::Keep => (Outcome::Unchanged, false),
            Ok(mut file) => match synced.clone().and_then(|()| install_one(context, &mut file, &mut warnings)) {
                Ok(()) => {
                    differences.extend(file.difference.take().map(|difference| (file.dest().clone(), difference)));
                    renamed.push(file.target);
                    (Outcome::Applied, true)
                }
                Err(failure) => {
                    file.staged.iter().for_each(|staged| staging::discard(context, staged));
                    (Outcome::Rejected(failure), false)
                }
            },
        };
        reports.push(Report {
            resources: vec![Arc::clone(rendered.resource.name())],
            outcome,
            files: if written { vec![rendered.resource.dest.clone()] } else { Vec::new() },
            differences,
            warnings,
            elapsed: clock::since(started),
            ..Report::unchanged(Revision::default())
        });
    }
    let synced = staging::sync_folders(renamed.iter());
    if let (Err(error), Some(report)) = (synced, reports.last_mut()) {
        report.warnings.push(failure::describe(&error));
    }
    reports
}

fn install_one(context: &Context, file: &mut StagedFile, warnings: &mut Vec<String>) -> Result<(), StepFailure> {
    let Some(staged) = file.staged.clone() else { return Ok(()) };
    let failed = |error| failure::of_file(Stage::Install, &error);
    if context.settings.keep_stage_file {
        staging::keep_copy(&staged, &file.target).map_err(failed)?;
    }
    let how = install::install(&staged, &file.target).map_err(failed)?;
    file.staged = None;
    warnings.extend(staging::in_place_warning(context, how, file.dest()));
    Ok(())
}
