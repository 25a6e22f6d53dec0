//! What time it is. Everything that decides takes the time as an argument instead of asking here.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The present moment.
pub fn now() -> Instant {
    Instant::now()
}

/// The present moment in seconds since 1970, for records that outlive the process; 0 where the clock is before that.
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Waits until then; for ever if there is no such moment.
pub async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
