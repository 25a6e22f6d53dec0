//! The current time. A template that prints it renders differently every time, and reloads as often.

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use tera::Value;

use super::call::{TeraCall, TeraFunction, function};
use crate::model::problem::Problem;
use crate::render::tera::run::TeraRun;

pub(super) const FUNCTIONS: &[TeraFunction] = &[function("datetime", &["format?", "utc?"], datetime)];

fn datetime(call: &TeraCall<'_>, run: &mut TeraRun) -> Result<Value, Problem> {
    let mut now = run.session.world().now();
    if call.optional("utc").map(|_| call.boolean("utc")).transpose()?.unwrap_or(false) {
        now = now.with_time_zone(TimeZone::UTC);
    }
    let format = call.optional_text("format")?.unwrap_or("%Y-%m-%dT%H:%M:%S%:z");
    let text = strtime::format(format, &now)
        .map_err(|_| call.failure("`format` is not a strftime format").hint("for example %Y-%m-%d %H:%M:%S"))?;
    Ok(Value::from(text))
}
