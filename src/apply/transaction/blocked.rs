//! Leaves out a file that cannot be put in its place, so that it does not hold up the others of its group. Never tries to repair
//! a file system.

use std::sync::Arc;

use crate::apply::{Context, plan};
use crate::model::report::{Outcome, Report, Stage, StepFailure};
use crate::model::resource::InstanceId;

use super::turns::{self, Patience};
use super::{Request, live, run_one};

/// Runs one transaction, and once more without each file that cannot be put in its place. If a check can only judge the live tree and
/// refuses a group, further transactions find out which of its files it refuses, and the others go live.
pub(super) async fn attempt(context: &Context, mut request: Request) -> Report {
    let mut patience = Patience::new(Arc::clone(&request.change_waits));
    let mut report = run_one(context, request.clone()).await;
    loop {
        let blocked = blocked(&report, &request);
        if blocked.is_empty() || !patience.is_left() {
            break;
        }
        leave_out(context, &mut request, blocked);
        let next = run_one(context, request.clone()).await;
        report = Report {
            warnings: [report.warnings, next.warnings].concat(),
            commands: [report.commands, next.commands].concat(),
            elapsed: report.elapsed + next.elapsed,
            ..next
        };
    }
    match &report.outcome {
        Outcome::RolledBack { cause, .. } if cause.at == Stage::Check && report.file_count() > 1 => {
            live::isolate(context, request, report).await
        }
        _ => report,
    }
}

/// Returns the members whose files kept the others from being put in place.
fn blocked(report: &Report, request: &Request) -> Vec<(InstanceId, StepFailure)> {
    let is_known = |id: &InstanceId| request.dropped.iter().any(|(known, _)| known == id);
    let is_it = |(id, failure): &&(InstanceId, StepFailure)| turns::is_of_one_file(failure) && !is_known(id);
    report.dropped.iter().filter(is_it).cloned().collect()
}

/// Takes them out of the request. While their content stays the same, they have their turn after the others.
fn leave_out(context: &Context, request: &mut Request, blocked: Vec<(InstanceId, StepFailure)>) {
    let failure_of = |id: &InstanceId| blocked.iter().find(|(known, _)| known == id).map(|(_, failure)| failure);
    let group_id = &request.group.id;
    request.rendered.retain(|rendered| {
        let failure = failure_of(&rendered.resource.id);
        if let Some(failure) = failure {
            turns::remember(context, group_id, &rendered.resource, plan::hash(&rendered.bytes), failure);
        }
        failure.is_none()
    });
    // A file of theirs that cannot be removed.
    request.fleets.retain(|fleet| failure_of(&fleet.resource.id).is_none());
    request.dropped.extend(blocked);
}
