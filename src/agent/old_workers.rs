//! What is known of nginx's old workers, and what follows from it: which reloads have drained, and how far apart reloads
//! are kept while old workers pile up.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::model::process::Process;
use crate::model::report::Report;
use crate::status::{Shared, events};
use crate::world::nginx_process;

use super::desk::Desk;
use super::draining::{Drained, Draining};
use super::governor;

/// The old workers of the nginx that is driven.
#[derive(Default)]
pub(super) struct OldWorkers {
    draining: Draining,
}

impl OldWorkers {
    /// Takes workers that were leaving before any reload of ours.
    pub(super) fn add_earlier(&mut self, leaving: BTreeSet<Process>, now: Instant) {
        self.draining.add_earlier(leaving, now);
    }

    /// Takes what the reload of a pass has left behind.
    pub(super) fn add(&mut self, report: &Report, board: &Shared, now: Instant) {
        if let Some(drained) = self.draining.add(report, now) {
            record(&drained, board);
        }
    }

    /// Reports which reloads have drained, and spreads further ones while old workers pile up.
    pub(super) fn look(&mut self, desk: &mut Desk, board: &Shared, now: Instant) {
        for drained in self.draining.look(now, nginx_process::is_alive) {
            // Those that were leaving before any reload of ours belong to no change that we know.
            if !drained.resources.is_empty() {
                record(&drained, board);
            }
        }
        if let Some(receipts) = &mut desk.receipts {
            receipts.look(&self.draining);
        }
        let (leaving, serving) = (self.draining.leaving().len(), self.draining.serving());
        board.with(|board| board.workers(leaving, serving));
        let load = governor::load(leaving, serving);
        if desk.set_load(load) {
            events::spread(load.stretch(), leaving);
        }
    }

    /// Returns when to look next.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.draining.wake_at()
    }

    /// Returns the account of reloads and their old workers.
    pub(super) fn draining(&self) -> &Draining {
        &self.draining
    }
}

fn record(drained: &Drained, board: &Shared) {
    events::drained(&drained.resources, drained.revision, drained.after);
    board.with(|board| board.drained(drained.after));
}
