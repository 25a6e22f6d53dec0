//! Go's comparisons: only values of one kind compare, and a whole number and a float are different kinds.

use std::cmp::Ordering;

use super::function::{GoFunction, Parameter, native, variadic};
use crate::model::problem::Problem;
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

fn eq(values: &[GoValue], _: &mut GoRun) -> Result<GoValue, Problem> {
    if values.len() < 2 {
        return Err(Problem::new("missing argument for comparison"));
    }
    for other in &values[1..] {
        if equal(&values[0], other)? {
            return Ok(GoValue::Bool(true));
        }
    }
    Ok(GoValue::Bool(false))
}

/// Kinds of values that compare with each other; text/template's `basicKind`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BasicKind {
    Nil,
    Bool,
    Integer,
    Float,
    Text,
    Other,
}

fn kind(value: &GoValue) -> BasicKind {
    match value {
        GoValue::Missing | GoValue::Nil => BasicKind::Nil,
        GoValue::Bool(_) => BasicKind::Bool,
        GoValue::Int(_) | GoValue::Unsigned(..) | GoValue::Named(..) => BasicKind::Integer,
        GoValue::Float(_) => BasicKind::Float,
        GoValue::Text(_) | GoValue::Safe(_) => BasicKind::Text,
        GoValue::List(..) | GoValue::Map(_) | GoValue::Pair(_) | GoValue::Srv(_) | GoValue::Time(_) => BasicKind::Other,
    }
}

fn incompatible(a: &GoValue, b: &GoValue) -> Problem {
    let names = (a.type_name(), b.type_name());
    let failure = Problem::new(format!("incompatible types for comparison: {} and {}", names.0, names.1));
    match (kind(a), kind(b)) {
        (BasicKind::Float, BasicKind::Integer) | (BasicKind::Integer, BasicKind::Float) => {
            failure.hint("numbers out of JSON are float64: compare them with 1.0, not with 1")
        }
        _ => failure,
    }
}

fn equal(a: &GoValue, b: &GoValue) -> Result<bool, Problem> {
    match (a, b) {
        (GoValue::Bool(a), GoValue::Bool(b)) => Ok(a == b),
        (GoValue::Float(a), GoValue::Float(b)) => Ok(a == b),
        (GoValue::Text(a) | GoValue::Safe(a), GoValue::Text(b) | GoValue::Safe(b)) => Ok(a == b),
        (GoValue::Pair(a), GoValue::Pair(b)) => Ok(a.key == b.key && a.value == b.value),
        (GoValue::Time(a), GoValue::Time(b)) => Ok(a == b),
        _ => match (kind(a), kind(b)) {
            (BasicKind::Integer, BasicKind::Integer) => Ok(a.as_integer() == b.as_integer()),
            (BasicKind::Nil, BasicKind::Nil) => Ok(true),
            (BasicKind::Nil, _) | (_, BasicKind::Nil) => Ok(false),
            (BasicKind::Other, BasicKind::Other) => Err(Problem::new(format!("non-comparable type {}", a.type_name()))),
            _ => Err(incompatible(a, b)),
        },
    }
}

fn ordered(values: &[GoValue], holds: fn(Ordering) -> bool) -> Result<GoValue, Problem> {
    let (a, b) = (&values[0], &values[1]);
    let order = match (a, b) {
        (GoValue::Float(a), GoValue::Float(b)) => a.partial_cmp(b),
        (GoValue::Text(a) | GoValue::Safe(a), GoValue::Text(b) | GoValue::Safe(b)) => {
            Some(a.as_bytes().cmp(b.as_bytes()))
        }
        _ => match (kind(a), kind(b)) {
            (BasicKind::Integer, BasicKind::Integer) => a.as_integer().partial_cmp(&b.as_integer()),
            (BasicKind::Nil | BasicKind::Bool | BasicKind::Other, _) | (_, BasicKind::Nil | BasicKind::Other) => {
                return Err(Problem::new("invalid type for comparison"));
            }
            _ => return Err(incompatible(a, b)),
        },
    };
    Ok(GoValue::Bool(order.is_some_and(holds)))
}
