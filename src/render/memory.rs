//! What one resource's last render leaves behind so that the next costs what changed: long lists that `gets` and
//! `getvs` made, decoded backends, and what loops printed. Losing it costs time and nothing else; nothing here is ever older than the view it is used with.

use super::go;
use super::lists::Lists;
use super::tera::backends::Folders;
use super::tera::incremental::pieces::Loops;
use crate::model::view::View;

/// Kept by the caller beside a resource, and handed to each of its renders, as long as its templates stay what they are.
#[derive(Default)]
pub struct Memory {
    /// What the lists were made from.
    view: Option<View>,
    pub(super) tera_lists: Lists<::tera::Value>,
    pub(super) go_lists: Lists<go::Value>,
    /// The folders whose backends were asked for.
    pub(super) backends: Folders,
    /// What the loops of a Tera template printed.
    pub(super) loops: Loops,
    /// There was a render before this one.
    pub(super) is_known: bool,
    /// Size of the last output, in bytes.
    pub(super) output_bytes: usize,
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
        self.bring_up_to(view);
    }

    fn bring_up_to(&mut self, view: &View) {
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

    /// How many items a list must have to be kept.
    pub(super) fn shortest_kept(&self) -> usize {
        if self.is_known { SHORTEST_KEPT_AGAIN } else { SHORTEST_KEPT }
    }

    /// Brings what is kept up to a newer view that is not rendered, because nothing in it concerns the resource. Without it,
    /// the tree of the last render would stay in memory.
    pub fn follow(&mut self, view: impl FnOnce() -> View) {
        if self.view.is_some() {
            self.bring_up_to(&view());
        }
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
