//! The store, as confd's functions return it. Lookups are exact, and cost what they find.

use std::sync::Arc;

use super::function::{GoFunction, Parameter, TEXT, native, text, variadic};
use crate::model::problem::Problem;
use crate::render::go::run::GoRun;
use crate::render::go::value::{GoValue, ItemType, Pair};
use crate::render::library::store::{self, MissingKeyHints};
use crate::render::lists::{ListKind, ListValue};

pub(super) const FUNCTIONS: &[GoFunction] = &[
    native("get", TEXT, get),
    variadic("getv", TEXT, Parameter::Text, getv),
    native("gets", TEXT, |values, run| list(ListKind::Pairs, text(&values[0]), run)),
    native("getvs", TEXT, |values, run| list(ListKind::Values, text(&values[0]), run)),
    native("exists", TEXT, |values, run| Ok(GoValue::Bool(store::exists(&run.session.view, text(&values[0]))))),
    native("item", &[], item),
    native("ls", TEXT, |values, run| Ok(names(text(&values[0]), run, false))),
    native("lsdir", TEXT, |values, run| Ok(names(text(&values[0]), run, true))),
];

const HINTS: MissingKeyHints = MissingKeyHints {
    directory: "it is a directory: ls lists it, gets reads it",
    optional: "getv \"…\" \"default\" makes it optional",
};

fn pair(key: &str, value: Arc<str>) -> GoValue {
    GoValue::Pair(Arc::new(Pair { key: Arc::from(key), value }))
}

fn get(values: &[GoValue], run: &mut GoRun) -> Result<GoValue, Problem> {
    let key = text(&values[0]);
    match run.session.view.get(key) {
        Some(value) => Ok(pair(key, Arc::clone(store::text_of(key, value)?))),
        None if run.session.mock.is_some() => Ok(pair(key, Arc::from(""))),
        None => Err(store::missing(&run.session, key, &HINTS)),
    }
}

fn getv(values: &[GoValue], run: &mut GoRun) -> Result<GoValue, Problem> {
    let key = text(&values[0]);
    match (run.session.view.get(key), values.get(1)) {
        (Some(value), _) => Ok(GoValue::Text(Arc::clone(store::text_of(key, value)?))),
        (None, Some(default)) => Ok(default.clone()),
        (None, None) if run.session.mock.is_some() => Ok(GoValue::from("")),
        (None, None) => Err(store::missing(&run.session, key, &HINTS)),
    }
}

fn list(kind: ListKind, pattern: &str, run: &mut GoRun) -> Result<GoValue, Problem> {
    run.memory.lists.list(kind, pattern, &run.session, |error| error)
}

impl ListValue for GoValue {
    fn pair(key: &str, value: &Arc<str>) -> GoValue {
        pair(key, Arc::clone(value))
    }

    fn text(text: &Arc<str>) -> GoValue {
        GoValue::Text(Arc::clone(text))
    }

    fn list(kind: ListKind, items: Vec<GoValue>) -> GoValue {
        let of = match kind {
            ListKind::Pairs => ItemType::Pairs,
            ListKind::Values => ItemType::Texts,
        };
        GoValue::List(of, Arc::new(items))
    }

    fn items(&self) -> Option<&[GoValue]> {
        match self {
            GoValue::List(_, items) => Some(items),
            _ => None,
        }
    }

    fn key(&self) -> &str {
        match self {
            GoValue::Pair(pair) => &pair.key,
            _ => "",
        }
    }

    fn as_text(&self) -> &str {
        text(self)
    }
}

/// Returns the name in the store that the instance is for.
fn item(_: &[GoValue], run: &mut GoRun) -> Result<GoValue, Problem> {
    let item = run.session.view.item().map(|item| GoValue::Text(Arc::clone(item)));
    item.ok_or_else(|| Problem::new("only a resource with for_each has one"))
}

/// Returns the names below a directory. A key that is named itself is listed too, as confd does.
fn names(directory: &str, run: &GoRun, directories_only: bool) -> GoValue {
    let children = run.session.view.children(directory);
    let mut names: Vec<&str> =
        children.iter().filter(|(_, child)| child.is_directory || !directories_only).map(|(name, _)| *name).collect();
    let own = directory.rsplit('/').next().unwrap_or_default();
    if !directories_only && !own.is_empty() && run.session.view.get(directory).is_some() {
        names.push(own);
        names.sort_unstable();
        names.dedup();
    }
    GoValue::texts(names)
}
