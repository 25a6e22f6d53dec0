//! JSON, in and out, as Go's encoding/json has it. Pure.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value as Json;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

use crate::render::budget::check_count;

/// Reads JSON of any kind.
///
/// # Errors
/// A phrase about the text: "is not JSON: …".
pub(in crate::render) fn parse(text: &str) -> Result<Json, String> {
    // They count less than four times the bytes.
    if check_count(text.len().saturating_mul(4), 0).is_err() {
        check_count(count(text), 0).map_err(|problem| problem.message)?;
    }
    serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Eof => "is not JSON: it ends too early".to_owned(),
        _ => format!("is not JSON: line {}, column {}", error.line(), error.column()),
    })
}

/// Values that an object counts as, if it has members: its map has room for some.
const OBJECT_VALUES: usize = 16;

/// Returns how many values a JSON text has, those within others included.
fn count(text: &str) -> usize {
    let (mut count, mut is_text, mut is_escaped, mut opened) = (1, false, false, 0);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' if is_text => is_text = false,
            _ if is_text || byte.is_ascii_whitespace() => {}
            b']' | b'}' => opened = 0,
            _ => {
                count += match opened {
                    b'{' => OBJECT_VALUES,
                    b'[' => 1,
                    _ => usize::from(byte == b','),
                };
                is_text = byte == b'"';
                opened = if matches!(byte, b'[' | b'{') { byte } else { 0 };
            }
        }
    }
    count
}

/// Returns an object, an empty one for null; `None` for JSON of any other kind.
pub(in crate::render) fn object(json: Json) -> Option<Json> {
    match json {
        Json::Object(_) => Some(json),
        Json::Null => Some(Json::Object(serde_json::Map::new())),
        _ => None,
    }
}

/// Returns an array, an empty one for null; `None` for JSON of any other kind.
pub(in crate::render) fn array(json: Json) -> Option<Json> {
    match json {
        Json::Array(_) => Some(json),
        Json::Null => Some(Json::Array(Vec::new())),
        _ => None,
    }
}

/// Writes JSON on one line, with sorted keys.
pub(in crate::render) fn write(json: Json) -> String {
    written(json, CompactFormatter)
}

/// Writes JSON on many lines, with sorted keys.
pub(in crate::render) fn write_pretty(json: Json) -> String {
    written(json, PrettyFormatter::new())
}

fn written(mut json: Json, layout: impl Formatter) -> String {
    json.sort_all_objects();
    let mut bytes = Vec::new();
    // Writing to memory cannot fail, and what is written is text.
    let _infallible = json.serialize(&mut Serializer::with_formatter(&mut bytes, AsGo(layout)));
    String::from_utf8(bytes).unwrap_or_default()
}

/// The parts of a layout go through to the inner formatter.
macro_rules! laid_out_by_inner {
    ($($part:ident($($first:ident)?)),* $(,)?) => {
        $(fn $part<W: ?Sized + Write>(&mut self, writer: &mut W $(, $first: bool)?) -> io::Result<()> {
            self.0.$part(writer $(, $first)?)
        })*
    };
}

/// Numbers and texts as Go's encoding/json writes them, in the layout of a different formatter.
struct AsGo<F>(F);

impl<F: Formatter> Formatter for AsGo<F> {
    /// Writes the fewest digits that mean it, with an exponent below 1e-6 and from 1e21 on.
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, number: f64) -> io::Result<()> {
        let size = number.abs();
        if size != 0.0 && !(1e-6..1e21).contains(&size) {
            let text = format!("{number:e}");
            let sign = if text.contains("e-") { "e" } else { "e+" };
            return writer.write_all(text.replace('e', sign).as_bytes());
        }
        write!(writer, "{number}")
    }

    /// Escapes `<`, `>`, `&` and two line separators, so that the text is also safe within HTML and JavaScript.
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut plain_from = 0;
        for (at, part) in fragment.match_indices(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            writer.write_all(&fragment.as_bytes()[plain_from..at])?;
            write!(writer, "\\u{:04x}", part.chars().next().map_or(0, u32::from))?;
            plain_from = at + part.len();
        }
        writer.write_all(&fragment.as_bytes()[plain_from..])
    }

    laid_out_by_inner!(
        begin_array(),
        end_array(),
        begin_array_value(first),
        end_array_value(),
        begin_object(),
        end_object(),
        begin_object_key(first),
        begin_object_value(),
        end_object_value(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_before_they_are_made() {
        for (text, expected) in [
            ("null", 1),
            ("\"[1,2]\"", 1),
            (" [ ] ", 1),
            ("[1, 22 ,3]", 4),
            ("[[], [ ] ,{}]", 4),
            ("[{\"\":0}]", 18),
            ("[[[1]]]", 4),
            ("{ }", 1),
            ("{\"a,\\\",b\\\\\": [\"[\", {\"c\": {}, \"d\": \",\"}]}", 36),
        ] {
            assert_eq!((parse(text).is_ok(), count(text)), (true, expected), "{text}");
        }
    }
}
