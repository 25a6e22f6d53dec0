//! When which group is worked on: debounce, least time between reloads, more of it while old workers pile up, backoff after
//! failures, one transaction per group.
//! Pure: the time goes in, decisions come out. A change may be deferred but is never dropped.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::model::backoff::doubled;
use crate::model::resource::Pace;

use super::governor::Load;

/// First pause before a failed group is tried again without new input.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// Longest pause.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// The groups' timing, by group id.
#[derive(Debug, Default)]
pub struct Schedule {
    groups: BTreeMap<String, Timing>,
    /// Of the nginx that is driven.
    load: Load,
}

/// What a change does to those who are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Something was taken away or became another: requests may fail until it is applied.
    Removal,
    /// Something was added: nothing fails while it waits.
    Addition,
}

/// Least time between reloads where the pace sets none, while they are spread.
const LEAST_STRETCHED: Duration = Duration::from_secs(1);

/// A group as far as time goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed {
    /// The group.
    pub id: String,
    /// `None` for a group without a reload: it is never delayed.
    pub pace: Option<Pace>,
    /// Its reloads leave old workers of nginx behind.
    pub drives_nginx: bool,
}

/// How a transaction left its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing is left to do.
    Settled,
    /// To be tried again: after a backoff, or at once on new input.
    Failed,
}

#[derive(Debug)]
struct Timing {
    /// `None` for a group without a reload: it is never delayed.
    pace: Option<Pace>,
    /// Its reloads leave old workers behind.
    drives_nginx: bool,
    /// Changes that no transaction has taken up yet.
    pending: Option<Pending>,
    last_change: Option<Instant>,
    running: bool,
    last_reload: Option<Instant>,
    retry_at: Option<Instant>,
    failures: u32,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    first: Instant,
    last: Instant,
    /// Nothing changed shortly before: the first change of a burst goes at once.
    opens_burst: bool,
    /// Only additions: they wait while reloads are spread.
    may_wait: bool,
}

impl Schedule {
    /// Makes the schedule fit these groups. Timing of groups that stay is kept.
    pub fn set_groups(&mut self, groups: impl IntoIterator<Item = Timed>) {
        let mut old = std::mem::take(&mut self.groups);
        for Timed { id, pace, drives_nginx } in groups {
            let mut timing = old.remove(&id).unwrap_or(Timing {
                pace,
                drives_nginx,
                pending: None,
                last_change: None,
                running: false,
                last_reload: None,
                retry_at: None,
                failures: 0,
            });
            timing.pace = pace;
            timing.drives_nginx = drives_nginx;
            self.groups.insert(id, timing);
        }
    }

    /// Something that the group renders has changed.
    pub fn changed(&mut self, group: &str, urgency: Urgency, now: Instant) {
        let Some(timing) = self.groups.get_mut(group) else { return };
        let quiet_before = match (timing.last_change, timing.pace) {
            (Some(last), Some(pace)) => now.duration_since(last) > pace.debounce,
            _ => true,
        };
        let may_wait = urgency == Urgency::Addition;
        timing.pending = Some(match timing.pending {
            Some(pending) => {
                Pending { last: now, opens_burst: false, may_wait: pending.may_wait && may_wait, ..pending }
            }
            None => Pending { first: now, last: now, opens_burst: quiet_before, may_wait },
        });
        timing.last_change = Some(now);
    }

    /// Groups to start now. Each that is started must be reported with `finished`.
    pub fn start_due(&mut self, now: Instant) -> Vec<String> {
        let ids: Vec<String> = self.groups.keys().cloned().collect();
        ids.into_iter().filter(|id| self.start_if_due(id, now)).collect()
    }

    /// Starts this group where its time has come. One that is started must be reported with `finished`.
    pub fn start_if_due(&mut self, group: &str, now: Instant) -> bool {
        let load = self.load;
        let Some(timing) = self.groups.get_mut(group) else { return false };
        let is_due = timing.due_at(load).is_some_and(|at| at <= now);
        if is_due {
            timing.running = true;
            timing.pending = None;
            timing.retry_at = None;
        }
        is_due
    }

    /// When `start_due` has something next; `None` while nothing waits for time.
    pub fn wake_at(&self) -> Option<Instant> {
        self.groups.values().filter_map(|timing| timing.due_at(self.load)).min()
    }

    /// A transaction has ended. `jitter` in 0..1 spreads retries of many agents.
    pub fn finished(&mut self, group: &str, now: Instant, reloaded: bool, left: Left, jitter: f64) {
        let Some(timing) = self.groups.get_mut(group) else { return };
        timing.running = false;
        if reloaded {
            timing.last_reload = Some(now);
        }
        match left {
            Left::Settled => timing.failures = 0,
            Left::Failed => {
                timing.retry_at = Some(now + backoff(timing.failures, jitter));
                timing.failures = timing.failures.saturating_add(1);
            }
        }
    }

    /// How loaded the nginx is that is driven. Answers whether that is news.
    pub fn set_load(&mut self, load: Load) -> bool {
        std::mem::replace(&mut self.load, load) != load
    }

    /// How many times in a row the group has failed.
    pub fn failures(&self, group: &str) -> u32 {
        self.groups.get(group).map_or(0, |timing| timing.failures)
    }

    /// Whether a change waits that no transaction has taken up.
    pub fn has_pending(&self) -> bool {
        self.groups.values().any(|timing| timing.pending.is_some())
    }

    /// Whether any group is being worked on.
    pub fn is_busy(&self) -> bool {
        self.groups.values().any(|timing| timing.running)
    }
}

impl Timing {
    fn due_at(&self, load: Load) -> Option<Instant> {
        let load = if self.drives_nginx { load } else { Load::Usual };
        if self.running || load == Load::Hold {
            return None;
        }
        let change_due = self.pending.map(|pending| self.pending_due(pending, load));
        let retry_due = self.retry_at.map(|retry| self.not_before(retry, self.interval(load)));
        match (change_due, retry_due) {
            (Some(change), Some(retry)) => Some(change.min(retry)),
            (one, other) => one.or(other),
        }
    }

    fn pending_due(&self, pending: Pending, load: Load) -> Instant {
        let Some(pace) = self.pace else { return pending.first };
        let settled = if pending.opens_burst && !pace.debounce_first {
            pending.first
        } else {
            (pending.last + pace.debounce).min(pending.first + pace.debounce_max)
        };
        self.not_before(settled, self.interval(if pending.may_wait { load } else { Load::Usual }))
    }

    /// Least time between two reloads.
    fn interval(&self, load: Load) -> Duration {
        let least = self.pace.map_or(Duration::ZERO, |pace| pace.min_reload_interval);
        match load {
            Load::Stretched(factor) if self.pace.is_some() => least.max(LEAST_STRETCHED) * factor,
            _ => least,
        }
    }

    /// Later, where the last reload was too short a time ago.
    fn not_before(&self, at: Instant, interval: Duration) -> Instant {
        self.last_reload.map_or(at, |last| at.max(last + interval))
    }
}

/// Doubles from 1 s to 60 s, less up to a quarter by jitter.
fn backoff(failures: u32, jitter: f64) -> Duration {
    doubled(FIRST_BACKOFF, failures, LONGEST_BACKOFF).mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
