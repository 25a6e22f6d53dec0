//! Numbers as Go templates write them, and numbers as Go prints them.

use super::node::Number;

/// Reads a number, or a character in single quotes.
pub(super) fn parse(text: &str) -> Result<Number, String> {
    let wrong = || format!("`{}` is not a number", text.escape_debug());
    if let Some(quoted) = text.strip_prefix('\'') {
        let code = character(quoted.strip_suffix('\'').unwrap_or(quoted)).ok_or_else(wrong)?;
        return Ok(whole(text, i64::from(code)));
    }
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        _ => (10, lower.as_str()),
    };
    if !separated_rightly(body, radix, radix != 10) {
        return Err(wrong());
    }
    let plain: String = body.chars().filter(|c| *c != '_').collect();
    let is_float = plain.contains('.') || plain.contains(if radix == 16 { 'p' } else { 'e' });
    if !is_float {
        let legacy_octal = radix == 10 && plain.len() > 1 && plain.starts_with('0');
        let radix = if legacy_octal { 8 } else { radix };
        if plain.is_empty() || !plain.chars().all(|c| c.is_digit(radix)) {
            return Err(wrong());
        }
        let magnitude = u128::from_str_radix(&plain, radix).map_err(|_| format!("`{text}` is too large"))?;
        let signed = i128::try_from(magnitude).map_err(|_| format!("`{text}` is too large"))?;
        let signed = if negative { -signed } else { signed };
        if magnitude > u128::from(u64::MAX) || i64::try_from(signed).is_err() && negative {
            return Err(format!("`{text}` is too large"));
        }
        let integer = i64::try_from(signed).ok();
        return Ok(Number {
            text: text.to_owned(),
            integer,
            float: signed as f64,
            overflows: integer.is_none(),
            is_float,
        });
    }
    let magnitude = match radix {
        10 if plain.chars().all(|c| c.is_ascii_digit() || ".e+-".contains(c)) => plain.parse().map_err(|_| wrong())?,
        16 => hexadecimal(&plain).ok_or_else(wrong)?,
        _ => return Err(wrong()),
    };
    let float: f64 = if negative { -magnitude } else { magnitude };
    if !float.is_finite() {
        return Err(format!("`{text}` is too large"));
    }
    let integer = (float.trunc() == float && float.abs() < 9.2e18).then_some(float as i64);
    // `1e3` and `1.0` can serve as integers; by themselves they are floats.
    Ok(Number { text: text.to_owned(), integer, float, overflows: false, is_float: true })
}

fn whole(text: &str, value: i64) -> Number {
    Number { text: text.to_owned(), integer: Some(value), float: value as f64, overflows: false, is_float: false }
}

/// Returns the code of the one character between single quotes, escapes read.
fn character(inside: &str) -> Option<u32> {
    let mut chars = inside.chars();
    match (chars.next()?, chars.next()) {
        ('\\', Some(escape)) => match escape {
            'a' => Some(7),
            'b' => Some(8),
            'f' => Some(12),
            'n' => Some(10),
            'r' => Some(13),
            't' => Some(9),
            'v' => Some(11),
            '\\' | '\'' => Some(u32::from(escape)),
            'x' | 'u' | 'U' => u32::from_str_radix(chars.as_str(), 16).ok(),
            _ => u32::from_str_radix(&inside[1..], 8).ok(),
        },
        (c, None) => Some(u32::from(c)),
        _ => None,
    }
}

/// Checks that every `_` stands between digits, or between the radix and the first digit.
fn separated_rightly(body: &str, radix: u32, after_prefix: bool) -> bool {
    let mut before = if after_prefix { Some('0') } else { None };
    let mut chars = body.chars().peekable();
    while let Some(c) = chars.next() {
        let between = |c: Option<char>| c.is_some_and(|c| c.is_digit(radix));
        if c == '_' && !(between(before) && between(chars.peek().copied())) {
            return false;
        }
        before = Some(c);
    }
    true
}

/// Reads `1.8p3`, without its `0x`.
fn hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0_f64;
    for digit in whole.chars() {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let mut scale = 1.0 / 16.0;
    for digit in fraction.chars() {
        value += f64::from(digit.to_digit(16)?) * scale;
        scale /= 16.0;
    }
    Some(value * 2.0_f64.powi(exponent))
}
