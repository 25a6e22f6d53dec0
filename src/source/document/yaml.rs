//! Parses YAML 1.2 to nodes. Keys stay as written, even if they are numbers; an alias becomes its value; `<<` merges maps.
//! Never accepts duplicate keys, several documents, keys that are not scalars, or aliases that expand without bound.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use super::{DataNode, DocumentMistake, MAX_NODES, scalar};
use crate::config::separators;
use crate::model::problem::Position;

/// Maximum depth of nesting; a deeper file is refused.
const MAX_DEPTH: usize = 64;

/// Parses a text whose aliases may expand to `max_bytes`.
pub(super) fn parse(text: &str, max_bytes: usize) -> Result<Option<DataNode>, DocumentMistake> {
    if separators::are_too_many_in_yaml(text) {
        return Err((
            Position { line: 1, column: 1 },
            "the file has more than 1,000,000 of `,`, `:`, `[`, `{` and texts in quotes".to_owned(),
        ));
    }
    let mut builder = Builder { max_bytes, ..Builder::default() };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| mistake(error.marker(), error.info()))?;
        builder.take(event, &span.start)?;
    }
    Ok(builder.root)
}

fn mistake(marker: &Marker, text: impl Into<String>) -> DocumentMistake {
    (Position { line: marker.line().max(1), column: marker.col() + 1 }, text.into())
}

/// A list or map that is still being read.
enum Frame {
    List {
        anchor: usize,
        nodes: Vec<DataNode>,
    },
    Map {
        anchor: usize,
        pairs: Vec<(String, DataNode)>,
        lines: HashMap<String, usize>,
        key: Option<PendingKey>,
        merged: Vec<DataNode>,
    },
}

/// A key that waits for its value.
enum PendingKey {
    Name(String),
    Merge,
}

/// The size of a node.
#[derive(Clone, Copy)]
struct Measure {
    nodes: usize,
    /// Bytes of names and values.
    bytes: usize,
    depth: usize,
}

#[derive(Default)]
struct Builder {
    /// Open lists and maps with their start, outermost first.
    frames: Vec<(Frame, Marker)>,
    anchors: HashMap<usize, (DataNode, Measure)>,
    nodes: usize,
    /// Bytes of all nodes, and most of them. A node with an anchor is kept twice and counts twice.
    bytes: usize,
    max_bytes: usize,
    documents: usize,
    root: Option<DataNode>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: &Marker) -> Result<(), DocumentMistake> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(mistake(at, "the file holds more than one document"));
                }
            }
            Event::Alias(anchor) => {
                let Some((node, measure)) = self.anchors.get(&anchor) else {
                    return Err(mistake(at, "an alias stands within its own anchor"));
                };
                let (node, measure) = (node.clone(), *measure);
                self.check_measure(measure, at)?;
                self.put(node, at)?;
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain;
                let node = match tag {
                    None if is_plain => scalar::plain(&text).map_or(DataNode::Null, DataNode::Scalar),
                    Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "binary" => {
                        binary(&text).ok_or_else(|| mistake(at, "`!!binary` is not base64"))?
                    }
                    _ => DataNode::Scalar(text.clone().into_owned()),
                };
                self.remember(anchor, &node, at)?;
                self.check_measure(Measure { nodes: 1, bytes: text.len(), depth: 0 }, at)?;
                match self.frames.last_mut() {
                    Some((Frame::Map { lines, key: key @ None, .. }, _)) => {
                        *key = Some(new_key(text.into_owned(), is_plain, lines, at)?);
                    }
                    _ => self.put(node, at)?,
                }
            }
            Event::SequenceStart(anchor, _) => self.open(Frame::List { anchor, nodes: Vec::new() }, at)?,
            Event::MappingStart(anchor, _) => {
                let (pairs, lines, merged) = (Vec::new(), HashMap::new(), Vec::new());
                self.open(Frame::Map { anchor, pairs, lines, key: None, merged }, at)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn open(&mut self, frame: Frame, at: &Marker) -> Result<(), DocumentMistake> {
        self.check_measure(Measure { nodes: 1, bytes: 0, depth: 1 }, at)?;
        self.frames.push((frame, *at));
        Ok(())
    }

    fn close(&mut self) -> Result<(), DocumentMistake> {
        let Some((frame, began)) = self.frames.pop() else { return Ok(()) };
        let (anchor, node) = match frame {
            Frame::List { anchor, nodes } => (anchor, DataNode::List(nodes)),
            Frame::Map { anchor, mut pairs, mut lines, merged, .. } => {
                for (key, node) in merged.into_iter().flat_map(pairs_of) {
                    if !lines.contains_key(&key) {
                        lines.insert(key.clone(), 0);
                        pairs.push((key, node));
                    }
                }
                (anchor, DataNode::Map(pairs))
            }
        };
        self.remember(anchor, &node, &began)?;
        self.put(node, &began)
    }

    /// Records the node of an anchor; 0 means that it has no anchor.
    fn remember(&mut self, anchor: usize, node: &DataNode, at: &Marker) -> Result<(), DocumentMistake> {
        if anchor > 0 {
            let measure = measure(node);
            // Nested anchors keep what is in them once more each.
            self.check_measure(Measure { depth: 0, ..measure }, at)?;
            self.anchors.insert(anchor, (node.clone(), measure));
        }
        Ok(())
    }

    /// Checks that the limits allow a node of this size.
    fn check_measure(&mut self, more: Measure, at: &Marker) -> Result<(), DocumentMistake> {
        self.nodes += more.nodes;
        if self.nodes > MAX_NODES {
            return Err(mistake(at, format!("the aliases expand to more than {MAX_NODES} values")));
        }
        self.bytes = self.bytes.saturating_add(more.bytes);
        if self.bytes > self.max_bytes {
            let max_mib = self.max_bytes >> 20;
            let problem = format!("the aliases expand to more than the {max_mib} MiB that --max-store-mib allows");
            return Err(mistake(at, problem));
        }
        if self.frames.len() + more.depth > MAX_DEPTH {
            return Err(mistake(at, format!("the values are nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(())
    }

    /// Adds a finished node to the innermost open list or map.
    fn put(&mut self, node: DataNode, at: &Marker) -> Result<(), DocumentMistake> {
        match self.frames.last_mut().map(|(frame, _)| frame) {
            None => self.root = Some(node),
            Some(Frame::List { nodes, .. }) => nodes.push(node),
            Some(Frame::Map { pairs, lines, key, merged, .. }) => match key.take() {
                Some(PendingKey::Name(name)) => pairs.push((name, node)),
                Some(PendingKey::Merge) => merged.extend(
                    maps_to_merge(node)
                        .ok_or_else(|| mistake(at, "`<<` merges a map or a list of maps, but this is neither"))?,
                ),
                None => match node {
                    DataNode::Scalar(name) => *key = Some(new_key(name, false, lines, at)?),
                    DataNode::Null => *key = Some(new_key("null".to_owned(), false, lines, at)?),
                    DataNode::Binary(_) => return Err(mistake(at, "a key must be UTF-8 text")),
                    DataNode::List(_) | DataNode::Map(_) => {
                        return Err(mistake(at, "a key must not be a list or a map"));
                    }
                },
            },
        }
        Ok(())
    }
}

/// Decodes a value with the tag `!!binary`, as Go's yaml does: line breaks within it mean nothing.
fn binary(text: &str) -> Option<DataNode> {
    let bytes = STANDARD.decode(text.replace(['\r', '\n'], "")).ok()?;
    Some(String::from_utf8(bytes).map_or_else(|error| DataNode::Binary(error.into_bytes()), DataNode::Scalar))
}

/// Checks a new key. `is_plain`: written without quotes.
fn new_key(
    name: String,
    is_plain: bool,
    lines: &mut HashMap<String, usize>,
    at: &Marker,
) -> Result<PendingKey, DocumentMistake> {
    if is_plain && name == "<<" {
        return Ok(PendingKey::Merge);
    }
    if let Some(line) = lines.insert(name.clone(), at.line()) {
        return Err(mistake(at, format!("duplicate key {name:?}, first given on line {line}")));
    }
    Ok(PendingKey::Name(name))
}

fn maps_to_merge(node: DataNode) -> Option<Vec<DataNode>> {
    match node {
        DataNode::Map(_) => Some(vec![node]),
        DataNode::List(nodes) if nodes.iter().all(|node| matches!(node, DataNode::Map(_))) => Some(nodes),
        _ => None,
    }
}

fn pairs_of(node: DataNode) -> Vec<(String, DataNode)> {
    match node {
        DataNode::Map(pairs) => pairs,
        DataNode::List(_) | DataNode::Scalar(_) | DataNode::Binary(_) | DataNode::Null => Vec::new(),
    }
}

fn measure(node: &DataNode) -> Measure {
    let leaf = |bytes| Measure { nodes: 1, bytes, depth: 0 };
    let sum = |sum: Measure, one: Measure| Measure {
        nodes: sum.nodes + one.nodes,
        bytes: sum.bytes + one.bytes,
        depth: sum.depth.max(one.depth),
    };
    let inside = match node {
        DataNode::Null => return leaf(0),
        DataNode::Scalar(text) => return leaf(text.len()),
        DataNode::Binary(bytes) => return leaf(bytes.len()),
        DataNode::List(nodes) => nodes.iter().map(measure).fold(leaf(0), sum),
        DataNode::Map(pairs) => {
            let pair = |(name, node): &(String, DataNode)| sum(leaf(name.len()), measure(node));
            pairs.iter().map(pair).fold(leaf(0), sum)
        }
    };
    Measure { depth: inside.depth + 1, ..inside }
}
