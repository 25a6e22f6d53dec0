//! State that one resource's last render leaves behind, so that the next costs what changed: long lists that `gets` and
//! `getvs` made, decoded backends, and the output of loops. A cache: losing it costs time and nothing else, and nothing
//! here is ever older than the view it is used with.

use super::changes::Changes;
use super::go::GoMemory;
use super::tera::TeraMemory;
use crate::model::view::View;

/// Memory of one resource's renders. The caller keeps it for all of them as long as the templates stay the same.
#[derive(Default)]
pub struct Memory {
    /// The view that everything was made from; `None` if nothing depends on one.
    view: Option<View>,
    pub(super) tera: TeraMemory,
    pub(super) go: GoMemory,
    /// Size of the last output, in bytes.
    pub(super) output_bytes: usize,
}

impl Memory {
    /// Updates what is kept to a newer view that is not rendered, because nothing in it concerns the resource. Without it,
    /// the tree of the last render would stay in memory.
    pub fn follow(&mut self, view: impl FnOnce() -> View) {
        if self.view.is_some() {
            self.begin(&view());
        }
    }

    /// Updates what is kept to `view`, for a render of it.
    pub(super) fn begin(&mut self, view: &View) {
        let keys = self.view.as_ref().and_then(|old| old.changed_paths(view));
        let changes = self.view.as_ref().zip(keys.as_deref()).map(|(old, keys)| Changes { old, new: view, keys });
        self.tera.follow(changes);
        self.go.follow(changes);
        self.view = Some(view.clone());
    }

    /// Forgets what the render that has ended did not use.
    pub(super) fn end(&mut self, output_bytes: usize) {
        self.output_bytes = output_bytes;
        self.tera.end();
        self.go.end();
        if self.tera.needs_no_view() && self.go.is_empty() {
            self.view = None;
        }
    }
}
