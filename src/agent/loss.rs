//! When the log speaks of a store that cannot be followed: at once, at each new problem, and then less and less often. Pure.

use std::time::Instant;

use crate::model::reminders::Reminders;
use crate::status::fields::time_text;

/// The loss of a store.
#[derive(Debug)]
pub(super) struct StoreLoss {
    /// Its start.
    pub(super) since: Instant,
    /// The same, in seconds since 1970.
    since_unix: u64,
    /// The problem that was logged last.
    problem: Option<String>,
    reminders: Reminders,
}

impl StoreLoss {
    pub(super) fn begin(now: Instant, unix_seconds: u64) -> StoreLoss {
        StoreLoss { since: now, since_unix: unix_seconds, problem: None, reminders: Reminders::after(now) }
    }

    /// Returns what to say of a failed attempt beside its problem: nothing, or since when it goes on; `None` if it has been said.
    pub(super) fn says(&mut self, problem: &str, now: Instant) -> Option<String> {
        if self.reminders.take_due(now) {
            self.problem = Some(problem.to_owned());
            return Some(format!(" since {}", time_text(self.since_unix)));
        }
        let is_new = self.problem.as_deref() != Some(problem);
        self.problem = Some(problem.to_owned());
        is_new.then(String::new)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_loss_is_repeated_at_doubling_distances() {
        let start = Instant::now();
        let mut loss = StoreLoss::begin(start, 1_736_850_600);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(loss.says("no route", at(0)).as_deref(), Some(""));
        assert_eq!(loss.says("no route", at(1)), None);
        assert_eq!(loss.says("refused", at(2)).as_deref(), Some(""));
        // An attempt each second for a day.
        let said: Vec<u64> = (3..86_400).filter(|second| loss.says("refused", at(*second)).is_some()).collect();
        assert_eq!(said[..4], [60, 180, 420, 900]);
        assert!(said.windows(2).all(|pair| pair[1] - pair[0] <= 64 * 60) && said.len() > 20, "{said:?}");
        assert_eq!(loss.says("refused", at(100_000)).as_deref(), Some(" since 2025-01-14T10:30:00Z"));
    }
}
