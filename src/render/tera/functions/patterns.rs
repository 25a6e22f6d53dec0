//! Regular expressions: RE2's language without look-around and back-references, linear in the text.

use regex::{Regex, RegexBuilder};
use tera::Value;

use super::call::Call;
use super::{Form, Function};
use crate::render::error::Failure;
use crate::render::library::re2;
use crate::render::session::Session;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "regex_match",
        alias: Some("regexMatch"),
        arguments: &["pattern", "text"],
        form: Form::Both("text"),
        run: regex_match,
    },
    Function {
        name: "regex_find",
        alias: Some("regexFind"),
        arguments: &["pattern", "text"],
        form: Form::Both("text"),
        run: regex_find,
    },
    Function {
        name: "regex_replace_all",
        alias: Some("regexReplaceAll"),
        arguments: &["pattern", "text", "replacement"],
        form: Form::Both("text"),
        run: regex_replace_all,
    },
];

/// Compiled size of one pattern, in bytes.
const MOST_COMPILED_BYTES: usize = 1 << 20;
/// Patterns remembered during one render.
const MOST_REMEMBERED: usize = 64;

fn regex_match(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    let text = call.text("text")?;
    Ok(Value::from(regex(call, session)?.is_match(text)))
}

fn regex_find(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    let text = call.text("text")?;
    Ok(Value::from(regex(call, session)?.find(text).map_or("", |found| found.as_str())))
}

fn regex_replace_all(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    let (text, replacement) = (call.text("text")?, call.text("replacement")?);
    Ok(Value::from(regex(call, session)?.replace_all(text, replacement)))
}

fn regex<'s>(call: &Call<'_>, session: &'s mut Session) -> Result<&'s Regex, Failure> {
    let pattern = call.text("pattern")?;
    if session.regexes.len() >= MOST_REMEMBERED && !session.regexes.contains_key(pattern) {
        session.regexes.clear();
    }
    match session.regexes.entry(pattern.to_owned()) {
        std::collections::hash_map::Entry::Occupied(known) => Ok(known.into_mut()),
        std::collections::hash_map::Entry::Vacant(unknown) => {
            let refused = || {
                let failure = call.failure("the pattern is not a regular expression");
                failure.hint("RE2's language: no look-around, no back-references")
            };
            let translated = re2::translate(pattern).ok_or_else(refused)?;
            let compiled = RegexBuilder::new(&translated).size_limit(MOST_COMPILED_BYTES).build();
            let regex = compiled.map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => call.failure("the pattern is too big"),
                _ => refused(),
            })?;
            Ok(unknown.insert(regex))
        }
    }
}
