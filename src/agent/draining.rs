//! Which reloads still have old workers that finish their connections, and when the last one has ended: from then on nothing
//! uses a server that the reload took away. Pure: who lives is asked of the caller.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::key::Revision;
use crate::model::process::Process;
use crate::model::report::Report;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Debug, Default)]
pub struct Draining {
    reloads: Vec<Reload>,
    /// Verified reloads so far.
    generation: u64,
    next_look: Option<Instant>,
    serving: usize,
}

#[derive(Debug)]
struct Reload {
    generation: u64,
    /// What was applied; nothing where it was undone: its old workers are waited for, and nobody is told.
    resources: Vec<Arc<str>>,
    revision: Revision,
    asked_at: Instant,
    leaving: BTreeSet<Process>,
}

/// A reload whose old workers have all ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drained {
    /// The resources that were applied.
    pub resources: Vec<Arc<str>>,
    /// The store revision that was applied.
    pub revision: Revision,
    /// From asking for the reload to the end of the last old worker, to within 250 ms.
    pub after: Duration,
}

impl Draining {
    /// Takes what a verified reload left behind. Answers it where that was nothing.
    pub fn add(&mut self, report: &Report, now: Instant) -> Option<Drained> {
        let verified = report.verified.as_ref()?;
        self.serving = verified.serving;
        self.generation += 1;
        // What dropped out is not what nginx serves, and neither is what was put back.
        let has_dropped =
            |name: &Arc<str>| report.dropped.iter().any(|(id, _)| id.item.is_none() && id.resource == *name);
        let is_applied = |name: &&Arc<str>| report.outcome.is_final() && !has_dropped(name);
        let reload = Reload {
            generation: self.generation,
            resources: report.resources.iter().filter(is_applied).cloned().collect(),
            revision: report.revision,
            asked_at: verified.asked_at,
            leaving: verified.leaving.clone(),
        };
        if reload.leaving.is_empty() {
            return reload.drained(now);
        }
        self.reloads.push(reload);
        self.next_look.get_or_insert(now + PAUSE);
        None
    }

    /// Takes workers that were leaving before any reload of ours.
    pub fn add_earlier(&mut self, leaving: BTreeSet<Process>, now: Instant) {
        if !leaving.is_empty() {
            let (resources, revision) = (Vec::new(), Revision::default());
            self.reloads.push(Reload { generation: 0, resources, revision, asked_at: now, leaving });
            self.next_look.get_or_insert(now + PAUSE);
        }
    }

    /// How many reloads were verified.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The first of them that workers of earlier configurations are left from; 0 for those that were leaving before.
    pub fn oldest_undrained(&self) -> Option<u64> {
        self.reloads.iter().map(|reload| reload.generation).min()
    }

    /// Looks again where it is time for it. Answers the reloads that have drained since.
    pub fn look(&mut self, now: Instant, is_alive: impl Fn(Process) -> bool) -> Vec<Drained> {
        if self.next_look.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let alive: BTreeSet<Process> = self.leaving().into_iter().filter(|process| is_alive(*process)).collect();
        let mut drained = Vec::new();
        self.reloads.retain_mut(|reload| {
            reload.leaving.retain(|process| alive.contains(process));
            if reload.leaving.is_empty() {
                drained.extend(reload.drained(now));
            }
            !reload.leaving.is_empty()
        });
        self.next_look = (!self.reloads.is_empty()).then(|| now + PAUSE);
        drained
    }

    /// When to look next.
    pub fn wake_at(&self) -> Option<Instant> {
        self.next_look
    }

    /// Workers that are leaving, of all reloads.
    pub fn leaving(&self) -> BTreeSet<Process> {
        self.reloads.iter().flat_map(|reload| &reload.leaving).copied().collect()
    }

    /// Workers that served after the last reload.
    pub fn serving(&self) -> usize {
        self.serving
    }
}

impl Reload {
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
        };
        let resources = vec!["web".into()];
        Report { resources, verified: Some(verified), ..Report::unchanged(Revision(revision)) }
    }

    #[test]
    fn a_reload_has_drained_when_the_last_old_worker_has_ended() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut draining = Draining::default();
        assert_eq!(draining.add(&Report::unchanged(Revision(1)), start), None);
        assert!(draining.add(&report(2, &[], start), at(200)).is_some(), "nobody was left");
        assert_eq!(draining.wake_at(), None);
        assert_eq!(draining.add(&report(3, &[10, 11], start), at(0)), None);
        assert_eq!(draining.add(&report(4, &[11, 20], at(100)), at(100)), None);
        assert_eq!(draining.leaving().len(), 3);
        assert_eq!(draining.look(at(100), |_| false), [], "not yet time");
        assert_eq!(draining.look(at(250), |process| process.pid != 10), []);
        let drained = draining.look(at(500), |process| process.pid == 20);
        assert_eq!(drained.len(), 1);
        assert_eq!((drained[0].revision, drained[0].after), (Revision(3), Duration::from_millis(500)));
        assert_eq!(draining.look(at(750), |_| false)[0].after, Duration::from_millis(650));
        assert_eq!((draining.wake_at(), draining.leaving().len()), (None, 0));
    }

    #[test]
    fn what_was_undone_or_dropped_out_is_not_told_as_drained() {
        let start = Instant::now();
        let mut draining = Draining::default();
        let cause = StepFailure::new(Stage::Verify, "no");
        let undone = Outcome::RolledBack { cause: cause.clone(), reload_old: None };
        assert_eq!(draining.add(&Report { outcome: undone.clone(), ..report(2, &[], start) }, start), None);
        assert_eq!(draining.add(&Report { outcome: undone, ..report(3, &[10], start) }, start), None);
        assert_eq!(draining.leaving().len(), 1, "it counts, as all old workers do");
        assert_eq!(draining.look(start + PAUSE, |_| false), []);
        let resources = vec!["good".into(), "bad".into()];
        let partly = Report { resources, dropped: vec![("bad".into(), cause)], ..report(4, &[], start) };
        assert_eq!(draining.add(&partly, start).unwrap().resources, ["good".into()]);
    }

    #[test]
    fn generations_are_counted_and_the_oldest_that_is_left_is_known() {
        let now = Instant::now();
        let later = now + PAUSE;
        let mut draining = Draining::default();
        draining.add_earlier(BTreeSet::new(), now);
        assert_eq!((draining.generation(), draining.oldest_undrained()), (0, None));
        draining.add_earlier(BTreeSet::from([Process { pid: 5, start_time: 1 }]), now);
        assert_eq!((draining.generation(), draining.oldest_undrained()), (0, Some(0)));
        draining.add(&report(2, &[], now), now);
        draining.add(&report(3, &[10], now), now);
        assert_eq!((draining.generation(), draining.oldest_undrained()), (2, Some(0)));
        draining.look(later, |process| process.pid == 10);
        assert_eq!((draining.generation(), draining.oldest_undrained()), (2, Some(2)));
        draining.look(later + PAUSE, |_| false);
        assert_eq!((draining.generation(), draining.oldest_undrained()), (2, None));
    }
}
