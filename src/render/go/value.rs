//! What Go templates calculate with: values that know which Go type confd has for them, because what they print and
//! which functions take them depends on it. Cloning one costs a counter.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Zoned;

use crate::model::dns::Srv;

/// A map with text for keys, in the order that Go prints it.
pub(in crate::render) type Map = BTreeMap<Arc<str>, Value>;

/// A value.
#[derive(Clone)]
pub(in crate::render) enum Value {
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
    List(Items, Arc<[Value]>),
    Map(Arc<Map>),
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

/// What a list holds, to Go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render) enum Items {
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

impl Items {
    /// Go's name of such a list.
    fn type_name(self) -> &'static str {
        match self {
            Items::Any => "[]interface {}",
            Items::Texts => "[]string",
            Items::Ints => "[]int",
            Items::Pairs => "memkv.KVPairs",
            Items::Srvs => "[]*net.SRV",
        }
    }
}

impl Value {
    /// A list of texts.
    pub(super) fn texts<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> Value {
        Value::List(Items::Texts, items.into_iter().map(Into::into).collect())
    }

    /// Go's name of the type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Missing | Value::Nil => "nil",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Unsigned(_, name) | Value::Named(_, _, name) => name,
            Value::Float(_) => "float64",
            Value::Text(_) | Value::Safe(_) => "string",
            Value::List(items, _) => items.type_name(),
            Value::Map(_) => "map[string]interface {}",
            Value::Pair(_) => "memkv.KVPair",
            Value::Srv(_) => "*net.SRV",
            Value::Time(_) => "time.Time",
        }
    }

    pub(super) fn as_text(&self) -> Option<&Arc<str>> {
        match self {
            Value::Text(text) | Value::Safe(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn is_nil(&self) -> bool {
        matches!(self, Value::Missing | Value::Nil)
    }

    /// Any whole number.
    pub(super) fn as_integer(&self) -> Option<i128> {
        match self {
            Value::Int(number) | Value::Named(_, number, _) => Some(i128::from(*number)),
            Value::Unsigned(number, _) => Some(i128::from(*number)),
            _ => None,
        }
    }

    /// Whether `if` takes it for true.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Value::Missing | Value::Nil => false,
            Value::Bool(value) => *value,
            Value::Int(number) | Value::Named(_, number, _) => *number != 0,
            Value::Unsigned(number, _) => *number != 0,
            Value::Float(number) => *number != 0.0,
            Value::Text(text) | Value::Safe(text) => !text.is_empty(),
            Value::List(_, items) => !items.is_empty(),
            Value::Map(map) => !map.is_empty(),
            Value::Pair(_) | Value::Srv(_) | Value::Time(_) => true,
        }
    }

    /// Whether `default` and its like take it for empty: as `is_true`, but a pair without key and value is empty too.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Value::Pair(pair) => pair.key.is_empty() && pair.value.is_empty(),
            other => !other.is_true(),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(Arc::from(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(Arc::from(text))
    }
}
