//! State and counters of one group of resources. Pure: never acts on a group.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::key::Revision;
use crate::model::report::{CommandKind, Outcome, Report};
use crate::model::resource::Resource;
use crate::status::histogram::Histogram;

use super::{nothing_runs, shortened};

/// State of a group, from best to worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Every file is up to date, and the last reload took.
    InSync,
    /// No pass has ended yet.
    #[default]
    Waiting,
    /// Checked files are in place; the reload is owed.
    ReloadOwed,
    /// Some resources dropped out; the others are in sync.
    Incomplete,
    /// Refused before anything live was touched.
    Rejected,
    /// The previous files are back.
    RolledBack,
    /// The previous files could not be restored.
    Stuck,
}

impl State {
    /// All states.
    pub const ALL: [State; 7] = [
        State::InSync,
        State::Waiting,
        State::ReloadOwed,
        State::Incomplete,
        State::Rejected,
        State::RolledBack,
        State::Stuck,
    ];

    /// Returns its word in metrics.
    pub fn word(self) -> &'static str {
        match self {
            State::InSync => "in_sync",
            State::Waiting => "waiting",
            State::ReloadOwed => "reload_owed",
            State::Incomplete => "incomplete",
            State::Rejected => "rejected",
            State::RolledBack => "rolled_back",
            State::Stuck => "stuck",
        }
    }
}

/// State and counters of one group.
#[derive(Clone, Debug, Default)]
pub struct GroupBoard {
    /// Names of its resources.
    pub members: Vec<Arc<str>>,
    /// Destination of its first resource.
    pub dest: String,
    /// Its state after the last pass.
    pub state: State,
    /// Whether its files are live, or would be if nginx ran.
    is_live: bool,
    /// Whether a reload is owed.
    pub reload_owed: bool,
    /// The failure of the last pass, if it failed.
    pub problem: Option<String>,
    /// Revision of the last successful pass.
    pub applied_revision: Option<Revision>,
    /// End of that pass, in seconds since 1970.
    pub applied_at: Option<u64>,
    /// Number of failed passes since then.
    pub failures: u64,
    /// Command runs, by kind.
    pub commands: BTreeMap<&'static str, CommandBoard>,
}

/// Runs of one kind of command.
#[derive(Clone, Debug, Default)]
pub struct CommandBoard {
    /// Duration of each run.
    pub times: Histogram,
    /// Number of failed runs.
    pub failed: u64,
}

impl GroupBoard {
    /// Returns the group with these members and the old counters.
    pub(super) fn with_members(mut self, resources: &[Arc<Resource>]) -> GroupBoard {
        self.members = resources.iter().map(|resource| Arc::clone(resource.name())).collect();
        self.dest = resources.first().map(|first| first.dest.display().to_string()).unwrap_or_default();
        self
    }

    /// Whether its files are live, or would be if nginx ran.
    pub(super) fn is_live(&self) -> bool {
        self.is_live
    }

    pub(super) fn record_pass(&mut self, report: &Report, unix_seconds: u64) {
        self.state = match &report.outcome {
            Outcome::Unchanged | Outcome::Applied if report.dropped.is_empty() => State::InSync,
            Outcome::Unchanged | Outcome::Applied => State::Incomplete,
            Outcome::ReloadOwed { .. } => State::ReloadOwed,
            Outcome::Rejected(_) => State::Rejected,
            Outcome::RolledBack { .. } => State::RolledBack,
            Outcome::Stuck { .. } => State::Stuck,
        };
        let all_dropped =
            self.members.iter().all(|name| report.dropped.iter().any(|(dropped, _)| dropped.resource == *name));
        self.is_live |= (report.outcome.is_final() && !all_dropped) || nothing_runs(&report.outcome);
        self.reload_owed = matches!(
            report.outcome,
            Outcome::ReloadOwed { .. } | Outcome::RolledBack { reload_old: Some(_), .. } | Outcome::Stuck { .. }
        );
        self.problem = report.first_failure().map(|failure| shortened(&failure.to_string()));
        for run in &report.commands {
            let command = self.commands.entry(super::command_word(run.kind)).or_default();
            command.times.observe(run.elapsed);
            command.failed += u64::from(!run.succeeded);
        }
        if self.state == State::InSync {
            self.applied_revision = Some(report.revision);
            self.applied_at = Some(unix_seconds);
            self.failures = 0;
        } else {
            self.failures += 1;
        }
    }

    /// Returns the runs of one kind of command.
    pub fn command(&self, kind: CommandKind) -> Option<&CommandBoard> {
        self.commands.get(super::command_word(kind))
    }
}
