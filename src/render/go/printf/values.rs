//! Values by a verb: texts, and the parts of lists, maps and records.

use super::numbers::{floating, integer, is_for_floats, is_for_integers};
use super::spec::{Spec, pad};
use crate::render::go::time;
use crate::render::go::value::GoValue;
use crate::render::library::quote;
use crate::render::library::text::MAX_BYTES;

/// Writes one value: lists, maps and records have the verb applied to each of their parts.
pub(super) fn value(value: &GoValue, verb: char, spec: Spec, output: &mut String) {
    if output.len() > MAX_BYTES {
        return;
    }
    match value {
        GoValue::Missing | GoValue::Nil if matches!(verb, 'v' | 'T') => pad("<nil>", spec, output),
        GoValue::Missing | GoValue::Nil => output.push_str(&format!("%!{verb}(<nil>)")),
        _ if verb == 'T' => text(value.type_name(), 's', spec, output),
        GoValue::List(_, items) => {
            let (open, between, close) = if spec.go_syntax { ("{", ", ", "}") } else { ("[", " ", "]") };
            if spec.go_syntax {
                output.push_str(value.type_name());
            }
            parts(open, between, close, items.iter().map(|item| ("", item.clone())), verb, spec, output);
        }
        GoValue::Map(map) => {
            output.push_str(if spec.go_syntax { value.type_name() } else { "map" });
            output.push(if spec.go_syntax { '{' } else { '[' });
            for (index, (key, item)) in map.iter().enumerate() {
                if index > 0 {
                    output.push_str(if spec.go_syntax { ", " } else { " " });
                }
                text(key, verb, spec, output);
                output.push(':');
                part(item, verb, spec, output);
            }
            output.push(if spec.go_syntax { '}' } else { ']' });
        }
        GoValue::Pair(pair) => {
            let members = [("Key", GoValue::Text(pair.key.clone())), ("Value", GoValue::Text(pair.value.clone()))];
            record(value, members, verb, spec, output);
        }
        GoValue::Srv(srv) => {
            let number = |number: u16| GoValue::Unsigned(u64::from(number), "uint16");
            let members = [
                ("Target", GoValue::from(srv.target.as_str())),
                ("Port", number(srv.port)),
                ("Priority", number(srv.priority)),
                ("Weight", number(srv.weight)),
            ];
            record(value, members, verb, spec, output);
        }
        GoValue::Text(content) | GoValue::Safe(content) => text(content, verb, spec, output),
        GoValue::Named(name, ..) if is_for_texts(verb) && !spec.go_syntax => text(name, verb, spec, output),
        GoValue::Time(moment) if is_for_texts(verb) => text(&time::text(moment), verb, spec, output),
        GoValue::Int(number) | GoValue::Named(_, number, _) if is_for_integers(verb) => {
            integer(value, i128::from(*number), verb, spec, output);
        }
        GoValue::Unsigned(number, _) if is_for_integers(verb) => {
            integer(value, i128::from(*number), verb, spec, output);
        }
        GoValue::Float(number) if is_for_floats(verb) => floating(*number, verb, spec, output),
        GoValue::Bool(truth) if matches!(verb, 't' | 'v') => pad(if *truth { "true" } else { "false" }, spec, output),
        _ => bad_verb(value, verb, spec, output),
    }
}

/// Checks whether a verb prints texts, and values that have a text, as that text.
fn is_for_texts(verb: char) -> bool {
    matches!(verb, 'v' | 's' | 'q' | 'x' | 'X')
}

/// Writes a part of a list, map or record: nil there has no verb.
fn part(item: &GoValue, verb: char, spec: Spec, output: &mut String) {
    match (item.is_nil(), spec.go_syntax) {
        (true, true) => output.push_str("interface {}(nil)"),
        (true, false) => output.push_str("<nil>"),
        (false, _) => value(item, verb, spec, output),
    }
}

fn record(
    value: &GoValue,
    members: impl IntoIterator<Item = (&'static str, GoValue)>,
    verb: char,
    spec: Spec,
    output: &mut String,
) {
    if spec.go_syntax {
        output.push_str(value.type_name());
    }
    let named = spec.go_syntax || spec.named;
    let members = members.into_iter().map(|(name, member)| (if named { name } else { "" }, member));
    parts("{", if spec.go_syntax { ", " } else { " " }, "}", members, verb, spec, output);
}

fn parts(
    open: &str,
    between: &str,
    close: &str,
    items: impl Iterator<Item = (&'static str, GoValue)>,
    verb: char,
    spec: Spec,
    output: &mut String,
) {
    output.push_str(open);
    for (index, (name, item)) in items.enumerate() {
        if index > 0 {
            output.push_str(between);
        }
        if !name.is_empty() {
            output.push_str(name);
            output.push(':');
        }
        part(&item, verb, spec, output);
    }
    output.push_str(close);
}

/// Writes the complaint about a verb that does not fit the type; flags, width and precision stay.
fn bad_verb(wrong: &GoValue, verb: char, spec: Spec, output: &mut String) {
    output.push_str(&format!("%!{verb}({}=", wrong.type_name()));
    match wrong {
        GoValue::Named(_, number, _) => integer(wrong, i128::from(*number), 'v', spec, output),
        _ => value(wrong, 'v', spec, output),
    }
    output.push(')');
}

fn text(content: &str, verb: char, spec: Spec, output: &mut String) {
    // The keys of a map come here by themselves.
    if output.len() > MAX_BYTES {
        return;
    }
    let cut: String;
    let content = match spec.precision {
        Some(precision) if verb != 'x' && verb != 'X' => {
            cut = content.chars().take(precision).collect();
            &cut
        }
        _ => content,
    };
    let quoted_verb = verb == 'q' || (verb == 'v' && spec.go_syntax);
    // The sharp of `%#v` asks for Go's syntax, and of `%#q` for back quotes.
    match verb {
        _ if quoted_verb && spec.sharp && quote::can_be_raw(content) => pad(&format!("`{content}`"), spec, output),
        _ if quoted_verb => pad(&quote::double(content, spec.plus), spec, output),
        's' | 'v' => pad(content, spec, output),
        'x' | 'X' => {
            let bytes = &content.as_bytes()[..spec.precision.unwrap_or(content.len()).min(content.len())];
            pad(&hexadecimal(bytes, verb == 'X', spec), spec, output);
        }
        _ => bad_verb(&GoValue::from(content), verb, spec, output),
    }
}

/// Writes two digits a byte; with the flag for blanks, each has its own prefix.
fn hexadecimal(bytes: &[u8], is_upper: bool, spec: Spec) -> String {
    let prefix = match (spec.sharp, is_upper) {
        (false, _) => "",
        (true, false) => "0x",
        (true, true) => "0X",
    };
    let digits: &[u8; 16] = if is_upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    let mut text = String::with_capacity(bytes.len() * if spec.space { 3 + prefix.len() } else { 2 } + prefix.len());
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 && spec.space {
            text.push(' ');
        }
        if index == 0 || spec.space {
            text.push_str(prefix);
        }
        text.extend([byte >> 4, byte & 15].map(|digit| char::from(digits[usize::from(digit)])));
    }
    text
}
