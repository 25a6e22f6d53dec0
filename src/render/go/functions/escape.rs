//! Go's escapes for other languages, and ours for nginx.

use std::fmt::Write;
use std::sync::Arc;

use crate::render::go::print;
use crate::render::library::quote;

use super::function::{GoFunction, Parameter, made, native, text, variadic};
use crate::model::problem::Problem;
use crate::render::go::run::GoRun;
use crate::render::go::value::GoValue;

pub(super) const FUNCTIONS: &[GoFunction] = &[
    variadic("html", &[], Parameter::Any, |values, _| made(html(&printed(values)?))),
    variadic("js", &[], Parameter::Any, |values, _| made(js(&printed(values)?))),
    variadic("urlquery", &[], Parameter::Any, |values, _| made(urlquery(&printed(values)?))),
    native("nginxString", &[Parameter::Text], nginx_string),
];

/// Returns the text to escape: the arguments as `print` joins them.
fn printed(values: &[GoValue]) -> Result<String, Problem> {
    let named: Vec<GoValue> =
        values.iter().map(|value| if value.is_nil() { GoValue::from("<no value>") } else { value.clone() }).collect();
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

/// Returns one quoted argument of an nginx directive: safe to print.
fn nginx_string(values: &[GoValue], run: &mut GoRun) -> Result<GoValue, Problem> {
    let text = text(&values[0]);
    let quoted = quote::nginx_string(text).map_err(|what| Problem::new(run.session.about(text, what)))?;
    Ok(GoValue::Safe(Arc::from(quoted)))
}
