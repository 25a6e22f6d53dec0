//! References between templates, by include, extends or component, and how deep they go. Pure.

use std::collections::{BTreeSet, HashMap};

use super::limits;
use super::scan::{self, TemplateScan};
use crate::render::template::TemplateSources;

/// All template texts, and the references of each.
pub(super) struct References<'a> {
    pub(super) sources: &'a TemplateSources,
    pub(super) scans: HashMap<&'a str, TemplateScan>,
    /// Templates that define each component.
    pub(super) definers: HashMap<String, Vec<&'a str>>,
}

/// Most levels of include, block and component that Tera may have to go down at once: each uses a lot of stack.
pub(super) const MAX_NESTING: usize = 16;

/// Most conditions that may stand within each other: each uses stack when the template is read, and each `elif` is within the one before.
pub(super) const MAX_CONDITIONS: usize = 200;

impl<'a> References<'a> {
    pub(super) fn new(sources: &'a TemplateSources) -> References<'a> {
        let mut definers: HashMap<String, Vec<&str>> = HashMap::new();
        let mut scans = HashMap::with_capacity(sources.len());
        for (name, source) in sources {
            let scan = scan::scan(source);
            for component in &scan.defines {
                definers.entry(component.clone()).or_default().push(name);
            }
            scans.insert(name.as_str(), scan);
        }
        References { sources, scans, definers }
    }

    /// Returns the templates whose output some template may keep: in a block of `set`, for a component, for `super()`.
    pub(super) fn kept(&self) -> BTreeSet<&'a str> {
        let keepers = self.sources.iter().filter(|(_, source)| limits::keeps_output(source));
        keepers.flat_map(|(name, _)| self.reach(name)).collect()
    }

    /// Checks whether rendering `root` may go down more than [`MAX_NESTING`] levels.
    pub(super) fn nest_too_deep(&self, root: &str) -> bool {
        self.nesting(root, 1, &mut HashMap::new()) > MAX_NESTING
    }

    /// Returns everything that `root` reaches, itself included; names without a template are left out.
    pub(super) fn reach(&self, root: &str) -> BTreeSet<&'a str> {
        let mut reached = BTreeSet::new();
        let mut components = BTreeSet::new();
        let mut todo: Vec<&str> = vec![root];
        loop {
            while let Some(name) = todo.pop() {
                let Some((name, _)) = self.sources.get_key_value(name) else { continue };
                if reached.insert(name.as_str()) {
                    let scan = &self.scans[name.as_str()];
                    todo.extend(scan.includes.iter().chain(&scan.extends).map(|reference| reference.name.as_str()));
                    components.extend(scan.calls.iter());
                }
            }
            // A component that no reached template defines is looked for everywhere.
            for component in std::mem::take(&mut components) {
                let definers = self.definers.get(component).map(Vec::as_slice).unwrap_or_default();
                if !definers.iter().any(|definer| reached.contains(definer)) {
                    todo.extend(definers);
                }
            }
            if todo.is_empty() {
                return reached;
            }
        }
    }

    /// Returns how many levels rendering `name`, itself at `level`, may go down at once. A way back to a template on the way
    /// counts as zero: Tera refuses such includes, and limits components by itself.
    fn nesting<'s>(&'s self, name: &'s str, level: usize, known: &mut HashMap<&'s str, usize>) -> usize {
        let Some(scan) = self.scans.get(name) else { return 0 };
        if let Some(depth) = known.get(name) {
            return *depth;
        }
        if level > MAX_NESTING {
            return 1;
        }
        known.insert(name, 0);
        let parents = scan.extends.iter().map(|parent| parent.name.as_str());
        let parents = parents.map(|parent| self.nesting(parent, level + 1, known)).max().unwrap_or(0);
        let definers = scan.calls.iter().filter_map(|component| self.definers.get(component)).flatten().copied();
        let below = scan.includes.iter().map(|include| include.name.as_str()).chain(definers);
        let below = below.map(|name| self.nesting(name, level + 1, known)).max().unwrap_or(0);
        let depth = 1 + scan.block_depth + parents + below;
        known.insert(name, depth);
        depth
    }
}
