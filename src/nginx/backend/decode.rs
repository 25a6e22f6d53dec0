//! A folder's keys to backends: which layout a key has, and what the whole list decides (order, duplicates, backups,
//! weights, caps).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::address::Address;
use super::json::{self, DEFAULT_PRIORITY};
use super::{Backend, Decoded, MOST_VALUE_BYTES, Options, Reason, State};
use crate::model::key;
use crate::nginx::quote;

/// What one key says.
pub(super) struct Record {
    pub(super) address: Address,
    pub(super) weight: Option<u16>,
    /// The weight is on SkyDNS's scale, where a record without one has 100.
    pub(super) states_weight: bool,
    pub(super) priority: u32,
    pub(super) backup: bool,
    pub(super) down: bool,
    pub(super) state: State,
    pub(super) group: Option<String>,
    pub(super) max_fails: Option<u16>,
    pub(super) fail_timeout: Option<u16>,
    pub(super) max_conns: Option<u16>,
    pub(super) meta: Map<String, Value>,
}

impl Record {
    pub(super) fn new(address: Address) -> Record {
        Record {
            address,
            weight: None,
            states_weight: false,
            priority: DEFAULT_PRIORITY,
            backup: false,
            down: false,
            state: State::Up,
            group: None,
            max_fails: None,
            fail_timeout: None,
            max_conns: None,
            meta: Map::new(),
        }
    }
}

/// The keys below `folder` (which ends with `/`) as backends.
pub fn decode<'a>(
    folder: &str,
    keys: impl IntoIterator<Item = (&'a str, &'a key::Value)>,
    options: &Options,
) -> Decoded {
    let mut keys: Vec<(&str, &key::Value)> = keys.into_iter().collect();
    let mut set_aside = Vec::new();
    let settings = take_settings(folder, &mut keys, &mut set_aside);
    let mut records: Vec<(&str, &str, Record)> = Vec::with_capacity(keys.len());
    for (key, value) in keys {
        let below = key.strip_prefix(folder).unwrap_or(key);
        if below.is_empty() || (!options.subfolders && below.contains('/')) {
            continue;
        }
        match record(key, below, value, &settings, options) {
            Ok((name, record)) if is_chosen(&record, options) => records.push((key, name, record)),
            Ok(_) => {}
            Err(reason) => set_aside.push((key.to_owned(), reason)),
        }
    }
    let (backends, too_many) = settle(records, options);
    set_aside.extend(too_many);
    set_aside.sort();
    Decoded { backends, set_aside }
}

/// What stands beside Traefik's `NAME/url`, by the folder NAME.
type Settings<'a> = BTreeMap<&'a str, (Option<u16>, Option<&'a str>)>;

/// Takes `NAME/weight` and `NAME/tags` out of the keys where there is a `NAME/url`.
fn take_settings<'a>(
    folder: &str,
    keys: &mut Vec<(&'a str, &'a key::Value)>,
    set_aside: &mut Vec<(String, Reason)>,
) -> Settings<'a> {
    // A key of this name directly below the folder is a backend like any other.
    let name_of = |key: &'a str| key.strip_suffix("/url").filter(|path| path.starts_with(folder));
    let mut settings: Settings<'a> = keys.iter().filter_map(|(key, _)| Some((name_of(key)?, (None, None)))).collect();
    if settings.is_empty() {
        return settings;
    }
    keys.retain(|(key, value)| {
        let Some((name, setting)) = key.rsplit_once('/') else { return true };
        let Some(known) = settings.get_mut(name) else { return true };
        let text = value.as_text().map(str::trim).filter(|text| text.len() <= MOST_VALUE_BYTES);
        match setting {
            "weight" => match text.ok_or(Reason::BadMember("weight")).and_then(json::weight_of) {
                Ok(weight) => known.0 = weight,
                Err(reason) => set_aside.push(((*key).to_owned(), reason)),
            },
            "tags" => known.1 = text,
            _ => return true,
        }
        false
    });
    settings
}

/// Decodes one key: its backend's name, and what it says.
fn record<'a>(
    key: &'a str,
    below: &'a str,
    value: &key::Value,
    settings: &Settings<'_>,
    options: &Options,
) -> Result<(&'a str, Record), Reason> {
    if !quote::is_harmless(below) {
        return Err(Reason::BadName);
    }
    if value.as_bytes().len() > MOST_VALUE_BYTES {
        return Err(Reason::TooLong);
    }
    let text = value.as_text().ok_or(Reason::NotText)?.trim_ascii();
    let last = |path: &'a str| path.rsplit('/').next().unwrap_or(path);
    if let Some((path, (weight, tags))) =
        key.strip_suffix("/url").and_then(|path| settings.get_key_value(path).map(|(_, found)| (path, found)))
    {
        let mut record = of_url(text, options)?;
        record.weight = *weight;
        record.meta.extend(tags.map(|tags| ("tags".to_owned(), Value::from(tags))));
        return Ok((last(path), record));
    }
    let record = if text.starts_with('{') {
        json::record(text, options)?
    } else if text.contains("://") {
        of_url(text, options)?
    } else {
        Record::new(Address::of_text(text, options)?)
    };
    Ok((last(below), record))
}

/// A URL: the scheme implies the port.
pub(super) fn of_url(text: &str, options: &Options) -> Result<Record, Reason> {
    let (scheme, rest) = text.split_once("://").ok_or(Reason::NoAddress)?;
    let scheme = scheme.to_ascii_lowercase();
    let port = match scheme.as_str() {
        "http" => Some(80),
        "https" => Some(443),
        "tcp" => options.port,
        _ => return Err(Reason::BadScheme),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '@']) {
        return Err(Reason::UrlTooMuch);
    }
    if authority.starts_with("unix:") {
        return Err(Reason::NoAddress);
    }
    let mut record = Record::new(Address::of_authority(authority, port, options)?);
    record.meta.insert("scheme".to_owned(), Value::from(scheme));
    Ok(record)
}

fn is_chosen(record: &Record, options: &Options) -> bool {
    let in_group = match (&record.group, &options.group) {
        (Some(theirs), Some(wanted)) => theirs == wanted,
        _ => true,
    };
    in_group && (options.draining || record.state != State::Draining)
}

/// What the records say of each other: order, one for each address, who is a backup, what no weight means, and the cap.
fn settle(mut records: Vec<(&str, &str, Record)>, options: &Options) -> (Vec<Backend>, Vec<(String, Reason)>) {
    let is_down = |record: &Record| record.down || record.state != State::Up;
    // Of two records for one address, the one that is up speaks; then the first key.
    records.sort_by(|(a_key, _, a), (b_key, _, b)| {
        a.address.cmp(&b.address).then_with(|| is_down(a).cmp(&is_down(b))).then_with(|| a_key.cmp(b_key))
    });
    records.dedup_by(|(_, _, later), (_, _, earlier)| later.address == earlier.address);
    let too_many = records.split_off(records.len().min(options.max));
    let too_many = too_many.into_iter().map(|(key, _, _)| (key.to_owned(), Reason::TooMany(options.max)));
    let default_weight = if records.iter().any(|(_, _, record)| record.states_weight) { 100 } else { 1 };
    let primary = records.iter().filter(|(_, _, record)| !record.backup).map(|(_, _, record)| record.priority).min();
    let backends = records.into_iter().map(|(key, name, record)| Backend {
        name: name.to_owned(),
        key: key.to_owned(),
        weight: record.weight.unwrap_or(default_weight),
        // nginx takes no upstream whose servers are all backups.
        backup: primary.is_some_and(|primary| record.backup || record.priority > primary),
        down: is_down(&record),
        state: record.state,
        max_fails: record.max_fails.unwrap_or(options.max_fails),
        fail_timeout: record.fail_timeout.unwrap_or(options.fail_timeout),
        max_conns: record.max_conns.unwrap_or(options.max_conns),
        meta: record.meta,
        address: record.address,
    });
    (backends.collect(), too_many.collect())
}
