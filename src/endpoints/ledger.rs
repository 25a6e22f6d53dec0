//! What is known of each name beside its set: the file that uses it, the `server` lines on disk with which nginx starts while nobody
//! answers, and whether the running nginx has read those lines. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::endpoints::EndpointName;
use crate::model::process::Process;
use crate::model::report::ReloadEnd;

use super::answerer::{Uptake, Worker};

use record::{NameRecord, SilenceRemedy, Use, WorkerBefore};
use workers::ServingWorkers;

mod lost;
mod record;
mod workers;

/// Time within which a reload ends.
const RELOADS_WITHIN: Duration = Duration::from_secs(120);
/// Time after a reload for which it is remembered: whoever asks is known as a worker only with its second question.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
/// Time after it within which its workers ask for the first time: they do when they start, and the reload has seen them start.
const STARTS_WITHIN: Duration = Duration::from_secs(1);
/// The same after a reload that nobody has verified: the command may end before nginx has read its files.
const READS_WITHIN: Duration = Duration::from_secs(5);
/// Time within which nginx repeats a question that has no answer: it does after five seconds.
const REPEATS_WITHIN: Duration = Duration::from_secs(7);

/// A name in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameUse {
    /// The name.
    pub name: EndpointName,
    /// What its upstreams are like.
    pub traits: UpstreamTraits,
}

/// The upstreams of a file that ask for a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTraits {
    /// Whether the methods of all of them know backups.
    pub knows_backups: bool,
    /// Number of them.
    pub upstreams: usize,
}

/// The use of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedIn {
    /// Resource in conf.d.
    pub resource: Arc<str>,
    /// Its file, or that of one of its instances.
    pub dest: PathBuf,
}

/// All names.
#[derive(Debug, Default)]
pub struct Ledger {
    /// In boxes: half of a map's room is empty if names come in order.
    names: BTreeMap<EndpointName, Box<NameRecord>>,
    /// When nginx has repeated the questions that it had asked an earlier run.
    repeated_at: Option<Instant>,
    /// Number of reloads under way: commands that do not name nginx may run beside each other.
    reloads: usize,
    /// Until when an nginx may still read its files after a reload that nobody has verified.
    reads_until: Option<Instant>,
    /// Resources whose nginx is owed a reload without the lines: further names that it asks for are in that one.
    cleaning: BTreeSet<Arc<str>>,
    workers: ServingWorkers,
}

impl Ledger {
    /// Records the names that a render of this file has. Returns whether lines with `backup` have to go from the disk before nginx reads
    /// the file.
    pub fn record(&mut self, place: &NamedIn, uses: &[NameUse], now: Instant) -> bool {
        let mut must_save = false;
        let has = |name: &EndpointName| uses.iter().any(|used| used.name == *name);
        // A file with these was refused, and is no more.
        let is_of_file = |entry: &NameRecord| entry.usage == Use::Planned && *entry.planned_place() == *place;
        let of_file = self.names.iter_mut().filter(|(_, entry)| is_of_file(entry));
        of_file.filter(|(name, _)| !has(name)).for_each(|(_, entry)| entry.usage = Use::Over);
        for NameUse { name, traits } in uses {
            let entry = self.names.entry(name.clone()).or_insert_with(|| Box::new(NameRecord::planned(place, now)));
            let knew_backups = entry.traits.common().knows_backups;
            entry.traits.planned = *traits;
            must_save |= knew_backups && !traits.knows_backups;
            if matches!(entry.usage, Use::Over | Use::Orphaned) {
                entry.usage = Use::Planned;
            }
            entry.plan_in(place);
        }
        must_save
    }

    /// Records the use of a name in an earlier run: the live file had it, or no file any more.
    pub fn remember_use(&mut self, name: &EndpointName, is_over: bool, now: Instant) {
        self.repeated_at = Some(now + REPEATS_WITHIN);
        if let Some(entry) = self.names.get_mut(name) {
            entry.usage = if is_over { Use::Over } else { Use::Live };
            entry.traits.live = Some(entry.traits.planned);
        }
    }

    /// Records the worker of an earlier run that had not read the lines on disk, and whether others had started since.
    pub fn remember_clean(&mut self, name: &EndpointName, worker: SocketAddr, is_outlived: bool) {
        if let Some(entry) = self.names.get_mut(name) {
            entry.before = WorkerBefore { clean: Some(worker), is_outlived };
        }
    }

    /// Returns whether workers have started since that worker, and have not asked for the name in time.
    pub fn is_outlived(&self, name: &EndpointName) -> bool {
        self.names.get(name).is_some_and(|entry| entry.before.is_outlived)
    }

    /// Records the workers of nginx that served in an earlier run.
    pub fn remember_workers(&mut self, workers: BTreeSet<Process>) {
        self.workers.remember(workers);
    }

    /// Returns the workers of nginx that the next run has to remember.
    pub fn workers(&self) -> &BTreeSet<Process> {
        self.workers.settled()
    }

    /// Records the workers of nginx that serve now. Returns whether the next run has to remember others.
    pub fn see_workers(&mut self, workers: BTreeSet<Process>, now: Instant) -> bool {
        let Some(since) = self.workers.see(workers, now) else { return false };
        for entry in self.names.values_mut() {
            // Those that are seen have asked within the second before.
            entry.before.is_outlived |= entry.worker.is_none_or(|worker| worker.since + STARTS_WITHIN < since);
        }
        true
    }

    /// Returns the worker that is known not to have read the lines on disk.
    pub fn clean_worker(&self, name: &EndpointName) -> Option<SocketAddr> {
        self.names.get(name)?.clean_worker()
    }

    /// Records that the live file of this destination has these names and no others. Returns whether that is new.
    pub fn went_live(&mut self, dest: &Path, names: &BTreeSet<EndpointName>, now: Instant) -> bool {
        let mut is_new = false;
        for (name, entry) in &mut self.names {
            is_new |= names.contains(name) && entry.move_to(dest);
        }
        for (name, entry) in self.names.iter_mut().filter(|(_, entry)| entry.place.dest == dest) {
            let usage = if names.contains(name) { Use::Live } else { Use::Over };
            let common = entry.traits.common();
            entry.traits.live = Some(entry.traits.planned);
            is_new |= entry.traits.common() != common;
            if entry.usage != usage {
                is_new = true;
                entry.usage = usage;
                // Nobody could ask for it before.
                entry.silent_since = entry.silent_since.map(|_| now);
            }
        }
        is_new
    }

    /// Records that a resource has these files and no others. Returns whether that is new.
    pub fn keep_files(&mut self, resource: &str, dests: &BTreeSet<&Path>) -> bool {
        let of_resource = self.names.values_mut().filter(|entry| *entry.place.resource == *resource);
        let mut is_new = false;
        for entry in of_resource.filter(|entry| !dests.contains(&*entry.planned_place().dest)) {
            is_new |= entry.usage != Use::Over;
            entry.usage = Use::Over;
        }
        is_new
    }

    /// Records which resources conf.d has. Returns whether that is new.
    pub fn keep_resources(&mut self, has: impl Fn(&str) -> bool, now: Instant) -> bool {
        self.cleaning.retain(|resource| has(resource));
        let mut is_new = false;
        for entry in self.names.values_mut() {
            let before = entry.usage;
            match (entry.usage, has(&entry.place.resource)) {
                (Use::Planned, false) => entry.usage = Use::Over,
                (Use::Live, false) => entry.usage = Use::Orphaned,
                (Use::Orphaned, true) => {
                    entry.usage = Use::Live;
                    entry.silent_since = entry.silent_since.map(|_| now);
                }
                (Use::Planned | Use::Live, true) | (Use::Orphaned, false) | (Use::Over, _) => {}
            }
            is_new |= entry.usage != before;
        }
        is_new
    }

    /// Records that the set of a name has lost endpoints. They may still be in lines that nginx has read from disk, and in use.
    pub fn lose(&mut self, name: &EndpointName, addresses: &[SocketAddr], now: Instant) {
        if let Some(entry) = self.names.get_mut(name).filter(|_| !addresses.is_empty()) {
            entry.lost.at = Some(now);
            entry.clean_at = entry.clean_at.map(|at| at.min(now));
            entry.lost.add(addresses);
        }
    }

    /// Records the endpoints that the set of a name had lost in an earlier run, and that had not drained.
    pub fn remember_lost(&mut self, name: &EndpointName, addresses: &[SocketAddr]) {
        if let Some(entry) = self.names.get_mut(name) {
            entry.lost.add(addresses);
        }
    }

    /// Returns the endpoints that the set of a name has lost and that have not drained.
    pub fn lost(&self, name: &EndpointName) -> &[SocketAddr] {
        self.names.get(name).map(|entry| &*entry.lost.undrained).unwrap_or_default()
    }

    /// Returns the same of all names of a resource.
    pub fn lost_by(&self, resource: &str) -> BTreeSet<SocketAddr> {
        let of_resource = self.names.values().filter(|entry| *entry.place.resource == *resource);
        of_resource.flat_map(|entry| &entry.lost.undrained).copied().collect()
    }

    /// Records that these endpoints of a resource have drained. Returns whether one was not known to have.
    pub fn drained(&mut self, resource: &str, addresses: &BTreeSet<SocketAddr>) -> bool {
        let mut is_new = false;
        for entry in self.names.values_mut().filter(|entry| *entry.place.resource == *resource) {
            let before = entry.lost.undrained.len();
            entry.lost.undrained.retain(|address| !addresses.contains(address));
            is_new |= entry.lost.undrained.len() < before;
        }
        is_new
    }

    /// Returns whether nginx has read a line of this name whose backend has been removed since.
    pub fn is_stale(&self, name: &EndpointName) -> bool {
        self.names.get(name).is_some_and(|entry| entry.is_stale())
    }

    /// Returns the names that no file has any more; none until nginx has had time to repeat the questions of an earlier run. `exists`
    /// says whether there is a file.
    pub fn unused(&self, exists: impl Fn(&Path) -> bool, now: Instant) -> Vec<EndpointName> {
        if self.repeated_at.is_some_and(|at| now < at) {
            return Vec::new();
        }
        let is_unused = |entry: &NameRecord| match entry.usage {
            Use::Over => true,
            Use::Orphaned => !exists(&entry.place.dest),
            Use::Planned | Use::Live => false,
        };
        self.names.iter().filter(|(_, entry)| is_unused(entry)).map(|(name, _)| name.clone()).collect()
    }

    /// Forgets a name.
    pub fn forget(&mut self, name: &EndpointName) {
        self.names.remove(name);
    }

    /// Records the newest worker that asks for a name, and whether somebody asks. Returns whether another worker is clean now.
    pub fn look(&mut self, name: &EndpointName, progress: (Option<Worker>, Uptake), now: Instant) -> bool {
        let Some(entry) = self.names.get_mut(name) else { return false };
        entry.look(progress, (&self.cleaning, &self.workers), now)
    }

    /// Does that for all names.
    pub fn look_at_all(&mut self, progress: impl Fn(&EndpointName) -> (Option<Worker>, Uptake), now: Instant) -> bool {
        let mut is_new = false;
        for (name, entry) in &mut self.names {
            is_new |= entry.look(progress(name), (&self.cleaning, &self.workers), now);
        }
        is_new
    }

    /// Begins a reload of nginx. The lines of names that somebody asks for are withheld from the disk, whichever group is reloaded: the
    /// new workers read the files of all. They have none of the lines, and get the peers from the old workers.
    pub fn begin_reload(&mut self, is_asked: impl Fn(&EndpointName) -> bool, now: Instant) {
        self.reloads += 1;
        for (name, entry) in &mut self.names {
            entry.clean.retain(|during| *during.end() + REMEMBERED_FOR > now);
            // One before it may not have ended yet.
            entry.clean_until(now);
            // Old workers hand over the peers of names that they have, too.
            let is_withheld = entry.usage == Use::Live && is_asked(name);
            entry.withheld_until = is_withheld.then(|| now + RELOADS_WITHIN);
            entry.clean.reserve_exact(1);
            entry.clean.extend(entry.withheld_until.map(|until| now..=until));
        }
    }

    /// Ends a reload: all lines belong on disk again, at once or when nginx has read its files. `is_concerned` says for which resources it
    /// was.
    pub fn end_reload(&mut self, is_concerned: impl Fn(&str) -> bool, end: ReloadEnd, now: Instant) {
        let (clean_until, back_at) = match end {
            // Whoever else reloads nginx in this time starts workers, too: they must find none of the lines.
            ReloadEnd::Verified => (now + STARTS_WITHIN, Some(now + STARTS_WITHIN)),
            ReloadEnd::Nothing => (now, None),
            ReloadEnd::Unverified | ReloadEnd::Failed => (now + READS_WITHIN, Some(now + READS_WITHIN)),
        };
        self.cleaning.retain(|resource| !is_concerned(resource));
        self.reloads = self.reloads.saturating_sub(1);
        self.reads_until = self.reads_until.max(back_at).filter(|at| *at > now);
        let (is_last, reads_until) = (self.reloads == 0, self.reads_until);
        let has_ended = matches!(end, ReloadEnd::Verified | ReloadEnd::Unverified);
        for entry in self.names.values_mut() {
            if has_ended && entry.remedy == SilenceRemedy::Owed && is_concerned(&entry.place.resource) {
                entry.remedy = SilenceRemedy::Reloaded;
                entry.silent_since = entry.silent_since.map(|_| now);
            }
            if is_last {
                entry.clean_until(reads_until.map_or(clean_until, |at| at.max(clean_until)));
                entry.withheld_until = entry.withheld_until.and(reads_until);
            }
        }
    }

    /// Puts all lines back, whatever is under way: nobody will do it later.
    pub fn put_all_back(&mut self, now: Instant) {
        (self.reloads, self.reads_until) = (0, None);
        self.end_reload(|_| false, ReloadEnd::Nothing, now);
    }

    /// Puts those lines back that were off the disk for long enough. Returns whether there are any.
    pub fn put_back(&mut self, now: Instant) -> bool {
        let mut is_new = false;
        for entry in self.names.values_mut() {
            is_new |= entry.withheld_until.take_if(|until| *until <= now).is_some();
        }
        is_new
    }

    /// Returns the resources whose nginx has read lines from disk that it needs no longer, once for each worker that has.
    pub fn to_clean(&mut self, asks: impl Fn(&EndpointName) -> bool, now: Instant) -> BTreeSet<Arc<str>> {
        let due = self.names.iter().filter(|(_, entry)| entry.clean_at().is_some_and(|at| at <= now));
        let due = due.filter(|(name, _)| asks(name));
        let found: BTreeSet<Arc<str>> = due.map(|(_, entry)| Arc::clone(&entry.place.resource)).collect();
        // One reload is for all names of a resource.
        for entry in self.names.values_mut().filter(|entry| found.contains(&entry.place.resource)) {
            entry.clean_at = None;
        }
        self.cleaning.extend(found.iter().cloned());
        found
    }

    /// Returns the resources with live names for which nobody has asked for a while although their nginx `runs`, and whether it was
    /// reloaded because of that already. Each is returned again only the same time after that reload.
    pub fn take_silent(&mut self, runs: impl Fn(&str) -> bool, now: Instant) -> BTreeMap<Arc<str>, bool> {
        let mut found = BTreeMap::new();
        let is_silent =
            |entry: &NameRecord| entry.silent_at().is_some_and(|at| at <= now) && runs(&entry.place.resource);
        for entry in self.names.values_mut().filter(|entry| is_silent(entry)) {
            let was_reloaded = entry.remedy == SilenceRemedy::Reloaded;
            *found.entry(Arc::clone(&entry.place.resource)).or_insert(was_reloaded) &= was_reloaded;
            entry.silent_since = Some(now);
            if !was_reloaded {
                entry.remedy = SilenceRemedy::Owed;
            }
        }
        found
    }

    /// Returns when something may be due.
    pub fn wake_at(&self, now: Instant) -> Option<Instant> {
        self.names.values().filter_map(|entry| entry.wake_at(now)).min()
    }

    /// Returns whether no file has a name any more.
    pub fn is_over(&self, name: &EndpointName) -> bool {
        self.names.get(name).is_some_and(|entry| entry.usage == Use::Over)
    }

    /// Returns whether the file that has a name was never live.
    pub fn is_planned(&self, name: &EndpointName) -> bool {
        self.names.get(name).is_some_and(|entry| entry.usage == Use::Planned)
    }

    /// Returns the names, each with its file and what suits its upstreams, live and planned.
    pub fn names(&self) -> impl Iterator<Item = (&EndpointName, &NamedIn, UpstreamTraits)> {
        self.names.iter().map(|(name, entry)| (name, &entry.place, entry.traits.common()))
    }

    /// Returns what suits the upstreams that ask for a name, live and planned.
    pub fn traits(&self, name: &EndpointName) -> UpstreamTraits {
        self.names
            .get(name)
            .map_or(UpstreamTraits { knows_backups: false, upstreams: 1 }, |entry| entry.traits.common())
    }

    /// Returns the names in live files, each with its file.
    pub fn live_names(&self) -> impl Iterator<Item = (&EndpointName, &NamedIn)> {
        let live = self.names.iter().filter(|(_, entry)| entry.usage == Use::Live);
        live.map(|(name, entry)| (name, &entry.place))
    }

    /// Returns whether the lines of a name belong on disk.
    pub fn wants_lines(&self, name: &EndpointName) -> bool {
        self.names.get(name).is_some_and(|entry| entry.withheld_until.is_none())
    }
}

#[cfg(test)]
mod tests;
