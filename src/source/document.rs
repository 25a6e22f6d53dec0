//! Parses the text of a file to keys and values: nested maps become `/a/b`, lists `/a/0`, numbers and booleans text; null
//! yields no key, as in confd. JSON and TOML are recognized by their extensions, everything else is YAML. Pure; never
//! repeats a value in a problem.

mod json;
mod scalar;
mod toml;
mod yaml;

use std::collections::BTreeMap;
use std::path::Path;

use crate::model::key::{MAX_KEY_BYTES, Value};
use crate::model::path::rooted;
use crate::model::problem::{Place, Position, Problem};
use crate::model::store::StoreLimits;
use crate::source::tally::StoreTally;

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

/// Parses the keys and values of one file, as if it were the whole store.
///
/// # Errors
/// The text is not of that format, nests too deep, or is past the default bounds.
pub fn parse_alone(file: &Path, content: &[u8]) -> Result<BTreeMap<String, Value>, Problem> {
    parse(file, content, &mut StoreTally::new(StoreLimits::default()))
}

/// Parses the keys and values of one file, and adds them to the tally. Its extension decides the format.
///
/// # Errors
/// The text is not of that format, nests too deep, or is past the bounds.
pub(crate) fn parse(file: &Path, content: &[u8], tally: &mut StoreTally) -> Result<BTreeMap<String, Value>, Problem> {
    entries(file.extension().and_then(|extension| extension.to_str()).unwrap_or_default(), content, tally)
        .map_err(|(position, message)| Problem::new(message).at(Place::at(file, position)))
}

fn entries(
    extension: &str,
    content: &[u8],
    tally: &mut StoreTally,
) -> Result<BTreeMap<String, Value>, DocumentMistake> {
    let text = str::from_utf8(content).map_err(|error| {
        let before = String::from_utf8_lossy(&content[..error.valid_up_to()]);
        (Position::of_offset(&before, before.len()), "not UTF-8 text".to_owned())
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root = match extension.to_ascii_lowercase().as_str() {
        "json" => json::parse(text)?,
        "toml" => toml::parse(text)?,
        _ => yaml::parse(text, tally.limits().bytes)?,
    };
    let mut entries = BTreeMap::new();
    let flattened = match root {
        Some(DataNode::Scalar(_) | DataNode::Binary(_)) => {
            Err("the file holds a single value instead of keys with values".to_owned())
        }
        Some(node) => flatten(node, "/", &mut entries, tally),
        None => Ok(()),
    };
    flattened.map_err(|problem| (Position { line: 1, column: 1 }, problem))?;
    Ok(entries)
}

/// Adds the entries of a node with this key. A name may itself be a path; as in confd, the key is the cleaned path: `a//b/./c`
/// is `/a/b/c`.
fn flatten(
    node: DataNode,
    key: &str,
    entries: &mut BTreeMap<String, Value>,
    tally: &mut StoreTally,
) -> Result<(), String> {
    let max_bytes = tally.limits().value_bytes;
    let value = match node {
        DataNode::Null => return Ok(()),
        DataNode::Scalar(text) => Value::bounded(text.as_bytes(), max_bytes),
        DataNode::Binary(bytes) => Value::bounded(&bytes, max_bytes),
        DataNode::List(nodes) => {
            let mut nodes = nodes.into_iter().enumerate();
            return nodes.try_for_each(|(index, node)| flatten(node, &below(key, &index.to_string())?, entries, tally));
        }
        DataNode::Map(pairs) => {
            let mut pairs = pairs.into_iter();
            return pairs.try_for_each(|(name, node)| flatten(node, &below(key, &name)?, entries, tally));
        }
    };
    tally.add(1, key.len() + value.as_bytes().len())?;
    entries.insert(key.to_owned(), value);
    Ok(())
}

/// Returns the key of a name below `key`.
fn below(key: &str, name: &str) -> Result<String, String> {
    let bytes = key.len() + name.len();
    if bytes > MAX_KEY_BYTES {
        return Err(format!("a key has {bytes} bytes with the names above it, and {MAX_KEY_BYTES} are allowed"));
    }
    Ok(rooted(&format!("{key}/{name}")))
}

#[cfg(test)]
mod tests;
