//! `prefix`, `keys` and `raw_keys`: the part of the store that a resource sees, and under which names. Never reads it.

use std::sync::Arc;

use crate::config::document::{Field, Fields};
use crate::model::path;
use crate::model::problem::{Place, Problem};
use crate::model::range::KeyRanges;
use crate::model::text::shown;

use super::Defaults;

/// The rule that combines the global prefix and a resource's own; the two confds differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrefixMode {
    /// `/global/resource`, as the active fork does.
    #[default]
    Concatenate,
    /// The global prefix instead of the resource's, as the original does.
    Replace,
}

impl PrefixMode {
    /// Returns the other rule.
    fn other(self) -> PrefixMode {
        match self {
            PrefixMode::Concatenate => PrefixMode::Replace,
            PrefixMode::Replace => PrefixMode::Concatenate,
        }
    }

    /// Returns the prefix in effect: `""` or `/a/b`. Both arguments are clean.
    fn join(self, global: &str, own: &str) -> String {
        match self {
            PrefixMode::Replace if !global.is_empty() => global.to_owned(),
            _ => format!("{global}{own}"),
        }
    }
}

pub(super) struct Keys {
    pub(super) prefix: Arc<str>,
    /// Prefix of the other mode, if it is different.
    pub(super) other_prefix: Option<Arc<str>>,
    pub(super) keys: Vec<String>,
    pub(super) ranges: KeyRanges,
    pub(super) raw: bool,
}

/// Reads the three fields; `None` if there was a problem. `standard` is the default of `keys`.
pub(super) fn read(fields: &mut Fields<'_>, defaults: &Defaults, standard: Option<&str>) -> Option<Keys> {
    let raw = fields.take("raw_keys", Field::boolean).unwrap_or(false);
    let own = fields.take("prefix", |field| {
        let own = clean_prefix(field.text()?)?;
        if raw && !own.is_empty() {
            return Err(Problem::new("`prefix` cannot go with raw_keys, which takes keys as they are")
                .hint("write the prefix into each of the keys"));
        }
        Ok(own)
    });
    let is_given = fields.has("keys");
    let keys = match fields.take("keys", |field| keys(field, raw)) {
        Some(keys) => keys,
        None if is_given => return None,
        // Without keys the template has nothing to read, as with an empty list.
        None => standard
            .map(|directory| if raw { directory.to_owned() } else { path::rooted(directory) })
            .into_iter()
            .collect(),
    };
    // Raw keys are whole keys of the store, so the global prefix does not apply to them.
    let own = own.unwrap_or_default();
    let join = |mode: PrefixMode| if raw { String::new() } else { mode.join(&defaults.prefix, &own) };
    let prefix = join(defaults.prefix_mode);
    let other_prefix = Some(join(defaults.prefix_mode.other())).filter(|other| *other != prefix).map(Arc::from);
    let store_keys: Vec<String> = keys.iter().map(|key| format!("{prefix}{key}")).collect();
    let ranges = KeyRanges::of_directories(store_keys.iter().map(String::as_str));
    Some(Keys { prefix: Arc::from(prefix), other_prefix, keys, ranges, raw })
}

fn keys(field: &Field<'_>, raw: bool) -> Result<Vec<String>, Problem> {
    if let Ok(text) = field.text() {
        return Err(field.not_a("array of strings").hint(format!("write keys = [{text:?}]")));
    }
    let clean = |(text, place): (&str, Place)| {
        if raw { Ok(text.to_owned()) } else { inside(text, "key").map_err(|problem| problem.at(place)) }
    };
    field.texts()?.into_iter().map(clean).collect()
}

/// Returns a prefix as it goes in front of keys: `""` or `/a/b`, however its slashes are written.
///
/// # Errors
/// It climbs above the root with `..`; the problem has no place.
pub fn clean_prefix(text: &str) -> Result<String, Problem> {
    let cleaned = inside(text, "prefix")?;
    Ok(if cleaned == "/" { String::new() } else { cleaned })
}

/// Returns `text` cleaned, provided that no `..` climbs above its start.
pub(super) fn inside(text: &str, what: &str) -> Result<String, Problem> {
    let parts = path::inside(text).ok_or_else(|| {
        Problem::new(format!("{what} {} leaves its prefix", shown(text))).hint("write the whole path without `..`")
    })?;
    Ok(format!("/{}", parts.join("/")))
}
