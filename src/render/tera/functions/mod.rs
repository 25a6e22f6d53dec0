//! The functions and filters that templates have besides Tera's own: one table, so that registration, documentation
//! and did-you-mean cannot disagree. confd's semantics; see docs/functions.md for each.

mod backends;
mod builtin;
mod call;
mod data;
mod dates;
pub(super) mod json;
mod lists;
mod math;
mod order;
mod outside;
mod patterns;

mod store;
mod text;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use tera::{Kwargs, State, Tera, TeraResult, Value};

use call::TeraFunction;

const TABLES: &[&[TeraFunction]] = &[
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

/// Returns every function of ours.
pub(in crate::render) fn all() -> impl Iterator<Item = &'static TeraFunction> {
    TABLES.iter().copied().flatten()
}

/// Tera's filters, as they are or as `builtin` has them.
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
pub(super) const TESTS: &[&str] = &[
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

/// Returns the functions and filters that depend on more than their arguments and the store, or have side effects.
pub(super) fn impure_names() -> BTreeSet<&'static str> {
    let impure = [backends::FUNCTIONS, dates::FUNCTIONS, outside::FUNCTIONS];
    impure.into_iter().flatten().flat_map(TeraFunction::names).chain(["super"]).collect()
}

/// Returns the function of ours that this name calls, as a filter or not.
pub(super) fn find(name: &str, is_filter: bool) -> Option<&'static TeraFunction> {
    let is_written_so = |function: &TeraFunction| match is_filter {
        true => function.form.subject().is_some(),
        false => function.form.is_function(),
    };
    all().find(|function| is_written_so(function) && function.names().any(|known| known == name))
}

/// Returns everything that can be called as `name(…)`.
pub(super) fn function_names() -> impl Iterator<Item = &'static str> {
    all().filter(|function| function.form.is_function()).flat_map(TeraFunction::names).chain(["range"])
}

/// Returns everything that can be written after `|`.
pub(super) fn filter_names() -> impl Iterator<Item = &'static str> {
    all()
        .filter(|function| function.form.subject().is_some())
        .flat_map(TeraFunction::names)
        .chain(TERA_FILTERS.iter().copied())
}

/// Registers every function and filter of the tables, and those that take the place of Tera's.
pub(super) fn register(tera: &mut Tera) {
    for function in builtin::FILTERS {
        tera.register_filter::<_, &Value, _>(function.name, AsFilter(function));
    }
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

struct AsFunction(&'static TeraFunction);

impl tera::Function<TeraResult<Value>> for AsFunction {
    fn call(&self, kwargs: Kwargs, _: &State) -> TeraResult<Value> {
        self.0.call(None, &kwargs)
    }
}

struct AsFilter(&'static TeraFunction);

impl tera::Filter<&Value, TeraResult<Value>> for AsFilter {
    fn call(&self, value: &Value, kwargs: Kwargs, _: &State) -> TeraResult<Value> {
        self.0.call(Some(value), &kwargs)
    }
}
