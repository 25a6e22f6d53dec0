//! nginx's processes and their consequences: whether a master runs, which changes have drained, and the distance between reloads
//! while old workers pile up. Never signals a process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use crate::apply::group::Group;
use crate::apply::{self, Context};
use crate::endpoints::taken::TakenAnswers;
use crate::model::connection::BackendConnection;
use crate::model::endpoints::EndpointsChoice;
use crate::model::nginx::NginxPlace;
use crate::model::process::Process;
use crate::model::removed::{Removed, ResourceRemoval};
use crate::model::report::Report;
use crate::model::resource::Resource;
use crate::status::board::SeenNginx;
use crate::status::{Shared, events};
use crate::world::connections::ConnectionList;
use crate::world::{clock, nginx_process};

use super::desk::Desk;
use super::drains::{BackendRemoval, Drains, Sought, Users};
use super::endpoints::Endpoints;
use super::error_logs::ErrorLogs;
use super::governor;
use super::masters::{MasterNews, Masters};
use super::proofs::Proofs;
use super::receipts::RemovalKind;
use super::reloads::{Drained, Reloads};

/// The old workers of the nginx that is driven.
#[derive(Default)]
pub(super) struct OldWorkers {
    reloads: Reloads,
    drains: Drains,
    connections: ConnectionList,
    proofs: Proofs,
    masters: Masters,
    error_logs: ErrorLogs,
}

impl OldWorkers {
    /// Records workers that were leaving before any reload of ours.
    pub(super) fn add_earlier(&mut self, leaving: BTreeSet<Process>, now: Instant) {
        self.reloads.add_earlier(leaving, now);
    }

    /// Records the old workers after the reload of a pass, and what its resources no longer name. Returns what each has removed.
    pub(super) fn add(
        &mut self,
        (group, report): (&Group, &Report),
        removed: BTreeMap<Arc<str>, ResourceRemoval>,
        board: &Shared,
        now: Instant,
    ) -> BTreeMap<Arc<str>, RemovalKind> {
        if let Some(evidence) = report.verified.as_ref().and_then(|verified| verified.evidence.clone()) {
            self.proofs.add(&group.id, evidence, now);
        }
        if report.reload_ran {
            self.masters.look_at_children(apply::running_at, nginx_process::is_alive);
            self.masters.look_soon(now);
        }
        if let Some(drained) = self.reloads.add(report, self.masters.left_behind(), now) {
            record(&drained, board);
        }
        removed
            .into_iter()
            .map(|(name, removed)| (Arc::clone(&name), self.removal(name, removed, report, now)))
            .collect()
    }

    fn removal(&mut self, resource: Arc<str>, removal: ResourceRemoval, report: &Report, now: Instant) -> RemovalKind {
        let (revision, answers) = (report.revision, removal.answers);
        let (addresses, is_known) = match removal.removed {
            Removed::Unknown if removal.is_asked_for => (removal.lost, false),
            Removed::Unknown => return RemovalKind::Anything,
            Removed::Backends(addresses) => (addresses, true),
        };
        if addresses.is_empty() {
            return if is_known { RemovalKind::Nothing } else { RemovalKind::Anything };
        }
        if removal.is_asked_for {
            let users = Users::AllWorkers;
            let removal = BackendRemoval { resource, revision, addresses, users, since: now, answers };
            let number = self.drains.add(removal, now);
            return if is_known { RemovalKind::Endpoints(number) } else { RemovalKind::EndpointsAndMore(number) };
        }
        if self.drains.is_full() {
            return RemovalKind::Anything;
        }
        // An old worker that has not begun to leave may use them at any time.
        let Some(verified) = report.verified.as_ref().filter(|verified| verified.converged.is_some()) else {
            return RemovalKind::Anything;
        };
        let mut workers = verified.leaving.clone();
        workers.extend(self.masters.left_behind());
        let users = Users::OldWorkers { reload: self.reloads.count(), workers };
        let since = verified.asked_at;
        let removal = BackendRemoval { resource, revision, addresses, users, since, answers };
        RemovalKind::Backends(self.drains.add(removal, now))
    }

    /// Returns whether a change drains only when nginx has taken it.
    pub(super) fn awaits_nginx(&self) -> bool {
        self.drains.awaits_nginx()
    }

    /// Records what nginx has taken of the answers.
    pub(super) fn taken(&mut self, taken: &TakenAnswers, now: Instant) {
        self.drains.taken(taken, now);
    }

    /// Reports which changes have drained, and spreads further reloads while old workers pile up. Returns whether it was time to look at
    /// the masters too.
    pub(super) fn look(
        &mut self,
        desk: &mut Desk,
        (context, endpoints): (&Context, &Endpoints),
        board: &Shared,
        now: Instant,
    ) -> bool {
        for drained in self.reloads.look(now, nginx_process::is_alive) {
            // Workers that were leaving before any reload of ours belong to no known change.
            if !drained.resources.is_empty() {
                record(&drained, board);
            }
        }
        let unix_seconds = clock::unix_seconds();
        let since = |at: Instant| unix_seconds.saturating_sub(now.saturating_duration_since(at).as_secs());
        let leaving_since: BTreeMap<i32, u64> =
            self.reloads.leaving_since().map(|(process, at)| (process.pid, since(at))).collect();
        let (leaving, serving) = (leaving_since.len(), self.reloads.serving());
        let has_looked = self.look_at_masters(desk, context, board, now);
        let counted = self.masters.workers().unwrap_or(serving);
        board.with(|board| board.set_workers(leaving_since, counted));
        let load = governor::load(leaving, serving);
        if desk.set_load(load) {
            events::spread(load.stretch(), leaving);
        }
        self.look_at_connections(desk, endpoints, board, now);
        if let Some(receipts) = &mut desk.receipts {
            receipts.look(&self.reloads, &self.drains);
        }
        has_looked
    }

    /// Returns where the nginx are whose endpoints may go by DNS; none if that is not known of one of these groups.
    pub(super) fn nginx_places(&self, context: &Context, groups: &[Arc<Group>]) -> Vec<NginxPlace> {
        let is_seen = |place: &NginxPlace| self.masters.seen().any(|(seen, _)| seen.is_same(place));
        let is_known = |group: &Arc<Group>| {
            let places = context.nginx_places(std::iter::once(group.id.as_str()));
            !places.is_empty() && places.iter().all(is_seen)
        };
        let is_wished = |resource: &Arc<Resource>| resource.endpoints == EndpointsChoice::Dns;
        let may_be_wished = |group: &Group| group.reload.is_some() && group.resources.iter().any(is_wished);
        let may_ask = |group: &&Arc<Group>| group.drives_nginx() || may_be_wished(group);
        match groups.iter().filter(may_ask).all(is_known) {
            true => self.masters.seen().map(|(place, _)| place.clone()).collect(),
            false => Vec::new(),
        }
    }

    /// Reports the changes whose removed backends have no connection any more.
    fn look_at_connections(&mut self, desk: &Desk, endpoints: &Endpoints, board: &Shared, now: Instant) {
        let Some(sought) = self.drains.sought(now) else { return };
        let before = clock::thread_time();
        let in_service = if sought.all_workers { desk.in_service(&sought.addresses) } else { BTreeSet::new() };
        let found = self.connections_to(sought);
        let cost = clock::thread_time().saturating_sub(before);
        for ended in self.drains.take(found.as_deref(), &in_service, cost, now, nginx_process::is_alive) {
            let drained = &ended.drained;
            for resource in &drained.resources {
                match ended.reload {
                    Some(reload) => self.reloads.drained_early(reload, resource),
                    None => endpoints.drained(resource, &ended.addresses),
                }
            }
            events::drained_early(&drained.resources, drained.revision, drained.after);
            board.with(|board| board.record_drain(drained.after));
        }
    }

    /// Returns the connections to removed backends; `None` if they cannot be seen.
    fn connections_to(&mut self, sought: Sought) -> Option<Vec<BackendConnection>> {
        let Sought { addresses, mut workers, all_workers } = sought;
        if all_workers {
            workers.extend(self.masters.last_seen()?.flat_map(|(place, master)| apply::processes_of(place, master)));
            // Those of a master that was replaced or has died serve their connections to the end.
            workers.extend(self.masters.processes());
        }
        self.connections.look(&workers, &addresses)
    }

    /// Reports a master that has gone, and one that is back. Returns whether it was time to look.
    fn look_at_masters(&mut self, desk: &mut Desk, context: &Context, board: &Shared, now: Instant) -> bool {
        let groups = desk.catalog().groups.iter().map(|group| group.id.as_str());
        let places = || context.nginx_places(groups);
        let Some(news) = self.masters.look(places, now, apply::running_at, nginx_process::is_alive) else {
            return false;
        };
        for news in news {
            match news {
                MasterNews::Absent(place) => events::nginx_absent(&place),
                MasterNews::Away(place) => events::nginx_away(&place),
                MasterNews::Back(place, after) => {
                    events::nginx_back(&place, after);
                    desk.try_failed_again(now);
                }
            }
        }
        if let Some(places) = self.masters.places() {
            self.error_logs.read(places, board);
        }
        let place_of = |group: &Arc<Group>| context.nginx_places(std::iter::once(group.id.as_str())).pop();
        let groups: Vec<(&str, NginxPlace)> =
            desk.catalog().groups.iter().filter_map(|group| Some((group.id.as_str(), place_of(group)?))).collect();
        let seen = self.masters.seen().map(|(place, runs)| {
            let groups = groups.iter().filter(|(_, driven)| driven.is_same(place)).map(|(id, _)| (*id).to_owned());
            SeenNginx { place: place.clone(), runs, groups: groups.collect() }
        });
        let seen = seen.collect();
        board.with(|board| board.set_nginx(seen, clock::unix_seconds()));
        true
    }

    /// Returns whether the nginx that a group drives ran at the last look; of a group whose nginx is never looked at, whether all did.
    pub(super) fn nginx_runs(&self, context: &Context, group: &Group) -> bool {
        let places = context.nginx_places(std::iter::once(group.id.as_str()));
        let runs = |place: &NginxPlace| self.masters.seen().any(|(seen, runs)| runs && seen.is_same(place));
        match places.is_empty() {
            true if apply::is_watched(group) => false,
            true => self.masters.workers().is_some() && self.masters.seen().all(|(_, runs)| runs),
            false => places.iter().any(runs),
        }
    }

    /// Returns the groups whose last reload is no longer in effect, each once: they owe it again.
    pub(super) fn disproved(&mut self, now: Instant) -> Vec<String> {
        self.proofs.look(now, apply::is_in_effect)
    }

    /// Returns when to look next.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let looks = [self.reloads.wake_at(), self.drains.wake_at(), self.proofs.wake_at(), self.masters.wake_at()];
        looks.into_iter().flatten().min()
    }

    /// Returns the account of reloads and their old workers, and that of changes that removed backends.
    pub(super) fn accounts(&self) -> (&Reloads, &Drains) {
        (&self.reloads, &self.drains)
    }
}

fn record(drained: &Drained, board: &Shared) {
    events::drained(&drained.resources, drained.revision, drained.after);
    board.with(|board| board.record_drain(drained.after));
}
