//! Maps, choosing between values, JSON, the time, SRV records, other files.

use std::sync::Arc;

use super::super::value::{Items, Map, Value};
use super::builtins::{bounded, list};
use super::{Function, Run, Type, native, text, variadic};
use crate::render::error::Failure;
use crate::render::session::Session;

const MAP: &[Type] = &[Type::Map];
const TWO: &[Type] = &[Type::Any, Type::Any];

pub(super) const FUNCTIONS: &[Function] = &[
    variadic("map", &[], Type::Any, map),
    variadic("dict", &[], Type::Any, map),
    native("hasKey", &[Type::Map, Type::Text], |values, _| {
        Ok(Value::Bool(entries(&values[0]).is_some_and(|map| map.contains_key(text(&values[1])))))
    }),
    native("keys", MAP, |values, _| {
        Ok(Value::texts(entries(&values[0]).into_iter().flat_map(Map::keys).map(|key| Value::Text(Arc::clone(key)))))
    }),
    native("values", MAP, |values, _| {
        Ok(list(entries(&values[0]).into_iter().flat_map(Map::values).cloned().collect()))
    }),
    variadic("pluck", &[Type::Text], Type::Map, pluck),
    native("default", TWO, |values, _| Ok(values[usize::from(!values[1].is_empty())].clone())),
    native("ternary", &[Type::Any, Type::Any, Type::Bool], |values, _| {
        Ok(values[usize::from(!values[2].is_true())].clone())
    }),
    variadic("coalesce", &[], Type::Any, |values, _| {
        Ok(values.iter().find(|value| !value.is_empty()).cloned().unwrap_or(Value::Missing))
    }),
    native("empty", &[Type::Any], |values, _| Ok(Value::Bool(values[0].is_empty()))),
    native("datetime", &[], |_, session| Ok(Value::Time(Arc::new(session.world().now())))),
    native("lookupSRV", &[Type::Text, Type::Text, Type::Text], lookup_srv),
    Function { name: "include", parameters: &[Type::Text], rest: Some(Type::Any), run: Run::Include },
];

fn entries(value: &Value) -> Option<&Map> {
    match value {
        Value::Map(map) => Some(map),
        _ => None,
    }
}

fn map(values: &[Value], _: &mut Session) -> Result<Value, Failure> {
    if !values.len().is_multiple_of(2) {
        return Err(Failure::new("invalid map call: a key has no value"));
    }
    let mut map = Map::new();
    for entry in values.chunks(2) {
        let key = entry[0].as_text().ok_or_else(|| Failure::new("map keys must be strings"))?;
        let value = if entry[1].is_nil() { Value::Nil } else { entry[1].clone() };
        map.insert(Arc::clone(key), value);
    }
    bounded(Value::Map(Arc::new(map)))
}

fn pluck(values: &[Value], _: &mut Session) -> Result<Value, Failure> {
    let key = text(&values[0]);
    bounded(list(values[1..].iter().filter_map(|map| entries(map)?.get(key)).cloned().collect()))
}

fn lookup_srv(values: &[Value], session: &mut Session) -> Result<Value, Failure> {
    let (service, proto, name) = (text(&values[0]), text(&values[1]), text(&values[2]));
    let found = session.world().lookup_srv(service, proto, name);
    let mut records =
        found.map_err(|problem| Failure::new(format!("{} cannot be looked up: {problem}", session.origin(name))))?;
    records.sort_unstable();
    Ok(Value::List(Items::Srvs, records.into_iter().map(|record| Value::Srv(Arc::new(record))).collect()))
}
