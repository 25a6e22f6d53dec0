//! Template texts to templates that render. All templates that resources reach share one Tera if they can; if one of them
//! is broken, only the resources that reach it fail, by include, extends or component.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use tera::{ErrorKind, Tera};

use super::calls::{WrittenCall, calls};
use super::engine::empty;
use super::error;
use super::functions;
use super::incremental;
use super::limits::{self, Limited, Shifts};
use super::references::{MAX_CONDITIONS, MAX_NESTING, References};
use super::scan::TemplateScan;
use super::templates::{TeraSet, TeraTemplates};
use crate::model::problem::{Place, Position, Positions, Problem};
use crate::model::resource::{Engine, Escape};
use crate::model::suggest::nearest;
use crate::render::asks::Ask;
use crate::render::template::{Root, TemplateSources, first_stray};

/// Compiles the Tera templates among `roots`. Every problem is listed with the index of the root it fails.
pub(in crate::render) fn compile(
    sources: &TemplateSources,
    roots: &[Root<'_>],
) -> (TeraTemplates, Vec<(usize, Problem)>) {
    let references = References::new(sources);
    let tera_roots = || roots.iter().enumerate().filter(|(_, root)| root.engine == Engine::Tera);
    let names: BTreeSet<&str> = tera_roots().map(|(_, root)| root.name).collect();
    let reached = |root: &&str| references.reach(root).into_iter().map(str::to_owned).collect();
    let reached: HashMap<String, Vec<String>> = names.iter().map(|root| ((*root).to_owned(), reached(root))).collect();
    let asks = |(_, names): &(&String, &Vec<String>)| {
        names.iter().any(|name| references.scans[name.as_str()].asks_for_backends)
    };
    let asking = reached.iter().filter(asks).map(|(root, _)| root.clone()).collect();
    let mut mistakes = ArgumentMistakes { sources, of_template: HashMap::new() };
    let mut compiler = Compiler { kept: references.kept(), references, compiled: TeraTemplates::new(reached, asking) };
    let mut problems = Vec::new();
    for mode in [Escape::None, Escape::Nginx] {
        let of_mode = || tera_roots().filter(|(_, root)| root.escape == mode);
        let failed = compiler.compile(mode, &of_mode().map(|(_, root)| root.name).collect());
        for (index, root) in of_mode() {
            let found = match failed.get(root.name) {
                Some(found) => found.clone(),
                None => mistakes.of(compiler.compiled.reached(root.name)),
            };
            problems.extend(found.into_iter().map(|problem| (index, problem)));
        }
    }
    (compiler.compiled, problems)
}

/// Returns what these templates ask the store for by a literal.
pub(in crate::render) fn asks(sources: &TemplateSources, names: &[String]) -> Vec<Ask> {
    let of_template = |name: &String| {
        let asks = sources.get(name).map(|source| super::asks::asks(source)).unwrap_or_default();
        asks.into_iter().map(|ask| ask.in_template(name)).collect::<Vec<_>>()
    };
    names.iter().flat_map(of_template).collect()
}

/// Arguments that our functions do not have: Tera finds them only when it comes to the call.
struct ArgumentMistakes<'a> {
    sources: &'a TemplateSources,
    of_template: HashMap<String, Vec<Problem>>,
}

impl ArgumentMistakes<'_> {
    /// Returns those of templates that Tera has compiled.
    fn of(&mut self, templates: &[String]) -> Vec<Problem> {
        let mut found = Vec::new();
        for name in templates {
            if !self.of_template.contains_key(name) {
                let source = self.sources.get(name).map(|source| &**source).unwrap_or_default();
                self.of_template.insert(name.clone(), argument_mistakes(name, source));
            }
            found.extend(self.of_template.get(name).into_iter().flatten().cloned());
        }
        found
    }
}

/// Returns the arguments in one template that our functions do not have.
fn argument_mistakes(name: &str, source: &str) -> Vec<Problem> {
    let positions = Positions::new(source);
    let of_call = |call: WrittenCall<'_>| {
        let function = functions::find(call.name, call.is_filter)?;
        let mut refusals =
            call.arguments.iter().filter_map(|argument| function.refuse_argument(argument.name, call.is_filter));
        Some(refusals.next()?.at(Place::at(Path::new(name), positions.of(call.offset))))
    };
    calls(source).filter_map(of_call).collect()
}

/// Compiles roots of one mode after the other.
struct Compiler<'a> {
    references: References<'a>,
    /// Templates whose output may be kept.
    kept: BTreeSet<&'a str>,
    compiled: TeraTemplates,
}

/// Templates in one Tera, and where their limits are.
struct Compiled {
    tera: Tera,
    shifts: BTreeMap<String, Shifts>,
}

/// Problems by root.
type Failed<'r> = HashMap<&'r str, Vec<Problem>>;

impl<'a> Compiler<'a> {
    /// Compiles roots and keeps those that are right; returns what is wrong with the others.
    fn compile<'r>(&mut self, mode: Escape, roots: &BTreeSet<&'r str>) -> Failed<'r> {
        if roots.is_empty() {
            return Failed::new();
        }
        let reach: HashMap<&'r str, BTreeSet<&str>> =
            roots.iter().map(|root| (*root, self.references.reach(root))).collect();
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
        let mut shared = self.limited(mode, &whole(&reach, &failed)).ok();
        let mut alone: Vec<(&str, Compiled)> = Vec::new();
        if shared.is_none() {
            alone = self.isolate(mode, &reach, &mut failed);
            shared = self.limited(mode, &whole(&reach, &failed)).ok();
        }
        if let Some(shared) = shared {
            let good = roots.iter().copied().filter(|root| !failed.contains_key(*root));
            let set = self.with_loops(shared, good.clone());
            self.compiled.add(set, mode, good);
        } else {
            // Each is right by itself, but two define one component: they cannot live in one Tera.
            for (root, tera) in alone {
                let set = self.with_loops(tera, std::iter::once(root));
                self.compiled.add(set, mode, std::iter::once(root));
            }
        }
        failed
    }

    /// Returns what can be said of a root from the names alone.
    fn problems_before_parsing(&self, root: &str, reach: &BTreeSet<&str>) -> Vec<Problem> {
        const UNORDERED: &str = "__tera_context";
        if !self.references.sources.contains_key(root) {
            let near = nearest(root, self.references.sources.keys().map(String::as_str));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            return vec![Problem { hint, ..Problem::in_template(root, "there is no such template") }];
        }
        if self.references.nest_too_deep(root) {
            let message = format!("nests more than {MAX_NESTING} levels of include, block and component");
            return vec![Problem::in_template(root, message)];
        }
        if let Some(name) = reach.iter().find(|name| self.references.scans[**name].condition_depth > MAX_CONDITIONS) {
            let message = format!("nests more than {MAX_CONDITIONS} conditions");
            let hint = "each `elif` is within the condition before it; end the `if` now and then, and begin a new one";
            return vec![Problem::in_template(name, message).hint(hint)];
        }
        let not_utf8 = reach.iter().find_map(|name| Some((*name, first_stray(self.references.sources.get(*name)?)?.0)));
        if let Some((name, offset)) = not_utf8 {
            let place = Place::in_text(Path::new(name), &self.references.sources[name], offset);
            let hint = "save the template as UTF-8; only a Go template may have other bytes";
            return vec![Problem::new("not UTF-8").at(place).hint(hint)];
        }
        let uses = |name: &&str| self.references.sources.get(*name).and_then(|source| source.find(UNORDERED));
        let found = reach.iter().filter_map(|name| Some((*name, uses(name)?)));
        found
            .map(|(name, offset)| {
                let place = Place::in_text(Path::new(name), &self.references.sources[name], offset);
                Problem::new(format!("`{UNORDERED}` is not available: it would print in a different order each time"))
                    .at(place)
            })
            .collect()
    }

    /// Compiles templates in one Tera, with their limits.
    fn limited(&self, mode: Escape, names: &BTreeSet<&str>) -> tera::TeraResult<Compiled> {
        let limited =
            self.sources(names).map(|(name, source)| (name, limits::limited(source, self.kept.contains(name))));
        let limited: Vec<(&str, Limited)> = limited.collect();
        let mut tera = empty(mode);
        tera.add_raw_templates(limited.iter().map(|(name, limited)| (*name, limited.text.as_str())))?;
        let shifts = limited.into_iter().map(|(name, limited)| (name.to_owned(), limited.shifts)).collect();
        Ok(Compiled { tera, shifts })
    }

    /// Compiles templates in one Tera as they are written: then their errors are, too.
    fn as_written(&self, mode: Escape, names: &BTreeSet<&str>) -> tera::TeraResult<Compiled> {
        let mut tera = empty(mode);
        tera.add_raw_templates(self.sources(names))?;
        Ok(Compiled { tera, shifts: BTreeMap::new() })
    }

    fn sources<'n>(&self, names: &'n BTreeSet<&str>) -> impl Iterator<Item = (&'n str, &str)> {
        names.iter().filter_map(|name| Some((*name, &**self.references.sources.get(*name)?)))
    }

    /// Adds those roots a second time that have loops which can be printed piece by piece. A template that defines a
    /// component cannot be there twice.
    fn with_loops<'r>(&self, compiled: Compiled, roots: impl Iterator<Item = &'r str>) -> TeraSet {
        let Compiled { mut tera, shifts } = compiled;
        let roots = roots.filter(|root| self.references.scans.get(root).is_some_and(|scan| scan.defines.is_empty()));
        let texts = roots.filter_map(|root| Some((root, &**self.references.sources.get(root)?)));
        let rewritten = incremental::rewrite(&mut tera, texts);
        TeraSet { tera: Arc::new(tera), rewritten, shifts }
    }

    /// Compiles every root by itself and adds the problems to `failed`.
    fn isolate<'r>(
        &self,
        mode: Escape,
        reach: &HashMap<&'r str, BTreeSet<&str>>,
        failed: &mut Failed<'r>,
    ) -> Vec<(&'r str, Compiled)> {
        let roots = reach.iter().filter(|(root, _)| !failed.contains_key(*root));
        let every: BTreeSet<&str> = roots.flat_map(|(_, names)| names).copied().collect();
        let unparsable: HashMap<&str, Vec<Problem>> = every
            .into_iter()
            .filter_map(|name| {
                let error = self.as_written(mode, &BTreeSet::from([name])).err()?;
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
            let compiled = self.limited(mode, names).or_else(|_| {
                let compiled = self.as_written(mode, names)?;
                debug_assert!(false, "a limit has broken a template");
                Ok(compiled)
            });
            match compiled {
                Ok(tera) => alone.push((*root, tera)),
                Err(error) => {
                    failed.insert(root, self.explain(&error, root));
                }
            }
        }
        alone
    }

    /// Returns the problems in an error, with the places and hints that Tera does not give.
    fn explain(&self, error: &tera::Error, root: &str) -> Vec<Problem> {
        let source = |name: &str| self.references.sources.get(name).map(|text| &**text);
        let mut problems = error::of_compilation(error, root, source);
        for problem in &mut problems {
            if let Some(place) = &mut problem.place
                && place.position.is_none()
            {
                let scan = place.file.to_str().and_then(|name| self.references.scans.get(name));
                place.position = scan.and_then(|scan| place_of_reference(error.kind(), scan));
            }
            if let Some(name) =
                problem.message.strip_prefix("unknown template `").and_then(|rest| rest.strip_suffix('`'))
            {
                let near = nearest(name, self.references.sources.keys().map(String::as_str));
                problem.hint = near.map(|near| format!("did you mean `{near}`?"));
            } else if let Some(name) =
                problem.message.strip_prefix("unknown component `").and_then(|rest| rest.strip_suffix('`'))
            {
                let near = nearest(name, self.references.definers.keys().map(String::as_str));
                problem.hint = near.map(|near| format!("did you mean `{near}`?"));
            }
        }
        problems
    }
}

fn place_of_reference(error: &ErrorKind, scan: &TemplateScan) -> Option<Position> {
    let reference = match error {
        ErrorKind::CircularInclude { include_chain, .. } => {
            scan.includes.iter().find(|reference| include_chain.contains(&reference.name))
        }
        ErrorKind::MissingParent { .. } | ErrorKind::CircularExtend { .. } => scan.extends.first(),
        _ => None,
    };
    reference.map(|reference| reference.place)
}
