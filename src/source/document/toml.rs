//! TOML to nodes.

use toml::{Table, Value};

use super::{Mistake, Node};
use crate::model::problem::Position;

pub(super) fn parse(text: &str) -> Result<Option<Node>, Mistake> {
    let table: Table = toml::from_str(text).map_err(|error| {
        let position = Position::of_offset(text, error.span().map_or(0, |span| span.start));
        (position, error.message().replace('\n', ", "))
    })?;
    Ok(Some(map(table)))
}

fn map(table: Table) -> Node {
    Node::Map(table.into_iter().map(|(key, value)| (key, node(value))).collect())
}

fn node(value: Value) -> Node {
    match value {
        Value::String(text) => Node::Scalar(text),
        Value::Integer(number) => Node::Scalar(number.to_string()),
        Value::Float(number) => Node::Scalar(number.to_string()),
        Value::Boolean(truth) => Node::Scalar(truth.to_string()),
        Value::Datetime(time) => Node::Scalar(time.to_string()),
        Value::Array(values) => Node::List(values.into_iter().map(node).collect()),
        Value::Table(table) => map(table),
    }
}
