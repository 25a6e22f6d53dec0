//! Parses TOML to nodes. Never reads a file.

use toml::{Table, Value};

use super::{DataNode, DocumentMistake};
use crate::config::{given_twice, separators};
use crate::model::problem::Position;

pub(super) fn parse(text: &str) -> Result<Option<DataNode>, DocumentMistake> {
    if separators::are_too_many(text) {
        let most = separators::MAX_SEPARATORS;
        let message =
            format!("the file has more than {most} of `=`, `,`, `.`, `[` and `{{` outside of texts and comments");
        return Err((Position { line: 1, column: 1 }, message));
    }
    let table: Table = toml::from_str(text).map_err(|error| {
        let position = Position::of_offset(text, error.span().map_or(0, |span| span.start));
        let again = error.span().filter(|_| error.message() == "duplicate key");
        let message = again.and_then(|again| {
            let line = given_twice::first_line(text, &again)?;
            Some(format!("duplicate key {:?}, first given on line {line}", text.get(again)?))
        });
        (position, message.unwrap_or_else(|| error.message().replace('\n', ", ")))
    })?;
    Ok(Some(map(table)))
}

fn map(table: Table) -> DataNode {
    DataNode::Map(table.into_iter().map(|(key, value)| (key, node(value))).collect())
}

fn node(value: Value) -> DataNode {
    match value {
        Value::String(text) => DataNode::Scalar(text),
        Value::Integer(number) => DataNode::Scalar(number.to_string()),
        Value::Float(number) => DataNode::Scalar(number.to_string()),
        Value::Boolean(truth) => DataNode::Scalar(truth.to_string()),
        Value::Datetime(time) => DataNode::Scalar(time.to_string()),
        Value::Array(values) => DataNode::List(values.into_iter().map(node).collect()),
        Value::Table(table) => map(table),
    }
}
