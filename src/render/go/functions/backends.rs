//! `servers`: what an upstream prints of a folder's backends. Go has no named arguments, so each option is a name and its value.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::function::{GoFunction, Parameter, TEXT, made, text, variadic};
use crate::model::problem::Problem;
use crate::model::suggest::nearest;
use crate::render::backends::{self, ARGUMENTS, BackendArguments};
use crate::render::go::run::GoRun;
use crate::render::go::value::GoValue;

pub(super) const FUNCTIONS: &[GoFunction] = &[variadic("servers", TEXT, Parameter::Any, servers)];

/// Returns directives. They may be printed as they are: nothing in them is copied from a value.
fn servers(values: &[GoValue], run: &mut GoRun) -> Result<GoValue, Problem> {
    let options = backends::options(&GoOptions::read(&values[1..])?)?;
    let GoRun { session, memory, .. } = run;
    let text = backends::servers(session, &mut memory.servers, text(&values[0]), options)?;
    made(text).map(|text| text.as_text().map_or(GoValue::Missing, |text| GoValue::Safe(Arc::clone(text))))
}

/// Options by name.
struct GoOptions<'a>(BTreeMap<&'static str, &'a GoValue>);

impl<'a> GoOptions<'a> {
    /// Reads names and values in turn. Errors say where: a name may come from the store.
    fn read(values: &'a [GoValue]) -> Result<GoOptions<'a>, Problem> {
        let known = || ARGUMENTS[1..].iter().map(|argument| argument.trim_end_matches('?'));
        let mut options = BTreeMap::new();
        for (position, pair) in (2..).step_by(2).zip(values.chunks(2)) {
            let Some(given) = pair[0].as_text() else {
                let what = format!("argument {position} must be the name of an option, not {}", pair[0].type_name());
                return Err(Problem::new(what));
            };
            let Some(name) = known().find(|name| *name == &**given) else {
                let failure = Problem::new(format!("argument {position} is not the name of an option"));
                return Err(match nearest(given, known()) {
                    Some(near) => failure.hint(format!("did you mean `{near}`?")),
                    None => failure.hint(format!("the options are {}", known().collect::<Vec<_>>().join(", "))),
                });
            };
            let Some(value) = pair.get(1) else {
                return Err(Problem::new(format!("option `{name}` has no value")));
            };
            if options.insert(name, value).is_some() {
                return Err(Problem::new(format!("option `{name}` is given twice")));
            }
        }
        Ok(GoOptions(options))
    }

    /// Reads an option that has a value: callers have asked.
    fn value<T>(&self, name: &str, wanted: &str, read: impl Fn(&'a GoValue) -> Option<T>) -> Result<T, Problem> {
        let value = self.0.get(name).copied();
        value.and_then(read).ok_or_else(|| {
            let given = value.map_or("nil", GoValue::type_name);
            Problem::new(format!("option `{name}` must be {wanted}, not {given}"))
        })
    }
}

impl BackendArguments for GoOptions<'_> {
    fn has(&self, name: &'static str) -> bool {
        self.0.contains_key(name)
    }

    fn text(&self, name: &'static str) -> Result<&str, Problem> {
        self.value(name, "a string", |value| value.as_text().map(|text| &**text))
    }

    fn integer(&self, name: &'static str) -> Result<i128, Problem> {
        self.value(name, "a whole number", GoValue::as_integer)
    }

    fn boolean(&self, name: &'static str) -> Result<bool, Problem> {
        self.value(name, "true or false", |value| if let GoValue::Bool(truth) = value { Some(*truth) } else { None })
    }

    fn texts(&self, name: &'static str) -> Result<Vec<&str>, Problem> {
        self.value(name, "a string or a list of strings", |value| match value {
            GoValue::List(_, items) => items.iter().map(|item| item.as_text().map(|text| &**text)).collect(),
            value => Some(vec![value.as_text().map(|text| &**text)?]),
        })
    }

    fn truth(&self, name: &'static str) -> Option<bool> {
        self.boolean(name).ok().filter(|_| self.has(name))
    }

    fn failure(&self, what: String) -> Problem {
        Problem::new(what)
    }
}
