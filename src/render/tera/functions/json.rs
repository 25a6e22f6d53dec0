//! JSON, in and out. Maps are read with sorted keys, whole numbers stay whole.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use tera::Value;

use super::call::{TeraCall, TeraFunction, both};
use crate::model::problem::Problem;
use crate::render::budget::bounded;
use crate::render::library::json as library;
use crate::render::tera::run::TeraRun;

pub(super) const FUNCTIONS: &[TeraFunction] = &[
    both("json", &["text"], json),
    both("json_array", &["text"], json_array).alias("jsonArray"),
    both("from_json", &["text"], from_json).alias("fromJson"),
    both("to_json", &["value"], to_json).alias("toJson"),
    both("to_pretty_json", &["value"], to_pretty_json).alias("toPrettyJson"),
];

fn json(call: &TeraCall<'_>, run: &mut TeraRun) -> Result<Value, Problem> {
    let unlike = || unlike(call, run, "object").hint("json_array reads an array, from_json anything");
    made(call, run, library::object(parse(call, run)?).ok_or_else(unlike)?)
}

fn json_array(call: &TeraCall<'_>, run: &mut TeraRun) -> Result<Value, Problem> {
    let unlike = || unlike(call, run, "array").hint("json reads an object, from_json anything");
    made(call, run, library::array(parse(call, run)?).ok_or_else(unlike)?)
}

fn from_json(call: &TeraCall<'_>, run: &mut TeraRun) -> Result<Value, Problem> {
    made(call, run, parse(call, run)?)
}

fn made(call: &TeraCall<'_>, run: &TeraRun, json: Json) -> Result<Value, Problem> {
    let about = |what| call.failure(run.session.about(call.text("text").unwrap_or_default(), what));
    bounded(to_tera(json)).map_err(|problem| about(problem.message))
}

fn parse(call: &TeraCall<'_>, run: &TeraRun) -> Result<Json, Problem> {
    let text = call.text("text")?;
    library::parse(text).map_err(|what| call.failure(run.session.about(text, what)))
}

fn unlike(call: &TeraCall<'_>, run: &TeraRun, wanted: &str) -> Problem {
    call.failure(run.session.about(call.text("text").unwrap_or_default(), format_args!("is not a JSON {wanted}")))
}

/// Returns JSON as a value of Tera.
pub(in crate::render::tera) fn to_tera(json: Json) -> Value {
    match json {
        Json::Null => Value::none(),
        Json::Bool(boolean) => Value::from(boolean),
        Json::String(text) => Value::from(text),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(integer)) => Value::from(integer),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::Array(items) => Value::from(items.into_iter().map(to_tera).collect::<Vec<_>>()),
        Json::Object(members) => {
            Value::from(members.into_iter().map(|(name, value)| (name, to_tera(value))).collect::<BTreeMap<_, _>>())
        }
    }
}

fn to_json(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    value(call).map(|json| Value::from(library::write(json)))
}

fn to_pretty_json(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    value(call).map(|json| Value::from(library::write_pretty(json)))
}

fn value(call: &TeraCall<'_>) -> Result<Json, Problem> {
    serde_json::to_value(call.value("value")?).map_err(|_| call.failure("the value is not JSON's"))
}
