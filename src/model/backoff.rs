//! Delays before the next attempt: doubling, capped, jittered. Never waits and never draws random numbers.

use std::time::Duration;

/// The longest pause before the first retry.
const FIRST: Duration = Duration::from_millis(100);

/// The longest pause of all, unless set otherwise.
const LONGEST: Duration = Duration::from_secs(10);

/// Count of failures in a row.
#[derive(Clone, Debug)]
pub struct Backoff {
    failures: u32,
    longest: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff::up_to(LONGEST)
    }
}

impl Backoff {
    /// Returns a backoff with pauses of at most `longest`.
    pub fn up_to(longest: Duration) -> Backoff {
        Backoff { failures: 0, longest }
    }

    /// Returns the pause after one more failure: between half and all of a limit that doubles from 100 ms to the longest
    /// (10 s). `random` is from 0 up to 1.
    pub fn next_delay(&mut self, random: f64) -> Duration {
        let limit = doubled(FIRST, self.failures, self.longest);
        self.failures = self.failures.saturating_add(1);
        limit.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }

    /// Returns the pause after the loss of something that many others have lost at the same moment: at least that of
    /// `next_delay`, and anywhere up to `spread`, unless the longest pause is shorter. `random` is from 0 up to 1.
    pub fn next_delay_within(&mut self, spread: Duration, random: f64) -> Duration {
        let spread = spread.min(self.longest).mul_f64(random.clamp(0.0, 1.0));
        self.next_delay(random).max(spread)
    }

    /// Resets the pause to the first one after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Returns `first`, doubled for each failure up to the longest.
pub fn doubled(first: Duration, failures: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << failures.min(16)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_start_again() {
        let mut backoff = Backoff::default();
        let longest: Vec<u128> = (0..9).map(|_| backoff.next_delay(1.0).as_millis()).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        for _ in 0..100 {
            assert_eq!(backoff.next_delay(0.0), LONGEST / 2);
        }
        backoff.reset();
        assert_eq!(backoff.next_delay(0.0), FIRST / 2);
        let mut hasty = Backoff::up_to(Duration::from_millis(300));
        let longest: Vec<u128> = (0..4).map(|_| hasty.next_delay(1.0).as_millis()).collect();
        assert_eq!(longest, [100, 200, 300, 300]);
    }

    #[test]
    fn a_loss_that_many_share_is_spread_and_counts_as_a_failure() {
        let spread = Duration::from_secs(2);
        let first = |random: f64| Backoff::default().next_delay_within(spread, random).as_millis();
        assert_eq!([0.0, 0.02, 0.25, 0.5, 1.0].map(first), [50, 51, 500, 1000, 2000]);
        let mut backoff = Backoff::default();
        let longest: Vec<u128> = (0..7).map(|_| backoff.next_delay_within(spread, 1.0).as_millis()).collect();
        assert_eq!(
            longest,
            [2000, 2000, 2000, 2000, 2000, 3200, 6400],
            "one that is lost again and again waits longer"
        );
        let mut hasty = Backoff::up_to(Duration::from_millis(300));
        assert_eq!(hasty.next_delay_within(spread, 1.0), Duration::from_millis(300));
    }
}
