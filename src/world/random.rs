//! Randomness to spread retries over time. Never for secrets.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Returns a number from 0 up to but not including 1.
pub fn fraction() -> f64 {
    // Each RandomState has its own keys, and the hash of nothing under new keys is random enough for jitter.
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_spread_over_the_unit_interval() {
        let drawn: Vec<f64> = (0..1000).map(|_| fraction()).collect();
        assert!(drawn.iter().all(|x| (0.0..1.0).contains(x)));
        assert!(drawn.iter().any(|x| *x < 0.1) && drawn.iter().any(|x| *x > 0.9));
    }
}
