//! YAML 1.2 to nodes. Keys stay as written, also where they are numbers; an alias is the value it stands for. Keys that come twice, several documents, keys
//! that are no scalars, and aliases that grow without measure are refused. `<<` merges maps.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use super::{DEEPEST, MOST_NODES, Mistake, Node, scalar};
use crate::model::problem::Position;

pub(super) fn parse(text: &str) -> Result<Option<Node>, Mistake> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| mistake(error.marker(), error.info()))?;
        builder.take(event, &span.start)?;
    }
    Ok(builder.root)
}

fn mistake(marker: &Marker, text: impl Into<String>) -> Mistake {
    (Position { line: marker.line().max(1), column: marker.col() + 1 }, text.into())
}

/// A list or map that is still being read.
enum Frame {
    List {
        anchor: usize,
        nodes: Vec<Node>,
    },
    Map {
        anchor: usize,
        pairs: Vec<(String, Node)>,
        lines: HashMap<String, usize>,
        key: Option<Key>,
        merged: Vec<Node>,
    },
}

/// A key that waits for its value.
enum Key {
    Name(String),
    Merge,
}

/// How much a node is.
#[derive(Clone, Copy)]
struct Measure {
    nodes: usize,
    depth: usize,
}

#[derive(Default)]
struct Builder {
    /// What is open, outermost first, and where it began.
    frames: Vec<(Frame, Marker)>,
    anchors: HashMap<usize, (Node, Measure)>,
    nodes: usize,
    documents: usize,
    root: Option<Node>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: &Marker) -> Result<(), Mistake> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(mistake(at, "a second document in one file"));
                }
            }
            Event::Alias(anchor) => {
                let Some((node, measure)) = self.anchors.get(&anchor) else {
                    return Err(mistake(at, "an alias within what it stands for"));
                };
                let (node, measure) = (node.clone(), *measure);
                self.check_measure(measure, at)?;
                self.put(node, at)?;
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain;
                let node = match is_plain && tag.is_none() {
                    true => scalar::plain(&text).map_or(Node::Null, Node::Scalar),
                    false => Node::Scalar(text.clone().into_owned()),
                };
                self.remember(anchor, &node);
                self.check_measure(Measure { nodes: 1, depth: 0 }, at)?;
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

    fn open(&mut self, frame: Frame, at: &Marker) -> Result<(), Mistake> {
        self.check_measure(Measure { nodes: 1, depth: 1 }, at)?;
        self.frames.push((frame, *at));
        Ok(())
    }

    fn close(&mut self) -> Result<(), Mistake> {
        let Some((frame, began)) = self.frames.pop() else { return Ok(()) };
        let (anchor, node) = match frame {
            Frame::List { anchor, nodes } => (anchor, Node::List(nodes)),
            Frame::Map { anchor, mut pairs, mut lines, merged, .. } => {
                for (key, node) in merged.into_iter().flat_map(pairs_of) {
                    if !lines.contains_key(&key) {
                        lines.insert(key.clone(), 0);
                        pairs.push((key, node));
                    }
                }
                (anchor, Node::Map(pairs))
            }
        };
        self.remember(anchor, &node);
        self.put(node, &began)
    }

    /// Anchor 0 means none.
    fn remember(&mut self, anchor: usize, node: &Node) {
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), measure(node)));
        }
    }

    /// Whether there is room for so much more.
    fn check_measure(&mut self, more: Measure, at: &Marker) -> Result<(), Mistake> {
        self.nodes += more.nodes;
        if self.nodes > MOST_NODES {
            return Err(mistake(at, format!("stands for more than {MOST_NODES} values")));
        }
        if self.frames.len() + more.depth > DEEPEST {
            return Err(mistake(at, format!("nested more than {DEEPEST} deep")));
        }
        Ok(())
    }

    /// Puts a finished node where it belongs.
    fn put(&mut self, node: Node, at: &Marker) -> Result<(), Mistake> {
        match self.frames.last_mut().map(|(frame, _)| frame) {
            None => self.root = Some(node),
            Some(Frame::List { nodes, .. }) => nodes.push(node),
            Some(Frame::Map { pairs, lines, key, merged, .. }) => match key.take() {
                Some(Key::Name(name)) => pairs.push((name, node)),
                Some(Key::Merge) => merged.extend(
                    maps_to_merge(node)
                        .ok_or_else(|| mistake(at, "`<<` merges a map or a list of maps, and this is neither"))?,
                ),
                None => match node {
                    Node::Scalar(name) => *key = Some(new_key(name, false, lines, at)?),
                    Node::Null => *key = Some(new_key("null".to_owned(), false, lines, at)?),
                    Node::List(_) | Node::Map(_) => return Err(mistake(at, "a key that is a list or a map")),
                },
            },
        }
        Ok(())
    }
}

/// `is_plain`: written without quotes.
fn new_key(name: String, is_plain: bool, lines: &mut HashMap<String, usize>, at: &Marker) -> Result<Key, Mistake> {
    if is_plain && name == "<<" {
        return Ok(Key::Merge);
    }
    if let Some(line) = lines.insert(name.clone(), at.line()) {
        return Err(mistake(at, format!("key {name:?} comes twice, first in line {line}")));
    }
    Ok(Key::Name(name))
}

fn maps_to_merge(node: Node) -> Option<Vec<Node>> {
    match node {
        Node::Map(_) => Some(vec![node]),
        Node::List(nodes) if nodes.iter().all(|node| matches!(node, Node::Map(_))) => Some(nodes),
        _ => None,
    }
}

fn pairs_of(node: Node) -> Vec<(String, Node)> {
    match node {
        Node::Map(pairs) => pairs,
        Node::List(_) | Node::Scalar(_) | Node::Null => Vec::new(),
    }
}

fn measure(node: &Node) -> Measure {
    let below = |nodes: &mut dyn Iterator<Item = &Node>| {
        nodes.map(measure).fold(Measure { nodes: 1, depth: 0 }, |sum, one| Measure {
            nodes: sum.nodes + one.nodes,
            depth: sum.depth.max(one.depth),
        })
    };
    let inside = match node {
        Node::Scalar(_) | Node::Null => return Measure { nodes: 1, depth: 0 },
        Node::List(nodes) => below(&mut nodes.iter()),
        Node::Map(pairs) => below(&mut pairs.iter().map(|(_, node)| node)),
    };
    Measure { depth: inside.depth + 1, ..inside }
}
