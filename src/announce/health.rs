//! Rise and fall: how many checks in a row change a backend's health, and when the next check is due. Pure: results, the
//! time and randomness go in. Never runs a check.

use std::time::{Duration, Instant};

use crate::model::service::HealthRules;

/// Pause between checks while a backend is starting or has begun to pass: shorter than a whole interval.
const HASTY: Duration = Duration::from_secs(1);
/// Time of failures after which it is said once more that a backend is not announced.
const FIRST_REMINDER: Duration = Duration::from_secs(60);

/// Longest time that a check is put off so that it starts together with others.
const WIDEST_SLOT: Duration = Duration::from_millis(100);

/// The moments at which checks start. Waking up costs several times as much as a check, so checks that are due within a slot
/// (a twentieth of the interval, at most 100 ms) start together.
#[derive(Clone, Copy, Debug)]
pub struct Slots {
    since: Instant,
    width: Duration,
}

impl Slots {
    /// Returns the slots of a service with this interval; `since` is the same for all services that share slots.
    pub fn new(since: Instant, interval: Duration) -> Slots {
        Slots { since, width: (interval / 20).min(WIDEST_SLOT) }
    }

    /// Returns the first slot that is not before `at`.
    pub fn at(&self, at: Instant) -> Instant {
        let width = self.width.as_nanos().max(1);
        let beyond = at.saturating_duration_since(self.since).as_nanos() % width;
        let missing = if beyond == 0 { 0 } else { width - beyond };
        at + Duration::from_nanos(u64::try_from(missing).unwrap_or(0))
    }
}

/// The effect of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthStep {
    /// No change.
    Same,
    /// The first failure since the last pass or the start; not enough for a change.
    Ailing,
    /// Enough checks have passed in a row: announce the backend.
    Up,
    /// Enough checks have failed in a row: withdraw the backend.
    Down,
    /// Not announced for this long, because its checks go on failing: said after a minute, then each time twice as late.
    StillDown(Duration),
}

/// The health of one backend.
#[derive(Clone, Debug)]
pub struct Rating {
    rules: HealthRules,
    healthy: bool,
    /// Whether it was healthy before: then the grace period of the start is over.
    was_healthy: bool,
    /// Number of checks in a row that contradict `healthy`.
    against: u32,
    /// Start of the failures since it is not announced, and the time of the next reminder.
    down: Option<(Instant, Instant)>,
    /// Whether the last check failed; `None` before the first.
    failed: Option<bool>,
    since: Instant,
}

impl Rating {
    /// Returns the rating of a backend that starts now, or, if `healthy`, continues under new rules.
    pub fn new(rules: HealthRules, healthy: bool, now: Instant) -> Rating {
        Rating { rules, healthy, was_healthy: healthy, against: 0, down: None, failed: None, since: now }
    }

    /// Returns whether failed checks are still expected.
    pub fn is_starting(&self, now: Instant) -> bool {
        !self.was_healthy && now.duration_since(self.since) < self.rules.start_grace
    }

    /// Records the result of a check.
    pub fn take(&mut self, passed: bool, now: Instant) -> HealthStep {
        let first_failure = !passed && self.failed != Some(true);
        self.failed = Some(!passed);
        if passed == self.healthy {
            self.against = 0;
            if let Some(step) = self.still_down(passed, now).filter(|_| !self.is_starting(now)) {
                return step;
            }
            return if first_failure && !self.is_starting(now) { HealthStep::Ailing } else { HealthStep::Same };
        }
        self.against += 1;
        let enough = if passed { self.rules.rise } else { self.rules.fall };
        if self.against < enough {
            return if first_failure { HealthStep::Ailing } else { HealthStep::Same };
        }
        self.against = 0;
        self.healthy = passed;
        self.was_healthy |= passed;
        self.down = (!passed).then_some((now, now + FIRST_REMINDER));
        if passed { HealthStep::Up } else { HealthStep::Down }
    }

    /// Returns whether it is time to say once more that the backend is not announced.
    fn still_down(&mut self, passed: bool, now: Instant) -> Option<HealthStep> {
        if passed {
            self.down = None;
            return None;
        }
        let (since, remind_at) = *self.down.get_or_insert((now, now + FIRST_REMINDER));
        let lasted = now.duration_since(since);
        (now >= remind_at).then(|| {
            self.down = Some((since, now + lasted));
            HealthStep::StillDown(lasted)
        })
    }

    /// Returns the time from the start of a check to the start of the next: up to a tenth off, so that checks of many
    /// services spread. `random` is from 0 up to 1.
    pub fn pause(&self, now: Instant, random: f64) -> Duration {
        let is_rising = !self.healthy && self.against > 0;
        let pause =
            if is_rising || self.is_starting(now) { self.rules.interval.min(HASTY) } else { self.rules.interval };
        pause.mul_f64(0.9 + random.clamp(0.0, 1.0) / 5.0)
    }
}

/// Returns the pause before the first check, spread over many services: up to a millisecond for each, at most one interval.
pub fn first_pause(services: usize, interval: Duration, random: f64) -> Duration {
    let spread = Duration::from_millis(services.saturating_sub(1).try_into().unwrap_or(u64::MAX));
    spread.min(interval).mul_f64(random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn rules(rise: u32, fall: u32, start_grace: Duration) -> HealthRules {
        HealthRules { rise, fall, interval: 5 * S, start_grace }
    }

    /// Checks a series. `results`: `+` a passed check, `-` a failed one. `expected`: `.` nothing, `a` ailing, `U` up, `D`
    /// down.
    #[track_caller]
    fn check(rise: u32, fall: u32, results: &str, expected: &str) {
        let start = Instant::now();
        let mut health = Rating::new(rules(rise, fall, Duration::ZERO), false, start);
        let steps: String = results
            .chars()
            .map(|result| match health.take(result == '+', start) {
                HealthStep::Same => '.',
                HealthStep::Ailing => 'a',
                HealthStep::Up => 'U',
                HealthStep::Down => 'D',
                HealthStep::StillDown(_) => 's',
            })
            .collect();
        assert_eq!(steps, expected, "rise {rise} fall {fall}: {results}");
    }

    #[test]
    fn only_as_many_in_a_row_change_anything() {
        check(2, 3, "++", ".U");
        check(2, 3, "+-+-++", ".a.a.U");
        check(2, 3, "++---++", ".Ua.D.U");
        check(2, 3, "++--+--+---", ".Ua..a..a.D");
        check(1, 1, "+-+-", "UDUD");
        check(1, 3, "---+", "a..U");
        check(3, 1, "+++-+++", "..UD..U");
    }

    #[test]
    fn every_order_of_ten_results_keeps_the_rules() {
        for (rise, fall) in [(1, 1), (2, 3), (3, 2)] {
            for bits in 0_u32..1 << 10 {
                let start = Instant::now();
                let mut health = Rating::new(rules(rise, fall, Duration::ZERO), false, start);
                let (mut healthy, mut row) = (false, 0);
                let mut last = None;
                for nth in 0..10 {
                    let passed = bits >> nth & 1 == 1;
                    row = if last == Some(passed) { row + 1 } else { 1 };
                    last = Some(passed);
                    let enough = if passed { rise } else { fall };
                    let changes = passed != healthy && row >= enough;
                    let step = health.take(passed, start);
                    assert_eq!(matches!(step, HealthStep::Up | HealthStep::Down), changes, "{bits:b} {nth}");
                    healthy ^= changes;
                    assert_eq!(health.healthy, healthy);
                }
            }
        }
    }

    #[test]
    fn a_backend_that_stays_down_is_named_less_and_less_often() {
        let start = Instant::now();
        let mut health = Rating::new(rules(1, 2, Duration::ZERO), false, start);
        let mut said = Vec::new();
        for second in 0..1000_u64 {
            if let HealthStep::StillDown(lasted) = health.take(false, start + Duration::from_secs(second)) {
                said.push(lasted.as_secs());
            }
        }
        assert_eq!(said, [60, 120, 240, 480, 960]);
        assert_eq!(health.take(true, start + 1000 * S), HealthStep::Up);
        assert_eq!(health.take(false, start + 1001 * S), HealthStep::Ailing);
        assert_eq!(health.take(false, start + 1002 * S), HealthStep::Down);
        assert_eq!(health.take(false, start + 1003 * S), HealthStep::Same);
        assert_eq!(health.take(false, start + 1062 * S), HealthStep::StillDown(60 * S));
    }

    #[test]
    fn failures_are_expected_until_the_grace_is_over_or_it_was_healthy() {
        let start = Instant::now();
        let mut health = Rating::new(rules(1, 1, 10 * S), false, start);
        assert_eq!(health.take(false, start + S), HealthStep::Same);
        assert!(health.is_starting(start + 9 * S) && !health.is_starting(start + 10 * S));
        assert_eq!(health.pause(start + S, 0.5), S, "it is looked for often");
        assert_eq!(health.take(true, start + 2 * S), HealthStep::Up);
        assert!(!health.is_starting(start + 3 * S));
        assert_eq!(health.take(false, start + 3 * S), HealthStep::Down);
    }

    #[test]
    fn pauses_are_jittered_and_short_while_rising() {
        let start = Instant::now();
        let mut health = Rating::new(rules(2, 3, Duration::ZERO), false, start);
        let pauses = |health: &Rating| [0.0, 0.5, 1.0].map(|random| health.pause(start, random).as_millis());
        assert_eq!(pauses(&health), [4500, 5000, 5500]);
        health.take(true, start);
        assert_eq!(pauses(&health), [900, 1000, 1100]);
        health.take(true, start);
        assert_eq!(pauses(&health), [4500, 5000, 5500]);
        assert_eq!(first_pause(1, 5 * S, 0.9), Duration::ZERO);
        assert_eq!(first_pause(1001, 5 * S, 0.5), S / 2);
        assert_eq!(first_pause(100_000, 5 * S, 1.0), 5 * S);
    }

    #[test]
    fn checks_meet_in_slots_and_are_never_early() {
        let start = Instant::now();
        let ms = |n: u64| start + Duration::from_millis(n);
        let slots = |interval, at| Slots::new(start, interval).at(ms(at)) - start;
        for (at, expected) in [(0, 0), (1, 100), (100, 100), (101, 200), (4950, 5000)] {
            assert_eq!(slots(5 * S, at), Duration::from_millis(expected), "{at}");
        }
        assert_eq!(slots(Duration::from_millis(300), 16), Duration::from_millis(30), "a twentieth of the interval");
        assert_eq!(slots(Duration::from_nanos(1), 16), Duration::from_millis(16));
    }

    #[test]
    fn new_rules_do_not_take_a_healthy_backend_away() {
        let start = Instant::now();
        let mut health = Rating::new(rules(2, 2, 10 * S), true, start);
        assert!(!health.is_starting(start));
        assert_eq!(health.take(true, start), HealthStep::Same);
        assert_eq!(health.take(false, start), HealthStep::Ailing);
        assert_eq!(health.take(false, start), HealthStep::Down);
    }
}
