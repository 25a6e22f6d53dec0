//! Counts what is read of a store and refuses it past the bounds of the settings: whoever writes to the store, or answers in
//! its place, decides how much comes. Pure.

use crate::model::store::StoreLimits;

/// Keys and bytes read so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreTally {
    limits: StoreLimits,
    keys: usize,
    bytes: usize,
}

impl StoreTally {
    /// Returns a tally of nothing.
    pub(crate) fn new(limits: StoreLimits) -> StoreTally {
        StoreTally { limits, keys: 0, bytes: 0 }
    }

    /// Returns the bounds.
    pub(crate) fn limits(&self) -> &StoreLimits {
        &self.limits
    }

    /// Returns the number of keys, and of bytes.
    pub(crate) fn so_far(&self) -> (usize, usize) {
        (self.keys, self.bytes)
    }

    /// Adds keys, and the bytes that are kept of them and of their values.
    ///
    /// # Errors
    /// A phrase for people: which bound is passed, by how much, and the setting to raise.
    pub(crate) fn add(&mut self, keys: usize, bytes: usize) -> Result<(), String> {
        self.keys = self.keys.saturating_add(keys);
        self.bytes = self.bytes.saturating_add(bytes);
        let StoreLimits { keys: max_keys, bytes: max_bytes, .. } = self.limits;
        if self.keys > max_keys {
            let keys = self.keys;
            return Err(format!(
                "the store has too many keys: {keys} were read, and {max_keys} are allowed (hint: read fewer, or raise --max-store-keys)"
            ));
        }
        if self.bytes > max_bytes {
            let (bytes, max_mib) = (self.bytes, max_bytes >> 20);
            return Err(format!(
                "the store is too large: its keys and values have {bytes} bytes so far, and {max_mib} MiB are allowed (hint: read \
                 fewer, or raise --max-store-mib)"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_is_passed_is_named_with_its_setting_and_the_number() {
        let mut tally = StoreTally::new(StoreLimits { keys: 3, bytes: 2 << 20, value_bytes: 1 });
        assert_eq!(tally.add(3, 2 << 20), Ok(()));
        let problem = { tally }.add(1, 0).unwrap_err();
        assert!(
            problem.contains("4 were read, and 3 are allowed") && problem.contains("--max-store-keys"),
            "{problem}"
        );
        let problem = tally.add(0, 1).unwrap_err();
        assert!(
            problem.contains("2097153 bytes so far, and 2 MiB") && problem.contains("--max-store-mib"),
            "{problem}"
        );
    }
}
