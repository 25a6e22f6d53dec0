//! A document's text to keys and values: nested maps become `/a/b`, lists `/k/0`, numbers and truth values the text they are
//! written with, null the empty text. Pure; problems name the file and the place, never a value.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

/// Deeper nesting is refused: it is no configuration, and the walk recurses.
const DEEPEST: usize = 64;
/// More entries are refused: aliases multiply.
const MOST_ENTRIES: usize = 1_000_000;

/// A value of any of the three formats.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Keys and values of a document, by its file name's extension: `.json`, `.toml`, everything else YAML.
///
/// # Errors
/// `file:line:column: what is wrong`.
pub(super) fn entries(path: &Path, text: &str) -> Result<BTreeMap<String, String>, String> {
    let at = |line: usize, column: usize, message: &str| format!("{}:{line}:{column}: {message}", path.display());
    let node = match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => json(text).map_err(|(line, column, message)| at(line, column, &message))?,
        Some("toml") => toml_document(text).map_err(|(line, column, message)| at(line, column, &message))?,
        _ => yaml(text).map_err(|(line, column, message)| at(line, column, &message))?,
    };
    if !matches!(node, Node::Map(_)) {
        return Err(at(1, 1, "the document must be a map from keys to values"));
    }
    let mut entries = BTreeMap::new();
    flatten(String::new(), node, &mut entries).map_err(|message| at(1, 1, message))?;
    Ok(entries)
}

fn flatten(path: String, node: Node, entries: &mut BTreeMap<String, String>) -> Result<(), &'static str> {
    if entries.len() > MOST_ENTRIES {
        return Err("too many entries");
    }
    match node {
        Node::Text(text) => {
            entries.insert(path, text);
        }
        Node::List(items) => {
            for (index, item) in items.into_iter().enumerate() {
                flatten(format!("{path}/{index}"), item, entries)?;
            }
        }
        Node::Map(members) => {
            for (name, member) in members {
                flatten(format!("{path}/{}", name.trim_start_matches('/')), member, entries)?;
            }
        }
    }
    Ok(())
}

/// Line, column (both from 1) and what is wrong.
type Mistake = (usize, usize, String);

fn json(text: &str) -> Result<Node, Mistake> {
    fn node(value: serde_json::Value) -> Node {
        match value {
            serde_json::Value::Null => Node::Text(String::new()),
            serde_json::Value::Bool(truth) => Node::Text(truth.to_string()),
            serde_json::Value::Number(number) => Node::Text(number.to_string()),
            serde_json::Value::String(text) => Node::Text(text),
            serde_json::Value::Array(items) => Node::List(items.into_iter().map(node).collect()),
            serde_json::Value::Object(members) => {
                Node::Map(members.into_iter().map(|(name, member)| (name, node(member))).collect())
            }
        }
    }
    let value = serde_json::from_str(text).map_err(|error| {
        let kind = if error.is_eof() { "the document ends too early" } else { "this is not JSON" };
        (error.line(), error.column(), kind.to_owned())
    })?;
    Ok(node(value))
}

fn toml_document(text: &str) -> Result<Node, Mistake> {
    fn node(value: toml::Value) -> Node {
        match value {
            toml::Value::String(text) => Node::Text(text),
            toml::Value::Integer(number) => Node::Text(number.to_string()),
            toml::Value::Float(number) => Node::Text(number.to_string()),
            toml::Value::Boolean(truth) => Node::Text(truth.to_string()),
            toml::Value::Datetime(time) => Node::Text(time.to_string()),
            toml::Value::Array(items) => Node::List(items.into_iter().map(node).collect()),
            toml::Value::Table(members) => {
                Node::Map(members.into_iter().map(|(name, member)| (name, node(member))).collect())
            }
        }
    }
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start).min(text.len());
        let before = &text.as_bytes()[..offset];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        (line, offset - line_start + 1, "this is not TOML".to_owned())
    })?;
    Ok(node(toml::Value::Table(table)))
}

fn yaml(text: &str) -> Result<Node, Mistake> {
    let mut reader = Yaml { parser: Parser::new_from_str(text), anchors: HashMap::new(), copied: 0 };
    let mut root = Node::Map(Vec::new());
    let mut n_documents = 0;
    while let Some((event, place)) = reader.next()? {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Nothing => {}
            Event::DocumentStart(_) => {
                n_documents += 1;
                if n_documents > 1 {
                    return Err(mistake(&place, "one document in a file, please"));
                }
            }
            // A document of nothing but comments is an empty map.
            Event::Scalar(text, ScalarStyle::Plain, _, _) if text.is_empty() => {}
            other => root = reader.node(other, place, 0)?,
        }
    }
    Ok(root)
}

struct Yaml<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    /// How many nodes aliases have copied.
    copied: usize,
}

impl<'t> Yaml<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Marker)>, Mistake> {
        match self.parser.next() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some((event, span.start))),
            Some(Err(error)) => Err(mistake(error.marker(), "this is not YAML")),
        }
    }

    fn must_next(&mut self, place: &Marker) -> Result<(Event<'t>, Marker), Mistake> {
        self.next()?.ok_or_else(|| mistake(place, "the document ends too early"))
    }

    fn node(&mut self, event: Event<'t>, place: Marker, depth: usize) -> Result<Node, Mistake> {
        if depth > DEEPEST {
            return Err(mistake(&place, "nested too deeply"));
        }
        let (anchor, node) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_null = style == ScalarStyle::Plain && matches!(&*text, "~" | "null" | "Null" | "NULL");
                (anchor, Node::Text(if is_null { String::new() } else { text.into_owned() }))
            }
            Event::SequenceStart(anchor, _) => (anchor, self.list(place, depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.map(place, depth)?),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned().ok_or_else(|| mistake(&place, "unknown alias"))?;
                self.copied += size(&node);
                if self.copied > MOST_ENTRIES {
                    return Err(mistake(&place, "aliases make the document too large"));
                }
                return Ok(node);
            }
            _ => return Err(mistake(&place, "the document ends too early")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, start: Marker, depth: usize) -> Result<Node, Mistake> {
        let mut items = Vec::new();
        loop {
            match self.must_next(&start)? {
                (Event::SequenceEnd, _) => return Ok(Node::List(items)),
                (event, place) => items.push(self.node(event, place, depth + 1)?),
            }
        }
    }

    fn map(&mut self, start: Marker, depth: usize) -> Result<Node, Mistake> {
        let mut members: Vec<(String, Node)> = Vec::new();
        let mut names = std::collections::HashSet::new();
        loop {
            let (event, place) = self.must_next(&start)?;
            if event == Event::MappingEnd {
                return Ok(Node::Map(members));
            }
            let Node::Text(name) = self.node(event, place, depth + 1)? else {
                return Err(mistake(&place, "a key must be a plain text"));
            };
            if !names.insert(name.clone()) {
                return Err(mistake(&place, "this key occurs twice in its map"));
            }
            let (event, place) = self.must_next(&place)?;
            let member = self.node(event, place, depth + 1)?;
            members.push((name, member));
        }
    }
}

fn size(node: &Node) -> usize {
    match node {
        Node::Text(_) => 1,
        Node::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Node::Map(members) => 1 + members.iter().map(|(_, member)| size(member)).sum::<usize>(),
    }
}

fn mistake(place: &Marker, message: &str) -> Mistake {
    (place.line(), place.col() + 1, message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, text: &str, expected: &[(&str, &str)]) {
        let found = entries(Path::new(name), text).unwrap();
        let found: Vec<(&str, &str)> = found.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(found, expected, "{text}");
    }

    fn check_refused(name: &str, text: &str, expected: &str) {
        assert_eq!(entries(Path::new(name), text).unwrap_err(), expected, "{text}");
    }

    #[test]
    fn the_three_formats_say_the_same() {
        let expected =
            [("/empty", ""), ("/list/0", "x"), ("/list/1/y", "true"), ("/n", "8080"), ("/web/1", "10.0.0.1:80")];
        check("a.yaml", "web: {1: '10.0.0.1:80'}\nlist:\n- x\n- y: true\nn: 8080\nempty: ~\n", &expected);
        check(
            "a.json",
            r#"{"web": {"1": "10.0.0.1:80"}, "list": ["x", {"y": true}], "n": 8080, "empty": null}"#,
            &expected,
        );
        check("a.toml", "n = 8080\nempty = ''\nlist = ['x', {y = true}]\n[web]\n1 = '10.0.0.1:80'\n", &expected);
    }

    #[test]
    fn yaml_keeps_numbers_as_written_and_knows_anchors() {
        check("x", "version: 1.10\nport: 0080\n", &[("/port", "0080"), ("/version", "1.10")]);
        check("x", "a: &web {p: 1}\nb: *web\n", &[("/a/p", "1"), ("/b/p", "1")]);
        check("x", "/services/web/1: v\n", &[("/services/web/1", "v")]);
        check("x", "# nothing\n", &[]);
        check("x", "", &[]);
        check("x", "text: \"~\"\n", &[("/text", "~")]);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place_and_without_its_value() {
        check_refused("s.yaml", "a: 1\na: secret\n", "s.yaml:2:1: this key occurs twice in its map");
        check_refused("s.yaml", "- a\n", "s.yaml:1:1: the document must be a map from keys to values");
        check_refused("s.json", "{\"a\": secret}", "s.json:1:7: this is not JSON");
        check_refused("s.toml", "a = 1\nb = secret\n", "s.toml:2:5: this is not TOML");
        check_refused("s.yaml", "a: *nowhere\n", "s.yaml:1:4: this is not YAML");
        check_refused("s.yaml", "a: 1\n---\nb: 2\n", "s.yaml:2:1: one document in a file, please");
        let deep = format!("a: {}{}", "[".repeat(100), "]".repeat(100));
        assert!(entries(Path::new("s.yaml"), &deep).unwrap_err().ends_with("nested too deeply"));
    }

    #[test]
    fn aliases_cannot_multiply_without_end() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let previous = format!("*a{}, ", n - 1).repeat(10);
            text.push_str(&format!("a{n}: &a{n} [{}]\n", previous.trim_end_matches(", ")));
        }
        assert!(entries(Path::new("s.yaml"), &text).unwrap_err().contains("aliases"));
    }
}
