//! Folders that `backends` and `servers` decoded, kept from one render to the next and brought up to date key by key. A folder of few keys
//! is decoded again each time: that costs less than keeping it.

use std::collections::HashMap;
use std::sync::Arc;

use super::changes::Changes;
use super::library::servers::UpstreamServer;
use super::lists::SHORTEST_KEPT;
use super::rendering::{FoundBackends, ListedCall, SkippedKey};
use crate::model::key::Key;
use crate::model::view::View;
use crate::nginx::backend::{self, Backend, Options, Records};

/// With more changed keys than this part of the folder, decoding all of them again costs less than following.
const MAX_CHANGED_PART: usize = 4;

/// Every folder that a render asked for: `T` is one backend as the caller has it, `L` a list of them.
pub(super) struct KeptFolders<T, L>(HashMap<String, Vec<KeptFolder<T, L>>>);

/// The folders that `servers` asked for.
pub(super) type KeptServers = KeptFolders<Arc<UpstreamServer>, Arc<[Arc<UpstreamServer>]>>;

struct KeptFolder<T, L> {
    records: Records<T>,
    /// List as it was last given, until a key of the folder changes.
    list: Option<BackendList<L>>,
    used: bool,
}

#[derive(Clone)]
struct BackendList<L> {
    items: L,
    skipped: Vec<SkippedKey>,
    /// Keys that options leave out of an empty list, in words.
    left_out: Option<String>,
}

impl<T, L> Default for KeptFolders<T, L> {
    fn default() -> KeptFolders<T, L> {
        KeptFolders(HashMap::new())
    }
}

impl<T: Clone, L: Clone + From<Vec<T>> + Into<ListedCall>> KeptFolders<T, L> {
    /// Updates everything to a newer view; forgets what cannot be updated.
    pub(super) fn follow(&mut self, changes: Option<Changes<'_>>) {
        let Some(changes) = changes else { return self.0.clear() };
        for folders in self.0.values_mut() {
            folders.retain_mut(|folder| folder.follow(changes).is_some());
        }
    }

    /// Returns the backends below `folder`, which ends with a slash, each as `make` returns it.
    pub(super) fn list(
        &mut self,
        view: &View,
        folder: &str,
        options: Options,
        found: &mut FoundBackends,
        make: impl FnMut(Backend) -> T,
    ) -> L {
        let known = self.0.get_mut(folder).and_then(|kept| kept.iter_mut().find(|f| *f.records.options() == options));
        let (given, keys) = match known {
            Some(known) => (known.given(view, folder, make), known.records.keys()),
            None => {
                let records = Records::read(folder, options, view.below(folder), &|key| view.get(key));
                let mut fresh = KeptFolder { records, list: None, used: true };
                let (given, keys) = (fresh.given(view, folder, make), fresh.records.keys());
                if keys >= SHORTEST_KEPT {
                    self.0.entry(folder.to_owned()).or_default().push(fresh);
                }
                (given, keys)
            }
        };
        found.record(folder, keys, given.items.clone().into(), &given.skipped);
        found.record_left_out(folder, given.left_out);
        given.items
    }

    /// Forgets what this render did not use.
    pub(super) fn end(&mut self) {
        self.0.retain(|_, folders| {
            folders.retain_mut(|folder| std::mem::take(&mut folder.used));
            !folders.is_empty()
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Clone, L: Clone + From<Vec<T>>> KeptFolder<T, L> {
    /// Applies the changed keys; `None` if the folder has to be decoded again.
    fn follow(&mut self, Changes { old, new, keys }: Changes<'_>) -> Option<()> {
        if keys.len() > self.records.keys() / MAX_CHANGED_PART {
            return None;
        }
        let changed = keys.iter().map(Key::as_str);
        if self.records.follow(&|key| old.get(key), &|key| new.get(key), changed)? {
            self.list = None;
        }
        Some(())
    }

    fn given(&mut self, view: &View, folder: &str, make: impl FnMut(Backend) -> T) -> BackendList<L> {
        self.used = true;
        let records = &mut self.records;
        let given = self.list.get_or_insert_with(|| {
            let settled = records.settle(make);
            let left_out = match settled.items.is_empty() {
                true => backend::left_out(folder, records.options(), view.below(folder), &|key| view.get(key)),
                false => None,
            };
            BackendList { items: L::from(settled.items), skipped: settled.skipped, left_out }
        });
        given.clone()
    }
}
