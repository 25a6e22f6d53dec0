//! The board: the current state and the counters. The agent writes it; pages, metrics and systemd notices read it.
//! Pure. Never holds a value from the store: only names, numbers and texts of failures.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::model::event::Event;
use crate::model::key::Revision;
use crate::model::report::{Outcome, Report, Stage};
use crate::model::resource::Resource;
use crate::model::text;

use super::histogram::Histogram;

mod changes;
mod failure;
mod group;
mod nginx;
mod resource;
mod store;
mod upstream_troubles;
mod words;

#[cfg(test)]
pub(crate) mod tests;

pub use changes::{Change, ChangeLog, PassNews};
pub use failure::Failure;
pub use group::{FailedPasses, GroupBoard, State};
pub use nginx::{NginxState, SeenNginx};
pub use resource::{HeldLoss, Lasting, ResourceBoard, ResourceProgress};
use resource::{ResourceAbout, held_loss};
pub use store::{HEALTH_CHECK, LostStore, StoreBoard};
pub use upstream_troubles::{LastFailures, UpstreamTroubles};
pub use words::{command_word, outcome_word};
use words::{nothing_runs, reload_word};

/// Longest part of a problem's text that is shown, in characters.
const MAX_PROBLEM_CHARACTERS: usize = 300;

/// Most names in one line.
const MAX_NAMED: usize = 3;

/// The current state of the agent and its counters.
#[derive(Debug)]
pub struct Board {
    /// State of the store.
    pub store: StoreBoard,
    /// Groups by the name of their first resource.
    pub groups: BTreeMap<Arc<str>, GroupBoard>,
    /// Keys in `groups`, by the group's id.
    names: BTreeMap<String, Arc<str>>,
    /// Resources by name.
    pub resources: BTreeMap<Arc<str>, ResourceBoard>,
    /// Problems in conf.d and templates, each on one line with its place, as the log has it.
    pub problems: Vec<Lasting<String>>,
    /// Number of times that conf.d or templates were read and had changed.
    pub loads: u64,
    /// Number of distinct keys that resources ask for.
    pub watched_keys: usize,
    /// Templates compiled since the start.
    pub templates_compiled: u64,
    /// Renders since the start.
    pub renders: u64,
    /// Staged files that could not be removed, since the start.
    pub cleanup_errors: u64,
    /// Finished passes, by the word for their outcome.
    pub passes: BTreeMap<&'static str, u64>,
    /// Passes in which something failed.
    pub failed_passes: u64,
    /// Reloads, by the word for their outcome.
    pub reloads: BTreeMap<&'static str, u64>,
    /// Time from the request to reload, by the stage that was proven.
    pub verify_times: BTreeMap<&'static str, Histogram>,
    /// Time from the request to reload to the end of the last old worker.
    pub drain_times: Histogram,
    /// Time from publishing changed endpoints until nginx has taken them.
    pub endpoint_times: Histogram,
    /// Resources that print `servers()`, each with whether its changes of backends go by DNS; otherwise they are reloads.
    pub by_dns: BTreeMap<Arc<str>, bool>,
    /// The last changes.
    pub changes: ChangeLog,
    /// Old workers of nginx that are still finishing their connections.
    pub workers_leaving: usize,
    /// The same by process, each with the time of the reload that it has to leave for, in seconds since 1970.
    pub leaving_since: BTreeMap<i32, u64>,
    /// Workers of nginx with its present configuration, as seen last.
    pub workers_serving: usize,
    /// Each nginx that groups drive, as seen last.
    pub nginx: Vec<NginxState>,
    /// What nginx has said of its upstreams lately.
    pub upstream_troubles: UpstreamTroubles,
    /// Sums over all resources, present and past, so that they never decrease.
    pub totals: Totals,
    /// Newest revision of the settings' store of which a pass succeeded. Revisions of other stores cannot be compared with it.
    pub applied_revision: Option<Revision>,
    /// Whether every group was tried and one succeeded, or there is no group. Once true, it stays true.
    has_applied: bool,
    /// Whether the agent is stopping.
    pub stopping: bool,
}

/// Sums over all resources and groups, including removed ones.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Resources that succeeded, over all passes.
    pub succeeded: u64,
    /// Resources that failed, over all passes.
    pub failed: u64,
    /// Files replaced.
    pub replaced: u64,
    /// Command runs by kind: succeeded and failed.
    pub commands: BTreeMap<&'static str, (u64, u64)>,
}

/// Readiness of the agent, as `/ready` reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Something verified is live, and the store is followed and refuses nothing.
    Ready,
    /// Nothing verified is live yet, with the reason.
    NotApplied(String),
    /// Live files stay because the store cannot be followed, or refuses keys of a resource, with the reason.
    StoreLost(String),
}

impl Board {
    /// Returns the empty board of an agent that has just asked a store of this kind for its first snapshot.
    pub fn new(backend: &'static str, now: Instant) -> Board {
        Board {
            store: StoreBoard::new(backend, now),
            groups: BTreeMap::new(),
            names: BTreeMap::new(),
            resources: BTreeMap::new(),
            problems: Vec::new(),
            loads: 0,
            watched_keys: 0,
            templates_compiled: 0,
            renders: 0,
            cleanup_errors: 0,
            passes: BTreeMap::new(),
            failed_passes: 0,
            reloads: BTreeMap::new(),
            verify_times: BTreeMap::new(),
            drain_times: Histogram::default(),
            endpoint_times: Histogram::default(),
            by_dns: BTreeMap::new(),
            changes: ChangeLog::default(),
            workers_leaving: 0,
            leaving_since: BTreeMap::new(),
            workers_serving: 0,
            nginx: Vec::new(),
            upstream_troubles: UpstreamTroubles::default(),
            totals: Totals::default(),
            applied_revision: None,
            has_applied: false,
            stopping: false,
        }
    }

    /// Records a new version of conf.d: its groups by id, and its problems, each on one line. Forgets groups and resources that
    /// are gone.
    pub fn record_load<'a>(
        &mut self,
        groups: impl Iterator<Item = (&'a str, &'a [Arc<Resource>])>,
        problems: Vec<String>,
        unix_seconds: u64,
    ) {
        let mut old_groups = std::mem::take(&mut self.groups);
        let mut old_resources = std::mem::take(&mut self.resources);
        self.names.clear();
        let (mut keys, mut templates, mut secret) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        for (id, resources) in groups {
            let Some(first) = resources.first() else { continue };
            self.names.insert(id.to_owned(), Arc::clone(first.name()));
            let group = old_groups.remove(first.name()).unwrap_or_default();
            self.groups.insert(Arc::clone(first.name()), group.with_members(resources));
            for resource in resources {
                let mut board = old_resources.remove(resource.name()).unwrap_or_default();
                let about = ResourceAbout::new(resource, first.name(), self.store.backend);
                if about.is_secret && !board.about.is_secret {
                    secret.insert(Arc::clone(resource.name()), resource.dest.clone());
                }
                if (&about.store, &about.keys) != (&board.about.store, &board.about.keys) {
                    // Revisions of a different store, or of different keys, mean nothing here.
                    board.progress = ResourceProgress::default();
                }
                board.about = about;
                self.resources.insert(Arc::clone(resource.name()), board);
                keys.extend(resource.keys.iter().map(|key| format!("{}{key}", resource.prefix)));
                templates.insert(resource.src.to_string());
            }
        }
        self.changes.forget_differences(&secret);
        self.watched_keys = keys.len();
        self.templates_compiled += templates.len() as u64;
        let before = std::mem::take(&mut self.problems);
        let known = |line: &String| before.iter().find(|known| known.what == *line);
        let lasting =
            |line: String| Lasting { since: known(&line).map_or(unix_seconds, |known| known.since), what: line };
        self.problems = problems.into_iter().map(lasting).collect();
        self.loads += 1;
        self.update_has_applied();
    }

    /// Records an event of the store. `unix_seconds` is the current time.
    pub fn record_event(&mut self, event: &Event, now: Instant, unix_seconds: u64) {
        self.store.record(event, now, unix_seconds);
        // A store that was restored from a backup does not know what was applied before.
        self.applied_revision = self.applied_revision.filter(|revision| self.knows(*revision));
    }

    /// Returns whether the settings' store has had this revision. One that is not read knows nothing better.
    fn knows(&self, revision: Revision) -> bool {
        self.store.revision.is_none_or(|newest| revision <= newest)
    }

    /// Returns whether the revisions of this group's passes, which are those of its first resource, are from the settings' store.
    fn reads_own_store(&self, id: &str) -> bool {
        let first = self.names.get(id).and_then(|name| self.resources.get(name));
        first.is_some_and(|first| first.about.store.is_empty() || *first.about.store == *self.store.backend)
    }

    /// Records a finished pass over a group, and returns the trouble that it has ended. `unix_seconds` is the current time.
    pub fn record_pass(
        &mut self,
        id: &str,
        report: &Report,
        news: PassNews<'_>,
        unix_seconds: u64,
    ) -> Option<FailedPasses> {
        *self.passes.entry(outcome_word(&report.outcome)).or_default() += 1;
        self.failed_passes += u64::from(report.first_failure().is_some());
        if let Some(word) = reload_word(report) {
            *self.reloads.entry(word).or_default() += 1;
        }
        if let Some(verified) = &report.verified {
            let times = [("accepted", Some(verified.accepted)), ("healthy", Some(verified.healthy))];
            for (stage, time) in times.into_iter().chain([("converged", verified.converged)]) {
                time.into_iter().for_each(|time| self.verify_times.entry(stage).or_default().observe(time));
            }
        }
        self.record_members(report);
        let mut ended = None;
        let secret = self.become_secret(report);
        let resources = &self.resources;
        let sees = |name: &str, key: &str| resources.get(name).is_some_and(|resource| resource.about.sees(key));
        let name = self.names.get(id);
        if let Some(group) = name.and_then(|name| self.groups.get_mut(name)) {
            ended = group.record_pass(report, news.changed, sees, unix_seconds);
            let is_done = group.left.failures.is_empty() && report.held.is_empty();
            let keys = group.left.with_unapplied(news.changed, is_done);
            self.changes.record(report, &group.left.failures, (news, &keys), unix_seconds);
            self.changes.forget_differences(&secret);
            for name in &group.members {
                let Some(resource) = self.resources.get_mut(name) else { continue };
                resource.is_failing = group.left.failing.contains(name);
                let decision =
                    report.held.iter().find(|(held, _)| held.resource == *name).map(|(_, decision)| decision);
                let before = resource.troubles.held.take();
                resource.troubles.held = Lasting::after(
                    before.as_ref(),
                    decision.map(|decision| held_loss(decision, news.now, unix_seconds)),
                    unix_seconds,
                );
            }
        }
        let is_whole = report.outcome.is_final() && report.dropped.is_empty();
        if is_whole && self.reads_own_store(id) && self.knows(report.revision) {
            self.applied_revision = self.applied_revision.max(Some(report.revision));
        }
        self.update_has_applied();
        ended
    }

    /// Returns the resources of a pass that are secret now and were not when it began, each with its destination.
    fn become_secret(&self, report: &Report) -> BTreeMap<Arc<str>, PathBuf> {
        let named = report.resources.iter().filter_map(|name| self.resources.get_key_value(name));
        let secret = named.filter(|(_, resource)| resource.about.is_secret);
        let dests = secret.map(|(name, resource)| (Arc::clone(name), PathBuf::from(&resource.about.dest)));
        dests.filter(|(_, dest)| report.differences.contains_key(dest)).collect()
    }

    /// Returns since when a group fails or owes a reload, in seconds since 1970; `None` if it does neither.
    pub fn in_trouble_since(&self, id: &str) -> Option<u64> {
        self.groups.get(self.names.get(id)?)?.in_trouble_since()
    }

    fn record_members(&mut self, report: &Report) {
        for run in &report.commands {
            let (succeeded, failed) = self.totals.commands.entry(command_word(run.kind)).or_default();
            *if run.succeeded { succeeded } else { failed } += 1;
        }
        let went_well = report.outcome.is_final() || nothing_runs(&report.outcome);
        let dropped: BTreeSet<&str> = report.dropped.iter().map(|(id, _)| &*id.resource).collect();
        let members: BTreeSet<&str> = report.resources.iter().map(|name| &**name).collect();
        for name in members.union(&dropped) {
            let fails = !went_well || dropped.contains(name);
            *if fails { &mut self.totals.failed } else { &mut self.totals.succeeded } += 1;
            let Some(resource) = self.resources.get_mut(*name) else { continue };
            resource.pass_times.observe(report.elapsed);
            *if fails { &mut resource.failed } else { &mut resource.succeeded } += 1;
        }
        if matches!(report.outcome, Outcome::Applied | Outcome::ReloadOwed { .. }) {
            self.totals.replaced += report.files.len() as u64;
            for (name, n_files) in self.files_replaced_by(report, &members) {
                self.resources.entry(name).and_modify(|resource| resource.replaced += n_files);
            }
        }
    }

    /// Returns how many files of each resource were replaced. A file that is no resource's own destination comes from a `for_each`.
    fn files_replaced_by(&self, report: &Report, members: &BTreeSet<&str>) -> Vec<(Arc<str>, u64)> {
        let is_here = |dest: &str| report.files.iter().any(|file| file.to_str() == Some(dest));
        let named = members.iter().filter_map(|name| self.resources.get_key_value(*name));
        let (own, many): (Vec<_>, Vec<_>) = named.partition(|(_, resource)| !resource.about.has_for_each);
        let own: Vec<_> = own.into_iter().filter(|(_, resource)| is_here(&resource.about.dest)).collect();
        let rest = (report.files.len() - own.len().min(report.files.len())) as u64;
        // The report does not say which `for_each` a file comes from: with several, the first gets them all.
        let many = many.first().map(|(name, _)| (Arc::clone(name), rest));
        own.into_iter().map(|(name, _)| (Arc::clone(name), 1)).chain(many).collect()
    }

    /// Records the numbers of old workers still finishing and of current workers.
    pub fn set_workers(&mut self, mut leaving: BTreeMap<i32, u64>, serving: usize) {
        // Two clocks were asked for each start: what was found first stays, or it would move by a second now and then.
        for (pid, since) in &mut leaving {
            *since = self.leaving_since.get(pid).copied().unwrap_or(*since);
        }
        self.workers_leaving = leaving.len();
        self.leaving_since = leaving;
        self.workers_serving = serving;
    }

    fn update_has_applied(&mut self) {
        let tried = self.groups.values().all(|group| group.state != State::Waiting);
        let well = if self.groups.is_empty() {
            self.loads > 0 && self.problems.is_empty()
        } else {
            self.groups.values().any(GroupBoard::is_live)
        };
        self.has_applied |= tried && well;
    }

    /// Whether something verified has gone live since the start.
    pub fn has_applied(&self) -> bool {
        self.has_applied
    }

    /// Returns the readiness of the agent.
    pub fn readiness(&self) -> Readiness {
        let refused = || self.resources.iter().find_map(|(name, board)| Some((name, board.troubles.refused.as_ref()?)));
        if !self.has_applied {
            let failure = self.failures().min_by_key(|failure| failure.kind).map(Failure::named_line);
            let why = failure.or_else(|| self.store.problem().map(str::to_owned));
            let why = why.or_else(|| {
                refused().map(|(name, refused)| format!("{name}: {} failed: {}", Stage::Read, refused.what))
            });
            return Readiness::NotApplied(why.unwrap_or_else(|| "nothing has been applied yet".to_owned()));
        }
        let refusal = || refused().map(|(name, refused)| format!("{name}: {}", refused.what));
        let problem = self.store.problem().map(str::to_owned).or_else(refusal);
        problem.map_or(Readiness::Ready, Readiness::StoreLost)
    }

    /// Returns the number of passes that found something to do.
    pub fn passes_with_work(&self) -> u64 {
        self.passes
            .iter()
            .filter(|(word, _)| **word != outcome_word(&Outcome::Unchanged))
            .map(|(_, passes)| passes)
            .sum()
    }

    /// Returns whether every resource is in sync, none is held, and conf.d has no problem.
    pub fn is_up_to_date(&self) -> bool {
        let held = self.resources.values().any(|resource| resource.troubles.held.is_some());
        self.groups_in_sync() == self.groups.len() && !self.groups.is_empty() && !held && self.problems.is_empty()
    }

    /// Returns the number of groups that owe a reload.
    pub fn reloads_owed(&self) -> usize {
        self.groups.values().filter(|group| group.owed_since.is_some()).count()
    }

    /// Returns the number of groups that are in sync: files written and reload done.
    pub fn groups_in_sync(&self) -> usize {
        self.groups.values().filter(|group| group.state == State::InSync).count()
    }

    /// Returns the failures that have not ended.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.groups.values().flat_map(|group| &group.left.failures)
    }

    /// Returns the name and the state of the group with this id.
    pub fn group_of(&self, id: &str) -> Option<(&Arc<str>, &GroupBoard)> {
        self.groups.get_key_value(self.names.get(id)?)
    }

    /// Returns the ids of all groups.
    pub fn group_ids(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }
}

/// Shortens a text to one status line.
pub fn status_line(text: &str) -> String {
    text::one_line(text, MAX_PROBLEM_CHARACTERS, ' ')
}

/// Returns the first of these names, and how many more there are, besides `more` that are not among them.
pub(super) fn named(names: &[impl AsRef<str>], more: usize) -> String {
    let first: Vec<&str> = names.iter().take(MAX_NAMED).map(AsRef::as_ref).collect();
    match names.len() - first.len() + more {
        0 => first.join(" "),
        more => format!("{} and {more} more", first.join(" ")),
    }
}
