//! The wait of a resource for its keys (`wait_for`), and its end. Pure: the time and missing keys go in, a decision comes
//! out. A resource that has gone live once does not wait again.

use std::time::{Duration, Instant};

/// The progress of a resource's wait for its keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// Not decided yet.
    #[default]
    NotBegun,
    /// It waits until this time at the latest.
    Until(Instant),
    /// It has gone live, or has given up.
    Over,
}

/// The decision whether a resource may go live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitDecision {
    /// It may.
    Ready,
    /// It may, although keys are missing: it has waited long enough. Decided once.
    GivenUp,
    /// It may not yet.
    Waits {
        /// Whether the wait has just begun.
        is_new: bool,
    },
}

impl Wait {
    /// Decides for a resource that waits at most `timeout`. `any_missing`: keys of its `wait_for` are missing.
    pub fn decide(&mut self, timeout: Duration, any_missing: bool, now: Instant) -> WaitDecision {
        let is_new = *self == Wait::NotBegun;
        let until = match *self {
            Wait::Over => return WaitDecision::Ready,
            Wait::Until(at) => at,
            Wait::NotBegun => now + timeout,
        };
        if any_missing && now < until {
            *self = Wait::Until(until);
            return WaitDecision::Waits { is_new };
        }
        *self = Wait::Over;
        if any_missing { WaitDecision::GivenUp } else { WaitDecision::Ready }
    }

    /// Returns when the wait ends, if it goes on.
    pub fn until(self) -> Option<Instant> {
        if let Wait::Until(at) = self { Some(at) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_waits_for_its_keys_or_its_time_and_never_again() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let timeout = Duration::from_secs(10);
        let mut wait = Wait::default();
        assert_eq!(wait.decide(timeout, true, at(0)), WaitDecision::Waits { is_new: true });
        assert_eq!(wait.decide(timeout, true, at(9)), WaitDecision::Waits { is_new: false });
        assert_eq!(wait.until(), Some(at(10)), "from the first time on");
        assert_eq!(wait.decide(timeout, true, at(10)), WaitDecision::GivenUp);
        assert_eq!(wait.decide(timeout, true, at(11)), WaitDecision::Ready);
        assert_eq!(wait.until(), None);
        let mut wait = Wait::default();
        assert_eq!(wait.decide(timeout, true, at(20)), WaitDecision::Waits { is_new: true });
        assert_eq!(wait.decide(timeout, false, at(21)), WaitDecision::Ready);
        assert_eq!(wait.decide(timeout, true, at(22)), WaitDecision::Ready, "it has gone live");
    }
}
