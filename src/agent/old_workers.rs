//! nginx's old workers and their consequences: which reloads have drained, and the distance between reloads while old
//! workers pile up. Never signals a worker.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::apply;
use crate::apply::group::Group;
use crate::model::process::Process;
use crate::model::report::Report;
use crate::status::{Shared, events};
use crate::world::nginx_process;

use super::desk::Desk;
use super::governor;
use super::proofs::Proofs;
use super::reloads::{Drained, Reloads};

/// The old workers of the nginx that is driven.
#[derive(Default)]
pub(super) struct OldWorkers {
    reloads: Reloads,
    proofs: Proofs,
}

impl OldWorkers {
    /// Records workers that were leaving before any reload of ours.
    pub(super) fn add_earlier(&mut self, leaving: BTreeSet<Process>, now: Instant) {
        self.reloads.add_earlier(leaving, now);
    }

    /// Records the old workers after the reload of a pass.
    pub(super) fn add(&mut self, group: &Group, report: &Report, board: &Shared, now: Instant) {
        if let Some(evidence) = report.verified.as_ref().and_then(|verified| verified.evidence.clone()) {
            self.proofs.add(&group.id, evidence, now);
        }
        if let Some(drained) = self.reloads.add(report, now) {
            record(&drained, board);
        }
    }

    /// Reports which reloads have drained, and spreads further ones while old workers pile up.
    pub(super) fn look(&mut self, desk: &mut Desk, board: &Shared, now: Instant) {
        for drained in self.reloads.look(now, nginx_process::is_alive) {
            // Workers that were leaving before any reload of ours belong to no known change.
            if !drained.resources.is_empty() {
                record(&drained, board);
            }
        }
        if let Some(receipts) = &mut desk.receipts {
            receipts.look(&self.reloads);
        }
        let (leaving, serving) = (self.reloads.leaving().len(), self.reloads.serving());
        board.with(|board| board.set_workers(leaving, serving));
        let load = governor::load(leaving, serving);
        if desk.set_load(load) {
            events::spread(load.stretch(), leaving);
        }
    }

    /// Returns the groups whose last reload is no longer in effect, each once: they owe it again.
    pub(super) fn disproved(&mut self, now: Instant) -> Vec<String> {
        self.proofs.look(now, apply::is_in_effect)
    }

    /// Returns when to look next.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        [self.reloads.wake_at(), self.proofs.wake_at()].into_iter().flatten().min()
    }

    /// Returns the account of reloads and their old workers.
    pub(super) fn reloads(&self) -> &Reloads {
        &self.reloads
    }
}

fn record(drained: &Drained, board: &Shared) {
    events::drained(&drained.resources, drained.revision, drained.after);
    board.with(|board| board.record_drain(drained.after));
}
