//! Go templates: text/template with confd's functions. Prints what confd prints; docs/go-templates.md lists the
//! differences. An engine of its own because confd's templates show Go's types everywhere: in what prints, in what
//! compares, in which function takes what. Never reads a file: other files come from the `Library`.

mod convert;
mod differences;
mod expression;
mod float;
pub(super) mod functions;
mod interpreter;
mod lexer;
mod node;
mod number;
mod parser;
mod print;
mod printf;
mod quote;
mod time;
mod value;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use super::TemplateSources;
use super::error::{Failure, Place, TemplateError};
use super::session::{Session, shown};
use crate::model::path;
use crate::model::resource::Escape;
use crate::model::suggest::nearest;
pub use convert::convert;
use interpreter::{Interpreter, Trouble};
use lexer::{Kind, Mistake};
use parser::Unit;
pub(super) use value::Value;

/// All files that could be Go templates; each is parsed when it is first needed.
pub(super) struct Library {
    files: BTreeMap<String, File>,
}

struct File {
    source: Arc<str>,
    unit: OnceLock<Result<Unit, TemplateError>>,
}

impl Library {
    pub(super) fn new(sources: &TemplateSources) -> Library {
        let file = |source: &Arc<str>| File { source: Arc::clone(source), unit: OnceLock::new() };
        Library { files: sources.iter().map(|(name, source)| (name.clone(), file(source))).collect() }
    }

    /// Parses `root` and every file that it certainly names in an `include`; everything wrong with them.
    pub(super) fn check(&self, root: &str) -> Vec<TemplateError> {
        if let (false, Err(problem)) = (self.files.contains_key(root), self.unit(root)) {
            return vec![problem];
        }
        self.reached(root).filter_map(|(name, _)| self.unit(name).err()).collect()
    }

    /// Whether `root`, or a file that it certainly includes, calls a function that gives what the store says.
    pub(super) fn reads_store(&self, root: &str) -> bool {
        self.reached(root).any(|(_, source)| {
            let tokens = lexer::tokens(source).unwrap_or_default();
            tokens.iter().any(|token| token.kind == Kind::Word && functions::reads_store(token.text))
        })
    }

    /// What comes out differently than with confd, of `root` and every file that it certainly includes.
    pub(super) fn differences(&self, root: &str) -> Vec<(String, Place, &'static str)> {
        let of_file = |(name, source): (&str, &str)| {
            let name = name.to_owned();
            differences::differences(source).into_iter().map(move |(place, what)| (name.clone(), place, what))
        };
        self.reached(root).flat_map(of_file).collect()
    }

    /// `root` and every file that it certainly includes, with their texts.
    fn reached(&self, root: &str) -> impl Iterator<Item = (&str, &str)> {
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

    /// The text and the tree of a file.
    fn unit(&self, name: &str) -> Result<(&str, &Unit), TemplateError> {
        let Some(file) = self.files.get(name) else {
            let near = nearest(name, self.files.keys().map(String::as_str));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            return Err(TemplateError { hint, ..super::error::without_place(name, "there is no such template") });
        };
        let unit = file.unit.get_or_init(|| parser::parse(&file.source).map_err(|mistake| told(name, file, mistake)));
        unit.as_ref().map(|unit| (&*file.source, unit)).map_err(TemplateError::clone)
    }

    /// The file that an `include` names, if it is there.
    #[allow(clippy::type_complexity)]
    fn included(&self, name: &str) -> Result<Option<(&str, &str, &Unit)>, Trouble> {
        let Some((name, _)) = cleaned(name).and_then(|name| self.files.get_key_value(&name)) else { return Ok(None) };
        let (source, unit) = self.unit(name).map_err(Box::new)?;
        Ok(Some((name, source, unit)))
    }

    fn no_such_include(&self, name: &str) -> Failure {
        let Some(name) = cleaned(name) else {
            return Failure::new(format!("`{}` leaves the templates folder", shown(name)));
        };
        let failure = Failure::new(format!("there is no template `{}`", shown(&name)));
        match nearest(&name, self.files.keys().map(String::as_str)) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure,
        }
    }

    /// Renders a file as the session sees the store.
    pub(super) fn render(
        &self,
        root: &str,
        escape: Escape,
        session: &mut Session,
        expected_bytes: usize,
    ) -> Result<Vec<u8>, TemplateError> {
        let Some((root, _)) = self.files.get_key_value(root) else {
            return Err(super::error::without_place(root, "there is no such template"));
        };
        let text = Interpreter::run(self, root, escape, session, expected_bytes).map_err(|trouble| *trouble)?;
        Ok(text.into_bytes())
    }
}

/// The files that a text includes by a name that stands there.
fn includes(source: &str) -> impl Iterator<Item = String> {
    let tokens = lexer::tokens(source).unwrap_or_default();
    let is_include = |token: &lexer::Token<'_>| token.kind == Kind::Word && token.text == "include";
    let named = tokens.windows(3).filter(|tokens| is_include(&tokens[0])).filter_map(|tokens| match &tokens[2].kind {
        Kind::Text2(name) => cleaned(name),
        _ => None,
    });
    named.collect::<Vec<_>>().into_iter()
}

/// A path below the templates folder, without detours; `None` if it leaves that folder.
fn cleaned(path: &str) -> Option<String> {
    path::inside(path).map(|parts| parts.join("/"))
}

fn told(name: &str, file: &File, mistake: Mistake) -> TemplateError {
    let hint = mistake.message.strip_prefix("function `").and_then(|rest| {
        let function = rest.split_once('`')?.0;
        if function.starts_with("cget") {
            return Some("encrypted values are not supported".to_owned());
        }
        nearest(function, functions::all().map(|function| function.name)).map(|near| format!("did you mean `{near}`?"))
    });
    TemplateError {
        template: name.to_owned(),
        place: Some(Place::of(&file.source, mistake.at)),
        message: mistake.message,
        hint,
    }
}
