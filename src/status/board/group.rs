//! State and counters of one group of resources. Pure: never acts on a group.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::model::changed_keys::ChangedKeys;
use crate::model::key::Revision;
use crate::model::nginx::NginxPlace;
use crate::model::report::{CommandKind, Outcome, Report, Stage, StepFailure};
use crate::model::resource::{CommandLine, Reload, Resource};
use crate::status::histogram::Histogram;

use super::words::is_only_unrecorded;
use super::{Failure, named, nothing_runs, status_line};

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
    /// Its conf.d settings.
    pub about: GroupAbout,
    /// The nginx that it drives, once that has been looked at.
    pub nginx: Option<NginxPlace>,
    /// Its state after the last pass.
    pub state: State,
    /// Whether its files are live, or would be if nginx ran.
    is_live: bool,
    /// The result of its last pass.
    pub left: LeftBehind,
    /// Revision of the last successful pass.
    pub applied_revision: Option<Revision>,
    /// End of that pass, in seconds since 1970.
    pub applied_at: Option<u64>,
    /// Number of failed passes since then.
    pub failures: u64,
    /// Start of the debt, if a reload is owed, in seconds since 1970.
    pub owed_since: Option<u64>,
    /// Start of the failures that have not ended, with their number.
    trouble: Option<FailedPasses>,
    /// Command runs, by kind.
    pub commands: BTreeMap<&'static str, CommandBoard>,
}

/// The conf.d settings of a group.
#[derive(Clone, Debug, Default)]
pub struct GroupAbout {
    /// Destination of its first resource.
    pub dest: String,
    /// Its check, with the time limit.
    pub check: Option<(String, Option<Duration>)>,
    /// Its reload, with the time limit.
    pub reload: Option<(String, Option<Duration>)>,
    /// Whether it reloads an nginx, judged by its commands.
    pub drives_nginx: bool,
}

/// The result of a pass.
#[derive(Clone, Debug, Default)]
pub struct LeftBehind {
    /// Members that dropped out, or that a failure of the group concerns.
    pub failing: BTreeSet<Arc<str>>,
    /// Its failures.
    pub failures: Vec<Failure>,
    /// Time of the next attempt, in seconds since 1970.
    pub next_try: Option<u64>,
    /// Keys with changes that no pass has made live.
    unapplied: ChangedKeys,
}

impl LeftBehind {
    /// Returns the keys whose changes a pass was about: those that have changed since the one before, and those that it had left behind.
    /// `is_done`: it leaves none behind.
    pub(super) fn with_unapplied(&mut self, changed: &ChangedKeys, is_done: bool) -> ChangedKeys {
        let mut all = std::mem::take(&mut self.unapplied);
        all.extend(changed);
        if !is_done {
            self.unapplied = all.clone();
        }
        all
    }
}

/// Runs of one kind of command.
#[derive(Clone, Debug, Default)]
pub struct CommandBoard {
    /// Duration of each run.
    pub times: Histogram,
    /// Number of failed runs.
    pub failed: u64,
}

/// Failed passes in a row.
#[derive(Clone, Debug)]
pub struct FailedPasses {
    /// Resources that failed in one of them.
    pub resources: BTreeSet<Arc<str>>,
    /// Number of them.
    pub failures: u64,
    /// End of the first one, in seconds since 1970.
    pub since: u64,
}

impl GroupBoard {
    /// Returns the trouble that this pass has ended, if it has ended one. A refusal by the store is logged by itself.
    fn record_trouble(&mut self, report: &Report, unix_seconds: u64) -> Option<FailedPasses> {
        let failed = |(_, failure): &(_, StepFailure)| failure.at != Stage::Read;
        let is_failure =
            !nothing_runs(&report.outcome) && (report.outcome.cause().is_some() || report.dropped.iter().any(failed));
        if !is_failure {
            // What is gone from conf.d has not recovered.
            let members: BTreeSet<_> = self.members.iter().cloned().collect();
            let ended =
                self.trouble.take().map(|ended| FailedPasses { resources: &ended.resources & &members, ..ended });
            return ended.filter(|ended| !ended.resources.is_empty());
        }
        let new = FailedPasses { resources: BTreeSet::new(), failures: 0, since: unix_seconds };
        let trouble = self.trouble.get_or_insert(new);
        trouble.failures += 1;
        trouble.resources.extend(self.left.failing.iter().cloned());
        None
    }

    /// Returns the group with these members and the old counters.
    pub(super) fn with_members(mut self, resources: &[Arc<Resource>]) -> GroupBoard {
        self.members = resources.iter().map(|resource| Arc::clone(resource.name())).collect();
        let Some(first) = resources.first() else { return self };
        let command = |command: &CommandLine| (status_line(&command.text), command.timeout);
        let (check, reload) = (first.check.as_ref(), first.reload.as_ref());
        self.about = GroupAbout {
            dest: first.dest.display().to_string(),
            check: check.map(command),
            reload: reload.and_then(Reload::command).map(command),
            drives_nginx: reload
                .is_some_and(|reload| reload.mentions_nginx() || check.is_some_and(CommandLine::mentions_nginx)),
        };
        self
    }

    /// Returns the state of one of its members.
    pub fn state_of(&self, name: &str) -> State {
        let is_concerned = || {
            self.left.failing.contains(name)
                || self.left.failures.iter().any(|failure| failure.resources.contains(name))
        };
        match self.state {
            State::InSync | State::Waiting => self.state,
            state if is_concerned() => state,
            // What fails beside it is no matter of it.
            _ => State::InSync,
        }
    }

    /// Returns the first names of its members.
    pub fn named(&self) -> String {
        named(&self.members, 0)
    }

    /// Returns the start of what has not ended: failures, or an owed reload; in seconds since 1970.
    pub fn in_trouble_since(&self) -> Option<u64> {
        self.trouble.as_ref().map(|trouble| trouble.since).or(self.owed_since)
    }

    /// Returns whether its files are live, or would be if nginx ran.
    pub(super) fn is_live(&self) -> bool {
        self.is_live
    }

    /// Records a pass, and returns the trouble that it has ended.
    pub(super) fn record_pass(
        &mut self,
        report: &Report,
        changed: &ChangedKeys,
        sees: impl Fn(&str, &str) -> bool,
        unix_seconds: u64,
    ) -> Option<FailedPasses> {
        self.left.failures = Failure::all(report, &self.left.failures, changed, sees, unix_seconds);
        self.state = match &report.outcome {
            Outcome::Unchanged | Outcome::Applied if report.dropped.is_empty() => State::InSync,
            Outcome::Unchanged | Outcome::Applied => State::Incomplete,
            outcome if is_only_unrecorded(outcome) => State::Incomplete,
            Outcome::ReloadOwed { .. } => State::ReloadOwed,
            Outcome::Rejected(_) => State::Rejected,
            Outcome::RolledBack { .. } => State::RolledBack,
            Outcome::Stuck { .. } => State::Stuck,
        };
        let all_dropped =
            self.members.iter().all(|name| report.dropped.iter().any(|(dropped, _)| dropped.resource == *name));
        let is_done = report.outcome.is_final() || is_only_unrecorded(&report.outcome);
        self.is_live |= (is_done && !all_dropped) || nothing_runs(&report.outcome);
        let owes_reload = !is_done
            && matches!(
                report.outcome,
                Outcome::ReloadOwed { .. } | Outcome::RolledBack { reload_old: Some(_), .. } | Outcome::Stuck { .. }
            );
        self.owed_since = owes_reload.then(|| self.owed_since.unwrap_or(unix_seconds));
        self.record_failing(report);
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
        self.record_trouble(report, unix_seconds)
    }

    /// Records whom the failures concern: one of the group concerns the resources of the report that had not dropped out.
    fn record_failing(&mut self, report: &Report) {
        let dropped: BTreeSet<&str> = report.dropped.iter().map(|(id, _)| &*id.resource).collect();
        let others = report.resources.iter().filter(|name| !dropped.contains(&***name));
        let others: BTreeSet<&str> = others.map(|name| &**name).collect();
        let group_fails = report.outcome.cause().is_some() && !nothing_runs(&report.outcome);
        let fails = |name: &&Arc<str>| dropped.contains(&***name) || (group_fails && others.contains(&***name));
        self.left.failing = self.members.iter().filter(fails).cloned().collect();
    }

    /// Returns the runs of one kind of command.
    pub fn command(&self, kind: CommandKind) -> Option<&CommandBoard> {
        self.commands.get(super::command_word(kind))
    }
}
