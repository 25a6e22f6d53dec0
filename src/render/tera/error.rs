//! Tera's messages in our words: with a place, a hint, and never with the value of a key.

use std::path::Path;

use tera::ErrorKind;

use super::functions;
use super::mistakes;
use crate::model::problem::{Place, Position, Problem};
use crate::model::suggest::nearest;

/// Returns the problems in an error of compilation. `source` returns the text of a template by name.
pub(super) fn of_compilation<'a>(
    error: &tera::Error,
    root: &str,
    source: impl Fn(&str) -> Option<&'a str>,
) -> Vec<Problem> {
    match error.kind() {
        ErrorKind::SyntaxError(report) => {
            let span = report.span();
            let (message, place) = (phrase(report.message()), place_of(report.filename(), span));
            let Some(text) = source(report.filename()) else { return vec![Problem::new(message).at(place)] };
            let mistake = mistakes::explain(&message, text, span.range.start);
            let place = mistake.at.map_or(place, |at| Place::in_text(Path::new(report.filename()), text, at));
            let go = looks_like_go(text).then(|| GO_HINT.to_owned());
            vec![Problem { place: Some(place), message: mistake.message, hint: go.or(mistake.hint) }]
        }
        ErrorKind::Msg(reports) => {
            let found = of_reports(reports);
            if found.is_empty() { vec![Problem::in_template(root, phrase(reports))] } else { found }
        }
        ErrorKind::MissingParent { current, parent } => {
            vec![Problem::in_template(current, format!("unknown template `{parent}`"))]
        }
        ErrorKind::CircularExtend { tpl, inheritance_chain } => {
            vec![Problem::in_template(tpl, format!("extends itself by way of {}", inheritance_chain.join(" > ")))]
        }
        ErrorKind::CircularInclude { tpl, include_chain } => {
            vec![Problem::in_template(tpl, format!("includes itself: {}", include_chain.join(" > ")))]
        }
        other => vec![Problem::in_template(root, phrase(&other.to_string()))],
    }
}

/// Returns the problem in an error of rendering. `failure` is the error of one of our functions, if one failed; `place_of` returns
/// the place of an offset in a template.
pub(super) fn of_render(
    error: &tera::Error,
    root: &str,
    failure: Option<Problem>,
    place_of: impl Fn(&str, usize) -> Place,
) -> Problem {
    let (message, hint) = match (failure, error.kind()) {
        (Some(failure), _) => (failure.message, failure.hint),
        (None, ErrorKind::RenderingError(report)) => (without_values(report.message()), None),
        (None, other) => (without_values(&other.to_string()), None),
    };
    match error.kind() {
        ErrorKind::RenderingError(report) => {
            Problem { place: Some(place_of(report.filename(), report.span().range.start)), message, hint }
        }
        _ => Problem { hint, ..Problem::in_template(root, message) },
    }
}

fn place_of(template: &str, span: &tera::Span) -> Place {
    Place::at(Path::new(template), Position { line: span.start_line, column: span.start_col + 1 })
}

/// Reads reports back that Tera has only as text: `error: message`, then `--> template:line:column`.
fn of_reports(reports: &str) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut message = None;
    for line in reports.lines() {
        if let Some(text) = line.strip_prefix("error: ") {
            message = Some(phrase(text));
        } else if let Some(place) = line.trim_start().strip_prefix("--> ")
            && let Some(message) = message.take()
        {
            let mut parts = place.rsplitn(3, ':');
            let mut number = || parts.next().and_then(|part| part.parse().ok());
            let (column, line) = (number(), number());
            let position = line.zip(column).map(|(line, column)| Position { line, column });
            let place = Place { file: parts.next().unwrap_or_default().into(), position };
            let hint = unknown_name_hint(&message);
            found.push(Problem { place: Some(place), message, hint });
        }
    }
    found
}

/// Returns a message of Tera as we write: lower-case, no full stop, plain names of types.
fn phrase(message: &str) -> String {
    let message = message.trim_end_matches('.');
    let mut chars = message.chars();
    let lowered = match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            format!("{}{}", first.to_lowercase(), &message[first.len_utf8()..])
        }
        _ => message.to_owned(),
    };
    lowered
        .replace(". Available variables: ", "; there are ")
        .replace("`&str`", "`string`")
        .replace("`&[Value]`", "`array`")
        .replace("`Vec<Value>`", "`array`")
}

/// Messages that quote only the template's own words and names of types, by how they begin.
const QUOTING_NO_VALUE: &[&str] = &[
    "Argument `",
    "Block '",
    "Cannot compare `",
    "Cannot divide by 0",
    "Cannot index into an undefined value",
    "Cannot slice an undefined value",
    "Cannot sort: `",
    "Component argument `",
    "Field `",
    "Function `range` was called with",
    "Implicit argument `",
    "Index expression is undefined",
    "Invalid UTF-8",
    "Invalid type for the value",
    "Iteration not possible on type `",
    "Key/value iteration is not possible",
    "Map keys must be",
    "Array index must be",
    "String index must be",
    "Math operations can only be done on numbers",
    "Maximum render recursion depth",
    "Missing keyword argument `",
    "Not a valid key type",
    "Only numbers can be",
    "Slice ",
    "Slicing ",
    "Spread operator requires",
    "Template '",
    "The `indentation` argument",
    "This filter can only be used on a number",
    "Tried to render a variable that is undefined",
    "Tried to use super()",
    "Value of type ",
    "Variable `",
    "`+` requires",
    "`in` cannot be used",
    "pluralize filter requires",
    "super() called",
];

/// Messages that quote values, by how they begin, and what is said instead.
const QUOTING_VALUES: &[(&str, &str)] = &[
    ("Value at index ", "an item of the list does not have the attribute"),
    ("The string `", "the text cannot be converted to a number"),
    ("The float ", "the number cannot be converted to an integer"),
    ("Value `", "the number is out of range"),
    ("Number `", "the number is out of range"),
    ("Operand `", "the number is out of range"),
    ("Exponent ", "the exponent is out of range"),
    ("Unable to perform ", "the result of the calculation is out of range"),
    ("Cannot negate ", "the result of the calculation is out of range"),
    ("Map does not have a key", "the map has no such key and no default was given"),
    ("Unknown argument(s)", "the component does not take one of the arguments"),
    ("Function `range` would produce", "function `range` would produce too many elements"),
    ("Invalid argument for `method`", "`method` must be `ceil` or `floor`"),
    ("int filter `base`", "`base` must be between 2 and 36"),
    ("Errored while getting absolute value", "the result of the calculation is out of range"),
];

/// The members of maps that functions of ours make, as Tera lists them.
const OUR_FIELDS: &[&str] = &[
    "key, value",
    "port, priority, target, weight",
    "address, backup, down, fail_timeout, host, key, max_conns, max_fails, meta, name, port, state, weight",
];

/// Returns a message of Tera that may be logged: whatever could quote a value is replaced, unknown wording included.
fn without_values(message: &str) -> String {
    // The fields of a parsed value are part of the value; those of `gets` and of SRV records are ours.
    if let Some((undefined, fields)) = message.split_once(" Available fields: ") {
        let ours = OUR_FIELDS.contains(&fields);
        return if ours { format!("{}; there are {fields}", phrase(undefined)) } else { phrase(undefined) };
    }
    if let Some((_, instead)) = QUOTING_VALUES.iter().find(|(start, _)| message.starts_with(start)) {
        return (*instead).to_owned();
    }
    if QUOTING_NO_VALUE.iter().any(|start| message.starts_with(start)) {
        return phrase(message);
    }
    "cannot be rendered".to_owned()
}

fn unknown_name_hint(message: &str) -> Option<String> {
    let (kind, rest) = message.strip_prefix("unknown ")?.split_once(" `")?;
    let name = rest.strip_suffix('`')?;
    let did_you_mean = |candidate: &str| format!("did you mean `{candidate}`?");
    match kind {
        "function" if functions::filter_names().any(|filter| filter == name) => {
            Some(format!("`{name}` is a filter: {{{{ value | {name} }}}}"))
        }
        "function" if name.starts_with("cget") => Some("encrypted values are not supported".to_owned()),
        "function" => nearest(name, functions::function_names()).map(did_you_mean),
        "filter" => nearest(name, functions::filter_names()).map(did_you_mean).or_else(|| {
            let function = functions::function_names().find(|function| *function == name)?;
            Some(format!("`{function}` is a function: {{{{ {function}(…) }}}}"))
        }),
        "test" => nearest(name, functions::TESTS.iter().copied()).map(did_you_mean),
        _ => None,
    }
}

const GO_HINT: &str =
    "this looks like a Go template: end its name in something other than .tera, or set engine = \"go\"";

fn looks_like_go(source: &str) -> bool {
    const GO_WORDS: &[&str] = &["range", "end", "with", "define", "template"];
    source.split("{{").skip(1).any(|part| {
        let expression = part.trim_start_matches('-').trim_start();
        let word = expression.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        let after = expression[word.len()..].trim_start();
        expression.starts_with(['.', '$']) || GO_WORDS.contains(&word) || (!word.is_empty() && after.starts_with('"'))
    })
}
