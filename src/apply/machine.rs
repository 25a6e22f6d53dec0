//! The order of a transaction, as steps without effects. Each step takes an answer of its own type and gives what follows, so
//! that illegal orders cannot be expressed; every failure at or after install leads to `Restore`. Pure: others act.

use std::fmt;

use crate::model::report::{Outcome, StepFailure};
use crate::model::resource::OnReloadFailure;

/// How the group's check judges the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// There is no check.
    None,
    /// It names the staged file: run once for each, before install.
    OfStagedFiles,
    /// It judges the whole tree: run where the staged files are seen in place, before install.
    OfFutureTree,
    /// It judges the whole tree, and no mount namespace is available: run after install, undo on failure.
    OfLiveTree,
}

/// What is known before the first step.
#[derive(Clone, Copy, Debug)]
pub struct TransactionPlan {
    /// Files have to be written or proven; without that only a reload is owed.
    pub has_files: bool,
    /// How they are checked.
    pub check: CheckKind,
    /// There is a reload.
    pub has_reload: bool,
    /// What a failed reload does.
    pub on_reload_failure: OnReloadFailure,
}

/// One thing to do, and the answer that it takes.
#[derive(Clone)]
pub enum Step {
    /// Run the check on each staged file.
    CheckStaged(Asked<TransactionPlan, Done>),
    /// Run the check where the staged files lie over their destinations.
    CheckFuture(Asked<TransactionPlan, FutureCheck>),
    /// Back up what is there and note in the journal what is about to happen.
    Record(Asked<TransactionPlan, Done>),
    /// Rename every staged file into place.
    Install(Asked<TransactionPlan, Done>),
    /// Run the check on the live tree.
    CheckLive(Asked<TransactionPlan, Done>),
    /// Run the reload.
    Reload(Asked<TransactionPlan, Reloaded>),
    /// Prove that it took.
    Verify(Asked<TransactionPlan, Proof>),
    /// Put every previous file back.
    Restore(Asked<Undo, Done>),
    /// Reload the previous configuration.
    ReloadOld(Asked<Undo, Done>),
    /// Note in the journal what is live now, and whether a reload is still owed.
    Commit(Asked<Option<OwedReload>, Done>),
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
    /// No mount namespace is available: the check has not run.
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
        /// What the command said.
        failure: StepFailure,
        /// That is certain (nginx has no master), not only likely.
        certain: bool,
    },
}

/// The answer of `Verify`.
#[derive(Clone, Debug)]
pub enum Proof {
    /// The new configuration serves, and only that.
    Done,
    /// What was reloaded serves the new configuration, and something beside it still the previous one.
    HalfDone(StepFailure),
    /// The new configuration does not serve, and the previous one may not either.
    Failed(StepFailure),
    /// The new configuration was refused, and the previous one is known to run on.
    Refused(StepFailure),
}

/// What follows an answer.
#[derive(Clone)]
pub enum Next {
    /// Do this and answer it.
    Do(Step),
    /// It is over.
    End(Outcome),
}

/// A step that waits for an answer of type `A`.
#[derive(Clone)]
pub struct Asked<S, A> {
    state: S,
    then: fn(S, A) -> Next,
}

/// A failure at or after install, while the previous files are put back.
#[derive(Clone, Debug)]
pub struct Undo {
    cause: StepFailure,
    /// The previous configuration may not run on: reload it once its files are back.
    reload_old: bool,
}

/// Why a reload stays owed.
#[derive(Clone, Debug)]
pub struct OwedReload {
    cause: StepFailure,
    nothing_runs: bool,
}

impl<S, A> Asked<S, A> {
    /// Returns what follows from the step's answer.
    pub fn answer(self, answer: A) -> Next {
        (self.then)(self.state, answer)
    }
}

impl Asked<Option<OwedReload>, Done> {
    /// Returns whether the commit has to note a reload that is still owed.
    pub fn reload_owed(&self) -> bool {
        self.state.is_some()
    }
}

/// Returns the first step of a transaction.
pub fn start(plan: TransactionPlan) -> Step {
    match (plan.has_files, plan.check) {
        (false, _) => Step::Reload(Asked { state: plan, then: after_reload }),
        (true, CheckKind::OfStagedFiles) => Step::CheckStaged(Asked { state: plan, then: after_staged_check }),
        (true, CheckKind::OfFutureTree) => Step::CheckFuture(Asked { state: plan, then: after_future_check }),
        (true, CheckKind::None | CheckKind::OfLiveTree) => record(plan),
    }
}

fn record(plan: TransactionPlan) -> Step {
    Step::Record(Asked { state: plan, then: after_record })
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
        Ok(()) => Next::Do(Step::Install(Asked { state: plan, then: after_install })),
        Err(failure) => Next::End(Outcome::Rejected(failure)),
    }
}

fn after_install(plan: TransactionPlan, done: Done) -> Next {
    match done {
        Ok(()) if plan.check == CheckKind::OfLiveTree => {
            Next::Do(Step::CheckLive(Asked { state: plan, then: after_live_check }))
        }
        done => after_live_check(plan, done),
    }
}

/// The files are in place, and every check has passed or refused them.
fn after_live_check(plan: TransactionPlan, done: Done) -> Next {
    match done {
        Ok(()) if plan.has_reload => Next::Do(Step::Reload(Asked { state: plan, then: after_reload })),
        Ok(()) => commit(None),
        Err(cause) => restore(Undo { cause, reload_old: false }),
    }
}

fn after_reload(plan: TransactionPlan, reloaded: Reloaded) -> Next {
    match reloaded {
        Reloaded::Done => Next::Do(Step::Verify(Asked { state: plan, then: after_verify })),
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

fn after_verify(plan: TransactionPlan, proof: Proof) -> Next {
    match proof {
        Proof::Done => commit(None),
        Proof::HalfDone(cause) => commit(Some(OwedReload { cause, nothing_runs: false })),
        Proof::Refused(failure) => reload_failed(plan, failure, false),
        Proof::Failed(failure) => reload_failed(plan, failure, true),
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
    Next::Do(Step::Commit(Asked { state: owed, then: after_commit }))
}

fn after_commit(owed: Option<OwedReload>, done: Done) -> Next {
    Next::End(match (owed, done) {
        (Some(OwedReload { cause, nothing_runs }), _) => Outcome::ReloadOwed { cause, nothing_runs },
        (None, Ok(())) => Outcome::Applied,
        // Live and verified, but nobody will remember it: the next start proves it once more.
        (None, Err(cause)) => Outcome::ReloadOwed { cause, nothing_runs: false },
    })
}

fn restore(undo: Undo) -> Next {
    Next::Do(Step::Restore(Asked { state: undo, then: after_restore }))
}

fn after_restore(undo: Undo, done: Done) -> Next {
    match done {
        Err(failure) => Next::End(Outcome::Stuck { cause: undo.cause, undo: failure }),
        Ok(()) if undo.reload_old => Next::Do(Step::ReloadOld(Asked { state: undo, then: after_old_reload })),
        Ok(()) => Next::End(Outcome::RolledBack { cause: undo.cause, reload_old: None }),
    }
}

fn after_old_reload(undo: Undo, done: Done) -> Next {
    Next::End(Outcome::RolledBack { cause: undo.cause, reload_old: done.err() })
}

impl Reloaded {
    /// Returns the failure in it, for callers that only ask whether it succeeded.
    pub fn into_done(self) -> Done {
        match self {
            Reloaded::Done => Ok(()),
            Reloaded::Failed(failure) | Reloaded::Refused(failure) | Reloaded::NothingRuns { failure, .. } => {
                Err(failure)
            }
        }
    }
}

impl Proof {
    /// Returns the failure in it, for callers that only ask whether it succeeded.
    pub fn into_done(self) -> Done {
        match self {
            Proof::Done => Ok(()),
            Proof::HalfDone(failure) | Proof::Failed(failure) | Proof::Refused(failure) => Err(failure),
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
