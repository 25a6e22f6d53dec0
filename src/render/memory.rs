//! What one resource's last render leaves behind so that the next costs what changed: long lists that `gets` and `getvs`
//! made, decoded backends, and what loops printed. A cache: losing it costs time and nothing else, and nothing here is ever
//! older than the view it is used with.

use super::changes::Changes;
use super::go::GoMemory;
use super::tera::TeraMemory;
use crate::model::view::View;

/// Kept by the caller beside a resource, and handed to each of its renders, as long as its templates stay what they are.
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
    /// Brings what is kept up to a newer view that is not rendered, because nothing in it concerns the resource. Without it,
    /// the tree of the last render would stay in memory.
    pub fn follow(&mut self, view: impl FnOnce() -> View) {
        if self.view.is_some() {
            self.begin(&view());
        }
    }

    /// Brings what is kept up to `view`, for a render of it.
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
