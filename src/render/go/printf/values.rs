//! Values by a verb: texts, and the parts of lists, maps and records.

use super::numbers::{floating, integer};
use super::{MOST_BYTES, Spec};
use crate::render::go::time;
use crate::render::go::value::Value;
use crate::render::library::quote;

/// One value: lists, maps and records have the verb applied to each of their parts.
pub(super) fn value(value: &Value, verb: char, spec: Spec, output: &mut String) {
    if output.len() > MOST_BYTES {
        return;
    }
    match value {
        Value::Missing | Value::Nil if matches!(verb, 'v' | 'T') => pad("<nil>", spec, output),
        Value::Missing | Value::Nil => output.push_str(&format!("%!{verb}(<nil>)")),
        _ if verb == 'T' => text(value.type_name(), 's', spec, output),
        Value::List(_, items) => {
            let (open, between, close) = if spec.go_syntax { ("{", ", ", "}") } else { ("[", " ", "]") };
            if spec.go_syntax {
                output.push_str(value.type_name());
            }
            parts(open, between, close, items.iter().map(|item| ("", item.clone())), verb, spec, output);
        }
        Value::Map(map) => {
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
        Value::Pair(pair) => {
            let members = [("Key", Value::Text(pair.key.clone())), ("Value", Value::Text(pair.value.clone()))];
            record(value, members, verb, spec, output);
        }
        Value::Srv(srv) => {
            let number = |number: u16| Value::Unsigned(u64::from(number), "uint16");
            let members = [
                ("Target", Value::from(srv.target.as_str())),
                ("Port", number(srv.port)),
                ("Priority", number(srv.priority)),
                ("Weight", number(srv.weight)),
            ];
            record(value, members, verb, spec, output);
        }
        Value::Text(content) | Value::Safe(content) => text(content, verb, spec, output),
        Value::Named(name, ..) if is_for_texts(verb) && !spec.go_syntax => text(name, verb, spec, output),
        Value::Time(moment) if is_for_texts(verb) => text(&time::text(moment), verb, spec, output),
        Value::Int(number) | Value::Named(_, number, _) => integer(value, i128::from(*number), verb, spec, output),
        Value::Unsigned(number, _) => integer(value, i128::from(*number), verb, spec, output),
        Value::Float(number) => floating(value, *number, verb, spec, output),
        Value::Bool(truth) if matches!(verb, 't' | 'v') => pad(if *truth { "true" } else { "false" }, spec, output),
        Value::Bool(_) | Value::Time(_) => bad_verb(value, verb, spec, output),
    }
}

/// The verbs that print what has a text as that text.
fn is_for_texts(verb: char) -> bool {
    matches!(verb, 'v' | 's' | 'q' | 'x' | 'X')
}

/// A part of a list, map or record: nil there has no verb.
fn part(item: &Value, verb: char, spec: Spec, output: &mut String) {
    match (item.is_nil(), spec.go_syntax) {
        (true, true) => output.push_str("interface {}(nil)"),
        (true, false) => output.push_str("<nil>"),
        (false, _) => value(item, verb, spec, output),
    }
}

fn record(
    value: &Value,
    members: impl IntoIterator<Item = (&'static str, Value)>,
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
    items: impl Iterator<Item = (&'static str, Value)>,
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

/// A verb that is not for this type; flags, width and precision stay.
pub(super) fn bad_verb(wrong: &Value, verb: char, spec: Spec, output: &mut String) {
    output.push_str(&format!("%!{verb}({}=", wrong.type_name()));
    match wrong {
        Value::Named(_, number, _) => integer(wrong, i128::from(*number), 'v', spec, output),
        _ => value(wrong, 'v', spec, output),
    }
    output.push(')');
}

/// Fills up to the width.
pub(super) fn pad(content: &str, spec: Spec, output: &mut String) {
    let missing = spec.width.unwrap_or(0).saturating_sub(content.chars().count());
    if spec.minus {
        output.push_str(content);
        output.extend(std::iter::repeat_n(' ', missing));
    } else {
        output.extend(std::iter::repeat_n(if spec.zero { '0' } else { ' ' }, missing));
        output.push_str(content);
    }
}

fn text(content: &str, verb: char, spec: Spec, output: &mut String) {
    // The keys of a map come here by themselves.
    if output.len() > MOST_BYTES {
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
        _ => bad_verb(&Value::from(content), verb, spec, output),
    }
}

/// Two digits a byte; with the flag for blanks, each has its own prefix.
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
