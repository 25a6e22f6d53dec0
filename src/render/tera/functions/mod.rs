//! The functions and filters that templates have besides Tera's own: one table, so that registration, documentation
//! and did-you-mean cannot disagree. confd's semantics; see docs/functions.md for each.

mod backends;
mod call;
mod data;
mod dates;
mod json;
mod lists;
mod math;
mod outside;
mod patterns;

pub(in crate::render) mod store;
pub(in crate::render) mod text;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use tera::{Kwargs, State, Tera, TeraResult, Value};

use crate::render::error::Failure;
use crate::render::session::Session;
use call::Call;

/// One function, one filter, or both.
#[derive(Debug)]
pub(in crate::render) struct Function {
    /// What it is called.
    pub(in crate::render) name: &'static str,
    /// confd's spelling, where it is another.
    pub(in crate::render) alias: Option<&'static str>,
    /// Argument names; a trailing `?` marks those that may be left out, `…` alone takes any.
    pub(in crate::render) arguments: &'static [&'static str],
    /// How it may be written.
    pub(in crate::render) form: Form,
    run: fn(&Call<'_>, &mut Session) -> Result<Value, Failure>,
}

/// How a function may be written; a filter's value becomes the argument that is named here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render) enum Form {
    /// `{{ name(a=…) }}`.
    Function,
    /// `{{ a | name }}`.
    Filter(&'static str),
    /// Either.
    Both(&'static str),
}

impl Form {
    fn is_function(self) -> bool {
        !matches!(self, Form::Filter(_))
    }

    /// The argument that a filter's value becomes.
    pub(in crate::render) fn subject(self) -> Option<&'static str> {
        match self {
            Form::Function => None,
            Form::Filter(subject) | Form::Both(subject) => Some(subject),
        }
    }
}

const TABLES: &[&[Function]] = &[
    store::FUNCTIONS,
    backends::FUNCTIONS,
    text::FUNCTIONS,
    patterns::FUNCTIONS,
    lists::FUNCTIONS,
    data::FUNCTIONS,
    json::FUNCTIONS,
    math::FUNCTIONS,
    dates::FUNCTIONS,
    outside::FUNCTIONS,
];

/// Every function of ours.
pub(in crate::render) fn all() -> impl Iterator<Item = &'static Function> {
    TABLES.iter().copied().flatten()
}

/// Tera's filters that are in use as they are.
const TERA_FILTERS: &[&str] = &[
    "abs",
    "capitalize",
    "default",
    "escape",
    "escape_html",
    "escape_xml",
    "first",
    "float",
    "get",
    "indent",
    "int",
    "join",
    "keys",
    "last",
    "length",
    "lower",
    "newlines_to_br",
    "nth",
    "pairs",
    "pluralize",
    "replace",
    "reverse",
    "round",
    "safe",
    "sort",
    "str",
    "title",
    "trim",
    "trim_end",
    "trim_start",
    "truncate",
    "unique",
    "upper",
    "values",
    "wordcount",
];

/// Tera's tests (`{% if a is defined %}`).
pub(in crate::render) const TESTS: &[&str] = &[
    "array",
    "bool",
    "containing",
    "defined",
    "divisible_by",
    "ending_with",
    "even",
    "float",
    "integer",
    "iterable",
    "map",
    "none",
    "number",
    "odd",
    "starting_with",
    "string",
    "undefined",
];

/// Functions and filters that ask more than their arguments and the store, or leave something behind beside what they give.
pub(in crate::render) fn that_depend_on_more_than_the_store() -> BTreeSet<&'static str> {
    let telling = [backends::FUNCTIONS, dates::FUNCTIONS, outside::FUNCTIONS];
    telling.into_iter().flatten().flat_map(Function::names).chain(["super"]).collect()
}

/// Everything that can be called as `name(…)`.
pub(in crate::render) fn function_names() -> impl Iterator<Item = &'static str> {
    all().filter(|function| function.form.is_function()).flat_map(Function::names).chain(["range"])
}

/// Everything that can be written after `|`.
pub(in crate::render) fn filter_names() -> impl Iterator<Item = &'static str> {
    all()
        .filter(|function| function.form.subject().is_some())
        .flat_map(Function::names)
        .chain(TERA_FILTERS.iter().copied())
}

impl Function {
    fn names(&'static self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.alias)
    }

    fn call(&'static self, subject: Option<&Value>, kwargs: &Kwargs) -> TeraResult<Value> {
        let call = Call { function: self, subject, kwargs };
        Session::with(|session| {
            call.check_names()?;
            (self.run)(&call, session)
        })
        .map_err(|failure| tera::Error::message(failure.message))
    }
}

/// Calls a function by its name, for the other engine. The arguments are right by name and kind.
///
/// # Errors
/// What the function says.
pub(in crate::render) fn call(name: &str, kwargs: &Kwargs, session: &mut Session) -> Result<Value, Failure> {
    let Some(function) = all().find(|function| function.name == name) else {
        return Err(Failure::new(format!("there is no function `{name}`")));
    };
    (function.run)(&Call { function, subject: None, kwargs }, session)
}

/// Teaches Tera every function and filter of the table.
pub(in crate::render) fn register(tera: &mut Tera) {
    for function in all() {
        for name in function.names() {
            if function.form.is_function() {
                tera.register_function(name, AsFunction(function));
            }
            if function.form.subject().is_some() {
                tera.register_filter::<_, &Value, _>(name, AsFilter(function));
            }
        }
    }
}

struct AsFunction(&'static Function);

impl tera::Function<TeraResult<Value>> for AsFunction {
    fn call(&self, kwargs: Kwargs, _: &State) -> TeraResult<Value> {
        self.0.call(None, &kwargs)
    }
}

struct AsFilter(&'static Function);

impl tera::Filter<&Value, TeraResult<Value>> for AsFilter {
    fn call(&self, value: &Value, kwargs: Kwargs, _: &State) -> TeraResult<Value> {
        self.0.call(Some(value), &kwargs)
    }
}
