//! Endpoints that the set of a name has lost, as long as connections to them may be left. Pure.

use std::net::SocketAddr;
use std::time::Instant;

/// Most addresses of a name that are remembered until they have drained; then the oldest are forgotten.
pub(super) const MAX_LOST: usize = 1024;

/// Endpoints that a set has lost.
#[derive(Debug, Default)]
pub(super) struct LostEndpoints {
    /// Time of the last loss, as long as lines that nginx has read may name one.
    pub(super) at: Option<Instant>,
    /// Those that have not drained, the latest last.
    pub(super) undrained: Vec<SocketAddr>,
}

impl LostEndpoints {
    /// Adds some that were lost.
    pub(super) fn add(&mut self, addresses: &[SocketAddr]) {
        self.undrained.retain(|known| !addresses.contains(known));
        self.undrained.extend(addresses);
        self.undrained.drain(..self.undrained.len().saturating_sub(MAX_LOST));
    }
}
