//! The result of a run as an exit code. Pure.

use crate::agent::follow::Stopped;
use crate::agent::once::Round;
use crate::model::report::{Outcome, Report, Stage, StepFailure};

use super::exit::{Ending, Exit};

/// Returns the exit code of a round: the most serious of all failures.
pub(super) fn of_round(round: &Round) -> Exit {
    let problems = if round.problems.is_empty() { Exit::Done } else { Exit::Configuration };
    let store = if round.store_problems.is_empty() { Exit::Done } else { Exit::Store };
    let reports = round.reports.iter().map(of_report);
    reports.chain([problems, store]).max().unwrap_or(Exit::Done)
}

/// Returns how following ends: with the status of the supervised command, if there is one.
pub(super) fn of_following(stopped: &Stopped) -> Ending {
    match stopped {
        Stopped::Asked => Exit::Done.into(),
        Stopped::CommandEnded(ended) => Ending::Command(ended.exit_status()),
        Stopped::CommandInBackground => Exit::Usage.into(),
        Stopped::CommandNotStarted(error) => Ending::Command(error.exit_status()),
        Stopped::StoreEnded => Exit::Stuck.into(),
    }
}

fn of_report(report: &Report) -> Exit {
    let outcome = match &report.outcome {
        Outcome::Unchanged | Outcome::Applied => Exit::Done,
        // nginx reads the files when it starts, so nothing is left to do.
        Outcome::ReloadOwed { nothing_runs: true, .. } => Exit::Done,
        Outcome::ReloadOwed { cause, .. } | Outcome::Rejected(cause) | Outcome::RolledBack { cause, .. } => {
            of_failure(cause)
        }
        Outcome::Stuck { .. } => Exit::Stuck,
    };
    report.dropped.iter().map(|(_, failure)| of_failure(failure)).chain([outcome]).max().unwrap_or(Exit::Done)
}

/// Returns the exit code of a failed step.
pub(super) fn of_failure(failure: &StepFailure) -> Exit {
    match failure.at {
        Stage::Read => Exit::Store,
        Stage::Render => Exit::Render,
        Stage::Check => Exit::Check,
        Stage::Stage | Stage::Record | Stage::Install | Stage::Commit => Exit::Write,
        Stage::Reload | Stage::Verify => Exit::Reload,
        Stage::Restore => Exit::Stuck,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key::Revision;

    fn check(outcome: Outcome, expected: Exit) {
        let report = Report { outcome, ..Report::unchanged(Revision(1)) };
        let round = Round { reports: vec![Report::unchanged(Revision(1)), report], ..Round::default() };
        assert_eq!(of_round(&round), expected);
    }

    #[test]
    fn the_worst_counts() {
        let failure = |at| StepFailure::new(at, "x");
        check(Outcome::Applied, Exit::Done);
        check(Outcome::ReloadOwed { cause: failure(Stage::Reload), nothing_runs: true }, Exit::Done);
        check(Outcome::ReloadOwed { cause: failure(Stage::Reload), nothing_runs: false }, Exit::Reload);
        check(Outcome::Rejected(failure(Stage::Check)), Exit::Check);
        check(Outcome::RolledBack { cause: failure(Stage::Reload), reload_old: None }, Exit::Reload);
        check(Outcome::Stuck { cause: failure(Stage::Install), undo: failure(Stage::Restore) }, Exit::Stuck);
        let dropped = vec![("a.toml".into(), failure(Stage::Render))];
        let report = Report { dropped, outcome: Outcome::Applied, ..Report::unchanged(Revision(1)) };
        let round = Round { reports: vec![report], store_problems: vec!["away".into()], ..Round::default() };
        assert_eq!(of_round(&round), Exit::Render, "the drop-out is more serious than the store");
    }
}
