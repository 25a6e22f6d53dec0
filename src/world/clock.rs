//! Reads the clock and waits. Never decides: code that decides takes the time as an argument instead of calling this module.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Zoned;

/// Returns the current instant.
pub fn now() -> Instant {
    Instant::now()
}

/// Returns the current time in the system's time zone.
pub fn in_time_zone() -> Zoned {
    Zoned::now()
}

/// Waits until this instant; waits forever if there is none.
pub async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Returns the time since `start`; zero if `start` is in the future.
pub fn since(start: Instant) -> Duration {
    start.elapsed()
}

/// Returns the current time in seconds since 1970, for records that outlive the process; 0 if the clock is before that.
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
