//! The failures of the last pass over a group: what failed, whom it concerns, what caused it, and since when. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::changed_keys::ChangedKeys;
use crate::model::key::Key;
use crate::model::report::{Outcome, Report, Stage, StepFailure};
use crate::model::status::{Cause, ConditionKind};
use crate::model::text;
use crate::nginx::error_log::{named_file, said_of};

use super::{named, status_line};

/// Most names of resources, and most causes, that are kept of a failure.
const MAX_NAMED: usize = 20;
/// Text for failures that are too many to be named one by one.
const REST: &str = "failed in different ways, of which the log has each";
/// Text for a reload that waits until there is an nginx again.
const NOTHING_RUNS: &str = "nginx is not running";
/// Longest key that is shown, in characters.
const MAX_KEY_CHARACTERS: usize = 256;

/// A failure that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its kind.
    pub kind: ConditionKind,
    /// Names of the resources that it concerns, the first ones; of one with `for_each`, with the name in brackets.
    pub names: Vec<String>,
    /// Number of the others.
    pub more: usize,
    /// All resources that it concerns.
    pub resources: BTreeSet<Arc<str>>,
    /// The step that failed.
    pub step: Stage,
    /// What failed, in one line.
    pub summary: String,
    /// Why, in the words of nginx or of the command.
    pub reason: String,
    /// What failed and why, in words that may be logged: nothing that a command prints, unless it is nginx.
    plain: String,
    /// Whether the previous files are back and their reload failed too, so that it is owed.
    pub owes_reload: bool,
    /// What caused it: the place that nginx names, and the keys that had changed when it began.
    pub causes: Vec<Cause>,
    /// Its start, in seconds since 1970.
    pub since: u64,
}

impl Failure {
    /// Returns the failures of this pass. One that was there before, of any of its resources, keeps its start and its keys.
    /// `sees` says whether a resource sees a key: only such a key can be a cause.
    pub(super) fn all(
        report: &Report,
        before: &[Failure],
        changed: &ChangedKeys,
        sees: impl Fn(&str, &str) -> bool,
        unix_seconds: u64,
    ) -> Vec<Failure> {
        let dropped: BTreeSet<&str> = report.dropped.iter().map(|(id, _)| &*id.resource).collect();
        let others = report.resources.iter().filter(|name| !dropped.contains(&***name));
        let of_group = group_kind(&report.outcome).map(|(kind, failure)| {
            let resources: BTreeSet<Arc<str>> = others.cloned().collect();
            let names = resources.iter().map(|name| name.to_string()).collect();
            Failure::new(kind, names, resources, failure).with_outcome(&report.outcome)
        });
        let mut failures: Vec<Failure> = of_group.into_iter().collect();
        // What the store refuses is a condition of its own; what no check has judged yet is tried again at once.
        let judged = report.dropped.iter().filter(|(_, failure)| failure.at != Stage::Read && !failure.is_undecided());
        for (id, failure) in judged {
            let kind = if failure.at == Stage::Check { ConditionKind::CheckRefused } else { ConditionKind::Failed };
            let failure = Failure::new(kind, vec![id.to_string()], BTreeSet::from([Arc::clone(&id.resource)]), failure);
            // Names of a `for_each` may fail by the thousand, in the same way or each in its own.
            let is_full = failures.len() >= MAX_NAMED;
            let same = failures.iter().position(|known| known.is_like(&failure));
            let same = same.or_else(|| failures.iter().position(|known| is_full && known.is_rest(kind)));
            match same.and_then(|at| failures.get_mut(at)) {
                Some(same) => same.add(failure),
                None if is_full => failures.push(failure.into_rest()),
                None => failures.push(failure),
            }
        }
        for failure in &mut failures {
            let of_names = |key: &str| failure.resources.iter().any(|name| sees(name, key));
            let is_known = |known: &&Failure| {
                known.kind == failure.kind && known.names.iter().any(|name| failure.names.contains(name))
            };
            let known: Vec<&Failure> = before.iter().filter(is_known).collect();
            let shown = |key: &Key| text::shortened(key.as_str(), MAX_KEY_CHARACTERS);
            let new: Vec<String> = changed.named().filter(|key| of_names(key.as_str())).map(shown).collect();
            let old: Vec<String> =
                known.iter().flat_map(|known| known.keys()).filter(|key| of_names(key)).map(str::to_owned).collect();
            // If something else is said than before, what has changed since is the likelier cause.
            let is_same = known.iter().any(|known| known.is_like(failure));
            let keys = if is_same { [old, new].concat() } else { [new, old].concat() };
            let mut named = BTreeSet::new();
            let keys: Vec<String> = keys.into_iter().filter(|key| named.insert(key.clone())).take(MAX_NAMED).collect();
            failure.since = known.iter().map(|known| known.since).min().unwrap_or(unix_seconds);
            failure.causes.extend(keys.into_iter().map(Cause::Key));
        }
        failures
    }

    /// Returns whether it only waits until there is an nginx again.
    pub fn is_nothing_running(&self) -> bool {
        self.summary == NOTHING_RUNS
    }

    /// Returns whom it concerns, what failed and why, in one line that may be logged.
    pub fn named_line(&self) -> String {
        format!("{}: {}", named(&self.names, self.more), self.plain)
    }

    /// Returns the keys among its causes.
    fn keys(&self) -> impl Iterator<Item = &str> {
        self.causes.iter().filter_map(|cause| match cause {
            Cause::Key(key) => Some(key.as_str()),
            _ => None,
        })
    }

    fn new(
        kind: ConditionKind,
        mut names: Vec<String>,
        resources: BTreeSet<Arc<str>>,
        failure: &StepFailure,
    ) -> Failure {
        let more = names.len().saturating_sub(MAX_NAMED);
        names.truncate(MAX_NAMED);
        let said = said_of(failure);
        let said = said.as_deref();
        let words = said.map_or(String::new(), |words| format!(": {words}"));
        let reason = said.or_else(|| failure.output.lines().rev().find(|line| !line.trim().is_empty()));
        let place = said.filter(|said| named_file(said).is_some()).and_then(|said| Some(said.rsplit_once(" in ")?.1));
        let causes = place.map(|place| Cause::File(status_line(place))).into_iter().collect();
        Failure {
            kind,
            names,
            more,
            resources,
            step: failure.at,
            summary: match said {
                // nginx's words say more than the command and its exit status.
                Some(_) if failure.at == Stage::Check => "the check refused the rendered file".to_owned(),
                Some(_) if failure.at == Stage::Verify => "nginx refused the reload".to_owned(),
                _ => status_line(&failure.to_string()),
            },
            reason: reason.map(status_line).unwrap_or_default(),
            plain: match kind {
                ConditionKind::ReloadOwed => status_line(&format!("the reload is owed: {}{words}", failure.message)),
                _ => status_line(&format!("{failure}{words}")),
            },
            owes_reload: false,
            causes,
            since: 0,
        }
    }

    /// Adds what its outcome says beside the step that failed: that nothing runs, or why it could not be undone.
    fn with_outcome(mut self, outcome: &Outcome) -> Failure {
        let (what, undo) = match outcome {
            Outcome::ReloadOwed { nothing_runs: true, .. } => {
                return Failure { summary: NOTHING_RUNS.to_owned(), ..self };
            }
            Outcome::RolledBack { reload_old: Some(undo), .. } => ("the reload of the previous files failed too", undo),
            Outcome::Stuck { undo, .. } => ("putting the previous files back failed", undo),
            _ => return self,
        };
        self.owes_reload = matches!(outcome, Outcome::RolledBack { .. });
        let words = said_of(undo).map_or(String::new(), |words| format!(": {words}"));
        let undo = status_line(&format!("{what}: {}{words}", undo.message));
        self.reason = if self.reason.is_empty() { undo } else { format!("{}; {undo}", self.reason) };
        self
    }

    /// Adds whom a failure of the same kind concerns.
    fn add(&mut self, other: Failure) {
        self.resources.extend(other.resources);
        match self.names.len() < MAX_NAMED {
            true => self.names.extend(other.names),
            false => self.more += 1,
        }
    }

    /// Returns it as the one failure for all that are too many to be named one by one.
    fn into_rest(self) -> Failure {
        Failure { summary: REST.to_owned(), plain: REST.to_owned(), reason: String::new(), causes: Vec::new(), ..self }
    }

    fn is_rest(&self, kind: ConditionKind) -> bool {
        self.kind == kind && self.summary == REST
    }

    fn is_like(&self, other: &Failure) -> bool {
        (self.kind, &self.summary, &self.reason) == (other.kind, &other.summary, &other.reason)
    }
}

/// Returns what kept a group as a whole from being live, if anything did.
fn group_kind(outcome: &Outcome) -> Option<(ConditionKind, &StepFailure)> {
    let cause = outcome.cause().filter(|cause| !cause.is_undecided())?;
    let kind = match (outcome, cause.at) {
        (Outcome::Stuck { .. }, _) => ConditionKind::Stuck,
        (_, Stage::Commit) => ConditionKind::Failed,
        (Outcome::ReloadOwed { .. }, _) => ConditionKind::ReloadOwed,
        (_, Stage::Check) => ConditionKind::CheckRefused,
        (_, Stage::Reload | Stage::Verify) => ConditionKind::ReloadRefused,
        _ => ConditionKind::Failed,
    };
    Some((kind, cause))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key::Revision;

    #[test]
    fn a_failure_that_could_not_be_undone_has_both_reasons() {
        let check = |outcome: Outcome, reason: &str, owes_reload: bool| {
            let report = Report { resources: vec!["a".into()], outcome, ..Report::unchanged(Revision(5)) };
            let failures = Failure::all(&report, &[], &ChangedKeys::default(), |_, _| true, 1);
            assert_eq!((failures[0].reason.as_str(), failures[0].owes_reload), (reason, owes_reload));
        };
        let failure = |at: Stage, message: &str, output: &str| StepFailure {
            output: output.to_owned(),
            ..StepFailure::new(at, message)
        };
        let refused = || failure(Stage::Reload, "exit status 1", "nginx: [emerg] no port in /etc/a:1");
        let reload = || failure(Stage::Reload, "reload_cmd `r`: exit status 1", "nginx: [error] no master");
        check(Outcome::RolledBack { cause: refused(), reload_old: None }, "no port in /etc/a:1", false);
        let both = "no port in /etc/a:1; the reload of the previous files failed too: reload_cmd `r`: exit status 1: no master";
        check(Outcome::RolledBack { cause: refused(), reload_old: Some(reload()) }, both, true);
        let undo = StepFailure::new(Stage::Restore, "failed to rename `/etc/a`: read-only");
        let both = "no port in /etc/a:1; putting the previous files back failed: failed to rename `/etc/a`: read-only";
        check(Outcome::Stuck { cause: refused(), undo }, both, false);
    }

    fn dropped(names: &[&str], said: &str) -> Report {
        let failure = || StepFailure { output: said.to_owned(), ..StepFailure::new(Stage::Check, "exit status 1") };
        let dropped = names.iter().map(|name| ((*name).into(), failure())).collect();
        Report { dropped, ..Report::unchanged(Revision(5)) }
    }

    /// Returns the only failure of a pass: its names, its keys, and its start.
    #[track_caller]
    fn after(failures: &mut Vec<Failure>, report: &Report, changed: &[&str], at: u64) -> String {
        let changed = changed.iter().copied().collect();
        // A resource sees what is below its name.
        let sees = |name: &str, key: &str| key.starts_with(&format!("/{name}/"));
        *failures = Failure::all(report, failures, &changed, sees, at);
        let [failure] = failures.as_slice() else { panic!("{failures:?}") };
        format!(
            "{} by {} since {}",
            failure.names.join(" "),
            failure.keys().collect::<Vec<_>>().join(" "),
            failure.since
        )
    }

    #[test]
    fn a_failure_keeps_its_start_and_its_keys_while_names_come_and_go() {
        let mut failures = Vec::new();
        assert_eq!(after(&mut failures, &dropped(&["a"], "no"), &["/a/1"], 1), "a by /a/1 since 1");
        assert_eq!(after(&mut failures, &dropped(&["a", "b"], "no"), &["/b/1"], 2), "a b by /a/1 /b/1 since 1");
        assert_eq!(after(&mut failures, &dropped(&["a", "b"], "no"), &[], 3), "a b by /a/1 /b/1 since 1");
        assert_eq!(after(&mut failures, &dropped(&["a"], "no"), &[], 4), "a by /a/1 since 1");
        // The first is repaired, and the second broken: what is said may be the same.
        assert_eq!(after(&mut failures, &dropped(&["a"], "no"), &["/a/1", "/a/2"], 5), "a by /a/1 /a/2 since 1");
        assert_eq!(after(&mut failures, &dropped(&["a"], "never"), &["/a/3"], 6), "a by /a/3 /a/1 /a/2 since 1");
        assert_eq!(after(&mut failures, &dropped(&["b"], "no"), &["/a/4"], 7), "b by  since 7");
    }
}
