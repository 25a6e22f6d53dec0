//! The pictures in `docs/states.md` against the machines: every edge that some order of answers takes, and no other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use upstreamd::announce::registrar::{EtcdAction, EtcdOutcome, Registrar};
use upstreamd::apply::machine::{self, CheckKind, FutureCheck, Next, ReloadProof, Reloaded, Step, TransactionPlan};
use upstreamd::model::etcd::{EtcdFailure, FailureKind, Header};
use upstreamd::model::key::Revision;
use upstreamd::model::lease::{FoundKey, WriteAnswer, WriteOutcome};
use upstreamd::model::report::{self, Stage, StepFailure};
use upstreamd::model::resource::OnReloadFailure;

const PAGE: &str = include_str!("../../docs/states.md");

/// The edges of the picture under this heading, without their labels.
fn drawn(heading: &str) -> BTreeSet<String> {
    let section = PAGE.split(&format!("## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no heading {heading}"));
    let picture = section.split("```mermaid\n").nth(1).unwrap().split("```").next().unwrap();
    let edges = picture.lines().filter(|line| line.contains("-->"));
    edges.map(|line| line.split(" : ").next().unwrap().trim().to_owned()).collect()
}

#[track_caller]
fn assert_drawn(heading: &str, taken: &BTreeSet<String>) {
    let drawn = drawn(heading);
    let missing: Vec<_> = taken.difference(&drawn).collect();
    let wrong: Vec<_> = drawn.difference(taken).collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "{heading}: not drawn {missing:#?}, drawn and never taken {wrong:#?}"
    );
}

fn failure() -> StepFailure {
    StepFailure::new(Stage::Check, "it failed")
}

/// The transitions for every answer that a step can get.
fn answers(step: Step) -> Vec<Next> {
    match step {
        Step::CheckStaged(asked) | Step::Record(asked) | Step::Install(asked) | Step::CheckLive(asked) => {
            [Ok(()), Err(failure())].map(|answer| asked.clone().answer(answer)).into()
        }
        Step::Restore(asked) | Step::ReloadOld(asked) => {
            [Ok(()), Err(failure())].map(|answer| asked.clone().answer(answer)).into()
        }
        Step::Commit(asked) => [Ok(()), Err(failure())].map(|answer| asked.clone().answer(answer)).into(),
        Step::CheckFuture(asked) => [FutureCheck::Passed, FutureCheck::Refused(failure()), FutureCheck::Unavailable]
            .map(|answer| asked.clone().answer(answer))
            .into(),
        Step::Reload(asked) => [
            Reloaded::Done,
            Reloaded::Failed(failure()),
            Reloaded::Refused(failure()),
            Reloaded::NothingRuns { failure: failure(), certain: true },
        ]
        .map(|answer| asked.clone().answer(answer))
        .into(),
        Step::Verify(asked) => [
            ReloadProof::Done,
            ReloadProof::HalfDone(failure()),
            ReloadProof::Failed(failure()),
            ReloadProof::Refused(failure()),
        ]
        .map(|answer| asked.clone().answer(answer))
        .into(),
    }
}

fn ending(outcome: &report::Outcome) -> &'static str {
    match outcome {
        report::Outcome::Unchanged => "Unchanged",
        report::Outcome::Applied => "Applied",
        report::Outcome::ReloadOwed { .. } => "ReloadOwed",
        report::Outcome::Rejected(_) => "Rejected",
        report::Outcome::RolledBack { .. } => "RolledBack",
        report::Outcome::Stuck { .. } => "Stuck",
    }
}

fn walk(step: Step, edges: &mut BTreeSet<String>) {
    let name = format!("{step:?}");
    for next in answers(step) {
        match next {
            Next::End(outcome) => drop(edges.insert(format!("{name} --> {}", ending(&outcome)))),
            Next::Do(next) => {
                edges.insert(format!("{name} --> {next:?}"));
                walk(next, edges);
            }
        }
    }
}

#[test]
fn the_picture_of_a_transaction_has_every_edge_and_no_other() {
    let mut edges = BTreeSet::new();
    for check in [CheckKind::None, CheckKind::OfStagedFiles, CheckKind::OfFutureTree, CheckKind::OfLiveTree] {
        for on_reload_failure in [OnReloadFailure::Auto, OnReloadFailure::Rollback, OnReloadFailure::Keep] {
            for (has_files, has_reload) in [(true, true), (true, false), (false, true)] {
                let first = machine::start(TransactionPlan { has_files, check, has_reload, on_reload_failure });
                edges.insert(format!("[*] --> {first:?}"));
                walk(first, &mut edges);
            }
        }
    }
    assert_drawn("A transaction", &edges);
}

/// Decisions that are tried in a row. Longer rows bring no edge that is not seen by then.
const DEPTH: usize = 6;
const KEY: &str = "/services/web/a";
const OURS: i64 = 7;

fn name(action: &EtcdAction) -> &'static str {
    match action {
        EtcdAction::Connect => "Connect",
        EtcdAction::Grant(_) => "Grant",
        EtcdAction::KeepAlive(_) => "KeepAlive",
        EtcdAction::List(_) => "List",
        EtcdAction::Write(..) => "Write",
        EtcdAction::Revoke(_) => "Revoke",
        EtcdAction::Wait(_) => "Wait",
    }
}

/// The possible outcomes of an action; empty for a wait.
fn outcomes(action: &EtcdAction) -> Vec<EtcdOutcome> {
    let failed = |kind| EtcdOutcome::Failed(EtcdFailure { kind, problem: "it failed".to_owned() });
    let mut outcomes = match action {
        EtcdAction::Connect => vec![EtcdOutcome::Connected],
        EtcdAction::Grant(_) => vec![EtcdOutcome::Granted(OURS)],
        EtcdAction::KeepAlive(_) => vec![EtcdOutcome::KeptAlive(true), EtcdOutcome::KeptAlive(false)],
        EtcdAction::List(_) => {
            let header = Header { revision: Revision(1), ..Header::default() };
            let listed = |keys| EtcdOutcome::Listed(header, keys);
            [Some(BTreeSet::from([KEY.to_owned()])), Some(BTreeSet::new()), None].map(listed).into()
        }
        EtcdAction::Write(..) => {
            let found = FoundKey { lease: 1, value: b"another".to_vec(), changed: Revision(1) };
            let written = |outcome| EtcdOutcome::Wrote(WriteAnswer { revision: Revision(1), outcomes: vec![outcome] });
            [WriteOutcome::Done, WriteOutcome::Refused(None), WriteOutcome::Refused(Some(found))].map(written).into()
        }
        EtcdAction::Revoke(_) => vec![EtcdOutcome::Revoked],
        EtcdAction::Wait(_) => return Vec::new(),
    };
    outcomes.push(failed(FailureKind::Unreachable));
    if matches!(action, EtcdAction::Write(..)) {
        outcomes.push(failed(FailureKind::Denied));
    }
    outcomes
}

/// Events that may arrive while the registrar waits, beside the end of the wait.
const CHANGES: [fn(&mut Registrar, Instant); 4] = [
    |registrar, _| registrar.want(KEY, 15, Some(Arc::from("draining"))),
    |registrar, _| registrar.want(KEY, 15, None),
    |registrar, now| registrar.look(now),
    |registrar, _| registrar.stop(),
];

/// Takes these decisions, one after the other, and returns the actions that led there and how many ways lead on.
fn replay(choices: &[usize]) -> (Vec<EtcdAction>, usize) {
    let mut now = Instant::now();
    let mut registrar = Registrar::new(now);
    registrar.want(KEY, 15, Some(Arc::from("up")));
    let mut actions = vec![registrar.next(now)];
    for choice in choices {
        let action = actions[actions.len() - 1].clone();
        match &action {
            EtcdAction::Wait(until) => match (CHANGES.get(*choice), until) {
                (Some(change), _) => change(&mut registrar, now),
                (None, Some(until)) => now = *until,
                (None, None) => {}
            },
            _ => drop(registrar.done(&action, outcomes(&action)[*choice].clone(), now, 1.0)),
        }
        actions.push(registrar.next(now));
    }
    let ways = match &actions[actions.len() - 1] {
        EtcdAction::Wait(_) => CHANGES.len() + 1,
        action => outcomes(action).len(),
    };
    (actions, ways)
}

#[test]
fn the_picture_of_the_registrar_has_every_edge_and_no_other() {
    fn explore(choices: &mut Vec<usize>, depth: usize, edges: &mut BTreeSet<String>) {
        let (actions, ways) = replay(choices);
        if let [.., before, after] = actions.as_slice() {
            if !matches!((before, after), (EtcdAction::Wait(_), EtcdAction::Wait(_))) {
                edges.insert(format!("{} --> {}", name(before), name(after)));
            }
        } else {
            edges.insert(format!("[*] --> {}", name(&actions[0])));
        }
        if depth == 0 {
            return;
        }
        for way in 0..ways {
            choices.push(way);
            explore(choices, depth - 1, edges);
            choices.pop();
        }
    }
    let mut edges = BTreeSet::new();
    // From the start, and from where it is connected and has written its key.
    explore(&mut Vec::new(), DEPTH, &mut edges);
    explore(&mut vec![0, 0, 0], DEPTH, &mut edges);
    assert_drawn("The registrar", &edges);
}
