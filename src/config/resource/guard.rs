//! `on_empty`, `min_backends`, `max_drop_percent` and `max_drop_hold`: the guard for lost backends. Never counts backends.

use toml::de::DeValue;

use crate::config::document::{Field, Fields};
use crate::model::guard::{Guard, OnEmpty};
use crate::model::problem::{Place, Problem};

use super::choice;
use super::commands::optional_duration;

/// Largest `min_backends`: the limit of a single list of backends.
const MAX_MIN_BACKENDS: u32 = 10_000;

const ON_EMPTY: &[(&str, OnEmpty)] = &[
    ("keep", OnEmpty::Keep),
    ("placeholder", OnEmpty::Placeholder),
    ("apply", OnEmpty::Apply),
    ("fail", OnEmpty::Fail),
];

/// Reads the fields; a refused field is reported and left unset.
pub(super) fn read(fields: &mut Fields<'_>) -> Guard {
    let placed = |field: &Field<'_>| field.key_place();
    let on_empty = fields.take("on_empty", |field| choice(field, ON_EMPTY));
    let min_backends = fields.take("min_backends", |field| Ok((number(field, 1, MAX_MIN_BACKENDS)?, placed(field))));
    let has_max_drop = fields.has("max_drop_percent");
    let max_drop_percent = fields.take("max_drop_percent", |field| number(field, 0, 100));
    let hold = fields.take("max_drop_hold", |field| Ok((optional_duration(field)?, placed(field))));
    if let (Some(OnEmpty::Apply), Some((_, place))) = (on_empty, &min_backends) {
        refuse(fields, place, "`min_backends` does nothing beside on_empty = \"apply\"", "leave one of the two out");
    }
    if let (false, Some((Some(_), place))) = (has_max_drop, &hold) {
        refuse(
            fields,
            place,
            "`max_drop_hold` does nothing without `max_drop_percent`",
            "also set max_drop_percent, for example to 50",
        );
    }
    let standard = Guard::default();
    Guard {
        on_empty,
        min_backends: min_backends.map(|(least, _)| least as usize),
        max_drop_percent: max_drop_percent.and_then(|percent| u8::try_from(percent).ok()),
        max_drop_hold: hold.and_then(|(hold, _)| hold).unwrap_or(standard.max_drop_hold),
    }
}

fn refuse(fields: &mut Fields<'_>, place: &Place, message: &str, hint: &str) {
    fields.refuse(Problem::new(message).at(place.clone()).hint(hint));
}

/// Reads a whole number within limits.
fn number(field: &Field<'_>, least: u32, most: u32) -> Result<u32, Problem> {
    let DeValue::Integer(number) = field.value() else {
        return Err(field.not_a("number").hint("write it without quotes"));
    };
    let parsed = u32::from_str_radix(number.as_str(), number.radix()).ok();
    parsed.filter(|parsed| (least..=most).contains(parsed)).ok_or_else(|| {
        Problem::new(format!("`{}` cannot be {number}", field.name())).hint(format!("it is from {least} to {most}"))
    })
}
