//! The backends of one folder, cached between renders, so that a change of one key decodes one key. Also decides what depends
//! on all keys: order, one backend for each address, backups, default weights, and the cap. Never reads the store. Pure.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::address::SocketOrHost;
use super::decode::{DecodedKey, Lookup, entry, traefik_folder};
use super::record::BackendRecord;
use super::{Backend, BackendState, Options, Reason};
use crate::model::key;

/// The backends below a folder. `T` is the caller's form of a backend; it is cached while it is valid.
pub struct Records<T> {
    /// The folder, with a trailing `/`.
    folder: String,
    options: Options,
    /// Number of keys, including those that are skipped or left out.
    keys: usize,
    /// Backends, sorted by address. If several have the same address, the first one is used.
    listed: Vec<Box<ListedRecord<T>>>,
    skipped: BTreeMap<String, Reason>,
}

struct ListedRecord<T> {
    key: String,
    name: String,
    record: BackendRecord,
    made: Option<Made<T>>,
}

/// The caller's form of a backend, with the fields that depend on the other keys.
struct Made<T> {
    weight: u16,
    backup: bool,
    item: T,
}

/// The final list of backends of a folder.
pub struct Settled<T> {
    /// Backends sorted by address, each address once.
    pub items: Vec<T>,
    /// Skipped keys, each with its reason.
    pub skipped: Vec<(String, Reason)>,
}

impl<T: Clone> Records<T> {
    /// Decodes all of `keys`.
    pub fn read<'v>(
        folder: &str,
        options: Options,
        keys: impl Iterator<Item = (&'v str, &'v key::Value)>,
        lookup: &Lookup<'_>,
    ) -> Records<T> {
        let mut records =
            Records { folder: folder.to_owned(), options, keys: 0, listed: Vec::new(), skipped: BTreeMap::new() };
        for (key, value) in keys {
            let Some(entry) = entry(folder, key, value, lookup, &records.options) else { continue };
            records.keys += 1;
            match entry {
                DecodedKey::Backend(name, record) => {
                    records.listed.push(Box::new(ListedRecord::new(key, name, record)))
                }
                DecodedKey::Setting | DecodedKey::LeftOut(_) => {}
                DecodedKey::Skipped(reason) => {
                    records.skipped.insert(key.to_owned(), reason);
                }
            }
        }
        records.listed.sort_by(|a, b| a.order(b));
        records
    }

    /// Returns the options that the keys were decoded with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Returns the number of keys, including those that are skipped or left out.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// Applies the `changed` keys between the trees `old` and `new`. Returns whether any of them is in this folder, or `None` if
    /// these records do not match `old`: then everything must be decoded again.
    pub fn follow<'k>(
        &mut self,
        old: &Lookup<'_>,
        new: &Lookup<'_>,
        changed: impl Iterator<Item = &'k str>,
    ) -> Option<bool> {
        let mut affected: BTreeSet<String> = BTreeSet::new();
        for key in changed.filter(|key| key.starts_with(&self.folder)) {
            if let Some((name, _)) = traefik_folder(&self.folder, key) {
                affected.extend(["url", "weight", "tags"].map(|setting| format!("{name}/{setting}")));
            } else {
                affected.insert(key.to_owned());
            }
        }
        for key in &affected {
            self.remove(key, old)?;
            self.insert(key, new);
        }
        Some(!affected.is_empty())
    }

    fn remove(&mut self, key: &str, old: &Lookup<'_>) -> Option<()> {
        let Some(value) = old(key) else { return Some(()) };
        let Some(entry) = entry(&self.folder, key, value, old, &self.options) else { return Some(()) };
        self.keys = self.keys.checked_sub(1)?;
        match entry {
            DecodedKey::Backend(name, record) => {
                let gone = ListedRecord::new(key, name, record);
                let at = self.listed.binary_search_by(|listed| listed.order(&gone)).ok()?;
                self.listed.remove(at);
            }
            DecodedKey::Setting | DecodedKey::LeftOut(_) => {}
            DecodedKey::Skipped(_) => {
                self.skipped.remove(key)?;
            }
        }
        Some(())
    }

    fn insert(&mut self, key: &str, new: &Lookup<'_>) {
        let Some(value) = new(key) else { return };
        let Some(entry) = entry(&self.folder, key, value, new, &self.options) else { return };
        self.keys += 1;
        match entry {
            DecodedKey::Backend(name, record) => {
                let come = Box::new(ListedRecord::<T>::new(key, name, record));
                let at = self.listed.partition_point(|listed| listed.order(&come) == Ordering::Less);
                self.listed.insert(at, come);
            }
            DecodedKey::Setting | DecodedKey::LeftOut(_) => {}
            DecodedKey::Skipped(reason) => {
                self.skipped.insert(key.to_owned(), reason);
            }
        }
    }

    /// Returns the final list. Calls `make` only for backends that are not cached or have changed.
    pub fn settle(&mut self, mut make: impl FnMut(Backend) -> T) -> Settled<T> {
        let mut too_many: Vec<(String, SocketOrHost)> = Vec::new();
        let mut chosen: Vec<&mut ListedRecord<T>> = Vec::with_capacity(self.listed.len().min(self.options.max));
        let mut states_weight = false;
        let mut primary: Option<u32> = None;
        for listed in self.listed.iter_mut().map(|listed| &mut **listed) {
            // Of two records with the same address, the first counts.
            let address = &listed.record.address;
            if chosen.last().is_some_and(|last| last.record.address == *address)
                || too_many.last().is_some_and(|(_, last)| last == address)
            {
                continue;
            }
            if chosen.len() == self.options.max {
                too_many.push((listed.key.clone(), address.clone()));
                continue;
            }
            states_weight |= listed.record.states_weight;
            if !listed.record.backup {
                primary = Some(primary.map_or(listed.record.priority, |least| least.min(listed.record.priority)));
            }
            chosen.push(listed);
        }
        let default_weight = if states_weight { 100 } else { 1 };
        let items = chosen.into_iter().map(|listed| {
            let weight = listed.record.weight.unwrap_or(default_weight);
            // nginx refuses an upstream in which every server is a backup.
            let backup = primary.is_some_and(|primary| listed.record.backup || listed.record.priority > primary);
            match &listed.made {
                Some(made) if made.weight == weight && made.backup == backup => made.item.clone(),
                _ => {
                    let item = make(listed.backend(weight, backup, &self.options));
                    listed.made = Some(Made { weight, backup, item: item.clone() });
                    item
                }
            }
        });
        let items = items.collect();
        let too_many = too_many.into_iter().map(|(key, _)| (key, Reason::TooMany(self.options.max)));
        let mut skipped: Vec<(String, Reason)> =
            self.skipped.iter().map(|(key, reason)| (key.clone(), reason.clone())).chain(too_many).collect();
        skipped.sort();
        Settled { items, skipped }
    }
}

impl<T> ListedRecord<T> {
    fn new(key: &str, name: &str, record: BackendRecord) -> ListedRecord<T> {
        ListedRecord { key: key.to_owned(), name: name.to_owned(), record, made: None }
    }

    fn is_down(&self) -> bool {
        self.record.down || self.record.state != BackendState::Up
    }

    /// Orders by address; of two records with the same address, the one that is up comes first, then the first key.
    fn order(&self, other: &ListedRecord<T>) -> Ordering {
        let by_address = self.record.address.cmp(&other.record.address);
        by_address.then_with(|| self.is_down().cmp(&other.is_down())).then_with(|| self.key.cmp(&other.key))
    }

    fn backend(&self, weight: u16, backup: bool, options: &Options) -> Backend {
        let record = &self.record;
        Backend {
            name: self.name.clone(),
            key: self.key.clone(),
            address: record.address.clone(),
            weight,
            backup,
            down: self.is_down(),
            state: record.state,
            max_fails: record.max_fails.unwrap_or(options.limits.max_fails),
            fail_timeout: record.fail_timeout.unwrap_or(options.limits.fail_timeout),
            max_conns: record.max_conns.unwrap_or(options.limits.max_conns),
            meta: record.meta.clone(),
        }
    }
}
