//! Numbers by a verb. Facts of Go's fmt and strconv: which flag pads, signs and rounds what.

use super::spec::{Spec, pad};
use crate::render::go::float;
use crate::render::go::value::GoValue;
use crate::render::library::quote;

/// Checks whether a verb prints whole numbers.
pub(super) fn is_for_integers(verb: char) -> bool {
    "vdboOxXcqU".contains(verb)
}

/// Checks whether a verb prints fractions.
pub(super) fn is_for_floats(verb: char) -> bool {
    "vgGeEfFbxX".contains(verb)
}

/// Writes digits with a sign or a prefix and, by precision or the flag `0`, zeros before them.
pub(super) fn integer(value: &GoValue, number: i128, verb: char, spec: Spec, output: &mut String) {
    let size = number.unsigned_abs();
    let (digits, prefix) = match verb {
        'v' if spec.go_syntax && matches!(value, GoValue::Unsigned(..)) => (format!("{size:x}"), "0x"),
        'b' => (format!("{size:b}"), "0b"),
        'o' | 'O' => (format!("{size:o}"), "0"),
        'x' => (format!("{size:x}"), "0x"),
        'X' => (format!("{size:X}"), "0X"),
        'c' | 'q' | 'U' => return character(number, verb, spec, output),
        _ => (size.to_string(), ""),
    };
    if spec.precision == Some(0) && number == 0 {
        return pad("", Spec { zero: false, ..spec }, output);
    }
    let sign = match (number < 0, spec.plus, spec.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    };
    let least_digits = match (spec.precision, spec.width) {
        (Some(precision), _) => precision,
        (None, Some(width)) if spec.zero && !spec.minus => width - sign.len().min(width),
        _ => 0,
    };
    let zeros = "0".repeat(least_digits.saturating_sub(digits.len()));
    let digits = zeros + &digits;
    let prefix = match (spec.sharp || (verb == 'v' && !prefix.is_empty()), verb) {
        (true, 'o' | 'O') if digits.starts_with('0') => "",
        (true, _) => prefix,
        (false, _) => "",
    };
    let octal = if verb == 'O' { "0o" } else { "" };
    pad(&format!("{sign}{octal}{prefix}{digits}"), Spec { zero: false, ..spec }, output);
}

fn character(number: i128, verb: char, spec: Spec, output: &mut String) {
    let known = u32::try_from(number).ok().and_then(char::from_u32);
    let c = known.unwrap_or('\u{fffd}');
    match verb {
        'c' => pad(&c.to_string(), spec, output),
        'q' => pad(&quote::single(c, spec.plus), spec, output),
        _ => {
            // As 64 bits: a negative number is a large one there.
            let digits = format!("{:X}", number & i128::from(u64::MAX));
            let least = spec.precision.unwrap_or(0).max(4);
            let mut content = format!("U+{}{digits}", "0".repeat(least.saturating_sub(digits.len())));
            if let Some(c) = known.filter(|c| spec.sharp && quote::is_printable(*c)) {
                content.push_str(&format!(" '{c}'"));
            }
            pad(&content, Spec { zero: false, ..spec }, output);
        }
    }
}

/// Writes a fraction, by a verb for fractions.
pub(super) fn floating(number: f64, verb: char, spec: Spec, output: &mut String) {
    let mut content = match verb {
        'e' | 'E' => float::scientific(number, spec.precision.unwrap_or(6)),
        'f' | 'F' => float::fixed(number, spec.precision.unwrap_or(6)),
        'b' => float::binary(number),
        'x' | 'X' => float::hexadecimal(number, spec.precision),
        _ => float::general(number, spec.precision),
    };
    if matches!(verb, 'E' | 'G' | 'X') && number.is_finite() {
        content = content.to_uppercase();
    }
    if !content.starts_with(['+', '-']) {
        content.insert(0, if spec.space && !spec.plus { ' ' } else { '+' });
    }
    if !number.is_finite() {
        let bare = number.is_nan() && !spec.space && !spec.plus;
        let content = if bare { &content[1..] } else { &content };
        return pad(content, Spec { zero: false, ..spec }, output);
    }
    if spec.sharp && verb != 'b' {
        content = with_point(&content, verb, spec.precision);
    }
    let (sign, digits) = content.split_at(1);
    if sign == "+" && !spec.plus {
        return pad(digits, spec, output);
    }
    if !(spec.zero && !spec.minus && spec.width.is_some_and(|width| width > content.len())) {
        return pad(&content, spec, output);
    }
    output.push_str(sign);
    pad(digits, Spec { width: spec.width.map(|width| width - 1), ..spec }, output);
}

/// Applies the flag `#`: there is always a point, and `%g` keeps zeros up to its precision, which is 6 by default.
fn with_point(content: &str, verb: char, precision: Option<usize>) -> String {
    let exponents: &[char] = if matches!(verb, 'x' | 'X') { &['p', 'P'] } else { &['e', 'E', 'p', 'P'] };
    let (number, exponent) = content.split_at(content.find(exponents).unwrap_or(content.len()));
    // As in Go, the x of `%#x` counts as a digit.
    let shown = match &number[1..] {
        "0" => 1,
        digits => digits.chars().filter(|c| *c != '.').skip_while(|c| *c == '0').count(),
    };
    let wanted = if matches!(verb, 'v' | 'g' | 'G' | 'x') { precision.unwrap_or(6) } else { 0 };
    let point = if number.contains('.') { "" } else { "." };
    format!("{number}{point}{}{exponent}", "0".repeat(wanted.saturating_sub(shown)))
}
