//! The instances of a resource with `for_each`: one for each name that a tree has. Never lets two resources have one file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::agent::claims::Claims;
use crate::agent::state::{FileState, Instance};
use crate::apply::instance_files::{ClaimedFiles, InstanceFiles};
use crate::model::for_each::{self, ForEach};
use crate::model::guard::{Guard, OnEmpty, RenderCount};
use crate::model::report::{Stage, StepFailure};
use crate::model::resource::{InstanceId, Resource};
use crate::model::text;
use crate::model::view::View;

/// The names that a view has for a resource, before anything is done about them.
pub(super) struct FoundNames {
    /// Each with the path of its file, or the reason why it can have none.
    files: Vec<(InstanceId, Result<PathBuf, String>)>,
    /// Number of names that can have a file, for the resource's guard.
    pub(super) found: RenderCount,
}

impl FoundNames {
    /// Returns the names in the view.
    pub(super) fn of(resource: &Resource, for_each: &ForEach, view: &View, claims: &Claims) -> FoundNames {
        let is_shell_word = resource.commands_name_a_file();
        let file = |(name, dest): (&str, Result<PathBuf, &'static str>)| {
            let dest = dest.and_then(|dest| match is_shell_word && !for_each::is_plain(name) {
                true => Err("a command names its file, and it has a character that means something to a shell"),
                false => Ok(dest),
            });
            let id = InstanceId { item: Some(Arc::from(name)), ..resource.id.clone() };
            (id, dest.map_err(str::to_owned).and_then(|dest| claims.free_for(resource.name(), dest)))
        };
        let files: Vec<_> = for_each.files(view).into_iter().map(file).collect();
        let count = files.iter().filter(|(_, dest)| dest.is_ok()).count();
        let found = RenderCount { calls_backends: true, keys: count, backends: count, skipped: 0 };
        FoundNames { files, found }
    }

    /// Returns the names that can have no file, with the reasons.
    pub(super) fn refused(self) -> Vec<(InstanceId, StepFailure)> {
        self.files.into_iter().filter_map(|(id, dest)| Some(refusal(id, &dest.err()?))).collect()
    }
}

fn refusal(id: InstanceId, problem: &str) -> (InstanceId, StepFailure) {
    let name = text::shortened(id.item.as_deref().unwrap_or_default(), 100);
    let message = format!("the name {name:?} can have no file: {problem}");
    (id, StepFailure::new(Stage::Stage, message))
}

/// The instances of a resource after its guard has agreed to the names.
pub(super) struct Expansion {
    /// FoundNames that cannot have a file, with the reasons.
    pub(super) refused: Vec<(InstanceId, StepFailure)>,
    /// Instances of the last pass whose names are gone.
    pub(super) gone: Vec<Instance>,
    /// Files that stay.
    pub(super) files: InstanceFiles,
}

/// Updates `instances` to these names. An instance that stays keeps its state.
pub(super) fn expand(
    resource: &Arc<Resource>,
    names: FoundNames,
    claims: &Arc<Claims>,
    instances: &mut BTreeMap<Arc<str>, Instance>,
) -> Expansion {
    let mut before = std::mem::take(instances);
    let ids: Vec<InstanceId> = names.files.iter().map(|(id, _)| id.clone()).collect();
    let outcomes = claims.exchange(resource.name(), names.files.into_iter());
    let (mut refused, mut wanted) = (Vec::new(), BTreeSet::new());
    for (id, outcome) in ids.into_iter().zip(outcomes) {
        let dest = match outcome {
            Ok(dest) => dest,
            Err(problem) => {
                refused.push(refusal(id, &problem));
                continue;
            }
        };
        wanted.insert(dest.clone());
        let Some(name) = id.item else { continue };
        let instance = match before.remove_entry(&*name) {
            Some((name, known)) if known.resource.dest == dest => (name, known),
            _ => {
                let resource = Arc::new(resource.instance(&name, dest));
                (name, Instance { resource, file: FileState::default() })
            }
        };
        instances.insert(instance.0, instance.1);
    }
    let claimed: Arc<dyn ClaimedFiles> = Arc::<Claims>::clone(claims);
    let files = InstanceFiles { resource: Arc::clone(resource), wanted, claimed: Some(claimed) };
    Expansion { refused, gone: before.into_values().collect(), files }
}

/// Claims the files of instances that stay as they are, and of names that have none yet: after a start, or an edit of conf.d, nobody
/// has them.
pub(super) fn keep(resource: &Resource, names: &FoundNames, claims: &Claims, instances: &BTreeMap<Arc<str>, Instance>) {
    let kept = instances.values().map(|instance| (instance.resource.id.clone(), Ok(instance.resource.dest.clone())));
    let is_new = |id: &InstanceId| id.item.as_ref().is_some_and(|name| !instances.contains_key(name));
    let new = names.files.iter().filter(|(id, dest)| dest.is_ok() && is_new(id)).cloned();
    claims.exchange(resource.name(), kept.chain(new));
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
