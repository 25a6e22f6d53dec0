//! The report of one pass over a group. The pass fills it in; `status` turns it into log lines and counters.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::difference::Difference;
use super::guard::Decision;
use super::key::Revision;
use super::process::Process;
use super::resource::{InstanceId, Resource};

/// A resource with the bytes rendered for its destination.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The resource.
    pub resource: Arc<Resource>,
    /// The whole content of the file.
    pub bytes: Arc<Vec<u8>>,
}

/// The step of a pass in which something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Reading the keys: the store refuses them. Not tried again by passes: the source asks, and a snapshot tells.
    Read,
    /// Rendering the bytes.
    Render,
    /// Writing them beside their destination.
    Stage,
    /// `check_cmd`.
    Check,
    /// Writing the plan to the journal, or backing up.
    Record,
    /// Putting the files in place.
    Install,
    /// `reload_cmd`.
    Reload,
    /// Proving that the reload took.
    Verify,
    /// Putting the previous files back.
    Restore,
    /// Writing to the journal that all is done.
    Commit,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Read => "reading the keys",
            Stage::Render => "render",
            Stage::Stage => "preparing the file",
            Stage::Check => "check",
            Stage::Record => "preparing the change",
            Stage::Install => "putting the files in place",
            Stage::Reload => "reload",
            Stage::Verify => "verifying the reload",
            Stage::Restore => "putting the previous files back",
            Stage::Commit => "recording the change",
        })
    }
}

/// A step that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepFailure {
    /// The step.
    pub at: Stage,
    /// The error, with action and object, without key values.
    pub message: String,
    /// Output of the command, bounded; empty if no command ran.
    pub output: String,
    /// Destination of the rendered file that the output names, wherever the file was then, and the line in it, from 1.
    pub place: Option<(PathBuf, usize)>,
}

impl StepFailure {
    /// Returns the failure of a file that a check has refused together with others, and that no check has judged yet.
    pub fn undecided() -> StepFailure {
        StepFailure::new(Stage::Check, "it was refused together with other files; it is tried again at once")
    }

    /// Returns whether it is the failure of a file that no check has judged yet.
    pub fn is_undecided(&self) -> bool {
        *self == StepFailure::undecided()
    }

    /// Returns the shell's words that there is no such program, or that it cannot be run, if a command failed because of that.
    pub fn not_run(&self) -> Option<&str> {
        let is_shells = ["exit status 127", "exit status 126"].iter().any(|end| self.message.ends_with(end));
        let said = || self.output.lines().rev().find_map(|line| line.strip_prefix("/bin/sh: "));
        let words = is_shells.then(said)??;
        let words = words.strip_prefix("line ").unwrap_or(words);
        Some(words.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches([':', ' ']))
    }

    /// Returns a failure without command output.
    pub fn new(at: Stage, message: impl Into<String>) -> StepFailure {
        StepFailure { at, message: message.into(), output: String::new(), place: None }
    }
}

impl fmt::Display for StepFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.at, self.message)
    }
}

/// Outcome of a pass over one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every file was already up to date, and the last reload is known to have taken.
    Unchanged,
    /// Checked, installed, reloaded, verified.
    Applied,
    /// The checked files are in place, but the reload still has to be done.
    ReloadOwed {
        /// The failure that prevented it.
        cause: StepFailure,
        /// Whether nginx is not running: it reads the new files when it starts.
        nothing_runs: bool,
    },
    /// Refused before anything live was touched.
    Rejected(StepFailure),
    /// The previous files are back.
    RolledBack {
        /// The failure that caused it.
        cause: StepFailure,
        /// The failure to reload the previous configuration, if that failed too.
        reload_old: Option<StepFailure>,
    },
    /// The previous files could not be restored: a person has to look. Retried.
    Stuck {
        /// The first failure.
        cause: StepFailure,
        /// The failure to undo it.
        undo: StepFailure,
    },
}

/// The end of a reload, as its transaction knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadEnd {
    /// The new workers of nginx were seen.
    Verified,
    /// It has succeeded, and whatever was reloaded may still be reading its files.
    Unverified,
    /// It has failed, or was cut off.
    Failed,
    /// Nothing ran that could be reloaded, or nothing was asked to.
    Nothing,
}

/// The proof that a reload of nginx took. Times count from the request to reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Time until the first new worker appeared.
    pub accepted: Duration,
    /// Time until the configured number of new workers had been up for a moment.
    pub healthy: Duration,
    /// Time until the last old worker began to shut down; `None` if one did not within the deadline.
    pub converged: Option<Duration>,
    /// Time until nginx answered with the new generation of every file that has one; `None` if no file has one.
    pub generation: Option<Duration>,
    /// Number of workers with the new configuration.
    pub serving: usize,
    /// Workers of earlier configurations that are still finishing their connections.
    pub leaving: BTreeSet<Process>,
    /// Time of the request to reload.
    pub asked_at: Instant,
    /// What to look at again later; `None` if an old worker had not begun to leave.
    pub evidence: Option<ReloadEvidence>,
}

/// Evidence that nginx serves what its last reload read: none of its workers started before that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReloadEvidence {
    /// nginx's pid file.
    pub pid_file: PathBuf,
    /// nginx's program, as it is configured.
    pub binary: PathBuf,
    /// Time of the reload, in clock ticks since boot.
    pub ticks: u64,
}

/// One of a group's commands.
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
    /// The command.
    pub kind: CommandKind,
    /// Its duration.
    pub elapsed: Duration,
    /// Whether it exited with status 0.
    pub succeeded: bool,
}

/// Report of one pass over one group.
#[derive(Clone, Debug)]
pub struct Report {
    /// Names of the group's resources.
    pub resources: Vec<Arc<str>>,
    /// The store revision that was rendered.
    pub revision: Revision,
    /// The outcome.
    pub outcome: Outcome,
    /// Members that a failure of the others does not concern: their files were up to date before it.
    pub in_place: Vec<InstanceId>,
    /// Destinations with new content (in a preview: those that would get it).
    pub files: Vec<PathBuf>,
    /// What changes in those files, by destination; not in those of a secret resource.
    pub differences: BTreeMap<PathBuf, Difference>,
    /// Files of a `for_each` that were removed (in a preview: would be) because their name left the store.
    pub removed: Vec<PathBuf>,
    /// Dropped resources, each with its failure; the others went on without them.
    pub dropped: Vec<(InstanceId, StepFailure)>,
    /// Resources held at their last good file by their guard, each with its decision.
    pub held: Vec<(InstanceId, Decision)>,
    /// Warnings for people, without duplicates.
    pub warnings: Vec<String>,
    /// Whether the reload command ran.
    pub reload_ran: bool,
    /// All runs of commands, in order.
    pub commands: Vec<CommandRun>,
    /// The proof of the reload, if nginx was reloaded.
    pub verified: Option<Verified>,
    /// Time from the start of staging to the end.
    pub elapsed: Duration,
}

impl Outcome {
    /// Returns whether everything that was rendered is live.
    pub fn is_final(&self) -> bool {
        matches!(self, Outcome::Unchanged | Outcome::Applied)
    }

    /// Returns whether the files are in place, and nginx may still run with what it has read before.
    pub fn is_unread(&self) -> bool {
        // If only the commit has failed, the reload is verified.
        matches!(self, Outcome::ReloadOwed { nothing_runs: false, cause } if cause.at != Stage::Commit)
    }

    /// Returns the failure that kept the group as a whole from being live.
    pub fn cause(&self) -> Option<&StepFailure> {
        match self {
            Outcome::Unchanged | Outcome::Applied => None,
            Outcome::ReloadOwed { cause, .. }
            | Outcome::Rejected(cause)
            | Outcome::RolledBack { cause, .. }
            | Outcome::Stuck { cause, .. } => Some(cause),
        }
    }
}

impl ReloadEnd {
    /// Returns the end of the reload in a transaction with this outcome and report.
    pub fn of(outcome: &Outcome, report: &Report) -> ReloadEnd {
        match outcome {
            _ if report.verified.is_some() => ReloadEnd::Verified,
            Outcome::ReloadOwed { nothing_runs: true, .. } => ReloadEnd::Nothing,
            _ if !report.reload_ran => ReloadEnd::Nothing,
            Outcome::Applied => ReloadEnd::Unverified,
            _ => ReloadEnd::Failed,
        }
    }
}

impl Report {
    /// Returns the report of a pass that did nothing.
    pub fn unchanged(revision: Revision) -> Report {
        Report {
            resources: Vec::new(),
            revision,
            outcome: Outcome::Unchanged,
            in_place: Vec::new(),
            files: Vec::new(),
            differences: BTreeMap::new(),
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

    /// Returns the members that are live although the outcome is not final; none while nobody knows what serves.
    pub fn live_beside_failure(&self) -> &[InstanceId] {
        match self.outcome {
            Outcome::RolledBack { reload_old: Some(_), .. } | Outcome::Stuck { .. } => &[],
            _ => &self.in_place,
        }
    }

    /// Returns whether everything that was rendered of the resource with this name is live.
    pub fn is_in_place(&self, resource: &str) -> bool {
        let is_concerned = || self.resources.iter().any(|name| **name == *resource);
        let is_live = || self.live_beside_failure().iter().any(|id| *id.resource == *resource);
        self.outcome.is_final() || is_live() && !is_concerned()
    }

    /// Returns whether everything of the resource with this name is live.
    pub fn is_applied(&self, resource: &str) -> bool {
        let is_other = |id: &InstanceId| *id.resource != *resource;
        self.is_in_place(resource)
            && self.dropped.iter().all(|(id, _)| is_other(id))
            && self.held.iter().all(|(id, _)| is_other(id))
    }

    /// Returns the number of files that were written or removed.
    pub fn file_count(&self) -> usize {
        self.files.len() + self.removed.len()
    }

    /// Returns whether the group must be tried again even if nothing changes.
    pub fn needs_retry(&self) -> bool {
        !self.outcome.is_final() || self.dropped.iter().any(|(_, failure)| failure.at != Stage::Read)
    }

    /// Returns whether the next pass has more to find out: it need not wait.
    pub fn is_unfinished(&self) -> bool {
        let is_applied = || self.outcome.is_final() && self.dropped.iter().any(|(_, failure)| failure.is_undecided());
        self.outcome.cause().is_some_and(StepFailure::is_undecided) || is_applied()
    }

    /// Returns whether something failed. An nginx that is not running yet is not a failure.
    pub fn has_failed(&self) -> bool {
        let nothing_runs = matches!(self.outcome, Outcome::ReloadOwed { nothing_runs: true, .. });
        !self.dropped.is_empty() || (!self.outcome.is_final() && !nothing_runs)
    }

    /// Returns the failure to report first.
    pub fn first_failure(&self) -> Option<&StepFailure> {
        // What the store refuses is reported when it does so; a pass has more to say about the others.
        let dropped =
            || self.dropped.iter().map(|(_, failure)| failure).min_by_key(|failure| failure.at == Stage::Read);
        self.outcome.cause().or_else(dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_says_that_a_program_is_missing() {
        let check = |end: &str, output: &str, expected: Option<&str>| {
            let failure = StepFailure { output: output.to_owned(), ..StepFailure::new(Stage::Check, end) };
            assert_eq!(failure.not_run(), expected, "{end} {output}");
        };
        let missing = Some("nginxx: not found");
        check("check_cmd `nginxx -t`: exit status 127", "/bin/sh: 1: nginxx: not found\n", missing);
        check("check_cmd `nginxx -t`: exit status 127", "/bin/sh: nginxx: not found", missing);
        check("exit status 127", "/bin/sh: line 1: nginxx: command not found", Some("nginxx: command not found"));
        check("exit status 1", "/bin/sh: 1: nginxx: not found", None);
        check("exit status 127", "something", None);
    }
}
