//! Which calls of a Go template have a counterpart in Tera that gives the same for every store.

use super::expression::{Kind, Refused, Typed, literal, refused};
use crate::render::go::functions::{Function, Run, Type, shared::Returns};

/// Functions that Tera has too, under another name or with other arguments: name, Tera's name, its arguments, the result.
const SAME: &[(&str, &str, &[&str], Kind)] = &[
    ("get", "get", &["key"], Kind::Pair),
    ("getv", "getv", &["key", "default"], Kind::Text),
    ("gets", "gets", &["pattern"], Kind::Pairs),
    ("getvs", "getvs", &["pattern"], Kind::Texts),
    ("exists", "exists", &["key"], Kind::Bool),
    ("lsdir", "lsdir", &["dir"], Kind::Texts),
    ("base", "base", &["path"], Kind::Text),
    ("dir", "dir", &["path"], Kind::Text),
    ("contains", "contains", &["text", "sub"], Kind::Bool),
    ("split", "split", &["text", "sep"], Kind::Texts),
    ("join", "join", &["list", "sep"], Kind::Text),
    ("sortByLength", "sort_by_length", &["list"], Kind::Texts),
    ("sortKVByLength", "sort_kv_by_length", &["list"], Kind::Pairs),
    ("toUpper", "to_upper", &["text"], Kind::Text),
    ("toLower", "to_lower", &["text"], Kind::Text),
];

/// The call of a function with these arguments.
pub(super) fn call(function: &'static Function, values: &[Typed], at: usize) -> Result<Typed, Refused> {
    if values.iter().any(|value| value.kind == Kind::Unknown) {
        return Err(None);
    }
    let name = function.name;
    check_arguments(function, values, at)?;
    if let Some((_, tera, arguments, kind)) = SAME.iter().find(|(known, ..)| *known == name) {
        return written(name, tera, arguments, values, *kind, at);
    }
    if let Run::Shared { name: tera, arguments, result } = &function.run {
        let kind = match result {
            Returns::Text => Kind::Text,
            Returns::Int => Kind::Int,
            Returns::Bool => Kind::Bool,
            Returns::Texts => Kind::Texts,
            Returns::Ints => Kind::Ints,
            Returns::Json => {
                return refused(at, format!("`{name}`: numbers and nulls of JSON print otherwise in Tera"));
            }
        };
        if values.iter().zip(function.parameters).any(|(_, parameter)| *parameter == Type::Any) {
            return refused(at, format!("`{name}`: what it is given may be written otherwise in Tera"));
        }
        return written(name, tera, arguments, values, kind, at);
    }
    if let Run::Logic { stops_at } = &function.run {
        return logic(*stops_at, values, at);
    }
    match (name, values) {
        ("item", []) => Ok(Typed::atom("item".to_owned(), Kind::Text)),
        ("not", [value]) => Ok(Typed::operation(format!("not {}", value.truth_operand()), Kind::Bool)),
        ("empty", [value]) => Ok(Typed::operation(format!("not {}", value.truth_operand()), Kind::Bool)),
        ("len", [list]) if list.kind.item().is_some() => {
            Ok(Typed::operation(format!("{} | length", list.operand()), Kind::Int))
        }
        ("len", [_]) => refused(at, "`len` of a text counts bytes, Tera's length does not"),
        ("reverse", [list]) if list.kind.item().is_some() => Ok(of_list("reverse", list)),
        ("naturalSort", [list]) if matches!(list.kind, Kind::Texts | Kind::Pairs) => Ok(of_list("natural_sort", list)),
        ("eq", [first, others @ ..]) if !others.is_empty() => equal(first, others, at),
        ("ne", [a, b]) if a.kind == b.kind && comparable(a.kind) => Ok(operator("!=", a, b)),
        ("lt", [a, b]) if a.kind == Kind::Int && b.kind == Kind::Int => Ok(operator("<", a, b)),
        ("le", [a, b]) if a.kind == Kind::Int && b.kind == Kind::Int => Ok(operator("<=", a, b)),
        ("gt", [a, b]) if a.kind == Kind::Int && b.kind == Kind::Int => Ok(operator(">", a, b)),
        ("ge", [a, b]) if a.kind == Kind::Int && b.kind == Kind::Int => Ok(operator(">=", a, b)),
        ("default", [standard, value]) if standard.kind == value.kind && printable(value.kind) => Ok(Typed::operation(
            format!("{} if {} else {}", value.operand(), value.truth(), standard.operand()),
            value.kind,
        )),
        ("ternary", [yes, no, condition]) if yes.kind == no.kind && printable(yes.kind) => {
            let code = format!("ternary(cond={}, yes={}, no={})", condition.code, yes.code, no.code);
            Ok(Typed::atom(code, yes.kind))
        }
        ("print", values) if !values.is_empty() && values.iter().all(|value| value.kind == Kind::Text) => {
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
fn check_arguments(function: &Function, values: &[Typed], at: usize) -> Result<(), Refused> {
    let (name, least) = (function.name, function.parameters.len());
    if values.len() < least || (function.rest.is_none() && values.len() > least) {
        return refused(at, format!("`{name}` is given {} arguments, it takes {least}", values.len()));
    }
    let rest = function.rest.iter().cycle();
    for (value, parameter) in values.iter().zip(function.parameters.iter().chain(rest)) {
        let fits = match parameter {
            Type::Any => true,
            Type::Text => value.kind == Kind::Text,
            Type::Int => value.kind == Kind::Int,
            Type::Bool => value.kind == Kind::Bool,
            Type::Texts => value.kind == Kind::Texts,
            Type::Pairs => value.kind == Kind::Pairs,
            Type::List | Type::Map => false,
        };
        if !fits {
            return refused(
                at,
                format!("`{name}` is given {}, of which it is not certain that it takes it", value.kind.described()),
            );
        }
    }
    Ok(())
}

fn written(
    name: &str,
    tera: &str,
    arguments: &[&str],
    values: &[Typed],
    kind: Kind,
    at: usize,
) -> Result<Typed, Refused> {
    if values.len() > arguments.len() {
        return refused(at, format!("`{name}` passes over some of its arguments"));
    }
    let pairs: Vec<String> =
        arguments.iter().zip(values).map(|(argument, value)| format!("{argument}={}", value.code)).collect();
    Ok(Typed::atom(format!("{tera}({})", pairs.join(", ")), kind))
}

fn of_list(tera: &str, list: &Typed) -> Typed {
    Typed::atom(format!("{tera}(list={})", list.code), list.kind)
}

fn printable(kind: Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Int | Kind::Bool)
}

fn comparable(kind: Kind) -> bool {
    printable(kind)
}

fn operator(sign: &str, a: &Typed, b: &Typed) -> Typed {
    Typed::operation(format!("{} {sign} {}", a.operand(), b.operand()), Kind::Bool)
}

/// The first of several operands to be true, or false.
fn logic(stops_at: bool, values: &[Typed], at: usize) -> Result<Typed, Refused> {
    let word = if stops_at { "or" } else { "and" };
    let [first, others @ ..] = values else { return refused(at, format!("`{word}` has no operand")) };
    if values.iter().any(|value| value.kind != first.kind) {
        return refused(at, format!("`{word}` gives back one of its operands, and these are of different types"));
    }
    if first.kind == Kind::Bool {
        let operands: Vec<String> = values.iter().map(Typed::operand).collect();
        return Ok(if others.is_empty() {
            first.clone()
        } else {
            Typed::operation(operands.join(&format!(" {word} ")), Kind::Bool)
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

fn equal(first: &Typed, others: &[Typed], at: usize) -> Result<Typed, Refused> {
    if !comparable(first.kind) || others.iter().any(|other| other.kind != first.kind) {
        return refused(at, "`eq` of values that are not both texts, whole numbers or truths");
    }
    let equals: Vec<String> = others.iter().map(|other| operator("==", first, other).code).collect();
    Ok(match equals.as_slice() {
        [one] => Typed::operation(one.clone(), Kind::Bool),
        several => {
            let several: Vec<String> = several.iter().map(|one| format!("({one})")).collect();
            Typed::operation(several.join(" or "), Kind::Bool)
        }
    })
}

fn concatenated(pieces: Vec<String>) -> Typed {
    match pieces.as_slice() {
        [one] => Typed::operation(one.clone(), Kind::Text),
        several => Typed::operation(several.join(" ~ "), Kind::Text),
    }
}

/// `printf` with a format that stands there, and verbs that print a value as it is.
fn formatted(format: &Typed, values: &[Typed], at: usize) -> Result<Typed, Refused> {
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
            (Some('s'), Some(value)) if value.kind == Kind::Text => pieces.extend(piece(&mut plain, value)),
            (Some('d'), Some(value)) if value.kind == Kind::Int => pieces.extend(piece(&mut plain, value)),
            (Some('v'), Some(value)) if matches!(value.kind, Kind::Text | Kind::Int) => {
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
    // A number by itself is to be a text.
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

/// What a literal of ours means; `None` where the code is none.
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
