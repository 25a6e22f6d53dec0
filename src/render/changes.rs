//! The keys that differ between an older view of the store, of which something was kept, and a newer one. Data only.

use crate::model::key::Key;
use crate::model::view::View;

/// Most changed keys that are followed; with more, making things again costs less.
const MAX_FOLLOWED: usize = 64;

/// The changed keys of a view.
#[derive(Clone, Copy)]
pub(super) struct Changes<'a> {
    pub(super) old: &'a View,
    pub(super) new: &'a View,
    pub(super) keys: &'a [Key],
}

impl Changes<'_> {
    /// Checks whether following them one by one is worth it.
    pub(super) fn are_few(&self) -> bool {
        self.keys.len() <= MAX_FOLLOWED
    }
}
