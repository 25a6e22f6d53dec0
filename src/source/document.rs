//! Text of a file to keys and values: nested maps become `/a/b`, lists `/a/0`, numbers and truth values text; null is
//! no key at all, as in confd. JSON and TOML go by their extensions, everything else is YAML. Pure; never repeats a value in a problem.

mod json;
mod scalar;
mod toml;
mod yaml;

use std::collections::BTreeMap;
use std::fmt;

/// Deeper files are refused.
const DEEPEST: usize = 64;

/// A file that would give more entries than this is refused; a few nested aliases of YAML can stand for billions.
const MOST_NODES: usize = 1_000_000;

/// What is wrong with a file, and where. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.text)
    }
}

/// A file as nested as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// The keys and values of one file.
pub(crate) fn parse(extension: &str, content: &[u8]) -> Result<BTreeMap<String, String>, Problem> {
    let text = std::str::from_utf8(content).map_err(|error| {
        let (line, column) = position(content, error.valid_up_to());
        Problem { line, column, text: "not UTF-8 text".to_owned() }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root = match extension.to_ascii_lowercase().as_str() {
        "json" => json::parse(text)?,
        "toml" => toml::parse(text)?,
        _ => yaml::parse(text)?,
    };
    let mut entries = BTreeMap::new();
    match root {
        Some(Node::Scalar(_)) => {
            return Err(Problem {
                line: 1,
                column: 1,
                text: "holds a lone value where keys with values belong".to_owned(),
            });
        }
        Some(node) => flatten(node, &mut Vec::new(), &mut entries),
        None => {}
    }
    Ok(entries)
}

/// A name may be a path itself; as confd does, the key is the cleaned path: `a//b/./c` is `/a/b/c`.
fn flatten(node: Node, path: &mut Vec<String>, entries: &mut BTreeMap<String, String>) {
    match node {
        Node::Null => {}
        Node::Scalar(text) => drop(entries.insert(format!("/{}", path.join("/")), text)),
        Node::List(nodes) => {
            for (index, node) in nodes.into_iter().enumerate() {
                path.push(index.to_string());
                flatten(node, path, entries);
                path.pop();
            }
        }
        Node::Map(pairs) => {
            for (name, node) in pairs {
                let mut below = path.clone();
                for part in name.split('/') {
                    match part {
                        "" | "." => {}
                        ".." => drop(below.pop()),
                        part => below.push(part.to_owned()),
                    }
                }
                flatten(node, &mut below, entries);
            }
        }
    }
}

/// Line and column of the byte at `offset`, counted from 1; columns in characters.
fn position(content: &[u8], offset: usize) -> (usize, usize) {
    let before = &content[..offset.min(content.len())];
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    (line, String::from_utf8_lossy(&before[line_start..]).chars().count() + 1)
}

#[cfg(test)]
mod tests;
