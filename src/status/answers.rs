//! The two answers of the status, which JSON, the page, the terminal, the metrics, `/ready/detailed` and systemd's line all have from
//! here. Pure. Never looks for what is not good: the conditions go in.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::status::{Axis, AxisAnswer, Cause, Condition, ConditionKind, StatusQuestion};
use crate::model::text;

use super::board::{Board, Failure, State, status_line};

/// Most conditions that are said in one line.
const MAX_SAID: usize = 5;

/// The answers to the two questions.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Whether what is live is what the store says.
    pub sync: Axis,
    /// Whether clients are served.
    pub service: Axis,
}

impl Answers {
    /// Returns the answers of this board, on which all of these are not good.
    pub fn of(board: &Board, found: &[Condition]) -> Answers {
        let (sync, service) = (without_condition(board), service_without_condition(board));
        Answers {
            sync: axis(StatusQuestion::Sync, found, sync),
            service: axis(StatusQuestion::Service, found, service),
        }
    }
}

/// Returns one line for people: the answers, and what makes them no, the worst first. These are all conditions of the board.
pub fn line(board: &Board, found: &[Condition]) -> String {
    if board.stopping {
        return "stopping; every file stays as it is".to_owned();
    }
    let Answers { sync, service } = Answers::of(board, found);
    let sync = if sync.answer == AxisAnswer::No { format!("not in sync: {}", sync.summary) } else { sync.summary };
    let service = (service.answer == AxisAnswer::No).then(|| format!("not serving: {}", service.summary));
    let failed: BTreeSet<ConditionKind> = board.failures().map(|failure| failure.kind).collect();
    let is_other =
        |condition: &&Condition| condition.question != StatusQuestion::Notice && !failed.contains(&condition.kind);
    // A failure is said in words that may be logged: what a command prints may have values of the store.
    let failures = board.failures().map(|failure| (failure.kind, Err(failure)));
    let others = found.iter().filter(is_other).map(|condition| (condition.kind, Ok(condition)));
    let mut said: Vec<(ConditionKind, Result<&Condition, &Failure>)> = failures.chain(others).collect();
    said.sort_by_key(|(kind, _)| *kind);
    let said = said.into_iter().take(MAX_SAID).map(|(_, said)| said.map_or_else(Failure::named_line, in_short));
    let parts: Vec<String> = std::iter::once(sync).chain(service).chain(said).collect();
    status_line(&parts.join("; "))
}

fn in_short(condition: &Condition) -> String {
    let Condition { kind, subject, summary, reason, causes, .. } = condition;
    match (kind, causes.first()) {
        _ if reason.is_empty() => summary.clone(),
        (ConditionKind::StoreAway, _) => format!("cannot follow the store: {reason}"),
        (ConditionKind::Broken, Some(Cause::File(place))) => format!("{place}: {reason}"),
        _ => format!("{subject}: {reason}"),
    }
}

/// Returns whether all is in sync, if no condition is in the way.
fn without_condition(board: &Board) -> (AxisAnswer, String) {
    let revision = board.applied_revision.map_or(String::new(), |revision| format!(" at revision {revision}"));
    match (board.groups_in_sync(), board.groups.len()) {
        _ if board.loads == 0 => (AxisAnswer::Starting, "starting: conf.d has not been read yet".to_owned()),
        (_, 0) => (AxisAnswer::NothingToSync, "conf.d has no resource".to_owned()),
        (in_sync, all) if in_sync == all => (AxisAnswer::Yes, format!("in sync{revision}")),
        // Before its first pass, a group is neither in sync nor in trouble.
        (in_sync, all) => (AxisAnswer::Starting, format!("starting: {in_sync} of {all} groups in sync{revision}")),
    }
}

/// Returns whether clients are served, if no condition is in the way.
fn service_without_condition(board: &Board) -> (AxisAnswer, String) {
    // Which nginx a group drives is known with its first pass.
    let is_open = board.loads == 0
        || board.groups.values().any(|group| group.state == State::Waiting && group.about.drives_nginx);
    match (board.nginx.is_empty(), board.nginx_away().next()) {
        (_, Some(_)) => (AxisAnswer::No, "nginx is not running".to_owned()),
        (false, None) => (AxisAnswer::Yes, format!("serving with {}", text::counted(board.workers_serving, "worker"))),
        (true, None) if is_open => (AxisAnswer::Starting, "starting: nginx has not been looked at yet".to_owned()),
        (true, None) => (AxisAnswer::NotAsked, "no resource reloads an nginx".to_owned()),
    }
}

/// Returns the answer to a question: no if a condition says so.
fn axis(question: StatusQuestion, found: &[Condition], (otherwise, good): (AxisAnswer, String)) -> Axis {
    let against = || found.iter().filter(|condition| condition.question == question);
    let mut counts: BTreeMap<ConditionKind, usize> = BTreeMap::new();
    against().for_each(|condition| *counts.entry(condition.kind).or_default() += 1);
    let said = counts.iter().map(|(kind, count)| match count {
        1 => kind.label().to_owned(),
        count => format!("{count} × {}", kind.label()),
    });
    match against().map(|condition| condition.since).min() {
        None => Axis::new(otherwise, good, None),
        since => Axis::new(AxisAnswer::No, said.collect::<Vec<_>>().join(", "), since),
    }
}
