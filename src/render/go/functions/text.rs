//! Text: case, cutting, quoting, encoding, regular expressions.

use super::function::{GoFunction, Parameter, TEXT, THREE_TEXTS, TWO_TEXTS, integer, made, native, text};
use crate::model::problem::Problem;
use crate::render::go::run::GoRun;
use crate::render::go::value::GoValue;
use crate::render::library::{encoding, names, paths, quote, text as library};

const COUNTED: &[Parameter] = &[Parameter::Int, Parameter::Text];
const REPLACE: &[Parameter] = &[Parameter::Text, Parameter::Text, Parameter::Text, Parameter::Int];

pub(super) const FUNCTIONS: &[GoFunction] = &[
    native("base", TEXT, |values, _| Ok(GoValue::from(paths::base(text(&values[0]))))),
    native("dir", TEXT, |values, _| Ok(GoValue::from(paths::parent(text(&values[0]))))),
    native("contains", TWO_TEXTS, |values, _| Ok(GoValue::Bool(text(&values[0]).contains(text(&values[1]))))),
    native("toUpper", TEXT, |values, _| made(library::upper(text(&values[0])))),
    native("toLower", TEXT, |values, _| made(library::lower(text(&values[0])))),
    native("replace", REPLACE, replace),
    native("trimSuffix", TWO_TEXTS, |values, _| {
        Ok(GoValue::from(library::trim_suffix(text(&values[0]), text(&values[1]))))
    }),
    native("trimPrefix", TWO_TEXTS, |values, _| {
        Ok(GoValue::from(library::trim_prefix(text(&values[0]), text(&values[1]))))
    }),
    native("repeat", COUNTED, |values, _| library::repeat(text(&values[1]), integer(&values[0])).map(GoValue::from)),
    native("indent", COUNTED, |values, _| library::indent(text(&values[1]), integer(&values[0])).map(GoValue::from)),
    native("nindent", COUNTED, |values, _| library::nindent(text(&values[1]), integer(&values[0])).map(GoValue::from)),
    native("quote", TEXT, |values, _| made(quote::double(text(&values[0]), false))),
    native("squote", TEXT, |values, _| made(quote::squote(text(&values[0])))),
    native("nospace", TEXT, |values, _| Ok(GoValue::from(library::nospace(text(&values[0]))))),
    native("snakecase", TEXT, |values, _| made(names::snake_case(text(&values[0])))),
    native("camelcase", TEXT, |values, _| made(names::camel_case(text(&values[0])))),
    native("kebabcase", TEXT, |values, _| made(names::kebab_case(text(&values[0])))),
    native("base64Encode", TEXT, |values, _| made(encoding::base64_encode(text(&values[0])))),
    native("base64Decode", TEXT, base64_decode),
    native("sha256sum", TEXT, |values, _| Ok(GoValue::from(encoding::sha256sum(text(&values[0]))))),
    native("regexMatch", TWO_TEXTS, |values, run| {
        let whole = text(&values[1]);
        Ok(GoValue::Bool(run.patterns.regex(text(&values[0]), whole, &run.session.budget)?.is_match(whole)))
    }),
    native("regexFind", TWO_TEXTS, |values, run| {
        let whole = text(&values[1]);
        let found = run.patterns.regex(text(&values[0]), whole, &run.session.budget)?.find(whole);
        Ok(GoValue::from(found.map_or("", |found| found.as_str())))
    }),
    native("regexReplaceAll", THREE_TEXTS, |values, run| {
        let (pattern, whole, by) = (text(&values[0]), text(&values[1]), text(&values[2]));
        let replaced = run.patterns.replace_all(pattern, whole, by, &run.session.budget);
        replaced.map(GoValue::from)
    }),
];

fn replace(values: &[GoValue], _: &mut GoRun) -> Result<GoValue, Problem> {
    library::replace(text(&values[0]), text(&values[1]), text(&values[2]), integer(&values[3])).map(GoValue::from)
}

fn base64_decode(values: &[GoValue], run: &mut GoRun) -> Result<GoValue, Problem> {
    let text = text(&values[0]);
    let decoded = encoding::base64_decode(text).map(GoValue::from);
    decoded.map_err(|what| Problem::new(run.session.about(text, what)))
}
