//! Decides how long an answer of a program is cached. Never runs a program.

use std::time::{Duration, Instant};

use super::host::FileStamp;

/// A program that fails after this time is not asked again at once: whoever asks waits for it.
const SLOW: Duration = Duration::from_millis(100);
/// Time for which such a failure is believed.
const FAILURE_LASTS: Duration = Duration::from_secs(10);

/// An answer of a program.
#[derive(Debug)]
pub struct ProgramAnswer<T> {
    /// The program's file by then.
    stamp: Option<FileStamp>,
    /// The end of a slow failure; `None` for a success, which is valid as long as the file stays the same.
    until: Option<Instant>,
    answer: T,
}

impl<T: Clone> ProgramAnswer<T> {
    /// Returns the answer of a run of the program with this file; `None` if it is not worth keeping: it has failed quickly.
    pub fn new(
        stamp: Option<FileStamp>,
        answer: T,
        succeeded: bool,
        (started, now): (Instant, Instant),
    ) -> Option<ProgramAnswer<T>> {
        let is_kept = succeeded || now.duration_since(started) >= SLOW;
        is_kept.then(|| ProgramAnswer { stamp, until: (!succeeded).then(|| now + FAILURE_LASTS), answer })
    }

    /// Returns the answer, if it is still valid for the program's present file.
    pub fn get(&self, stamp: Option<&FileStamp>, now: Instant) -> Option<T> {
        let is_valid = self.stamp.as_ref() == stamp && self.until.is_none_or(|until| now < until);
        is_valid.then(|| self.answer.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_lasts_a_slow_failure_for_a_while_and_a_quick_one_not_at_all() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let success = ProgramAnswer::new(None, 1, true, (start, start)).unwrap();
        assert_eq!(success.get(None, at(1000)), Some(1));
        let failure = ProgramAnswer::new(None, 2, false, (start, at(2))).unwrap();
        assert_eq!([failure.get(None, at(11)), failure.get(None, at(12))], [Some(2), None]);
        assert!(ProgramAnswer::new(None, 3, false, (start, start)).is_none());
    }
}
