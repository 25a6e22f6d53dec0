//! The resources whose changes reach nginx by reloads because it does not ask for their endpoints, and when that is tried again. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::backoff::doubled;

/// Longest pause before the first further attempt. It costs up to three reloads, and changes wait for half a minute.
const FIRST_PAUSE: Duration = Duration::from_secs(15 * 60);
/// Longest pause of all.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// The resources that were given up.
#[derive(Debug, Default)]
pub(super) struct GivenUp {
    by_resource: BTreeMap<Arc<str>, GivenUpResource>,
}

#[derive(Debug)]
struct GivenUpResource {
    reason: String,
    /// When to try names again; `None` if only another conf.d can help.
    again_at: Option<Instant>,
    /// Attempts that have failed in a row.
    failures: u32,
    /// Whether names are tried again by now.
    is_tried: bool,
}

impl GivenUp {
    /// Records a reason that only another conf.d can remove. Returns whether it is new.
    pub(super) fn for_good(&mut self, resource: &Arc<str>, reason: &str) -> bool {
        let attempt = GivenUpResource { reason: reason.to_owned(), again_at: None, failures: 0, is_tried: false };
        self.by_resource.insert(Arc::clone(resource), attempt).is_none_or(|before| before.is_tried)
    }

    /// Records a reason that may pass. Returns the pause until names are tried again, `None` if the resource was given up before.
    /// `random` is from 0 up to 1.
    pub(super) fn for_a_while(
        &mut self,
        resource: &Arc<str>,
        reason: &str,
        now: Instant,
        random: f64,
    ) -> Option<Duration> {
        let before = self.by_resource.get(resource);
        if before.is_some_and(|before| !before.is_tried) {
            return None;
        }
        // What has worked for longer than the pause was a success.
        let limit = |failures| doubled(FIRST_PAUSE, failures, LONGEST_PAUSE);
        let has_failed =
            |before: &&GivenUpResource| before.again_at.is_some_and(|at| now < at + limit(before.failures));
        let failures = before.filter(has_failed).map_or(0, |before| before.failures + 1);
        let pause = limit(failures).mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
        let attempt =
            GivenUpResource { reason: reason.to_owned(), again_at: Some(now + pause), failures, is_tried: false };
        self.by_resource.insert(Arc::clone(resource), attempt);
        Some(pause)
    }

    /// Returns why a resource goes by reloads.
    pub(super) fn reason(&self, resource: &str) -> Option<&str> {
        self.by_resource.get(resource).filter(|attempt| !attempt.is_tried).map(|attempt| &*attempt.reason)
    }

    /// Lets those try names again whose pause is over.
    pub(super) fn try_due(&mut self, now: Instant) {
        for attempt in self.by_resource.values_mut() {
            attempt.is_tried |= attempt.again_at.is_some_and(|at| at <= now);
        }
    }

    /// Returns when the next pause is over.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let waiting = self.by_resource.values().filter(|attempt| !attempt.is_tried);
        waiting.filter_map(|attempt| attempt.again_at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tried_again_less_and_less_often() {
        let (web, mut now, mut given_up) = (Arc::from("web.toml"), Instant::now(), GivenUp::default());
        let mut minutes = Vec::new();
        for _ in 0..9 {
            let pause = given_up.for_a_while(&web, "silent", now, 1.0).unwrap();
            minutes.push(pause.as_secs() / 60);
            assert_eq!(given_up.for_a_while(&web, "silent", now, 1.0), None, "once");
            assert_eq!((given_up.reason("web.toml"), given_up.wake_at()), (Some("silent"), Some(now + pause)));
            given_up.try_due(now + pause - Duration::from_nanos(1));
            assert_eq!(given_up.reason("web.toml"), Some("silent"));
            now += pause;
            given_up.try_due(now);
            assert_eq!((given_up.reason("web.toml"), given_up.wake_at()), (None, None));
            now += Duration::from_secs(30);
        }
        assert_eq!(minutes, [15, 30, 60, 120, 240, 480, 960, 1440, 1440]);
        now += LONGEST_PAUSE;
        assert_eq!(given_up.for_a_while(&web, "silent", now, 0.0), Some(FIRST_PAUSE / 2), "it has worked for a day");
    }

    #[test]
    fn what_only_another_conf_d_removes_stays() {
        let (web, now, mut given_up) = (Arc::from("web.toml"), Instant::now(), GivenUp::default());
        assert!(given_up.for_good(&web, "two") && !given_up.for_good(&web, "two"));
        given_up.try_due(now + 2 * LONGEST_PAUSE);
        assert_eq!((given_up.reason("web.toml"), given_up.wake_at()), (Some("two"), None));
    }
}
