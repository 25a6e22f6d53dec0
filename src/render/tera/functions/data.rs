//! Maps, and choosing between values.

use std::collections::BTreeMap;

use tera::Value;
use tera::value::{Key, Map};

use super::call::{TeraCall, TeraFunction, both, filter, function};
use crate::model::problem::Problem;
use crate::render::budget::bounded;
use crate::render::tera::run::TeraRun;

pub(super) const FUNCTIONS: &[TeraFunction] = &[
    function("map", &["…"], map),
    function("dict", &["…"], map),
    both("has_key", &["map", "key"], has_key).alias("hasKey"),
    function("keys", &["map"], keys),
    function("values", &["map"], values),
    both("pluck", &["key", "maps"], pluck).subject("maps"),
    filter("group_by", &["list", "attribute"], group_by),
    function("default", &["value?", "default"], default),
    both("ternary", &["cond", "yes", "no"], ternary),
    both("coalesce", &["values"], coalesce),
    both("empty", &["value?"], empty).subject("value"),
    function("throw", &["message"], throw),
];

fn map(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    // Tera hands keyword arguments over in the order of their names.
    let mut map = Map::new();
    for (name, value) in call.kwargs.iter() {
        map.insert(name.clone(), value.clone());
    }
    call.named(bounded(Value::from(map)))
}

fn has_key(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    Ok(Value::from(call.map("map")?.contains_key(&Key::Str(call.text("key")?))))
}

fn keys(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    Ok(Value::from(sorted(call.map("map")?).into_iter().map(|(key, _)| key.as_value()).collect::<Vec<_>>()))
}

fn values(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    Ok(Value::from(sorted(call.map("map")?).into_iter().map(|(_, value)| value.clone()).collect::<Vec<_>>()))
}

fn sorted(map: &Map) -> Vec<(&Key<'static>, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    entries
}

fn pluck(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    let key = call.text("key")?;
    let mut found = Vec::new();
    for item in call.list("maps")? {
        let map = item.as_map().ok_or_else(|| call.failure("argument `maps` must be a list of maps"))?;
        found.extend(map.get(&Key::Str(key)).cloned());
    }
    Ok(Value::from(found))
}

/// Groups in order; Tera's own gives its groups in random order.
fn group_by(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    let attribute = call.text("attribute")?;
    let mut groups: BTreeMap<Key<'static>, Vec<Value>> = BTreeMap::new();
    for item in call.list("list")? {
        let value = item.get_from_path(attribute).ok_or_else(|| call.failure("an item does not have the attribute"))?;
        let key = match (value.as_str(), value.as_bool(), value.as_i128()) {
            (Some(text), _, _) => Key::from(text.to_owned()),
            (_, Some(boolean), _) => Key::Bool(boolean),
            (_, _, Some(integer)) => Key::from(integer),
            _ if value.is_none() => continue,
            _ => return Err(call.failure("the attribute must be text, a whole number, or true or false")),
        };
        groups.entry(key).or_default().push(item.clone());
    }
    call.named(bounded(Value::from(groups)))
}

fn default(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    let default = call.value("default")?;
    Ok(call.optional("value").filter(|value| value.is_truthy()).unwrap_or(default).clone())
}

fn ternary(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    let (yes, no) = (call.value("yes")?, call.value("no")?);
    Ok(if call.boolean("cond")? { yes.clone() } else { no.clone() })
}

fn coalesce(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    Ok(call.list("values")?.iter().find(|value| value.is_truthy()).cloned().unwrap_or_else(Value::none))
}

fn empty(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    Ok(Value::from(!call.optional("value").is_some_and(Value::is_truthy)))
}

fn throw(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    Err(Problem::new(call.text("message")?))
}
