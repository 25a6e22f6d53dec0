//! The board: what is true now, and how often what has happened. Told by the agent, asked by pages, metrics and systemd.
//! Pure, and never holds a value of the store: names, numbers and the words of failures only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::event::Event;
use crate::model::key::Revision;
use crate::model::report::{Outcome, Report};
use crate::model::resource::{InstanceId, Resource};
use crate::model::text;

use super::histogram::Histogram;

mod group;
mod store;
mod words;

#[cfg(test)]
pub(crate) mod tests;

pub use group::{GroupBoard, State};
pub use store::{HEALTH_CHECK, StoreBoard};
pub use words::{command_word, outcome_word};
use words::{nothing_runs, reload_word};

/// Longest part of a problem's text that the board shows.
const MOST_PROBLEM_CHARACTERS: usize = 300;

/// See the module.
#[derive(Debug)]
pub struct Board {
    /// The store.
    pub store: StoreBoard,
    /// Groups by the name of their first resource.
    pub groups: BTreeMap<Arc<str>, GroupBoard>,
    /// Names in `groups` by the group's id.
    names: BTreeMap<String, Arc<str>>,
    /// Resources by name.
    pub resources: BTreeMap<Arc<str>, ResourceBoard>,
    /// What is wrong with conf.d and templates, in number.
    pub problems: usize,
    /// How often conf.d and templates have been read in a form that was new.
    pub loads: u64,
    /// Keys that resources ask for.
    pub watched_keys: usize,
    /// Templates compiled since the start.
    pub templates_compiled: u64,
    /// Renders since the start.
    pub renders: u64,
    /// Staged files that could not be removed, since the start.
    pub cleanup_errors: u64,
    /// Passes that have ended, by the word of their outcome.
    pub passes: BTreeMap<&'static str, u64>,
    /// Passes in which something failed.
    pub failed_passes: u64,
    /// Reloads by what came of them.
    pub reloads: BTreeMap<&'static str, u64>,
    /// How long nginx took to prove a reload, by what was proven.
    pub verify_times: BTreeMap<&'static str, Histogram>,
    /// From asking for a reload to the end of the last old worker.
    pub drain_times: Histogram,
    /// Old workers of nginx that finish their connections.
    pub workers_leaving: usize,
    /// Workers of nginx after the last verified reload.
    pub workers_serving: usize,
    /// Sums over everything that ever was a resource, so that they never go down.
    pub totals: Totals,
    /// The revision of the last pass that ended well.
    pub applied_revision: Option<Revision>,
    /// Every group was tried, and one ended well or there is none. Never taken back.
    has_applied: bool,
    /// The agent is ending.
    pub stopping: bool,
}

/// Sums over all resources and groups, those that are gone included.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Resources that went well, over all passes.
    pub succeeded: u64,
    /// Resources that failed, over all passes.
    pub failed: u64,
    /// Files replaced.
    pub replaced: u64,
    /// Command runs that succeeded, and that failed, by kind.
    pub commands: BTreeMap<&'static str, (u64, u64)>,
}

/// What is known of one resource.
#[derive(Clone, Debug, Default)]
pub struct ResourceBoard {
    /// Where it is written; with `for_each`, the pattern.
    pub dest: String,
    /// It has a `for_each`.
    is_many: bool,
    /// Number of skipped keys, by file, if there are any; with `for_each` a resource has many files.
    skipped: BTreeMap<InstanceId, usize>,
    /// Why its last good file stays, where the store has lost backends.
    pub held: Option<String>,
    /// Its pass failed without it being the group's fault.
    pub dropped: bool,
    /// Passes that it took part in and that ended well.
    pub succeeded: u64,
    /// Passes in which it failed.
    pub failed: u64,
    /// Times its file has been replaced.
    pub replaced: u64,
    /// How long those passes took.
    pub pass_times: Histogram,
}

/// Whether traffic may rely on what this agent writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Something verified is live, and the store is followed.
    Ready,
    /// Nothing was verified yet; why.
    NotApplied(String),
    /// The store cannot be followed, so live files stay as they are; why.
    StoreLost(String),
}

impl Board {
    /// An empty board of an agent that reads this kind of store and has just asked for a first snapshot.
    pub fn new(backend: &'static str, now: Instant) -> Board {
        Board {
            store: StoreBoard::new(backend, now),
            groups: BTreeMap::new(),
            names: BTreeMap::new(),
            resources: BTreeMap::new(),
            problems: 0,
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
            workers_leaving: 0,
            workers_serving: 0,
            totals: Totals::default(),
            applied_revision: None,
            has_applied: false,
            stopping: false,
        }
    }

    /// conf.d and templates were read: the groups with their ids, and the number of problems. What is gone is forgotten.
    pub fn loaded<'a>(&mut self, groups: impl Iterator<Item = (&'a str, &'a [Arc<Resource>])>, problems: usize) {
        let mut old_groups = std::mem::take(&mut self.groups);
        let mut old_resources = std::mem::take(&mut self.resources);
        self.names.clear();
        let (mut keys, mut templates) = (BTreeSet::new(), BTreeSet::new());
        for (id, resources) in groups {
            let Some(first) = resources.first() else { continue };
            self.names.insert(id.to_owned(), Arc::clone(first.name()));
            let group = old_groups.remove(first.name()).unwrap_or_default();
            self.groups.insert(Arc::clone(first.name()), group.of(resources));
            for resource in resources {
                let mut board = old_resources.remove(resource.name()).unwrap_or_default();
                board.dest = resource.dest.display().to_string();
                board.is_many = resource.for_each.is_some();
                self.resources.insert(Arc::clone(resource.name()), board);
                keys.extend(resource.keys.iter().map(|key| format!("{}{key}", resource.prefix)));
                templates.insert(resource.src.to_string());
            }
        }
        self.watched_keys = keys.len();
        self.templates_compiled += templates.len() as u64;
        self.problems = problems;
        self.loads += 1;
        self.note_first_apply();
    }

    /// The store said something.
    pub fn store_said(&mut self, event: &Event, now: Instant) {
        self.store.said(event, now);
    }

    /// Records a render of one file, and how many of its keys were skipped.
    pub fn rendered(&mut self, id: &InstanceId, skipped: usize) {
        self.renders += 1;
        match self.resources.get_mut(&id.resource) {
            Some(board) if skipped > 0 => drop(board.skipped.insert(id.clone(), skipped)),
            Some(board) => drop(board.skipped.remove(id)),
            None => {}
        }
    }

    /// Forgets an instance whose name is gone from the store.
    pub fn forget(&mut self, id: &InstanceId) {
        if let Some(board) = self.resources.get_mut(&id.resource) {
            board.skipped.remove(id);
        }
    }

    /// A pass over a group has ended. `unix_seconds` is the time of day.
    pub fn passed(&mut self, id: &str, report: &Report, unix_seconds: u64) {
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
        self.take_members(report);
        let name = self.names.get(id);
        if let Some(group) = name.and_then(|name| self.groups.get_mut(name)) {
            group.passed(report, unix_seconds);
            for name in &group.members {
                let Some(resource) = self.resources.get_mut(name) else { continue };
                let decision =
                    report.held.iter().find(|(held, _)| held.resource == *name).map(|(_, decision)| decision);
                resource.held = decision.map(|decision| {
                    decision.loss.map_or_else(|| "held".to_owned(), |loss| shortened(&loss.to_string()))
                });
            }
        }
        if report.outcome.is_final() && report.dropped.is_empty() {
            self.applied_revision = self.applied_revision.max(Some(report.revision));
        }
        self.note_first_apply();
    }

    fn take_members(&mut self, report: &Report) {
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
            resource.dropped = dropped.contains(name);
            resource.pass_times.observe(report.elapsed);
            *if fails { &mut resource.failed } else { &mut resource.succeeded } += 1;
        }
        if matches!(report.outcome, Outcome::Applied | Outcome::ReloadOwed { .. }) {
            self.totals.replaced += report.files.len() as u64;
            for (name, n_files) in self.replaced_by(report, &members) {
                self.resources.entry(name).and_modify(|resource| resource.replaced += n_files);
            }
        }
    }

    /// How many files of each resource were replaced. What is nobody's own destination is one of a `for_each`.
    fn replaced_by(&self, report: &Report, members: &BTreeSet<&str>) -> Vec<(Arc<str>, u64)> {
        let is_here = |dest: &str| report.files.iter().any(|file| file.to_str() == Some(dest));
        let named = members.iter().filter_map(|name| self.resources.get_key_value(*name));
        let (own, many): (Vec<_>, Vec<_>) = named.partition(|(_, resource)| !resource.is_many);
        let own: Vec<_> = own.into_iter().filter(|(_, resource)| is_here(&resource.dest)).collect();
        let rest = (report.files.len() - own.len().min(report.files.len())) as u64;
        // Several in one pass: their files are counted with the first, as the report does not tell them apart.
        let many = many.first().map(|(name, _)| (Arc::clone(name), rest));
        own.into_iter().map(|(name, _)| (Arc::clone(name), 1)).chain(many).collect()
    }

    /// How nginx stands: old workers that finish their connections, and those that serve.
    pub fn workers(&mut self, leaving: usize, serving: usize) {
        self.workers_leaving = leaving;
        self.workers_serving = serving;
    }

    /// The last old worker of a reload has ended.
    pub fn drained(&mut self, after: Duration) {
        self.drain_times.observe(after);
    }

    fn note_first_apply(&mut self) {
        let tried = self.groups.values().all(|group| group.state != State::Waiting);
        let well = if self.groups.is_empty() {
            self.loads > 0 && self.problems == 0
        } else {
            self.groups.values().any(GroupBoard::is_live)
        };
        self.has_applied |= tried && well;
    }

    /// Whether something verified has gone live since the start.
    pub fn has_applied(&self) -> bool {
        self.has_applied
    }

    /// See [`Readiness`].
    pub fn readiness(&self) -> Readiness {
        if !self.has_applied {
            let why = self.first_problem().or_else(|| self.store.problem().map(str::to_owned));
            return Readiness::NotApplied(why.unwrap_or_else(|| "nothing has been applied yet".to_owned()));
        }
        match self.store.problem() {
            Some(problem) => Readiness::StoreLost(problem.to_owned()),
            None => Readiness::Ready,
        }
    }

    /// Groups that owe a reload.
    pub fn reloads_owed(&self) -> usize {
        self.groups.values().filter(|group| group.reload_owed).count()
    }

    /// Groups whose files are true to the store, reload included.
    pub fn groups_in_sync(&self) -> usize {
        self.groups.values().filter(|group| group.state == State::InSync).count()
    }

    /// What a person should hear of first, among the groups.
    fn first_problem(&self) -> Option<String> {
        let failing = self.groups.iter().filter(|(_, group)| group.problem.is_some());
        let (name, group) = failing.max_by_key(|(_, group)| group.state)?;
        Some(format!("{name}: {}", group.problem.as_deref().unwrap_or_default()))
    }

    /// One line for people: what is live, and what is not as it should be.
    pub fn summary(&self) -> String {
        if self.stopping {
            return "stopping; every file stays as it is".to_owned();
        }
        let mut parts = Vec::new();
        let revision = self.applied_revision.map_or(String::new(), |revision| format!(" at revision {revision}"));
        parts.push(match (self.groups_in_sync(), self.groups.len()) {
            (_, 0) => "conf.d has no resource".to_owned(),
            (0, 1) => "the group is not in sync".to_owned(),
            (in_sync, all) if in_sync == all => format!("in sync{revision}"),
            (in_sync, all) => format!("{in_sync} of {all} groups in sync{revision}"),
        });
        parts.extend(self.store.problem().map(|problem| format!("cannot follow the store: {problem}")));
        parts.extend(self.first_problem());
        let held = self.resources.values().filter(|resource| resource.held.is_some()).count();
        if held > 0 {
            parts.push(format!("{held} held at their last good file"));
        }
        if self.problems > 0 {
            parts.push(format!("{} problems in conf.d or templates", self.problems));
        }
        shortened(&parts.join("; "))
    }
}

impl ResourceBoard {
    /// Returns how many keys were skipped, over all its files.
    pub fn skipped(&self) -> usize {
        self.skipped.values().sum()
    }
}

/// A text for one line of a status.
pub fn shortened(text: &str) -> String {
    text::one_line(text, MOST_PROBLEM_CHARACTERS, ' ')
}
