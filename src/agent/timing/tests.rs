//! Timelines: what happens at which millisecond, and when a pass starts.

use super::*;

struct Timeline {
    start: Instant,
    timing: Timing,
    load: Load,
    started: Vec<u64>,
    now_ms: u64,
    /// Duration of a transaction, and its result.
    takes_ms: u64,
    left: Left,
    running_until: Option<u64>,
}

impl Timeline {
    fn new(pace: Option<Pace>) -> Timeline {
        Timeline {
            start: Instant::now(),
            timing: Timing::new(pace, true),
            load: Load::Usual,
            started: Vec::new(),
            now_ms: 0,
            takes_ms: 10,
            left: Left::Settled,
            running_until: None,
        }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// Advances the time to `ms`, and starts and finishes transactions on the way.
    fn run_to(&mut self, ms: u64) {
        while self.now_ms <= ms {
            let now = self.at(self.now_ms);
            if self.running_until == Some(self.now_ms) {
                self.running_until = None;
                self.timing.finished(now, true, self.left, 0.0);
            }
            if self.timing.due_at(self.load).is_some_and(|at| at <= now) {
                self.timing.start();
                assert!(self.running_until.is_none(), "two transactions of one group at once");
                self.started.push(self.now_ms);
                self.running_until = Some(self.now_ms + self.takes_ms);
            }
            self.now_ms += 1;
        }
    }

    fn change(&mut self, ms: u64) {
        self.change_urgently(ms, Urgency::Removal);
    }

    fn change_urgently(&mut self, ms: u64, urgency: Urgency) {
        if ms > 0 {
            self.run_to(ms - 1);
        }
        let now = self.at(ms);
        self.timing.changed(urgency, now);
    }
}

fn check(pace: Option<Pace>, changes_ms: impl IntoIterator<Item = u64>, until_ms: u64, expected: &[u64]) {
    let mut timeline = Timeline::new(pace);
    for ms in changes_ms {
        timeline.change(ms);
    }
    timeline.run_to(until_ms);
    assert_eq!(timeline.started, expected);
    assert_eq!(timeline.timing.due_at(timeline.load), None, "something still waits");
}

fn pace(debounce_ms: u64, first: bool, max_ms: u64, interval_ms: u64) -> Option<Pace> {
    Some(Pace {
        debounce: Duration::from_millis(debounce_ms),
        debounce_first: first,
        debounce_max: Duration::from_millis(max_ms),
        min_reload_interval: Duration::from_millis(interval_ms),
    })
}

#[test]
fn a_group_without_reload_is_never_delayed() {
    check(None, [0, 5, 100, 101], 500, &[0, 10, 100, 110]);
}

#[test]
fn the_first_change_goes_at_once_and_the_rest_of_the_burst_is_gathered() {
    check(Some(Pace::default()), [0], 3000, &[0]);
    check(Some(Pace::default()), [0, 20, 40, 60], 3000, &[0, 1010]);
    check(Some(Pace::default()), [0, 5000], 9000, &[0, 5000]);
}

#[test]
fn one_event_that_concerns_two_resources_is_one_change() {
    let mut timeline = Timeline::new(Some(Pace::default()));
    let at = |ms| timeline.at(ms);
    let (first, later) = (at(5000), at(5020));
    timeline.timing.changed(Urgency::Removal, first);
    timeline.timing.changed(Urgency::Removal, first);
    assert_eq!(timeline.timing.due_at(Load::Usual), Some(first), "at once");
    timeline.timing.changed(Urgency::Removal, later);
    assert_eq!(timeline.timing.due_at(Load::Usual), Some(later + Duration::from_millis(100)), "a burst");
}

#[test]
fn a_steady_stream_is_cut_by_the_longest_wait() {
    let changes = (0..3000).step_by(50);
    check(Some(Pace::default()), changes, 6000, &[0, 1050, 2100, 3110]);
}

#[test]
fn an_early_second_change_is_deferred_and_not_dropped() {
    check(pace(100, false, 1000, 2000), [0, 500], 6000, &[0, 2010]);
    check(pace(0, false, 0, 0), [0, 3, 50], 500, &[0, 10, 50]);
}

#[test]
fn an_explicit_debounce_holds_the_first_change_too() {
    check(pace(300, true, 3000, 1000), [0, 100, 200], 6000, &[500]);
    check(pace(300, true, 700, 0), (0..2000).step_by(100), 6000, &[700, 1500, 2200]);
}

#[test]
fn failures_back_off_and_new_input_comes_first() {
    let mut timeline = Timeline::new(pace(100, false, 1000, 0));
    timeline.left = Left::Failed;
    timeline.change(0);
    timeline.run_to(8000);
    assert_eq!(timeline.started, [0, 1010, 3020, 7030]);
    assert_eq!(timeline.timing.failures(), 4);
    timeline.change(8100);
    timeline.left = Left::Settled;
    timeline.run_to(20_000);
    assert_eq!(timeline.started, [0, 1010, 3020, 7030, 8100]);
    assert_eq!(timeline.timing.failures(), 0);
}

#[test]
fn while_old_workers_pile_up_additions_wait_and_removals_go_first() {
    let mut timeline = Timeline::new(Some(Pace::default()));
    timeline.change(0);
    timeline.load = Load::Stretched(4);
    timeline.change_urgently(2000, Urgency::Addition);
    timeline.run_to(3999);
    assert_eq!(timeline.started, [0], "an addition waits for four times the interval");
    timeline.run_to(4100);
    assert_eq!(timeline.started, [0, 4010], "deferred, not dropped");
    timeline.change_urgently(6000, Urgency::Addition);
    timeline.change_urgently(6050, Urgency::Removal);
    timeline.run_to(6500);
    assert_eq!(timeline.started, [0, 4010, 6150], "a removal takes the addition with it");
    timeline.load = Load::Paused;
    timeline.change(8000);
    timeline.run_to(20_000);
    assert_eq!((timeline.started.len(), timeline.timing.due_at(timeline.load)), (3, None), "held");
    timeline.load = Load::Usual;
    timeline.run_to(20_100);
    assert_eq!(timeline.started.len(), 4);
}

#[test]
fn a_group_without_nginx_does_not_care_about_its_workers() {
    let now = Instant::now();
    let mut timing = Timing::new(Some(Pace::default()), false);
    timing.changed(Urgency::Addition, now);
    assert_eq!(timing.due_at(Load::Paused), Some(now));
}

#[test]
fn timing_is_kept_over_a_new_pace() {
    let now = Instant::now();
    let mut timing = Timing::new(Some(Pace::default()), true);
    timing.changed(Urgency::Removal, now);
    timing.start();
    timing.changed(Urgency::Removal, now);
    assert_eq!(timing.due_at(Load::Usual), None, "a pass runs");
    timing.finished(now, true, Left::Settled, 0.5);
    let timing = timing.with_pace(Some(Pace::default()), true);
    assert_eq!(timing.due_at(Load::Usual), Some(now + Duration::from_secs(1)), "the reload was just now");
}

#[test]
fn backoff_is_bounded_and_jittered_downwards() {
    assert_eq!(backoff(0, 0.0), Duration::from_secs(1));
    assert_eq!(backoff(3, 0.0), Duration::from_secs(8));
    assert_eq!(backoff(40, 0.0), Duration::from_secs(60));
    assert_eq!(backoff(40, 1.0), Duration::from_secs(45));
}
