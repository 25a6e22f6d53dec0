//! Parses the text of a file to keys and values: nested maps become `/a/b`, lists `/a/0`, numbers and booleans text; null
//! yields no key, as in confd. JSON and TOML are recognized by their extensions, everything else is YAML. Pure; never
//! repeats a value in a problem.

mod json;
mod scalar;
mod toml;
mod yaml;

use std::collections::BTreeMap;
use std::path::Path;

use crate::model::key::Value;
use crate::model::path::add_parts;
use crate::model::problem::{Place, Position, Problem};

/// Maximum depth of nesting; deeper files are refused.
const MAX_DEPTH: usize = 64;

/// Maximum number of nodes; a file with more is refused, because a few nested aliases of YAML can expand to billions.
const MAX_NODES: usize = 1_000_000;

/// A mistake in a text, before the file's name is known.
type DocumentMistake = (Position, String);

/// A node of a file, nested as written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum DataNode {
    Null,
    Scalar(String),
    /// Bytes that are not UTF-8.
    Binary(Vec<u8>),
    List(Vec<DataNode>),
    Map(Vec<(String, DataNode)>),
}

/// Parses the keys and values of one file. Its extension decides the format.
///
/// # Errors
/// The text is not of that format, nests too deep, or has too many values.
pub fn parse(file: &Path, content: &[u8]) -> Result<BTreeMap<String, Value>, Problem> {
    entries(file.extension().and_then(|extension| extension.to_str()).unwrap_or_default(), content)
        .map_err(|(position, message)| Problem::new(message).at(Place::at(file, position)))
}

fn entries(extension: &str, content: &[u8]) -> Result<BTreeMap<String, Value>, DocumentMistake> {
    let text = str::from_utf8(content).map_err(|error| {
        let before = String::from_utf8_lossy(&content[..error.valid_up_to()]);
        (Position::of_offset(&before, before.len()), "not UTF-8 text".to_owned())
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root = match extension.to_ascii_lowercase().as_str() {
        "json" => json::parse(text)?,
        "toml" => toml::parse(text)?,
        _ => yaml::parse(text)?,
    };
    let mut entries = BTreeMap::new();
    match root {
        Some(DataNode::Scalar(_) | DataNode::Binary(_)) => {
            return Err((
                Position { line: 1, column: 1 },
                "the file holds a single value instead of keys with values".to_owned(),
            ));
        }
        Some(node) => flatten(node, &mut Vec::new(), &mut entries),
        None => {}
    }
    Ok(entries)
}

/// Adds the entries of a node. A name may itself be a path; as in confd, the key is the cleaned path: `a//b/./c` is
/// `/a/b/c`.
fn flatten(node: DataNode, path: &mut Vec<String>, entries: &mut BTreeMap<String, Value>) {
    match node {
        DataNode::Null => {}
        DataNode::Scalar(text) => drop(entries.insert(format!("/{}", path.join("/")), Value::from(&*text))),
        DataNode::Binary(bytes) => drop(entries.insert(format!("/{}", path.join("/")), Value::from_bytes(&bytes))),
        DataNode::List(nodes) => {
            for (index, node) in nodes.into_iter().enumerate() {
                path.push(index.to_string());
                flatten(node, path, entries);
                path.pop();
            }
        }
        DataNode::Map(pairs) => {
            for (name, node) in pairs {
                let mut below = path.clone();
                add_parts(&mut below, &name);
                flatten(node, &mut below, entries);
            }
        }
    }
}

#[cfg(test)]
mod tests;
