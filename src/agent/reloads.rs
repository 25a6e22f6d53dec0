//! The reloads whose old workers still finish their connections, and the end of the last one: from then on nothing uses a
//! server that the reload removed. Pure: the caller says which processes live.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::key::Revision;
use crate::model::process::Process;
use crate::model::report::Report;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// Most reloads that are kept apart; of more, the two oldest count as one.
const MAX_UNDRAINED: usize = 1024;

/// The account of reloads.
#[derive(Debug, Default)]
pub struct Reloads {
    undrained: Vec<Undrained>,
    /// Number of verified reloads so far.
    count: u64,
    next_look: Option<Instant>,
    serving: usize,
}

#[derive(Debug)]
struct Undrained {
    /// Number of the reload, counted from 1; 0 for workers that were leaving before the first.
    number: u64,
    /// Resources that were applied and have not drained; empty if that was undone: then its old workers count, and nothing is
    /// logged.
    resources: Vec<Arc<str>>,
    revision: Revision,
    asked_at: Instant,
    leaving: BTreeSet<Process>,
}

/// A change of which nothing that it removed is in use any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Resources that were applied.
    pub resources: Vec<Arc<str>>,
    /// Store revision that was applied.
    pub revision: Revision,
    /// Time from the reload request to the end of the last old worker, or of its last connection to a removed backend, to
    /// within 250 ms.
    pub after: Duration,
}

impl Reloads {
    /// Records the old workers after a verified reload, and those that earlier masters have left behind. Returns the reload if there are
    /// none.
    pub fn add(&mut self, report: &Report, left_behind: &BTreeSet<Process>, now: Instant) -> Option<Drained> {
        let verified = report.verified.as_ref()?;
        self.serving = verified.serving;
        self.count += 1;
        // nginx serves neither resources that dropped out nor changes that were undone.
        let has_dropped =
            |name: &Arc<str>| report.dropped.iter().any(|(id, _)| id.item.is_none() && id.resource == *name);
        let is_applied = |name: &&Arc<str>| report.outcome.is_final() && !has_dropped(name);
        let mut leaving = verified.leaving.clone();
        leaving.extend(left_behind);
        let reload = Undrained {
            number: self.count,
            resources: report.resources.iter().filter(is_applied).cloned().collect(),
            revision: report.revision,
            asked_at: verified.asked_at,
            leaving,
        };
        if reload.leaving.is_empty() {
            return reload.drained(now);
        }
        self.push(reload, now);
        None
    }

    /// Records workers that were leaving before any reload of ours.
    pub fn add_earlier(&mut self, leaving: BTreeSet<Process>, now: Instant) {
        if !leaving.is_empty() {
            let (resources, revision) = (Vec::new(), Revision::default());
            self.push(Undrained { number: 0, resources, revision, asked_at: now, leaving }, now);
        }
    }

    fn push(&mut self, reload: Undrained, now: Instant) {
        self.undrained.push(reload);
        if self.undrained.len() > MAX_UNDRAINED {
            let second = self.undrained.remove(1);
            self.undrained[0].merge(second);
        }
        self.next_look.get_or_insert(now + PAUSE);
    }

    /// Records that one of the resources of this reload has drained, although old workers are left.
    pub fn drained_early(&mut self, number: u64, resource: &str) {
        for reload in self.undrained.iter_mut().filter(|reload| reload.number == number) {
            reload.resources.retain(|name| **name != *resource);
        }
    }

    /// Returns how many reloads were verified.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the number of the oldest reload that still has old workers; 0 for those that were leaving before.
    pub fn oldest_undrained(&self) -> Option<u64> {
        self.undrained.iter().map(|reload| reload.number).min()
    }

    /// Looks again if it is time for that. Returns the reloads that have drained since the last look.
    pub fn look(&mut self, now: Instant, is_alive: impl Fn(Process) -> bool) -> Vec<Drained> {
        if self.next_look.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let alive: BTreeSet<Process> = self.leaving().into_iter().filter(|process| is_alive(*process)).collect();
        let mut drained = Vec::new();
        self.undrained.retain_mut(|reload| {
            reload.leaving.retain(|process| alive.contains(process));
            if reload.leaving.is_empty() {
                drained.extend(reload.drained(now));
            }
            !reload.leaving.is_empty()
        });
        self.next_look = (!self.undrained.is_empty()).then(|| now + PAUSE);
        drained
    }

    /// Returns when to look next.
    pub fn wake_at(&self) -> Option<Instant> {
        self.next_look
    }

    /// Returns the leaving workers of all reloads.
    pub fn leaving(&self) -> BTreeSet<Process> {
        self.undrained.iter().flat_map(|reload| &reload.leaving).copied().collect()
    }

    /// Returns the leaving workers, each with the time of a reload that it has to leave for; the last one named counts.
    pub fn leaving_since(&self) -> impl Iterator<Item = (Process, Instant)> {
        let newest_first = self.undrained.iter().rev();
        newest_first.flat_map(|reload| reload.leaving.iter().map(|process| (*process, reload.asked_at)))
    }

    /// Returns how many workers served after the last reload.
    pub fn serving(&self) -> usize {
        self.serving
    }
}

impl Undrained {
    /// Adds a later reload: both have drained when the workers of both have ended.
    fn merge(&mut self, later: Undrained) {
        self.resources.extend(later.resources);
        self.resources.sort();
        self.resources.dedup();
        self.revision = later.revision;
        self.leaving.extend(later.leaving);
    }

    fn drained(&self, now: Instant) -> Option<Drained> {
        let after = now.duration_since(self.asked_at);
        let drained = Drained { resources: self.resources.clone(), revision: self.revision, after };
        (!self.resources.is_empty()).then_some(drained)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::report::{Outcome, Stage, StepFailure, Verified};

    fn report(revision: i64, leaving: &[i32], asked_at: Instant) -> Report {
        let leaving = leaving.iter().map(|pid| Process { pid: *pid, start_time: 1 }).collect();
        let zero = Duration::ZERO;
        let verified = Verified {
            accepted: zero,
            healthy: zero,
            converged: Some(zero),
            generation: None,
            serving: 2,
            leaving,
            asked_at,
            evidence: None,
        };
        let resources = vec!["web".into()];
        Report { resources, verified: Some(verified), ..Report::unchanged(Revision(revision)) }
    }

    #[test]
    fn a_reload_has_drained_when_the_last_old_worker_has_ended() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut reloads = Reloads::default();
        assert_eq!(reloads.add(&Report::unchanged(Revision(1)), &BTreeSet::new(), start), None);
        assert!(reloads.add(&report(2, &[], start), &BTreeSet::new(), at(200)).is_some(), "nobody was left");
        assert_eq!(reloads.wake_at(), None);
        assert_eq!(reloads.add(&report(3, &[10, 11], start), &BTreeSet::new(), at(0)), None);
        assert_eq!(reloads.add(&report(4, &[11, 20], at(100)), &BTreeSet::new(), at(100)), None);
        assert_eq!(reloads.leaving().len(), 3);
        assert_eq!(reloads.look(at(100), |_| false), [], "not yet time");
        assert_eq!(reloads.look(at(250), |process| process.pid != 10), []);
        let drained = reloads.look(at(500), |process| process.pid == 20);
        assert_eq!(drained.len(), 1);
        assert_eq!((drained[0].revision, drained[0].after), (Revision(3), Duration::from_millis(500)));
        assert_eq!(reloads.look(at(750), |_| false)[0].after, Duration::from_millis(650));
        assert_eq!((reloads.wake_at(), reloads.leaving().len()), (None, 0));
    }

    #[test]
    fn what_was_undone_or_dropped_out_is_not_reported_as_drained() {
        let start = Instant::now();
        let mut reloads = Reloads::default();
        let cause = StepFailure::new(Stage::Verify, "no");
        let undone = Outcome::RolledBack { cause: cause.clone(), reload_old: None };
        assert_eq!(
            reloads.add(&Report { outcome: undone.clone(), ..report(2, &[], start) }, &BTreeSet::new(), start),
            None
        );
        assert_eq!(reloads.add(&Report { outcome: undone, ..report(3, &[10], start) }, &BTreeSet::new(), start), None);
        assert_eq!(reloads.leaving().len(), 1, "it counts, as all old workers do");
        assert_eq!(reloads.look(start + PAUSE, |_| false), []);
        let resources = vec!["good".into(), "bad".into()];
        let partly = Report { resources, dropped: vec![("bad".into(), cause)], ..report(4, &[], start) };
        assert_eq!(reloads.add(&partly, &BTreeSet::new(), start).unwrap().resources, ["good".into()]);
    }

    #[test]
    fn what_has_drained_early_is_not_reported_again() {
        let start = Instant::now();
        let mut reloads = Reloads::default();
        for number in [2, 3] {
            let resources = vec!["web".into(), "api".into()];
            reloads.add(&Report { resources, ..report(number, &[10], start) }, &BTreeSet::new(), start);
        }
        reloads.drained_early(1, "web");
        reloads.drained_early(2, "web");
        reloads.drained_early(2, "api");
        let drained = reloads.look(start + PAUSE, |_| false);
        assert_eq!(drained.iter().map(|drained| drained.resources.clone()).collect::<Vec<_>>(), [["api".into()]]);
    }

    #[test]
    fn reloads_beyond_a_bound_are_kept_together_until_all_have_drained() {
        let start = Instant::now();
        let mut reloads = Reloads::default();
        for number in 1..=1030 {
            let resources = vec![if number == 2 { "api".into() } else { "web".into() }];
            let report = Report { resources, ..report(number, &[1, 10_000 + number as i32], start) };
            reloads.add(&report, &BTreeSet::new(), start);
        }
        assert_eq!((reloads.undrained.len(), reloads.leaving().len()), (1024, 1031));
        let is_alive = |process: Process| process.pid == 10_007 || process.pid > 10_008;
        let drained = reloads.look(start + PAUSE, is_alive);
        let revisions: Vec<i64> = drained.iter().map(|drained| drained.revision.0).collect();
        assert_eq!((revisions, reloads.oldest_undrained()), (vec![8], Some(1)), "the seventh has an old worker");
        let drained = reloads.look(start + PAUSE * 2, |process| process.pid > 10_008);
        assert_eq!(
            (drained[0].revision, drained[0].resources.as_slice()),
            (Revision(7), &["api".into(), "web".into()][..])
        );
        assert_eq!(reloads.oldest_undrained(), Some(9));
    }

    #[test]
    fn reloads_are_counted_and_the_oldest_that_is_left_is_known() {
        let now = Instant::now();
        let later = now + PAUSE;
        let mut reloads = Reloads::default();
        reloads.add_earlier(BTreeSet::new(), now);
        assert_eq!((reloads.count(), reloads.oldest_undrained()), (0, None));
        reloads.add_earlier(BTreeSet::from([Process { pid: 5, start_time: 1 }]), now);
        assert_eq!((reloads.count(), reloads.oldest_undrained()), (0, Some(0)));
        reloads.add(&report(2, &[], now), &BTreeSet::new(), now);
        reloads.add(&report(3, &[10], now), &BTreeSet::new(), now);
        assert_eq!((reloads.count(), reloads.oldest_undrained()), (2, Some(0)));
        reloads.look(later, |process| process.pid == 10);
        assert_eq!((reloads.count(), reloads.oldest_undrained()), (2, Some(2)));
        reloads.look(later + PAUSE, |_| false);
        assert_eq!((reloads.count(), reloads.oldest_undrained()), (2, None));
    }
}
