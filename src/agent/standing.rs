//! How one file stands with its guard: what is live, since when a loss is held, what was decided last. Pure: asks
//! `model::guard` for every decision, and says what has to be remembered over a restart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::apply::live_count::LiveCount;
use crate::model::guard::{Decision, Found, Guard, Live, Verdict};
use crate::model::note::Note;
use crate::model::resource::Resource;

/// A file and its guard.
#[derive(Debug)]
pub struct Standing {
    /// How many backends the live file has; `None` if nobody remembers.
    live: Option<usize>,
    /// How many the render has that is on its way.
    rendered: usize,
    held_since: Option<Instant>,
    decision: Option<Decision>,
    /// When a held loss has to be decided on again.
    wake_at: Option<Instant>,
    saved: LiveCount,
}

impl Standing {
    /// Returns how a file stands after a restart. `unix_seconds` is the time of day.
    pub fn remembered(saved: LiveCount, guard: &Guard, now: Instant, unix_seconds: u64) -> Standing {
        let held_since = saved.held_since_unix.map(|since| {
            // A clock that was set back may say anything: a hold is never longer than it should be.
            let age = Duration::from_secs(unix_seconds.saturating_sub(since));
            now.checked_sub(age.min(guard.max_drop_hold)).unwrap_or(now)
        });
        Standing { live: saved.count, rendered: 0, held_since, decision: None, wake_at: None, saved }
    }

    /// Decides what becomes of a render, with a note if that is news. `has_file`: something live could stay.
    pub fn decide(
        &mut self,
        resource: &Arc<Resource>,
        found: Found,
        has_file: bool,
        now: Instant,
    ) -> (Decision, Option<Note>) {
        let live = Live { has_file, count: self.live, held_since: self.held_since };
        let decision = resource.guard.decide(found, live, now);
        let before = self.decision.replace(decision);
        let is_news = before.map(|before| (before.verdict, before.loss)) != Some((decision.verdict, decision.loss));
        self.held_since = decision.held_since;
        self.wake_at = match decision.verdict {
            Verdict::Hold(until) => Some(until),
            _ => None,
        };
        self.rendered = if decision.verdict == Verdict::Placeholder { 0 } else { found.count() };
        let note = is_news.then(|| Note::Guarded {
            resource: Arc::clone(resource),
            decision,
            before: before.and_then(|before| before.loss),
            count: found.count(),
        });
        (decision, note)
    }

    /// Records that what was rendered last is live.
    pub fn went_live(&mut self) {
        if self.decision.is_some_and(|decision| decision.keeps_file() || decision.verdict == Verdict::Fail) {
            return;
        }
        self.live = Some(self.rendered);
        self.held_since = None;
    }

    /// Returns the decision if it keeps the live file as it is.
    pub fn held(&self) -> Option<Decision> {
        self.decision.filter(Decision::keeps_file)
    }

    /// Returns when it has to be decided on again, whatever the store says.
    pub fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    /// Returns what has to be remembered over a restart, if that is not what was saved last.
    pub fn unsaved(&self, guard: &Guard, now: Instant, unix_seconds: u64) -> Option<LiveCount> {
        let held_since_unix = match (self.held_since, self.saved.held_since_unix) {
            (None, _) => None,
            (Some(_), Some(since)) => Some(since),
            (Some(since), None) => Some(unix_seconds.saturating_sub(now.duration_since(since).as_secs())),
        };
        let wanted = LiveCount { count: self.live, held_since_unix };
        (guard.compares() && wanted != self.saved).then_some(wanted)
    }

    /// Records what is remembered now.
    pub fn saved(&mut self, saved: LiveCount) {
        self.saved = saved;
    }
}
