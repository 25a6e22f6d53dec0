//! The functions that Go templates have: Go's own and confd's, with the types that their parameters have in confd.
//! What both engines can is done by the functions of `render::functions`; what depends on Go's types is done here.

mod builtins;
mod compare;
mod data;
mod escape;
mod lists;
pub(super) mod shared;
pub(super) use shared::of_json;
mod store;

use super::value::{Items, Value};
use crate::render::error::Failure;
use crate::render::session::Session;
use shared::Returns;

/// One function.
#[derive(Debug)]
pub(in crate::render) struct Function {
    /// What it is called.
    pub(in crate::render) name: &'static str,
    /// The parameters that must be given.
    pub(super) parameters: &'static [Type],
    /// The type of any number of further ones.
    pub(super) rest: Option<Type>,
    pub(super) run: Run,
}

/// How a function does its work.
#[derive(Debug)]
pub(super) enum Run {
    /// Here.
    Native(fn(&[Value], &mut Session) -> Result<Value, Failure>),
    /// By the function of this name of both engines, whose arguments these are.
    Shared { name: &'static str, arguments: &'static [&'static str], result: Returns },
    /// `and`, `or`: looks at no more operands than it must.
    Logic { stops_at: bool },
    /// Renders another file.
    Include,
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Any,
    Text,
    Int,
    Bool,
    Texts,
    Pairs,
    List,
    Map,
}

impl Type {
    /// Go's name of it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Type::Any => "interface {}",
            Type::Text => "string",
            Type::Int => "int",
            Type::Bool => "bool",
            Type::Texts => "[]string",
            Type::Pairs => "[]memkv.KVPair",
            Type::List => "[]interface {}",
            Type::Map => "map[string]interface {}",
        }
    }

    pub(super) fn takes_nil(self) -> bool {
        !matches!(self, Type::Text | Type::Int | Type::Bool)
    }

    pub(super) fn accepts(self, value: &Value) -> bool {
        match (self, value) {
            (Type::Any, _)
            | (Type::Text, Value::Text(_) | Value::Safe(_))
            | (Type::Int, Value::Int(_))
            | (Type::Bool, Value::Bool(_))
            | (Type::Texts, Value::List(Items::Texts, _))
            | (Type::Pairs, Value::List(Items::Pairs, _))
            | (Type::List, Value::List(Items::Any, _))
            | (Type::Map, Value::Map(_)) => true,
            (wanted, Value::Missing) => wanted.takes_nil(),
            _ => false,
        }
    }
}

/// A function that does its work here.
const fn native(
    name: &'static str,
    parameters: &'static [Type],
    run: fn(&[Value], &mut Session) -> Result<Value, Failure>,
) -> Function {
    Function { name, parameters, rest: None, run: Run::Native(run) }
}

/// As `native`, with any number of further arguments.
const fn variadic(
    name: &'static str,
    parameters: &'static [Type],
    rest: Type,
    run: fn(&[Value], &mut Session) -> Result<Value, Failure>,
) -> Function {
    Function { name, parameters, rest: Some(rest), run: Run::Native(run) }
}

const TABLES: &[&[Function]] = &[
    builtins::FUNCTIONS,
    compare::FUNCTIONS,
    escape::FUNCTIONS,
    store::FUNCTIONS,
    lists::FUNCTIONS,
    data::FUNCTIONS,
    shared::FUNCTIONS,
];

/// Every function.
pub(in crate::render) fn all() -> impl Iterator<Item = &'static Function> {
    TABLES.iter().copied().flatten()
}

/// The function of a name.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    all().find(|function| function.name == name)
}

/// Whether a function gives what the store says.
pub(super) fn reads_store(name: &str) -> bool {
    matches!(name, "get" | "getv" | "gets" | "getvs" | "ls" | "lsdir")
}

/// The text of an argument whose type was checked.
fn text(value: &Value) -> &str {
    value.as_text().map_or("", |text| text)
}

/// The items of a list argument; nil has none.
fn items(value: &Value) -> &[Value] {
    match value {
        Value::List(_, items) => items,
        _ => &[],
    }
}

/// Longest text that one call may make, in bytes: a count out of the store must not exhaust memory.
pub(super) const MOST_BYTES: usize = 16 << 20;

/// A text that a call made.
fn made(text: String) -> Result<Value, Failure> {
    if text.len() > MOST_BYTES { Err(too_long()) } else { Ok(Value::from(text)) }
}

fn too_long() -> Failure {
    Failure::new(format!("would make a text of more than {MOST_BYTES} bytes"))
}
