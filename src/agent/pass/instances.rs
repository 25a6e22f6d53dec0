//! The instances of a resource with `for_each`: one for each name that a tree has. Never lets two resources have one file.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::agent::claims::Claims;
use crate::agent::state::{FileState, Instance};
use crate::apply::fleet::InstanceFiles;
use crate::model::for_each::{self, ForEach};
use crate::model::guard::{Guard, OnEmpty, RenderCount};
use crate::model::report::{Stage, StepFailure};
use crate::model::resource::{InstanceId, Resource};
use crate::model::text;
use crate::model::view::View;

/// The instances of a resource after its names were read.
pub(super) struct Expansion {
    /// Names that cannot have a file, with the reasons.
    pub(super) refused: Vec<(InstanceId, StepFailure)>,
    /// Instances of the last pass whose names are gone.
    pub(super) gone: Vec<Instance>,
    /// Files that stay.
    pub(super) fleet: InstanceFiles,
    /// Number of names, for the resource's guard.
    pub(super) found: RenderCount,
}

/// Updates `instances` to the names in the view. An instance that stays keeps its state.
pub(super) fn expand(
    resource: &Arc<Resource>,
    for_each: &ForEach,
    view: &View,
    claims: &Claims,
    instances: &mut BTreeMap<Arc<str>, Instance>,
) -> Expansion {
    let mut before = std::mem::take(instances);
    let files = for_each.files(view);
    let id = |name: &str| InstanceId { item: Some(Arc::from(name)), ..resource.id.clone() };
    let is_shell_word = resource.commands_name_a_file();
    let wanted = files.iter().map(|(name, dest)| {
        let dest = dest.clone().and_then(|dest| match is_shell_word && !for_each::is_plain(name) {
            true => Err("a command names its file, and it has a character that means something to a shell"),
            false => Ok(dest),
        });
        (id(name), dest.map_err(str::to_owned))
    });
    let had = before.values().map(|instance| instance.resource.dest.as_path());
    let (outcomes, in_folder) = claims.exchange(resource.name(), had, wanted, for_each.folder());
    let mut refused = Vec::new();
    for ((name, _), outcome) in files.iter().zip(outcomes) {
        let dest = match outcome {
            Ok(dest) => dest,
            Err(problem) => {
                let message = format!("the name {:?} can have no file: {problem}", text::shortened(name, 100));
                refused.push((id(name), StepFailure::new(Stage::Stage, message)));
                continue;
            }
        };
        let instance = match before.remove_entry(*name) {
            Some((name, known)) if known.resource.dest == dest => (name, known),
            _ => (
                Arc::from(*name),
                Instance { resource: Arc::new(resource.instance(name, dest)), file: FileState::default() },
            ),
        };
        instances.insert(instance.0, instance.1);
    }
    // Files of other resources are not ours to remove.
    let fleet = InstanceFiles { resource: Arc::clone(resource), wanted: in_folder };
    let count = instances.len();
    let found = RenderCount { calls_backends: true, keys: count, backends: count, skipped: 0 };
    Expansion { refused, gone: before.into_values().collect(), fleet, found }
}

/// Returns the resource whose guard judges the number of names: no name is a loss, whatever `min_backends` says of the
/// backends of each.
pub(super) fn with_names_guard(resource: &Resource) -> Arc<Resource> {
    let on_empty = match resource.guard.on_empty {
        // No file can be rendered without backends here.
        Some(OnEmpty::Placeholder) | None => OnEmpty::Keep,
        Some(other) => other,
    };
    let guard = Guard { on_empty: Some(on_empty), min_backends: None, ..resource.guard.clone() };
    Arc::new(Resource { guard, ..resource.clone() })
}
