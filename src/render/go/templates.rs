//! All files that could be Go templates, and which includes which. Each is parsed when it is first needed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::asks;
use super::differences;
use super::functions;
use super::lexer::{self, Mistake, TokenKind};
use super::parser::{self, Unit};
use crate::model::problem::{Place, Position, Problem};
use crate::model::suggest::nearest;
use crate::render::asks::Ask;
use crate::render::library::paths;
use crate::render::session::shown;
use crate::render::template::{TemplateSources, first_stray};

/// Every template text, parsed or not.
pub(in crate::render) struct GoTemplates {
    files: BTreeMap<String, GoFile>,
    /// Whether some text has bytes that are not UTF-8.
    pub(super) has_strays: bool,
}

struct GoFile {
    source: Arc<str>,
    /// The tree, or everything wrong with it: at least one problem.
    unit: OnceLock<Result<Unit, Vec<Problem>>>,
}

impl GoFile {
    fn unit(&self, name: &str) -> &Result<Unit, Vec<Problem>> {
        let described = |mut mistakes: Vec<Mistake>| {
            // To Go, all of such a template is wrong, for one reason.
            let is_tera = looks_like_tera(&self.source);
            mistakes.truncate(if is_tera { 1 } else { mistakes.len() });
            mistakes.into_iter().map(|mistake| described(name, &self.source, is_tera, mistake)).collect()
        };
        self.unit.get_or_init(|| parser::parse(&self.source).map_err(described))
    }
}

impl GoTemplates {
    pub(in crate::render) fn new(sources: &TemplateSources) -> GoTemplates {
        let file = |source: &Arc<str>| GoFile { source: Arc::clone(source), unit: OnceLock::new() };
        GoTemplates {
            files: sources.iter().map(|(name, source)| (name.clone(), file(source))).collect(),
            has_strays: sources.values().any(|source| first_stray(source).is_some()),
        }
    }

    /// Parses `root` and every file that it certainly includes; returns everything wrong with them.
    pub(in crate::render) fn check(&self, root: &str) -> Vec<Problem> {
        if !self.files.contains_key(root) {
            return vec![self.no_such_template(root)];
        }
        let files = self.reached(root).filter_map(|(name, _)| self.files.get_key_value(name));
        files.filter_map(|(name, file)| file.unit(name).as_ref().err()).flatten().cloned().collect()
    }

    /// Checks whether `root`, or a file that it certainly includes, calls a function that returns what the store has.
    pub(in crate::render) fn reads_store(&self, root: &str) -> bool {
        self.calls(root, functions::reads_store)
    }

    /// Checks whether `root`, or a file that it certainly includes, calls `servers`.
    pub(in crate::render) fn ask_for_backends(&self, root: &str) -> bool {
        self.calls(root, |name| name == "servers")
    }

    fn calls(&self, root: &str, is_one: fn(&str) -> bool) -> bool {
        self.reached(root).any(|(_, source)| {
            let tokens = lexer::tokens(source).unwrap_or_default();
            tokens.iter().any(|token| token.kind == TokenKind::Word && is_one(token.text))
        })
    }

    /// Returns what `root`, and every file that it certainly includes, print differently than with confd.
    pub(in crate::render) fn differences(&self, root: &str) -> Vec<(String, Position, &'static str)> {
        let of_file = |(name, source): (&str, &str)| {
            let name = name.to_owned();
            differences::differences(source).into_iter().map(move |(place, what)| (name.clone(), place, what))
        };
        self.reached(root).flat_map(of_file).collect()
    }

    /// Returns what `root`, and every file that it certainly includes, ask the store for by a literal.
    pub(in crate::render) fn asks(&self, root: &str) -> Vec<Ask> {
        let of_file = |(name, source): (&str, &str)| {
            let name = name.to_owned();
            asks::asks(source).into_iter().map(move |ask| ask.in_template(&name))
        };
        self.reached(root).flat_map(of_file).collect()
    }

    /// Returns `root` and every file that it certainly includes, with their texts.
    pub(in crate::render) fn reached(&self, root: &str) -> impl Iterator<Item = (&str, &str)> {
        let mut todo = vec![root.to_owned()];
        let mut seen = BTreeSet::new();
        std::iter::from_fn(move || {
            loop {
                let (name, file) = self.files.get_key_value(&todo.pop()?)?;
                if seen.insert(name) {
                    todo.extend(includes(&file.source).filter(|name| self.files.contains_key(name)));
                    return Some((name.as_str(), &*file.source));
                }
            }
        })
    }

    /// Returns the name, the text and the tree of the file to render.
    pub(super) fn root(&self, name: &str) -> Result<(&str, &str, &Unit), Problem> {
        let (source, unit) = self.unit(name)?;
        let name = self.files.get_key_value(name).map_or("", |(name, _)| name);
        Ok((name, source, unit))
    }

    /// Returns the text and the tree of a file.
    pub(super) fn unit(&self, name: &str) -> Result<(&str, &Unit), Problem> {
        let Some(file) = self.files.get(name) else { return Err(self.no_such_template(name)) };
        match file.unit(name) {
            Ok(unit) => Ok((&file.source, unit)),
            Err(problems) => Err(problems[0].clone()),
        }
    }

    fn no_such_template(&self, name: &str) -> Problem {
        let near = nearest(name, self.files.keys().map(String::as_str));
        let hint = near.map(|near| format!("did you mean `{near}`?"));
        Problem { hint, ..Problem::in_template(name, "there is no such template") }
    }

    /// Returns the name, the text and the tree of the file that an `include` names, if it exists.
    #[allow(clippy::type_complexity)]
    pub(super) fn included(&self, name: &str) -> Result<Option<(&str, &str, &Unit)>, Problem> {
        let Some((name, _)) = paths::below_folder(name).and_then(|name| self.files.get_key_value(&name)) else {
            return Ok(None);
        };
        let (source, unit) = self.unit(name)?;
        Ok(Some((name, source, unit)))
    }

    pub(super) fn no_such_include(&self, name: &str) -> Problem {
        let Some(name) = paths::below_folder(name) else {
            return Problem::new(format!("`{}` leaves the templates folder", shown(name)));
        };
        let failure = Problem::new(format!("there is no template `{}`", shown(&name)));
        match nearest(&name, self.files.keys().map(String::as_str)) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure,
        }
    }
}

/// Returns the files that a text includes by a literal name.
fn includes(source: &str) -> impl Iterator<Item = String> {
    let tokens = lexer::tokens(source).unwrap_or_default();
    let is_include = |token: &lexer::GoToken<'_>| token.kind == TokenKind::Word && token.text == "include";
    let named = tokens.windows(3).filter(|tokens| is_include(&tokens[0])).filter_map(|tokens| match &tokens[2].kind {
        TokenKind::Literal(name) => paths::below_folder(name),
        _ => None,
    });
    named.collect::<Vec<_>>().into_iter()
}

fn described(name: &str, source: &str, is_tera: bool, mistake: Mistake) -> Problem {
    let near = mistake.message.strip_prefix("function `").and_then(|rest| {
        let function = rest.split_once('`')?.0;
        if function.starts_with("cget") {
            return Some("encrypted values are not supported".to_owned());
        }
        nearest(function, functions::all().map(|function| function.name)).map(|near| format!("did you mean `{near}`?"))
    });
    let tera = "this looks like a Tera template: end its name in .tera, or set engine = \"tera\"";
    let hint = if is_tera { Some(tera.to_owned()) } else { near };
    let place = Place::in_text(Path::new(name), source, mistake.at);
    Problem { place: Some(place), message: mistake.message, hint }
}

/// Checks whether a text that is no Go template has what Tera has: a tag, or a call with its parenthesis right behind the name.
fn looks_like_tera(source: &str) -> bool {
    let is_call = |part: &str| {
        let expression = part.trim_start_matches('-').trim_start();
        let end = expression.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(0);
        end > 0 && expression[end..].starts_with('(')
    };
    source.contains("{%") || source.split("{{").skip(1).any(is_call)
}
