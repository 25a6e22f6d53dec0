//! Go's escapes for other languages, and ours for nginx.

use std::fmt::Write;
use std::sync::Arc;

use super::super::print;
use crate::render::library::quote;

use super::super::value::Value;
use super::{Function, Type, made, native, text, variadic};
use crate::nginx::quote::quoted;
use crate::render::error::Failure;
use crate::render::session::Session;

pub(super) const FUNCTIONS: &[Function] = &[
    variadic("html", &[], Type::Any, |values, _| made(html(&printed(values)))),
    variadic("js", &[], Type::Any, |values, _| made(js(&printed(values)))),
    variadic("urlquery", &[], Type::Any, |values, _| made(urlquery(&printed(values)))),
    native("nginxString", &[Type::Text], nginx_string),
];

/// What is to be escaped: the arguments as `print` joins them.
fn printed(values: &[Value]) -> String {
    let named: Vec<Value> =
        values.iter().map(|value| if value.is_nil() { Value::from("<no value>") } else { value.clone() }).collect();
    print::joined(&named)
}

fn html(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => output.push('\u{fffd}'),
            '"' => output.push_str("&#34;"),
            '\'' => output.push_str("&#39;"),
            '&' => output.push_str("&amp;"),
            '<' => output.push_str("&lt;"),
            '>' => output.push_str("&gt;"),
            c => output.push(c),
        }
    }
    output
}

fn js(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => output.extend(['\\', c]),
            '\x7f' => output.push(c),
            c if matches!(c, '<' | '>' | '&' | '=') || !quote::is_printable(c) => {
                // Writing to a string cannot fail.
                let _infallible = write!(output, "\\u{:04X}", u32::from(c));
            }
            c => output.push(c),
        }
    }
    output
}

fn urlquery(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => output.push('+'),
            b'-' | b'_' | b'.' | b'~' => output.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => output.push(char::from(byte)),
            byte => {
                // Writing to a string cannot fail.
                let _infallible = write!(output, "%{byte:02X}");
            }
        }
    }
    output
}

fn nginx_string(values: &[Value], session: &mut Session) -> Result<Value, Failure> {
    let text = text(&values[0]);
    let quoted = quoted(text).map_err(|harm| {
        Failure::new(format!("{} {harm}, and cannot be quoted in an nginx file", session.origin(text)))
    })?;
    Ok(Value::Safe(Arc::from(quoted)))
}
