//! The result of one render, and what it found on the way. Data only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tera::Value;
use tera::value::Key;

use super::library::servers::UpstreamServer;
use super::window::Reads;
use crate::model::endpoints::{Endpoint, EndpointName, EndpointSet};
use crate::model::live_backends::{ListedBackend, ListedState};
use crate::model::problem::Problem;
use crate::nginx::backend::{OWNER, Reason};

/// The result of one render.
#[derive(Debug)]
pub struct Rendering {
    /// The bytes, or the first problem: a missing key, a value that may not be printed, a lookup that failed. Names keys,
    /// never values.
    pub result: Result<Vec<u8>, Problem>,
    /// Backends found; `None` if the template did not ask for any. Of a failed render: those found until then.
    pub tally: Option<Tally>,
    /// The lists of backends that the template got; they share their items with the next render's.
    pub listed: ListedBackends,
    /// The endpoints of the names that `servers` printed, each name once; none if it printed lines. Of a failed render: those
    /// met until then.
    pub endpoints: Vec<EndpointSet>,
    /// Keys that `backends` skipped, sorted. Of a failed render: those met until then.
    pub skipped: BTreeSet<SkippedKey>,
    /// Keys and folders that the result depends on; everything, if the render failed.
    pub reads: Reads,
}

/// The backends that a render has listed: the folder of each call, and the list that it got.
#[derive(Clone, Debug, Default)]
pub struct ListedBackends(Vec<(String, ListedCall)>);

/// The list that one call got.
#[derive(Clone, Debug)]
pub(super) enum ListedCall {
    /// `backends`: what a template sees.
    Values(Value),
    /// `servers`.
    Servers(Arc<[Arc<UpstreamServer>]>),
}

impl ListedCall {
    fn len(&self) -> usize {
        match self {
            ListedCall::Values(values) => values.len().unwrap_or(0),
            ListedCall::Servers(servers) => servers.len(),
        }
    }

    /// Returns its backends.
    fn backends(&self) -> Vec<ListedBackend<'_>> {
        match self {
            ListedCall::Values(values) => {
                let maps = values.as_array().into_iter().flatten().filter_map(Value::as_map);
                maps.filter_map(backend_of).collect()
            }
            ListedCall::Servers(servers) => servers.iter().map(|server| server.listed()).collect(),
        }
    }
}

/// Returns a backend, as a template sees it.
fn backend_of(map: &tera::Map) -> Option<ListedBackend<'_>> {
    let member = |name: &'static str| map.get(&Key::from(name));
    let text = |name| member(name).and_then(Value::as_str);
    let is = |name| member(name).and_then(Value::as_bool).unwrap_or(false);
    let state = match (is("down"), text("state"), is("backup")) {
        (true, Some("draining"), _) => ListedState::Draining,
        (true, ..) => ListedState::Down,
        (false, _, true) => ListedState::Backup,
        (false, _, false) => ListedState::Up,
    };
    let owner = member("meta").and_then(|meta| meta.get_from_path(OWNER)?.as_str());
    Some(ListedBackend {
        address: text("address")?,
        key: text("key").unwrap_or_default(),
        announcer: owner.unwrap_or_default(),
        state,
        weight: member("weight").and_then(|weight| u16::try_from(weight.as_u64()?).ok()).unwrap_or(1),
    })
}

impl From<Value> for ListedCall {
    fn from(values: Value) -> ListedCall {
        ListedCall::Values(values)
    }
}

impl From<Arc<[Arc<UpstreamServer>]>> for ListedCall {
    fn from(servers: Arc<[Arc<UpstreamServer>]>) -> ListedCall {
        ListedCall::Servers(servers)
    }
}

impl ListedBackends {
    /// Returns the backends of all lists.
    pub fn backends(&self) -> Vec<ListedBackend<'_>> {
        self.0.iter().flat_map(|(_, listed)| listed.backends()).collect()
    }

    /// Returns the same lists without a backend.
    pub fn emptied(self) -> ListedBackends {
        let empty = |folder| (folder, ListedCall::Values(Value::from(Vec::<Value>::new())));
        ListedBackends(self.0.into_iter().map(|(folder, _)| empty(folder)).collect())
    }

    /// Returns the folders that were asked for, as the template names them; each ends with a slash.
    pub fn folders(&self) -> BTreeSet<&str> {
        self.0.iter().map(|(folder, _)| folder.as_str()).collect()
    }
}

/// Makes a list for tests: of each backend its address, and whether it is down.
#[cfg(test)]
impl ListedBackends {
    pub(crate) fn of(folder: &str, backends: &[(&str, bool)]) -> ListedBackends {
        let backend = |(address, is_down): &(&str, bool)| {
            let mut map = tera::Map::new();
            map.insert(Key::from("address"), Value::from(*address));
            map.insert(Key::from("down"), Value::from(*is_down));
            Value::from(map)
        };
        let values = Value::from(backends.iter().map(backend).collect::<Vec<_>>());
        ListedBackends(vec![(folder.to_owned(), values.into())])
    }
}

/// A key that does not decode to a backend, and why.
pub type SkippedKey = (String, Reason);

/// Counts of a render in the folders that it asked for backends. A folder that was asked for several times counts
/// once, with the call that gave most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Keys in the folders, including those that are skipped or left out.
    pub keys: usize,
    /// Backends given to the template, or withheld from it.
    pub backends: usize,
    /// Keys skipped.
    pub skipped: usize,
    /// Keys that options leave out of empty lists, in words.
    pub left_out: Option<String>,
}

/// The backends found so far by a running render.
#[derive(Debug, Default)]
pub(super) struct FoundBackends {
    by_folder: BTreeMap<String, Tally>,
    pub(super) listed: ListedBackends,
    pub(super) endpoints: BTreeMap<EndpointName, Vec<Endpoint>>,
    pub(super) skipped: BTreeSet<SkippedKey>,
}

impl FoundBackends {
    /// Records what one call found in a folder.
    pub(super) fn record(&mut self, folder: &str, keys: usize, listed: ListedCall, skipped: &[SkippedKey]) {
        let backends = listed.len();
        self.listed.0.push((folder.to_owned(), listed));
        let tally = self.by_folder.entry(folder.to_owned()).or_default();
        tally.keys = tally.keys.max(keys);
        tally.backends = tally.backends.max(backends);
        tally.skipped = tally.skipped.max(skipped.len());
        self.skipped.extend(skipped.iter().cloned());
    }

    /// Records the keys that options of one call have left out of its empty list, in words.
    pub(super) fn record_left_out(&mut self, folder: &str, left_out: Option<String>) {
        if let Some(tally) = self.by_folder.get_mut(folder).filter(|tally| tally.backends == 0) {
            tally.left_out = left_out;
        }
    }

    /// Returns the endpoints of each name.
    pub(super) fn take_endpoints(&mut self) -> Vec<EndpointSet> {
        let sets = std::mem::take(&mut self.endpoints).into_iter();
        sets.map(|(name, endpoints)| EndpointSet { name, endpoints }).collect()
    }

    /// Returns the sum over all folders; `None` if no folder was asked for.
    pub(super) fn tally(&self) -> Option<Tally> {
        let add = |sum: Tally, one: &Tally| Tally {
            keys: sum.keys + one.keys,
            backends: sum.backends + one.backends,
            skipped: sum.skipped + one.skipped,
            left_out: sum.left_out.or_else(|| one.left_out.clone()),
        };
        (!self.by_folder.is_empty()).then(|| self.by_folder.values().fold(Tally::default(), add))
    }
}
