//! Maps, choosing between values, JSON, other files.

use std::sync::Arc;

use serde_json::Value as Json;

use super::builtins::list;
use super::function::{ANY, FunctionBody, GoFunction, Parameter, TEXT, made, native, text, variadic};
use crate::model::problem::Problem;
use crate::render::budget::bounded;
use crate::render::go::json::{from_json, to_json};
use crate::render::go::run::GoRun;
use crate::render::go::value::{GoMap, GoValue};
use crate::render::library::json;

const MAP: &[Parameter] = &[Parameter::Map];
const TWO: &[Parameter] = &[Parameter::Any, Parameter::Any];

pub(super) const FUNCTIONS: &[GoFunction] = &[
    variadic("map", &[], Parameter::Any, map),
    variadic("dict", &[], Parameter::Any, map),
    native("hasKey", &[Parameter::Map, Parameter::Text], |values, _| {
        Ok(GoValue::Bool(entries(&values[0]).is_some_and(|map| map.contains_key(text(&values[1])))))
    }),
    native("keys", MAP, |values, _| {
        Ok(GoValue::texts(
            entries(&values[0]).into_iter().flat_map(GoMap::keys).map(|key| GoValue::Text(Arc::clone(key))),
        ))
    }),
    native("values", MAP, |values, _| {
        Ok(list(entries(&values[0]).into_iter().flat_map(GoMap::values).cloned().collect()))
    }),
    variadic("pluck", &[Parameter::Text], Parameter::Map, pluck),
    native("default", TWO, |values, _| Ok(values[usize::from(!values[1].is_empty())].clone())),
    native("ternary", &[Parameter::Any, Parameter::Any, Parameter::Bool], |values, _| {
        Ok(values[usize::from(!values[2].is_true())].clone())
    }),
    variadic("coalesce", &[], Parameter::Any, |values, _| {
        Ok(values.iter().find(|value| !value.is_empty()).cloned().unwrap_or(GoValue::Missing))
    }),
    native("empty", &[Parameter::Any], |values, _| Ok(GoValue::Bool(values[0].is_empty()))),
    native("json", TEXT, |values, run| parsed(&values[0], run, json::object, "is not a JSON object")),
    native("jsonArray", TEXT, |values, run| parsed(&values[0], run, json::array, "is not a JSON array")),
    native("fromJson", TEXT, |values, run| parsed(&values[0], run, Some, "")),
    native("toJson", ANY, |values, _| made(json::write(to_json(&values[0])))),
    native("toPrettyJson", ANY, |values, _| made(json::write_pretty(to_json(&values[0])))),
    GoFunction {
        name: "include",
        parameters: &[Parameter::Text],
        rest: Some(Parameter::Any),
        run: FunctionBody::Include,
    },
];

fn entries(value: &GoValue) -> Option<&GoMap> {
    match value {
        GoValue::Map(map) => Some(map),
        _ => None,
    }
}

fn map(values: &[GoValue], _: &mut GoRun) -> Result<GoValue, Problem> {
    if !values.len().is_multiple_of(2) {
        return Err(Problem::new("invalid map call: a key has no value"));
    }
    let mut map = GoMap::new();
    for entry in values.chunks(2) {
        let key = entry[0].as_text().ok_or_else(|| Problem::new("map keys must be strings"))?;
        let value = if entry[1].is_nil() { GoValue::Nil } else { entry[1].clone() };
        map.insert(Arc::clone(key), value);
    }
    bounded(GoValue::Map(Arc::new(map)))
}

fn pluck(values: &[GoValue], _: &mut GoRun) -> Result<GoValue, Problem> {
    let key = text(&values[0]);
    bounded(list(values[1..].iter().filter_map(|map| entries(map)?.get(key)).cloned().collect()))
}

/// Reads JSON of the kind that `take` accepts.
fn parsed(value: &GoValue, run: &GoRun, take: fn(Json) -> Option<Json>, unlike: &str) -> Result<GoValue, Problem> {
    let text = text(value);
    let about = |what: &str| Problem::new(run.session.about(text, what));
    let json = json::parse(text).map_err(|what| about(&what))?;
    let json = take(json).ok_or_else(|| about(unlike))?;
    bounded(from_json(&json)).map_err(|problem| about(&problem.message))
}
