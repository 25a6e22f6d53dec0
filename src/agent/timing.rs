//! The times at which one group is worked on: debounce, least time between reloads, more of it while old workers pile up,
//! backoff after failures, one pass at a time. Pure: the time goes in, decisions come out. A change may be deferred but is
//! never lost.

use std::time::{Duration, Instant};

use crate::model::backoff::doubled;
use crate::model::resource::Pace;

use super::governor::Load;

/// First pause before a failed group is tried again without new input.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// Longest pause before a retry without new input.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// Least time between reloads if the pace sets none, while they are spread.
const MIN_STRETCHED: Duration = Duration::from_secs(1);

/// The effect of a change on clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Something was removed or changed: requests may fail until it is applied.
    Removal,
    /// Something was added: nothing fails while it waits.
    Addition,
}

/// The result of a pass for the timing of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing is left to do.
    Settled,
    /// Failed: tried again after a backoff, or at once on new input.
    Failed,
    /// Got on, with more to do: goes on at once.
    Unfinished,
}

/// The timing of one group.
#[derive(Debug)]
pub struct Timing {
    /// Pace; `None` for a group without a reload, which is never delayed.
    pace: Option<Pace>,
    /// Whether its reloads leave old workers of nginx behind.
    drives_nginx: bool,
    /// Changes that no pass has picked up yet.
    pending: Option<Pending>,
    last_change: Option<Instant>,
    is_running: bool,
    last_reload: Option<Instant>,
    retry_at: Option<Instant>,
    failures: u32,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    first: Instant,
    last: Instant,
    /// Whether nothing changed shortly before: the first change of a burst is applied at once.
    opens_burst: bool,
    /// Whether these are only additions, which wait while reloads are spread.
    may_wait: bool,
}

impl Timing {
    /// Returns the timing of a new group. `pace` is `None` for a group without a reload; `drives_nginx`: its reloads leave
    /// old workers of nginx behind.
    pub fn new(pace: Option<Pace>, drives_nginx: bool) -> Timing {
        Timing {
            pace,
            drives_nginx,
            pending: None,
            last_change: None,
            is_running: false,
            last_reload: None,
            retry_at: None,
            failures: 0,
        }
    }

    /// Returns the same timing for a group whose pace may have changed.
    pub fn with_pace(self, pace: Option<Pace>, drives_nginx: bool) -> Timing {
        Timing { pace, drives_nginx, ..self }
    }

    /// Records that an input of the group has changed.
    pub fn changed(&mut self, urgency: Urgency, now: Instant) {
        let quiet_before = match (self.last_change, self.pace) {
            (Some(last), Some(pace)) => now.duration_since(last) > pace.debounce,
            _ => true,
        };
        let may_wait = urgency == Urgency::Addition;
        self.pending = Some(match self.pending {
            Some(pending) => {
                // One event may concern several resources of the group.
                let opens_burst = pending.opens_burst && pending.first == now;
                Pending { last: now, opens_burst, may_wait: pending.may_wait && may_wait, ..pending }
            }
            None => Pending { first: now, last: now, opens_burst: quiet_before, may_wait },
        });
        self.last_change = Some(now);
    }

    /// Returns when the group is due under this load of nginx; `None` if nothing waits, or a pass runs.
    pub fn due_at(&self, load: Load) -> Option<Instant> {
        let load = if self.drives_nginx { load } else { Load::Usual };
        if self.is_running || load == Load::Paused {
            return None;
        }
        let change_due = self.pending.map(|pending| self.pending_due(pending, load));
        let retry_due = self.retry_at.map(|retry| self.not_before(retry, self.interval(load)));
        match (change_due, retry_due) {
            (Some(change), Some(retry)) => Some(change.min(retry)),
            (one, other) => one.or(other),
        }
    }

    /// Records that a pass starts, which picks up all changes. Its end is reported with `finished`.
    pub fn start(&mut self) {
        self.is_running = true;
        self.pending = None;
        self.retry_at = None;
    }

    /// Records that the pass has ended. `jitter` in 0..1 spreads retries of many agents.
    pub fn finished(&mut self, now: Instant, reloaded: bool, left: Left, jitter: f64) {
        self.is_running = false;
        if reloaded {
            self.last_reload = Some(now);
        }
        match left {
            Left::Settled => self.failures = 0,
            Left::Unfinished => self.retry_at = Some(now),
            Left::Failed => {
                self.retry_at = Some(now + backoff(self.failures, jitter));
                self.failures = self.failures.saturating_add(1);
            }
        }
    }

    /// Returns how many times in a row the group has failed.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns whether a change waits that no pass has picked up.
    pub fn has_pending(&self) -> bool {
        self.pending.is_some()
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

    /// Returns the least time between two reloads.
    fn interval(&self, load: Load) -> Duration {
        let least = self.pace.map_or(Duration::ZERO, |pace| pace.min_reload_interval);
        match load {
            Load::Stretched(factor) if self.pace.is_some() => least.max(MIN_STRETCHED) * factor,
            _ => least,
        }
    }

    /// Returns `at`, or a later time if the last reload was too recent.
    fn not_before(&self, at: Instant, interval: Duration) -> Instant {
        self.last_reload.map_or(at, |last| at.max(last + interval))
    }
}

/// Returns the backoff: doubled from 1 s up to 60 s, less up to a quarter by jitter.
fn backoff(failures: u32, jitter: f64) -> Duration {
    doubled(FIRST_BACKOFF, failures, LONGEST_BACKOFF).mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
