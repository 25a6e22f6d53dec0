//! Numbers: calculating with them, reading them from text.

use tera::{Number, Value};

use super::call::Call;
use super::{Form, Function};
use crate::render::error::Failure;
use crate::render::session::Session;

const OPERANDS: &[&str] = &["a", "b"];

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "add", alias: None, arguments: OPERANDS, form: Form::Both("a"), run: add },
    Function { name: "sub", alias: None, arguments: OPERANDS, form: Form::Both("a"), run: sub },
    Function { name: "mul", alias: None, arguments: OPERANDS, form: Form::Both("a"), run: mul },
    Function { name: "div", alias: None, arguments: OPERANDS, form: Form::Both("a"), run: div },
    Function { name: "mod", alias: None, arguments: OPERANDS, form: Form::Both("a"), run: modulo },
    Function { name: "atoi", alias: None, arguments: &["text"], form: Form::Both("text"), run: atoi },
    Function {
        name: "parse_bool",
        alias: Some("parseBool"),
        arguments: &["text"],
        form: Form::Both("text"),
        run: parse_bool,
    },
];

fn add(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    calculate(call, i128::checked_add, |a, b| a + b)
}

fn sub(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    calculate(call, i128::checked_sub, |a, b| a - b)
}

fn mul(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    calculate(call, i128::checked_mul, |a, b| a * b)
}

fn div(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    not_by_zero(call, "division")?;
    calculate(call, i128::checked_div, |a, b| a / b)
}

fn modulo(call: &Call<'_>, _: &mut Session) -> Result<Value, Failure> {
    not_by_zero(call, "modulo")?;
    calculate(call, i128::checked_rem, |a, b| a % b)
}

/// Whole numbers stay whole; with a fraction on either side the result has one too.
fn calculate(
    call: &Call<'_>,
    whole: fn(i128, i128) -> Option<i128>,
    fractional: fn(f64, f64) -> f64,
) -> Result<Value, Failure> {
    let (a, b) = (call.number("a")?, call.number("b")?);
    let result = match (a, b) {
        (Number::Integer(a), Number::Integer(b)) => whole(a, b).map(Value::from),
        _ => Some(fractional(a.as_float(), b.as_float())).filter(|result| result.is_finite()).map(Value::from),
    };
    result.ok_or_else(|| call.failure("the result is out of range"))
}

fn not_by_zero(call: &Call<'_>, what: &str) -> Result<(), Failure> {
    if call.number("b")?.as_float() == 0.0 { Err(call.failure(format!("{what} by zero"))) } else { Ok(()) }
}

fn atoi(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    let text = call.text("text")?;
    let number: i64 =
        text.parse().map_err(|_| call.failure(format!("{} is not a decimal integer", session.origin(text))))?;
    Ok(Value::from(number))
}

fn parse_bool(call: &Call<'_>, session: &mut Session) -> Result<Value, Failure> {
    let text = call.text("text")?;
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::from(true)),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::from(false)),
        _ => Err(call
            .failure(format!("{} is neither true nor false", session.origin(text)))
            .hint("1, t, T, true, TRUE, True; 0, f, F, false, FALSE, False")),
    }
}
