//! When the log says that a folder has no services to announce: at once, for each new reason, and then less and less often. Pure.

use std::time::Instant;

use crate::model::reminders::Reminders;

/// The reason why nothing is announced, if there is one.
#[derive(Debug, Default)]
pub struct Vacancy {
    /// The reason, and when it is said.
    said: Option<(String, Reminders)>,
}

impl Vacancy {
    /// Records the reason as of now; `None` if there are services.
    pub fn set(&mut self, reason: Option<String>, now: Instant) {
        if self.reason() != reason.as_deref() {
            self.said = reason.map(|reason| (reason, Reminders::at_once(now)));
        }
    }

    /// Returns the reason.
    pub fn reason(&self) -> Option<&str> {
        self.said.as_ref().map(|(reason, _)| reason.as_str())
    }

    /// Returns when there is something to say.
    pub fn due_at(&self) -> Option<Instant> {
        self.said.as_ref().map(|(_, reminders)| reminders.next())
    }

    /// Returns what to say now, if it is time.
    pub fn take_due(&mut self, now: Instant) -> Option<&str> {
        let (reason, reminders) = self.said.as_mut()?;
        reminders.take_due(now).then_some(reason)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
