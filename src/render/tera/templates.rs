//! Compiled Tera templates, and the Tera that each root lives in. Data only.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tera::Tera;

use super::incremental::Rewritten;
use super::limits::Shifts;
use crate::model::resource::Escape;

/// All compiled Tera templates.
pub(in crate::render) struct TeraTemplates {
    sets: Vec<TeraSet>,
    /// The position of the set that a root is in, by escape mode and name.
    roots: HashMap<(Escape, String), usize>,
    /// Names of the templates that each root reaches, itself included.
    reached: HashMap<String, Vec<String>>,
    /// Roots from which a call of `backends` or `servers` can be reached.
    asking: HashSet<String>,
}

/// Templates that live together.
pub(super) struct TeraSet {
    pub(super) tera: Arc<Tera>,
    pub(super) rewritten: Rewritten,
    /// Where limits are, by template.
    pub(super) shifts: BTreeMap<String, Shifts>,
}

impl TeraTemplates {
    pub(super) fn new(reached: HashMap<String, Vec<String>>, asking: HashSet<String>) -> TeraTemplates {
        TeraTemplates { sets: Vec::new(), roots: HashMap::new(), reached, asking }
    }

    /// Adds a set and the roots that live in it.
    pub(super) fn add<'r>(&mut self, set: TeraSet, mode: Escape, roots: impl Iterator<Item = &'r str>) {
        let position = self.sets.len();
        self.roots.extend(roots.map(|root| ((mode, root.to_owned()), position)));
        self.sets.push(set);
    }

    /// Returns the set that a root lives in, if it was compiled.
    pub(super) fn set_of(&self, root: &str, mode: Escape) -> Option<&TeraSet> {
        self.sets.get(*self.roots.get(&(mode, root.to_owned()))?)
    }

    /// Returns the names of `root` and the templates that it reaches; none if it is no root that was to be compiled.
    pub(in crate::render) fn reached(&self, root: &str) -> &[String] {
        self.reached.get(root).map_or(&[], Vec::as_slice)
    }

    /// Checks whether the template `root`, or one that it reaches, calls `backends` or `servers`.
    pub(in crate::render) fn ask_for_backends(&self, root: &str) -> bool {
        self.asking.contains(root)
    }
}
