//! The failures of the last pass over a group: what failed, whom it concerns, what caused it, and since when. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::changed_keys::ChangedKeys;
use crate::model::key::Key;
use crate::model::report::{Outcome, Report, Stage, StepFailure};
use crate::model::status::{Cause, ConditionKind};
use crate::model::text;
use crate::nginx::error_log::{named_file, said_of};

use super::shortened;

/// Most names of resources, and most causes, that are kept of a failure.
const MAX_NAMED: usize = 20;
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
    /// What failed, in one line.
    pub summary: String,
    /// Why, in the words of nginx or of the command.
    pub reason: String,
    /// What caused it: the place that nginx names, and the keys that had changed when it began.
    pub causes: Vec<Cause>,
    /// Its start, in seconds since 1970.
    pub since: u64,
}

impl Failure {
    /// Returns the failures of this pass. One that was there before keeps its start and its keys.
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
            Failure::new(kind, others.map(|name: &Arc<str>| name.to_string()).collect(), failure)
        });
        let mut failures: Vec<Failure> = of_group.into_iter().collect();
        // What the store refuses is a condition of its own; what no check has judged yet is tried again at once.
        let judged = report.dropped.iter().filter(|(_, failure)| failure.at != Stage::Read && !failure.is_undecided());
        for (id, failure) in judged {
            let kind = if failure.at == Stage::Check { ConditionKind::CheckRefused } else { ConditionKind::Failed };
            let failure = Failure::new(kind, vec![id.to_string()], failure);
            // Names of a `for_each` may fail by the thousand in the same way.
            match failures.iter().position(|known| known.is_like(&failure)) {
                Some(at) if failures[at].names.len() < MAX_NAMED => failures[at].names.extend(failure.names),
                Some(at) => failures[at].more += 1,
                None if failures.len() < MAX_NAMED => failures.push(failure),
                None => {}
            }
        }
        for failure in &mut failures {
            let known = before.iter().find(|known| known.kind == failure.kind && known.names == failure.names);
            failure.since = known.map_or(unix_seconds, |known| known.since);
            let is_key = |cause: &&Cause| matches!(cause, Cause::Key(_));
            let of_names = |key: &&Key| {
                failure.names.iter().any(|name| sees(name.split('[').next().unwrap_or(name), key.as_str()))
            };
            let keys: Vec<&Key> = changed.named().filter(of_names).take(MAX_NAMED).collect();
            let keys = keys.into_iter().map(|key| Cause::Key(text::shortened(key.as_str(), MAX_KEY_CHARACTERS)));
            match known {
                Some(known) if keys.len() == 0 => failure.causes.extend(known.causes.iter().filter(is_key).cloned()),
                _ => failure.causes.extend(keys),
            }
        }
        failures
    }

    fn new(kind: ConditionKind, mut names: Vec<String>, failure: &StepFailure) -> Failure {
        let more = names.len().saturating_sub(MAX_NAMED);
        names.truncate(MAX_NAMED);
        let said = said_of(failure);
        let reason = said.or_else(|| failure.output.lines().rev().find(|line| !line.trim().is_empty()));
        let place = said.filter(|said| named_file(said).is_some()).and_then(|said| Some(said.rsplit_once(" in ")?.1));
        let causes = place.map(|place| Cause::File(shortened(place))).into_iter().collect();
        Failure {
            kind,
            names,
            more,
            summary: match said {
                // nginx's words say more than the command and its exit status.
                Some(_) if failure.at == Stage::Check => "the check refuses the rendered file".to_owned(),
                Some(_) if failure.at == Stage::Verify => "nginx refused the reload".to_owned(),
                _ => shortened(&failure.to_string()),
            },
            reason: reason.map(shortened).unwrap_or_default(),
            causes,
            since: 0,
        }
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
        (Outcome::ReloadOwed { .. }, _) => ConditionKind::ReloadOwed,
        (_, Stage::Check) => ConditionKind::CheckRefused,
        (_, Stage::Reload | Stage::Verify) => ConditionKind::ReloadRefused,
        _ => ConditionKind::Failed,
    };
    Some((kind, cause))
}
