//! The last changes: passes that had something to do, and changed endpoints. Bounded. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::backend_change::BackendChange;
use crate::model::changed_keys::ChangedKeys;
use crate::model::difference::Difference;
use crate::model::key::Revision;
use crate::model::report::{Outcome, Report};
use crate::model::resource::InstanceId;
use crate::model::status::{ChangePhase, ChangeStatus, ChangedFile, KeyList, UnixTime};
use crate::model::text;
use crate::status::diff;

use super::words::{command_word, outcome_word};
use super::{Failure, status_line};

/// Most changes that are kept.
const MAX_CHANGES: usize = 50;
/// Most files, and most keys, that are named in one change.
const MAX_NAMED: usize = 20;
/// Longest key that is shown, in characters.
const MAX_KEY_CHARACTERS: usize = 256;
/// Word for the result of a change that nginx has to ask for.
const ANSWERED: &str = "answered";
/// Word for the result of a change that nginx has asked for.
const TAKEN: &str = "taken";

/// Facts about a pass beside its report.
#[derive(Clone, Copy)]
pub struct PassNews<'a> {
    /// What changed in the backends of the files that were written, by destination.
    pub backends: &'a BTreeMap<PathBuf, BackendChange>,
    /// What changed in the backends of the files that stay as they are, because nginx asks for their endpoints.
    pub endpoints: &'a [(InstanceId, BackendChange)],
    /// The keys that have changed since the pass before; none if something else was the reason for the pass.
    pub changed: &'a ChangedKeys,
    /// The time.
    pub now: Instant,
}

/// The last changes, the oldest first.
#[derive(Debug, Default)]
pub struct ChangeLog {
    changes: VecDeque<Arc<Change>>,
    /// Number of changes since the start.
    count: u64,
}

/// One change.
#[derive(Clone, Debug)]
pub struct Change {
    number: u64,
    /// Its end, in seconds since 1970.
    at: u64,
    revision: Revision,
    resources: Vec<Arc<str>>,
    keys: KeyList,
    files: Vec<FileOfChange>,
    phases: Vec<ChangePhase>,
    elapsed: Duration,
    result: &'static str,
    problem: String,
    attempts: u64,
}

#[derive(Clone, Debug)]
struct FileOfChange {
    dest: PathBuf,
    backends: String,
    difference: Option<Difference>,
    is_removed: bool,
}

impl ChangeLog {
    /// Records a pass, which was about these keys. One that had nothing to do is no change; one that failed as the last of its group did
    /// is the same.
    pub(super) fn record(
        &mut self,
        report: &Report,
        failures: &[Failure],
        (news, about): (PassNews<'_>, &ChangedKeys),
        unix_seconds: u64,
    ) {
        let is_answer = !news.endpoints.is_empty();
        let result = match report.outcome {
            Outcome::Unchanged if !failures.is_empty() => "failed",
            Outcome::Unchanged if is_answer => ANSWERED,
            Outcome::Unchanged => return,
            Outcome::Applied if !failures.is_empty() => "incomplete",
            _ => outcome_word(&report.outcome),
        };
        let problem = failures.first().map(Failure::line).unwrap_or_default();
        let dropped = report.dropped.iter().map(|(id, _)| &id.resource);
        let resources: BTreeSet<&Arc<str>> = report.resources.iter().chain(dropped).collect();
        let resources: Vec<Arc<str>> = match (resources.is_empty(), is_answer) {
            (true, true) => news.endpoints.iter().map(|(id, _)| Arc::clone(&id.resource)).take(MAX_NAMED).collect(),
            _ => resources.into_iter().take(MAX_NAMED).cloned().collect(),
        };
        let is_repeated = |last: &&mut Arc<Change>| {
            !problem.is_empty()
                && news.changed.is_empty()
                && (last.result, &last.problem, &last.resources) == (result, &problem, &resources)
        };
        if let Some(last) = self.changes.iter_mut().rev().take(MAX_NAMED).find(is_repeated) {
            let last = Arc::make_mut(last);
            (last.at, last.attempts) = (unix_seconds, last.attempts + 1);
            return;
        }
        self.count += 1;
        self.changes.push_back(Arc::new(Change {
            number: self.count,
            at: unix_seconds,
            revision: report.revision,
            resources,
            keys: keys(about),
            files: files(report, news),
            phases: phases(report),
            elapsed: report.elapsed,
            result,
            problem,
            attempts: 1,
        }));
        if self.changes.len() > MAX_CHANGES {
            self.changes.pop_front();
        }
    }

    /// Records that nginx has taken the endpoints of a resource, this time after they were published.
    pub(super) fn record_taken(&mut self, resource: &str, after: Duration) {
        let is_it =
            |change: &Change| change.result == ANSWERED && change.resources.iter().any(|name| **name == *resource);
        for change in self.changes.iter_mut().filter(|change| is_it(change)) {
            let change = Arc::make_mut(change);
            change.result = TAKEN;
            change.phases.push(ChangePhase { step: "taken by nginx".to_owned(), milliseconds: milliseconds(after) });
        }
    }

    /// Forgets what changed in the files of these resources, each with its destination: from now on they are secret.
    pub(super) fn forget_differences(&mut self, secret: &BTreeMap<Arc<str>, PathBuf>) {
        if secret.is_empty() {
            return;
        }
        let is_concerned = |change: &Change| {
            // With that many resources, not all of them are named.
            change.resources.len() >= MAX_NAMED
                || change.resources.iter().any(|name| secret.contains_key(name))
                || change.files.iter().any(|file| secret.values().any(|dest| *dest == file.dest))
        };
        for change in self.changes.iter_mut().filter(|change| is_concerned(change)) {
            Arc::make_mut(change).files.iter_mut().for_each(|file| file.difference = None);
        }
    }

    /// Returns the changes, the newest first.
    pub fn newest_first(&self) -> Vec<Arc<Change>> {
        self.changes.iter().rev().cloned().collect()
    }
}

impl Change {
    /// Returns it for the status, with the differences of its files.
    pub fn status(&self) -> ChangeStatus {
        ChangeStatus {
            number: self.number,
            at: UnixTime(self.at),
            revision: self.revision.0,
            resources: self.resources.iter().map(|name| name.to_string()).collect(),
            keys: self.keys.clone(),
            files: self.files.iter().map(FileOfChange::status).collect(),
            phases: self.phases.clone(),
            milliseconds: milliseconds(self.elapsed),
            result: self.result.to_owned(),
            problem: self.problem.clone(),
            attempts: self.attempts,
        }
    }
}

impl FileOfChange {
    fn status(&self) -> ChangedFile {
        let diff = self.difference.as_ref().map(|difference| diff::of_difference(&self.dest, difference));
        let backends = if self.is_removed { "removed".to_owned() } else { self.backends.clone() };
        ChangedFile { dest: self.dest.display().to_string(), backends, diff: diff.unwrap_or_default() }
    }
}

fn keys(changed: &ChangedKeys) -> KeyList {
    let named = changed.named().take(MAX_NAMED).map(|key| text::shortened(key.as_str(), MAX_KEY_CHARACTERS)).collect();
    KeyList { named, more: changed.named().len().saturating_sub(MAX_NAMED) + changed.more() }
}

fn files(report: &Report, news: PassNews<'_>) -> Vec<FileOfChange> {
    let said = |dest: &Path| news.backends.get(dest).map(BackendChange::to_string).unwrap_or_default();
    let written = report.files.iter().map(|dest| FileOfChange {
        dest: dest.clone(),
        backends: said(dest),
        difference: report.differences.get(dest).cloned(),
        is_removed: false,
    });
    let gone = |dest: &PathBuf| FileOfChange {
        dest: dest.clone(),
        backends: String::new(),
        difference: None,
        is_removed: true,
    };
    let asked = news.endpoints.iter().map(|(id, change)| FileOfChange {
        dest: PathBuf::from(id.to_string()),
        backends: change.to_string(),
        difference: None,
        is_removed: false,
    });
    written.chain(report.removed.iter().map(gone)).chain(asked).take(MAX_NAMED).collect()
}

/// Returns the commands of a pass with their times, and the proof of its reload.
fn phases(report: &Report) -> Vec<ChangePhase> {
    let commands = report.commands.iter().map(|run| (command_word(run.kind), run.elapsed));
    let proofs = report.verified.iter().flat_map(|verified| {
        let times = [("new workers", Some(verified.healthy)), ("only new workers", verified.converged)];
        times.into_iter().chain([("generation", verified.generation)]).filter_map(|(step, time)| Some((step, time?)))
    });
    commands
        .chain(proofs)
        .map(|(step, time)| ChangePhase { step: step.to_owned(), milliseconds: milliseconds(time) })
        .collect()
}

fn milliseconds(time: Duration) -> f64 {
    // Microseconds are what a person compares.
    (time.as_secs_f64() * 1e6).round() / 1e3
}

impl Failure {
    /// Returns it in one line.
    pub(super) fn line(&self) -> String {
        let reason = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        status_line(&format!("{}{reason}", self.summary))
    }
}
