//! Go's comparisons: only values of one kind compare, and a whole number is another kind than a float.

use std::cmp::Ordering;

use super::super::value::Value;
use super::{Function, Type, native, variadic};
use crate::render::error::Failure;
use crate::render::session::Session;

const TWO: &[Type] = &[Type::Any, Type::Any];

pub(super) const FUNCTIONS: &[Function] = &[
    variadic("eq", &[Type::Any], Type::Any, eq),
    native("ne", TWO, |values, _| equal(&values[0], &values[1]).map(|equal| Value::Bool(!equal))),
    native("lt", TWO, |values, _| ordered(values, Ordering::is_lt)),
    native("le", TWO, |values, _| ordered(values, Ordering::is_le)),
    native("gt", TWO, |values, _| ordered(values, Ordering::is_gt)),
    native("ge", TWO, |values, _| ordered(values, Ordering::is_ge)),
];

fn eq(values: &[Value], _: &mut Session) -> Result<Value, Failure> {
    if values.len() < 2 {
        return Err(Failure::new("missing argument for comparison"));
    }
    for other in &values[1..] {
        if equal(&values[0], other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
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

fn kind(value: &Value) -> Kind {
    match value {
        Value::Missing | Value::Nil => Kind::Nil,
        Value::Bool(_) => Kind::Bool,
        Value::Int(_) | Value::Unsigned(..) | Value::Named(..) => Kind::Integer,
        Value::Float(_) => Kind::Float,
        Value::Text(_) | Value::Safe(_) => Kind::Text,
        Value::List(..) | Value::Map(_) | Value::Pair(_) | Value::Srv(_) | Value::Time(_) => Kind::Other,
    }
}

fn incompatible(a: &Value, b: &Value) -> Failure {
    let names = (a.type_name(), b.type_name());
    let failure = Failure::new(format!("incompatible types for comparison: {} and {}", names.0, names.1));
    match (kind(a), kind(b)) {
        (Kind::Float, Kind::Integer) | (Kind::Integer, Kind::Float) => {
            failure.hint("numbers out of JSON are float64: compare them with 1.0, not with 1")
        }
        _ => failure,
    }
}

fn equal(a: &Value, b: &Value) -> Result<bool, Failure> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::Text(a) | Value::Safe(a), Value::Text(b) | Value::Safe(b)) => Ok(a == b),
        (Value::Pair(a), Value::Pair(b)) => Ok(a.key == b.key && a.value == b.value),
        (Value::Time(a), Value::Time(b)) => Ok(a == b),
        _ => match (kind(a), kind(b)) {
            (Kind::Integer, Kind::Integer) => Ok(a.as_integer() == b.as_integer()),
            (Kind::Nil, Kind::Nil) => Ok(true),
            (Kind::Nil, _) | (_, Kind::Nil) => Ok(false),
            (Kind::Other, Kind::Other) => Err(Failure::new(format!("non-comparable type {}", a.type_name()))),
            _ => Err(incompatible(a, b)),
        },
    }
}

fn ordered(values: &[Value], holds: fn(Ordering) -> bool) -> Result<Value, Failure> {
    let (a, b) = (&values[0], &values[1]);
    let order = match (a, b) {
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Text(a) | Value::Safe(a), Value::Text(b) | Value::Safe(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        _ => match (kind(a), kind(b)) {
            (Kind::Integer, Kind::Integer) => a.as_integer().partial_cmp(&b.as_integer()),
            (Kind::Nil | Kind::Bool | Kind::Other, _) | (_, Kind::Nil | Kind::Other) => {
                return Err(Failure::new("invalid type for comparison"));
            }
            _ => return Err(incompatible(a, b)),
        },
    };
    Ok(Value::Bool(order.is_some_and(holds)))
}
