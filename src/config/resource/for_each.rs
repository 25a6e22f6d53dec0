//! `for_each`, and the `dest` that goes with it: a file name with `{{ item }}` in it. Never reads the names from the store.

use std::path::Path;

use crate::config::document::{Field, Fields};
use crate::model::for_each::{DestPattern, ForEach, NameSource};
use crate::model::problem::{Place, Problem};
use crate::model::text::shown;

use super::target::Destination;

/// The `for_each` of a resource: one file for each name.
pub(super) struct Names {
    pub(super) source: NameSource,
    place: Place,
    written: String,
}

/// Reads the field; a refused field is reported and left unset.
pub(super) fn read(fields: &mut Fields<'_>) -> Option<Names> {
    fields.take("for_each", names)
}

fn names(field: &Field<'_>) -> Result<Names, Problem> {
    let text = field.text()?;
    if text.is_empty() || text.split('/').any(|part| matches!(part, "." | "..")) {
        let problem = Problem::new(format!("`for_each` {} names no keys", shown(text)));
        return Err(problem.hint("write a pattern such as \"/vhosts/*\""));
    }
    match NameSource::parse(text) {
        Ok(source) => Ok(Names { source, place: field.value_place(), written: text.to_owned() }),
        Err(bad) => Err(Problem::new(format!("`for_each` {} {}", shown(text), bad.problem)).hint(bad.hint)),
    }
}

/// Checks names, keys and destination together; `None` if there was a problem or there is no `for_each` (`is_given`).
pub(super) fn fit(
    fields: &mut Fields<'_>,
    (is_given, names): (bool, Option<Names>),
    dest: &Destination,
    keys: &[String],
) -> Option<ForEach> {
    let Some(Names { source, place, written }) = names else {
        if !is_given && dest.path.to_string_lossy().contains("{{") {
            let problem = Problem::new("`dest` has a placeholder, and there is no `for_each`").at(dest.place.clone());
            fields.refuse(problem.hint("for_each = \"/vhosts/*\" makes one file for each name below /vhosts"));
        }
        return None;
    };
    let directory = source.directory();
    let reaches = |key: &String| {
        let key = key.trim_end_matches('/');
        is_at_or_below(directory, key) || is_at_or_below(key, directory)
    };
    if !keys.iter().any(reaches) {
        let problem =
            Problem::new(format!("`for_each` {} is not covered by the `keys` of this resource", shown(&written)));
        fields.refuse(problem.at(place).hint(format!("add {directory:?} to keys, or leave keys out")));
        return None;
    }
    match dest_pattern(&dest.path) {
        Ok(pattern) => Some(ForEach::new(source, pattern)),
        Err(problem) => {
            fields.refuse(problem.at(dest.place.clone()));
            None
        }
    }
}

pub(super) fn is_at_or_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn dest_pattern(dest: &Path) -> Result<DestPattern, Problem> {
    const HINT: &str = "write for example dest = \"/etc/nginx/sites-enabled/{{ item }}.conf\"";
    let text = dest.to_string_lossy();
    let (folder, name) = text.rsplit_once('/').unwrap_or(("", &text));
    if folder.contains("{{") {
        return Err(
            Problem::new("`{{ item }}` may stand in the file name of `dest` only, not in its folder").hint(HINT)
        );
    }
    let mut texts = Vec::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((placeholder, after)) = after.split_once("}}") else {
            return Err(Problem::new("`{{` in `dest` is not closed").hint(HINT));
        };
        let placeholder = placeholder.trim();
        if placeholder.strip_prefix('.').unwrap_or(placeholder) != "item" {
            return Err(Problem::new(format!("`dest` has an unknown placeholder {}", shown(placeholder))).hint(HINT));
        }
        texts.push(before.to_owned());
        rest = after;
    }
    texts.push(rest.to_owned());
    let folder = if folder.is_empty() { "/" } else { folder };
    let missing =
        || Problem::new("`dest` has no `{{ item }}`, so that every name would write the same file").hint(HINT);
    DestPattern::new(folder.into(), texts).ok_or_else(missing)
}
