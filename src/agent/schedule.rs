//! When which group is worked on: debounce, least time between reloads, backoff after failures, one transaction per group.
//! Pure: the time goes in, decisions come out. A change may be deferred but is never dropped.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::model::resource::Pace;

/// First pause before a failed group is tried again without new input.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// Longest pause.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// The groups' timing, by group id.
#[derive(Debug, Default)]
pub struct Schedule {
    groups: BTreeMap<String, Timing>,
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
}

impl Schedule {
    /// Makes the schedule fit these groups. Timing of groups that stay is kept.
    pub fn set_groups(&mut self, groups: impl IntoIterator<Item = (String, Option<Pace>)>) {
        let mut old = std::mem::take(&mut self.groups);
        for (id, pace) in groups {
            let mut timing = old.remove(&id).unwrap_or(Timing {
                pace,
                pending: None,
                last_change: None,
                running: false,
                last_reload: None,
                retry_at: None,
                failures: 0,
            });
            timing.pace = pace;
            self.groups.insert(id, timing);
        }
    }

    /// Something that the group renders has changed.
    pub fn changed(&mut self, group: &str, now: Instant) {
        let Some(timing) = self.groups.get_mut(group) else { return };
        let quiet_before = match (timing.last_change, timing.pace) {
            (Some(last), Some(pace)) => now.duration_since(last) > pace.debounce,
            _ => true,
        };
        timing.pending = Some(match timing.pending {
            Some(pending) => Pending { last: now, opens_burst: false, ..pending },
            None => Pending { first: now, last: now, opens_burst: quiet_before },
        });
        timing.last_change = Some(now);
    }

    /// Groups to start now. Each that is started must be reported with `finished`.
    pub fn start_due(&mut self, now: Instant) -> Vec<String> {
        let mut due = Vec::new();
        for (id, timing) in &mut self.groups {
            if timing.due_at().is_some_and(|at| at <= now) {
                timing.running = true;
                timing.pending = None;
                timing.retry_at = None;
                due.push(id.clone());
            }
        }
        due
    }

    /// When `start_due` has something next; `None` while nothing waits for time.
    pub fn wake_at(&self) -> Option<Instant> {
        self.groups.values().filter_map(Timing::due_at).min()
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

    /// How many times in a row the group has failed.
    pub fn failures(&self, group: &str) -> u32 {
        self.groups.get(group).map_or(0, |timing| timing.failures)
    }

    /// Whether any group is being worked on.
    pub fn is_busy(&self) -> bool {
        self.groups.values().any(|timing| timing.running)
    }
}

impl Timing {
    fn due_at(&self) -> Option<Instant> {
        if self.running {
            return None;
        }
        let change_due = self.pending.map(|pending| self.pending_due(pending));
        match (change_due, self.retry_at) {
            (Some(change), Some(retry)) => Some(change.min(self.not_before(retry))),
            (Some(change), None) => Some(change),
            (None, Some(retry)) => Some(self.not_before(retry)),
            (None, None) => None,
        }
    }

    fn pending_due(&self, pending: Pending) -> Instant {
        let Some(pace) = self.pace else { return pending.first };
        let settled = if pending.opens_burst && !pace.debounce_first {
            pending.first
        } else {
            (pending.last + pace.debounce).min(pending.first + pace.debounce_max)
        };
        self.not_before(settled)
    }

    /// Later, where the last reload was too short a time ago.
    fn not_before(&self, at: Instant) -> Instant {
        match (self.last_reload, self.pace) {
            (Some(last), Some(pace)) => at.max(last + pace.min_reload_interval),
            _ => at,
        }
    }
}

/// Doubles from 1 s to 60 s, less up to a quarter by jitter.
fn backoff(failures: u32, jitter: f64) -> Duration {
    let full = FIRST_BACKOFF.saturating_mul(1 << failures.min(10)).min(LONGEST_BACKOFF);
    full.mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
