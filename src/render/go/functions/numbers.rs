//! Whole numbers: calculating with them, counting, reading them from text.

use std::sync::Arc;

use super::function::{GoFunction, Parameter, TEXT, integer, native, text};
use crate::model::problem::Problem;
use crate::render::go::run::GoRun;
use crate::render::go::value::{GoValue, ItemType};
use crate::render::library::numbers::{self, Calculation, Operand};

const TWO: &[Parameter] = &[Parameter::Int, Parameter::Int];

pub(super) const FUNCTIONS: &[GoFunction] = &[
    native("add", TWO, |values, _| calculate(values, numbers::add)),
    native("sub", TWO, |values, _| calculate(values, numbers::subtract)),
    native("mul", TWO, |values, _| calculate(values, numbers::multiply)),
    native("div", TWO, |values, _| calculate(values, numbers::divide)),
    native("mod", TWO, |values, _| calculate(values, numbers::modulo)),
    native("seq", TWO, seq),
    native("atoi", TEXT, atoi),
    native("parseBool", TEXT, parse_bool),
];

fn calculate(values: &[GoValue], calculation: Calculation) -> Result<GoValue, Problem> {
    match calculation(Operand::Whole(integer(&values[0])), Operand::Whole(integer(&values[1])))? {
        Operand::Whole(result) => int(result),
        Operand::Fraction(_) => Err(numbers::out_of_range()),
    }
}

fn int(number: i128) -> Result<GoValue, Problem> {
    i64::try_from(number).map(GoValue::Int).map_err(|_| numbers::out_of_range())
}

fn seq(values: &[GoValue], _: &mut GoRun) -> Result<GoValue, Problem> {
    let numbers = numbers::seq(integer(&values[0]), integer(&values[1]))?.into_iter().map(int);
    Ok(GoValue::List(ItemType::Ints, Arc::new(numbers.collect::<Result<_, _>>()?)))
}

fn atoi(values: &[GoValue], run: &mut GoRun) -> Result<GoValue, Problem> {
    let text = text(&values[0]);
    numbers::atoi(text).map(GoValue::Int).map_err(|what| Problem::new(run.session.about(text, what)))
}

fn parse_bool(values: &[GoValue], run: &mut GoRun) -> Result<GoValue, Problem> {
    let text = text(&values[0]);
    numbers::parse_bool(text).map(GoValue::Bool).map_err(|what| Problem::new(run.session.about(text, what)))
}
