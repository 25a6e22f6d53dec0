//! Finds the culprit if no mount namespace shows the files: the check judges the live tree only, so each trial is a
//! transaction of its own, undone if the check refuses it. Never leaves a refused file in place.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::apply::Context;
use crate::apply::failure;
use crate::apply::group::Group;
use crate::apply::instance_files::InstanceFiles;
use crate::apply::isolate::{CheckRefusal, Isolated, Search};
use crate::apply::plan;
use crate::model::key::Revision;
use crate::model::report::{CommandKind, CommandRun, Outcome, Rendered, Report, Stage, StepFailure};
use crate::nginx::error_log;
use crate::world::process;

use super::turns::{self, Patience};
use super::{Request, run_one};

/// Searches among the files of a group that the check has refused as a whole. Removals are left out at first: the other
/// files do not have to wait for them.
pub(super) async fn isolate(context: &Context, request: Request, whole: Report) -> Report {
    let Outcome::RolledBack { cause, .. } = &whole.outcome else { return whole };
    let Request { group, rendered, instance_files, dropped: _, revision, change_waits } = request;
    let files: HashSet<&PathBuf> = whole.files.iter().collect();
    let mut changed: Vec<Rendered> =
        rendered.into_iter().filter(|rendered| files.contains(&rendered.resource.dest)).collect();
    if changed.is_empty() {
        return whole;
    }
    let report = Report { files: Vec::new(), removed: Vec::new(), ..whole.clone() };
    let mut trials = Trials { context, group, revision, change_waits, report };
    // Each trial puts its files in place and takes them away again.
    let left = changed.split_off(changed.len().min(turns::FIRST_PORTION));
    trials.leave(&left);
    let refused = match whole.removed.is_empty() && left.is_empty() {
        true => Some(cause.clone()),
        false => match trials.run(changed.clone(), Vec::new()).await {
            Tried::Passed => None,
            Tried::Refused(cause) => Some(cause),
            Tried::Ended(outcome) => return Report { outcome, ..trials.report },
        },
    };
    let mut any_good = refused.is_none();
    if let Some(refused) = refused {
        let search = match trials.search(&changed, refused).await {
            Ok(search) => search,
            Err(outcome) => return Report { outcome, ..trials.report },
        };
        let Some(found) = search.found().filter(|found| !found.good.is_empty() || !whole.removed.is_empty()) else {
            return whole;
        };
        any_good = !found.good.is_empty();
        trials.drop_refused(&changed, found);
    }
    if !whole.removed.is_empty() {
        match trials.run(Vec::new(), instance_files.clone()).await {
            Tried::Passed => {}
            Tried::Refused(cause) if any_good => {
                let names = instance_files.iter().map(|of_one| of_one.resource.id.clone());
                trials.report.dropped.extend(names.map(|name| (name, cause.clone())));
            }
            Tried::Refused(_) => return whole,
            Tried::Ended(outcome) => return Report { outcome, ..trials.report },
        }
    }
    trials.report
}

/// Transactions that each try a part of the files, and their combined report.
struct Trials<'a> {
    context: &'a Context,
    group: Arc<Group>,
    revision: Revision,
    change_waits: Arc<AtomicBool>,
    report: Report,
}

/// The result of one trial.
enum Tried {
    Passed,
    Refused(StepFailure),
    /// An outcome that the check did not cause: it is reported, and everything is tried again.
    Ended(Outcome),
}

impl Trials<'_> {
    async fn run(&mut self, rendered: Vec<Rendered>, instance_files: Vec<InstanceFiles>) -> Tried {
        let (group, change_waits) = (Arc::clone(&self.group), Arc::clone(&self.change_waits));
        let request =
            Request { group, rendered, instance_files, dropped: Vec::new(), revision: self.revision, change_waits };
        let report = run_one(self.context, request).await;
        self.report.warnings.extend(report.warnings);
        for (id, failure) in report.dropped {
            if !self.report.dropped.iter().any(|(known, _)| *known == id) {
                self.report.dropped.push((id, failure));
            }
        }
        self.report.reload_ran |= report.reload_ran;
        self.report.commands.extend(report.commands);
        self.report.elapsed += report.elapsed;
        match report.outcome {
            // Rejected where the check can see this part of the files before they are in place.
            Outcome::RolledBack { cause, .. } | Outcome::Rejected(cause) if cause.at == Stage::Check => {
                Tried::Refused(cause)
            }
            Outcome::Applied | Outcome::Unchanged => {
                self.report.files.extend(report.files);
                self.report.differences.extend(report.differences);
                self.report.removed.extend(report.removed);
                self.report.verified = report.verified.or(self.report.verified.take());
                self.report.outcome = Outcome::Applied;
                Tried::Passed
            }
            other => {
                self.report.files = report.files;
                Tried::Ended(other)
            }
        }
    }

    /// Searches for the files that the check refuses; the others are in place then.
    ///
    /// # Errors
    /// A trial ended for a different reason.
    async fn search(&mut self, changed: &[Rendered], refused: StepFailure) -> Result<Search, Outcome> {
        let mut search = Search::start(0..changed.len(), |_| false, blame(changed, refused));
        let mut patience = Patience::new(Arc::clone(&self.change_waits));
        let mut in_place = BTreeSet::new();
        while let Some(trial) = search.next_trial().filter(|_| patience.is_left(self.context.exclusion.is_awaited())) {
            if trial.is_empty() {
                search.answer(self.as_it_was().await);
                continue;
            }
            let files = |positions: &mut dyn Iterator<Item = usize>| -> Vec<Rendered> {
                positions.filter_map(|position| changed.get(position).cloned()).collect()
            };
            let tried = self.run(files(&mut trial.iter().copied()), Vec::new()).await;
            if !matches!(tried, Tried::Refused(_)) {
                in_place.extend(trial);
            }
            search.answer(match tried {
                Tried::Passed => Ok(()),
                Tried::Refused(cause) => Err(blame(changed, cause)),
                Tried::Ended(outcome) => {
                    let left = files(&mut (0..changed.len()).filter(|position| !in_place.contains(position)));
                    self.leave(&left);
                    return Err(outcome);
                }
            });
        }
        Ok(search)
    }

    /// Leaves these files to a later pass.
    fn leave(&mut self, left: &[Rendered]) {
        let undecided = (0..left.len()).collect();
        self.drop_refused(left, Isolated { good: BTreeSet::new(), culprits: BTreeMap::new(), undecided });
    }

    /// Drops the files that the search has found, or has not come to.
    fn drop_refused(&mut self, changed: &[Rendered], found: Isolated) {
        let undecided = found.undecided.into_iter().map(|file| (file, StepFailure::undecided()));
        for (position, failure) in found.culprits.into_iter().chain(undecided) {
            let Some(Rendered { resource, bytes }) = changed.get(position) else { continue };
            turns::remember(self.context, &self.group.id, resource, plan::hash(bytes), &failure);
            self.report.dropped.push((resource.id.clone(), failure));
        }
    }

    /// Checks the tree as it was, without any of the files.
    async fn as_it_was(&mut self) -> Result<(), CheckRefusal> {
        let Some(check) = self.group.check.as_ref().filter(|check| !check.names_a_file()) else { return Ok(()) };
        let text = check.shell_text(Path::new(""), Path::new(""));
        let finished = process::run_shell(&text, check.timeout).await;
        let (elapsed, succeeded) = (finished.elapsed, finished.succeeded());
        self.report.commands.push(CommandRun { kind: CommandKind::Check, elapsed, succeeded });
        if finished.succeeded() {
            return Ok(());
        }
        Err(CheckRefusal {
            failure: failure::of_command(Stage::Check, "check_cmd", &check.text, &finished),
            blamed: None,
        })
    }
}

fn blame(changed: &[Rendered], failure: StepFailure) -> CheckRefusal {
    let named = error_log::blamed_file(&failure.output).map(Path::new);
    let blamed = changed.iter().position(|rendered| named == Some(rendered.resource.dest.as_path()));
    CheckRefusal { failure, blamed }
}
