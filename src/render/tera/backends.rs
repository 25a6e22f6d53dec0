//! Folders that `backends` decoded, kept from one render to the next and brought up to date key by key. A folder of few keys
//! is decoded again each time: that costs less than keeping it.

use std::collections::HashMap;

use tera::Value;

use crate::model::key::Key;
use crate::model::view::View;
use crate::nginx::backend::{Backend, Options, Records};

use crate::render::memory::SHORTEST_KEPT;
use crate::render::rendering::{FoundBackends, SkippedKey};

/// With more changed keys than this part of the folder, decoding all of them anew costs less than following.
const MOST_CHANGED_PART: usize = 4;

/// Every folder that a render asked for.
#[derive(Default)]
pub(in crate::render) struct Folders(HashMap<String, Vec<Folder>>);

struct Folder {
    records: Records<Value>,
    /// The list as it was given last, as long as no key of the folder changes.
    list: Option<Given>,
    used: bool,
}

#[derive(Clone)]
struct Given {
    items: Value,
    skipped: Vec<SkippedKey>,
}

impl Folders {
    /// Brings what is kept up to `view`, from the view before it and the keys that differ, where those are known.
    pub(in crate::render) fn follow(&mut self, changes: Option<(&View, &[Key])>, view: &View) {
        let Some((old, changed)) = changes else { return self.0.clear() };
        for folders in self.0.values_mut() {
            folders.retain_mut(|folder| folder.follow(old, view, changed).is_some());
        }
    }

    /// The backends below `folder`, which ends with a slash, as a template sees them.
    pub(in crate::render) fn list(
        &mut self,
        view: &View,
        folder: &str,
        options: Options,
        found: &mut FoundBackends,
        make: impl FnMut(Backend) -> Value,
    ) -> Value {
        let known = self.0.get_mut(folder).and_then(|kept| kept.iter_mut().find(|f| *f.records.options() == options));
        let (given, keys) = match known {
            Some(known) => (known.given(make), known.records.keys()),
            None => {
                let records = Records::read(folder, options, view.below(folder), &|key| view.get(key));
                let mut fresh = Folder { records, list: None, used: true };
                let (given, keys) = (fresh.given(make), fresh.records.keys());
                if keys >= SHORTEST_KEPT {
                    self.0.entry(folder.to_owned()).or_default().push(fresh);
                }
                (given, keys)
            }
        };
        found.record(folder, keys, given.items.len().unwrap_or(0), &given.skipped);
        given.items
    }

    /// Forgets what this render did not use.
    pub(in crate::render) fn end(&mut self) {
        self.0.retain(|_, folders| {
            folders.retain_mut(|folder| std::mem::take(&mut folder.used));
            !folders.is_empty()
        });
    }

    pub(in crate::render) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Folder {
    /// Applies the changed keys; `None` where the folder has to be read anew.
    fn follow(&mut self, old: &View, new: &View, changed: &[Key]) -> Option<()> {
        if changed.len() > self.records.keys() / MOST_CHANGED_PART {
            return None;
        }
        let changed = changed.iter().map(Key::as_str);
        if self.records.follow(&|key| old.get(key), &|key| new.get(key), changed)? {
            self.list = None;
        }
        Some(())
    }

    fn given(&mut self, make: impl FnMut(Backend) -> Value) -> Given {
        self.used = true;
        let records = &mut self.records;
        let given = self.list.get_or_insert_with(|| {
            let settled = records.settle(make);
            Given { items: Value::from(settled.items), skipped: settled.set_aside }
        });
        given.clone()
    }
}
