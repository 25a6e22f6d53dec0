//! Text: cutting, joining, case, quoting, encoding.

use tera::Value;

use super::call::{TeraCall, TeraFunction, both, function};
use crate::model::problem::Problem;
use crate::render::library::{encoding, names, paths, quote, text};
use crate::render::tera::run::TeraRun;

pub(super) const FUNCTIONS: &[TeraFunction] = &[
    both("base", &["path"], |call, _| Ok(Value::from(paths::base(call.text("path")?)))),
    both("dir", &["path"], |call, _| Ok(Value::from(paths::parent(call.text("path")?)))),
    both("to_upper", &["text"], |call, _| Ok(Value::from(text::upper(call.text("text")?)))).alias("toUpper"),
    both("to_lower", &["text"], |call, _| Ok(Value::from(text::lower(call.text("text")?)))).alias("toLower"),
    both("contains", &["text", "sub"], |call, _| Ok(Value::from(call.text("text")?.contains(call.text("sub")?)))),
    function("replace", &["text", "old", "new", "n?"], replace),
    both("trim_prefix", &["text", "prefix"], |call, _| {
        Ok(Value::from(text::trim_prefix(call.text("text")?, call.text("prefix")?)))
    })
    .alias("trimPrefix"),
    both("trim_suffix", &["text", "suffix"], |call, _| {
        Ok(Value::from(text::trim_suffix(call.text("text")?, call.text("suffix")?)))
    })
    .alias("trimSuffix"),
    both("repeat", &["text", "n"], |call, _| {
        call.named(text::repeat(call.text("text")?, call.integer("n")?)).map(Value::from)
    }),
    function("indent", &["text", "spaces"], |call, _| {
        call.named(text::indent(call.text("text")?, call.integer("spaces")?)).map(Value::from)
    }),
    both("nindent", &["text", "spaces"], |call, _| {
        call.named(text::nindent(call.text("text")?, call.integer("spaces")?)).map(Value::from)
    }),
    both("quote", &["text"], |call, _| Ok(Value::from(quote::double(call.text("text")?, false)))),
    both("squote", &["text"], |call, _| Ok(Value::from(quote::squote(call.text("text")?)))),
    both("nospace", &["text"], |call, _| Ok(Value::from(text::nospace(call.text("text")?)))),
    both("snakecase", &["text"], |call, _| Ok(Value::from(names::snake_case(call.text("text")?)))),
    both("kebabcase", &["text"], |call, _| Ok(Value::from(names::kebab_case(call.text("text")?)))),
    both("camelcase", &["text"], |call, _| Ok(Value::from(names::camel_case(call.text("text")?)))),
    both("base64_encode", &["text"], |call, _| Ok(Value::from(encoding::base64_encode(call.text("text")?))))
        .alias("base64Encode"),
    both("base64_decode", &["text"], base64_decode).alias("base64Decode"),
    both("sha256sum", &["text"], |call, _| Ok(Value::from(encoding::sha256sum(call.text("text")?)))),
    both("nginx_string", &["text"], nginx_string),
];

fn replace(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    let (text, old, new) = (call.text("text")?, call.text("old")?, call.text("new")?);
    let most = call.optional_integer("n")?.unwrap_or(-1);
    call.named(text::replace(text, old, new, most)).map(Value::from)
}

fn base64_decode(call: &TeraCall<'_>, run: &mut TeraRun) -> Result<Value, Problem> {
    let text = call.text("text")?;
    encoding::base64_decode(text).map(Value::from).map_err(|what| call.failure(run.session.about(text, what)))
}

/// Returns one quoted argument of an nginx directive. The text as a whole may be printed, and no part of it.
fn nginx_string(call: &TeraCall<'_>, run: &mut TeraRun) -> Result<Value, Problem> {
    let text = call.text("text")?;
    let quoted = quote::nginx_string(text).map_err(|what| call.failure(run.session.about(text, what)))?;
    Ok(Value::safe_string(&quoted))
}
