//! Numbers: calculating with them, counting, reading them from text. Pure.

use crate::model::problem::Problem;

/// A number of a template.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::render) enum Operand {
    Whole(i128),
    Fraction(f64),
}

impl Operand {
    fn as_float(self) -> f64 {
        match self {
            Operand::Whole(number) => number as f64,
            Operand::Fraction(number) => number,
        }
    }
}

/// A calculation with two numbers: whole ones stay whole; if either has a fraction, the result has one too.
pub(in crate::render) type Calculation = fn(Operand, Operand) -> Result<Operand, Problem>;

pub(in crate::render) fn add(a: Operand, b: Operand) -> Result<Operand, Problem> {
    calculate(a, b, i128::checked_add, |a, b| a + b)
}

pub(in crate::render) fn subtract(a: Operand, b: Operand) -> Result<Operand, Problem> {
    calculate(a, b, i128::checked_sub, |a, b| a - b)
}

pub(in crate::render) fn multiply(a: Operand, b: Operand) -> Result<Operand, Problem> {
    calculate(a, b, i128::checked_mul, |a, b| a * b)
}

pub(in crate::render) fn divide(a: Operand, b: Operand) -> Result<Operand, Problem> {
    check_not_zero(b, "division by zero")?;
    calculate(a, b, i128::checked_div, |a, b| a / b)
}

pub(in crate::render) fn modulo(a: Operand, b: Operand) -> Result<Operand, Problem> {
    check_not_zero(b, "modulo by zero")?;
    calculate(a, b, i128::checked_rem, |a, b| a % b)
}

fn calculate(
    a: Operand,
    b: Operand,
    whole: fn(i128, i128) -> Option<i128>,
    fractional: fn(f64, f64) -> f64,
) -> Result<Operand, Problem> {
    let result = match (a, b) {
        (Operand::Whole(a), Operand::Whole(b)) => whole(a, b).map(Operand::Whole),
        _ => Some(fractional(a.as_float(), b.as_float())).filter(|result| result.is_finite()).map(Operand::Fraction),
    };
    result.ok_or_else(out_of_range)
}

/// Returns the error for a number that does not fit.
pub(in crate::render) fn out_of_range() -> Problem {
    Problem::new("the result is out of range")
}

fn check_not_zero(number: Operand, message: &str) -> Result<(), Problem> {
    if number.as_float() == 0.0 { Err(Problem::new(message)) } else { Ok(()) }
}

/// Longest list that `seq` makes: a count out of the store must not exhaust memory.
const MAX_ITEMS: u128 = 100_000;

/// Counts from one number to the other, upwards or downwards, both included.
pub(in crate::render) fn seq(first: i128, last: i128) -> Result<Vec<i128>, Problem> {
    if first.abs_diff(last) >= MAX_ITEMS {
        return Err(Problem::new(format!("would give more than {MAX_ITEMS} numbers")));
    }
    Ok(if first <= last { (first..=last).collect() } else { (last..=first).rev().collect() })
}

/// Reads a decimal integer.
///
/// # Errors
/// A phrase about the text: "is not …".
pub(in crate::render) fn atoi(text: &str) -> Result<i64, &'static str> {
    text.parse().map_err(|_| "is not a decimal integer")
}

/// Reads a boolean as Go's `strconv.ParseBool` does.
///
/// # Errors
/// A phrase about the text: "is neither …".
pub(in crate::render) fn parse_bool(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("is neither true nor false"),
    }
}
