//! What time it is. Everything that decides takes the time as an argument instead of asking here.

use std::time::Instant;

/// The present moment.
pub fn now() -> Instant {
    Instant::now()
}
