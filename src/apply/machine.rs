//! The order of a transaction. Pure, a state machine without effects: it names the next step, takes the answer, and ends in
//! one outcome. Illegal orders cannot be expressed; every failure at or after install leads to `Restore`.

use crate::model::report::{Failure, Outcome};
use crate::model::resource::OnReloadFailure;

/// How the group's check judges the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// There is no check.
    None,
    /// It names the staged file: run once for each, before install.
    OfStagedFiles,
    /// It judges the whole tree: run where the staged files are seen in place, before install.
    OfFutureTree,
    /// It judges the whole tree, and no namespace is to be had: run after install, undo on failure.
    OfLiveTree,
}

/// What the machine must know before it starts.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Files have to be written or proven; without that only a reload is owed.
    pub has_files: bool,
    /// How they are checked.
    pub check: Check,
    /// There is a reload.
    pub has_reload: bool,
    /// What a failed reload does.
    pub on_reload_failure: OnReloadFailure,
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Run the check on each staged file.
    CheckStaged,
    /// Run the check where the staged files lie over their destinations.
    CheckFuture,
    /// Back up what is there and note in the journal what is about to happen.
    Record,
    /// Rename every staged file into place.
    Install,
    /// Run the check on the live tree.
    CheckLive,
    /// Run the reload.
    Reload,
    /// Prove that it took.
    Verify,
    /// Put every previous file back.
    Restore,
    /// Reload the previous configuration.
    ReloadOld,
    /// Note in the journal what is live now, and whether a reload is still owed.
    Commit {
        /// The reload has not been done.
        reload_owed: bool,
    },
}

/// What came of a step.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It succeeded.
    Done,
    /// It failed.
    Failed(Failure),
    /// `CheckFuture` only: no namespace is to be had, the check has not run.
    Unavailable,
    /// `Reload` only: it could not succeed, because nothing runs that could be reloaded.
    NothingRuns {
        /// What the command said.
        failure: Failure,
        /// That is certain (nginx has no master), not only likely.
        certain: bool,
    },
    /// `Verify` only: what was reloaded serves the new configuration, and something beside it still the previous one.
    HalfDone(Failure),
    /// `Reload` and `Verify` only: refused, and the previous configuration is known to run on.
    Refused(Failure),
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Do this and come back with the answer.
    Do(Step),
    /// It is over.
    End(Outcome),
}

/// A transaction under way.
#[derive(Clone, Debug)]
pub struct Machine {
    plan: Plan,
    doing: Step,
    /// What made us restore, and whether the previous configuration must be reloaded then.
    cause: Option<Failure>,
    reload_old: bool,
    /// Why the reload is owed.
    owed: Option<(Failure, bool)>,
}

impl Machine {
    /// A machine and its first step.
    pub fn start(plan: Plan) -> (Machine, Step) {
        let first = match (plan.has_files, plan.check) {
            (false, _) => Step::Reload,
            (true, Check::OfStagedFiles) => Step::CheckStaged,
            (true, Check::OfFutureTree) => Step::CheckFuture,
            (true, Check::None | Check::OfLiveTree) => Step::Record,
        };
        (Machine { plan, doing: first, cause: None, reload_old: false, owed: None }, first)
    }

    /// Takes the answer to the step that was asked for last.
    pub fn answer(&mut self, answer: Answer) -> Next {
        match (self.doing, answer) {
            (Step::CheckStaged | Step::CheckFuture, Answer::Done) => self.go(Step::Record),
            (Step::CheckFuture, Answer::Unavailable) => {
                self.plan.check = Check::OfLiveTree;
                self.go(Step::Record)
            }
            (Step::CheckStaged | Step::CheckFuture | Step::Record, answer) => match failure_of(answer) {
                Some(failure) => Next::End(Outcome::Rejected(failure)),
                None => self.go(Step::Install),
            },
            (Step::Install, answer) => match failure_of(answer) {
                Some(failure) => self.restore(failure, false),
                None if self.plan.check == Check::OfLiveTree => self.go(Step::CheckLive),
                None => self.reload_or_commit(),
            },
            (Step::CheckLive, answer) => match failure_of(answer) {
                Some(failure) => self.restore(failure, false),
                None => self.reload_or_commit(),
            },
            (Step::Reload, answer) => self.after_reload(answer),
            (Step::Verify, Answer::HalfDone(failure)) => self.owe(failure, false),
            (Step::Verify, answer) => {
                let still_old = matches!(answer, Answer::Refused(_));
                match failure_of(answer) {
                    Some(failure) => self.reload_failed(failure, !still_old),
                    None => self.go(Step::Commit { reload_owed: false }),
                }
            }
            (Step::Commit { .. }, answer) => self.after_commit(failure_of(answer)),
            (Step::Restore, answer) => self.after_restore(failure_of(answer)),
            (Step::ReloadOld, answer) => self.rolled_back(failure_of(answer)),
        }
    }

    fn go(&mut self, step: Step) -> Next {
        self.doing = step;
        Next::Do(step)
    }

    fn reload_or_commit(&mut self) -> Next {
        self.go(if self.plan.has_reload { Step::Reload } else { Step::Commit { reload_owed: false } })
    }

    fn after_reload(&mut self, answer: Answer) -> Next {
        match answer {
            Answer::Done => self.go(Step::Verify),
            Answer::NothingRuns { failure, certain } => {
                if self.plan.on_reload_failure == OnReloadFailure::Rollback && self.plan.has_files {
                    self.restore(failure, false)
                } else {
                    self.owe(failure, certain)
                }
            }
            Answer::Refused(failure) => self.reload_failed(failure, false),
            Answer::Failed(failure) | Answer::HalfDone(failure) => self.reload_failed(failure, true),
            Answer::Unavailable => self.go(Step::Verify),
        }
    }

    fn reload_failed(&mut self, failure: Failure, reload_old: bool) -> Next {
        if !self.plan.has_files || self.plan.on_reload_failure == OnReloadFailure::Keep {
            self.owe(failure, false)
        } else {
            self.restore(failure, reload_old)
        }
    }

    fn owe(&mut self, failure: Failure, nothing_runs: bool) -> Next {
        self.owed = Some((failure, nothing_runs));
        self.go(Step::Commit { reload_owed: true })
    }

    fn restore(&mut self, cause: Failure, reload_old: bool) -> Next {
        self.cause = Some(cause);
        self.reload_old = reload_old;
        self.go(Step::Restore)
    }

    fn after_commit(&mut self, failure: Option<Failure>) -> Next {
        Next::End(match (self.owed.take(), failure) {
            (Some((cause, nothing_runs)), _) => Outcome::ReloadOwed { cause, nothing_runs },
            (None, None) => Outcome::Applied,
            // Live and verified, but nobody will remember it: the next start proves it once more.
            (None, Some(failure)) => Outcome::ReloadOwed { cause: failure, nothing_runs: false },
        })
    }

    fn after_restore(&mut self, failure: Option<Failure>) -> Next {
        match (failure, self.reload_old) {
            (None, true) => self.go(Step::ReloadOld),
            (None, false) => self.rolled_back(None),
            (Some(undo), _) => match self.cause.take() {
                Some(cause) => Next::End(Outcome::Stuck { cause, undo }),
                None => Next::End(Outcome::Rejected(undo)),
            },
        }
    }

    fn rolled_back(&mut self, reload_old: Option<Failure>) -> Next {
        match self.cause.take() {
            Some(cause) => Next::End(Outcome::RolledBack { cause, reload_old }),
            None => Next::End(Outcome::Applied),
        }
    }
}

fn failure_of(answer: Answer) -> Option<Failure> {
    match answer {
        Answer::Done | Answer::Unavailable => None,
        Answer::Failed(failure)
        | Answer::Refused(failure)
        | Answer::HalfDone(failure)
        | Answer::NothingRuns { failure, .. } => Some(failure),
    }
}

#[cfg(test)]
mod tests;
