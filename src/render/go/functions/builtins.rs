//! Go's own functions for values of any kind: `index`, `slice`, `len`, `print` and its like.

use std::sync::Arc;

use super::super::print;
use super::super::printf;
use super::super::value::{Items, Value};
use super::{Function, MOST_BYTES, Run, Type, made, native, text, too_long, variadic};
use crate::render::error::Failure;
use crate::render::session::Session;

const ANY: &[Type] = &[Type::Any];

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "and", parameters: ANY, rest: Some(Type::Any), run: Run::Logic { stops_at: false } },
    Function { name: "or", parameters: ANY, rest: Some(Type::Any), run: Run::Logic { stops_at: true } },
    native("not", ANY, not),
    native("len", ANY, len),
    variadic("index", ANY, Type::Any, index),
    variadic("slice", ANY, Type::Any, slice),
    variadic("call", ANY, Type::Any, call),
    variadic("print", &[], Type::Any, |values, _| made(print::joined(values))),
    variadic("println", &[], Type::Any, |values, _| made(print::line(values))),
    variadic("printf", &[Type::Text], Type::Any, |values, _| {
        printf::format(text(&values[0]), &values[1..]).map(Value::from).ok_or_else(too_long)
    }),
];

fn not(values: &[Value], _: &mut Session) -> Result<Value, Failure> {
    Ok(Value::Bool(!values[0].is_true()))
}

fn len(values: &[Value], _: &mut Session) -> Result<Value, Failure> {
    let length = match &values[0] {
        Value::Text(text) | Value::Safe(text) => text.len(),
        Value::List(_, items) => items.len(),
        Value::Map(map) => map.len(),
        Value::Missing | Value::Nil => return Err(Failure::new("len of nil")),
        other => return Err(Failure::new(format!("len of type {}", other.type_name()))),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(values: &[Value], _: &mut Session) -> Result<Value, Failure> {
    if values[0].is_nil() {
        return Err(Failure::new("index of untyped nil"));
    }
    let mut value = values[0].clone();
    for key in &values[1..] {
        value = match &value {
            Value::List(_, items) => items[position(key, items.len(), false)?].clone(),
            Value::Text(text) | Value::Safe(text) => {
                let byte = text.as_bytes()[position(key, text.len(), false)?];
                Value::Unsigned(u64::from(byte), "uint8")
            }
            Value::Map(map) => match key.as_text() {
                Some(name) => map.get(name).cloned().unwrap_or(Value::Missing),
                None => {
                    return Err(Failure::new(format!("value has type {}; should be string", key.type_name())));
                }
            },
            Value::Missing | Value::Nil => return Err(Failure::new("index of nil pointer")),
            other => return Err(Failure::new(format!("can't index item of type {}", other.type_name()))),
        };
    }
    Ok(value)
}

/// A position among `length` items, or, where `end` is meant, one behind the last.
fn position(key: &Value, length: usize, end: bool) -> Result<usize, Failure> {
    let number = match key.as_integer() {
        Some(number) => number,
        None if key.is_nil() => return Err(Failure::new("cannot index slice/array with nil")),
        None => return Err(Failure::new(format!("cannot index slice/array with type {}", key.type_name()))),
    };
    let position = usize::try_from(number).ok().filter(|position| *position < length + usize::from(end));
    // The number could be a value of the store.
    position.ok_or_else(|| Failure::new(format!("index out of range: there are {length}")))
}

fn slice(values: &[Value], _: &mut Session) -> Result<Value, Failure> {
    let (value, keys) = (&values[0], &values[1..]);
    let (length, most_keys) = match value {
        Value::List(_, items) => (items.len(), 3),
        Value::Text(text) | Value::Safe(text) => (text.len(), 2),
        Value::Missing | Value::Nil => return Err(Failure::new("slice of untyped nil")),
        other => return Err(Failure::new(format!("can't slice item of type {}", other.type_name()))),
    };
    if keys.len() > 3 {
        return Err(Failure::new(format!("too many slice indexes: {}", keys.len())));
    }
    if keys.len() > most_keys {
        return Err(Failure::new("cannot 3-index slice a string"));
    }
    let mut bounds = [0, length, length];
    for (bound, key) in bounds.iter_mut().zip(keys) {
        *bound = position(key, length, true)?;
    }
    let [start, end, most] = bounds;
    if start > end || end > most {
        return Err(Failure::new("invalid slice index: it begins behind its end"));
    }
    match value {
        Value::List(kind, items) => Ok(Value::List(*kind, Arc::from(&items[start..end]))),
        other => {
            let cut = text(other).get(start..end);
            cut.map(Value::from).ok_or_else(|| Failure::new("the index is within a character of more than one byte"))
        }
    }
}

fn call(values: &[Value], _: &mut Session) -> Result<Value, Failure> {
    match &values[0] {
        Value::Missing | Value::Nil => Err(Failure::new("call of nil")),
        other => Err(Failure::new(format!("non-function of type {}", other.type_name()))),
    }
}

/// A list of anything.
pub(super) fn list(items: Vec<Value>) -> Value {
    Value::List(Items::Any, Arc::from(items))
}

/// Levels of lists and maps within each other.
const DEEPEST: usize = 64;

/// A list or map that a call made of other values, unless it is too large to be printed or taken apart again: what it
/// shares with itself counts each time.
pub(super) fn bounded(value: Value) -> Result<Value, Failure> {
    let mut left = MOST_BYTES;
    if fits(&value, DEEPEST, &mut left) {
        return Ok(value);
    }
    Err(Failure::new(format!("would nest more than {DEEPEST} levels, or hold more than {MOST_BYTES} bytes")))
}

fn fits(value: &Value, levels: usize, left: &mut usize) -> bool {
    let own = 8 + value.as_text().map_or(0, |text| text.len());
    if own > *left || levels == 0 {
        return false;
    }
    *left -= own;
    match value {
        Value::List(_, items) => items.iter().all(|item| fits(item, levels - 1, left)),
        Value::Map(map) => map.values().all(|item| fits(item, levels - 1, left)),
        _ => true,
    }
}
