//! The two answers of the status, which JSON, the page, the terminal and the metrics all have from here. Pure. Never looks for what is
//! not good: the conditions go in.

use std::collections::BTreeMap;

use crate::model::status::{Axis, AxisAnswer, Condition, ConditionKind, StatusQuestion};
use crate::model::text;

use super::board::{Board, NginxState, State};

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
    match &board.nginx {
        Some(NginxState::Runs) => {
            (AxisAnswer::Yes, format!("serving with {}", text::counted(board.workers_serving, "worker")))
        }
        Some(NginxState::Away { .. }) => (AxisAnswer::No, "nginx is not running".to_owned()),
        None if is_open => (AxisAnswer::Starting, "starting: nginx has not been looked at yet".to_owned()),
        None => (AxisAnswer::NotAsked, "no nginx is driven".to_owned()),
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
