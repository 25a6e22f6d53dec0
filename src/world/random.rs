//! Randomness to spread retries over time and agents over the members of a cluster. Never for secrets.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Returns a number from 0 up to but not including 1.
pub fn fraction() -> f64 {
    // Each RandomState has its own keys, and the hash of nothing under new keys is random enough for jitter.
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1u64 << 53) as f64
}

/// Puts `items` in a random order, each order as likely as any other. `random` returns numbers from 0 up to but not including 1; if
/// it always returns 0, the order stays.
pub fn shuffle<T>(items: &mut [T], mut random: impl FnMut() -> f64) {
    for at in 0..items.len() {
        let left = items.len() - at;
        items.swap(at, at + ((random() * left as f64) as usize).min(left - 1));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn fractions_are_spread_over_the_unit_interval() {
        let drawn: Vec<f64> = (0..1000).map(|_| fraction()).collect();
        assert!(drawn.iter().all(|x| (0.0..1.0).contains(x)));
        assert!(drawn.iter().any(|x| *x < 0.1) && drawn.iter().any(|x| *x > 0.9));
    }

    #[test]
    fn every_order_is_as_likely_as_any_other() {
        let mut orders: BTreeMap<[u8; 3], u32> = BTreeMap::new();
        for _ in 0..6000 {
            let mut items = [1, 2, 3];
            shuffle(&mut items, fraction);
            *orders.entry(items).or_default() += 1;
        }
        assert_eq!(orders.len(), 6, "{orders:?}");
        // 1000 each, with a standard deviation of 29.
        assert!(orders.values().all(|count| (800..1200).contains(count)), "{orders:?}");
    }

    #[test]
    fn an_order_follows_from_the_numbers_drawn() {
        for (random, expected) in [(0.0, "abcd"), (0.5, "cadb"), (0.999, "dabc"), (1.0, "dabc")] {
            let mut items = ['a', 'b', 'c', 'd'];
            shuffle(&mut items, || random);
            assert_eq!(items.iter().collect::<String>(), expected, "random {random}");
        }
        shuffle::<u8>(&mut [], || 0.5);
    }
}
