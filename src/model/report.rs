//! What happened to a group of resources in one pass. Modules say it here once; `status` makes log lines and counters of it.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::guard::Decision;
use super::key::Revision;
use super::process::Process;
use super::resource::{InstanceId, Resource};

/// A resource with the bytes that its destination is to hold.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// Which resource.
    pub resource: Arc<Resource>,
    /// The whole content.
    pub bytes: Arc<Vec<u8>>,
}

/// Where in a pass something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Making the bytes.
    Render,
    /// Writing them beside their destination.
    Stage,
    /// `check_cmd`.
    Check,
    /// Noting in the journal what is about to happen, or backing up.
    Record,
    /// Putting the files in place.
    Install,
    /// `reload_cmd`.
    Reload,
    /// Proving that the reload took.
    Verify,
    /// Putting the previous files back.
    Restore,
    /// Noting that all is done.
    Commit,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Render => "render",
            Stage::Stage => "stage",
            Stage::Check => "check",
            Stage::Record => "record",
            Stage::Install => "install",
            Stage::Reload => "reload",
            Stage::Verify => "verify",
            Stage::Restore => "restore",
            Stage::Commit => "commit",
        })
    }
}

/// A step that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepFailure {
    /// Which step.
    pub at: Stage,
    /// What went wrong, naming action and object, without key values.
    pub message: String,
    /// What the command printed, bounded; empty where there was no command.
    pub output: String,
}

impl StepFailure {
    /// A failure without command output.
    pub fn new(at: Stage, message: impl Into<String>) -> StepFailure {
        StepFailure { at, message: message.into(), output: String::new() }
    }
}

impl fmt::Display for StepFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.at, self.message)
    }
}

/// How a pass over one group ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every file was true already and its last reload is known to have taken.
    Unchanged,
    /// Checked, installed, reloaded, verified.
    Applied,
    /// The checked files are in place, but the reload still has to be done.
    ReloadOwed {
        /// Why it could not be done.
        cause: StepFailure,
        /// Nothing runs that would need it: nginx has no master, and reads the new files when it starts.
        nothing_runs: bool,
    },
    /// Refused before anything live was touched.
    Rejected(StepFailure),
    /// The previous files are back.
    RolledBack {
        /// What failed.
        cause: StepFailure,
        /// Reloading the previous configuration failed too.
        reload_old: Option<StepFailure>,
    },
    /// The previous files could not be put back: a person has to look. Retried.
    Stuck {
        /// What failed first.
        cause: StepFailure,
        /// Why it could not be undone.
        undo: StepFailure,
    },
}

/// What was proven of a reload of nginx. Times count from the moment it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// When the first worker of the new configuration was seen.
    pub accepted: Duration,
    /// When as many workers as configured had been living for a moment.
    pub healthy: Duration,
    /// When the last old worker had begun to leave; `None` where one did not in time.
    pub converged: Option<Duration>,
    /// When a server of each file with a `generation` answered with the new one; `None` where no file has one.
    pub generation: Option<Duration>,
    /// Workers that serve the new configuration.
    pub serving: usize,
    /// Workers of earlier configurations that still finish their connections.
    pub leaving: BTreeSet<Process>,
    /// When the reload was asked for.
    pub asked_at: Instant,
}

/// Which of a group's commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommandKind {
    /// `check_cmd`.
    Check,
    /// `reload_cmd`.
    Reload,
}

/// One run of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandRun {
    /// Which command.
    pub kind: CommandKind,
    /// How long it took.
    pub elapsed: Duration,
    /// It exited with status 0.
    pub succeeded: bool,
}

/// What one pass did to one group.
#[derive(Clone, Debug)]
pub struct Report {
    /// The group's resources, as people name them.
    pub resources: Vec<Arc<str>>,
    /// The store revision that was rendered.
    pub revision: Revision,
    /// How it ended.
    pub outcome: Outcome,
    /// Destinations with new content (or that would have got it).
    pub files: Vec<PathBuf>,
    /// Files of a `for_each` that went (or would have gone), their name being gone from the store.
    pub removed: Vec<PathBuf>,
    /// Resources that could not take part, and why; the others went on without them.
    pub dropped: Vec<(InstanceId, StepFailure)>,
    /// Resources whose last good file stays because of what the store has lost, and why.
    pub held: Vec<(InstanceId, Decision)>,
    /// Things that people should know, each said once.
    pub warnings: Vec<String>,
    /// Whether the reload command ran.
    pub reload_ran: bool,
    /// Every run of a command, in order.
    pub commands: Vec<CommandRun>,
    /// What was proven of a reload of nginx.
    pub verified: Option<Verified>,
    /// From the start of staging to the end.
    pub elapsed: Duration,
}

impl Outcome {
    /// Whether nothing remains to be done for what was rendered.
    pub fn is_final(&self) -> bool {
        matches!(self, Outcome::Unchanged | Outcome::Applied)
    }
}

impl Report {
    /// A pass that did nothing.
    pub fn unchanged(revision: Revision) -> Report {
        Report {
            resources: Vec::new(),
            revision,
            outcome: Outcome::Unchanged,
            files: Vec::new(),
            removed: Vec::new(),
            dropped: Vec::new(),
            held: Vec::new(),
            warnings: Vec::new(),
            reload_ran: false,
            commands: Vec::new(),
            verified: None,
            elapsed: Duration::ZERO,
        }
    }

    /// How many files it was about.
    pub fn touched(&self) -> usize {
        self.files.len() + self.removed.len()
    }

    /// Whether the group must be tried again without waiting for new input.
    pub fn needs_another_try(&self) -> bool {
        !self.outcome.is_final() || !self.dropped.is_empty()
    }

    /// Whether something is wrong that a person would call a failure: that nginx does not run yet is none.
    pub fn has_failed(&self) -> bool {
        let nothing_runs = matches!(self.outcome, Outcome::ReloadOwed { nothing_runs: true, .. });
        !self.dropped.is_empty() || (!self.outcome.is_final() && !nothing_runs)
    }

    /// The failure that people should hear of first.
    pub fn first_failure(&self) -> Option<&StepFailure> {
        match &self.outcome {
            Outcome::Unchanged | Outcome::Applied => self.dropped.first().map(|(_, failure)| failure),
            Outcome::ReloadOwed { cause, .. }
            | Outcome::Rejected(cause)
            | Outcome::RolledBack { cause, .. }
            | Outcome::Stuck { cause, .. } => Some(cause),
        }
    }
}
