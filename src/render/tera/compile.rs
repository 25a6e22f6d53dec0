//! Template texts to a `Renderer`. All templates that resources reach share one Tera where they can; where one of them
//! is broken, only the resources that reach it fail, by include, extends or component.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use tera::{ErrorKind, Tera};

use crate::model::resource::{Engine, Escape};

use super::functions;
use super::incremental::{each, rewrite as loops};
use super::scan::{self, Scan};
use crate::model::suggest::nearest;
use crate::render::error::{self, Place, TemplateError};
use crate::render::facts::Facts;
use crate::render::{Instance, Renderer, Root, TemplateSources, escape, go};

/// Compiles the templates that `roots` name. Every problem is listed with the index of the root it fails; a root that
/// is not listed renders. One template may be a root several times.
pub fn compile(
    sources: &TemplateSources,
    roots: &[Root<'_>],
    facts: Arc<dyn Facts>,
) -> (Renderer, Vec<(usize, TemplateError)>) {
    let library = Library::new(sources);
    let go = go::Library::new(sources);
    let asks = |root: &&str| library.reach(root).iter().any(|name| library.scans[*name].asks_for_backends);
    let names: BTreeSet<&str> = roots.iter().filter(|root| root.engine == Engine::Tera).map(|root| root.name).collect();
    let asking = names.into_iter().filter(asks).map(str::to_owned).collect();
    let mut renderer =
        Renderer { sources: sources.clone(), instances: Vec::new(), roots: HashMap::new(), asking, go, facts };
    let mut problems = Vec::new();
    for mode in [Escape::None, Escape::Nginx] {
        let of_mode = |root: &Root<'_>| root.engine == Engine::Tera && root.escape == mode;
        let names: BTreeSet<&str> = roots.iter().filter(|root| of_mode(root)).map(|root| root.name).collect();
        let failed = library.compile(mode, &names, &mut renderer);
        for (index, root) in roots.iter().enumerate().filter(|(_, root)| of_mode(root)) {
            problems.extend(failed.get(root.name).into_iter().flatten().map(|problem| (index, problem.clone())));
        }
    }
    for (index, root) in roots.iter().enumerate().filter(|(_, root)| root.engine == Engine::Go) {
        problems.extend(renderer.go.check(root.name).into_iter().map(|problem| (index, problem)));
    }
    problems.sort_by_key(|(index, _)| *index);
    (renderer, problems)
}

/// A Tera without templates that knows every function.
pub(in crate::render) fn empty(mode: Escape) -> Tera {
    static EMPTY: LazyLock<Tera> = LazyLock::new(|| {
        let mut tera = Tera::default();
        tera.autoescape_on(Vec::<&str>::new());
        functions::register(&mut tera);
        tera.register_function(loops::EACH, each::Each);
        tera
    });
    let mut tera = EMPTY.clone();
    if mode == Escape::Nginx {
        tera.set_escape_fn(escape::nginx);
        // Every name ends like this: all templates are escaped.
        tera.autoescape_on([""]);
    }
    tera
}

/// All template texts, and what each refers to.
pub(in crate::render) struct Library<'a> {
    sources: &'a TemplateSources,
    scans: HashMap<&'a str, Scan>,
    /// Which templates define a component.
    definers: HashMap<String, Vec<&'a str>>,
}

/// Levels of include, block and component that Tera may have to go down at once: each takes a good piece of the stack.
const DEEPEST_NESTING: usize = 16;

/// Problems by root.
type Failed<'r> = HashMap<&'r str, Vec<TemplateError>>;

impl<'a> Library<'a> {
    pub(in crate::render) fn new(sources: &'a TemplateSources) -> Library<'a> {
        let mut definers: HashMap<String, Vec<&str>> = HashMap::new();
        let mut scans = HashMap::with_capacity(sources.len());
        for (name, source) in sources {
            let scan = scan::scan(source);
            for component in &scan.defines {
                definers.entry(component.clone()).or_default().push(name);
            }
            scans.insert(name.as_str(), scan);
        }
        Library { sources, scans, definers }
    }

    /// Everything that `root` reaches, itself included; names that lead nowhere are left out.
    pub(in crate::render) fn reach(&self, root: &str) -> BTreeSet<&'a str> {
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

    /// Compiles `roots` into the renderer; what fails is returned.
    fn compile<'r>(&self, mode: Escape, roots: &BTreeSet<&'r str>, renderer: &mut Renderer) -> Failed<'r> {
        if roots.is_empty() {
            return Failed::new();
        }
        let reach: HashMap<&'r str, BTreeSet<&str>> = roots.iter().map(|root| (*root, self.reach(root))).collect();
        let mut failed = Failed::new();
        for (root, names) in &reach {
            let problems = self.problems_before_parsing(root, names);
            if !problems.is_empty() {
                failed.insert(root, problems);
            }
        }
        let whole = |reach: &HashMap<&'r str, BTreeSet<&'a str>>, failed: &Failed<'_>| -> BTreeSet<&'a str> {
            reach.iter().filter(|(root, _)| !failed.contains_key(*root)).flat_map(|(_, names)| names).copied().collect()
        };
        let mut shared = self.instance(mode, &whole(&reach, &failed)).ok();
        let mut alone: Vec<(&str, Tera)> = Vec::new();
        if shared.is_none() {
            alone = self.isolate(mode, &reach, &mut failed);
            shared = self.instance(mode, &whole(&reach, &failed)).ok();
        }
        if let Some(shared) = shared {
            let index = renderer.instances.len();
            let good = roots.iter().copied().filter(|root| !failed.contains_key(*root));
            renderer.roots.extend(good.clone().map(|root| ((mode, root.to_owned()), index)));
            renderer.instances.push(self.with_loops(shared, good));
        } else {
            // Each is right by itself, but two define one component: they cannot live in one Tera.
            for (root, tera) in alone {
                renderer.roots.insert((mode, root.to_owned()), renderer.instances.len());
                renderer.instances.push(self.with_loops(tera, std::iter::once(root)));
            }
        }
        failed
    }

    /// What can be said of a root from the names alone.
    fn problems_before_parsing(&self, root: &str, reach: &BTreeSet<&str>) -> Vec<TemplateError> {
        const UNORDERED: &str = "__tera_context";
        if !self.sources.contains_key(root) {
            let near = nearest(root, self.sources.keys().map(String::as_str));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            return vec![TemplateError { hint, ..error::without_place(root, "there is no such template") }];
        }
        if self.nesting(root, 1, &mut HashMap::new()) > DEEPEST_NESTING {
            let message = format!("nests more than {DEEPEST_NESTING} levels of include, block and component");
            return vec![error::without_place(root, &message)];
        }
        let uses = |name: &&str| self.sources.get(*name).and_then(|source| source.find(UNORDERED));
        let found = reach.iter().filter_map(|name| Some((*name, uses(name)?)));
        found
            .map(|(name, offset)| TemplateError {
                template: name.to_owned(),
                place: Some(Place::of(&self.sources[name], offset)),
                message: format!("`{UNORDERED}` is not available: it would print in another order each time"),
                hint: None,
            })
            .collect()
    }

    /// How many levels rendering `name`, itself at `level`, may go down at once. A way back to a template on the way
    /// counts as none: Tera refuses such includes, and limits components by itself.
    fn nesting<'s>(&'s self, name: &'s str, level: usize, known: &mut HashMap<&'s str, usize>) -> usize {
        let Some(scan) = self.scans.get(name) else { return 0 };
        if let Some(depth) = known.get(name) {
            return *depth;
        }
        if level > DEEPEST_NESTING {
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

    fn instance(&self, mode: Escape, names: &BTreeSet<&str>) -> tera::TeraResult<Tera> {
        let mut tera = empty(mode);
        tera.add_raw_templates(names.iter().filter_map(|name| Some((*name, self.sources.get(*name)?))))?;
        Ok(tera)
    }

    /// Adds the roots once more where they have loops that can be printed piece by piece. A template that defines a
    /// component cannot be there twice.
    fn with_loops<'r>(&self, mut tera: Tera, roots: impl Iterator<Item = &'r str>) -> Instance {
        let roots = roots.filter(|root| self.scans.get(root).is_some_and(|scan| scan.defines.is_empty()));
        let texts = roots.filter_map(|root| Some((root, &**self.sources.get(root)?)));
        let rewritten = loops::rewrite(&mut tera, texts);
        Instance { tera: Arc::new(tera), rewritten }
    }

    /// Compiles every root by itself and adds the problems to `failed`.
    fn isolate<'r>(
        &self,
        mode: Escape,
        reach: &HashMap<&'r str, BTreeSet<&str>>,
        failed: &mut Failed<'r>,
    ) -> Vec<(&'r str, Tera)> {
        let every: BTreeSet<&str> = reach.values().flatten().copied().collect();
        let unparsable: HashMap<&str, Vec<TemplateError>> = every
            .into_iter()
            .filter_map(|name| {
                let error = self.instance(mode, &BTreeSet::from([name])).err()?;
                matches!(error.kind(), ErrorKind::SyntaxError(_)).then(|| (name, self.explain(&error, name)))
            })
            .collect();
        let mut alone = Vec::new();
        for (root, names) in reach {
            if failed.contains_key(root) {
                continue;
            }
            let problems: Vec<_> = names.iter().filter_map(|name| unparsable.get(name)).flatten().cloned().collect();
            if !problems.is_empty() {
                failed.insert(root, problems);
                continue;
            }
            match self.instance(mode, names) {
                Ok(tera) => alone.push((*root, tera)),
                Err(error) => {
                    failed.insert(root, self.explain(&error, root));
                }
            }
        }
        alone
    }

    /// The problems in an error, with the places and hints that Tera does not give.
    fn explain(&self, error: &tera::Error, root: &str) -> Vec<TemplateError> {
        let source = |name: &str| self.sources.get(name).map(|text| &**text);
        let mut problems = error::of_compilation(error, root, source);
        for problem in &mut problems {
            let scan = self.scans.get(problem.template.as_str());
            if problem.place.is_none() {
                problem.place = scan.and_then(|scan| place_of_reference(error.kind(), scan));
            }
            if let Some(name) =
                problem.message.strip_prefix("unknown template `").and_then(|rest| rest.strip_suffix('`'))
            {
                let near = nearest(name, self.sources.keys().map(String::as_str));
                problem.hint = near.map(|near| format!("did you mean `{near}`?"));
            } else if let Some(name) =
                problem.message.strip_prefix("unknown component `").and_then(|rest| rest.strip_suffix('`'))
            {
                let near = nearest(name, self.definers.keys().map(String::as_str));
                problem.hint = near.map(|near| format!("did you mean `{near}`?"));
            }
        }
        problems
    }
}

fn place_of_reference(error: &ErrorKind, scan: &Scan) -> Option<Place> {
    let reference = match error {
        ErrorKind::CircularInclude { include_chain, .. } => {
            scan.includes.iter().find(|reference| include_chain.contains(&reference.name))
        }
        ErrorKind::MissingParent { .. } | ErrorKind::CircularExtend { .. } => scan.extends.first(),
        _ => None,
    };
    reference.map(|reference| reference.place)
}
