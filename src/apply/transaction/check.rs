//! The steps of a transaction that judge its files. A refused file is left out if the others pass without it. Never
//! installs.

use std::collections::BTreeSet;
use std::path::Path;

use crate::apply::isolate::{CheckRefusal, Search};
use crate::apply::machine::{Done, FutureCheck};
use crate::apply::plan::FileAction;
use crate::apply::staging::{self, StagedFile};
use crate::apply::{Context, failure, nginx};
use crate::model::report::{CommandKind, CommandRun, Stage, StepFailure};
use crate::model::resource::CommandLine;
use crate::nginx::error_log;
use crate::world::fs::entry::FileEntry;
use crate::world::namespace::{self, Checked, Overlay};
use crate::world::process::{self, FinishedCommand};

use super::{Transaction, named, turns};

impl Transaction {
    /// Runs a check that names the staged file on each; the files that it refuses drop out. Once one is refused, so do those that it
    /// does not come to in the time of a search.
    pub(super) async fn check_staged(&mut self, context: &Context) -> Done {
        let Some(command) = self.group.check.clone() else { return Ok(()) };
        let mut refused: Vec<(usize, StepFailure)> = Vec::new();
        for position in self.changed_positions() {
            // A removed file cannot be judged by itself.
            if self.files[position].action == FileAction::Remove {
                continue;
            }
            if !(refused.is_empty() || self.patience.is_left(context.exclusion.is_awaited())) {
                refused.push((position, StepFailure::undecided()));
                continue;
            }
            let file = &self.files[position];
            let text = command.shell_text(&file.staged.as_ref().unwrap_or(&file.target).path(), file.dest());
            let finished = process::run_shell(&text, command.timeout).await;
            self.note_check(context, &finished);
            if !finished.succeeded() {
                refused.push((position, self.refusal(&command, &finished)));
            }
        }
        self.leave_out(context, refused)
    }

    /// Runs the check on the live tree, with the new files in place.
    pub(super) async fn check_live(&mut self, context: &Context) -> Done {
        let Some(command) = self.group.check.clone() else { return Ok(()) };
        for text in self.check_texts(&command, &self.changed_positions()) {
            let finished = process::run_shell(&text, command.timeout).await;
            self.note_check(context, &finished);
            if !finished.succeeded() {
                return Err(self.refusal(&command, &finished));
            }
        }
        Ok(())
    }

    /// Runs the check with the staged files mounted in place. If it refuses, searches for the files that it refuses.
    pub(super) async fn check_future(&mut self, context: &Context) -> FutureCheck {
        let all = self.changed_positions();
        let refused = match self.try_future(context, &all).await {
            FutureCheck::Refused(failure) => failure,
            passed_or_unavailable => return passed_or_unavailable,
        };
        let staged: Vec<usize> = all.iter().copied().filter(|file| self.files[*file].differs()).collect();
        if staged.len() < 2 {
            self.remember(context, &staged, &refused);
            return FutureCheck::Refused(refused);
        }
        let mut search = Search::start(staged, |file| self.files[file].existed, self.blame(refused.clone()));
        while let Some(trial) = search.next_trial().filter(|_| self.patience.is_left(context.exclusion.is_awaited())) {
            search.answer(match self.try_future(context, &trial.into_iter().collect::<Vec<_>>()).await {
                FutureCheck::Passed => Ok(()),
                FutureCheck::Unavailable => return FutureCheck::Unavailable,
                FutureCheck::Refused(failure) => Err(self.blame(failure)),
            });
        }
        let done = match search.found() {
            Some(found) => {
                let undecided = found.undecided.into_iter().map(|file| (file, StepFailure::undecided()));
                self.leave_out(context, found.culprits.into_iter().chain(undecided).collect())
            }
            None => Err(refused),
        };
        done.map_or_else(FutureCheck::Refused, |()| FutureCheck::Passed)
    }

    /// Runs the check with only these files mounted in place.
    async fn try_future(&mut self, context: &Context, files: &[usize]) -> FutureCheck {
        let Some(command) = self.group.check.clone() else { return FutureCheck::Passed };
        let overlay = |file: &StagedFile| Overlay {
            staged: file.staged.as_ref().map(FileEntry::path),
            target: file.target.path(),
            dest: file.dest().clone(),
        };
        let differing = files.iter().map(|file| &self.files[*file]).filter(|file| file.differs());
        let overlays: Vec<Overlay> = differing.map(overlay).collect();
        for text in self.check_texts(&command, files) {
            let checked = if overlays.is_empty() {
                Checked::Ran(process::run_shell(&text, command.timeout).await)
            } else {
                namespace::check(&text, overlays.clone(), command.timeout).await
            };
            match checked {
                Checked::Ran(finished) => {
                    self.note_check(context, &finished);
                    if !finished.succeeded() {
                        return FutureCheck::Refused(self.refusal(&command, &finished));
                    }
                }
                Checked::NotPermitted(problem) => {
                    context.note_namespace_refused();
                    self.report.warnings.extend(context.once(format!(
                        "no private mount namespace is available ({problem}): checks of the whole tree run after the \
                         files are in place, and put the previous ones back when they fail; CAP_SYS_ADMIN allows it"
                    )));
                    return FutureCheck::Unavailable;
                }
                Checked::NotShown(problem) => {
                    self.report.warnings.extend(context.once(format!(
                        "a check of the whole tree cannot see new files before they are in place ({problem}): it runs \
                         right after they are, and the previous files come back if it fails"
                    )));
                    return FutureCheck::Unavailable;
                }
            }
        }
        FutureCheck::Passed
    }

    /// Returns the check's shell texts: one per file if it names a file, else one.
    fn check_texts(&self, command: &CommandLine, files: &[usize]) -> Vec<String> {
        if !command.names_a_file() {
            return vec![command.shell_text(Path::new(""), Path::new(""))];
        }
        let text = |file: &StagedFile| command.shell_text(&file.target.path(), file.dest());
        let there = files.iter().map(|file| &self.files[*file]).filter(|file| file.action != FileAction::Remove);
        there.map(text).collect()
    }

    /// Remembers that the check has refused these files, or has not come to them.
    fn remember(&self, context: &Context, files: &[usize], failure: &StepFailure) {
        for file in files.iter().map(|file| &self.files[*file]).filter(|file| file.staged.is_some()) {
            turns::remember(context, &self.group.id, &file.resource, file.hash.clone(), failure);
        }
    }

    fn changed_positions(&self) -> Vec<usize> {
        (0..self.files.len()).filter(|file| self.files[*file].action != FileAction::Keep).collect()
    }

    /// Returns the failure of a check, with the place that nginx blames if it is in one of our files.
    fn refusal(&self, command: &CommandLine, finished: &FinishedCommand) -> StepFailure {
        let failure = failure::of_command(Stage::Check, "check_cmd", &command.text, finished);
        let blamed = error_log::blamed_place(&failure.output);
        let place = blamed.and_then(|(named, line)| Some((self.files[self.named(named)?].dest().clone(), line)));
        StepFailure { place, ..failure }
    }

    /// Returns the failure with the file that nginx blames for it.
    fn blame(&self, failure: StepFailure) -> CheckRefusal {
        let blamed = error_log::blamed_file(&failure.output).and_then(|named| self.named(named));
        CheckRefusal { blamed, failure }
    }

    /// Returns the position of the file that a message names.
    fn named(&self, path: &str) -> Option<usize> {
        let path = Path::new(path);
        let is_staged = |file: &StagedFile| file.staged.as_ref().is_some_and(|staged| staged.path() == path);
        self.files.iter().position(|file| path == file.target.path() || path == file.dest() || is_staged(file))
    }

    /// Records the duration of a check and the warnings of nginx.
    fn note_check(&mut self, context: &Context, finished: &FinishedCommand) {
        self.check_time = self.check_time.max(finished.elapsed);
        let (elapsed, succeeded) = (finished.elapsed, finished.succeeded());
        self.report.commands.push(CommandRun { kind: CommandKind::Check, elapsed, succeeded });
        if self.nginx.is_some() && finished.succeeded() {
            let warnings = nginx::warnings(&finished.output);
            self.report.warnings.extend(warnings.filter_map(|warning| context.once(warning)));
        }
    }

    /// Goes on without the refused files, if any others are left.
    fn leave_out(&mut self, context: &Context, refused: Vec<(usize, StepFailure)>) -> Done {
        let Some((_, first)) = refused.first().cloned() else { return Ok(()) };
        for (position, failure) in &refused {
            self.remember(context, &[*position], failure);
        }
        let undecided = refused.iter().find(|(_, failure)| failure.is_undecided());
        let first = undecided.map_or(first, |(_, undecided)| undecided.clone());
        let positions: BTreeSet<usize> = refused.iter().map(|(position, _)| *position).collect();
        if self.changed_positions().iter().all(|position| positions.contains(position)) {
            return Err(first);
        }
        for (position, failure) in refused {
            let file = &self.files[position];
            let failure = match file.action {
                FileAction::Remove => StepFailure {
                    message: format!("without `{}`: {}", file.dest().display(), failure.message),
                    ..failure
                },
                _ => failure,
            };
            self.report.dropped.push((file.resource.id.clone(), failure));
        }
        let mut position = 0;
        self.files.retain(|file| {
            let stays = !positions.contains(&position);
            position += 1;
            if !stays {
                file.staged.iter().for_each(|staged| staging::discard(context, staged));
            }
            stays
        });
        (self.report.files, self.report.removed, _) = named(&mut self.files);
        Ok(())
    }
}
