//! What is known of one group of resources. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::key::Revision;
use crate::model::report::{CommandKind, Outcome, Report};
use crate::model::resource::Resource;
use crate::status::histogram::Histogram;

use super::{nothing_runs, shortened};

/// How a group stands, from best to worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Every file is true, and the last reload took.
    InSync,
    /// No pass has ended yet.
    #[default]
    Waiting,
    /// Checked files are in place, the reload is still to be done.
    ReloadOwed,
    /// Some resources could not take part, the others are in sync.
    Incomplete,
    /// Refused before anything live was touched.
    Rejected,
    /// The previous files are back.
    RolledBack,
    /// The previous files could not be put back.
    Stuck,
}

impl State {
    /// All of them.
    pub const ALL: [State; 7] = [
        State::InSync,
        State::Waiting,
        State::ReloadOwed,
        State::Incomplete,
        State::Rejected,
        State::RolledBack,
        State::Stuck,
    ];

    /// Its word in metrics.
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

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct GroupBoard {
    /// Names of its resources.
    pub members: Vec<Arc<str>>,
    /// Destination of the first.
    pub dest: String,
    /// How it stands.
    pub state: State,
    /// Its files are live, or would be if what reads them ran.
    is_live: bool,
    /// A reload is owed.
    pub reload_owed: bool,
    /// What went wrong last, where that still stands.
    pub problem: Option<String>,
    /// The revision of the last pass that ended well.
    pub applied_revision: Option<Revision>,
    /// When that was, in seconds since 1970.
    pub applied_at: Option<u64>,
    /// Failed passes since then.
    pub failures: u64,
    /// Command runs by kind: how long they took, and how many failed.
    pub commands: BTreeMap<&'static str, CommandBoard>,
}

/// Runs of one kind of command.
#[derive(Clone, Debug, Default)]
pub struct CommandBoard {
    /// How long they took.
    pub times: Histogram,
    /// How many failed.
    pub failed: u64,
}

impl GroupBoard {
    /// The same group with these members.
    pub(super) fn of(mut self, resources: &[Arc<Resource>]) -> GroupBoard {
        self.members = resources.iter().map(|resource| Arc::clone(resource.name())).collect();
        self.dest = resources.first().map(|first| first.dest.display().to_string()).unwrap_or_default();
        self
    }

    /// Whether what was rendered last is live, or would be if nginx ran.
    pub(super) fn is_live(&self) -> bool {
        self.is_live
    }

    pub(super) fn passed(&mut self, report: &Report, unix_seconds: u64) {
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

    /// Runs of one kind of command.
    pub fn command(&self, kind: CommandKind) -> Option<&CommandBoard> {
        self.commands.get(super::command_word(kind))
    }
}
