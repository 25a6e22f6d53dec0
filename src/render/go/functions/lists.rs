//! Lists of texts, of pairs and of anything: three types, to Go.

use std::sync::Arc;

use super::builtins::list;
use super::function::{GoFunction, Parameter, TWO_TEXTS, items, native, text, variadic};
use crate::model::natural;
use crate::model::problem::Problem;
use crate::render::budget::{bounded, check_added};
use crate::render::go::run::GoRun;
use crate::render::go::value::{GoValue, ItemType};
use crate::render::library::{lists, text as library};

pub(super) const FUNCTIONS: &[GoFunction] = &[
    native("split", TWO_TEXTS, split),
    native("join", &[Parameter::Texts, Parameter::Text], join),
    native("reverse", &[Parameter::Any], reverse),
    native("sortByLength", &[Parameter::Texts], sort_by_length),
    native("sortKVByLength", &[Parameter::Pairs], sort_by_length),
    native("naturalSort", &[Parameter::Any], natural_sort),
    variadic("list", &[], Parameter::Any, |values, _| bounded(list(values.to_vec()))),
    native("append", &[Parameter::List, Parameter::Any], append),
];

fn split(values: &[GoValue], _: &mut GoRun) -> Result<GoValue, Problem> {
    lists::split(text(&values[0]), text(&values[1])).map(GoValue::texts)
}

fn join(values: &[GoValue], _: &mut GoRun) -> Result<GoValue, Problem> {
    library::join(&items(&values[0]).iter().map(text).collect::<Vec<_>>(), text(&values[1])).map(GoValue::from)
}

fn reverse(values: &[GoValue], _: &mut GoRun) -> Result<GoValue, Problem> {
    Ok(match &values[0] {
        GoValue::List(kind, items) => GoValue::List(*kind, Arc::new(items.iter().rev().cloned().collect())),
        other => other.clone(),
    })
}

/// Sorts in a stable way, and leaves the argument as it was.
fn sort_by_length(values: &[GoValue], _: &mut GoRun) -> Result<GoValue, Problem> {
    let mut sorted = items(&values[0]).to_vec();
    sorted.sort_by_key(|item| match item {
        GoValue::Pair(pair) => pair.key.len(),
        other => text(other).len(),
    });
    let kind = match &values[0] {
        GoValue::List(kind, _) => *kind,
        _ => ItemType::Texts,
    };
    Ok(GoValue::List(kind, Arc::new(sorted)))
}

/// Sorts texts, and pairs by their keys: `app2` before `app10`.
fn natural_sort(values: &[GoValue], _: &mut GoRun) -> Result<GoValue, Problem> {
    let name = |item: &GoValue| match item {
        GoValue::Pair(pair) => Some(Arc::clone(&pair.key)),
        other => other.as_text().cloned(),
    };
    let named = items(&values[0]).iter().map(|item| Some((name(item)?, item.clone())));
    let (GoValue::List(kind, _), Some(mut named)) = (&values[0], named.collect::<Option<Vec<_>>>()) else {
        return Err(Problem::new("takes a list of texts or of pairs"));
    };
    named.sort_by(|(a, _), (b, _)| natural::compare(a, b));
    Ok(GoValue::List(*kind, Arc::new(named.into_iter().map(|(_, item)| item).collect())))
}

fn append(values: &[GoValue], _: &mut GoRun) -> Result<GoValue, Problem> {
    let mut longer = items(&values[0]).to_vec();
    longer.push(values[1].clone());
    check_added(&longer)?;
    Ok(list(longer))
}
