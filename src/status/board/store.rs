//! State of the stores: whether they are followed, the newest revision, request counters. Pure: never asks a store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::model::event::Event;
use crate::model::key::Revision;
use crate::status::histogram::Histogram;

use super::status_line;

/// State of the agent's store, and of the stores in `[backend]` tables.
#[derive(Clone, Debug)]
pub struct StoreBoard {
    /// `etcd`, `file` or `env`.
    pub backend: &'static str,
    /// Newest revision read.
    pub revision: Option<Revision>,
    /// The current loss.
    lost: Option<PresentLoss>,
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
    is_unused: bool,
    /// Stores in `[backend]` tables that sent an event, by name.
    others: BTreeMap<String, OtherStore>,
}

/// A store in a `[backend]` table.
#[derive(Clone, Debug, Default)]
struct OtherStore {
    revision: Option<Revision>,
    lost: Option<PresentLoss>,
}

/// The present loss of a store.
#[derive(Clone, Debug)]
struct PresentLoss {
    began: Instant,
    /// The same in seconds since 1970. Kept, because two clocks that are compared at each look differ by a second now and then.
    since: u64,
    problem: String,
    /// Time of the next attempt, in seconds since 1970.
    next_try: u64,
    is_lasting: bool,
}

impl PresentLoss {
    /// Returns the loss after this event; one that lasts keeps its start.
    fn after(before: Option<&PresentLoss>, event: &Event, now: Instant, unix_seconds: u64) -> Option<PresentLoss> {
        let Event::Lost { problem, retry_in, is_lasting } = event else { return None };
        let (began, since) = before.map_or((now, unix_seconds), |before| (before.began, before.since));
        let next_try = unix_seconds + retry_in.as_secs();
        Some(PresentLoss { began, since, problem: status_line(problem), next_try, is_lasting: *is_lasting })
    }
}

/// A store that is lost now.
#[derive(Clone, Copy, Debug)]
pub struct LostStore<'a> {
    /// `etcd`, `file` or `env`; of a `[backend]` table, its settings in one line.
    pub name: &'a str,
    /// Why it cannot be followed.
    pub problem: &'a str,
    /// Start of that, in seconds since 1970.
    pub since: u64,
    /// Time of the next attempt, in seconds since 1970.
    pub next_try: u64,
    /// Whether only an edit helps.
    pub is_lasting: bool,
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

    pub(super) fn record(&mut self, event: &Event, now: Instant, unix_seconds: u64) {
        // A source that is about to end may still say something.
        if self.is_unused {
            return;
        }
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
            Event::Lost { .. } => {
                let kind = if self.snapshot_asked.is_some() { GET_VALUES } else { WATCH_PREFIX };
                self.record_request(kind, now.duration_since(self.last_event), false);
                self.losses += u64::from(self.lost.is_none());
                self.lost = PresentLoss::after(self.lost.as_ref(), event, now, unix_seconds);
            }
        }
        self.last_event = now;
    }

    /// Records an event of a store in a `[backend]` table.
    pub fn record_other_event(&mut self, name: &str, event: &Event, now: Instant, unix_seconds: u64) {
        let known = self.others.entry(name.to_owned()).or_default();
        known.lost = PresentLoss::after(known.lost.as_ref(), event, now, unix_seconds);
        if let Some(lost) = &mut known.lost {
            lost.problem = format!("{name}: {}", lost.problem);
        }
        if let Event::Snapshot { revision, .. } | Event::Changes { revision, .. } = event {
            known.revision = Some(*revision);
        }
    }

    /// Records whether the agent's store is unused: all resources have stores of their own. Then it is not followed, and its loss is over.
    pub fn set_unused(&mut self, is_unused: bool, now: Instant) {
        self.is_unused = is_unused;
        if is_unused {
            self.end_loss(now);
            self.revision = None;
        }
    }

    /// Returns whether the agent's store is unused.
    pub fn is_unused(&self) -> bool {
        self.is_unused
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
        if let Some(lost) = self.lost.take() {
            self.lost_before += now.duration_since(lost.began);
        }
    }

    /// Records which other stores are read. One that is not any more is forgotten, so that an old outage is not reported forever.
    pub fn set_others(&mut self, names: &BTreeSet<String>) {
        self.others.retain(|name, _| names.contains(name));
        for name in names {
            self.others.entry(name.clone()).or_default();
        }
    }

    /// Returns the reason why a store cannot be followed.
    pub fn problem(&self) -> Option<&str> {
        let others = || self.others.values().find_map(|other| other.lost.as_ref());
        self.lost.as_ref().or_else(others).map(|lost| lost.problem.as_str())
    }

    /// Returns whether every store in use is followed.
    pub fn is_followed(&self) -> bool {
        let is_followed = self.is_unused || (self.lost.is_none() && self.revision.is_some());
        is_followed && self.others.values().all(|other| other.lost.is_none() && other.revision.is_some())
    }

    /// Returns the stores that are lost now, the agent's first.
    pub fn lost(&self) -> Vec<LostStore<'_>> {
        let own = self.lost.iter().map(|lost| (self.backend, lost));
        let others = self.others.iter().filter_map(|(name, other)| Some((name.as_str(), other.lost.as_ref()?)));
        own.chain(others)
            .map(|(name, lost)| LostStore {
                name,
                problem: &lost.problem,
                since: lost.since,
                next_try: lost.next_try,
                is_lasting: lost.is_lasting,
            })
            .collect()
    }

    /// Returns the stores in `[backend]` tables, each with its newest revision.
    pub fn others(&self) -> impl Iterator<Item = (&str, Option<Revision>)> {
        self.others.iter().map(|(name, other)| (name.as_str(), other.revision))
    }

    /// Returns the duration of the current loss, and of all losses together.
    pub fn lost_for(&self, now: Instant) -> (Duration, Duration) {
        let present = self.lost.as_ref().map_or(Duration::ZERO, |lost| now.duration_since(lost.began));
        (present, self.lost_before + present)
    }
}
