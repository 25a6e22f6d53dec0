//! Calls of a Go template that have a counterpart in Tera with the same result for every store.

use super::typed::{NotConverted, Typed, TypedKind, literal, refused};
use crate::render::go::functions::{FunctionBody, GoFunction, Parameter};

/// Functions that Tera has too, with a different name or arguments: name, Tera's name, its arguments, the result.
pub(super) const SAME: &[(&str, &str, &[&str], TypedKind)] = &[
    ("get", "get", &["key"], TypedKind::Pair),
    ("getv", "getv", &["key", "default"], TypedKind::Text),
    ("gets", "gets", &["pattern"], TypedKind::Pairs),
    ("getvs", "getvs", &["pattern"], TypedKind::Texts),
    ("exists", "exists", &["key"], TypedKind::Bool),
    ("lsdir", "lsdir", &["dir"], TypedKind::Texts),
    ("base", "base", &["path"], TypedKind::Text),
    ("dir", "dir", &["path"], TypedKind::Text),
    ("contains", "contains", &["text", "sub"], TypedKind::Bool),
    ("split", "split", &["text", "sep"], TypedKind::Texts),
    ("join", "join", &["list", "sep"], TypedKind::Text),
    ("sortByLength", "sort_by_length", &["list"], TypedKind::Texts),
    ("sortKVByLength", "sort_kv_by_length", &["list"], TypedKind::Pairs),
    ("toUpper", "to_upper", &["text"], TypedKind::Text),
    ("toLower", "to_lower", &["text"], TypedKind::Text),
    ("replace", "replace", &["text", "old", "new", "n"], TypedKind::Text),
    ("trimSuffix", "trim_suffix", &["text", "suffix"], TypedKind::Text),
    ("trimPrefix", "trim_prefix", &["text", "prefix"], TypedKind::Text),
    ("repeat", "repeat", &["n", "text"], TypedKind::Text),
    ("indent", "indent", &["spaces", "text"], TypedKind::Text),
    ("nindent", "nindent", &["spaces", "text"], TypedKind::Text),
    ("squote", "squote", &["text"], TypedKind::Text),
    ("nospace", "nospace", &["text"], TypedKind::Text),
    ("snakecase", "snakecase", &["text"], TypedKind::Text),
    ("camelcase", "camelcase", &["text"], TypedKind::Text),
    ("kebabcase", "kebabcase", &["text"], TypedKind::Text),
    ("base64Encode", "base64_encode", &["text"], TypedKind::Text),
    ("base64Decode", "base64_decode", &["text"], TypedKind::Text),
    ("sha256sum", "sha256sum", &["text"], TypedKind::Text),
    ("regexMatch", "regex_match", &["pattern", "text"], TypedKind::Bool),
    ("regexFind", "regex_find", &["pattern", "text"], TypedKind::Text),
    ("regexReplaceAll", "regex_replace_all", &["pattern", "text", "replacement"], TypedKind::Text),
    ("atoi", "atoi", &["text"], TypedKind::Int),
    ("parseBool", "parse_bool", &["text"], TypedKind::Bool),
    ("add", "add", &["a", "b"], TypedKind::Int),
    ("sub", "sub", &["a", "b"], TypedKind::Int),
    ("mul", "mul", &["a", "b"], TypedKind::Int),
    ("div", "div", &["a", "b"], TypedKind::Int),
    ("mod", "mod", &["a", "b"], TypedKind::Int),
    ("seq", "seq", &["first", "last"], TypedKind::Ints),
    ("getenv", "getenv", &["name", "default"], TypedKind::Text),
    ("hostname", "hostname", &[], TypedKind::Text),
    ("generation", "generation", &[], TypedKind::Text),
    ("fileExists", "file_exists", &["path"], TypedKind::Bool),
    ("lookupIP", "lookup_ip", &["host"], TypedKind::Texts),
    ("lookupIPV4", "lookup_ipv4", &["host"], TypedKind::Texts),
    ("lookupIPV6", "lookup_ipv6", &["host"], TypedKind::Texts),
    ("lookupIfaceIPV4", "lookup_iface_ipv4", &["name"], TypedKind::Text),
    ("lookupIfaceIPV6", "lookup_iface_ipv6", &["name"], TypedKind::Text),
];

/// Converts the call of a function with these arguments.
pub(super) fn call(function: &'static GoFunction, values: &[Typed], at: usize) -> Result<Typed, NotConverted> {
    if values.iter().any(|value| value.kind == TypedKind::Unknown) {
        return Err(None);
    }
    let name = function.name;
    check_arguments(function, values, at)?;
    if let Some((_, tera, arguments, kind)) = SAME.iter().find(|(known, ..)| *known == name) {
        return written(name, tera, arguments, values, *kind, at);
    }
    match name {
        "json" | "jsonArray" | "fromJson" => {
            return refused(at, format!("`{name}`: numbers and nulls of JSON print differently in Tera"));
        }
        "toJson" | "toPrettyJson" => {
            return refused(at, format!("`{name}`: what it is given may be written otherwise in Tera"));
        }
        _ => {}
    }
    if let FunctionBody::Logic { stops_at } = &function.run {
        return logic(*stops_at, values, at);
    }
    match (name, values) {
        ("item", []) => Ok(Typed::atom("item".to_owned(), TypedKind::Text)),
        ("not", [value]) => Ok(Typed::operation(format!("not {}", value.truth_operand()), TypedKind::Bool)),
        ("empty", [value]) => Ok(Typed::operation(format!("not {}", value.truth_operand()), TypedKind::Bool)),
        ("len", [list]) if list.kind.item().is_some() => {
            Ok(Typed::operation(format!("{} | length", list.operand()), TypedKind::Int))
        }
        ("len", [_]) => refused(at, "`len` of a text counts bytes, Tera's length does not"),
        ("reverse", [list]) if list.kind.item().is_some() => Ok(of_list("reverse", list)),
        ("naturalSort", [list]) if matches!(list.kind, TypedKind::Texts | TypedKind::Pairs) => {
            Ok(of_list("natural_sort", list))
        }
        ("eq", [first, others @ ..]) if !others.is_empty() => equal(first, others, at),
        ("ne", [a, b]) if a.kind == b.kind && comparable(a.kind) => Ok(operator("!=", a, b)),
        ("lt", [a, b]) if a.kind == TypedKind::Int && b.kind == TypedKind::Int => Ok(operator("<", a, b)),
        ("le", [a, b]) if a.kind == TypedKind::Int && b.kind == TypedKind::Int => Ok(operator("<=", a, b)),
        ("gt", [a, b]) if a.kind == TypedKind::Int && b.kind == TypedKind::Int => Ok(operator(">", a, b)),
        ("ge", [a, b]) if a.kind == TypedKind::Int && b.kind == TypedKind::Int => Ok(operator(">=", a, b)),
        ("default", [standard, value]) if standard.kind == value.kind && printable(value.kind) => Ok(Typed::operation(
            format!("{} if {} else {}", value.operand(), value.truth(), standard.operand()),
            value.kind,
        )),
        ("ternary", [yes, no, condition]) if yes.kind == no.kind && printable(yes.kind) => {
            let code = format!("ternary(cond={}, yes={}, no={})", condition.code, yes.code, no.code);
            Ok(Typed::atom(code, yes.kind))
        }
        ("print", values) if !values.is_empty() && values.iter().all(|value| value.kind == TypedKind::Text) => {
            Ok(concatenated(values.iter().map(Typed::operand).collect()))
        }
        ("printf", [format, values @ ..]) => formatted(format, values, at),
        ("ls", _) => {
            refused(at, "`ls` also lists a key of that very name, Tera's does not; lsdir and gets are the same in both")
        }
        _ => refused(at, format!("`{name}` has no certain counterpart in Tera")),
    }
}

/// Refuses what fails in Go.
fn check_arguments(function: &GoFunction, values: &[Typed], at: usize) -> Result<(), NotConverted> {
    let (name, least) = (function.name, function.parameters.len());
    if values.len() < least || (function.rest.is_none() && values.len() > least) {
        return refused(at, format!("`{name}` is given {} arguments, it takes {least}", values.len()));
    }
    let rest = function.rest.iter().cycle();
    for (value, parameter) in values.iter().zip(function.parameters.iter().chain(rest)) {
        let fits = match parameter {
            Parameter::Any => true,
            Parameter::Text => value.kind == TypedKind::Text,
            Parameter::Int => value.kind == TypedKind::Int,
            Parameter::Bool => value.kind == TypedKind::Bool,
            Parameter::Texts => value.kind == TypedKind::Texts,
            Parameter::Pairs => value.kind == TypedKind::Pairs,
            Parameter::List | Parameter::Map => false,
        };
        if !fits {
            return refused(at, format!("`{name}` is given {}, which it might not accept", value.kind.described()));
        }
    }
    Ok(())
}

fn written(
    name: &str,
    tera: &str,
    arguments: &[&str],
    values: &[Typed],
    kind: TypedKind,
    at: usize,
) -> Result<Typed, NotConverted> {
    if values.len() > arguments.len() {
        return refused(at, format!("`{name}` ignores some of its arguments"));
    }
    let pairs: Vec<String> =
        arguments.iter().zip(values).map(|(argument, value)| format!("{argument}={}", value.code)).collect();
    Ok(Typed::atom(format!("{tera}({})", pairs.join(", ")), kind))
}

fn of_list(tera: &str, list: &Typed) -> Typed {
    Typed::atom(format!("{tera}(list={})", list.code), list.kind)
}

fn printable(kind: TypedKind) -> bool {
    matches!(kind, TypedKind::Text | TypedKind::Int | TypedKind::Bool)
}

fn comparable(kind: TypedKind) -> bool {
    printable(kind)
}

fn operator(sign: &str, a: &Typed, b: &Typed) -> Typed {
    Typed::operation(format!("{} {sign} {}", a.operand(), b.operand()), TypedKind::Bool)
}

/// Converts `or` (which stops at a true operand) and `and`.
fn logic(stops_at: bool, values: &[Typed], at: usize) -> Result<Typed, NotConverted> {
    let word = if stops_at { "or" } else { "and" };
    let [first, others @ ..] = values else { return refused(at, format!("`{word}` has no operand")) };
    if values.iter().any(|value| value.kind != first.kind) {
        return refused(at, format!("`{word}` gives back one of its operands, and these are of different types"));
    }
    if first.kind == TypedKind::Bool {
        let operands: Vec<String> = values.iter().map(Typed::operand).collect();
        return Ok(if others.is_empty() {
            first.clone()
        } else {
            Typed::operation(operands.join(&format!(" {word} ")), TypedKind::Bool)
        });
    }
    if !printable(first.kind) {
        return refused(at, format!("`{word}` of lists has no certain counterpart"));
    }
    let Some((last, before)) = values.split_last() else { return Err(None) };
    let chosen = before.iter().rev().fold(last.clone(), |rest, value| {
        let (yes, no) = if stops_at { (value, &rest) } else { (&rest, value) };
        let code = format!("{} if {} else {}", yes.operand(), value.truth(), no.operand());
        Typed::operation(code, value.kind)
    });
    Ok(chosen)
}

fn equal(first: &Typed, others: &[Typed], at: usize) -> Result<Typed, NotConverted> {
    if !comparable(first.kind) || others.iter().any(|other| other.kind != first.kind) {
        return refused(at, "`eq` of values that are not both texts, whole numbers or truths");
    }
    let equals: Vec<String> = others.iter().map(|other| operator("==", first, other).code).collect();
    Ok(match equals.as_slice() {
        [one] => Typed::operation(one.clone(), TypedKind::Bool),
        several => {
            let several: Vec<String> = several.iter().map(|one| format!("({one})")).collect();
            Typed::operation(several.join(" or "), TypedKind::Bool)
        }
    })
}

fn concatenated(pieces: Vec<String>) -> Typed {
    match pieces.as_slice() {
        [one] => Typed::operation(one.clone(), TypedKind::Text),
        several => Typed::operation(several.join(" ~ "), TypedKind::Text),
    }
}

/// Converts `printf` with a literal format, and verbs that print a value as it is.
fn formatted(format: &Typed, values: &[Typed], at: usize) -> Result<Typed, NotConverted> {
    let Some(text) = unquoted(&format.code) else {
        return refused(at, "`printf` with a format that is not written out");
    };
    let (mut pieces, mut plain) = (Vec::new(), String::new());
    let mut values = values.iter();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        let verb = after.chars().next();
        rest = &after[verb.map_or(0, char::len_utf8)..];
        if verb == Some('%') {
            plain.push('%');
            continue;
        }
        let value = values.next();
        match (verb, value) {
            (Some('s'), Some(value)) if value.kind == TypedKind::Text => pieces.extend(piece(&mut plain, value)),
            (Some('d'), Some(value)) if value.kind == TypedKind::Int => pieces.extend(piece(&mut plain, value)),
            (Some('v'), Some(value)) if matches!(value.kind, TypedKind::Text | TypedKind::Int) => {
                pieces.extend(piece(&mut plain, value));
            }
            (verb, _) => {
                let shown = verb.map_or("%".to_owned(), |verb| format!("%{verb}"));
                return refused(at, format!("`printf` with {shown} for such a value"));
            }
        }
    }
    plain.push_str(rest);
    if values.next().is_some() {
        return refused(at, "`printf` with more values than its format has places for");
    }
    if !plain.is_empty() || pieces.is_empty() {
        pieces.extend(literal(&plain));
    }
    // A number by itself must become a text.
    if let [one] = pieces.as_slice()
        && !one.starts_with('"')
    {
        pieces.insert(0, "\"\"".to_owned());
    }
    Ok(concatenated(pieces))
}

fn piece(plain: &mut String, value: &Typed) -> Vec<String> {
    let before = if plain.is_empty() { None } else { literal(plain) };
    plain.clear();
    before.into_iter().chain([value.operand()]).collect()
}

/// Returns the text of a literal of ours; `None` if the code is not one.
fn unquoted(code: &str) -> Option<String> {
    let inside = code.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::new();
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => text.push(match chars.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            }),
            other => text.push(other),
        }
    }
    Some(text)
}
