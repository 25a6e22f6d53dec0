//! When the log speaks again of something that lasts: after a minute, and then after a pause that doubles each time. Pure.

use std::time::{Duration, Instant};

/// Pause before the first repetition.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(64 * 60);

/// The moments at which something is said.
#[derive(Clone, Copy, Debug)]
pub struct Reminders {
    next: Instant,
    /// Pause after that.
    pause: Duration,
}

impl Reminders {
    /// Returns those of something that is said at once.
    pub fn at_once(now: Instant) -> Reminders {
        Reminders { next: now, pause: FIRST_PAUSE }
    }

    /// Returns those of something that has just been said.
    pub fn after(now: Instant) -> Reminders {
        let mut reminders = Reminders::at_once(now);
        reminders.take_due(now);
        reminders
    }

    /// Returns the next moment.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Returns whether it is time to say it; then the next pause begins.
    pub fn take_due(&mut self, now: Instant) -> bool {
        let is_due = self.next <= now;
        if is_due {
            self.next = now + self.pause;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        is_due
    }
}
