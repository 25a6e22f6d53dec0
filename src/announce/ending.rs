//! The order of the end: announce draining, wait until the last requests are over, delete the keys. Pure: events and the
//! time go in. Each step has a deadline, and a further stop request ends the present step.

use std::time::{Duration, Instant};

/// Time limit for etcd to delete all keys.
pub const GOODBYE: Duration = Duration::from_secs(5);

/// The phase of the announcer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No end was requested.
    Announcing,
    /// No new requests are wanted; the last ones may take until this time.
    Draining(Instant),
    /// All keys are being deleted; etcd may take until this time.
    Leaving(Instant),
    /// Nothing is left to do.
    Over,
}

impl Phase {
    /// Returns the phase after a stop request; `drain` limits the time of the last requests if there is a server for them.
    pub fn stop(self, drain: Option<Duration>, now: Instant) -> Phase {
        match (self, drain) {
            (Phase::Announcing, Some(limit)) => Phase::Draining(now + limit),
            (Phase::Announcing, None) | (Phase::Draining(_), _) => Phase::Leaving(now + GOODBYE),
            (Phase::Leaving(_) | Phase::Over, _) => Phase::Over,
        }
    }

    /// Returns the phase if nothing can serve a request any more, or the keys belong to somebody else: no draining.
    pub fn leave(self, now: Instant) -> Phase {
        match self {
            Phase::Announcing | Phase::Draining(_) => Phase::Leaving(now + GOODBYE),
            Phase::Leaving(_) | Phase::Over => self,
        }
    }

    /// Returns the phase at this time and with this progress. If draining is over and no key is left in etcd (layouts that
    /// cannot say "draining" have deleted theirs before), there is nothing to wait for: it is the last phase at once.
    pub fn proceed(self, drained: bool, nothing_left: bool, now: Instant) -> Phase {
        match self {
            Phase::Draining(until) if (drained || now >= until) && nothing_left => Phase::Over,
            Phase::Draining(until) if drained || now >= until => Phase::Leaving(now + GOODBYE),
            Phase::Leaving(until) if nothing_left || now >= until => Phase::Over,
            _ => self,
        }
    }

    /// Returns the deadline of the present phase.
    pub fn deadline(self) -> Option<Instant> {
        match self {
            Phase::Draining(until) | Phase::Leaving(until) => Some(until),
            Phase::Announcing | Phase::Over => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_ends_by_itself_in_time_or_when_asked_again() {
        let now = Instant::now();
        let later = now + Duration::from_secs(3);
        let drain = Some(Duration::from_secs(3));
        let (draining, leaving) = (Phase::Draining(later), Phase::Leaving(now + GOODBYE));
        for (stage, expected) in [
            (Phase::Announcing.stop(drain, now), draining),
            (Phase::Announcing.stop(None, now), leaving),
            (draining.stop(drain, now), leaving),
            (leaving.stop(drain, now), Phase::Over),
            (Phase::Announcing.leave(now), leaving),
            (draining.leave(now), leaving),
            (leaving.leave(later), leaving),
            (Phase::Announcing.proceed(true, true, later), Phase::Announcing),
            (draining.proceed(false, true, now), draining),
            (draining.proceed(false, true, later), Phase::Over),
            (draining.proceed(true, false, now), leaving),
            (draining.proceed(true, true, now), Phase::Over),
            (draining.proceed(false, false, later), Phase::Leaving(later + GOODBYE)),
            (leaving.proceed(true, false, now), leaving),
            (leaving.proceed(false, true, now), Phase::Over),
            (leaving.proceed(false, false, now + GOODBYE), Phase::Over),
        ] {
            assert_eq!(stage, expected);
        }
        assert_eq!((draining.deadline(), Phase::Announcing.deadline()), (Some(later), None));
    }
}
