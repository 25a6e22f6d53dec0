//! When the log says that a folder has no services to announce: at once, for each new reason, and then less and less often. Pure.

use std::time::{Duration, Instant};

/// Pause before the first repetition; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(64 * 60);

/// The reason why nothing is announced, if there is one.
#[derive(Debug, Default)]
pub struct Vacancy {
    /// The reason, the time to say it, and the pause after that.
    said: Option<(String, Instant, Duration)>,
}

impl Vacancy {
    /// Records the reason as of now; `None` if there are services.
    pub fn set(&mut self, reason: Option<String>, now: Instant) {
        let is_known = |(known, ..): &(String, Instant, Duration)| Some(known) == reason.as_ref();
        if !self.said.as_ref().is_some_and(is_known) {
            self.said = reason.map(|reason| (reason, now, FIRST_PAUSE));
        }
    }

    /// Returns the reason.
    pub fn reason(&self) -> Option<&str> {
        self.said.as_ref().map(|(reason, ..)| reason.as_str())
    }

    /// Returns when there is something to say.
    pub fn due_at(&self) -> Option<Instant> {
        self.said.as_ref().map(|(_, at, _)| *at)
    }

    /// Returns what to say now, if it is time.
    pub fn take_due(&mut self, now: Instant) -> Option<&str> {
        let (reason, at, pause) = self.said.as_mut().filter(|(_, at, _)| *at <= now)?;
        *at = now + *pause;
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        Some(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_said_at_once_and_at_doubling_distances() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut vacancy = Vacancy::default();
        assert_eq!((vacancy.due_at(), vacancy.take_due(start)), (None, None));
        let mut said = Vec::new();
        for second in 0..20_000 {
            // The files are read again now and then.
            vacancy.set(Some("missing".to_owned()), at(second));
            said.extend(vacancy.take_due(at(second)).map(|_| second));
        }
        assert_eq!(said, [0, 60, 180, 420, 900, 1860, 3780, 7620, 11460, 15300, 19140]);
        vacancy.set(Some("empty".to_owned()), at(20_000));
        assert_eq!(vacancy.take_due(at(20_000)), Some("empty"));
        vacancy.set(None, at(20_001));
        assert_eq!((vacancy.due_at(), vacancy.take_due(at(30_000))), (None, None));
        vacancy.set(Some("empty".to_owned()), at(30_001));
        assert_eq!(vacancy.take_due(at(30_001)), Some("empty"));
    }
}
