//! What `backends` found, by folder: decoded records that are kept between renders, and how many there were, which decides
//! whether what was rendered may go live. A folder of few keys is read anew each time: that costs less than keeping it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tera::Value;

use crate::model::key::Key;
use crate::model::view::View;
use crate::nginx::backend::{Backend, Options, Reason, Records};

use crate::render::memory::SHORTEST_KEPT;

/// A key that `backends` left out, and why.
pub type SetAside = (String, Reason);

/// With more changed keys than this part of the folder, decoding all of them anew costs less than following.
const MOST_CHANGED_PART: usize = 4;

/// How much a render found where it asked for backends. A folder that was asked for several times counts once, with the
/// call that gave most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Keys in the folders, those that are no backend included.
    pub keys: usize,
    /// Backends that were given to the template.
    pub backends: usize,
    /// Keys set aside.
    pub set_aside: usize,
}

/// Every folder that a render asks for.
#[derive(Default)]
pub(in crate::render) struct Folders {
    kept: HashMap<String, Vec<Folder>>,
    /// What this render asked for, and found.
    asked: BTreeMap<String, Tally>,
    set_aside: BTreeSet<SetAside>,
    withheld: bool,
}

struct Folder {
    records: Records<Value>,
    /// The list as it was given last, as long as no key of the folder changes.
    list: Option<Given>,
    used: bool,
}

#[derive(Clone)]
struct Given {
    items: Value,
    set_aside: Vec<SetAside>,
}

impl Folders {
    /// Forgets what the last render asked for.
    pub(in crate::render) fn begin(&mut self) {
        self.asked.clear();
        self.set_aside.clear();
    }

    /// Brings what is kept up to `view`, from the view before it and the keys that differ, where those are known.
    pub(in crate::render) fn follow(&mut self, changes: Option<(&View, &[Key])>, view: &View) {
        let Some((old, changed)) = changes else { return self.kept.clear() };
        for folders in self.kept.values_mut() {
            folders.retain_mut(|folder| folder.follow(old, view, changed).is_some());
        }
    }

    /// The backends below `folder`, which ends with a slash, as a template sees them.
    pub(in crate::render) fn list(
        &mut self,
        view: &View,
        folder: &str,
        options: Options,
        make: impl FnMut(Backend) -> Value,
    ) -> Value {
        let known =
            self.kept.get_mut(folder).and_then(|kept| kept.iter_mut().find(|f| *f.records.options() == options));
        let (given, keys) = match known {
            Some(known) => (known.given(make), known.records.keys()),
            None => {
                let records = Records::read(folder, options, view.below(folder), &|key| view.get(key));
                let mut fresh = Folder { records, list: None, used: true };
                let (given, keys) = (fresh.given(make), fresh.records.keys());
                if keys >= SHORTEST_KEPT {
                    self.kept.entry(folder.to_owned()).or_default().push(fresh);
                }
                (given, keys)
            }
        };
        let tally = self.asked.entry(folder.to_owned()).or_default();
        tally.keys = tally.keys.max(keys);
        tally.backends = tally.backends.max(given.items.len().unwrap_or(0));
        tally.set_aside = tally.set_aside.max(given.set_aside.len());
        self.set_aside.extend(given.set_aside);
        if self.withheld { Value::from(Vec::<Value>::new()) } else { given.items }
    }

    /// Forgets what this render did not use.
    pub(in crate::render) fn end(&mut self) {
        self.withheld = false;
        self.kept.retain(|_, folders| {
            folders.retain_mut(|folder| std::mem::take(&mut folder.used));
            !folders.is_empty()
        });
    }

    pub(in crate::render) fn withhold(&mut self) {
        self.withheld = true;
    }

    pub(in crate::render) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(in crate::render) fn set_aside(&self) -> &BTreeSet<SetAside> {
        &self.set_aside
    }

    pub(in crate::render) fn tally(&self) -> Option<Tally> {
        let add = |sum: Tally, one: &Tally| Tally {
            keys: sum.keys + one.keys,
            backends: sum.backends + one.backends,
            set_aside: sum.set_aside + one.set_aside,
        };
        (!self.asked.is_empty()).then(|| self.asked.values().fold(Tally::default(), add))
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
            Given { items: Value::from(settled.items), set_aside: settled.set_aside }
        });
        given.clone()
    }
}
