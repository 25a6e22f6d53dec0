//! The standing of one file with its guard: live count, start of a hold, last decision. Pure: asks `model::guard` for every
//! decision, and returns the state that must survive a restart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::apply::live_count::LiveCount;
use crate::model::guard::{Decision, Guard, Live, RenderCount, Verdict};
use crate::model::note::Note;
use crate::model::resource::Resource;

/// A file and its guard.
#[derive(Debug)]
pub struct Standing {
    /// Number of backends in the live file; `None` if unknown.
    live: Option<usize>,
    /// Number of backends in the render that is not live yet.
    rendered: usize,
    held_since: Option<Instant>,
    /// The same as the time of day, once that was asked for.
    held_since_unix: Option<u64>,
    decision: Option<Decision>,
    /// Time of the next decision on a held loss.
    wake_at: Option<Instant>,
    saved: LiveCount,
}

impl Standing {
    /// Returns the standing of a file after a restart. `unix_seconds` is the time of day.
    pub fn remembered(saved: LiveCount, guard: &Guard, now: Instant, unix_seconds: u64) -> Standing {
        let held_since = saved.held_since_unix.map(|since| {
            // A clock that was set back gives any age: a hold is never longer than its limit.
            let age = Duration::from_secs(unix_seconds.saturating_sub(since));
            now.checked_sub(age.min(guard.max_drop_hold)).unwrap_or(now)
        });
        let held_since_unix = saved.held_since_unix;
        Standing { live: saved.count, rendered: 0, held_since, held_since_unix, decision: None, wake_at: None, saved }
    }

    /// Decides on a render, with a note if that is news. `has_file`: there is a live file that could stay.
    pub fn decide(
        &mut self,
        resource: &Arc<Resource>,
        found: RenderCount,
        has_file: bool,
        now: Instant,
    ) -> (Decision, Option<Note>) {
        // While the file was kept, nobody had to look when the hold was over.
        let is_over = |since: &Instant| self.is_kept() && now >= *since + resource.guard.max_drop_hold;
        let live = Live { has_file, count: self.live, held_since: self.held_since.filter(|since| !is_over(since)) };
        let decision = resource.guard.decide(found, live, now);
        let before = self.decision.replace(decision);
        let is_news = before.map(|before| (before.verdict, before.loss)) != Some((decision.verdict, decision.loss));
        if self.held_since != decision.held_since {
            (self.held_since, self.held_since_unix) = (decision.held_since, None);
        }
        self.wake_at = match decision.verdict {
            Verdict::Hold(until) => Some(until),
            // When the hold is forgotten.
            Verdict::Keep | Verdict::Fail => decision.held_since.map(|since| since + resource.guard.max_drop_hold),
            Verdict::Apply | Verdict::Placeholder => None,
        };
        self.rendered = if decision.verdict == Verdict::Placeholder { 0 } else { found.count() };
        let note = is_news.then(|| Note::Guarded {
            resource: Arc::clone(resource),
            decision,
            before: before.filter(|before| before.loss.is_some()),
            count: found.count(),
            left_out: None,
        });
        (decision, note)
    }

    /// Records that the last render is live. Returns whether it is: a guard may keep the file.
    pub fn went_live(&mut self) -> bool {
        if self.decision.is_some_and(|decision| decision.keeps_file() || decision.verdict == Verdict::Fail) {
            return false;
        }
        self.live = Some(self.rendered);
        (self.held_since, self.held_since_unix) = (None, None);
        true
    }

    /// Returns whether the last decision keeps the file, or fails the resource, without a limit.
    fn is_kept(&self) -> bool {
        self.decision.is_some_and(|decision| matches!(decision.verdict, Verdict::Keep | Verdict::Fail))
    }

    /// Returns the decision if it keeps the live file as it is.
    pub fn held(&self) -> Option<Decision> {
        self.decision.filter(Decision::keeps_file)
    }

    /// Returns the time of the next decision, whatever the store says.
    pub fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    /// Returns the state to save for a restart, if it differs from the last saved one.
    pub fn unsaved(&mut self, guard: &Guard, now: Instant, unix_seconds: u64) -> Option<LiveCount> {
        let time_of_day = |since| unix_seconds.saturating_sub(now.duration_since(since).as_secs());
        self.held_since_unix = self.held_since_unix.or(self.held_since.map(time_of_day));
        // Nobody may look again before the hold is over, so that a restart would go on with it.
        let held_since_unix = self.held_since_unix.filter(|_| !self.is_kept());
        let wanted = LiveCount { count: self.live, held_since_unix };
        (guard.compares() && wanted != self.saved).then_some(wanted)
    }

    /// Records the saved state.
    pub fn saved(&mut self, saved: LiveCount) {
        self.saved = saved;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::board::tests::resource;

    /// A file with ten backends in the beginning, and a clock.
    struct Walk {
        resource: Arc<Resource>,
        standing: Standing,
        start: Instant,
    }

    impl Walk {
        fn new() -> Walk {
            let guard = Guard { max_drop_percent: Some(30), ..Guard::default() };
            let saved = LiveCount { count: Some(10), held_since_unix: None };
            let start = Instant::now();
            let standing = Standing::remembered(saved, &guard, start, 1000);
            let resource = Arc::new(Resource { guard, ..(*resource("a.toml")).clone() });
            Walk { resource, standing, start }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.start + Duration::from_secs(seconds)
        }

        /// Decides on so many backends. Returns the verdict, and what is to be saved then.
        fn find(&mut self, seconds: u64, backends: usize) -> (Verdict, Option<LiveCount>) {
            let found = RenderCount { calls_backends: true, keys: backends, backends, skipped: 0 };
            let now = self.at(seconds);
            let verdict = self.standing.decide(&self.resource, found, true, now).0.verdict;
            (verdict, self.standing.unsaved(&self.resource.guard, now, 1000 + seconds))
        }
    }

    #[test]
    fn a_hold_has_a_start_of_its_own_although_the_last_one_was_not_forgotten() {
        let mut walk = Walk::new();
        let mut after = |seconds, backends, is_saved| {
            let unsaved = walk.find(seconds, backends).1;
            unsaved.iter().filter(|_| is_saved).for_each(|unsaved| walk.standing.saved(*unsaved));
            unsaved.map(|unsaved| unsaved.held_since_unix)
        };
        assert_eq!(after(5, 3, true), Some(Some(1005)));
        assert_eq!(after(6, 3, true), None, "it is saved");
        assert_eq!(after(7, 10, false), Some(None), "over, and that cannot be saved");
        assert_eq!(after(8, 3, true), Some(Some(1008)));
    }

    #[test]
    fn a_hold_that_was_over_while_the_file_was_kept_is_forgotten() {
        let mut walk = Walk::new();
        let ends = [30, 70].map(|seconds| walk.at(seconds));
        let mut after = |seconds, backends| {
            let (verdict, unsaved) = walk.find(seconds, backends);
            (verdict, unsaved.and_then(|unsaved| unsaved.held_since_unix), walk.standing.wake_at())
        };
        assert_eq!(after(0, 4), (Verdict::Hold(ends[0]), Some(1000), Some(ends[0])));
        assert_eq!(after(5, 0), (Verdict::Keep, None, Some(ends[0])), "a restart does not go on with it");
        // Nobody has looked when it was over.
        assert_eq!(after(40, 1), (Verdict::Hold(ends[1]), Some(1040), Some(ends[1])));
        assert_eq!(after(70, 1).0, Verdict::Apply);
    }
}
