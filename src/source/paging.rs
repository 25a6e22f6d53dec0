//! Decides the number of keys to ask for at a time. etcd limits a page by keys and not by bytes, so the limit follows from
//! the bytes of earlier pages: 100,000 small keys need few pages, and values of 1 MiB never cause a message near the
//! limits. Pure.

/// Target size of a page in bytes of keys and values.
const PAGE_BYTES: usize = 2 << 20;

/// Number of keys of the first page. If their values are large, the first four bytes of the answer say that it does not fit.
const FIRST_LIMIT: i64 = 32;

const MAX_LIMIT: i64 = 20_000;

/// Maximum factor by which a page may grow over the one before it.
const GROWTH: i64 = 16;

/// The limit of the next page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageLimit(i64);

impl PageLimit {
    /// Returns the limit of the first page.
    pub(crate) fn first() -> PageLimit {
        PageLimit(FIRST_LIMIT)
    }

    /// Returns the number of keys to ask for.
    pub(crate) fn keys(self) -> i64 {
        self.0
    }

    /// Returns the limit after a page with this many keys and bytes.
    pub(crate) fn after(self, keys: usize, bytes: usize) -> PageLimit {
        let bytes_per_key = (bytes / keys.max(1)).max(1);
        let fitting = i64::try_from(PAGE_BYTES / bytes_per_key).unwrap_or(MAX_LIMIT);
        PageLimit(fitting.min(self.0 * GROWTH).clamp(1, MAX_LIMIT))
    }

    /// Returns the limit after a page that was too large for us; `None` if it had a single key.
    pub(crate) fn after_too_large(self) -> Option<PageLimit> {
        (self.0 > 1).then_some(PageLimit(self.0 / 4).max(PageLimit(1)))
    }

    fn max(self, other: PageLimit) -> PageLimit {
        PageLimit(self.0.max(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes_per_key: usize, expected: &[i64]) {
        let mut limit = PageLimit::first();
        let mut limits = Vec::new();
        for _ in expected {
            limits.push(limit.keys());
            let keys = usize::try_from(limit.keys()).unwrap();
            limit = limit.after(keys, keys * bytes_per_key);
        }
        assert_eq!(limits, expected, "{bytes_per_key} bytes per key");
    }

    #[test]
    fn pages_grow_to_about_two_mebibytes() {
        check(100, &[32, 512, 8192, 20_000, 20_000]);
        check(1_000, &[32, 512, 2097, 2097]);
        check(1 << 20, &[32, 2, 2]);
        check(8 << 20, &[32, 1, 1]);
    }

    #[test]
    fn a_page_that_is_too_large_shrinks_until_it_has_one_key() {
        let mut limits = vec![32];
        let mut limit = PageLimit::first();
        while let Some(smaller) = limit.after_too_large() {
            limits.push(smaller.keys());
            limit = smaller;
        }
        assert_eq!(limits, [32, 8, 2, 1]);
    }
}
