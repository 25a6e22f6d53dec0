//! What time it is, and waiting for a later one. Everything that decides takes the time as an argument instead of asking here.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Zoned;

/// The present moment.
pub fn now() -> Instant {
    Instant::now()
}

/// The current time, in the system's time zone.
pub fn in_time_zone() -> Zoned {
    Zoned::now()
}

/// Waits until then; for ever without one.
pub async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Returns how long ago `start` was; zero if it is still to come.
pub fn since(start: Instant) -> Duration {
    start.elapsed()
}

/// The present moment in seconds since 1970, for records that outlive the process; 0 where the clock is before that.
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
