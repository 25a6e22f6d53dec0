//! The short way for resources without commands: stage all, one sync, rename each. Never keeps a journal: a rename is
//! atomic.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::key::Revision;
use crate::model::report::{Outcome, Rendered, Report, Stage, StepFailure};
use crate::world::clock;
use crate::world::fs::entry::Folders;
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
    if durable == Durable::Later {
        let synced = stage::sync_files(files.iter().flatten().filter_map(|file| file.staged.as_ref()));
        let staged = files.iter_mut().flatten().filter(|file| file.staged.is_some());
        for (file, synced) in staged.zip(synced) {
            file.note(Stage::Stage, synced).ok();
        }
    }
    let mut reports = Vec::with_capacity(files.len());
    let mut renamed = Vec::new();
    for (rendered, file) in rendered.iter().zip(files) {
        let (mut warnings, mut differences) = (Vec::new(), BTreeMap::new());
        let (outcome, written) = match file {
            Err(failure) => (Outcome::Rejected(failure), false),
            Ok(file) if file.action == FileAction::Keep => (Outcome::Unchanged, false),
            Ok(mut file) => match install(context, &mut file) {
                Ok(warning) => {
                    warnings.extend(warning);
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

fn install(context: &Context, file: &mut StagedFile) -> Result<Option<String>, StepFailure> {
    match file.failure.take() {
        Some(failure) => Err(failure),
        None => failure::at(Stage::Install, staging::install(context, file)),
    }
}
