//! What a person at a terminal is shown of work that takes long, and when. Pure: never writes, and never looks whether there is a
//! terminal.

use std::time::{Duration, Instant};

/// Work that is over sooner is not shown.
const PATIENCE: Duration = Duration::from_secs(1);
/// Shortest time between two lines.
const PAUSE: Duration = Duration::from_millis(200);

/// Returns to the first column of the line and erases it: ECMA-48, CR and EL.
pub const ERASE_LINE: &str = "\r\u{1b}[2K";

/// The moments at which a piece of work shows its progress.
#[derive(Clone, Copy, Debug)]
pub struct ProgressPace(Instant);

impl ProgressPace {
    /// Returns the pace of work that begins now.
    pub fn start(now: Instant) -> ProgressPace {
        ProgressPace(now + PATIENCE)
    }

    /// Returns whether to show something now; then nothing more is due for a while.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let is_due = now >= self.0;
        if is_due {
            self.0 = now + PAUSE;
        }
        is_due
    }
}

/// Returns how much of a store has been read.
pub fn read_so_far(keys: usize, bytes: usize) -> String {
    format!("reading the store: {keys} keys, {} MiB so far", bytes >> 20)
}

/// Returns how many resources of a pass have been rendered.
pub fn rendered(done: usize, all: usize) -> String {
    format!("rendering: {done} of {all} resources")
}

/// Returns how many resources have been checked.
pub fn checked(done: usize, all: usize) -> String {
    format!("checking: {done} of {all} resources")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_work_shows_nothing_and_long_work_five_lines_a_second() {
        let start = Instant::now();
        let mut pace = ProgressPace::start(start);
        let shown: Vec<u64> =
            (0..=2000).step_by(10).filter(|at| pace.is_due(start + Duration::from_millis(*at))).collect();
        assert_eq!(shown, [1000, 1200, 1400, 1600, 1800, 2000]);
        assert!(pace.is_due(start + Duration::from_secs(9)), "after a pause at once");
    }

    #[test]
    fn lines_are_short() {
        assert_eq!(read_so_far(123_456, 46 << 20), "reading the store: 123456 keys, 46 MiB so far");
        assert_eq!(checked(12, 500), "checking: 12 of 500 resources");
        for line in [read_so_far(99_999_999, 1 << 40), checked(99_999, 99_999)] {
            assert!(line.len() < 80, "it would wrap, and only its last part would be erased: {line}");
        }
    }
}
