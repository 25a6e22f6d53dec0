//! Go's comparisons: only values of one kind compare, and a whole number is another kind than a float.

use std::cmp::Ordering;

use super::function::{GoFunction, Parameter, native, variadic};
use crate::render::error::FunctionError;
use crate::render::go::run::GoRun;
use crate::render::go::value::GoValue;

const TWO: &[Parameter] = &[Parameter::Any, Parameter::Any];

pub(super) const FUNCTIONS: &[GoFunction] = &[
    variadic("eq", &[Parameter::Any], Parameter::Any, eq),
    native("ne", TWO, |values, _| equal(&values[0], &values[1]).map(|equal| GoValue::Bool(!equal))),
    native("lt", TWO, |values, _| ordered(values, Ordering::is_lt)),
    native("le", TWO, |values, _| ordered(values, Ordering::is_le)),
    native("gt", TWO, |values, _| ordered(values, Ordering::is_gt)),
    native("ge", TWO, |values, _| ordered(values, Ordering::is_ge)),
];

fn eq(values: &[GoValue], _: &mut GoRun) -> Result<GoValue, FunctionError> {
    if values.len() < 2 {
        return Err(FunctionError::new("missing argument for comparison"));
    }
    for other in &values[1..] {
        if equal(&values[0], other)? {
            return Ok(GoValue::Bool(true));
        }
    }
    Ok(GoValue::Bool(false))
}

/// What kinds there are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nil,
    Bool,
    Integer,
    Float,
    Text,
    Other,
}

fn kind(value: &GoValue) -> Kind {
    match value {
        GoValue::Missing | GoValue::Nil => Kind::Nil,
        GoValue::Bool(_) => Kind::Bool,
        GoValue::Int(_) | GoValue::Unsigned(..) | GoValue::Named(..) => Kind::Integer,
        GoValue::Float(_) => Kind::Float,
        GoValue::Text(_) | GoValue::Safe(_) => Kind::Text,
        GoValue::List(..) | GoValue::Map(_) | GoValue::Pair(_) | GoValue::Srv(_) | GoValue::Time(_) => Kind::Other,
    }
}

fn incompatible(a: &GoValue, b: &GoValue) -> FunctionError {
    let names = (a.type_name(), b.type_name());
    let failure = FunctionError::new(format!("incompatible types for comparison: {} and {}", names.0, names.1));
    match (kind(a), kind(b)) {
        (Kind::Float, Kind::Integer) | (Kind::Integer, Kind::Float) => {
            failure.hint("numbers out of JSON are float64: compare them with 1.0, not with 1")
        }
        _ => failure,
    }
}

fn equal(a: &GoValue, b: &GoValue) -> Result<bool, FunctionError> {
    match (a, b) {
        (GoValue::Bool(a), GoValue::Bool(b)) => Ok(a == b),
        (GoValue::Float(a), GoValue::Float(b)) => Ok(a == b),
        (GoValue::Text(a) | GoValue::Safe(a), GoValue::Text(b) | GoValue::Safe(b)) => Ok(a == b),
        (GoValue::Pair(a), GoValue::Pair(b)) => Ok(a.key == b.key && a.value == b.value),
        (GoValue::Time(a), GoValue::Time(b)) => Ok(a == b),
        _ => match (kind(a), kind(b)) {
            (Kind::Integer, Kind::Integer) => Ok(a.as_integer() == b.as_integer()),
            (Kind::Nil, Kind::Nil) => Ok(true),
            (Kind::Nil, _) | (_, Kind::Nil) => Ok(false),
            (Kind::Other, Kind::Other) => Err(FunctionError::new(format!("non-comparable type {}", a.type_name()))),
            _ => Err(incompatible(a, b)),
        },
    }
}

fn ordered(values: &[GoValue], holds: fn(Ordering) -> bool) -> Result<GoValue, FunctionError> {
    let (a, b) = (&values[0], &values[1]);
    let order = match (a, b) {
        (GoValue::Float(a), GoValue::Float(b)) => a.partial_cmp(b),
        (GoValue::Text(a) | GoValue::Safe(a), GoValue::Text(b) | GoValue::Safe(b)) => {
            Some(a.as_bytes().cmp(b.as_bytes()))
        }
        _ => match (kind(a), kind(b)) {
            (Kind::Integer, Kind::Integer) => a.as_integer().partial_cmp(&b.as_integer()),
            (Kind::Nil | Kind::Bool | Kind::Other, _) | (_, Kind::Nil | Kind::Other) => {
                return Err(FunctionError::new("invalid type for comparison"));
            }
            _ => return Err(incompatible(a, b)),
        },
    };
    Ok(GoValue::Bool(order.is_some_and(holds)))
}
