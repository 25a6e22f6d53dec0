//! Lists of texts, of pairs and of anything: three types, to Go.

use std::sync::Arc;

use super::super::value::{Items, Value};
use super::builtins::{bounded, list};
use super::{Function, Type, items, made, native, text, variadic};
use crate::model::natural;
use crate::render::error::Failure;
use crate::render::session::Session;
use crate::render::tera::functions::text::{base_name, parent};

const TEXT: &[Type] = &[Type::Text];
const TWO_TEXTS: &[Type] = &[Type::Text, Type::Text];

pub(super) const FUNCTIONS: &[Function] = &[
    native("base", TEXT, |values, _| Ok(Value::from(base_name(text(&values[0]))))),
    native("dir", TEXT, |values, _| Ok(Value::from(parent(text(&values[0]))))),
    native("contains", TWO_TEXTS, |values, _| Ok(Value::Bool(text(&values[0]).contains(text(&values[1]))))),
    native("split", TWO_TEXTS, split),
    native("join", &[Type::Texts, Type::Text], join),
    native("reverse", &[Type::Any], reverse),
    native("sortByLength", &[Type::Texts], sort_by_length),
    native("sortKVByLength", &[Type::Pairs], sort_by_length),
    native("naturalSort", &[Type::Any], natural_sort),
    variadic("list", &[], Type::Any, |values, _| bounded(list(values.to_vec()))),
    native("append", &[Type::List, Type::Any], append),
];

fn split(values: &[Value], _: &mut Session) -> Result<Value, Failure> {
    let (whole, separator) = (text(&values[0]), text(&values[1]));
    Ok(match separator {
        "" => Value::texts(whole.chars().map(|c| Value::from(c.to_string()))),
        separator => Value::texts(whole.split(separator)),
    })
}

fn join(values: &[Value], _: &mut Session) -> Result<Value, Failure> {
    made(items(&values[0]).iter().map(text).collect::<Vec<_>>().join(text(&values[1])))
}

fn reverse(values: &[Value], _: &mut Session) -> Result<Value, Failure> {
    Ok(match &values[0] {
        Value::List(kind, items) => Value::List(*kind, items.iter().rev().cloned().collect()),
        other => other.clone(),
    })
}

/// Stable, and leaves the argument as it was.
fn sort_by_length(values: &[Value], _: &mut Session) -> Result<Value, Failure> {
    let mut sorted = items(&values[0]).to_vec();
    sorted.sort_by_key(|item| match item {
        Value::Pair(pair) => pair.key.len(),
        other => text(other).len(),
    });
    let kind = match &values[0] {
        Value::List(kind, _) => *kind,
        _ => Items::Texts,
    };
    Ok(Value::List(kind, Arc::from(sorted)))
}

/// Texts, and pairs by their keys: `app2` before `app10`.
fn natural_sort(values: &[Value], _: &mut Session) -> Result<Value, Failure> {
    let name = |item: &Value| match item {
        Value::Pair(pair) => Some(Arc::clone(&pair.key)),
        other => other.as_text().cloned(),
    };
    let named = items(&values[0]).iter().map(|item| Some((name(item)?, item.clone())));
    let (Value::List(kind, _), Some(mut named)) = (&values[0], named.collect::<Option<Vec<_>>>()) else {
        return Err(Failure::new("takes a list of texts or of pairs"));
    };
    named.sort_by(|(a, _), (b, _)| natural::compare(a, b));
    Ok(Value::List(*kind, named.into_iter().map(|(_, item)| item).collect()))
}

fn append(values: &[Value], _: &mut Session) -> Result<Value, Failure> {
    let mut longer = items(&values[0]).to_vec();
    longer.push(values[1].clone());
    bounded(list(longer))
}
