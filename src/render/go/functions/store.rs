//! The store, as confd's functions give it. Lookups are exact, and cost what they find.

use std::sync::Arc;

use super::super::value::{Items, Pair, Value};
use super::{Function, Type, native, text, variadic};
use crate::model::key;
use crate::render::error::Failure;
use crate::render::lists::{Item, Kept};
use crate::render::session::Session;
use crate::render::tera::functions::store as common;

const KEY: &[Type] = &[Type::Text];

pub(super) const FUNCTIONS: &[Function] = &[
    native("get", KEY, get),
    variadic("getv", KEY, Type::Text, getv),
    native("gets", KEY, gets),
    native("getvs", KEY, getvs),
    native("exists", KEY, |values, session| Ok(Value::Bool(common::is_there(&session.view, text(&values[0]))))),
    native("item", &[], item),
    native("ls", KEY, |values, session| Ok(names(text(&values[0]), session, false))),
    native("lsdir", KEY, |values, session| Ok(names(text(&values[0]), session, true))),
];

fn pair(key: &str, value: Arc<str>) -> Value {
    Value::Pair(Arc::new(Pair { key: Arc::from(key), value }))
}

fn get(values: &[Value], session: &mut Session) -> Result<Value, Failure> {
    let key = text(&values[0]);
    match session.view.get(key) {
        Some(value) => Ok(pair(key, shared_text(key, value)?)),
        None if session.mock.is_some() => Ok(pair(key, Arc::from(""))),
        None => Err(missing(session, key)),
    }
}

fn getv(values: &[Value], session: &mut Session) -> Result<Value, Failure> {
    let key = text(&values[0]);
    match (session.view.get(key), values.get(1)) {
        (Some(value), _) => Ok(Value::Text(shared_text(key, value)?)),
        (None, Some(default)) => Ok(default.clone()),
        (None, None) if session.mock.is_some() => Ok(Value::from("")),
        (None, None) => Err(missing(session, key)),
    }
}

fn missing(session: &Session, key: &str) -> Failure {
    let mut failure = common::missing(session, key);
    // The other engine's way of writing arguments.
    failure.hint = failure.hint.map(|hint| match hint.as_str() {
        "it is a directory: ls(dir=…) lists it, gets(pattern=…) reads it" => {
            "it is a directory: ls lists it, gets reads it".to_owned()
        }
        "getv(key=…, default=…) makes it optional" => "getv \"…\" \"default\" makes it optional".to_owned(),
        _ => hint,
    });
    failure
}

fn gets(values: &[Value], session: &mut Session) -> Result<Value, Failure> {
    list(Kept::Pairs, text(&values[0]), session, |found| {
        found.into_iter().map(|(path, value)| Ok(pair(path, shared_text(path, value)?))).collect()
    })
}

fn getvs(values: &[Value], session: &mut Session) -> Result<Value, Failure> {
    list(Kept::Values, text(&values[0]), session, |found| {
        let texts = found.into_iter().map(|(path, value)| shared_text(path, value));
        let mut texts: Vec<Arc<str>> = texts.collect::<Result<_, Failure>>()?;
        texts.sort_unstable();
        Ok(texts.into_iter().map(Value::Text).collect())
    })
}

/// What matches, as `make` has it: the list of the render before, where that is known to be the same.
fn list(
    kind: Kept,
    pattern: &str,
    session: &mut Session,
    make: impl FnOnce(Vec<(&str, &key::Value)>) -> Result<Vec<Value>, Failure>,
) -> Result<Value, Failure> {
    session.view.note_matching(pattern);
    if let Some(kept) = session.memory.go_lists.recall(kind, pattern) {
        return Ok(kept);
    }
    let list = Value::list(kind, make(common::matching(&session.view, pattern)?)?);
    let shortest = session.memory.shortest_kept();
    session.memory.go_lists.keep(kind, pattern, &list, shortest);
    Ok(list)
}

impl Item for Value {
    fn pair(key: &str, value: &Arc<str>) -> Value {
        pair(key, Arc::clone(value))
    }

    fn text(text: &Arc<str>) -> Value {
        Value::Text(Arc::clone(text))
    }

    fn list(kind: Kept, items: Vec<Value>) -> Value {
        let of = match kind {
            Kept::Pairs => Items::Pairs,
            Kept::Values => Items::Texts,
        };
        Value::List(of, items.into())
    }

    fn items(&self) -> Option<&[Value]> {
        match self {
            Value::List(_, items) => Some(items),
            _ => None,
        }
    }

    fn key(&self) -> &str {
        match self {
            Value::Pair(pair) => &pair.key,
            _ => "",
        }
    }

    fn as_text(&self) -> &str {
        text(self)
    }
}

/// The name that the file is for.
fn item(_: &[Value], session: &mut Session) -> Result<Value, Failure> {
    let item = session.view.item().map(|item| Value::Text(Arc::clone(item)));
    item.ok_or_else(|| Failure::new("only a resource with for_each has one"))
}

/// The value's own text, not a copy.
fn shared_text(path: &str, value: &key::Value) -> Result<Arc<str>, Failure> {
    match value {
        key::Value::Text(text) => Ok(Arc::clone(text)),
        key::Value::Binary(_) => common::text_of(path, value).map(Arc::from),
    }
}

/// The names below a directory. A key that is named itself is listed too, as confd does.
fn names(directory: &str, session: &Session, directories_only: bool) -> Value {
    let children = session.view.children(directory);
    let mut names: Vec<&str> =
        children.iter().filter(|(_, child)| child.is_directory || !directories_only).map(|(name, _)| *name).collect();
    let own = directory.rsplit('/').next().unwrap_or_default();
    if !directories_only && !own.is_empty() && session.view.get(directory).is_some() {
        names.push(own);
        names.sort_unstable();
        names.dedup();
    }
    Value::texts(names)
}
