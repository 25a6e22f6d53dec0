//! Lists: making, joining, ordering.

use tera::Value;

use super::call::{TeraCall, TeraFunction, both, function, kind};
use crate::model::natural;
use crate::model::problem::Problem;
use crate::render::budget::{bounded, check_added};
use crate::render::library::{lists, numbers, text};
use crate::render::tera::run::TeraRun;

pub(super) const FUNCTIONS: &[TeraFunction] = &[
    both("split", &["text", "sep?", "pat?"], split),
    function("join", &["list", "sep"], join),
    function("reverse", &["list"], reverse),
    both("sort_by_length", &["list"], sort_by_length).alias("sortByLength"),
    both("sort_kv_by_length", &["list"], sort_kv_by_length).alias("sortKVByLength"),
    both("natural_sort", &["list"], natural_sort).alias("naturalSort"),
    function("list", &["items"], list),
    both("append", &["list", "value"], append),
    function("seq", &["first", "last"], |call, _| {
        call.named(numbers::seq(call.integer("first")?, call.integer("last")?)).map(Value::from)
    }),
];

fn split(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    let text = call.text("text")?;
    let separator = match (call.optional_text("sep")?, call.optional_text("pat")?) {
        (Some(_), Some(_)) => return Err(call.failure("takes `sep` or `pat`, not both")),
        (Some(separator), None) | (None, Some(separator)) => separator,
        (None, None) => return Err(call.failure("argument `sep` is missing")),
    };
    call.named(lists::split(text, separator)).map(Value::from)
}

fn join(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    call.named(text::join(&strings(call)?, call.text("sep")?)).map(Value::from)
}

fn reverse(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    let value = call.value("list")?;
    Ok(match value.as_array() {
        Some(items) => Value::from(items.iter().rev().cloned().collect::<Vec<_>>()),
        None => value.clone(),
    })
}

fn sort_by_length(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    let mut strings = strings(call)?;
    strings.sort_by_key(|text| text.len());
    Ok(Value::from(strings))
}

fn sort_kv_by_length(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    let mut pairs = Vec::new();
    for item in call.list("list")? {
        let key = item.get_from_path("key").and_then(Value::as_str);
        let length = key.ok_or_else(|| call.failure("argument `list` must be a list as `gets` gives it"))?.len();
        pairs.push((length, item.clone()));
    }
    pairs.sort_by_key(|(length, _)| *length);
    Ok(Value::from(pairs.into_iter().map(|(_, item)| item).collect::<Vec<_>>()))
}

fn natural_sort(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    let mut items = Vec::new();
    for item in call.list("list")? {
        let text = item.as_str().or_else(|| item.get_from_path("key").and_then(Value::as_str));
        let not_sortable = || call.failure("argument `list` must be a list of texts, or as `gets` gives it");
        items.push((text.ok_or_else(not_sortable)?, item));
    }
    items.sort_by(|(a, _), (b, _)| natural::compare(a, b));
    Ok(Value::from(items.into_iter().map(|(_, item)| item.clone()).collect::<Vec<_>>()))
}

fn list(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    call.named(bounded(Value::from(call.list("items")?)))
}

fn append(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    let mut items = call.list("list")?.to_vec();
    items.push(call.value("value")?.clone());
    call.named(check_added(&items))?;
    Ok(Value::from(items))
}

fn strings<'a>(call: &TeraCall<'a>) -> Result<Vec<&'a str>, Problem> {
    let not_text = |item| call.failure(format!("argument `list` must be a list of texts, but it holds {}", kind(item)));
    call.list("list")?.iter().map(|item| item.as_str().ok_or_else(|| not_text(item))).collect()
}
