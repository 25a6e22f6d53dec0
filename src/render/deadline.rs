//! The end of a render's time, for whoever works for it. Asks the world for the time, and never waits.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::facts::Facts;

/// Questions for each look at the clock.
const QUESTIONS_PER_LOOK: u32 = 16;

/// The end of a render's time.
#[derive(Clone)]
pub(super) struct Deadline {
    facts: Arc<dyn Facts>,
    /// The instant, and the whole time until then; `None` if there is no limit.
    end: Option<(Instant, Duration)>,
    questions: Cell<u32>,
    has_passed: Cell<bool>,
}

impl Deadline {
    /// Returns the deadline of a render that starts now.
    pub(super) fn new(facts: &Arc<dyn Facts>) -> Deadline {
        let end = facts.render_timeout().and_then(|timeout| Some((facts.instant().checked_add(timeout)?, timeout)));
        Deadline { facts: Arc::clone(facts), end, questions: Cell::new(0), has_passed: Cell::new(false) }
    }

    /// Returns one that has passed, of ten seconds.
    #[cfg(test)]
    pub(super) fn passed() -> Deadline {
        let facts: Arc<dyn Facts> = Arc::new(super::facts::NoWorld);
        Deadline { end: Some((Instant::now(), Duration::from_secs(10))), ..Deadline::new(&facts) }
    }

    /// Checks whether the time is over. Looks at the clock only now and then, which costs less.
    pub(super) fn has_passed(&self) -> bool {
        let questions = self.questions.get().wrapping_add(1);
        self.questions.set(questions);
        if questions.is_multiple_of(QUESTIONS_PER_LOOK) {
            self.look();
        }
        self.has_passed.get()
    }

    fn look(&self) {
        if let Some((end, _)) = self.end {
            self.has_passed.set(self.facts.instant() >= end);
        }
    }

    /// Returns the whole time; zero if there is no limit.
    pub(super) fn timeout(&self) -> Duration {
        self.end.map_or(Duration::ZERO, |(_, timeout)| timeout)
    }

    /// Returns the world that it asks for the time.
    pub(super) fn facts(&self) -> &dyn Facts {
        &*self.facts
    }

    /// Returns the time that is left; `None` if there is no limit.
    pub(super) fn left(&self) -> Option<Duration> {
        let left = self.end.map(|(end, _)| end.saturating_duration_since(self.facts.instant()));
        self.has_passed.set(left.is_some_and(|left| left.is_zero()));
        left
    }
}
