//! `output_format`: checks whether rendered bytes parse as the declared format. Only syntax, never meaning; error texts
//! give the place and the kind of mistake, and quote nothing of the output. What takes longer than a render may is refused.

mod xml;

use std::collections::HashSet;
use std::fmt;

use saphyr_parser::{Event, Marker, Parser};
use serde::de::IgnoredAny;

use super::deadline::Deadline;
use crate::config::separators;
use crate::model::problem::Position;
use crate::model::resource::OutputFormat;

/// Error of an output that does not parse as its `output_format`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// Expected format.
    pub format: OutputFormat,
    /// Position of the mistake, if known.
    pub place: Option<Position>,
    /// Mistake, as a phrase.
    pub message: String,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match self.format {
            OutputFormat::Json => "JSON",
            OutputFormat::Yaml => "YAML",
            OutputFormat::Toml => "TOML",
            OutputFormat::Xml => "XML",
            OutputFormat::Nginx => "nginx configuration",
        };
        write!(f, "the output is not {format}: ")?;
        if let Some(Position { line, column }) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for FormatError {}

/// Parses `bytes` and throws the result away. nginx configuration is not parsed: nginx itself checks it.
///
/// # Errors
/// The first mistake, or that the time was over before the end.
pub(super) fn check(bytes: &[u8], format: OutputFormat, deadline: &Deadline) -> Result<(), FormatError> {
    let error = |place, message: String| FormatError { format, place, message };
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(error(None, "it is not UTF-8".to_owned()));
    };
    let mistake = match format {
        OutputFormat::Json => json(text),
        OutputFormat::Yaml => yaml(text, deadline),
        OutputFormat::Toml => toml(text),
        OutputFormat::Xml => xml(text),
        OutputFormat::Nginx => None,
    };
    mistake.map_or(Ok(()), |(place, message)| Err(error(place, message)))
}

type FormatMistake = (Option<Position>, String);

fn json(text: &str) -> Option<FormatMistake> {
    let error = serde_json::from_str::<IgnoredAny>(text).err()?;
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    Some((Some(Position { line: error.line(), column: error.column().max(1) }), message.to_owned()))
}

/// Levels of nesting in YAML.
const MAX_DEPTH: usize = 128;

fn yaml(text: &str, deadline: &Deadline) -> Option<FormatMistake> {
    if separators::are_too_many_in_yaml(text) {
        return Some((None, "it has too many values to be checked".to_owned()));
    }
    let mut levels: Vec<Level> = Vec::new();
    for step in Parser::new_from_str(text) {
        let (event, span) = match step {
            Ok(step) => step,
            Err(error) => return Some((Some(place_of(error.marker())), "syntax error".to_owned())),
        };
        let place = Some(place_of(&span.start));
        if deadline.has_passed() {
            let timeout = deadline.timeout();
            return Some((
                place,
                format!("the check takes longer than {timeout:?} (hint: --render-timeout sets this limit)"),
            ));
        }
        let opens = match event {
            Event::Scalar(ref value, ..) => {
                if levels.last_mut().is_some_and(|level| !level.take_scalar(value)) {
                    return Some((place, "a key occurs twice in one mapping".to_owned()));
                }
                continue;
            }
            Event::Alias(_) => None,
            Event::MappingStart(..) => Some(Level::Map { names: HashSet::new(), at_name: true }),
            Event::SequenceStart(..) => Some(Level::List),
            Event::MappingEnd | Event::SequenceEnd => {
                levels.pop();
                continue;
            }
            _ => continue,
        };
        if let Some(level) = levels.last_mut() {
            level.take_other();
        }
        levels.extend(opens);
        if levels.len() > MAX_DEPTH {
            return Some((place, "too deeply nested".to_owned()));
        }
    }
    None
}

/// A collection of a YAML document that is still open.
enum Level {
    List,
    Map {
        names: HashSet<String>,
        /// Whether the next node is a name and not a value.
        at_name: bool,
    },
}

impl Level {
    /// Records a scalar. Returns false if it is a name that the mapping has already.
    fn take_scalar(&mut self, text: &str) -> bool {
        match self {
            Level::Map { names, at_name } => {
                let is_name = std::mem::replace(at_name, !*at_name);
                !is_name || names.insert(text.to_owned())
            }
            Level::List => true,
        }
    }

    /// Records an alias or a nested collection, as name or as value.
    fn take_other(&mut self) {
        if let Level::Map { at_name, .. } = self {
            *at_name = !*at_name;
        }
    }
}

fn place_of(marker: &Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

fn toml(text: &str) -> Option<FormatMistake> {
    if separators::are_too_many(text) {
        return Some((None, "it has too many values to be checked".to_owned()));
    }
    let error = toml::from_str::<toml::Table>(text).err()?;
    let place = error.span().map(|span| Position::of_offset(text, span.start));
    // The parser quotes punctuation that it expects; a longer quote would be from the output.
    let quotes_output = error.message().split('`').skip(1).step_by(2).any(|quote| quote.len() > 2);
    let message = if quotes_output || error.message().contains('\n') { "syntax error" } else { error.message() };
    Some((place, message.to_owned()))
}

/// Most elements, texts and comments of an XML document.
const MAX_XML_NODES: u32 = 2_000_000;

fn xml(text: &str) -> Option<FormatMistake> {
    use roxmltree::Error;
    if xml::is_too_costly(text) {
        let message = "an element has too many attributes, or entities are used too often, to be checked";
        return Some((None, message.to_owned()));
    }
    let options = roxmltree::ParsingOptions { allow_dtd: true, nodes_limit: MAX_XML_NODES, ..Default::default() };
    let error = roxmltree::Document::parse_with_options(text, options).err()?;
    let message = match error {
        Error::UnexpectedCloseTag(..) => "a closing tag does not match the opening one",
        Error::UnclosedRootNode => "an element is not closed",
        Error::NodesLimitReached => "there are too many elements to be checked",
        Error::NoRootNode => "there is no element",
        Error::DuplicatedAttribute(..) => "an attribute occurs twice",
        Error::UnknownNamespace(..) => "unknown namespace",
        Error::UnknownEntityReference(..) => "unknown entity",
        Error::MalformedEntityReference(_) => "malformed entity",
        Error::EntityReferenceLoop(_) => "an entity refers to itself",
        Error::InvalidAttributeValue(_) => "malformed attribute",
        Error::InvalidName(_) => "malformed name",
        Error::NonXmlChar(..) => "a character that XML does not allow",
        _ => "syntax error",
    };
    let place = error.pos();
    let line = usize::try_from(place.row).unwrap_or(usize::MAX);
    Some((Some(Position { line, column: usize::try_from(place.col).unwrap_or(usize::MAX) }), message.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::render::Facts;
    use crate::render::facts::NoWorld;

    fn verdict(text: &str, format: OutputFormat) -> String {
        let facts: Arc<dyn Facts> = Arc::new(NoWorld);
        verdict_within(text, format, &Deadline::new(&facts))
    }

    fn verdict_within(text: &str, format: OutputFormat, deadline: &Deadline) -> String {
        check(text.as_bytes(), format, deadline).map_or_else(|error| error.to_string(), |()| "fine".to_owned())
    }

    #[test]
    fn good_output_passes() {
        use OutputFormat::{Json, Nginx, Toml, Xml, Yaml};
        for (text, format) in [
            ("{\"a\": [1, 2.5e3, null]}\n", Json),
            ("\"text\"", Json),
            ("a: 1\nb: [x, 'y']\n", Yaml),
            ("---\na: &x 1\n---\nb: 2\n", Yaml),
            ("a: &x [1]\nb: *x\n", Yaml),
            ("# only a comment\n", Yaml),
            ("a = 1\n[b]\nc = [1, 2]\n", Toml),
            ("", Toml),
            ("<?xml version=\"1.0\"?>\n<!DOCTYPE a>\n<a b='c'>&amp;<d/></a>", Xml),
            ("anything }", Nginx),
        ] {
            assert_eq!(verdict(text, format), "fine", "{text:?}");
        }
    }

    #[test]
    fn bad_output_is_placed_and_never_quoted() {
        use OutputFormat::{Json, Toml, Xml, Yaml};
        for (text, format, expected) in [
            ("{\"hunter2\": }", Json, "JSON: line 1, column 13: expected value"),
            ("", Json, "JSON: line 1, column 1: EOF while parsing a value"),
            ("{} {}", Json, "JSON: line 1, column 4: trailing characters"),
            ("a: [1\nb: 2\n", Yaml, "YAML: line 2, column 2: syntax error"),
            ("hunter2: 1\nhunter2: 2\n", Yaml, "YAML: line 2, column 1: a key occurs twice in one mapping"),
            ("a: *hunter2\n", Yaml, "YAML: line 1, column 4: syntax error"),
            (
                "a = 1\na = hunter2\n",
                Toml,
                "TOML: line 2, column 5: string values must be quoted, expected literal string",
            ),
            ("hunter2 = 1\nhunter2 = 2\n", Toml, "TOML: line 2, column 1: duplicate key"),
            ("<a><hunter2></a>", Xml, "XML: line 1, column 13: a closing tag does not match the opening one"),
            ("<a>&hunter2;</a>", Xml, "XML: line 1, column 4: unknown entity"),
            ("hunter2", Xml, "XML: line 1, column 1: syntax error"),
        ] {
            assert_eq!(verdict(text, format), format!("the output is not {expected}"), "{text:?}");
        }
        let error = check(b"\xff", Json, &Deadline::passed()).unwrap_err();
        assert_eq!(error.to_string(), "the output is not JSON: it is not UTF-8");
    }

    #[test]
    fn what_would_take_too_long_or_too_much_memory_is_refused() {
        let attributes: String = (0..20_000).map(|index| format!(" b{index}='1'")).collect();
        let expected = "an element has too many attributes, or entities are used too often, to be checked";
        assert_eq!(
            verdict(&format!("<a{attributes}/>"), OutputFormat::Xml),
            format!("the output is not XML: {expected}")
        );
        let zeros = format!("a=[{}]", "0,".repeat(2_000_001));
        let expected = "the output is not TOML: it has too many values to be checked";
        assert_eq!(verdict(&zeros, OutputFormat::Toml), expected);
        let zeros = format!("[{}]", "0,".repeat(1_000_001));
        let expected = "the output is not YAML: it has too many values to be checked";
        assert_eq!(verdict(&zeros, OutputFormat::Yaml), expected);
    }

    #[test]
    fn a_check_whose_time_is_over_is_given_up() {
        let lists = format!("a:\n{}", "- [1, 2]\n".repeat(10));
        assert_eq!(verdict(&lists, OutputFormat::Yaml), "fine");
        let expected = "the output is not YAML: line 4, column 7: the check takes longer than 10s \
                        (hint: --render-timeout sets this limit)";
        assert_eq!(verdict_within(&lists, OutputFormat::Yaml, &Deadline::passed()), expected);
    }

    #[test]
    fn deep_nesting_is_refused_and_not_fallen_into() {
        for (open, format) in [("[", OutputFormat::Json), ("[", OutputFormat::Yaml), ("a=[", OutputFormat::Toml)] {
            assert_ne!(verdict(&open.repeat(100_000), format), "fine");
        }
        assert_ne!(verdict(&"<a>".repeat(100_000), OutputFormat::Xml), "fine");
    }
}
