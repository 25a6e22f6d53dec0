//! Finding the culprit where no namespace is to be had: the check judges the live tree only, so each trial is a transaction
//! of its own, undone where the check refuses it.

use std::path::Path;
use std::sync::Arc;

use crate::apply::Context;
use crate::apply::isolate::{Refused, Search};
use crate::model::report::{CommandKind, CommandRun, Failure, Outcome, Rendered, Report, Stage};
use crate::nginx::error_log;
use crate::world::process;

use super::{Request, command_failure, run_one};

/// Searches among the files of a group that the check has refused as a whole.
pub(super) async fn isolate(context: &Context, request: Request, whole: Report) -> Report {
    let Outcome::RolledBack { cause, .. } = &whole.outcome else { return whole };
    let Request { group, rendered, dropped, revision } = request;
    let changed: Vec<Rendered> =
        rendered.into_iter().filter(|rendered| whole.files.contains(&rendered.resource.dest)).collect();
    let mut search = Search::start(0..changed.len(), blame(&changed, cause.clone()));
    let mut merged = Report { dropped: dropped.clone(), files: Vec::new(), ..whole.clone() };
    while let Some(trial) = search.next_trial() {
        let check = group.check.as_ref().filter(|check| trial.is_empty() && !check.names_a_file());
        if trial.is_empty() {
            // The tree as it was: is it refused without any of these files?
            let text = check.map(|check| check.shell_text(Path::new(""), Path::new("")));
            let answer = match &text {
                None => Ok(()),
                Some(text) => {
                    let finished = process::run_shell(text, check.and_then(|check| check.timeout)).await;
                    let (elapsed, succeeded) = (finished.elapsed, finished.succeeded());
                    merged.commands.push(CommandRun { kind: CommandKind::Check, elapsed, succeeded });
                    let failed = || command_failure(Stage::Check, "check_cmd", text, &finished);
                    if finished.succeeded() { Ok(()) } else { Err(Refused { failure: failed(), blamed: None }) }
                }
            };
            search.answer(answer);
            continue;
        }
        let rendered = trial.iter().filter_map(|position| changed.get(*position).cloned()).collect();
        let request = Request { group: Arc::clone(&group), rendered, dropped: Vec::new(), revision };
        let report = run_one(context, request).await;
        merged.warnings.extend(report.warnings);
        merged.dropped.extend(report.dropped);
        merged.reload_ran |= report.reload_ran;
        merged.commands.extend(report.commands);
        merged.elapsed += report.elapsed;
        match report.outcome {
            Outcome::RolledBack { cause, .. } if cause.at == Stage::Check => search.answer(Err(blame(&changed, cause))),
            Outcome::Applied | Outcome::Unchanged => {
                merged.files.extend(report.files);
                merged.verified = report.verified.or(merged.verified);
                merged.outcome = Outcome::Applied;
                search.answer(Ok(()));
            }
            // Not for the check to say: whatever it is, it is told, and tried again with everything.
            other => return Report { outcome: other, files: report.files, ..merged },
        }
    }
    let Some(found) = search.found().filter(|found| !found.good.is_empty()) else { return whole };
    let name = |position: usize| changed.get(position).map(|rendered| Arc::clone(&rendered.resource.name));
    let culprits = found.culprits.into_iter();
    merged.dropped.extend(culprits.filter_map(|(position, failure)| Some((name(position)?, failure))));
    merged
}

fn blame(changed: &[Rendered], failure: Failure) -> Refused {
    let named = error_log::blamed_file(&failure.output).map(Path::new);
    let blamed = changed.iter().position(|rendered| named == Some(rendered.resource.dest.as_path()));
    Refused { failure, blamed }
}
