//! `require`, `wait_for` and `wait_timeout`: keys that a resource cannot do without. Never reads the store.

use std::time::Duration;

use toml::de::DeValue;

use crate::config::document::{Field, Fields};
use crate::model::needs::Needs;
use crate::model::problem::Problem;

use super::commands::optional_duration;
use super::for_each::is_at_or_below;
use super::keys::{Keys, inside};

/// Reads the fields; a refused field is reported and left unset. `keys` are those of the resource, if they are right.
pub(super) fn read(fields: &mut Fields<'_>, keys: Option<&Keys>) -> Needs {
    let require = fields.take("require", |field| paths(field, keys)).unwrap_or_default();
    let wait_for = fields.take("wait_for", |field| paths(field, keys)).unwrap_or_default();
    let timeout = fields.take("wait_timeout", |field| {
        let timeout = optional_duration(field)?;
        if timeout == Some(Duration::ZERO) {
            return Err(Problem::new("`wait_timeout` cannot be zero").hint("leave wait_for out instead"));
        }
        if keys.is_some() && wait_for.is_empty() && timeout.is_some() {
            return Err(Problem::new("`wait_timeout` does nothing without `wait_for`")
                .at(field.key_place())
                .hint("also set wait_for = true"));
        }
        Ok(timeout)
    });
    let wait_timeout = timeout.flatten().unwrap_or(Needs::default().wait_timeout);
    Needs { require, wait_for, wait_timeout }
}

/// Reads `true` for all keys of the resource, or a list of keys below them.
fn paths(field: &Field<'_>, keys: Option<&Keys>) -> Result<Vec<String>, Problem> {
    if let DeValue::Boolean(all) = field.value() {
        return Ok(keys.filter(|_| *all).map(|keys| keys.keys.clone()).unwrap_or_default());
    }
    if !field.value().is_array() {
        return Err(field.not_a("boolean or an array of strings").hint("true stands for all of keys"));
    }
    let mut paths = Vec::new();
    for (text, place) in field.texts()? {
        let path = if keys.is_some_and(|keys| keys.raw) { Ok(text.to_owned()) } else { inside(text, "key") };
        let path = path.map_err(|problem| problem.at(place.clone()))?;
        let fixed = path.split(['*', '?', '[']).next().unwrap_or_default();
        let fixed =
            if fixed.len() < path.len() { fixed.rsplit_once('/').map_or("", |(folder, _)| folder) } else { fixed };
        let reaches = |key: &String| {
            let key = key.trim_end_matches('/');
            is_at_or_below(fixed, key) || is_at_or_below(key, fixed)
        };
        if keys.is_some_and(|keys| !keys.keys.iter().any(reaches)) {
            let problem =
                Problem::new(format!("`{}` {path:?} is not covered by the `keys` of this resource", field.name()));
            return Err(problem.at(place).hint("add it to keys"));
        }
        paths.push(path);
    }
    Ok(paths)
}
