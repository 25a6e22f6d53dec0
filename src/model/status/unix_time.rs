//! A moment in whole seconds, written as RFC 3339 has it. Pure.

use std::fmt;
use std::time::{Duration, Instant};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment, in seconds since 1970. In JSON `2025-01-14T10:30:00Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// Returns the moment `at`, as seen at the moment `now`, which is `unix_now` after 1970.
    pub fn of(at: Instant, now: Instant, unix_now: Duration) -> UnixTime {
        UnixTime(match at.checked_duration_since(now) {
            Some(ahead) => (unix_now + ahead).as_secs(),
            None => unix_now.saturating_sub(now.saturating_duration_since(at)).as_secs(),
        })
    }

    /// Returns the seconds from `earlier` until this moment; 0 if that is later.
    pub fn seconds_since(self, earlier: UnixTime) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = i64::try_from(self.0).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        time.map_or(Ok(()), |time| write!(f, "{time}"))
    }
}

impl Serialize for UnixTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UnixTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<UnixTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(UnixTime(u64::try_from(time.as_second()).unwrap_or(0)))
    }
}
