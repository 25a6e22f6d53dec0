//! Converts a plain scalar of YAML to text, as Go's yaml.v3 reads it and confd writes it: integers in decimal, floats
//! without an exponent, `true` and `false` in lower case, nothing for null. Never changes any other text.

/// Returns the text of a scalar that has neither quotes nor a tag; `None` for null.
pub(super) fn plain(text: &str) -> Option<String> {
    let number = || match text.as_bytes().first() {
        Some(b'0'..=b'9' | b'+' | b'-') => {
            let digits = text.replace('_', "");
            integer(&digits).map(|number| number.to_string()).or_else(|| float(&digits))
        }
        Some(b'.') if separates_digits(text) => float(&text.replace('_', "")),
        _ => None,
    };
    match text {
        "" | "~" | "null" | "Null" | "NULL" => None,
        "True" | "TRUE" => Some("true".to_owned()),
        "False" | "FALSE" => Some("false".to_owned()),
        ".nan" | ".NaN" | ".NAN" => Some("NaN".to_owned()),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Some("+Inf".to_owned()),
        "-.inf" | "-.Inf" | "-.INF" => Some("-Inf".to_owned()),
        _ => Some(number().unwrap_or_else(|| text.to_owned())),
    }
}

/// Returns whether each `_` is between two digits.
fn separates_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    bytes
        .iter()
        .enumerate()
        .all(|(at, byte)| *byte != b'_' || is_digit(at.checked_sub(1)) && is_digit(at.checked_add(1)))
}

/// Parses an integer: decimal, `0x`, `0b`, `0o`, or octal after a bare zero.
fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.split_at_checked(1) {
        Some((sign @ ("+" | "-"), digits)) => (sign, digits),
        _ => ("", text),
    };
    let (radix, digits) = match digits.split_at_checked(2) {
        Some(("0x" | "0X", digits)) => (16, digits),
        Some(("0b" | "0B", digits)) => (2, digits),
        Some(("0o" | "0O", digits)) => (8, digits),
        Some(_) => digits.strip_prefix('0').map_or((10, digits), |octal| (8, octal)),
        None => (10, digits),
    };
    // Rust would accept a second sign.
    let is_digit = |c: char| c.is_digit(radix);
    if !digits.chars().all(is_digit) {
        return None;
    }
    let number = i128::from_str_radix(&format!("{sign}{digits}"), radix).ok()?;
    // Go uses these two types; a larger number is a float.
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number).then_some(number)
}

/// Parses digits with a point, an exponent or both; a number that is too large stays text.
fn float(text: &str) -> Option<String> {
    let is_plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    let number: f64 = if is_plain { text.parse().ok()? } else { return None };
    number.is_finite().then(|| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_what_confd_makes_of_them() {
        let cases = [
            ("1.10", "1.1"),
            ("0x1F", "31"),
            ("017", "15"),
            ("0o17", "15"),
            ("08", "8"),
            ("-0b11", "-3"),
            ("1_000", "1000"),
            ("+5", "5"),
            ("-0", "0"),
            ("1e3", "1000"),
            ("1e-7", "0.0000001"),
            ("-.5", "-0.5"),
            (".5e3", "500"),
            (".5_0", "0.5"),
            ("._5", "._5"),
            ("5.", "5"),
            ("1e400", "1e400"),
            ("9223372036854775808", "9223372036854775808"),
            ("TRUE", "true"),
            ("False", "false"),
            ("yes", "yes"),
            ("-.inf", "-Inf"),
            (".NaN", "NaN"),
            ("2024-01-02", "2024-01-02"),
            ("10.0.0.1", "10.0.0.1"),
            ("12:30", "12:30"),
            ("1,5", "1,5"),
            ("+-5", "+-5"),
            ("0x", "0x"),
            (".", "."),
            ("-", "-"),
            ("e5", "e5"),
            ("1.5.", "1.5."),
            ("NULL", ""),
        ];
        for (written, expected) in cases {
            assert_eq!(plain(written).unwrap_or_default(), expected, "{written}");
        }
    }
}
