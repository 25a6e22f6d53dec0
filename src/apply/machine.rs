//! The order of a transaction, as steps without effects. Each step accepts only its own type of answer and returns what
//! follows, so that illegal orders cannot be expressed; every failure at or after install leads to `Restore`. Pure: others
//! act.

use std::fmt;

use crate::model::report::{Outcome, Stage, StepFailure};
use crate::model::resource::OnReloadFailure;

/// The way in which the group's check judges the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// There is no check.
    None,
    /// It names the staged file: run once per file, before install.
    OfStagedFiles,
    /// It judges the whole tree: run with the staged files mounted in place, before install.
    OfFutureTree,
    /// It judges the whole tree, and no mount namespace can show it: run after install, undo on failure.
    OfLiveTree,
}

/// The facts known before the first step.
#[derive(Clone, Copy, Debug)]
pub struct TransactionPlan {
    /// Whether files have to be written or proven; otherwise only a reload is owed.
    pub has_files: bool,
    /// Kind of check.
    pub check: CheckKind,
    /// Whether there is a reload.
    pub has_reload: bool,
    /// Reaction to a failed reload.
    pub on_reload_failure: OnReloadFailure,
}

/// One thing to do, with the answer that it expects.
#[derive(Clone)]
pub enum Step {
    /// Run the check on each staged file.
    CheckStaged(Awaiting<TransactionPlan, Done>),
    /// Run the check with the staged files over their destinations.
    CheckFuture(Awaiting<TransactionPlan, FutureCheck>),
    /// Back up the existing files and note the plan in the journal.
    Record(Awaiting<TransactionPlan, Done>),
    /// Rename every staged file into place.
    Install(Awaiting<TransactionPlan, Done>),
    /// Run the check on the live tree.
    CheckLive(Awaiting<TransactionPlan, Done>),
    /// Run the reload.
    Reload(Awaiting<TransactionPlan, Reloaded>),
    /// Prove that the reload took effect.
    Verify(Awaiting<TransactionPlan, ReloadProof>),
    /// Put every previous file back.
    Restore(Awaiting<Undo, Done>),
    /// Reload the previous configuration.
    ReloadOld(Awaiting<Undo, Done>),
    /// Note in the journal what is live now, and whether a reload is still owed.
    Commit(Awaiting<Option<OwedReload>, Done>),
}

impl Step {
    /// Returns the stage that it belongs to, for people.
    pub fn stage(&self) -> Stage {
        match self {
            Step::CheckStaged(_) | Step::CheckFuture(_) | Step::CheckLive(_) => Stage::Check,
            Step::Record(_) => Stage::Record,
            Step::Install(_) => Stage::Install,
            Step::Reload(_) | Step::ReloadOld(_) => Stage::Reload,
            Step::Verify(_) => Stage::Verify,
            Step::Restore(_) => Stage::Restore,
            Step::Commit(_) => Stage::Commit,
        }
    }
}

/// The answer of a step that succeeds or fails.
pub type Done = Result<(), StepFailure>;

/// The answer of `CheckFuture`.
#[derive(Clone, Debug)]
pub enum FutureCheck {
    /// The check accepts the files.
    Passed,
    /// It refuses them.
    Refused(StepFailure),
    /// No mount namespace can show the files: the check has not run.
    Unavailable,
}

/// The answer of `Reload`.
#[derive(Clone, Debug)]
pub enum Reloaded {
    /// It succeeded.
    Done,
    /// It failed, and may have stopped what ran before.
    Failed(StepFailure),
    /// It failed, and the previous configuration is known to run on.
    Refused(StepFailure),
    /// It could not succeed, because nothing runs that could be reloaded.
    NothingRuns {
        /// Failure of the command.
        failure: StepFailure,
        /// Whether this is certain (nginx has no master) and not only likely.
        certain: bool,
    },
}

/// The answer of `Verify`.
#[derive(Clone, Debug)]
pub enum ReloadProof {
    /// The new configuration serves, and only that.
    Done,
    /// The reloaded nginx serves the new configuration, but a different process still serves the previous one.
    HalfDone(StepFailure),
    /// The new configuration does not serve, and the previous one may not either.
    Failed(StepFailure),
    /// The new configuration was refused, and the previous one is known to run on.
    Refused(StepFailure),
}

/// The continuation after an answer.
#[derive(Clone)]
pub enum Next {
    /// Do this and answer it.
    Do(Step),
    /// It is over.
    End(Outcome),
}

/// A step that waits for an answer of type `A`.
#[derive(Clone)]
pub struct Awaiting<S, A> {
    state: S,
    then: fn(S, A) -> Next,
}

/// A failure at or after install, while the previous files are put back.
#[derive(Clone, Debug)]
pub struct Undo {
    cause: StepFailure,
    /// Whether the previous configuration may not be running: it is reloaded once its files are back.
    reload_old: bool,
}

/// The reason why a reload stays owed.
#[derive(Clone, Debug)]
pub struct OwedReload {
    cause: StepFailure,
    nothing_runs: bool,
}

impl<S, A> Awaiting<S, A> {
    /// Returns what follows from the step's answer.
    pub fn answer(self, answer: A) -> Next {
        (self.then)(self.state, answer)
    }
}

impl Awaiting<Option<OwedReload>, Done> {
    /// Returns whether the commit has to note a reload that is still owed.
    pub fn reload_owed(&self) -> bool {
        self.state.is_some()
    }
}

/// Returns the first step of a transaction.
pub fn start(plan: TransactionPlan) -> Step {
    match (plan.has_files, plan.check) {
        (false, _) => Step::Reload(Awaiting { state: plan, then: after_reload }),
        (true, CheckKind::OfStagedFiles) => Step::CheckStaged(Awaiting { state: plan, then: after_staged_check }),
        (true, CheckKind::OfFutureTree) => Step::CheckFuture(Awaiting { state: plan, then: after_future_check }),
        (true, CheckKind::None | CheckKind::OfLiveTree) => record(plan),
    }
}

fn record(plan: TransactionPlan) -> Step {
    Step::Record(Awaiting { state: plan, then: after_record })
}

fn after_staged_check(plan: TransactionPlan, done: Done) -> Next {
    match done {
        Ok(()) => Next::Do(record(plan)),
        Err(failure) => Next::End(Outcome::Rejected(failure)),
    }
}

fn after_future_check(plan: TransactionPlan, checked: FutureCheck) -> Next {
    match checked {
        FutureCheck::Passed => Next::Do(record(plan)),
        FutureCheck::Refused(failure) => Next::End(Outcome::Rejected(failure)),
        FutureCheck::Unavailable => Next::Do(record(TransactionPlan { check: CheckKind::OfLiveTree, ..plan })),
    }
}

fn after_record(plan: TransactionPlan, done: Done) -> Next {
    match done {
        Ok(()) => Next::Do(Step::Install(Awaiting { state: plan, then: after_install })),
        Err(failure) => Next::End(Outcome::Rejected(failure)),
    }
}

fn after_install(plan: TransactionPlan, done: Done) -> Next {
    match done {
        Ok(()) if plan.check == CheckKind::OfLiveTree => {
            Next::Do(Step::CheckLive(Awaiting { state: plan, then: after_live_check }))
        }
        done => after_live_check(plan, done),
    }
}

/// Returns what follows when the files are in place and every check has passed or refused them.
fn after_live_check(plan: TransactionPlan, done: Done) -> Next {
    match done {
        Ok(()) if plan.has_reload => Next::Do(Step::Reload(Awaiting { state: plan, then: after_reload })),
        Ok(()) => commit(None),
        Err(cause) => restore(Undo { cause, reload_old: false }),
    }
}

fn after_reload(plan: TransactionPlan, reloaded: Reloaded) -> Next {
    match reloaded {
        Reloaded::Done => Next::Do(Step::Verify(Awaiting { state: plan, then: after_verify })),
        Reloaded::NothingRuns { failure, .. }
            if plan.on_reload_failure == OnReloadFailure::Rollback && plan.has_files =>
        {
            restore(Undo { cause: failure, reload_old: false })
        }
        Reloaded::NothingRuns { failure, certain } => {
            commit(Some(OwedReload { cause: failure, nothing_runs: certain }))
        }
        Reloaded::Refused(failure) => reload_failed(plan, failure, false),
        Reloaded::Failed(failure) => reload_failed(plan, failure, true),
    }
}

fn after_verify(plan: TransactionPlan, proof: ReloadProof) -> Next {
    match proof {
        ReloadProof::Done => commit(None),
        ReloadProof::HalfDone(cause) => commit(Some(OwedReload { cause, nothing_runs: false })),
        ReloadProof::Refused(failure) => reload_failed(plan, failure, false),
        ReloadProof::Failed(failure) => reload_failed(plan, failure, true),
    }
}

fn reload_failed(plan: TransactionPlan, cause: StepFailure, reload_old: bool) -> Next {
    if !plan.has_files || plan.on_reload_failure == OnReloadFailure::Keep {
        commit(Some(OwedReload { cause, nothing_runs: false }))
    } else {
        restore(Undo { cause, reload_old })
    }
}

fn commit(owed: Option<OwedReload>) -> Next {
    Next::Do(Step::Commit(Awaiting { state: owed, then: after_commit }))
}

fn after_commit(owed: Option<OwedReload>, done: Done) -> Next {
    Next::End(match (owed, done) {
        (Some(OwedReload { cause, nothing_runs }), _) => Outcome::ReloadOwed { cause, nothing_runs },
        (None, Ok(())) => Outcome::Applied,
        // Live and verified, but not recorded: the next pass records it.
        (None, Err(cause)) => Outcome::ReloadOwed { cause, nothing_runs: false },
    })
}

fn restore(undo: Undo) -> Next {
    Next::Do(Step::Restore(Awaiting { state: undo, then: after_restore }))
}

fn after_restore(undo: Undo, done: Done) -> Next {
    match done {
        Err(failure) => Next::End(Outcome::Stuck { cause: undo.cause, undo: failure }),
        Ok(()) if undo.reload_old => Next::Do(Step::ReloadOld(Awaiting { state: undo, then: after_old_reload })),
        Ok(()) => Next::End(Outcome::RolledBack { cause: undo.cause, reload_old: None }),
    }
}

fn after_old_reload(undo: Undo, done: Done) -> Next {
    Next::End(Outcome::RolledBack { cause: undo.cause, reload_old: done.err() })
}

impl Reloaded {
    /// Returns the failure in it, for callers that only need to know whether it succeeded.
    pub fn into_done(self) -> Done {
        match self {
            Reloaded::Done => Ok(()),
            Reloaded::Failed(failure) | Reloaded::Refused(failure) | Reloaded::NothingRuns { failure, .. } => {
                Err(failure)
            }
        }
    }
}

impl ReloadProof {
    /// Returns the failure in it, for callers that only need to know whether it succeeded.
    pub fn into_done(self) -> Done {
        match self {
            ReloadProof::Done => Ok(()),
            ReloadProof::HalfDone(failure) | ReloadProof::Failed(failure) | ReloadProof::Refused(failure) => {
                Err(failure)
            }
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::CheckStaged(_) => "CheckStaged",
            Step::CheckFuture(_) => "CheckFuture",
            Step::Record(_) => "Record",
            Step::Install(_) => "Install",
            Step::CheckLive(_) => "CheckLive",
            Step::Reload(_) => "Reload",
            Step::Verify(_) => "Verify",
            Step::Restore(_) => "Restore",
            Step::ReloadOld(_) => "ReloadOld",
            Step::Commit(asked) if asked.reload_owed() => "CommitOwed",
            Step::Commit(_) => "Commit",
        })
    }
}

#[cfg(test)]
mod tests;
