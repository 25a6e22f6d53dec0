//! One function of Go templates: its name, the types of its parameters, its code.

use crate::model::problem::Problem;
use crate::render::go::run::GoRun;
use crate::render::go::value::{GoValue, ItemType};
use crate::render::library::text::{MAX_BYTES, too_long};

/// One function.
#[derive(Debug)]
pub(in crate::render::go) struct GoFunction {
    /// Name in templates.
    pub(in crate::render::go) name: &'static str,
    /// Parameters that must be given.
    pub(in crate::render::go) parameters: &'static [Parameter],
    /// Type of any number of further ones.
    pub(in crate::render::go) rest: Option<Parameter>,
    pub(in crate::render::go) run: FunctionBody,
}

/// Implementation of a function.
#[derive(Debug)]
pub(in crate::render::go) enum FunctionBody {
    /// By a function of ours.
    Native(fn(&[GoValue], &mut GoRun) -> Result<GoValue, Problem>),
    /// `and`, `or`: evaluates no more operands than it must.
    Logic { stops_at: bool },
    /// `include`: renders a different file.
    Include,
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render::go) enum Parameter {
    Any,
    Text,
    Int,
    Bool,
    Texts,
    Pairs,
    List,
    Map,
}

impl Parameter {
    /// Returns Go's name of it.
    pub(in crate::render::go) fn name(self) -> &'static str {
        match self {
            Parameter::Any => "interface {}",
            Parameter::Text => "string",
            Parameter::Int => "int",
            Parameter::Bool => "bool",
            Parameter::Texts => "[]string",
            Parameter::Pairs => "[]memkv.KVPair",
            Parameter::List => "[]interface {}",
            Parameter::Map => "map[string]interface {}",
        }
    }

    pub(in crate::render::go) fn takes_nil(self) -> bool {
        !matches!(self, Parameter::Text | Parameter::Int | Parameter::Bool)
    }

    pub(in crate::render::go) fn accepts(self, value: &GoValue) -> bool {
        match (self, value) {
            (Parameter::Any, _)
            | (Parameter::Text, GoValue::Text(_) | GoValue::Safe(_))
            | (Parameter::Int, GoValue::Int(_))
            | (Parameter::Bool, GoValue::Bool(_))
            | (Parameter::Texts, GoValue::List(ItemType::Texts, _))
            | (Parameter::Pairs, GoValue::List(ItemType::Pairs, _))
            | (Parameter::List, GoValue::List(ItemType::Any, _))
            | (Parameter::Map, GoValue::Map(_)) => true,
            (wanted, GoValue::Missing) => wanted.takes_nil(),
            _ => false,
        }
    }
}

/// The parameters that many functions have.
pub(super) const TEXT: &[Parameter] = &[Parameter::Text];
pub(super) const TWO_TEXTS: &[Parameter] = &[Parameter::Text, Parameter::Text];
pub(super) const THREE_TEXTS: &[Parameter] = &[Parameter::Text, Parameter::Text, Parameter::Text];
pub(super) const ANY: &[Parameter] = &[Parameter::Any];

/// Returns a function with a fixed number of arguments.
pub(super) const fn native(
    name: &'static str,
    parameters: &'static [Parameter],
    run: fn(&[GoValue], &mut GoRun) -> Result<GoValue, Problem>,
) -> GoFunction {
    GoFunction { name, parameters, rest: None, run: FunctionBody::Native(run) }
}

/// Returns a function with any number of further arguments.
pub(super) const fn variadic(
    name: &'static str,
    parameters: &'static [Parameter],
    rest: Parameter,
    run: fn(&[GoValue], &mut GoRun) -> Result<GoValue, Problem>,
) -> GoFunction {
    GoFunction { name, parameters, rest: Some(rest), run: FunctionBody::Native(run) }
}

/// Returns the text of an argument whose type was checked.
pub(super) fn text(value: &GoValue) -> &str {
    value.as_text().map_or("", |text| text)
}

/// Returns the items of a list argument; nil has no items.
pub(super) fn items(value: &GoValue) -> &[GoValue] {
    match value {
        GoValue::List(_, items) => items,
        _ => &[],
    }
}

/// Returns a text that a call made, unless it is too long.
pub(super) fn made(text: String) -> Result<GoValue, Problem> {
    if text.len() > MAX_BYTES { Err(too_long()) } else { Ok(GoValue::from(text)) }
}

/// Returns the whole number of an argument whose type was checked.
pub(super) fn integer(value: &GoValue) -> i128 {
    value.as_integer().unwrap_or(0)
}
