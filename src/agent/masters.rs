//! Whether the nginx that groups drive runs, looked at again and again: one that was stopped changes no file and fails no pass. Pure:
//! the caller looks.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::model::nginx::{NginxPlace, NginxProcesses};
use crate::model::process::Process;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// The last look at the masters.
#[derive(Debug, Default)]
pub(super) struct Masters {
    seen: Vec<SeenMaster>,
    /// Processes whose master has ended, or is another one now: they may have connections for a long time.
    left_behind: BTreeSet<Process>,
    next_look: Option<Instant>,
}

/// The last look at one master.
#[derive(Debug)]
struct SeenMaster {
    place: NginxPlace,
    /// The last one that was seen.
    master: Option<Process>,
    /// All its children.
    children: BTreeSet<Process>,
    /// Number of its workers; `None` if it does not run.
    workers: Option<usize>,
    /// Start of its absence.
    away_since: Option<Instant>,
}

/// A change that a look has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MasterNews {
    /// No master runs at the first look.
    Absent(NginxPlace),
    /// The master has ended.
    Away(NginxPlace),
    /// A master runs, after this time without one.
    Back(NginxPlace, Duration),
}

impl Masters {
    /// Makes the next look due: a reload has changed something.
    pub(super) fn look_soon(&mut self, now: Instant) {
        self.next_look = Some(now);
    }

    /// Looks at each of these if it is time for that. `processes_of` returns what runs there, or `None` if no master does.
    /// Returns the changes, or `None` if it was not time.
    pub(super) fn look(
        &mut self,
        places: impl FnOnce() -> Vec<NginxPlace>,
        now: Instant,
        processes_of: impl Fn(&NginxPlace) -> Option<NginxProcesses>,
        is_alive: impl Fn(Process) -> bool,
    ) -> Option<Vec<MasterNews>> {
        if self.next_look.is_some_and(|at| at > now) {
            return None;
        }
        let mut before = std::mem::take(&mut self.seen);
        let mut news = Vec::new();
        for place in places() {
            let known = before.iter().position(|seen| seen.place.is_same(&place)).map(|at| before.swap_remove(at));
            let found = processes_of(&place);
            let (master, workers) = found.as_ref().map(|found| (found.master, found.serving)).unzip();
            let children = found.map(|found| found.children).unwrap_or_default();
            let is_new = known.is_none();
            let (known_master, away_since) =
                known.as_ref().map_or((None, None), |known| (known.master, known.away_since));
            self.left_behind.extend(known.into_iter().flat_map(|known| known.children));
            match (workers, away_since) {
                (None, None) if is_new => news.push(MasterNews::Absent(place.clone())),
                (None, None) => news.push(MasterNews::Away(place.clone())),
                (Some(_), Some(since)) => news.push(MasterNews::Back(place.clone(), now.duration_since(since))),
                _ => {}
            }
            let away_since = if workers.is_none() { Some(away_since.unwrap_or(now)) } else { None };
            self.seen.push(SeenMaster { place, master: master.or(known_master), children, workers, away_since });
        }
        self.forget_ended(is_alive);
        self.next_look = (!self.seen.is_empty()).then(|| now + PAUSE);
        Some(news)
    }

    /// Looks at what runs at the places of the last look: a reload may be of a master that has been started since.
    pub(super) fn look_at_children(
        &mut self,
        processes_of: impl Fn(&NginxPlace) -> Option<NginxProcesses>,
        is_alive: impl Fn(Process) -> bool,
    ) {
        for seen in &mut self.seen {
            let children = processes_of(&seen.place).map(|found| found.children).unwrap_or_default();
            self.left_behind.extend(std::mem::replace(&mut seen.children, children));
        }
        self.forget_ended(is_alive);
    }

    /// Forgets the processes that have ended, and those that are children of a master.
    fn forget_ended(&mut self, is_alive: impl Fn(Process) -> bool) {
        let is_child = |process: &Process| self.seen.iter().any(|seen| seen.children.contains(process));
        self.left_behind.retain(|process| !is_child(process) && is_alive(*process));
    }

    /// Returns when to look next.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.next_look
    }

    /// Returns the number of workers of all masters; `None` if there is no master to look at.
    pub(super) fn workers(&self) -> Option<usize> {
        (!self.seen.is_empty()).then(|| self.seen.iter().filter_map(|seen| seen.workers).sum())
    }

    /// Returns where to find them; `None` if there is no master to look at.
    pub(super) fn places(&self) -> Option<impl Iterator<Item = &NginxPlace>> {
        (!self.seen.is_empty()).then(|| self.seen.iter().map(|seen| &seen.place))
    }

    /// Returns where each is, with the last one that was seen there: its pid file may be gone while it runs. `None` if none was ever seen.
    pub(super) fn last_seen(&self) -> Option<impl Iterator<Item = (&NginxPlace, Option<Process>)>> {
        let is_any = self.seen.iter().any(|seen| seen.master.is_some());
        is_any.then(|| self.seen.iter().map(|seen| (&seen.place, seen.master)))
    }

    /// Returns the processes whose master has ended, or is another one now.
    pub(super) fn left_behind(&self) -> &BTreeSet<Process> {
        &self.left_behind
    }

    /// Returns all processes that the last look has seen. Some may have ended.
    pub(super) fn processes(&self) -> impl Iterator<Item = Process> {
        self.seen.iter().flat_map(|seen| &seen.children).chain(&self.left_behind).copied()
    }

    /// Returns where each is, and whether it runs.
    pub(super) fn seen(&self) -> impl Iterator<Item = (&NginxPlace, bool)> + Clone {
        self.seen.iter().map(|seen| (&seen.place, seen.workers.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: Process = Process { pid: 7, start_time: 1 };

    fn running(master: Process, serving: usize) -> Option<NginxProcesses> {
        Some(NginxProcesses { master, children: BTreeSet::new(), serving })
    }

    fn place(name: &str) -> NginxPlace {
        NginxPlace { pid_file: name.into(), binary: "nginx".into(), error_log: "/log".into() }
    }

    #[test]
    fn a_master_is_remembered_while_it_cannot_be_seen() {
        let (mut masters, now) = (Masters::default(), Instant::now());
        let places = || vec![place("/a"), place("/b")];
        let later = |masters: &mut Masters, master: Option<Process>| {
            masters.look_soon(now);
            let is_a = |found: &NginxPlace| *found == place("/a");
            masters.look(places, now, |found| running(master?, 1).filter(|_| is_a(found)), |_| true);
            masters.last_seen().map(|seen| seen.map(|(_, master)| master).collect::<Vec<_>>())
        };
        assert_eq!(later(&mut masters, None), None);
        assert_eq!(later(&mut masters, Some(MASTER)), Some(vec![Some(MASTER), None]));
        assert_eq!(later(&mut masters, None), Some(vec![Some(MASTER), None]));
        let next = Process { pid: 8, ..MASTER };
        assert_eq!(later(&mut masters, Some(next)), Some(vec![Some(next), None]));
    }

    #[test]
    fn what_a_master_has_left_behind_is_known_until_it_ends() {
        let (mut masters, now) = (Masters::default(), Instant::now());
        let process = |pid| Process { pid, start_time: 1 };
        let mut look = |master: Option<i32>, children: &[i32], alive: &[i32]| -> String {
            masters.look_soon(now);
            let children = children.iter().map(|pid| process(*pid)).collect();
            let found = master.map(|pid| NginxProcesses { master: process(pid), children, serving: 1 });
            masters.look(|| vec![place("/a")], now, |_| found.clone(), |one| alive.contains(&one.pid));
            masters.left_behind().iter().map(|process| format!("{} ", process.pid)).collect()
        };
        assert_eq!(look(Some(7), &[10, 11], &[10, 11]), "");
        assert_eq!(look(Some(7), &[11, 12], &[11, 12]), "", "a reload leaves none behind");
        assert_eq!(look(None, &[], &[11, 12]), "11 12 ", "the pid file is gone for a moment, or the master is");
        assert_eq!(look(Some(7), &[11, 12], &[11, 12]), "");
        assert_eq!(look(Some(8), &[20], &[11, 20]), "11 ", "it was started again, and an old worker is held up");
        assert_eq!(look(Some(8), &[20], &[11, 20]), "11 ");
        assert_eq!(look(Some(8), &[20], &[20]), "");
        let gone: Vec<NginxPlace> = Vec::new();
        masters.look_soon(now);
        masters.look(|| gone, now, |_| None, |_| true);
        assert!(masters.left_behind().is_empty(), "it is no longer ours to look at");
    }

    #[test]
    fn a_master_that_goes_and_comes_back_is_news_each_time_once() {
        let (mut masters, start) = (Masters::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let places = || vec![place("/a"), place("/b")];
        let away = |masters: &Masters| -> Vec<NginxPlace> {
            masters.seen().filter(|(_, runs)| !runs).map(|(place, _)| place.clone()).collect()
        };
        assert_eq!(masters.look(places, at(0), |_| running(MASTER, 2), |_| true), Some(Vec::new()));
        assert_eq!((masters.workers(), away(&masters), masters.wake_at()), (Some(4), Vec::new(), Some(at(1))));
        assert_eq!(masters.look(places, start + Duration::from_millis(900), |_| None, |_| true), None, "not yet time");
        let a_is_away = |found: &NginxPlace| running(MASTER, 2).filter(|_| *found != place("/a"));
        assert_eq!(masters.look(places, at(5), a_is_away, |_| true), Some(vec![MasterNews::Away(place("/a"))]));
        assert_eq!((masters.workers(), away(&masters)), (Some(2), vec![place("/a")]));
        assert_eq!(masters.look(places, at(10), a_is_away, |_| true), Some(Vec::new()), "said already");
        masters.look_soon(at(11));
        let back = MasterNews::Back(place("/a"), Duration::from_secs(6));
        assert_eq!(masters.look(places, at(11), |_| running(MASTER, 1), |_| true), Some(vec![back]));
        let with_c = || vec![place("/c")];
        assert_eq!(masters.look(with_c, at(16), |_| None, |_| true), Some(vec![MasterNews::Absent(place("/c"))]));
        assert_eq!(masters.look(Vec::new, at(21), |_| None, |_| true), Some(Vec::new()));
        assert_eq!((masters.workers(), away(&masters), masters.wake_at()), (None, Vec::new(), None));
    }
}
