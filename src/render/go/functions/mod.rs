//! The functions that Go templates have: Go's own and confd's, with the types that their parameters have in confd.

mod backends;
mod builtins;
mod compare;
mod data;
mod escape;
mod function;
mod lists;
mod numbers;
mod outside;
mod store;
mod text;

pub(super) use function::{FunctionBody, GoFunction, Parameter};

const TABLES: &[&[GoFunction]] = &[
    builtins::FUNCTIONS,
    compare::FUNCTIONS,
    escape::FUNCTIONS,
    store::FUNCTIONS,
    backends::FUNCTIONS,
    lists::FUNCTIONS,
    data::FUNCTIONS,
    text::FUNCTIONS,
    numbers::FUNCTIONS,
    outside::FUNCTIONS,
];

/// Returns every function.
pub(super) fn all() -> impl Iterator<Item = &'static GoFunction> {
    TABLES.iter().copied().flatten()
}

/// Returns the function of a name.
pub(super) fn find(name: &str) -> Option<&'static GoFunction> {
    all().find(|function| function.name == name)
}

/// Checks whether a function returns what the store has.
pub(super) fn reads_store(name: &str) -> bool {
    matches!(name, "get" | "getv" | "gets" | "getvs" | "ls" | "lsdir")
}
