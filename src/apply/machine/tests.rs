//! Walks every order of answers, and pins the orders that users rely on.

use super::*;
use crate::model::report::Stage;

fn failure(step: Step) -> Failure {
    Failure::new(Stage::Check, format!("{step:?}"))
}

fn every_answer(step: Step) -> Vec<Answer> {
    let mut answers = vec![Answer::Done, Answer::Failed(failure(step))];
    if step == Step::CheckFuture {
        answers.push(Answer::Unavailable);
    }
    if matches!(step, Step::Reload | Step::ReloadOld) {
        answers.push(Answer::NothingRuns { failure: failure(step), certain: true });
    }
    if matches!(step, Step::Reload | Step::Verify) {
        answers.push(Answer::Refused(failure(step)));
    }
    answers
}

fn walk(machine: Machine, step: Step, trace: Vec<(Step, bool)>, visit: &mut impl FnMut(&[(Step, bool)], &Outcome)) {
    assert!(trace.len() < 12, "no end in sight: {trace:?}");
    for answer in every_answer(step) {
        let mut machine = machine.clone();
        let mut trace = trace.clone();
        trace.push((step, matches!(answer, Answer::Done)));
        match machine.answer(answer) {
            Next::Do(next) => walk(machine, next, trace, visit),
            Next::End(outcome) => visit(&trace, &outcome),
        }
    }
}

fn every_plan() -> Vec<Plan> {
    let mut plans = Vec::new();
    for check in [Check::None, Check::OfStagedFiles, Check::OfFutureTree, Check::OfLiveTree] {
        for has_reload in [false, true] {
            for on_reload_failure in [OnReloadFailure::Auto, OnReloadFailure::Rollback, OnReloadFailure::Keep] {
                plans.push(Plan { has_files: true, check, has_reload, on_reload_failure });
            }
        }
    }
    plans.push(Plan {
        has_files: false,
        check: Check::OfFutureTree,
        has_reload: true,
        on_reload_failure: OnReloadFailure::Auto,
    });
    plans
}

#[test]
fn every_order_of_answers_keeps_the_promises() {
    let mut walked = 0;
    for plan in every_plan() {
        let (machine, first) = Machine::start(plan);
        walk(machine, first, Vec::new(), &mut |trace, outcome| {
            walked += 1;
            let at = |step: Step| trace.iter().position(|(done, _)| *done == step);
            let ok = |step: Step| trace.contains(&(step, true));
            let describe = format!("{plan:?}\n{trace:?}\n=> {outcome:?}");
            if let Some(install) = at(Step::Install) {
                assert!(at(Step::Record).is_some_and(|record| record < install), "backup first: {describe}");
            }
            if at(Step::Reload).is_some() && plan.has_files && plan.check != Check::None {
                let checked = ok(Step::CheckStaged) || ok(Step::CheckFuture) || ok(Step::CheckLive);
                assert!(checked, "reloaded unchecked: {describe}");
            }
            let after_install = [Step::Install, Step::CheckLive].iter().any(|step| trace.contains(&(*step, false)));
            assert!(!after_install || at(Step::Restore).is_some(), "not undone: {describe}");
            match outcome {
                Outcome::Applied => {
                    assert!(trace.iter().all(|(step, ok)| *ok || *step == Step::CheckFuture), "{describe}");
                }
                Outcome::Rejected(_) => assert!(at(Step::Install).is_none(), "{describe}"),
                Outcome::RolledBack { .. } => assert!(ok(Step::Restore), "{describe}"),
                Outcome::Stuck { .. } => assert!(trace.contains(&(Step::Restore, false)), "{describe}"),
                Outcome::ReloadOwed { .. } => {
                    assert!(
                        at(Step::Restore).is_none() && at(Step::Reload).is_some()
                            || !ok(Step::Commit { reload_owed: false }),
                        "{describe}"
                    );
                }
                Outcome::Unchanged => panic!("a started machine cannot end unchanged: {describe}"),
            }
            if plan.on_reload_failure == OnReloadFailure::Keep {
                assert!(!(at(Step::Reload).is_some() && at(Step::Restore).is_some()), "kept: {describe}");
            }
        });
    }
    assert!(walked > 200, "{walked}");
}

fn check(plan: Plan, answers: Vec<Answer>, expected: &str) {
    let (mut machine, first) = Machine::start(plan);
    let mut steps = format!("{first:?}");
    for answer in answers {
        match machine.answer(answer) {
            Next::Do(step) => steps.push_str(&format!(" {step:?}")),
            Next::End(outcome) => {
                let name = format!("{outcome:?}");
                steps.push_str(&format!(" => {}", name.split([' ', '(', '{']).next().unwrap_or_default()));
            }
        }
    }
    assert_eq!(steps, expected);
}

const CLASSIC: Plan =
    Plan { has_files: true, check: Check::OfFutureTree, has_reload: true, on_reload_failure: OnReloadFailure::Auto };

#[test]
fn the_orders_that_users_rely_on() {
    let bad = || Answer::Failed(failure(Step::Reload));
    let absent = || Answer::NothingRuns { failure: failure(Step::Reload), certain: true };
    let refused = || Answer::Refused(failure(Step::Verify));
    use Answer::{Done, Unavailable};
    check(
        CLASSIC,
        vec![Done, Done, Done, Done, Done, Done],
        "CheckFuture Record Install Reload Verify Commit { reload_owed: false } => Applied",
    );
    check(CLASSIC, vec![bad()], "CheckFuture => Rejected");
    check(
        CLASSIC,
        vec![Unavailable, Done, Done, bad(), Done],
        "CheckFuture Record Install CheckLive Restore => RolledBack",
    );
    check(
        CLASSIC,
        vec![Done, Done, Done, bad(), Done, Done],
        "CheckFuture Record Install Reload Restore ReloadOld => RolledBack",
    );
    check(
        CLASSIC,
        vec![Done, Done, Done, Done, refused(), Done],
        "CheckFuture Record Install Reload Verify Restore => RolledBack",
    );
    check(
        CLASSIC,
        vec![Done, Done, Done, absent(), Done],
        "CheckFuture Record Install Reload Commit { reload_owed: true } => ReloadOwed",
    );
    check(
        Plan { on_reload_failure: OnReloadFailure::Rollback, ..CLASSIC },
        vec![Done, Done, Done, absent(), Done],
        "CheckFuture Record Install Reload Restore => RolledBack",
    );
    check(
        Plan { on_reload_failure: OnReloadFailure::Keep, ..CLASSIC },
        vec![Done, Done, Done, bad(), Done],
        "CheckFuture Record Install Reload Commit { reload_owed: true } => ReloadOwed",
    );
    check(CLASSIC, vec![Done, Done, bad(), bad()], "CheckFuture Record Install Restore => Stuck");
    check(Plan { has_files: false, ..CLASSIC }, vec![bad(), Done], "Reload Commit { reload_owed: true } => ReloadOwed");
}
