//! Decodes one key of a folder, in whichever layout it is. Never looks at the list as a whole: that is `records`. Pure.

use serde_json::Value;

use super::address::SocketOrHost;
use super::json;
use super::record::{BackendRecord, from_url};
use super::{BackendState, MAX_VALUE_BYTES, Options, Reason};
use crate::model::key;
use crate::nginx::quote;

/// A decoded key.
pub(super) enum DecodedKey<'a> {
    /// A backend with this name.
    Backend(&'a str, BackendRecord),
    /// A setting of a different key.
    Setting,
    /// An option leaves it out.
    LeftOut(LeftOut),
    /// It does not decode as a backend.
    Skipped(Reason),
}

/// The option of `backends` that leaves a key out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LeftOut {
    /// It is in a subfolder.
    Subfolder,
    /// It is of a different group.
    Group,
    /// It is draining.
    Draining,
}

/// Looks up the value of a key in the same store.
pub(super) type Lookup<'v> = dyn Fn(&str) -> Option<&'v key::Value> + 'v;

/// Splits a key of Traefik's layout into the backend's folder and the setting, `None` for any other key. A backend there has
/// three keys in its folder: `url`, `weight` and `tags`. Directly below `folder`, a key of that name is an ordinary backend.
pub(super) fn traefik_folder<'a>(folder: &str, key: &'a str) -> Option<(&'a str, &'a str)> {
    let (name, setting) = key.rsplit_once('/')?;
    (matches!(setting, "url" | "weight" | "tags") && name.starts_with(folder)).then_some((name, setting))
}

/// Decodes one key below `folder`, which ends with `/`. Returns `None` for a key outside the folder.
pub(super) fn entry<'a>(
    folder: &str,
    key: &'a str,
    value: &key::Value,
    lookup: &Lookup<'_>,
    options: &Options,
) -> Option<DecodedKey<'a>> {
    let below = key.strip_prefix(folder).filter(|below| !below.is_empty())?;
    if !options.subfolders.include(below) {
        return Some(DecodedKey::LeftOut(LeftOut::Subfolder));
    }
    let traefik = traefik_folder(folder, key);
    if let Some((name, setting @ ("weight" | "tags"))) = traefik
        && lookup(&format!("{name}/url")).is_some()
    {
        let wrong = if setting == "weight" { traefik_weight(value).err() } else { None };
        return Some(wrong.map_or(DecodedKey::Setting, DecodedKey::Skipped));
    }
    let traefik_name = traefik.filter(|(_, setting)| *setting == "url").map(|(name, _)| name);
    Some(match record(below, value, traefik_name, lookup, options) {
        Ok(record) => match left_out(&record, options) {
            None => DecodedKey::Backend(last_part(traefik_name.unwrap_or(below)), record),
            Some(option) => DecodedKey::LeftOut(option),
        },
        Err(reason) => DecodedKey::Skipped(reason),
    })
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn setting_text(value: &key::Value) -> Option<&str> {
    value.as_text().map(str::trim).filter(|text| text.len() <= MAX_VALUE_BYTES)
}

fn traefik_weight(value: &key::Value) -> Result<Option<u16>, Reason> {
    setting_text(value).ok_or(Reason::BadMember("weight")).and_then(json::weight_of)
}

/// Decodes the value of one key.
fn record(
    below: &str,
    value: &key::Value,
    traefik_name: Option<&str>,
    lookup: &Lookup<'_>,
    options: &Options,
) -> Result<BackendRecord, Reason> {
    if !quote::is_harmless(below) {
        return Err(Reason::BadName);
    }
    if value.as_bytes().len() > MAX_VALUE_BYTES || matches!(value, key::Value::Oversized(_)) {
        return Err(Reason::TooLong);
    }
    let text = value.as_text().ok_or(Reason::NotText)?.trim_ascii();
    if let Some(name) = traefik_name {
        let mut record = from_url(text, options)?;
        record.weight = lookup(&format!("{name}/weight")).and_then(|value| traefik_weight(value).ok()).flatten();
        let tags = lookup(&format!("{name}/tags")).and_then(setting_text);
        record.meta.extend(tags.map(|tags| ("tags".to_owned(), Value::from(tags))));
        return Ok(record);
    }
    if text.starts_with('{') {
        json::record(text, options)
    } else if text.contains("://") {
        from_url(text, options)
    } else {
        Ok(BackendRecord::new(SocketOrHost::parse(text, options)?))
    }
}

/// Returns the option that leaves a backend out, if one does.
fn left_out(record: &BackendRecord, options: &Options) -> Option<LeftOut> {
    let in_group = match (&record.group, &options.group) {
        (Some(theirs), Some(wanted)) => theirs == wanted,
        _ => true,
    };
    if !in_group {
        return Some(LeftOut::Group);
    }
    (!options.draining && record.state == BackendState::Draining).then_some(LeftOut::Draining)
}
