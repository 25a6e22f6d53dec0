//! What the engine knows of nginx's old workers, and what it tells of that: drained reloads, the pace, the receipt.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::agent::draining::Drained;
use crate::agent::governor;
use crate::agent::receipts::Receipts;
use crate::model::process::Process;
use crate::model::receipt::Receipt;
use crate::status::events;
use crate::world::nginx_process;

use super::Engine;

impl Engine {
    /// Keeps a receipt from now on, as the agent of this id; `leaving` are workers of nginx that were leaving before. To be called
    /// before anything is applied.
    pub fn keep_receipt(&mut self, id: String, leaving: BTreeSet<Process>, now: Instant) {
        let mut receipts = Receipts::new(id);
        receipts.set_groups(self.loaded.groups.iter().map(|group| &**group));
        self.receipts = Some(receipts);
        self.draining.add_earlier(leaving, now);
    }

    /// The receipt, where one is kept and may have become another since this was asked last.
    pub fn moved_receipt(&mut self) -> Option<Receipt> {
        let receipts = self.receipts.as_mut()?;
        receipts.take_moved().then(|| receipts.receipt(&self.draining))
    }

    /// Tells which reloads have drained, and spreads further ones while old workers pile up.
    pub(super) fn look_at_old_workers(&mut self, now: Instant) {
        for drained in self.draining.look(now, nginx_process::is_alive) {
            // Those that were leaving before any reload of ours belong to no change that we know.
            if !drained.resources.is_empty() {
                self.tell_drained(&drained);
            }
        }
        if let Some(receipts) = &mut self.receipts {
            receipts.look(&self.draining);
        }
        let leaving = self.draining.leaving().len();
        self.board.with(|board| board.workers(leaving, self.draining.serving()));
        let load = governor::load(leaving, self.draining.serving());
        if self.schedule.set_load(load) {
            events::spread(load.stretch(), leaving);
        }
    }

    pub(super) fn tell_drained(&self, drained: &Drained) {
        events::drained(&drained.resources, drained.revision, drained.after);
        self.board.with(|board| board.drained(drained.after));
    }
}
