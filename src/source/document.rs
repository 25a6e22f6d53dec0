//! Text of a file to keys and values: nested maps become `/a/b`, lists `/a/0`, numbers and truth values text; null is
//! no key at all, as in confd. JSON and TOML go by their extensions, everything else is YAML. Pure; never repeats a value in a problem.

mod json;
mod scalar;
mod toml;
mod yaml;

use std::collections::BTreeMap;
use std::path::Path;

use crate::model::path::add_parts;
use crate::model::problem::{Place, Position, Problem};

/// Deeper files are refused.
const DEEPEST: usize = 64;

/// A file that would give more entries than this is refused; a few nested aliases of YAML can stand for billions.
const MOST_NODES: usize = 1_000_000;

/// What is wrong with a text, before the file's name is known.
type Mistake = (Position, String);

/// A file as nested as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// The keys and values of one file. Its extension says the format.
pub(crate) fn parse(file: &Path, content: &[u8]) -> Result<BTreeMap<String, String>, Problem> {
    entries(file.extension().and_then(|extension| extension.to_str()).unwrap_or_default(), content)
        .map_err(|(position, message)| Problem::new(message).at(Place::at(file, position)))
}

fn entries(extension: &str, content: &[u8]) -> Result<BTreeMap<String, String>, Mistake> {
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
        Some(Node::Scalar(_)) => {
            return Err((
                Position { line: 1, column: 1 },
                "holds a lone value where keys with values belong".to_owned(),
            ));
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
                add_parts(&mut below, &name);
                flatten(node, &mut below, entries);
            }
        }
    }
}

#[cfg(test)]
mod tests;
