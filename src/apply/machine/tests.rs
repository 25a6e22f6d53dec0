//! Walks every order of answers, and pins the orders that users rely on.

use super::*;
use crate::model::report::Stage;

fn failure(step: &str) -> StepFailure {
    StepFailure::new(Stage::Check, step)
}

/// Returns what follows from every answer that the step can get, each with whether it succeeded. The types allow no other
/// answers.
fn every_answer(step: &Step) -> Vec<(bool, Next)> {
    let name = format!("{step:?}");
    let failed = || failure(&name);
    let done = |answer: &dyn Fn(Done) -> Next| vec![(true, answer(Ok(()))), (false, answer(Err(failed())))];
    match step.clone() {
        Step::CheckStaged(asked) | Step::Record(asked) | Step::Install(asked) | Step::CheckLive(asked) => {
            done(&|answer| asked.clone().answer(answer))
        }
        Step::Restore(asked) | Step::ReloadOld(asked) => done(&|answer| asked.clone().answer(answer)),
        Step::Commit(asked) => done(&|answer| asked.clone().answer(answer)),
        Step::CheckFuture(asked) => {
            [(true, FutureCheck::Passed), (false, FutureCheck::Refused(failed())), (false, FutureCheck::Unavailable)]
                .map(|(ok, answer)| (ok, asked.clone().answer(answer)))
                .into()
        }
        Step::Reload(asked) => [
            (true, Reloaded::Done),
            (false, Reloaded::Failed(failed())),
            (false, Reloaded::Refused(failed())),
            (false, Reloaded::NothingRuns { failure: failed(), certain: true }),
            (false, Reloaded::NothingRuns { failure: failed(), certain: false }),
        ]
        .map(|(ok, answer)| (ok, asked.clone().answer(answer)))
        .into(),
        Step::Verify(asked) => [
            (true, ReloadProof::Done),
            (false, ReloadProof::HalfDone(failed())),
            (false, ReloadProof::Failed(failed())),
            (false, ReloadProof::Refused(failed())),
        ]
        .map(|(ok, answer)| (ok, asked.clone().answer(answer)))
        .into(),
    }
}

/// Steps by name in the order they were done, each with whether it succeeded.
type Trace = Vec<(String, bool)>;

fn walk(step: &Step, trace: &Trace, visit: &mut impl FnMut(&Trace, &Outcome)) {
    assert!(trace.len() < 12, "no end in sight: {trace:?}");
    for (ok, next) in every_answer(step) {
        let mut trace = trace.clone();
        trace.push((format!("{step:?}"), ok));
        match next {
            Next::Do(next) => walk(&next, &trace, visit),
            Next::End(outcome) => visit(&trace, &outcome),
        }
    }
}

fn every_plan() -> Vec<TransactionPlan> {
    let mut plans = Vec::new();
    for check in [CheckKind::None, CheckKind::OfStagedFiles, CheckKind::OfFutureTree, CheckKind::OfLiveTree] {
        for has_reload in [false, true] {
            for on_reload_failure in [OnReloadFailure::Auto, OnReloadFailure::Rollback, OnReloadFailure::Keep] {
                plans.push(TransactionPlan { has_files: true, check, has_reload, on_reload_failure });
            }
        }
    }
    plans.push(TransactionPlan { has_files: false, ..CLASSIC });
    plans
}

#[test]
fn every_order_of_answers_keeps_the_promises() {
    let mut walked = 0;
    for plan in every_plan() {
        walk(&start(plan), &Vec::new(), &mut |trace, outcome| {
            walked += 1;
            let at = |step: &str| trace.iter().position(|(done, _)| done == step);
            let ok = |step: &str| trace.iter().any(|(done, ok)| done == step && *ok);
            let failed = |step: &str| trace.iter().any(|(done, ok)| done == step && !*ok);
            let describe = format!("{plan:?}\n{trace:?}\n=> {outcome:?}");
            if let Some(install) = at("Install") {
                assert!(at("Record").is_some_and(|record| record < install), "backup first: {describe}");
            }
            if at("Reload").is_some() && plan.has_files && plan.check != CheckKind::None {
                let checked = ok("CheckStaged") || ok("CheckFuture") || ok("CheckLive");
                assert!(checked, "reloaded unchecked: {describe}");
            }
            assert!(!(failed("Install") || failed("CheckLive")) || at("Restore").is_some(), "not undone: {describe}");
            assert!(at("Restore").is_none() || at("Install").is_some(), "undone without install: {describe}");
            assert!(at("Commit").is_none() || at("Restore").is_none(), "{describe}");
            match outcome {
                Outcome::Applied => {
                    assert!(trace.iter().all(|(step, ok)| *ok || step == "CheckFuture"), "{describe}");
                }
                Outcome::Rejected(_) => assert!(at("Install").is_none(), "{describe}"),
                Outcome::RolledBack { .. } => assert!(ok("Restore"), "{describe}"),
                Outcome::Stuck { .. } => assert!(failed("Restore"), "{describe}"),
                Outcome::ReloadOwed { .. } => {
                    let reload_failed = at("Restore").is_none() && at("CommitOwed").is_some() && at("Reload").is_some();
                    assert!(reload_failed || failed("Commit"), "{describe}");
                }
                Outcome::Unchanged => panic!("a started machine cannot end unchanged: {describe}"),
            }
            if plan.on_reload_failure == OnReloadFailure::Keep {
                assert!(!(at("Reload").is_some() && at("Restore").is_some()), "kept: {describe}");
            }
        });
    }
    assert!(walked > 400, "{walked}");
}

/// Walks through a transaction by the position of each answer in `every_answer`.
fn check(plan: TransactionPlan, answers: &[&str], expected: &str) {
    let mut next = Next::Do(start(plan));
    let mut steps = Vec::new();
    for answer in answers {
        let Next::Do(step) = next else { panic!("over before {answer}: {steps:?}") };
        steps.push(format!("{step:?}"));
        next = match (step, *answer) {
            (Step::CheckFuture(asked), "unavailable") => asked.answer(FutureCheck::Unavailable),
            (Step::Reload(asked), "absent") => {
                asked.answer(Reloaded::NothingRuns { failure: failure("Reload"), certain: true })
            }
            (Step::Verify(asked), "refused") => asked.answer(ReloadProof::Refused(failure("Verify"))),
            (Step::Verify(asked), "half") => asked.answer(ReloadProof::HalfDone(failure("Verify"))),
            (step, "done") => every_answer(&step).swap_remove(0).1,
            (step, "bad") => every_answer(&step).into_iter().find(|(ok, _)| !*ok).expect("every step can fail").1,
            (step, other) => panic!("{step:?} has no answer {other}"),
        };
    }
    match next {
        Next::Do(step) => steps.push(format!("{step:?}")),
        Next::End(outcome) => {
            let name = format!("{outcome:?}");
            steps.push(format!("=> {}", name.split([' ', '(', '{']).next().unwrap_or_default()));
        }
    }
    assert_eq!(steps.join(" "), expected);
}

const CLASSIC: TransactionPlan = TransactionPlan {
    has_files: true,
    check: CheckKind::OfFutureTree,
    has_reload: true,
    on_reload_failure: OnReloadFailure::Auto,
};

#[test]
fn the_orders_that_users_rely_on() {
    let rollback = TransactionPlan { on_reload_failure: OnReloadFailure::Rollback, ..CLASSIC };
    let keep = TransactionPlan { on_reload_failure: OnReloadFailure::Keep, ..CLASSIC };
    let only_reload = TransactionPlan { has_files: false, ..CLASSIC };
    let done = "done";
    check(CLASSIC, &[done, done, done, done, done, done], "CheckFuture Record Install Reload Verify Commit => Applied");
    check(CLASSIC, &["bad"], "CheckFuture => Rejected");
    check(
        CLASSIC,
        &["unavailable", done, done, "bad", done],
        "CheckFuture Record Install CheckLive Restore => RolledBack",
    );
    check(
        CLASSIC,
        &[done, done, done, "bad", done, done],
        "CheckFuture Record Install Reload Restore ReloadOld => RolledBack",
    );
    check(
        CLASSIC,
        &[done, done, done, done, "refused", done],
        "CheckFuture Record Install Reload Verify Restore => RolledBack",
    );
    check(
        CLASSIC,
        &[done, done, done, done, "half", done],
        "CheckFuture Record Install Reload Verify CommitOwed => ReloadOwed",
    );
    check(CLASSIC, &[done, done, done, "absent", done], "CheckFuture Record Install Reload CommitOwed => ReloadOwed");
    check(rollback, &[done, done, done, "absent", done], "CheckFuture Record Install Reload Restore => RolledBack");
    check(keep, &[done, done, done, "bad", done], "CheckFuture Record Install Reload CommitOwed => ReloadOwed");
    check(CLASSIC, &[done, done, "bad", "bad"], "CheckFuture Record Install Restore => Stuck");
    check(only_reload, &["bad", done], "Reload CommitOwed => ReloadOwed");
}
