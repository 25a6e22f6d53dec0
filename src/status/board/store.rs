//! State of the stores: whether they are followed, the newest revision, request counters. Pure: never asks a store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::model::event::Event;
use crate::model::key::Revision;
use crate::status::histogram::Histogram;

use super::shortened;

/// State of the agent's store, and of the stores in `[backend]` tables.
#[derive(Clone, Debug)]
pub struct StoreBoard {
    /// `etcd`, `file` or `env`.
    pub backend: &'static str,
    /// Newest revision read.
    pub revision: Option<Revision>,
    /// Start of the current loss, and its cause.
    lost: Option<(Instant, String)>,
    /// Number of losses.
    pub losses: u64,
    /// Total duration of earlier losses.
    lost_before: Duration,
    /// Requests, by confd's names for them.
    pub requests: BTreeMap<&'static str, RequestBoard>,
    /// Time of the request for a snapshot that has not arrived yet.
    snapshot_asked: Option<Instant>,
    /// Time of the last event.
    last_event: Instant,
    /// Whether the agent's store is unused: all resources have stores of their own.
    pub is_unused: bool,
    /// Stores in `[backend]` tables that sent an event, by name, with the problem of those that are lost.
    others: BTreeMap<String, Option<(Instant, String)>>,
}

/// Requests of one kind.
#[derive(Clone, Debug, Default)]
pub struct RequestBoard {
    /// Duration of each request.
    pub times: Histogram,
    /// Number of failed requests.
    pub failed: u64,
}

/// Read of everything at one revision.
pub(super) const GET_VALUES: &str = "get_values";
/// Wait for a change.
pub(super) const WATCH_PREFIX: &str = "watch_prefix";
/// Health check of the store.
pub const HEALTH_CHECK: &str = "health_check_detailed";

impl StoreBoard {
    pub(super) fn new(backend: &'static str, now: Instant) -> StoreBoard {
        StoreBoard {
            backend,
            revision: None,
            lost: None,
            losses: 0,
            lost_before: Duration::ZERO,
            requests: BTreeMap::new(),
            snapshot_asked: Some(now),
            last_event: now,
            is_unused: false,
            others: BTreeMap::new(),
        }
    }

    pub(super) fn record(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Snapshot { revision, .. } => {
                let asked = self.snapshot_asked.take().unwrap_or(self.last_event);
                self.record_request(GET_VALUES, now.duration_since(asked), true);
                // May be older than before: the store was restored from a backup.
                self.revision = Some(*revision);
                self.end_loss(now);
            }
            Event::Changes { revision, .. } => {
                self.record_request(WATCH_PREFIX, now.duration_since(self.last_event), true);
                self.revision = Some(*revision);
                self.end_loss(now);
            }
            Event::Regained => self.end_loss(now),
            Event::Lost { problem, .. } => {
                let kind = if self.snapshot_asked.is_some() { GET_VALUES } else { WATCH_PREFIX };
                self.record_request(kind, now.duration_since(self.last_event), false);
                let since = match self.lost.take() {
                    Some((since, _)) => since,
                    None => {
                        self.losses += 1;
                        now
                    }
                };
                self.lost = Some((since, shortened(problem)));
            }
        }
        self.last_event = now;
    }

    /// Records an event of a store in a `[backend]` table.
    pub fn record_other_event(&mut self, name: &str, event: &Event, now: Instant) {
        let since = self.others.get(name).and_then(Option::as_ref).map_or(now, |(since, _)| *since);
        let problem = match event {
            Event::Lost { problem, .. } => Some((since, format!("{name}: {}", shortened(problem)))),
            Event::Snapshot { .. } | Event::Changes { .. } | Event::Regained => None,
        };
        self.others.insert(name.to_owned(), problem);
    }

    /// Records that a snapshot was requested.
    pub fn snapshot_requested(&mut self, now: Instant) {
        self.snapshot_asked.get_or_insert(now);
    }

    /// Records a finished request of this kind.
    pub fn record_request(&mut self, kind: &'static str, elapsed: Duration, succeeded: bool) {
        let requests = self.requests.entry(kind).or_default();
        requests.times.observe(elapsed);
        requests.failed += u64::from(!succeeded);
    }

    fn end_loss(&mut self, now: Instant) {
        if let Some((since, _)) = self.lost.take() {
            self.lost_before += now.duration_since(since);
        }
    }

    /// Forgets other stores that are no longer read, so that an old outage is not reported for ever.
    pub fn retain_others(&mut self, names: &BTreeSet<String>) {
        self.others.retain(|name, _| names.contains(name));
    }

    /// Returns the reason why a store cannot be followed.
    pub fn problem(&self) -> Option<&str> {
        let others = || self.others.values().flatten().next();
        self.lost.as_ref().or_else(others).map(|(_, problem)| problem.as_str())
    }

    /// Whether every store in use is followed.
    pub fn is_followed(&self) -> bool {
        let is_followed = self.is_unused || (self.lost.is_none() && self.revision.is_some());
        is_followed && self.others.values().all(Option::is_none)
    }

    /// Returns the stores that are lost now, each with the duration of that.
    pub fn lost_stores(&self, now: Instant) -> Vec<(&str, Duration)> {
        let own = self.lost.as_ref().map(|(since, _)| ("the store", *since));
        let others = self.others.iter().filter_map(|(name, lost)| Some((name.as_str(), lost.as_ref()?.0)));
        own.into_iter().chain(others).map(|(name, since)| (name, now.duration_since(since))).collect()
    }

    /// Returns the duration of the current loss, and of all losses together.
    pub fn lost_for(&self, now: Instant) -> (Duration, Duration) {
        let present = self.lost.as_ref().map_or(Duration::ZERO, |(since, _)| now.duration_since(*since));
        (present, self.lost_before + present)
    }
}
