//! The backends of one folder, kept from one look at the store to the next: a change of one key decodes one key. Also what
//! the keys decide together: order, one backend for each address, who is a backup, what no weight means, and the cap.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::address::SocketOrHost;
use super::decode::{BackendRecord, DecodedKey, Lookup, entry, traefik_folder};
use super::{Backend, BackendState, Options, Reason};
use crate::model::key;

/// What the keys below a folder announce. `T` is what the caller makes of a backend; it is kept as long as it is true.
pub struct Records<T> {
    /// Ends with `/`.
    folder: String,
    options: Options,
    /// Keys that are read, those that are set aside included.
    keys: usize,
    /// Sorted by address; of one address, the one that speaks for it first.
    listed: Vec<Box<ListedRecord<T>>>,
    set_aside: BTreeMap<String, Reason>,
}

struct ListedRecord<T> {
    key: String,
    name: String,
    record: BackendRecord,
    made: Option<Made<T>>,
}

/// A backend as the caller has it, and what of it the other keys decide.
struct Made<T> {
    weight: u16,
    backup: bool,
    item: T,
}

/// The backends of a folder at one moment.
pub struct Settled<T> {
    /// By address, each once.
    pub items: Vec<T>,
    /// Keys that are no backend, and why.
    pub set_aside: Vec<(String, Reason)>,
}

impl<T: Clone> Records<T> {
    /// Reads every one of `keys`, in their order.
    pub fn read<'v>(
        folder: &str,
        options: Options,
        keys: impl Iterator<Item = (&'v str, &'v key::Value)>,
        lookup: &Lookup<'_>,
    ) -> Records<T> {
        let mut records =
            Records { folder: folder.to_owned(), options, keys: 0, listed: Vec::new(), set_aside: BTreeMap::new() };
        for (key, value) in keys {
            let Some(entry) = entry(folder, key, value, lookup, &records.options) else { continue };
            records.keys += 1;
            match entry {
                DecodedKey::Backend(name, record) => {
                    records.listed.push(Box::new(ListedRecord::new(key, name, record)))
                }
                DecodedKey::Unlisted => {}
                DecodedKey::SetAside(reason) => {
                    records.set_aside.insert(key.to_owned(), reason);
                }
            }
        }
        records.listed.sort_by(|a, b| a.order(b));
        records
    }

    /// How the keys were read.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// How many keys there are, those that are no backend included.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// Takes the keys that have `changed` between two looks. Answers whether any of them is of this folder; `None` where
    /// these records are not what `old` was read to, and everything has to be read anew.
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
            self.forget(key, old)?;
            self.learn(key, new);
        }
        Some(!affected.is_empty())
    }

    fn forget(&mut self, key: &str, old: &Lookup<'_>) -> Option<()> {
        let Some(value) = old(key) else { return Some(()) };
        let Some(entry) = entry(&self.folder, key, value, old, &self.options) else { return Some(()) };
        self.keys = self.keys.checked_sub(1)?;
        match entry {
            DecodedKey::Backend(name, record) => {
                let gone = ListedRecord::new(key, name, record);
                let at = self.listed.binary_search_by(|listed| listed.order(&gone)).ok()?;
                self.listed.remove(at);
            }
            DecodedKey::Unlisted => {}
            DecodedKey::SetAside(_) => {
                self.set_aside.remove(key)?;
            }
        }
        Some(())
    }

    fn learn(&mut self, key: &str, new: &Lookup<'_>) {
        let Some(value) = new(key) else { return };
        let Some(entry) = entry(&self.folder, key, value, new, &self.options) else { return };
        self.keys += 1;
        match entry {
            DecodedKey::Backend(name, record) => {
                let come = Box::new(ListedRecord::<T>::new(key, name, record));
                let at = self.listed.partition_point(|listed| listed.order(&come) == Ordering::Less);
                self.listed.insert(at, come);
            }
            DecodedKey::Unlisted => {}
            DecodedKey::SetAside(reason) => {
                self.set_aside.insert(key.to_owned(), reason);
            }
        }
    }

    /// The list as it stands. `make` is asked only for what is not kept, or is no longer true.
    pub fn settle(&mut self, mut make: impl FnMut(Backend) -> T) -> Settled<T> {
        let mut too_many: Vec<(String, SocketOrHost)> = Vec::new();
        let mut chosen: Vec<&mut ListedRecord<T>> = Vec::with_capacity(self.listed.len().min(self.options.max));
        let mut states_weight = false;
        let mut primary: Option<u32> = None;
        for listed in self.listed.iter_mut().map(|listed| &mut **listed) {
            // Of two records for one address the first speaks.
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
            // nginx takes no upstream whose servers are all backups.
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
        let mut set_aside: Vec<(String, Reason)> =
            self.set_aside.iter().map(|(key, reason)| (key.clone(), reason.clone())).chain(too_many).collect();
        set_aside.sort();
        Settled { items, set_aside }
    }
}

impl<T> ListedRecord<T> {
    fn new(key: &str, name: &str, record: BackendRecord) -> ListedRecord<T> {
        ListedRecord { key: key.to_owned(), name: name.to_owned(), record, made: None }
    }

    fn is_down(&self) -> bool {
        self.record.down || self.record.state != BackendState::Up
    }

    /// By address; of two records for one address, the one that is up speaks, then the first key.
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
