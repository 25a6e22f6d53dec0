//! What is known of the store: whether it is followed, what was read, how long that took. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::model::event::Event;
use crate::model::key::Revision;
use crate::status::histogram::Histogram;

use super::shortened;

/// See the module.
#[derive(Clone, Debug)]
pub struct StoreBoard {
    /// `etcd`, `file` or `env`.
    pub backend: &'static str,
    /// The newest revision that was read.
    pub revision: Option<Revision>,
    /// Since when it cannot be followed, and why.
    lost: Option<(Instant, String)>,
    /// How often it was lost.
    pub losses: u64,
    /// For how long in all, the present loss excepted.
    lost_before: Duration,
    /// What was asked of it, by confd's words for it.
    pub requests: BTreeMap<&'static str, RequestBoard>,
    /// Since when a snapshot is waited for.
    snapshot_asked: Option<Instant>,
    /// When it said something last.
    last_event: Instant,
    /// Nothing is read of it: all resources have stores of their own.
    pub is_unused: bool,
    /// Stores of `[backend]` tables that were heard of, by name, and why those that cannot be followed cannot.
    further: BTreeMap<String, Option<String>>,
}

/// Requests of one kind.
#[derive(Clone, Debug, Default)]
pub struct RequestBoard {
    /// How long they took.
    pub times: Histogram,
    /// How many failed.
    pub failed: u64,
}

/// Reading everything at one revision.
pub(super) const GET_VALUES: &str = "get_values";
/// Waiting for a change.
pub(super) const WATCH_PREFIX: &str = "watch_prefix";
/// Asking how the store is.
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
            further: BTreeMap::new(),
        }
    }

    pub(super) fn said(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Snapshot { revision, .. } => {
                let asked = self.snapshot_asked.take().unwrap_or(self.last_event);
                self.took(GET_VALUES, now.duration_since(asked), true);
                // An older one is told as it is: the store was put back to it.
                self.revision = Some(*revision);
                self.found(now);
            }
            Event::Changes { revision, .. } => {
                self.took(WATCH_PREFIX, now.duration_since(self.last_event), true);
                self.revision = Some(*revision);
                self.found(now);
            }
            Event::Regained => self.found(now),
            Event::Lost { problem, .. } => {
                let kind = if self.snapshot_asked.is_some() { GET_VALUES } else { WATCH_PREFIX };
                self.took(kind, now.duration_since(self.last_event), false);
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

    /// A store of a `[backend]` table said something.
    pub fn further_said(&mut self, name: &str, event: &Event) {
        let problem = match event {
            Event::Lost { problem, .. } => Some(format!("{name}: {}", shortened(problem))),
            Event::Snapshot { .. } | Event::Changes { .. } | Event::Regained => None,
        };
        self.further.insert(name.to_owned(), problem);
    }

    /// A snapshot was asked for.
    pub fn asked(&mut self, now: Instant) {
        self.snapshot_asked.get_or_insert(now);
    }

    /// A request of this kind has ended.
    pub fn took(&mut self, kind: &'static str, elapsed: Duration, succeeded: bool) {
        let requests = self.requests.entry(kind).or_default();
        requests.times.observe(elapsed);
        requests.failed += u64::from(!succeeded);
    }

    fn found(&mut self, now: Instant) {
        if let Some((since, _)) = self.lost.take() {
            self.lost_before += now.duration_since(since);
        }
    }

    /// Forgets further stores that nobody reads any more: one that is away must not be told for ever.
    pub fn keep_further(&mut self, names: &BTreeSet<String>) {
        self.further.retain(|name, _| names.contains(name));
    }

    /// Why it cannot be followed.
    pub fn problem(&self) -> Option<&str> {
        let further = || self.further.values().flatten().next();
        self.lost.as_ref().map(|(_, problem)| problem).or_else(further).map(String::as_str)
    }

    /// Something was read, and it is followed.
    pub fn is_followed(&self) -> bool {
        let is_followed = self.is_unused || (self.lost.is_none() && self.revision.is_some());
        is_followed && self.further.values().all(Option::is_none)
    }

    /// How long it has not been followed: this time, and in all.
    pub fn lost_for(&self, now: Instant) -> (Duration, Duration) {
        let present = self.lost.as_ref().map_or(Duration::ZERO, |(since, _)| now.duration_since(*since));
        (present, self.lost_before + present)
    }
}
