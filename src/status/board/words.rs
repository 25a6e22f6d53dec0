//! Words in metrics for outcomes of passes, reloads and commands. Never a name from conf.d or the store.

use crate::model::report::{CommandKind, Outcome, Report, Stage};

/// Returns the outcome's word in metrics.
pub fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Unchanged => "unchanged",
        Outcome::Applied => "applied",
        Outcome::ReloadOwed { .. } => "reload_owed",
        Outcome::Rejected(_) => "rejected",
        Outcome::RolledBack { .. } => "rolled_back",
        Outcome::Stuck { .. } => "stuck",
    }
}

/// Returns the word in metrics for the outcome of a pass's reload; `None` if there was no reload.
pub(super) fn reload_word(report: &Report) -> Option<&'static str> {
    let at_reload = |stage: Stage| matches!(stage, Stage::Reload | Stage::Verify);
    match &report.outcome {
        outcome if outcome.is_final() || is_only_unrecorded(outcome) => {
            let word = if report.verified.is_some() { "verified" } else { "unverified" };
            report.reload_ran.then_some(word)
        }
        Outcome::ReloadOwed { nothing_runs: true, .. } => Some("nothing_runs"),
        Outcome::ReloadOwed { .. } => Some("failed"),
        Outcome::RolledBack { cause, .. } if at_reload(cause.at) => Some("rolled_back"),
        Outcome::Stuck { cause, .. } if at_reload(cause.at) => Some("stuck"),
        _ => None,
    }
}

/// Returns whether checked files are in place and nginx is not up: it reads them when it starts.
pub(super) fn nothing_runs(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::ReloadOwed { nothing_runs: true, .. })
}

/// Returns whether all is live and verified, and only the journal does not say so.
pub(super) fn is_only_unrecorded(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::ReloadOwed { cause, .. } if cause.at == Stage::Commit)
}

/// Returns a command's word in metrics.
pub fn command_word(kind: CommandKind) -> &'static str {
    match kind {
        CommandKind::Check => "check",
        CommandKind::Reload => "reload",
    }
}
