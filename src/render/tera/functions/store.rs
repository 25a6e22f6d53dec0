//! The store: keys, values, patterns and directories, as the resource sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tera::Value;
use tera::value::{Key, Map};

use super::call::{TeraCall, TeraFunction, function};
use crate::model::problem::Problem;
use crate::model::view::DirectoryChild;
use crate::render::budget::Nested;
use crate::render::library::store::{self, MissingKeyHints};
use crate::render::lists::{ListKind, ListValue};
use crate::render::tera::run::TeraRun;

pub(super) const FUNCTIONS: &[TeraFunction] = &[
    function("getv", &["key", "default?"], getv),
    function("get", &["key"], get),
    function("gets", &["pattern"], |call, run| list(ListKind::Pairs, call, run)),
    function("getvs", &["pattern"], |call, run| list(ListKind::Values, call, run)),
    function("exists", &["key"], exists),
    function("ls", &["dir"], |call, run| names(call, run, |_| true)),
    function("lsdir", &["dir"], |call, run| names(call, run, |child| child.is_directory)),
];

const HINTS: MissingKeyHints = MissingKeyHints {
    directory: "it is a directory: ls(dir=…) lists it, gets(pattern=…) reads it",
    optional: "getv(key=…, default=…) makes it optional",
};

fn getv(call: &TeraCall<'_>, run: &mut TeraRun) -> Result<Value, Problem> {
    let (key, session) = (call.text("key")?, &run.session);
    match (session.view.get(key), call.optional("default")) {
        (Some(value), _) => Ok(Value::from(&**store::text_of(key, value)?)),
        (None, Some(default)) => Ok(default.clone()),
        (None, None) if session.mock.is_some() => Ok(Value::from("")),
        (None, None) => Err(store::missing(session, key, &HINTS)),
    }
}

fn get(call: &TeraCall<'_>, run: &mut TeraRun) -> Result<Value, Problem> {
    let (key, session) = (call.text("key")?, &run.session);
    match session.view.get(key) {
        Some(value) => Ok(pair(key, store::text_of(key, value)?)),
        None if session.mock.is_some() => Ok(pair(key, "")),
        None => Err(store::missing(session, key, &HINTS)),
    }
}

fn list(kind: ListKind, call: &TeraCall<'_>, run: &mut TeraRun) -> Result<Value, Problem> {
    let refuse = |error: Problem| Problem { hint: error.hint, ..call.failure(error.message) };
    run.memory.lists.list(kind, call.text("pattern")?, &run.session, refuse)
}

fn exists(call: &TeraCall<'_>, run: &mut TeraRun) -> Result<Value, Problem> {
    Ok(Value::from(store::exists(&run.session.view, call.text("key")?)))
}

fn names(call: &TeraCall<'_>, run: &TeraRun, wanted: impl Fn(&DirectoryChild) -> bool) -> Result<Value, Problem> {
    let children = run.session.view.children(call.text("dir")?);
    Ok(Value::from(children.iter().filter(|(_, child)| wanted(child)).map(|(name, _)| *name).collect::<Vec<_>>()))
}

impl ListValue for Value {
    fn pair(key: &str, value: &Arc<str>) -> Value {
        pair(key, value)
    }

    fn text(text: &Arc<str>) -> Value {
        Value::from(&**text)
    }

    fn list(_: ListKind, items: Vec<Value>) -> Value {
        Value::from(items)
    }

    fn items(&self) -> Option<&[Value]> {
        self.as_array()
    }

    fn key(&self) -> &str {
        self.get_from_path("key").and_then(Value::as_str).unwrap_or_default()
    }

    fn as_text(&self) -> &str {
        self.as_str().unwrap_or_default()
    }
}

impl Nested for Value {
    fn text_bytes(&self) -> usize {
        let names = |map: &Map| map.keys().map(|name| name.as_str().map_or(0, str::len)).sum();
        self.as_str().map_or_else(|| self.as_map().map_or(0, names), str::len)
    }

    fn all(&self, check: &mut dyn FnMut(&Value) -> bool) -> bool {
        match (self.as_array(), self.as_map()) {
            (Some(items), _) => items.iter().all(check),
            (_, Some(map)) => map.values().all(check),
            _ => true,
        }
    }
}

/// Returns `{key, value}`.
fn pair(path: &str, text: &str) -> Value {
    Value::from(BTreeMap::from([(Key::from("key"), Value::from(path)), (Key::from("value"), Value::from(text))]))
}
