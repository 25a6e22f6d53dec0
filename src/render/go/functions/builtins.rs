//! Go's own functions for values of any kind: `index`, `slice`, `len`, `print` and the like.

use std::sync::Arc;

use super::function::{ANY, FunctionBody, GoFunction, Parameter, made, native, text, variadic};
use crate::model::problem::Problem;
use crate::render::go::print;
use crate::render::go::printf;
use crate::render::go::run::GoRun;
use crate::render::go::value::{GoValue, ItemType};
use crate::render::library::text::too_long;

pub(super) const FUNCTIONS: &[GoFunction] = &[
    GoFunction {
        name: "and",
        parameters: ANY,
        rest: Some(Parameter::Any),
        run: FunctionBody::Logic { stops_at: false },
    },
    GoFunction { name: "or", parameters: ANY, rest: Some(Parameter::Any), run: FunctionBody::Logic { stops_at: true } },
    native("not", ANY, not),
    native("len", ANY, len),
    variadic("index", ANY, Parameter::Any, index),
    variadic("slice", ANY, Parameter::Any, slice),
    variadic("call", ANY, Parameter::Any, call),
    variadic("print", &[], Parameter::Any, |values, _| made(print::joined(values)?)),
    variadic("println", &[], Parameter::Any, |values, _| made(print::line(values)?)),
    variadic("printf", &[Parameter::Text], Parameter::Any, |values, _| {
        printf::format(text(&values[0]), &values[1..]).map(GoValue::from).ok_or_else(too_long)
    }),
];

fn not(values: &[GoValue], _: &mut GoRun) -> Result<GoValue, Problem> {
    Ok(GoValue::Bool(!values[0].is_true()))
}

fn len(values: &[GoValue], _: &mut GoRun) -> Result<GoValue, Problem> {
    let length = match &values[0] {
        GoValue::Text(text) | GoValue::Safe(text) => text.len(),
        GoValue::List(_, items) => items.len(),
        GoValue::Map(map) => map.len(),
        GoValue::Missing | GoValue::Nil => return Err(Problem::new("len of nil")),
        other => return Err(Problem::new(format!("len of type {}", other.type_name()))),
    };
    Ok(GoValue::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(values: &[GoValue], _: &mut GoRun) -> Result<GoValue, Problem> {
    if values[0].is_nil() {
        return Err(Problem::new("index of untyped nil"));
    }
    let mut value = values[0].clone();
    for key in &values[1..] {
        value = match &value {
            GoValue::List(_, items) => items[position(key, items.len(), false)?].clone(),
            GoValue::Text(text) | GoValue::Safe(text) => {
                let byte = text.as_bytes()[position(key, text.len(), false)?];
                GoValue::Unsigned(u64::from(byte), "uint8")
            }
            GoValue::Map(map) => match key.as_text() {
                Some(name) => map.get(name).cloned().unwrap_or(GoValue::Missing),
                None => {
                    return Err(Problem::new(format!("value has type {}; should be string", key.type_name())));
                }
            },
            GoValue::Missing | GoValue::Nil => return Err(Problem::new("index of nil pointer")),
            other => return Err(Problem::new(format!("can't index item of type {}", other.type_name()))),
        };
    }
    Ok(value)
}

/// Returns a position among `length` items or, if `end` is true, one after the last.
fn position(key: &GoValue, length: usize, end: bool) -> Result<usize, Problem> {
    let number = match key.as_integer() {
        Some(number) => number,
        None if key.is_nil() => return Err(Problem::new("cannot index slice/array with nil")),
        None => return Err(Problem::new(format!("cannot index slice/array with type {}", key.type_name()))),
    };
    let position = usize::try_from(number).ok().filter(|position| *position < length + usize::from(end));
    // The number could be a value of the store.
    position.ok_or_else(|| Problem::new(format!("index out of range: there are {length}")))
}

fn slice(values: &[GoValue], _: &mut GoRun) -> Result<GoValue, Problem> {
    let (value, keys) = (&values[0], &values[1..]);
    let (length, most_keys) = match value {
        GoValue::List(_, items) => (items.len(), 3),
        GoValue::Text(text) | GoValue::Safe(text) => (text.len(), 2),
        GoValue::Missing | GoValue::Nil => return Err(Problem::new("slice of untyped nil")),
        other => return Err(Problem::new(format!("can't slice item of type {}", other.type_name()))),
    };
    if keys.len() > 3 {
        return Err(Problem::new(format!("too many slice indexes: {}", keys.len())));
    }
    if keys.len() > most_keys {
        return Err(Problem::new("cannot 3-index slice a string"));
    }
    let mut bounds = [0, length, length];
    for (bound, key) in bounds.iter_mut().zip(keys) {
        *bound = position(key, length, true)?;
    }
    let [start, end, most] = bounds;
    if start > end || end > most {
        return Err(Problem::new("invalid slice index: it begins behind its end"));
    }
    match value {
        GoValue::List(kind, items) => Ok(GoValue::List(*kind, Arc::new(items[start..end].to_vec()))),
        other => {
            let cut = text(other).get(start..end);
            cut.map(GoValue::from).ok_or_else(|| Problem::new("the index is within a character of more than one byte"))
        }
    }
}

fn call(values: &[GoValue], _: &mut GoRun) -> Result<GoValue, Problem> {
    match &values[0] {
        GoValue::Missing | GoValue::Nil => Err(Problem::new("call of nil")),
        other => Err(Problem::new(format!("non-function of type {}", other.type_name()))),
    }
}

/// Returns a list of anything.
pub(super) fn list(items: Vec<GoValue>) -> GoValue {
    GoValue::List(ItemType::Any, Arc::new(items))
}
