//! The workers of nginx that serve: whether those of now have served since an earlier run of ours. Pure: the caller looks.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::model::process::Process;

/// Time after which names that new workers ask for are known: they ask at their start, and again a second after the answer. A name whose
/// first question was lost is known later.
const SETTLES_WITHIN: Duration = Duration::from_secs(3);

/// The workers of every nginx.
#[derive(Debug, Default)]
pub(super) struct ServingWorkers {
    /// Those that served when it was last known of all names whether their newest worker has read the lines, in an earlier run too.
    settled: BTreeSet<Process>,
    /// Those that serve now, and since when; `None` if they were not seen.
    seen: Option<(BTreeSet<Process>, Instant)>,
}

impl ServingWorkers {
    /// Remembers those of an earlier run.
    pub(super) fn remember(&mut self, settled: BTreeSet<Process>) {
        self.settled = settled;
    }

    /// Returns what the next run has to remember.
    pub(super) fn settled(&self) -> &BTreeSet<Process> {
        &self.settled
    }

    /// Takes in those that serve now. Once those that are new have settled, returns when they were first seen.
    pub(super) fn see(&mut self, now_serve: BTreeSet<Process>, now: Instant) -> Option<Instant> {
        let since = self.seen.as_ref().filter(|(seen, _)| *seen == now_serve).map_or(now, |(_, since)| *since);
        let are_new = !now_serve.is_subset(&self.settled);
        let have_settled = are_new && now.saturating_duration_since(since) >= SETTLES_WITHIN;
        if have_settled {
            self.settled.clone_from(&now_serve);
        }
        self.seen = Some((now_serve, since));
        have_settled.then_some(since)
    }

    /// Returns whether all that serve now are among the settled ones, or none of them; `None` if neither is known.
    pub(super) fn are_settled(&self) -> Option<bool> {
        let (seen, _) = self.seen.as_ref().filter(|_| !self.settled.is_empty())?;
        if seen.is_subset(&self.settled) {
            return Some(true);
        }
        seen.is_disjoint(&self.settled).then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_settle_when_their_names_are_known() {
        let start = Instant::now();
        let mut workers = ServingWorkers::default();
        let of = |pids: &[i32]| pids.iter().map(|pid| Process { pid: *pid, start_time: 1 }).collect::<BTreeSet<_>>();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut see = |pids: &[i32], seconds| {
            let settled = workers.see(of(pids), at(seconds));
            (settled, workers.are_settled(), workers.settled().len())
        };
        assert_eq!(see(&[1, 2], 0), (None, None, 0));
        assert_eq!(see(&[1, 2], 2), (None, None, 0));
        assert_eq!(see(&[1, 2], 3), (Some(at(0)), Some(true), 2));
        assert_eq!(see(&[1, 2], 4), (None, Some(true), 2));
        assert_eq!([see(&[1], 5), see(&[1], 9)], [(None, Some(true), 2); 2], "one has ended");
        assert_eq!(see(&[1, 3], 10), (None, None, 2), "and another one is in its place");
        assert_eq!(see(&[4, 5], 11), (None, Some(false), 2), "a reload");
        assert_eq!(see(&[4, 5], 14), (Some(at(11)), Some(true), 2));
        let mut next = ServingWorkers::default();
        next.remember(workers.settled().clone());
        assert_eq!(next.are_settled(), None);
        next.see(of(&[4, 5]), start);
        assert_eq!(next.are_settled(), Some(true));
    }
}
