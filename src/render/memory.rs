//! What one resource's last render leaves behind so that the next costs what changed: long lists that `gets` and
//! `getvs` made, decoded backends, and what loops printed. Losing it costs time and nothing else; nothing here is ever older than the view it is used with.

use std::collections::BTreeSet;

use super::go;
use super::lists::Lists;
use super::tera::backends::{Folders, SetAside, Tally};
use super::tera::incremental::pieces::Loops;
use super::window::Reads;
use crate::model::view::View;

/// Kept by the caller beside a resource, and handed to each of its renders, as long as its templates stay what they are.
#[derive(Default)]
pub struct Memory {
    /// What the lists were made from.
    view: Option<View>,
    pub(super) tera_lists: Lists<::tera::Value>,
    pub(super) go_lists: Lists<go::Value>,
    /// Where the last render looked; `None` where it failed, and where nobody asks: only a file of a `for_each` can be passed over.
    reads: Option<Reads>,
    /// The folders whose backends were asked for.
    pub(super) backends: Folders,
    /// What the loops of a Tera template printed.
    pub(super) loops: Loops,
    /// There was a render before this one.
    pub(super) is_known: bool,
    /// Size of the last output, in bytes.
    pub(super) output_bytes: usize,
    /// The render has printed the placeholder of its generation.
    pub(super) prints_generation: bool,
}

/// Shorter lists are made anew: that costs less than keeping them for a render that may never come.
pub(super) const SHORTEST_KEPT: usize = 64;
/// The same, where there was a render before.
const SHORTEST_KEPT_AGAIN: usize = 8;
/// With more changed keys than this, lists are made anew.
const MOST_CHANGES: usize = 64;

impl Memory {
    /// Brings everything kept up to `view`, for a render of it.
    pub(super) fn begin(&mut self, view: &View) {
        self.reads = None;
        self.prints_generation = false;
        self.backends.begin();
        self.follow(view);
    }

    fn follow(&mut self, view: &View) {
        let changed = self.view.as_ref().and_then(|old| old.changed_paths(view));
        match (&self.view, &changed) {
            (Some(old), Some(changed)) if changed.len() <= MOST_CHANGES => {
                self.tera_lists.follow(old, view, changed);
                self.go_lists.follow(old, view, changed);
            }
            _ => {
                self.tera_lists.clear();
                self.go_lists.clear();
            }
        }
        self.loops.follow(changed.as_deref().filter(|changed| changed.len() <= MOST_CHANGES));
        self.backends.follow(self.view.as_ref().zip(changed.as_deref()), view);
        self.view = Some(view.clone());
    }

    /// The keys that the last render found to be no backend, sorted.
    pub fn keys_set_aside(&self) -> &BTreeSet<SetAside> {
        self.backends.set_aside()
    }

    /// What the last render found where it asked for backends; `None` where it asked for none.
    pub fn tally(&self) -> Option<Tally> {
        self.backends.tally()
    }

    /// Lets the next render find no backend, whatever the store says; what it leaves here tells of what there is.
    pub fn withhold_backends(&mut self) {
        self.backends.withhold();
    }

    /// How many items a list must have to be kept.
    pub(super) fn shortest_kept(&self) -> usize {
        if self.is_known { SHORTEST_KEPT_AGAIN } else { SHORTEST_KEPT }
    }

    /// Whether a change of these paths, as templates name them, may change what the last render gave. A render that failed may
    /// be changed by anything.
    pub fn is_concerned_by<'a>(&self, mut paths: impl Iterator<Item = &'a str>) -> bool {
        self.reads.as_ref().is_none_or(|reads| paths.any(|path| reads.concern(path)))
    }

    /// Lets any change concern the next render.
    pub fn forget_reads(&mut self) {
        self.reads = None;
    }

    /// Brings what is kept up to a view that differs in nothing that concerns it, so that no older tree is held for it.
    pub fn keep_up(&mut self, view: impl FnOnce() -> View) {
        if self.view.is_some() {
            self.follow(&view());
        }
    }

    /// Remembers where a render looked that has come to its end.
    pub(super) fn came_true(&mut self, reads: Reads) {
        self.reads = Some(reads);
    }

    /// Forgets what this render did not use.
    pub(super) fn end(&mut self, output_bytes: usize) {
        self.is_known = true;
        self.output_bytes = output_bytes;
        self.tera_lists.forget_unused();
        self.go_lists.forget_unused();
        self.backends.end();
        self.loops.end();
        let lists = self.tera_lists.is_empty() && self.go_lists.is_empty() && self.backends.is_empty();
        if lists && self.loops.read_nothing() {
            self.view = None;
        }
    }
}
