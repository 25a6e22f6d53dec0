//! Decides whether a watch delivers too many events of keys outside the ranges. Pure.

use std::time::{Duration, Instant};

/// Time over which traffic is averaged.
const WINDOW: Duration = Duration::from_secs(10);

/// Foreign events of one window that cost us about one per cent of a core.
const EVENTS_PER_WINDOW: usize = 5_000;

/// Foreign bytes of one window: 2 MiB per second.
const BYTES_PER_WINDOW: usize = 20 << 20;

/// A counter of the events that a watch delivers for keys outside the ranges.
#[derive(Debug)]
pub(crate) struct Noise {
    since: Instant,
    events: usize,
    bytes: usize,
}

impl Noise {
    /// Starts to count at `now`.
    pub(crate) fn new(now: Instant) -> Noise {
        Noise { since: now, events: 0, bytes: 0 }
    }

    /// Counts one foreign event.
    pub(crate) fn count(&mut self, bytes: usize) {
        self.events += 1;
        self.bytes += bytes;
    }

    /// Returns whether the last window had too many. A call at the end of a window starts the next one.
    pub(crate) fn is_too_loud(&mut self, now: Instant) -> bool {
        if now.duration_since(self.since) < WINDOW {
            return false;
        }
        let ended = std::mem::replace(self, Noise::new(now));
        // A window that ended late counts with its real length.
        let windows = now.duration_since(ended.since).as_secs_f64() / WINDOW.as_secs_f64();
        ended.events as f64 > windows * EVENTS_PER_WINDOW as f64
            || ended.bytes as f64 > windows * BYTES_PER_WINDOW as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(events: usize, bytes: usize, after: Duration, expected: bool) {
        let start = Instant::now();
        let mut noise = Noise::new(start);
        for _ in 0..events {
            noise.count(bytes);
        }
        assert!(!noise.is_too_loud(start + WINDOW / 2), "a window must end before it is judged");
        assert_eq!(noise.is_too_loud(start + after), expected, "{events} events of {bytes} bytes in {after:?}");
        assert!(!noise.is_too_loud(start + after + WINDOW), "a new window begins quiet");
    }

    #[test]
    fn events_and_bytes_are_averaged_over_a_window() {
        check(5_000, 100, WINDOW, false);
        check(5_001, 100, WINDOW, true);
        check(5_001, 100, 2 * WINDOW, false);
        check(20, 1 << 20, WINDOW, false);
        check(21, 1 << 20, WINDOW, true);
    }
}
