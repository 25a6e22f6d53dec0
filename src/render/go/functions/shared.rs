//! The functions that both engines have: arguments go over by name, results come back as the type that confd has.

use std::collections::BTreeMap;
use std::sync::Arc;

use tera::value::{Key, Map as TeraMap};
use tera::{Kwargs, Value as TeraValue};

use super::super::time;
use super::super::value::{Items, Map, Value};
use super::builtins::list;
use super::{Function, Run, Type, made, native, text};
use crate::render::error::Failure;
use crate::render::library::quote;
use crate::render::session::Session;
use crate::render::tera::functions;
use crate::render::tera::functions::text::{lower, upper};

/// The type of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render::go) enum Returns {
    Text,
    Int,
    Bool,
    Texts,
    Ints,
    /// Whatever the JSON is; its numbers are floats.
    Json,
}

const fn shared(
    name: &'static str,
    parameters: &'static [Type],
    rest: Option<Type>,
    common: &'static str,
    arguments: &'static [&'static str],
    result: Returns,
) -> Function {
    Function { name, parameters, rest, run: Run::Shared { name: common, arguments, result } }
}

const fn of_text(name: &'static str, common: &'static str, result: Returns) -> Function {
    shared(name, &[Type::Text], None, common, &["text"], result)
}

const fn of_ints(name: &'static str) -> Function {
    shared(name, &[Type::Int, Type::Int], None, name, &["a", "b"], Returns::Int)
}

const fn of_host(name: &'static str, common: &'static str) -> Function {
    shared(name, &[Type::Text], None, common, &["host"], Returns::Texts)
}

const TWO: &[Type] = &[Type::Text, Type::Text];
const THREE: &[Type] = &[Type::Text, Type::Text, Type::Text];

pub(super) const FUNCTIONS: &[Function] = &[
    native("toUpper", &[Type::Text], |values, _| made(text(&values[0]).chars().map(upper).collect())),
    native("toLower", &[Type::Text], |values, _| made(text(&values[0]).chars().map(lower).collect())),
    shared(
        "replace",
        &[Type::Text, Type::Text, Type::Text, Type::Int],
        None,
        "replace",
        &["text", "old", "new", "n"],
        Returns::Text,
    ),
    shared("trimSuffix", TWO, None, "trim_suffix", &["text", "suffix"], Returns::Text),
    shared("trimPrefix", TWO, None, "trim_prefix", &["text", "prefix"], Returns::Text),
    shared("repeat", &[Type::Int, Type::Text], None, "repeat", &["n", "text"], Returns::Text),
    shared("indent", &[Type::Int, Type::Text], None, "indent", &["spaces", "text"], Returns::Text),
    shared("nindent", &[Type::Int, Type::Text], None, "nindent", &["spaces", "text"], Returns::Text),
    native("quote", &[Type::Text], |values, _| made(quote::double(text(&values[0]), false))),
    of_text("squote", "squote", Returns::Text),
    of_text("nospace", "nospace", Returns::Text),
    of_text("snakecase", "snakecase", Returns::Text),
    of_text("camelcase", "camelcase", Returns::Text),
    of_text("kebabcase", "kebabcase", Returns::Text),
    of_text("base64Encode", "base64_encode", Returns::Text),
    of_text("base64Decode", "base64_decode", Returns::Text),
    of_text("sha256sum", "sha256sum", Returns::Text),
    shared("regexMatch", TWO, None, "regex_match", &["pattern", "text"], Returns::Bool),
    shared("regexFind", TWO, None, "regex_find", &["pattern", "text"], Returns::Text),
    shared("regexReplaceAll", THREE, None, "regex_replace_all", &["pattern", "text", "replacement"], Returns::Text),
    of_text("atoi", "atoi", Returns::Int),
    of_text("parseBool", "parse_bool", Returns::Bool),
    of_ints("add"),
    of_ints("sub"),
    of_ints("mul"),
    of_ints("div"),
    of_ints("mod"),
    shared("seq", &[Type::Int, Type::Int], None, "seq", &["first", "last"], Returns::Ints),
    of_text("json", "json", Returns::Json),
    of_text("jsonArray", "json_array", Returns::Json),
    of_text("fromJson", "from_json", Returns::Json),
    shared("toJson", &[Type::Any], None, "to_json", &["value"], Returns::Text),
    shared("toPrettyJson", &[Type::Any], None, "to_pretty_json", &["value"], Returns::Text),
    shared("getenv", &[Type::Text], Some(Type::Text), "getenv", &["name", "default"], Returns::Text),
    shared("hostname", &[], None, "hostname", &[], Returns::Text),
    shared("generation", &[], None, "generation", &[], Returns::Text),
    shared("fileExists", &[Type::Text], None, "file_exists", &["path"], Returns::Bool),
    of_host("lookupIP", "lookup_ip"),
    of_host("lookupIPV4", "lookup_ipv4"),
    of_host("lookupIPV6", "lookup_ipv6"),
    shared("lookupIfaceIPV4", &[Type::Text], None, "lookup_iface_ipv4", &["name"], Returns::Text),
    shared("lookupIfaceIPV6", &[Type::Text], None, "lookup_iface_ipv6", &["name"], Returns::Text),
];

/// Calls the function `name` of both engines.
pub(in crate::render::go) fn call(
    name: &str,
    arguments: &[&'static str],
    result: Returns,
    values: &[Value],
    session: &mut Session,
) -> Result<Value, Failure> {
    let mut kwargs = TeraMap::new();
    for (argument, value) in arguments.iter().zip(values) {
        kwargs.insert(Key::Str(argument), to_tera(value));
    }
    let returned = functions::call(name, &Kwargs::new(Arc::new(kwargs)), session).map_err(|failure| {
        let prefix = format!("`{name}`: ");
        Failure::new(failure.message.strip_prefix(&prefix).unwrap_or(&failure.message))
    })?;
    from_tera(&returned, result).ok_or_else(|| Failure::new("the result is out of range"))
}

fn to_tera(value: &Value) -> TeraValue {
    let record = |members: Vec<(&'static str, TeraValue)>| {
        TeraValue::from(members.into_iter().map(|(name, value)| (Key::Str(name), value)).collect::<BTreeMap<_, _>>())
    };
    match value {
        Value::Missing | Value::Nil => TeraValue::none(),
        Value::Bool(value) => TeraValue::from(*value),
        Value::Int(number) | Value::Named(_, number, _) => TeraValue::from(*number),
        Value::Unsigned(number, _) => TeraValue::from(*number),
        Value::Float(number) => TeraValue::from(*number),
        Value::Text(text) | Value::Safe(text) => TeraValue::from(&**text),
        Value::Time(moment) => TeraValue::from(time::format(moment, "2006-01-02T15:04:05.999999999Z07:00")),
        // A search that finds nothing is Go's nil, which is null in JSON.
        Value::List(Items::Pairs, items) if items.is_empty() => TeraValue::none(),
        Value::List(_, items) => TeraValue::from(items.iter().map(to_tera).collect::<Vec<_>>()),
        Value::Map(map) => TeraValue::from(
            map.iter().map(|(key, value)| (Key::from(key.to_string()), to_tera(value))).collect::<BTreeMap<_, _>>(),
        ),
        Value::Pair(pair) => {
            record(vec![("Key", TeraValue::from(&*pair.key)), ("Value", TeraValue::from(&*pair.value))])
        }
        Value::Srv(srv) => record(vec![
            ("Target", TeraValue::from(srv.target.as_str())),
            ("Port", TeraValue::from(srv.port)),
            ("Priority", TeraValue::from(srv.priority)),
            ("Weight", TeraValue::from(srv.weight)),
        ]),
    }
}

/// `None` where a number does not fit.
fn from_tera(value: &TeraValue, wanted: Returns) -> Option<Value> {
    Some(match wanted {
        Returns::Text => Value::from(value.as_str()?),
        Returns::Bool => Value::Bool(value.as_bool()?),
        Returns::Int => Value::Int(i64::try_from(value.as_i128()?).ok()?),
        Returns::Texts => Value::texts(value.as_array()?.iter().filter_map(TeraValue::as_str)),
        Returns::Ints => {
            let numbers =
                value.as_array()?.iter().map(|number| Some(Value::Int(i64::try_from(number.as_i128()?).ok()?)));
            Value::List(Items::Ints, numbers.collect::<Option<_>>()?)
        }
        Returns::Json => of_json(value)?,
    })
}

pub(in crate::render::go) fn of_json(value: &TeraValue) -> Option<Value> {
    if let Some(text) = value.as_str() {
        return Some(Value::from(text));
    }
    if let Some(truth) = value.as_bool() {
        return Some(Value::Bool(truth));
    }
    if let Some(number) = value.as_number() {
        return Some(Value::Float(number.as_float()));
    }
    if let Some(items) = value.as_array() {
        return Some(list(items.iter().map(of_json).collect::<Option<_>>()?));
    }
    if let Some(members) = value.as_map() {
        let members = members.iter().map(|(key, value)| Some((Arc::from(key.as_str()?), of_json(value)?)));
        return Some(Value::Map(Arc::new(members.collect::<Option<Map>>()?)));
    }
    Some(Value::Nil)
}
