//! Points in time for `datetime` of templates: Go's layouts, and methods.

use jiff::{Span, Zoned, tz::TimeZone};

use super::value::GoValue;
use crate::model::problem::Problem;
use crate::render::library::text::check_size;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Writes a time as an action prints it. Go adds the reading of its monotonic clock, which is left out here.
pub(super) fn text(time: &Zoned) -> String {
    format(time, "2006-01-02 15:04:05.999999999 -0700 MST")
}

/// Checks whether a point in time has a method of this name.
pub(super) fn has_method(name: &str) -> bool {
    methods(name).is_some()
}

/// Returns a method's parameters: their number, and whether they are numbers (or else text).
pub(super) fn methods(name: &str) -> Option<(usize, bool)> {
    Some(match name {
        "Year" | "Month" | "Day" | "Hour" | "Minute" | "Second" | "Nanosecond" | "YearDay" | "Weekday" | "Unix"
        | "UnixMilli" | "UnixMicro" | "UnixNano" | "UTC" | "Local" | "String" | "IsZero" => (0, false),
        "Format" => (1, false),
        "AddDate" => (3, true),
        _ => return None,
    })
}

/// Calls a method; the arguments are as `methods` says.
pub(super) fn call(time: &Zoned, method: &str, arguments: &[GoValue]) -> Result<GoValue, Problem> {
    let since = time.timestamp();
    let weekday = usize::try_from(time.weekday().to_sunday_zero_offset()).unwrap_or(0);
    let month = usize::try_from(time.month()).unwrap_or(1) - 1;
    Ok(match method {
        "Year" => GoValue::Int(time.year().into()),
        "Month" => GoValue::Named(MONTHS[month], time.month().into(), "time.Month"),
        "Day" => GoValue::Int(time.day().into()),
        "Hour" => GoValue::Int(time.hour().into()),
        "Minute" => GoValue::Int(time.minute().into()),
        "Second" => GoValue::Int(time.second().into()),
        "Nanosecond" => GoValue::Int(time.subsec_nanosecond().into()),
        "YearDay" => GoValue::Int(time.day_of_year().into()),
        "Weekday" => GoValue::Named(DAYS[weekday], i64::try_from(weekday).unwrap_or(0), "time.Weekday"),
        "Unix" => GoValue::Int(since.as_second()),
        "UnixMilli" => GoValue::Int(since.as_millisecond()),
        "UnixMicro" => GoValue::Int(since.as_microsecond()),
        "UnixNano" => GoValue::Int(i64::try_from(since.as_nanosecond()).unwrap_or(i64::MAX)),
        "UTC" => GoValue::Time(time.with_time_zone(TimeZone::UTC).into()),
        "Local" => GoValue::Time(time.clone().into()),
        "String" => GoValue::from(text(time)),
        "IsZero" => GoValue::Bool(false),
        "Format" => {
            let text = format(time, arguments[0].as_text().map_or("", |layout| layout));
            check_size(text.len(), 0, 0)?;
            GoValue::from(text)
        }
        _ => {
            let number = |at: usize| arguments[at].as_integer().and_then(|number| i64::try_from(number).ok());
            let span = number(0).zip(number(1)).zip(number(2)).and_then(|((years, months), days)| {
                Span::new().try_years(years).ok()?.try_months(months).ok()?.try_days(days).ok()
            });
            let moved = span.and_then(|span| time.checked_add(span).ok());
            GoValue::Time(moved.ok_or_else(|| Problem::new("the date is out of range"))?.into())
        }
    })
}

/// Writes a time by the example that the layout is: how Monday, 2 January 2006, 15:04:05 would be written.
pub(super) fn format(time: &Zoned, layout: &str) -> String {
    let mut output = String::with_capacity(layout.len() + 8);
    let mut rest = layout;
    while let Some(c) = rest.chars().next() {
        let used = part(time, rest, &mut output);
        if used == 0 {
            output.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            rest = &rest[used..];
        }
    }
    output
}

/// Writes the part of a time that the layout begins with, and returns how long its example is; 0 for plain text.
fn part(time: &Zoned, layout: &str, output: &mut String) -> usize {
    let weekday = DAYS[usize::try_from(time.weekday().to_sunday_zero_offset()).unwrap_or(0)];
    let month = MONTHS[usize::try_from(time.month()).unwrap_or(1) - 1];
    let hour12 = (time.hour() + 11) % 12 + 1;
    let lower_follows = |length: usize| layout[length..].starts_with(|c: char| c.is_ascii_lowercase());
    let starts = |example: &str| layout.starts_with(example);
    let (text, used) = match layout.as_bytes()[0] {
        b'J' if starts("January") => (month.to_owned(), 7),
        b'J' if starts("Jan") && !lower_follows(3) => (month[..3].to_owned(), 3),
        b'M' if starts("Monday") => (weekday.to_owned(), 6),
        b'M' if starts("Mon") && !lower_follows(3) => (weekday[..3].to_owned(), 3),
        b'M' if starts("MST") => (zone_name(time), 3),
        b'0' if starts("002") => (format!("{:03}", time.day_of_year()), 3),
        b'0' if starts("01") => (format!("{:02}", time.month()), 2),
        b'0' if starts("02") => (format!("{:02}", time.day()), 2),
        b'0' if starts("03") => (format!("{hour12:02}"), 2),
        b'0' if starts("04") => (format!("{:02}", time.minute()), 2),
        b'0' if starts("05") => (format!("{:02}", time.second()), 2),
        b'0' if starts("06") => (format!("{:02}", time.year().rem_euclid(100)), 2),
        b'1' if starts("15") => (format!("{:02}", time.hour()), 2),
        b'1' => (time.month().to_string(), 1),
        b'2' if starts("2006") => (format!("{:04}", time.year()), 4),
        b'2' => (time.day().to_string(), 1),
        b'_' if starts("__2") => (format!("{:3}", time.day_of_year()), 3),
        b'_' if starts("_2006") => (format!("_{:04}", time.year()), 5),
        b'_' if starts("_2") => (format!("{:2}", time.day()), 2),
        b'3' => (hour12.to_string(), 1),
        b'4' => (time.minute().to_string(), 1),
        b'5' => (time.second().to_string(), 1),
        b'P' if starts("PM") => ((if time.hour() >= 12 { "PM" } else { "AM" }).to_owned(), 2),
        b'p' if starts("pm") => ((if time.hour() >= 12 { "pm" } else { "am" }).to_owned(), 2),
        b'-' => offset(time, layout, false),
        b'Z' => offset(time, layout, true),
        b'.' | b',' => fraction(time, layout),
        _ => return 0,
    };
    output.push_str(&text);
    used
}

fn zone_name(time: &Zoned) -> String {
    // A zone that is nothing but an offset is written as that.
    match time.time_zone().iana_name() {
        Some(_) => jiff::fmt::strtime::format("%Z", time).unwrap_or_default(),
        None if time.time_zone() == &TimeZone::UTC => "UTC".to_owned(),
        None => offset(time, "-0700", false).0,
    }
}

/// Writes `-0700` and its like; if `Z` comes first, UTC is written as `Z`.
fn offset(time: &Zoned, layout: &str, zulu: bool) -> (String, usize) {
    let digits = &layout[1..];
    let Some(example) = ["07:00:00", "070000", "07:00", "0700", "07"].iter().find(|e| digits.starts_with(**e)) else {
        return (String::new(), 0);
    };
    let seconds = time.offset().seconds();
    if zulu && seconds == 0 {
        return ("Z".to_owned(), 1 + example.len());
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let seconds = seconds.unsigned_abs();
    let colon = if example.contains(':') { ":" } else { "" };
    let mut text = format!("{sign}{:02}", seconds / 3600);
    if example.len() > 2 {
        text.push_str(&format!("{colon}{:02}", seconds / 60 % 60));
    }
    if example.len() > 5 {
        text.push_str(&format!("{colon}{:02}", seconds % 60));
    }
    (text, 1 + example.len())
}

/// Writes `.000` (that many digits) or `.999` (that many, without zeros at the end).
fn fraction(time: &Zoned, layout: &str) -> (String, usize) {
    let kind = layout.as_bytes().get(1).copied().unwrap_or(0);
    if !matches!(kind, b'0' | b'9') {
        return (String::new(), 0);
    }
    let length = layout[1..].bytes().take_while(|byte| *byte == kind).count();
    if layout[1 + length..].starts_with(|c: char| c.is_ascii_digit()) {
        return (String::new(), 0);
    }
    let all = format!("{:09}", time.subsec_nanosecond());
    let digits = &all[..length.min(9)];
    let text = match kind {
        b'0' => format!("{}{digits}", &layout[..1]),
        _ => match digits.trim_end_matches('0') {
            "" => String::new(),
            digits => format!("{}{digits}", &layout[..1]),
        },
    };
    (text, 1 + length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_example_is_written_as_it_is() {
        for layout in [".é", ",é", ".", "02.é.2006", "-é", "Zé", "_é", "Jané", "Moné", ".00é", ".0é9"] {
            let written = format(&Zoned::default(), layout);
            assert_eq!(written.contains('é'), layout.contains('é'), "{layout}");
        }
    }

    #[test]
    fn a_text_that_grows_from_format_to_format_is_bounded() {
        let formatted = |count| call(&Zoned::default(), "Format", &[GoValue::from("😀".repeat(count))]);
        assert!(formatted(1000).is_ok());
        let message = formatted((4 << 20) + 1).err().map(|problem| problem.message);
        assert_eq!(message.as_deref(), Some("would make a text of more than 16777216 bytes"));
    }

    proptest! {
        #[test]
        fn every_layout_is_written(layout in "([-.,_0-9JMZaPp:]|Jan|Mon|MST|2006|02|é|😀){0,12}") {
            format(&Zoned::default(), &layout);
        }
    }
}
