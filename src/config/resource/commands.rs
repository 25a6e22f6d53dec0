//! `check_cmd`, `reload_cmd`, `reload`, their timeouts, `debounce` and `min_reload_interval`: the commands around an install
//! and their timing. Never runs a command.

use std::time::Duration;

use crate::config::document::{Field, Fields};
use crate::config::{command, duration};
use crate::model::problem::Problem;
use crate::model::resource::{CommandLine, Pace, Reload};

use super::Defaults;

/// Longest time that an explicit debounce may hold a change back, in multiples of its length.
const DEBOUNCE_MAX_FACTOR: u32 = 10;

pub(super) struct Commands {
    pub(super) check: Option<CommandLine>,
    pub(super) reload: Option<Reload>,
    pub(super) pace: Pace,
    /// Whether one of the two commands mentions nginx, even if the command does not run.
    pub(super) mention_nginx: bool,
}

/// Reads the fields; a refused field is reported and left unset.
pub(super) fn read(fields: &mut Fields<'_>, defaults: &Defaults) -> Commands {
    let check_timeout = fields.take("check_cmd_timeout", timeout).flatten().unwrap_or(defaults.check_cmd_timeout);
    let reload_timeout = fields.take("reload_cmd_timeout", timeout).flatten().unwrap_or(defaults.reload_cmd_timeout);
    let check = fields.take("check_cmd", |field| command_line(field, check_timeout)).flatten();
    let reload = fields.take("reload_cmd", |field| command_line(field, reload_timeout)).flatten();
    let built_in = fields.take("reload", |field| built_in(field, reload.is_some())).flatten();
    let mention_nginx = built_in.is_some() || [&check, &reload].into_iter().flatten().any(|line| line.mentions_nginx());
    let debounce = fields.take("debounce", optional_duration).flatten().or(defaults.debounce);
    let min_reload_interval = fields.take("min_reload_interval", optional_duration).flatten();
    let runs = |line: &CommandLine| !defaults.sync_only && !line.parts.is_empty();
    Commands {
        check: check.filter(runs),
        reload: reload.filter(runs).map(Reload::Command).or(built_in.filter(|_| !defaults.sync_only)),
        pace: pace(debounce, min_reload_interval),
        mention_nginx,
    }
}

fn pace(debounce: Option<Duration>, min_reload_interval: Option<Duration>) -> Pace {
    let mut pace = Pace::default();
    if let Some(debounce) = debounce {
        pace.debounce = debounce;
        pace.debounce_first = !debounce.is_zero();
        pace.debounce_max = debounce.saturating_mul(DEBOUNCE_MAX_FACTOR);
    }
    if let Some(interval) = min_reload_interval {
        pace.min_reload_interval = interval;
    }
    pace
}

/// Reads `reload = "nginx"`; blank is unset.
fn built_in(field: &Field<'_>, has_command: bool) -> Result<Option<Reload>, Problem> {
    match field.text()? {
        "" => Ok(None),
        "nginx" if has_command => Err(Problem::new("both `reload` and `reload_cmd` are given")
            .hint("reload = \"nginx\" signals nginx itself: leave one of the two out")),
        "nginx" => Ok(Some(Reload::Nginx)),
        other => Err(Problem::new(format!("`reload` is {other:?}"))
            .hint("the only built-in reload is reload = \"nginx\"; a command goes into reload_cmd")),
    }
}

/// Reads a command; blank is unset.
fn command_line(field: &Field<'_>, timeout: Option<Duration>) -> Result<Option<CommandLine>, Problem> {
    let text = field.text()?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    if text.contains('\0') {
        return Err(Problem::new(format!("`{}` has a NUL character", field.name())));
    }
    match command::parse(text) {
        Ok(parts) => Ok(Some(CommandLine { text: text.to_owned(), parts, timeout })),
        Err(bad) => {
            let nth = text[..bad.offset].matches(bad.culprit).count();
            Err(bad.problem.at(field.place_within(bad.culprit, nth)))
        }
    }
}

/// Reads a duration; empty is unset.
pub(super) fn optional_duration(field: &Field<'_>) -> Result<Option<Duration>, Problem> {
    let text = field.text().map_err(|problem| problem.hint("write a duration such as \"30s\""))?;
    if text.is_empty() { Ok(None) } else { duration::parse(text).map(Some) }
}

/// Reads a timeout; `Some(None)` is no limit, written "0s".
fn timeout(field: &Field<'_>) -> Result<Option<Option<Duration>>, Problem> {
    Ok(optional_duration(field)?.map(|limit| (!limit.is_zero()).then_some(limit)))
}
