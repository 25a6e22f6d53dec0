//! Maps, and choosing between values.

use std::collections::BTreeMap;

use tera::Value;
use tera::value::{Key, Map};

use super::call::Call;
use super::{Form, Function};
use crate::render::error::Failure;
use crate::render::session::Session;

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "map", alias: None, arguments: &["…"], form: Form::Function, run: map },
    Function { name: "dict", alias: None, arguments: &["…"], form: Form::Function, run: map },
    Function {
        name: "has_key",
        alias: Some("hasKey"),
        arguments: &["map", "key"],
        form: Form::Both("map"),
        run: has_key,
    },
    Function { name: "keys", alias: None, arguments: &["map"], form: Form::Function, run: keys },
    Function { name: "values", alias: None, arguments: &["map"], form: Form::Function, run: values },
    Function { name: "pluck", alias: None, arguments: &["key", "maps"], form: Form::Both("maps"), run: pluck },
    Function {
        name: "group_by",
        alias: None,
        arguments: &["list", "attribute"],
        form: Form::Filter("list"),
        run: group_by,
    },
    Function { name: "default", alias: None, arguments: &["value?", "default"], form: Form::Function, run: default },
    Function {
        name: "ternary",
        alias: None,
        arguments: &["cond", "yes", "no"],
        form: Form::Both("cond"),
        run: ternary,
    },
    Function { name: "coalesce", alias: None, arguments: &["values"], form: Form::Both("values"), run: coalesce },
    Function { name: "empty", alias: None, arguments: &["value?"], form: Form::Both("value"), run: empty },
    Function { name: "throw", alias: None, arguments: &["message"], form: Form::Function, run: throw },
];

fn map(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    // Tera hands keyword arguments over in the order of their names.
    let mut map = Map::new();
    for (name, value) in call.kwargs.iter() {
        map.insert(name.clone(), value.clone());
    }
    Ok(Value::from(map))
}

fn has_key(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    Ok(Value::from(call.map("map")?.contains_key(&Key::Str(call.text("key")?))))
}

fn keys(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    Ok(Value::from(sorted(call.map("map")?).into_iter().map(|(key, _)| key.as_value()).collect::<Vec<_>>()))
}

fn values(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    Ok(Value::from(sorted(call.map("map")?).into_iter().map(|(_, value)| value.clone()).collect::<Vec<_>>()))
}

fn sorted(map: &Map) -> Vec<(&Key<'static>, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    entries
}

fn pluck(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    let key = call.text("key")?;
    let mut found = Vec::new();
    for item in call.list("maps")? {
        let map = item.as_map().ok_or_else(|| call.failure("argument `maps` must be a list of maps"))?;
        found.extend(map.get(&Key::Str(key)).cloned());
    }
    Ok(Value::from(found))
}

/// Tera's own gives its groups in random order.
fn group_by(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
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
    Ok(Value::from(groups))
}

fn default(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    let default = call.value("default")?;
    Ok(call.optional("value").filter(|value| value.is_truthy()).unwrap_or(default).clone())
}

fn ternary(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    let (yes, no) = (call.value("yes")?, call.value("no")?);
    Ok(if call.boolean("cond")? { yes.clone() } else { no.clone() })
}

fn coalesce(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    Ok(call.list("values")?.iter().find(|value| value.is_truthy()).cloned().unwrap_or_else(Value::none))
}

fn empty(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    Ok(Value::from(!call.optional("value").is_some_and(Value::is_truthy)))
}

fn throw(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    Err(Failure::new(call.text("message")?))
}
