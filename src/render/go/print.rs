//! How Go prints values where no format is asked for: `{{ value }}`, `print`, `println`, and the verb `%v`.

use std::fmt::Write;

use super::float;
use super::time;
use super::value::Value;

/// What an action prints.
pub(super) fn action(value: &Value, output: &mut String) {
    match value {
        Value::Missing | Value::Nil => output.push_str("<no value>"),
        other => plain(other, output),
    }
}

/// `%v`.
pub(super) fn plain(value: &Value, output: &mut String) {
    // Writing to a string cannot fail.
    let _infallible = match value {
        Value::Missing | Value::Nil => output.write_str("<nil>"),
        Value::Bool(value) => write!(output, "{value}"),
        Value::Int(number) => write!(output, "{number}"),
        Value::Unsigned(number, _) => write!(output, "{number}"),
        Value::Float(number) => output.write_str(&float::shortest(*number)),
        Value::Text(text) | Value::Safe(text) => output.write_str(text),
        Value::Named(name, ..) => output.write_str(name),
        Value::Time(time) => output.write_str(&time::text(time)),
        Value::Pair(pair) => write!(output, "{{{} {}}}", pair.key, pair.value),
        Value::Srv(srv) => write!(output, "{{{} {} {} {}}}", srv.target, srv.port, srv.priority, srv.weight),
        Value::List(_, items) => {
            output.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    output.push(' ');
                }
                plain(item, output);
            }
            output.write_char(']')
        }
        Value::Map(map) => {
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

/// `print`: a blank only between two values of which neither is text.
pub(super) fn joined(values: &[Value]) -> String {
    let mut output = String::new();
    for (index, value) in values.iter().enumerate() {
        if index > 0 && value.as_text().is_none() && values[index - 1].as_text().is_none() {
            output.push(' ');
        }
        plain(value, &mut output);
    }
    output
}

/// `println`: a blank between all values, a line break after them.
pub(super) fn line(values: &[Value]) -> String {
    let mut output = String::new();
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            output.push(' ');
        }
        plain(value, &mut output);
    }
    output.push('\n');
    output
}
