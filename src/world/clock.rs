//! Reads the clock and waits. Never decides: code that decides takes the time as an argument instead of calling this module.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Zoned;
use rustix::time::{ClockId, clock_gettime};

/// Returns the current instant.
pub fn now() -> Instant {
    Instant::now()
}

/// Returns the current time in the system's time zone.
pub fn in_time_zone() -> Zoned {
    Zoned::now()
}

/// Returns the time since the machine started, in the clock ticks of `Process::start_time`.
pub fn ticks_since_boot() -> u64 {
    let (since, per_second) = (clock_gettime(ClockId::Boottime), ticks_per_second());
    let of_nanoseconds = u64::try_from(since.tv_nsec).unwrap_or(0) * per_second / 1_000_000_000;
    u64::try_from(since.tv_sec).unwrap_or(0) * per_second + of_nanoseconds
}

/// Returns how many of these clock ticks a second has: 100, practically everywhere.
pub fn ticks_per_second() -> u64 {
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten();
    ticks.and_then(|ticks| u64::try_from(ticks).ok()).filter(|ticks| *ticks > 0).unwrap_or(100)
}

/// Returns the processor's time that this thread has used, to measure what something costs however busy the machine is.
pub fn thread_time() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(used.tv_sec).unwrap_or(0), u32::try_from(used.tv_nsec).unwrap_or(0))
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
    unix_time().as_secs()
}

/// Returns the current time since 1970; zero if the clock is before that.
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
