//! Numbers: calculating with them, reading them from text.

use tera::Value;

use super::call::{TeraCall, TeraFunction, both};
use crate::model::problem::Problem;
use crate::render::library::numbers::{self, Calculation, Operand};
use crate::render::tera::run::TeraRun;

const OPERANDS: &[&str] = &["a", "b"];
pub(super) const FUNCTIONS: &[TeraFunction] = &[
    both("add", OPERANDS, |c, _| calculate(c, numbers::add)),
    both("sub", OPERANDS, |c, _| calculate(c, numbers::subtract)),
    both("mul", OPERANDS, |c, _| calculate(c, numbers::multiply)),
    both("div", OPERANDS, |c, _| calculate(c, numbers::divide)),
    both("mod", OPERANDS, |c, _| calculate(c, numbers::modulo)),
    both("atoi", &["text"], atoi),
    both("parse_bool", &["text"], parse_bool).alias("parseBool"),
];

fn calculate(call: &TeraCall<'_>, calculation: Calculation) -> Result<Value, Problem> {
    Ok(match call.named(calculation(call.number("a")?, call.number("b")?))? {
        Operand::Whole(number) => Value::from(number),
        Operand::Fraction(number) => Value::from(number),
    })
}

fn atoi(call: &TeraCall<'_>, run: &mut TeraRun) -> Result<Value, Problem> {
    let text = call.text("text")?;
    numbers::atoi(text).map(Value::from).map_err(|what| call.failure(run.session.about(text, what)))
}

fn parse_bool(call: &TeraCall<'_>, run: &mut TeraRun) -> Result<Value, Problem> {
    let text = call.text("text")?;
    numbers::parse_bool(text).map(Value::from).map_err(|what| {
        call.failure(run.session.about(text, what)).hint("1, t, T, true, TRUE, True; 0, f, F, false, FALSE, False")
    })
}
