//! Parses JSON to nodes. Never accepts a duplicate key in one object.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{DataNode, DocumentMistake, MAX_NODES};
use crate::model::problem::Position;

pub(super) fn parse(text: &str) -> Result<Option<DataNode>, DocumentMistake> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let nodes = Cell::new(0);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let node = NodeVisitor(&nodes).deserialize(&mut deserializer);
    node.and_then(|node| deserializer.end().map(|()| Some(node))).map_err(|error| {
        let shown = error.to_string();
        let text = shown.rsplit_once(" at line ").map_or(shown.as_str(), |(text, _)| text).to_owned();
        (Position::from(&error), text)
    })
}

/// Reads one node; counts all of them.
#[derive(Clone, Copy)]
struct NodeVisitor<'n>(&'n Cell<usize>);

impl<'de> DeserializeSeed<'de> for NodeVisitor<'_> {
    type Value = DataNode;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<DataNode, D::Error> {
        self.0.set(self.0.get() + 1);
        if self.0.get() > MAX_NODES {
            return Err(D::Error::custom(format!("the file has more than {MAX_NODES} values")));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeVisitor<'_> {
    type Value = DataNode;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<DataNode, E> {
        Ok(DataNode::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<DataNode, E> {
        Ok(DataNode::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<DataNode, E> {
        Ok(DataNode::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<DataNode, E> {
        Ok(DataNode::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<DataNode, E> {
        // As confd writes it: without an exponent, and without a fraction of zero.
        Ok(DataNode::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<DataNode, E> {
        Ok(DataNode::Scalar(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<DataNode, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = items.next_element_seed(self)? {
            nodes.push(node);
        }
        Ok(DataNode::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<DataNode, A::Error> {
        let mut nodes = Vec::new();
        let mut seen = HashSet::new();
        while let Some(key) = pairs.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!("duplicate key {key:?}")));
            }
            nodes.push((key, pairs.next_value_seed(self)?));
        }
        Ok(DataNode::Map(nodes))
    }
}
