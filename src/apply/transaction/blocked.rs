//! Leaves out a file that cannot be put in its place, so that it does not hold up the others of its group. Never tries to repair
//! a file system.

use crate::apply::{Context, plan};
use crate::model::report::{Report, StepFailure};
use crate::model::resource::InstanceId;

use super::Request;
use super::turns;

/// Returns the members whose files kept the others from being put in place.
pub(super) fn blocked(report: &Report, request: &Request) -> Vec<(InstanceId, StepFailure)> {
    let is_known = |id: &InstanceId| request.dropped.iter().any(|(known, _)| known == id);
    let is_it = |(id, failure): &&(InstanceId, StepFailure)| turns::is_of_one_file(failure) && !is_known(id);
    report.dropped.iter().filter(is_it).cloned().collect()
}

/// Takes them out of the request. While their content stays the same, they have their turn after the others.
pub(super) fn leave_out(context: &Context, request: &mut Request, blocked: Vec<(InstanceId, StepFailure)>) {
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
    request.instance_files.retain(|of_one| failure_of(&of_one.resource.id).is_none());
    request.dropped.extend(blocked);
}
