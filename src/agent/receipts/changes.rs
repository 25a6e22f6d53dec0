//! The changes of a resource that nginx has not taken yet. Pure.

use super::{Lag, RemovalKind};
use crate::model::key::Revision;

/// The changes of a resource that nginx has not taken yet, in their order: the first does not wait for those after it, which are one.
#[derive(Debug, Default)]
pub(super) struct UntakenChanges {
    pub(super) first: Option<UntakenChange>,
    pub(super) later: Option<UntakenChange>,
}

#[derive(Debug)]
pub(super) struct UntakenChange {
    pub(super) revision: Revision,
    /// Serial of the answers that have it.
    pub(super) answers: u64,
    /// Its changes of keys.
    pub(super) lag: Lag,
    pub(super) removal: RemovalKind,
    /// Whether its reload has converged; `None` if there was none, or nobody looked.
    pub(super) has_converged: Option<bool>,
    /// Whether old workers may use what it removed, or are left behind although it removed nothing.
    pub(super) leaves_workers: bool,
}

impl UntakenChanges {
    pub(super) fn add(&mut self, mut change: UntakenChange) {
        let Some(_) = &self.first else { return self.first = Some(change) };
        if let Some(earlier) = self.later.take() {
            change.lag = earlier.lag.and(change.lag);
            change.removal = earlier.removal.and(change.removal);
            change.has_converged = change.has_converged.or(earlier.has_converged);
            change.leaves_workers |= earlier.leaves_workers;
        }
        self.later = Some(change);
    }

    /// Takes the first one if that is so.
    pub(super) fn take_if(&mut self, is_so: impl Fn(&UntakenChange) -> bool) -> Option<UntakenChange> {
        let first = self.first.take_if(|change| is_so(change))?;
        self.first = self.later.take();
        Some(first)
    }
}
