//! Histograms of durations with Prometheus' buckets. Pure.

use std::time::Duration;

/// Upper bounds in seconds: Prometheus' defaults, which confd's dashboards expect.
pub const BOUNDS_SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Counts of durations by bucket, with their sum.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    counts: [u64; BOUNDS_SECONDS.len()],
    sum_seconds: f64,
    count: u64,
}

impl Histogram {
    /// Records one duration.
    pub fn observe(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        if let Some(bucket) = BOUNDS_SECONDS.iter().position(|bound| seconds <= *bound) {
            self.counts[bucket] += 1;
        }
        self.sum_seconds += seconds;
        self.count += 1;
    }

    /// Returns each bound with the number of durations up to it.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        BOUNDS_SECONDS.iter().zip(&self.counts).scan(0, |total, (bound, count)| {
            *total += count;
            Some((*bound, *total))
        })
    }

    /// Returns the sum of all durations, in seconds.
    pub fn sum_seconds(&self) -> f64 {
        self.sum_seconds
    }

    /// Returns the number of durations.
    pub fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_longer_durations_count_in_the_total() {
        let mut histogram = Histogram::default();
        for millis in [5, 6, 300, 20_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let seen: Vec<(f64, u64)> = histogram.cumulative().collect();
        assert_eq!(seen[0], (0.005, 1));
        assert_eq!(seen[1], (0.01, 2));
        assert_eq!(seen[6], (0.5, 3));
        assert_eq!(seen[10], (10.0, 3));
        assert_eq!(histogram.count(), 4);
        assert!((histogram.sum_seconds() - 20.311).abs() < 1e-9);
    }
}
