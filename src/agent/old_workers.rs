//! nginx's processes and their consequences: whether a master runs, which reloads have drained, and the distance between reloads
//! while old workers pile up. Never signals a process.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::apply::group::Group;
use crate::apply::{self, Context};
use crate::model::process::Process;
use crate::model::report::Report;
use crate::status::{Shared, events};
use crate::world::{clock, nginx_process};

use super::desk::Desk;
use super::governor;
use super::masters::{MasterNews, Masters};
use super::proofs::Proofs;
use super::reloads::{Drained, Reloads};

/// The old workers of the nginx that is driven.
#[derive(Default)]
pub(super) struct OldWorkers {
    reloads: Reloads,
    proofs: Proofs,
    masters: Masters,
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
        if report.reload_ran {
            self.masters.look_soon(now);
        }
        if let Some(drained) = self.reloads.add(report, now) {
            record(&drained, board);
        }
    }

    /// Reports which reloads have drained, and spreads further ones while old workers pile up.
    pub(super) fn look(&mut self, desk: &mut Desk, context: &Context, board: &Shared, now: Instant) {
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
        self.look_at_masters(desk, context, board, now);
        let counted = self.masters.workers().unwrap_or(serving);
        board.with(|board| board.set_workers(leaving, counted));
        let load = governor::load(leaving, serving);
        if desk.set_load(load) {
            events::spread(load.stretch(), leaving);
        }
    }

    /// Reports a master that has gone, and one that is back.
    fn look_at_masters(&mut self, desk: &Desk, context: &Context, board: &Shared, now: Instant) {
        let groups = desk.catalog().groups.iter().map(|group| group.id.as_str());
        let places = || context.nginx_places(groups);
        let Some(news) = self.masters.look(places, now, apply::workers_of) else { return };
        for news in news {
            match news {
                MasterNews::Absent(place) => events::nginx_absent(&place),
                MasterNews::Away(place) => events::nginx_away(&place),
                MasterNews::Back(place, after) => events::nginx_back(&place, after),
            }
        }
        let is_looked_at = self.masters.workers().is_some();
        let away = self.masters.away().map(|place| place.pid_file.display().to_string());
        board.with(|board| board.set_nginx(is_looked_at.then_some(away), clock::unix_seconds()));
    }

    /// Returns whether each nginx that is driven runs, as far as that was looked at.
    pub(super) fn nginx_runs(&self) -> bool {
        self.masters.workers().is_some() && self.masters.away().is_none()
    }

    /// Returns the groups whose last reload is no longer in effect, each once: they owe it again.
    pub(super) fn disproved(&mut self, now: Instant) -> Vec<String> {
        self.proofs.look(now, apply::is_in_effect)
    }

    /// Returns when to look next.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        [self.reloads.wake_at(), self.proofs.wake_at(), self.masters.wake_at()].into_iter().flatten().min()
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
