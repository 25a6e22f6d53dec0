//! Lists: making, joining, ordering.

use tera::Value;

use crate::model::natural;

use super::call::{Call, kind};
use super::{Form, Function};
use crate::render::error::Failure;
use crate::render::session::Session;

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "split", alias: None, arguments: &["text", "sep?", "pat?"], form: Form::Both("text"), run: split },
    Function { name: "join", alias: None, arguments: &["list", "sep"], form: Form::Function, run: join },
    Function { name: "reverse", alias: None, arguments: &["list"], form: Form::Function, run: reverse },
    Function {
        name: "sort_by_length",
        alias: Some("sortByLength"),
        arguments: &["list"],
        form: Form::Both("list"),
        run: sort_by_length,
    },
    Function {
        name: "sort_kv_by_length",
        alias: Some("sortKVByLength"),
        arguments: &["list"],
        form: Form::Both("list"),
        run: sort_kv_by_length,
    },
    Function {
        name: "natural_sort",
        alias: Some("naturalSort"),
        arguments: &["list"],
        form: Form::Both("list"),
        run: natural_sort,
    },
    Function { name: "list", alias: None, arguments: &["items"], form: Form::Function, run: list },
    Function { name: "append", alias: None, arguments: &["list", "value"], form: Form::Both("list"), run: append },
    Function { name: "seq", alias: None, arguments: &["first", "last"], form: Form::Function, run: seq },
];

/// Longest list that `seq` makes: a count out of the store must not exhaust memory.
const MOST_ITEMS: i128 = 100_000;

fn split(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    let text = call.text("text")?;
    let pieces: Vec<Value> = match (call.optional_text("sep")?, call.optional_text("pat")?) {
        (Some(_), Some(_)) => return Err(call.failure("takes `sep` or `pat`, not both")),
        (Some(""), None) => text.chars().map(Value::from).collect(),
        (Some(separator), None) | (None, Some(separator)) => text.split(separator).map(Value::from).collect(),
        (None, None) => return Err(call.failure("argument `sep` is missing")),
    };
    Ok(Value::from(pieces))
}

fn join(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    Ok(Value::from(strings(call)?.join(call.text("sep")?)))
}

fn reverse(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    let value = call.value("list")?;
    Ok(match value.as_array() {
        Some(items) => Value::from(items.iter().rev().cloned().collect::<Vec<_>>()),
        None => value.clone(),
    })
}

fn sort_by_length(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    let mut strings = strings(call)?;
    strings.sort_by_key(|text| text.len());
    Ok(Value::from(strings))
}

fn sort_kv_by_length(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    let mut pairs = Vec::new();
    for item in call.list("list")? {
        let key = item.get_from_path("key").and_then(Value::as_str);
        let length = key.ok_or_else(|| call.failure("argument `list` must be a list as `gets` gives it"))?.len();
        pairs.push((length, item.clone()));
    }
    pairs.sort_by_key(|(length, _)| *length);
    Ok(Value::from(pairs.into_iter().map(|(_, item)| item).collect::<Vec<_>>()))
}

fn natural_sort(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    let mut items = Vec::new();
    for item in call.list("list")? {
        let text = item.as_str().or_else(|| item.get_from_path("key").and_then(Value::as_str));
        let not_sortable = || call.failure("argument `list` must be a list of texts, or as `gets` gives it");
        items.push((text.ok_or_else(not_sortable)?, item));
    }
    items.sort_by(|(a, _), (b, _)| natural::compare(a, b));
    Ok(Value::from(items.into_iter().map(|(_, item)| item.clone()).collect::<Vec<_>>()))
}

fn list(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    call.list("items").map(Value::from)
}

fn append(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    let mut items = call.list("list")?.to_vec();
    items.push(call.value("value")?.clone());
    Ok(Value::from(items))
}

fn seq(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    let (first, last) = (call.integer("first")?, call.integer("last")?);
    if first.abs_diff(last) >= MOST_ITEMS.unsigned_abs() {
        return Err(call.failure(format!("would give more than {MOST_ITEMS} numbers")));
    }
    let numbers: Vec<i128> = if first <= last { (first..=last).collect() } else { (last..=first).rev().collect() };
    Ok(Value::from(numbers))
}

fn strings<'a>(call: &Call<'a>) -> Result<Vec<&'a str>, Failure> {
    let not_text = |item| call.failure(format!("argument `list` must be a list of texts, but it holds {}", kind(item)));
    call.list("list")?.iter().map(|item| item.as_str().ok_or_else(|| not_text(item))).collect()
}
