//! Durations as confd writes them, in Go's format: `1m30s`, `500ms`, `1.5h`. Never negative, never without a unit.
//! jiff's parser differs: it refuses `.5s`, `1.s`, `1.5h30m` and `30s1m`, which Go accepts, and accepts `5 seconds`.

use std::time::Duration;

use crate::model::problem::Problem;
use crate::model::text::shown;

/// The units; if one begins with another, the longer comes first.
const UNITS: &[(&str, u128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
];

/// Go's limit: it counts nanoseconds in 63 bits (292 years).
const MAX_NANOSECONDS: u128 = i64::MAX as u128;

/// Parses a duration.
///
/// # Errors
/// The text is wrong; the problem has a hint and no place.
pub fn parse(text: &str) -> Result<Duration, Problem> {
    let trimmed = text.trim();
    if let Some(positive) = trimmed.strip_prefix('-') {
        let hint = format!("write \"{positive}\", or \"0s\" for no time");
        return Err(Problem::new(format!("duration {} is negative", shown(text))).hint(hint));
    }
    let mut rest = trimmed.strip_prefix('+').unwrap_or(trimmed);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(not_a_duration(text));
    }
    let mut nanoseconds = 0_u128;
    while !rest.is_empty() {
        let number_len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_len);
        let unit_len = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_len);
        if number.is_empty() {
            return Err(not_a_duration(text));
        }
        if unit.is_empty() {
            let hint = format!("write \"{trimmed}s\" for seconds or \"{trimmed}ms\" for milliseconds");
            return Err(Problem::new(format!("duration {} has no unit", shown(text))).hint(hint));
        }
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            let message = format!("duration {} has the unknown unit {}", shown(text), shown(unit));
            return Err(Problem::new(message).hint("the units are ns, us, ms, s, m and h, as in \"1m30s\""));
        };
        nanoseconds += scaled(number, *scale).ok_or_else(|| not_a_duration(text))?;
        if nanoseconds > MAX_NANOSECONDS {
            return Err(Problem::new(format!("duration {} is too long", shown(text))).hint("at most 292 years"));
        }
        rest = next;
    }
    // Both parts fit: the whole is at most 2^63 nanoseconds.
    Ok(Duration::new((nanoseconds / 1_000_000_000) as u64, (nanoseconds % 1_000_000_000) as u32))
}

/// Returns `number` (digits, perhaps with one point) times `scale`, rounded down; at most a little above the maximum.
fn scaled(number: &str, scale: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let beyond = MAX_NANOSECONDS + 1;
    let mut value = 0_u128;
    for digit in whole.bytes() {
        value = (value * 10 + u128::from(digit - b'0')).min(beyond);
    }
    // Digits below a nanosecond add nothing.
    let fraction = &fraction[..fraction.len().min(18)];
    let parts: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let per_whole = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    Some((value * scale).min(beyond) + parts * scale / per_whole)
}

fn not_a_duration(text: &str) -> Problem {
    Problem::new(format!("{} is not a duration", shown(text))).hint("write for example \"500ms\", \"30s\" or \"1m30s\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Duration) {
        assert_eq!(parse(text), Ok(expected), "{text}");
    }

    #[test]
    fn go_durations_are_read() {
        check("1m30s", Duration::from_secs(90));
        check("500ms", Duration::from_millis(500));
        check("1.5h", Duration::from_secs(5400));
        check(".5s", Duration::from_millis(500));
        check("1.s", Duration::from_secs(1));
        check("0s", Duration::ZERO);
        check("0", Duration::ZERO);
        check("+2s", Duration::from_secs(2));
        check(" 2s ", Duration::from_secs(2));
        check("1h1m1s1ms1us1ns", Duration::new(3661, 1_001_001));
        check("3µs", Duration::from_micros(3));
        check("0.1234567891s", Duration::from_nanos(123_456_789));
        check("9223372036854775807ns", Duration::from_nanos(i64::MAX as u64));
    }

    #[test]
    fn everything_else_is_refused_with_a_hint() {
        for (text, message, hint) in [
            ("30", "duration `30` has no unit", "write \"30s\" for seconds or \"30ms\" for milliseconds"),
            ("1m30", "duration `1m30` has no unit", "write \"1m30s\" for seconds or \"1m30ms\" for milliseconds"),
            ("-5s", "duration `-5s` is negative", "write \"5s\", or \"0s\" for no time"),
            ("5d", "duration `5d` has the unknown unit `d`", "the units are ns, us, ms, s, m and h, as in \"1m30s\""),
            (
                "5 s",
                "duration `5 s` has the unknown unit ` s`",
                "the units are ns, us, ms, s, m and h, as in \"1m30s\"",
            ),
            ("1.2.3s", "`1.2.3s` is not a duration", "write for example \"500ms\", \"30s\" or \"1m30s\""),
            (".s", "`.s` is not a duration", "write for example \"500ms\", \"30s\" or \"1m30s\""),
            ("s", "`s` is not a duration", "write for example \"500ms\", \"30s\" or \"1m30s\""),
            ("", "`` is not a duration", "write for example \"500ms\", \"30s\" or \"1m30s\""),
            ("99999999999999999999999999999999999999999999h", "is too long", "at most 292 years"),
            ("2562048h", "duration `2562048h` is too long", "at most 292 years"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.message.ends_with(message), "{text}: {}", problem.message);
            assert_eq!(problem.hint.as_deref(), Some(hint), "{text}");
        }
    }
}
