//! JSON, in and out. Maps are read with sorted keys, whole numbers stay whole.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value as Json;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};
use tera::Value;

use super::call::Call;
use super::{Form, Function};
use crate::render::error::Failure;
use crate::render::session::Session;

const TEXT: Form = Form::Both("text");

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "json", alias: None, arguments: &["text"], form: TEXT, run: json },
    Function { name: "json_array", alias: Some("jsonArray"), arguments: &["text"], form: TEXT, run: json_array },
    Function { name: "from_json", alias: Some("fromJson"), arguments: &["text"], form: TEXT, run: from_json },
    Function { name: "to_json", alias: Some("toJson"), arguments: &["value"], form: Form::Both("value"), run: to_json },
    Function {
        name: "to_pretty_json",
        alias: Some("toPrettyJson"),
        arguments: &["value"],
        form: Form::Both("value"),
        run: to_pretty_json,
    },
];

fn json(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    match parse(call, session)? {
        object @ Json::Object(_) => Ok(to_tera(object)),
        Json::Null => Ok(to_tera(Json::Object(serde_json::Map::new()))),
        _ => Err(unlike(call, session, "object")?.hint("json_array reads an array, from_json anything")),
    }
}

fn json_array(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    match parse(call, session)? {
        array @ Json::Array(_) => Ok(to_tera(array)),
        Json::Null => Ok(to_tera(Json::Array(Vec::new()))),
        _ => Err(unlike(call, session, "array")?.hint("json reads an object, from_json anything")),
    }
}

fn from_json(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    parse(call, session).map(to_tera)
}

fn parse(call: &Call<'_>, session: &Session) -> Result<Json, Failure> {
    let text = call.text("text")?;
    serde_json::from_str(text).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Eof => "it ends too early".to_owned(),
            _ => format!("line {}, column {}", error.line(), error.column()),
        };
        call.failure(format!("{} is not JSON: {what}", session.origin(text)))
    })
}

fn unlike(call: &Call<'_>, session: &Session, wanted: &str) -> Result<Failure, Failure> {
    Ok(call.failure(format!("{} is not a JSON {wanted}", session.origin(call.text("text")?))))
}

pub(super) fn to_tera(json: Json) -> Value {
    match json {
        Json::Null => Value::none(),
        Json::Bool(boolean) => Value::from(boolean),
        Json::String(text) => Value::from(text),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(integer)) => Value::from(integer),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::Array(items) => Value::from(items.into_iter().map(to_tera).collect::<Vec<_>>()),
        Json::Object(members) => {
            Value::from(members.into_iter().map(|(name, value)| (name, to_tera(value))).collect::<BTreeMap<_, _>>())
        }
    }
}

fn to_json(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    written(call, CompactFormatter)
}

fn to_pretty_json(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    written(call, PrettyFormatter::new())
}

fn sorted(call: &Call<'_>) -> Result<Json, Failure> {
    let mut json = serde_json::to_value(call.value("value")?).map_err(|_| call.failure("the value is not JSON's"))?;
    json.sort_all_objects();
    Ok(json)
}

fn written(call: &Call<'_>, layout: impl Formatter) -> Result<Value, Failure> {
    let mut bytes = Vec::new();
    let failure = || call.failure("the value is not JSON's");
    sorted(call)?.serialize(&mut Serializer::with_formatter(&mut bytes, AsGo(layout))).map_err(|_| failure())?;
    String::from_utf8(bytes).map(Value::from).map_err(|_| failure())
}

/// What a layout is made of goes through to the inner formatter.
macro_rules! laid_out_by_inner {
    ($($part:ident($($first:ident)?)),* $(,)?) => {
        $(fn $part<W: ?Sized + Write>(&mut self, writer: &mut W $(, $first: bool)?) -> io::Result<()> {
            self.0.$part(writer $(, $first)?)
        })*
    };
}

/// Numbers and texts as Go's encoding/json writes them, in the layout of another formatter.
struct AsGo<F>(F);

impl<F: Formatter> Formatter for AsGo<F> {
    /// The fewest digits that mean it, with an exponent below 1e-6 and from 1e21 on.
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, number: f64) -> io::Result<()> {
        let size = number.abs();
        if size != 0.0 && !(1e-6..1e21).contains(&size) {
            let text = format!("{number:e}");
            let sign = if text.contains("e-") { "e" } else { "e+" };
            return writer.write_all(text.replace('e', sign).as_bytes());
        }
        write!(writer, "{number}")
    }

    /// `<`, `>`, `&` and two line separators are escapes, so that the text is also safe within HTML and JavaScript.
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
