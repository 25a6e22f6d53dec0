//! Values as Go prints them without a format: `{{ value }}`, `print`, `println`, and the verb `%v`.

use std::fmt::Write;

use super::float;
use super::time;
use super::value::GoValue;
use crate::model::problem::Problem;
use crate::render::library::text::check_size;

/// Writes a value as an action prints it.
pub(super) fn action(value: &GoValue, output: &mut String) {
    match value {
        GoValue::Missing | GoValue::Nil => output.push_str("<no value>"),
        other => plain(other, output),
    }
}

/// Writes a value as `%v` does.
pub(super) fn plain(value: &GoValue, output: &mut String) {
    // Writing to a string cannot fail.
    let _infallible = match value {
        GoValue::Missing | GoValue::Nil => output.write_str("<nil>"),
        GoValue::Bool(value) => write!(output, "{value}"),
        GoValue::Int(number) => write!(output, "{number}"),
        GoValue::Unsigned(number, _) => write!(output, "{number}"),
        GoValue::Float(number) => output.write_str(&float::shortest(*number)),
        GoValue::Text(text) | GoValue::Safe(text) => output.write_str(text),
        GoValue::Named(name, ..) => output.write_str(name),
        GoValue::Time(time) => output.write_str(&time::text(time)),
        GoValue::Pair(pair) => write!(output, "{{{} {}}}", pair.key, pair.value),
        GoValue::Srv(srv) => write!(output, "{{{} {} {} {}}}", srv.target, srv.port, srv.priority, srv.weight),
        GoValue::List(_, items) => {
            output.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    output.push(' ');
                }
                plain(item, output);
            }
            output.write_char(']')
        }
        GoValue::Map(map) => {
            output.push_str("map[");
            for (index, (key, item)) in map.iter().enumerate() {
                if index > 0 {
                    output.push(' ');
                }
                output.push_str(key);
                output.push(':');
                plain(item, output);
            }
            output.write_char(']')
        }
    };
}

/// Joins values as `print` does: a blank only between two values of which neither is text. Ends with the first that makes it too long.
pub(super) fn joined(values: &[GoValue]) -> Result<String, Problem> {
    let mut output = String::new();
    for (index, value) in values.iter().enumerate() {
        if index > 0 && value.as_text().is_none() && values[index - 1].as_text().is_none() {
            output.push(' ');
        }
        plain(value, &mut output);
        check_size(output.len(), 0, 0)?;
    }
    Ok(output)
}

/// Joins values as `println` does: a blank between all values, a line break after them. Ends with the first that makes it too long.
pub(super) fn line(values: &[GoValue]) -> Result<String, Problem> {
    let mut output = String::new();
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            output.push(' ');
        }
        plain(value, &mut output);
        check_size(output.len(), 0, 1)?;
    }
    output.push('\n');
    Ok(output)
}
