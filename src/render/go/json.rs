//! Values of Go templates from JSON and to it, as confd has them.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::time;
use super::value::{GoMap, GoValue, ItemType};

/// Returns JSON as a value: every number is a float.
pub(super) fn from_json(json: &Json) -> GoValue {
    match json {
        Json::Null => GoValue::Nil,
        Json::Bool(truth) => GoValue::Bool(*truth),
        Json::Number(number) => GoValue::Float(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => GoValue::from(text.as_str()),
        Json::Array(items) => GoValue::List(ItemType::Any, Arc::new(items.iter().map(from_json).collect())),
        Json::Object(members) => {
            let members = members.iter().map(|(name, value)| (Arc::from(name.as_str()), from_json(value)));
            GoValue::Map(Arc::new(members.collect::<GoMap>()))
        }
    }
}

/// Returns a value as JSON.
pub(super) fn to_json(value: &GoValue) -> Json {
    match value {
        GoValue::Missing | GoValue::Nil => Json::Null,
        GoValue::Bool(value) => json!(value),
        GoValue::Int(number) | GoValue::Named(_, number, _) => json!(number),
        GoValue::Unsigned(number, _) => json!(number),
        GoValue::Float(number) => json!(number),
        GoValue::Text(text) | GoValue::Safe(text) => json!(&**text),
        GoValue::Time(moment) => json!(time::format(moment, "2006-01-02T15:04:05.999999999Z07:00")),
        // A search that finds nothing is Go's nil, which is null in JSON.
        GoValue::List(ItemType::Pairs, items) if items.is_empty() => Json::Null,
        GoValue::List(_, items) => items.iter().map(to_json).collect(),
        GoValue::Map(map) => {
            let members = map.iter().map(|(key, value)| (key.to_string(), to_json(value)));
            Json::Object(members.collect::<Map<_, _>>())
        }
        GoValue::Pair(pair) => json!({ "Key": &*pair.key, "Value": &*pair.value }),
        GoValue::Srv(srv) => json!({
            "Target": srv.target, "Port": srv.port, "Priority": srv.priority, "Weight": srv.weight
        }),
    }
}
