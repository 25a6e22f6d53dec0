//! The keys that options of `backends` leave out, in words: why a list is empty although the store has keys. Names keys, never
//! values. Pure.

use std::collections::BTreeMap;

use super::Options;
use super::decode::{DecodedKey, LeftOut, Lookup, entry};
use crate::model::{key, text};

/// Most keys that are named for one option.
const MAX_NAMED: usize = 3;
/// Longest part of a key that is shown, in bytes.
const LONGEST_KEY: usize = 256;

/// Returns the keys below `folder` that options leave out, in words; `None` if there is no such key.
pub fn left_out<'v>(
    folder: &str,
    options: &Options,
    keys: impl Iterator<Item = (&'v str, &'v key::Value)>,
    lookup: &Lookup<'_>,
) -> Option<String> {
    let mut by_option: BTreeMap<LeftOut, (usize, Vec<String>)> = BTreeMap::new();
    for (key, value) in keys {
        if let Some(DecodedKey::LeftOut(option)) = entry(folder, key, value, lookup, options) {
            let (count, names) = by_option.entry(option).or_default();
            *count += 1;
            if names.len() < MAX_NAMED {
                names.push(text::one_line(key, LONGEST_KEY, char::REPLACEMENT_CHARACTER));
            }
        }
    }
    let phrases = by_option.into_iter().map(|(option, (count, names))| {
        let (keys, more) = (if count == 1 { "key" } else { "keys" }, if count > names.len() { ", …" } else { "" });
        format!("{} {count} {keys} ({}{more})", words(option, options), names.join(", "))
    });
    let phrases: Vec<String> = phrases.collect();
    (!phrases.is_empty()).then(|| phrases.join(", "))
}

fn words(option: LeftOut, options: &Options) -> &'static str {
    match option {
        LeftOut::Subfolder if options.subfolders == super::Subfolders::None => "subfolders=false leaves out",
        LeftOut::Subfolder => "subfolders= leaves out",
        LeftOut::Group => "group= leaves out",
        LeftOut::Draining => "draining=false leaves out",
    }
}
