//! Literal paths that templates ask for and that the `keys` of their resource do not cover: nothing is ever found there.
//! Pure. Never changes what a template renders: as with confd, such a list is empty.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::problem::{Place, Problem};
use crate::model::resource::Resource;
use crate::render::Ask;

/// A path that a resource never finds, because of its `keys`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutsideKeys {
    /// Place in the template, and what to do.
    pub problem: Problem,
    /// File of the resource.
    pub file: PathBuf,
    /// Whether the template provides for it.
    pub optional: bool,
}

/// Returns what these resources ask for in vain; `asks` are those of each one's template, in the same order.
pub(super) fn find(resources: &[Arc<Resource>], asks: Vec<Vec<Ask>>, templates: &Path) -> Vec<OutsideKeys> {
    let mut found = Vec::new();
    for (resource, asks) in resources.iter().zip(asks) {
        let in_vain = asks.into_iter().filter(|ask| !ask.may_find(&resource.prefix, &resource.ranges));
        found.extend(in_vain.map(|ask| OutsideKeys {
            problem: problem(resource, &ask, templates),
            file: resource.file.clone(),
            optional: ask.optional,
        }));
    }
    found.sort();
    found.dedup();
    found
}

fn problem(resource: &Resource, ask: &Ask, templates: &Path) -> Problem {
    let (function, path, name) = (ask.function, &ask.path, resource.name());
    let (why, hint) = match resource.keys.is_empty() {
        true => (format!("`{name}` has no `keys`"), format!("write keys = [{:?}]", ask.wanted_key())),
        false => (
            format!("the `keys` of `{name}` do not cover it"),
            format!("keys = {:?}: add {:?}, or ask for a path below one of them", resource.keys, ask.wanted_key()),
        ),
    };
    let message = format!("`{function}` of `{path}` never finds anything: {why}");
    Problem::new(message).at(Place::at(&templates.join(&ask.template), ask.place)).hint(hint)
}
