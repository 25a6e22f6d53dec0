//! What the outcomes of passes, reloads and commands are called in metrics. Fixed words.

use crate::model::report::{CommandKind, Outcome, Report, Stage};

/// The outcome's word in metrics.
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

/// What came of a pass's reload, in metrics; `None` where it never came to one.
pub(super) fn reload_word(report: &Report) -> Option<&'static str> {
    let at_reload = |stage: Stage| matches!(stage, Stage::Reload | Stage::Verify);
    match &report.outcome {
        Outcome::Applied | Outcome::Unchanged if !report.reload_ran => None,
        Outcome::Applied | Outcome::Unchanged => {
            Some(if report.verified.is_some() { "verified" } else { "unverified" })
        }
        Outcome::ReloadOwed { nothing_runs: true, .. } => Some("nothing_runs"),
        Outcome::ReloadOwed { .. } => Some("failed"),
        Outcome::RolledBack { cause, .. } if at_reload(cause.at) => Some("rolled_back"),
        Outcome::Stuck { cause, .. } if at_reload(cause.at) => Some("stuck"),
        Outcome::Rejected(_) | Outcome::RolledBack { .. } | Outcome::Stuck { .. } => None,
    }
}

/// nginx is not up: the files are checked and in place, and it reads them when it starts.
pub(super) fn nothing_runs(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::ReloadOwed { nothing_runs: true, .. })
}

/// A command's word in metrics.
pub fn command_word(kind: CommandKind) -> &'static str {
    match kind {
        CommandKind::Check => "check",
        CommandKind::Reload => "reload",
    }
}
