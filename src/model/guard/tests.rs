//! A table of expected decisions, and a walk over every small case for what must never happen.

use super::*;

const HOLD: Duration = Duration::from_secs(30);

/// Checks one row: a guard in words, the live state, the counts, and the expected decision.
#[track_caller]
fn check(guard: &str, calls_backends: bool, live: &str, found: (usize, usize), expected: &str) {
    let now = Instant::now() + Duration::from_secs(1000);
    let guard = guard_of(guard);
    let (live_count, age) = live.split_once(" held ").unwrap_or((live, ""));
    let live = Live {
        has_file: live_count != "no file",
        count: live_count.parse().ok(),
        held_since: age.parse().ok().map(|seconds| now - Duration::from_secs(seconds)),
    };
    let (keys, backends) = found;
    let found = RenderCount { calls_backends, keys, backends, skipped: keys - backends };
    assert_eq!(described(&guard.decide(found, live, now), now), expected, "{guard:?} {live:?} {found:?}");
}

fn guard_of(words: &str) -> Guard {
    let mut guard = Guard::default();
    for word in words.split_whitespace() {
        match word.split_once('=').unwrap_or((word, "")) {
            ("keep", _) => guard.on_empty = Some(OnEmpty::Keep),
            ("placeholder", _) => guard.on_empty = Some(OnEmpty::Placeholder),
            ("apply", _) => guard.on_empty = Some(OnEmpty::Apply),
            ("fail", _) => guard.on_empty = Some(OnEmpty::Fail),
            ("min", n) => guard.min_backends = n.parse().ok(),
            ("drop", n) => guard.max_drop_percent = n.parse().ok(),
            other => panic!("{other:?}"),
        }
    }
    guard
}

fn described(decision: &Decision, now: Instant) -> String {
    let loss = match decision.loss {
        None => String::new(),
        Some(Loss::NoKey) => ": no key".to_owned(),
        Some(Loss::NoneValid { keys, .. }) => format!(": none of {keys} valid"),
        Some(Loss::TooFew { count, least }) => format!(": {count} of {least}"),
        Some(Loss::Drop { from, to }) => format!(": {from} to {to}"),
    };
    let verdict = match decision.verdict {
        Verdict::Hold(until) => format!("hold {}", (until - now).as_secs()),
        other => format!("{other:?}").to_lowercase(),
    };
    verdict + &loss
}

#[test]
fn expected_decisions() {
    const CALLS: bool = true;
    const PLAIN: bool = false;
    for (guard, calls_backends, live, found, expected) in [
        // No guard set.
        ("", CALLS, "3", (3, 3), "apply"),
        ("", CALLS, "3", (0, 0), "keep: no key"),
        ("", CALLS, "3", (2, 0), "keep: none of 2 valid"),
        ("", CALLS, "unknown", (0, 0), "keep: no key"),
        ("", CALLS, "no file", (0, 0), "apply: no key"),
        ("", CALLS, "0", (0, 0), "apply: no key"),
        ("", CALLS, "100", (1, 1), "apply"),
        ("", PLAIN, "3", (0, 0), "apply: no key"),
        ("", PLAIN, "unknown", (0, 0), "apply: no key"),
        // Each policy.
        ("keep", PLAIN, "3", (0, 0), "keep: no key"),
        ("apply", CALLS, "3", (0, 0), "apply: no key"),
        ("apply", CALLS, "3", (4, 0), "apply: none of 4 valid"),
        ("placeholder", CALLS, "3", (0, 0), "placeholder: no key"),
        ("placeholder", CALLS, "no file", (1, 0), "placeholder: none of 1 valid"),
        ("placeholder", PLAIN, "3", (0, 0), "apply: no key"),
        ("placeholder min=3", PLAIN, "3", (2, 0), "apply: 2 of 3"),
        ("fail", CALLS, "3", (0, 0), "fail: no key"),
        ("fail", CALLS, "no file", (7, 0), "fail: none of 7 valid"),
        ("fail", CALLS, "0", (0, 0), "fail: no key"),
        // Fewer than the minimum count as no backends.
        ("min=2", CALLS, "3", (2, 2), "apply"),
        ("min=2", CALLS, "3", (1, 1), "keep: 1 of 2"),
        ("min=2", PLAIN, "3", (1, 0), "keep: 1 of 2"),
        ("min=2", CALLS, "unknown", (1, 1), "keep: 1 of 2"),
        ("min=2", CALLS, "1", (1, 1), "apply: 1 of 2"),
        ("min=2", CALLS, "no file", (1, 1), "apply: 1 of 2"),
        ("min=2 placeholder", CALLS, "3", (1, 1), "placeholder: 1 of 2"),
        ("min=2 fail", CALLS, "1", (1, 1), "fail: 1 of 2"),
        ("min=2", CALLS, "3", (5, 0), "keep: none of 5 valid"),
        // Too many at once.
        ("drop=50", CALLS, "10", (5, 5), "apply"),
        ("drop=50", CALLS, "10", (4, 4), "hold 30: 10 to 4"),
        ("drop=50", CALLS, "10 held 10", (3, 3), "hold 20: 10 to 3"),
        ("drop=50", CALLS, "10 held 30", (3, 3), "apply: 10 to 3"),
        ("drop=50", CALLS, "10 held 10", (6, 6), "apply"),
        ("drop=50", CALLS, "unknown", (1, 1), "apply"),
        ("drop=50", CALLS, "no file", (1, 1), "apply"),
        ("drop=0", CALLS, "10", (9, 9), "hold 30: 10 to 9"),
        ("drop=100", CALLS, "10", (1, 1), "apply"),
        ("drop=50", PLAIN, "10", (4, 0), "hold 30: 10 to 4"),
        // Both: a kept file stays as long as the shortage lasts; what may go live is held first.
        ("drop=50", CALLS, "10", (0, 0), "keep: no key"),
        ("drop=50", CALLS, "10 held 30", (0, 0), "keep: no key"),
        ("drop=50 apply", CALLS, "10", (0, 0), "hold 30: 10 to 0"),
        ("drop=50 apply", CALLS, "10 held 31", (0, 0), "apply: no key"),
        ("drop=50 placeholder", CALLS, "10", (3, 0), "hold 30: 10 to 0"),
        ("drop=50 placeholder", CALLS, "10 held 31", (3, 0), "placeholder: none of 3 valid"),
        ("drop=50 placeholder min=9", CALLS, "10", (8, 8), "hold 30: 10 to 0"),
        ("drop=50 fail", CALLS, "10", (0, 0), "fail: no key"),
        ("drop=50 min=4", CALLS, "10", (3, 3), "keep: 3 of 4"),
    ] {
        check(guard, calls_backends, live, found, expected);
    }
}

/// Visits every guard, live state and counts with small numbers.
fn every_case(mut visit: impl FnMut(&Guard, RenderCount, Live, Instant)) {
    let now = Instant::now() + Duration::from_secs(1000);
    let policies = [None, Some(OnEmpty::Keep), Some(OnEmpty::Placeholder), Some(OnEmpty::Apply), Some(OnEmpty::Fail)];
    for on_empty in policies {
        for min_backends in [None, Some(0), Some(1), Some(2), Some(4)] {
            for max_drop_percent in [None, Some(0), Some(50), Some(100)] {
                let guard = Guard { on_empty, min_backends, max_drop_percent, max_drop_hold: HOLD };
                for (keys, backends) in (0..5).flat_map(|keys| (0..=keys).map(move |backends| (keys, backends))) {
                    for calls_backends in [true, false] {
                        let found = RenderCount { calls_backends, keys, backends, skipped: keys - backends };
                        for count in [None, Some(0), Some(1), Some(3), Some(4)] {
                            for has_file in [true, false] {
                                for age in [None, Some(0), Some(29), Some(30), Some(300)] {
                                    let held_since = age.map(|age| now - Duration::from_secs(age));
                                    visit(&guard, found, Live { has_file, count, held_since }, now);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn in_every_case() {
    let mut cases = 0;
    every_case(|guard, found, live, now| {
        cases += 1;
        let decision = guard.decide(found, live, now);
        let case = format!("{guard:?} {found:?} {live:?} {decision:?}");
        let count = found.count();
        let enough = count >= guard.min_backends.unwrap_or(1).max(1);
        let keeps = decision.keeps_file();
        assert!(!keeps || live.has_file, "there is a file to keep: {case}");
        assert!(!keeps || decision.loss.is_some(), "every file that stays has a reason: {case}");
        assert_eq!(decision.verdict == Verdict::Fail, !enough && guard.on_empty == Some(OnEmpty::Fail), "{case}");
        assert!(decision.verdict != Verdict::Keep || !enough, "enough is never kept back for good: {case}");
        if *guard == Guard::default() && (!found.calls_backends || enough) {
            assert_eq!(decision.verdict, Verdict::Apply, "without a guard nothing is held: {case}");
        }
        if let Verdict::Hold(until) = decision.verdict {
            assert!(until > now && until <= now + HOLD, "it ends: {case}");
            assert!(guard.max_drop_percent.is_some_and(|most| most < 100), "{case}");
            let later = guard.decide(found, Live { held_since: decision.held_since, ..live }, until);
            assert!(!later.keeps_file(), "and what it held goes live: {case} {later:?}");
        }
        assert!(count > 0 || !enough, "none is never enough: {case}");
        if !guard.needs_live_file(found) {
            let other = Live { has_file: !live.has_file, ..live };
            assert_eq!(guard.decide(found, other, now), decision, "the file does not matter: {case}");
        }
        if count == 0 && live.has_file && live.count != Some(0) && guard.on_empty == Some(OnEmpty::Keep) {
            assert_eq!(decision.verdict, Verdict::Keep, "{case}");
        }
        if live.count.is_some_and(|before| count >= before) && guard.on_empty == Some(OnEmpty::Keep) {
            assert_eq!(decision.verdict, Verdict::Apply, "what gets better goes live: {case}");
        }
        let is_empty_state = matches!(decision.loss, Some(Loss::NoKey | Loss::NoneValid { .. }));
        assert!(!is_empty_state || (count == 0 && (decision.loss == Some(Loss::NoKey)) == (found.keys == 0)), "{case}");
        assert!(!decision.consequence(guard).is_empty());
    });
    assert!(cases > 50_000, "{cases}");
}

#[test]
fn a_drop_is_held_then_applied_and_forgotten_when_it_is_over() {
    let guard = Guard { max_drop_percent: Some(30), max_drop_hold: HOLD, ..Guard::default() };
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut live = Live { has_file: true, count: Some(10), held_since: None };
    // Seconds, backends, and the live number after that.
    for (seconds, count, expected) in [
        (0, 10, 10),
        (5, 4, 10),
        (20, 2, 10),
        (34, 2, 10),
        (34, 10, 10),
        (40, 3, 10),
        (69, 3, 10),
        (70, 3, 3),
        (71, 2, 3),
        (80, 3, 3),
        (81, 1, 3),
        (110, 1, 3),
        (111, 1, 1),
    ] {
        let found = RenderCount { calls_backends: true, keys: count, backends: count, skipped: 0 };
        let decision = guard.decide(found, live, at(seconds));
        live.held_since = decision.held_since;
        if decision.verdict == Verdict::Apply {
            live = Live { count: Some(count), held_since: None, ..live };
        }
        assert_eq!(live.count, Some(expected), "after {seconds} s: {decision:?}");
    }
}

#[test]
fn a_hold_goes_on_while_no_backend_is_left() {
    let guard = Guard { max_drop_percent: Some(30), max_drop_hold: HOLD, ..Guard::default() };
    let start = Instant::now();
    let mut live = Live { has_file: true, count: Some(10), held_since: None };
    for (seconds, count, expected) in [
        (0, 4, Verdict::Hold(start + HOLD)),
        (10, 0, Verdict::Keep),
        (29, 4, Verdict::Hold(start + HOLD)),
        (30, 0, Verdict::Keep),
        // The first of many that are back.
        (40, 1, Verdict::Hold(start + Duration::from_secs(40) + HOLD)),
        (69, 1, Verdict::Hold(start + Duration::from_secs(40) + HOLD)),
        (70, 1, Verdict::Apply),
    ] {
        let found = RenderCount { calls_backends: true, keys: count, backends: count, skipped: 0 };
        let decision = guard.decide(found, live, start + Duration::from_secs(seconds));
        assert_eq!(decision.verdict, expected, "after {seconds} s");
        live.held_since = decision.held_since;
    }
}
