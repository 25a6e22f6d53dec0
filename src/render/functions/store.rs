//! The store: keys, values, patterns and directories, as the resource sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tera::Value;
use tera::value::Key;

use crate::model::key;
use crate::model::view::DirectoryChild;

use super::super::error::Failure;
use super::super::memory::{Item, Kept};
use super::super::session::{Session, shown};
use super::super::window::Window;
use super::call::Call;
use super::{Form, Function};
use crate::model::suggest::nearest;

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "getv", alias: None, arguments: &["key", "default?"], form: Form::Function, run: getv },
    Function { name: "get", alias: None, arguments: &["key"], form: Form::Function, run: get },
    Function { name: "gets", alias: None, arguments: &["pattern"], form: Form::Function, run: gets },
    Function { name: "getvs", alias: None, arguments: &["pattern"], form: Form::Function, run: getvs },
    Function { name: "exists", alias: None, arguments: &["key"], form: Form::Function, run: exists },
    Function { name: "ls", alias: None, arguments: &["dir"], form: Form::Function, run: ls },
    Function { name: "lsdir", alias: None, arguments: &["dir"], form: Form::Function, run: lsdir },
];

fn getv(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    let key = call.text("key")?;
    match (session.view.get(key), call.optional("default")) {
        (Some(value), _) => Ok(Value::from(text_of(key, value)?)),
        (None, Some(default)) => Ok(default.clone()),
        (None, None) if session.mock.is_some() => Ok(Value::from("")),
        (None, None) => Err(missing(session, key)),
    }
}

fn get(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    let key = call.text("key")?;
    match session.view.get(key) {
        Some(value) => Ok(pair(key, text_of(key, value)?)),
        None if session.mock.is_some() => Ok(pair(key, "")),
        None => Err(missing(session, key)),
    }
}

fn gets(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    list(Kept::Pairs, call.text("pattern")?, session)
}

fn getvs(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    list(Kept::Values, call.text("pattern")?, session)
}

/// What matches a pattern, as the function gives it that makes such lists.
fn list(kind: Kept, pattern: &str, session: &mut Session) -> Result<Value, Failure> {
    session.view.note_matching(pattern);
    if let Some(kept) = session.memory.tera_lists.recall(kind, pattern) {
        return Ok(kept);
    }
    let list = new_list(kind, pattern, session)?;
    let shortest = session.memory.shortest_kept();
    session.memory.tera_lists.keep(kind, pattern, &list, shortest);
    Ok(list)
}

/// Hands the items of such a list to `take`, without making a value of them where they are kept.
pub(in crate::render) fn with_items<T>(
    kind: Kept,
    pattern: &str,
    session: &mut Session,
    take: impl FnOnce(&[Value]) -> T,
) -> Result<T, Failure> {
    session.view.note_matching(pattern);
    if let Some(items) = session.memory.tera_lists.recall_items(kind, pattern) {
        return Ok(take(items));
    }
    let list = new_list(kind, pattern, session)?;
    let shortest = session.memory.shortest_kept();
    session.memory.tera_lists.keep(kind, pattern, &list, shortest);
    Ok(take(list.as_array().unwrap_or_default()))
}

/// In byte order of the paths, or of the values.
fn new_list(kind: Kept, pattern: &str, session: &Session) -> Result<Value, Failure> {
    let found = matching(&session.view, pattern)
        .map_err(|failure| Failure { message: format!("`{}`: {}", kind.function(), failure.message), ..failure })?;
    let texts = found.into_iter().map(|(path, value)| Ok((path, text_of(path, value)?)));
    let mut texts: Vec<(&str, &str)> = texts.collect::<Result<_, Failure>>()?;
    Ok(match kind {
        Kept::Pairs => Value::from(texts.into_iter().map(|(path, text)| pair(path, text)).collect::<Vec<_>>()),
        Kept::Values => {
            texts.sort_unstable_by_key(|(_, text)| *text);
            Value::from(texts.into_iter().map(|(_, text)| text).collect::<Vec<_>>())
        }
    })
}

fn exists(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    Ok(Value::from(is_there(&session.view, call.text("key")?)))
}

/// Whether there is a key or a directory of this name.
pub(in crate::render) fn is_there(view: &Window, key: &str) -> bool {
    view.get(key).is_some() || view.has_directory(key)
}

fn ls(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    names(call, session, |_| true)
}

fn lsdir(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    names(call, session, |child| child.is_directory)
}

fn names(call: &Call<'_>, session: &Session, wanted: impl Fn(&DirectoryChild) -> bool) -> Result<Value, Failure> {
    let children = session.view.children(call.text("dir")?);
    Ok(Value::from(children.iter().filter(|(_, child)| wanted(child)).map(|(name, _)| *name).collect::<Vec<_>>()))
}

/// The paths and values that match, whatever the values are.
pub(in crate::render) fn matching<'v>(
    view: &'v Window,
    pattern: &str,
) -> Result<Vec<(&'v str, &'v key::Value)>, Failure> {
    view.matching(pattern).map_err(|error| {
        Failure::new(error.to_string())
            .hint("`*` and `?` stop at `/`, `[a-z]` is a class, `\\` takes the next character as it is")
    })
}

/// The value of `key` as text.
pub(in crate::render) fn text_of<'v>(key: &str, value: &'v key::Value) -> Result<&'v str, Failure> {
    value.as_text().ok_or_else(|| {
        let bytes = value.as_bytes().len();
        Failure::new(format!("the value of key `{}` is not UTF-8 text (length {bytes})", shown(key)))
    })
}

impl Item for Value {
    fn pair(key: &str, value: &Arc<str>) -> Value {
        pair(key, value)
    }

    fn text(text: &Arc<str>) -> Value {
        Value::from(&**text)
    }

    fn list(_: Kept, items: Vec<Value>) -> Value {
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

/// `{key, value}`.
pub(in crate::render) fn pair(path: &str, text: &str) -> Value {
    Value::from(BTreeMap::from([(Key::from("key"), Value::from(path)), (Key::from("value"), Value::from(text))]))
}

/// The error for a key that is not there, with what may have been meant.
pub(in crate::render) fn missing(session: &Session, key: &str) -> Failure {
    let view = &session.view;
    let from = session.origin(key);
    if !key.is_empty() && from != "the text" {
        return Failure::new(format!("the key that {from} names does not exist"));
    }
    if let Some(source) = session.part_of(key) {
        return Failure::new(format!("the key that is made with the value of key `{}` does not exist", shown(source)));
    }
    let failure = Failure::new(format!("key `{}` does not exist", shown(key)));
    if view.has_directory(key) {
        return failure.hint("it is a directory: ls(dir=…) lists it, gets(pattern=…) reads it");
    }
    let with_slash = format!("/{key}");
    if !key.starts_with('/') && view.get(&with_slash).is_some() {
        return failure.hint(format!("did you mean `{}`?", shown(&with_slash)));
    }
    if !view.covers(key) {
        return failure.hint("it is not covered by the `keys` of this resource");
    }
    let (directory, name) = key.rsplit_once('/').unwrap_or(("", key));
    let siblings = view.children(&format!("{directory}/"));
    let keys = siblings.iter().filter(|(_, child)| child.is_key).map(|(name, _)| *name);
    match nearest(name, keys) {
        Some(near) => failure.hint(format!("did you mean `{}`?", shown(&format!("{directory}/{near}")))),
        None => failure.hint("getv(key=…, default=…) makes it optional"),
    }
}
