//! The values of Go templates. Each knows which Go type confd has for it, because what they print and
//! which functions take them depends on it. Cloning one costs a counter.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Zoned;

use crate::model::dns::Srv;
use crate::render::budget::Nested;

/// A map with text for keys, in the order that Go prints it.
pub(in crate::render) type GoMap = BTreeMap<Arc<str>, GoValue>;

/// A value.
#[derive(Clone)]
pub(in crate::render) enum GoValue {
    /// No value at all: a missing member, dot outside of everything.
    Missing,
    /// A nil within a list or a map.
    Nil,
    Bool(bool),
    Int(i64),
    /// A byte of a string, a number of an SRV record.
    Unsigned(u64, &'static str),
    Float(f64),
    Text(Arc<str>),
    /// A text that may be printed in an nginx file as it is.
    Safe(Arc<str>),
    List(ItemType, Arc<Vec<GoValue>>),
    Map(Arc<GoMap>),
    Pair(Arc<Pair>),
    Srv(Arc<Srv>),
    Time(Arc<Zoned>),
    /// A month or a day of the week: a name, and a number.
    Named(&'static str, i64, &'static str),
}

/// A key and its value.
pub(in crate::render) struct Pair {
    pub(super) key: Arc<str>,
    pub(super) value: Arc<str>,
}

/// Go's type of a list's items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render) enum ItemType {
    /// Anything.
    Any,
    /// Texts.
    Texts,
    /// Whole numbers.
    Ints,
    /// Keys with their values.
    Pairs,
    /// SRV records.
    Srvs,
}

impl ItemType {
    /// Returns Go's name of such a list.
    fn type_name(self) -> &'static str {
        match self {
            ItemType::Any => "[]interface {}",
            ItemType::Texts => "[]string",
            ItemType::Ints => "[]int",
            ItemType::Pairs => "memkv.KVPairs",
            ItemType::Srvs => "[]*net.SRV",
        }
    }
}

impl GoValue {
    /// Returns a list of texts.
    pub(super) fn texts<T: Into<GoValue>>(items: impl IntoIterator<Item = T>) -> GoValue {
        GoValue::List(ItemType::Texts, Arc::new(items.into_iter().map(Into::into).collect()))
    }

    /// Returns Go's name of the type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            GoValue::Missing | GoValue::Nil => "nil",
            GoValue::Bool(_) => "bool",
            GoValue::Int(_) => "int",
            GoValue::Unsigned(_, name) | GoValue::Named(_, _, name) => name,
            GoValue::Float(_) => "float64",
            GoValue::Text(_) | GoValue::Safe(_) => "string",
            GoValue::List(items, _) => items.type_name(),
            GoValue::Map(_) => "map[string]interface {}",
            GoValue::Pair(_) => "memkv.KVPair",
            GoValue::Srv(_) => "*net.SRV",
            GoValue::Time(_) => "time.Time",
        }
    }

    pub(super) fn as_text(&self) -> Option<&Arc<str>> {
        match self {
            GoValue::Text(text) | GoValue::Safe(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn is_nil(&self) -> bool {
        matches!(self, GoValue::Missing | GoValue::Nil)
    }

    /// Returns any whole number.
    pub(super) fn as_integer(&self) -> Option<i128> {
        match self {
            GoValue::Int(number) | GoValue::Named(_, number, _) => Some(i128::from(*number)),
            GoValue::Unsigned(number, _) => Some(i128::from(*number)),
            _ => None,
        }
    }

    /// Checks whether `if` takes it for true.
    pub(super) fn is_true(&self) -> bool {
        match self {
            GoValue::Missing | GoValue::Nil => false,
            GoValue::Bool(value) => *value,
            GoValue::Int(number) | GoValue::Named(_, number, _) => *number != 0,
            GoValue::Unsigned(number, _) => *number != 0,
            GoValue::Float(number) => *number != 0.0,
            GoValue::Text(text) | GoValue::Safe(text) => !text.is_empty(),
            GoValue::List(_, items) => !items.is_empty(),
            GoValue::Map(map) => !map.is_empty(),
            GoValue::Pair(_) | GoValue::Srv(_) | GoValue::Time(_) => true,
        }
    }

    /// Checks whether `default` and its like take it for empty: as `is_true`, but a pair without key and value is empty too.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            GoValue::Pair(pair) => pair.key.is_empty() && pair.value.is_empty(),
            other => !other.is_true(),
        }
    }
}

impl Nested for GoValue {
    fn text_bytes(&self) -> usize {
        match self {
            GoValue::Pair(pair) => pair.key.len() + pair.value.len(),
            GoValue::Srv(srv) => srv.target.len(),
            GoValue::Map(map) => map.keys().map(|name| name.len()).sum(),
            other => other.as_text().map_or(0, |text| text.len()),
        }
    }

    fn all(&self, check: &mut dyn FnMut(&GoValue) -> bool) -> bool {
        match self {
            GoValue::List(_, items) => items.iter().all(check),
            GoValue::Map(map) => map.values().all(check),
            _ => true,
        }
    }
}

impl From<&str> for GoValue {
    fn from(text: &str) -> GoValue {
        GoValue::Text(Arc::from(text))
    }
}

impl From<String> for GoValue {
    fn from(text: String) -> GoValue {
        GoValue::Text(Arc::from(text))
    }
}
