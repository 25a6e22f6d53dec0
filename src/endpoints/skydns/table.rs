//! All records by their names. A change of the tree decodes only the keys that changed; a key that is no record is left out, and
//! hides no other. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use hickory_proto::rr::RecordType;

use crate::endpoints::message::DnsQuestion;
use crate::model::key::Key;
use crate::model::lease::LeaseId;
use crate::model::range::KeyRanges;
use crate::model::tree::Tree;

use super::labels::{self, OwnDomain};
use super::leases::KeyLeases;
use super::record::SkyRecord;
use super::services;

/// Most keys that are remembered to be no records, so that each is reported once.
const MAX_SKIPPED: usize = 10_000;

/// The folders of the records in the store, and the domains that they are answered for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamePlaces {
    /// Prefix of all keys: `""` or `/a/b`.
    pub prefix: String,
    /// The domain of the names below `/skydns`.
    pub domain: Option<OwnDomain>,
    /// The domain of the services below `/services`.
    pub services: Option<OwnDomain>,
}

impl NamePlaces {
    /// Returns whether there is any domain.
    pub fn is_any(&self) -> bool {
        self.domain.is_some() || self.services.is_some()
    }

    /// Returns those of them whose keys are all in these ranges.
    pub fn shown_by(&self, ranges: &KeyRanges) -> NamePlaces {
        let is_shown = |folder: Option<String>| {
            folder.is_some_and(|folder| ranges.covers(&KeyRanges::of_directories([folder.as_str()])))
        };
        NamePlaces {
            prefix: self.prefix.clone(),
            domain: self.domain.clone().filter(|_| is_shown(self.skydns_folder())),
            services: self.services.clone().filter(|_| is_shown(self.services_folder())),
        }
    }

    /// Returns the folders that others of these places lack.
    pub fn missing_in(&self, others: &NamePlaces) -> Vec<String> {
        let skydns = self.skydns_folder().filter(|_| others.domain.is_none());
        let services = self.services_folder().filter(|_| others.services.is_none());
        skydns.into_iter().chain(services).collect()
    }

    /// Returns whether a question may be about a name of a domain that others of these places lack: one in that domain, or an address,
    /// whose host the store may have.
    pub fn may_have_besides(&self, others: &NamePlaces, question: &DnsQuestion) -> bool {
        let name = question.query.name.to_lowercase();
        let is_pointer = question.kind() == RecordType::PTR && name.iter().next_back() == Some(b"arpa");
        let length = |domain: &OwnDomain| domain.name.zone_of(&name).then_some(domain.labels.len());
        let (skydns, services) = (self.domain.as_ref().and_then(length), self.services.as_ref().and_then(length));
        // The longest domain has the name.
        match is_pointer || skydns > services {
            true => self.domain.is_some() && others.domain.is_none(),
            false => services.is_some() && others.services.is_none(),
        }
    }

    /// Returns the keys that have to be followed.
    pub fn ranges(&self) -> KeyRanges {
        let folders: Vec<String> = self.skydns_folder().into_iter().chain(self.services_folder()).collect();
        KeyRanges::of_directories(folders.iter().map(String::as_str))
    }

    fn skydns_folder(&self) -> Option<String> {
        self.domain.is_some().then(|| format!("{}/skydns/", self.prefix))
    }

    fn services_folder(&self) -> Option<String> {
        self.services.is_some().then(|| format!("{}/services/", self.prefix))
    }
}

/// The records of the store, by name.
#[derive(Debug, Default)]
pub struct NameTable {
    places: NamePlaces,
    /// The tree that they were read from.
    tree: Tree,
    /// Keys that are no records.
    skipped: BTreeSet<String>,
    leases: HashMap<Key, LeaseId>,
    pub(super) records: BTreeMap<Box<str>, SkyRecord>,
}

impl NameTable {
    /// Returns a table without records.
    pub fn new(places: NamePlaces) -> NameTable {
        NameTable { places, ..NameTable::default() }
    }

    /// Returns the places whose records it has.
    pub fn places(&self) -> &NamePlaces {
        &self.places
    }

    /// Returns the number of the store's state, for SOA records.
    pub(super) fn serial(&self) -> u32 {
        // The lower half: serial numbers go round.
        (self.tree.revision().0 & i64::from(u32::MAX)).try_into().unwrap_or(0)
    }

    /// Takes the records of this tree, and the leases that have changed since. Returns the keys that are no records any more, or are
    /// new and none, with the reason.
    pub fn update(&mut self, tree: Tree, leases: KeyLeases) -> Vec<(String, String)> {
        let mut changed = self.tree.changed_paths(&tree);
        changed.extend(leases.apply(&mut self.leases));
        self.tree = tree;
        let mut skipped: Vec<(String, String)> = Vec::new();
        let mut services: BTreeSet<String> = BTreeSet::new();
        let (skydns, root) = (self.places.skydns_folder(), self.places.services_folder());
        for key in &changed {
            let key = key.as_str();
            if let Some(below) = skydns.as_deref().and_then(|folder| key.strip_prefix(folder)) {
                skipped.extend(self.take(key, below).err().map(|reason| (key.to_owned(), reason.to_owned())));
            }
            if let Some(root) = &root
                && let Some((service, _)) = key.strip_prefix(root.as_str()).and_then(|below| below.split_once('/'))
            {
                services.insert(format!("{root}{service}/"));
            }
        }
        for folder in services {
            skipped.extend(self.take_service(root.as_deref().unwrap_or_default(), &folder));
        }
        skipped.retain(|(key, _)| self.skipped.len() < MAX_SKIPPED && self.skipped.insert(key.clone()));
        skipped
    }

    /// Takes the present value of a key, with this path below the folder of SkyDNS.
    fn take(&mut self, key: &str, below: &str) -> Result<(), &'static str> {
        let labels: Option<Vec<String>> = below.split('/').map(labels::of_key_part).collect();
        let place = labels.as_ref().map(|labels| labels::place(labels, key).into_boxed_str());
        place.iter().for_each(|place| drop(self.records.remove(place)));
        let Some(value) = self.tree.get(key) else {
            self.skipped.remove(key);
            return Ok(());
        };
        let (labels, place) = labels.zip(place).ok_or("a part of the key is longer than a label of a name can be")?;
        let text = value.as_text().ok_or("the value is not UTF-8 text, or too long")?;
        let mut record = SkyRecord::parse(&labels, text)?;
        // A part that was changed may be the same as that of another key.
        record.shares_target |= !below.split('/').eq(labels.iter().map(String::as_str));
        record.lease = self.lease(key);
        self.records.insert(place, record);
        self.skipped.remove(key);
        Ok(())
    }

    /// Takes the present backends of a service.
    fn take_service(&mut self, root: &str, folder: &str) -> Vec<(String, String)> {
        let Some(domain) = &self.places.services else { return Vec::new() };
        if let Some(service) =
            folder.strip_prefix(root).and_then(|name| labels::of_key_part(name.trim_end_matches('/')))
        {
            let mut beginning = String::new();
            domain.labels.iter().chain([&service]).for_each(|label| labels::push(&mut beginning, label));
            let range = labels::at_or_below(&beginning);
            // Two services may have the same label.
            let is_of = |place: &str| labels::key_of(place).is_some_and(|key| key.starts_with(folder));
            let gone: Vec<Box<str>> =
                self.range(&range).map(|(place, _)| place).filter(|place| is_of(place)).map(Box::from).collect();
            gone.iter().for_each(|place| drop(self.records.remove(place)));
        }
        let tree = self.tree.clone();
        let keys = tree.range_from(folder).map(|(key, value)| (key.as_str(), value));
        let lookup = |key: &str| tree.get(key);
        let found = services::read(root, folder, domain, keys.take_while(|(key, _)| key.starts_with(folder)), &lookup);
        for (labels, key, mut record) in found.records {
            record.lease = self.lease(&key);
            self.records.insert(labels::place(&labels, &key).into_boxed_str(), record);
        }
        let skipped: BTreeSet<&str> = found.skipped.iter().map(|(key, _)| key.as_str()).collect();
        self.skipped.retain(|key| !key.starts_with(folder) || skipped.contains(key.as_str()));
        found.skipped
    }

    fn lease(&self, key: &str) -> LeaseId {
        self.leases.get(key).copied().unwrap_or(0)
    }

    /// Returns the records from the first place to before the second.
    pub(super) fn range<'t>(
        &'t self,
        (from, to): &(String, String),
    ) -> impl Iterator<Item = (&'t str, &'t SkyRecord)> + use<'t> {
        let bounds = (Bound::Included(from.as_str()), Bound::Excluded(to.as_str()));
        self.records.range::<str, _>(bounds).map(|(place, record)| (&**place, record))
    }
}
