//! Floats as Go writes them: its strconv's formats, with a precision or as short as possible. Never reads any.

/// Returns a float as `%v` prints it: the fewest digits that mean it, with an exponent from 1e+06 on and below 1e-04.
pub(super) fn shortest(value: f64) -> String {
    general(value, None)
}

/// Most digits of a float, before or after its point; a larger precision adds zeros.
const MAX_DIGITS: usize = 1100;

/// Returns a float as `%g` prints it, with all its digits or `precision` of them.
pub(super) fn general(value: f64, precision: Option<usize>) -> String {
    if !value.is_finite() {
        return special(value);
    }
    let precision = precision.map(|precision| precision.min(MAX_DIGITS));
    let scientific = match precision {
        Some(precision) => format!("{value:.*e}", precision.max(1) - 1),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let digits = mantissa.chars().filter(char::is_ascii_digit).count();
    let limit = match precision {
        Some(precision) => {
            let significant = mantissa.trim_end_matches('0').chars().filter(char::is_ascii_digit).count().max(1);
            let wanted = i32::try_from(precision.max(1)).unwrap_or(i32::MAX);
            let known = i32::try_from(significant).unwrap_or(i32::MAX);
            if wanted > known && known > exponent { known } else { wanted }
        }
        None => 6,
    };
    let trimmed = |text: String| match (!text.contains('.') || precision.is_none(), text) {
        (true, text) => text,
        (false, text) => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
    };
    if exponent < -4 || exponent >= limit {
        return format!("{}{}", trimmed(mantissa.to_owned()), go_exponent(exponent));
    }
    let decimals = usize::try_from(i32::try_from(digits).unwrap_or(i32::MAX) - 1 - exponent).unwrap_or(0);
    trimmed(format!("{value:.decimals$}"))
}

/// Returns a float as `%e` prints it.
pub(super) fn scientific(value: f64, precision: usize) -> String {
    if !value.is_finite() {
        return special(value);
    }
    let known = precision.min(MAX_DIGITS);
    let text = format!("{value:.known$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{mantissa}{}{}", "0".repeat(precision - known), go_exponent(exponent.parse().unwrap_or_default()))
}

/// Returns a float as `%f` prints it.
pub(super) fn fixed(value: f64, precision: usize) -> String {
    let known = precision.min(MAX_DIGITS);
    match value.is_finite() {
        true => format!("{value:.known$}{}", "0".repeat(precision - known)),
        false => special(value),
    }
}

/// Returns sign, mantissa and exponent of a finite float: it is mantissa times two to the power of exponent.
fn parts(value: f64) -> (&'static str, u64, i32) {
    let bits = value.to_bits();
    let (raw, fraction) = (i32::try_from(bits >> 52 & 0x7ff).unwrap_or_default(), bits & ((1 << 52) - 1));
    let mantissa = if raw == 0 { fraction } else { fraction | 1 << 52 };
    (if value.is_sign_negative() { "-" } else { "" }, mantissa, raw.max(1) - 1075)
}

/// Returns a float as `%b` prints it.
pub(super) fn binary(value: f64) -> String {
    if !value.is_finite() {
        return special(value);
    }
    let (sign, mantissa, exponent) = parts(value);
    format!("{sign}{mantissa}p{exponent:+}")
}

/// Returns a float as `%x` prints it, with all its digits or rounded (half to even) to `precision` of them after the point.
pub(super) fn hexadecimal(value: f64, precision: Option<usize>) -> String {
    if !value.is_finite() {
        return special(value);
    }
    let (sign, mantissa, mut exponent) = parts(value);
    // The first digit is 1, with 60 bits or 15 digits behind it.
    let mut bits = mantissa << mantissa.leading_zeros().saturating_sub(3);
    exponent += 63 - i32::try_from(mantissa.leading_zeros()).unwrap_or_default();
    if mantissa == 0 {
        exponent = 0;
    }
    if let Some(precision) = precision.filter(|precision| *precision < 15) {
        let dropped = 60 - 4 * precision;
        let (rest, half) = (bits & ((1 << dropped) - 1), 1_u64 << (dropped - 1));
        bits >>= dropped;
        if rest > half || rest == half && bits & 1 == 1 {
            bits += 1;
        }
        bits <<= dropped;
        if bits >> 61 == 1 {
            bits >>= 1;
            exponent += 1;
        }
    }
    let digits = format!("{:015x}", bits & ((1 << 60) - 1));
    let fraction = match precision {
        Some(precision) => digits[..precision.min(15)].to_owned() + &"0".repeat(precision.saturating_sub(15)),
        None => digits.trim_end_matches('0').to_owned(),
    };
    let point = if fraction.is_empty() { "" } else { "." };
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    format!("{sign}0x{}{point}{fraction}p{exponent_sign}{:02}", bits >> 60, exponent.unsigned_abs())
}

fn special(value: f64) -> String {
    match (value.is_nan(), value > 0.0) {
        (true, _) => "NaN".to_owned(),
        (false, true) => "+Inf".to_owned(),
        (false, false) => "-Inf".to_owned(),
    }
}

/// Writes an exponent as Go does: at least two digits, always with a sign.
fn go_exponent(exponent: i32) -> String {
    format!("e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs())
}
