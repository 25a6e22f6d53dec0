//! Resources with `for_each`, made into one resource for each name that a tree has. Pure: what there is comes in, what is to
//! be rendered comes out. Never lets two resources have one file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::apply::fleet::InstanceFiles;
use crate::model::for_each::ForEach;
use crate::model::guard::{Guard, OnEmpty, RenderCount};
use crate::model::report::{Stage, StepFailure};
use crate::model::resource::Resource;
use crate::model::text;
use crate::model::tree::Tree;

use super::rendering::view;

/// What the resources with `for_each` came to in their last pass.
#[derive(Debug, Default)]
pub struct Expansions {
    by_resource: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Arc<Resource>>>,
    /// Who has which file: resources without `for_each`, and all names of the others.
    owners: BTreeMap<PathBuf, Arc<str>>,
}

/// What one resource comes to.
#[derive(Debug)]
pub struct Expansion {
    /// A resource for each name, in the order of the names.
    pub instances: Vec<Arc<Resource>>,
    /// Names that can have no file, and why.
    pub refused: Vec<(Arc<str>, StepFailure)>,
    /// Resources of names that were there in the last pass, and are no more.
    pub gone: Vec<Arc<str>>,
    /// The files that stay.
    pub fleet: InstanceFiles,
}

impl Expansion {
    /// What the guard of the resource is to judge: how many names there are.
    pub fn found(&self) -> RenderCount {
        RenderCount { asks: true, keys: self.instances.len(), backends: self.instances.len(), set_aside: 0 }
    }
}

impl Expansions {
    /// Starts anew over what is loaded.
    pub fn over<'a>(resources: impl Iterator<Item = &'a Arc<Resource>>) -> Expansions {
        let fixed = resources.filter(|resource| resource.for_each.is_none());
        let owners = fixed.map(|resource| (resource.dest.clone(), Arc::clone(&resource.name))).collect();
        Expansions { by_resource: BTreeMap::new(), owners }
    }

    /// Makes a resource into one for each name that the tree has.
    pub fn expand(&mut self, resource: &Arc<Resource>, for_each: &ForEach, tree: &Tree) -> Expansion {
        let before = self.by_resource.remove(&resource.name).unwrap_or_default();
        for instance in before.values() {
            self.owners.remove(&instance.dest);
        }
        let (mut instances, mut refused) = (BTreeMap::new(), Vec::new());
        let view = view(resource, tree);
        for (name, dest) in for_each.files(&view) {
            let told = || Arc::from(format!("{}[{}]", resource.name, name.escape_debug()));
            let dest = match dest.map_err(str::to_owned).and_then(|dest| self.free(dest)) {
                Ok(dest) => dest,
                Err(problem) => {
                    let message = format!("the name {:?} can have no file: {problem}", text::shortened(name, 100));
                    refused.push((told(), StepFailure::new(Stage::Stage, message)));
                    continue;
                }
            };
            let known = before.get(name).filter(|instance| instance.dest == dest);
            let instance = known.cloned().unwrap_or_else(|| Arc::new(resource.for_item(name, dest)));
            self.owners.insert(instance.dest.clone(), Arc::clone(&instance.name));
            instances.insert(Arc::from(name), instance);
        }
        let left = before.iter().filter(|(name, _)| !instances.contains_key(*name));
        let gone = left.map(|(_, instance)| Arc::clone(&instance.name)).collect();
        let all: Vec<Arc<Resource>> = instances.values().cloned().collect();
        self.by_resource.insert(Arc::clone(&resource.name), instances);
        // Whatever another resource writes is not ours to remove.
        let wanted: BTreeSet<PathBuf> = self.owners.keys().filter(|dest| is_in(dest, for_each)).cloned().collect();
        Expansion { instances: all, refused, gone, fleet: InstanceFiles { resource: Arc::clone(resource), wanted } }
    }

    fn free(&self, dest: PathBuf) -> Result<PathBuf, String> {
        match self.owners.get(&dest) {
            Some(owner) => Err(format!("`{owner}` writes `{}`", dest.display())),
            None => Ok(dest),
        }
    }

    /// The resources that a resource was made into; itself, where it has no `for_each`.
    pub fn instances<'a>(&'a self, name: &'a Arc<str>) -> Vec<&'a Arc<str>> {
        match self.by_resource.get(name) {
            None => vec![name],
            Some(instances) => instances.values().map(|instance| &instance.name).chain([name]).collect(),
        }
    }
}

/// The resource whose guard judges how many names there are: fewer than one is none, whatever `min_backends` says of the
/// backends of each.
pub fn as_judged(resource: &Resource) -> Arc<Resource> {
    let on_empty = match resource.guard.on_empty {
        // There is no file that could be rendered without backends.
        Some(OnEmpty::Placeholder) | None => OnEmpty::Keep,
        Some(other) => other,
    };
    let guard = Guard { on_empty: Some(on_empty), min_backends: None, ..resource.guard.clone() };
    Arc::new(Resource { guard, ..resource.clone() })
}

fn is_in(dest: &Path, for_each: &ForEach) -> bool {
    dest.parent() == Some(for_each.folder())
}
