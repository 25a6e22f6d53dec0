//! What is known of each name beside its set: the file that uses it, the `server` lines on disk with which nginx starts while nobody
//! answers, and whether the running nginx has read those lines. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::endpoints::{Endpoint, EndpointName, SILENT_AFTER_SECONDS};

use super::answerer::{Uptake, Worker};

/// Time from the first answer of a worker until nginx is reloaded without the lines on disk: further names may follow.
const CLEAN_AFTER: Duration = Duration::from_secs(5);
/// Time within which a reload ends.
const RELOADS_WITHIN: Duration = Duration::from_secs(120);
/// Time after it within which its workers ask for the first time: they do when they start, and the reload has seen them start.
const STARTS_WITHIN: Duration = Duration::from_secs(1);
/// Time without a question after which nginx is taken for one that does not ask.
const SILENT_AFTER: Duration = Duration::from_secs(SILENT_AFTER_SECONDS);

/// A name in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameUse {
    /// The name.
    pub name: EndpointName,
    /// Whether its upstream's method knows backups.
    pub knows_backups: bool,
}

/// Where a name is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedIn {
    /// Resource in conf.d.
    pub resource: Arc<str>,
    /// Its file, or that of one of its instances.
    pub dest: PathBuf,
}

/// Whether a live file has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// A render has it that is not live yet.
    Planned,
    /// The live file has it.
    Live,
    /// No file has it any more; old workers may still ask.
    Over,
}

/// One name.
#[derive(Debug)]
struct NameRecord {
    place: NamedIn,
    knows_backups: bool,
    usage: Use,
    /// Whether its lines are off the disk right now, because nginx is being reloaded and has the set.
    is_withheld: bool,
    /// Until when a new worker is one that has not read the lines.
    clean_until: Option<Instant>,
    /// The newest worker, and since when it is known.
    worker: Option<(Worker, Instant)>,
    /// Whether that worker has read the lines on disk: they stay in it until a reload.
    has_lines: bool,
    /// Whether one of those lines names a backend that has been removed since.
    is_stale: bool,
    /// The worker of an earlier run of ours that had not read them.
    known_clean: Option<SocketAddr>,
    /// Since when nobody asks.
    silent_since: Option<Instant>,
    /// Whether nginx has been reloaded because of that.
    was_reloaded: bool,
}

/// All names.
#[derive(Debug, Default)]
pub struct Ledger {
    names: BTreeMap<EndpointName, NameRecord>,
}

impl Ledger {
    /// Records the names that a render of this file has.
    pub fn record(&mut self, place: &NamedIn, uses: &[NameUse], now: Instant) {
        for NameUse { name, knows_backups } in uses {
            let entry = self.names.entry(name.clone()).or_insert_with(|| NameRecord {
                place: place.clone(),
                knows_backups: *knows_backups,
                usage: Use::Planned,
                is_withheld: false,
                clean_until: None,
                worker: None,
                has_lines: false,
                is_stale: false,
                known_clean: None,
                silent_since: Some(now),
                was_reloaded: false,
            });
            entry.knows_backups = *knows_backups;
            if entry.usage == Use::Over {
                entry.usage = Use::Planned;
            }
            if entry.place != *place {
                entry.place = place.clone();
            }
        }
    }

    /// Records that all names are in live files: those of an earlier run were.
    pub fn all_live(&mut self) {
        self.names.values_mut().for_each(|entry| entry.usage = Use::Live);
    }

    /// Records the worker of an earlier run that had not read the lines on disk.
    pub fn remember_clean(&mut self, name: &EndpointName, worker: SocketAddr) {
        if let Some(entry) = self.names.get_mut(name) {
            entry.known_clean = Some(worker);
        }
    }

    /// Returns the worker that is known not to have read the lines on disk.
    pub fn clean_worker(&self, name: &EndpointName) -> Option<SocketAddr> {
        let entry = self.names.get(name)?;
        entry.worker.filter(|_| !entry.has_lines).map(|(worker, _)| worker.address)
    }

    /// Records that the live file of this destination has these names and no others.
    pub fn went_live(&mut self, dest: &Path, names: &BTreeSet<EndpointName>) {
        for (name, entry) in self.names.iter_mut().filter(|(_, entry)| entry.place.dest == dest) {
            entry.usage = if names.contains(name) { Use::Live } else { Use::Over };
        }
    }

    /// Records that the set of a name has lost an endpoint. It may still be in lines that nginx has read from disk.
    pub fn lost_endpoint(&mut self, name: &EndpointName) {
        if let Some(entry) = self.names.get_mut(name) {
            entry.is_stale |= entry.has_lines;
        }
    }

    /// Returns whether nginx has read a line of this name whose backend has been removed since.
    pub fn is_stale(&self, name: &EndpointName) -> bool {
        self.names.get(name).is_some_and(|entry| entry.is_stale)
    }

    /// Returns the names that no file has any more.
    pub fn unused(&self) -> Vec<EndpointName> {
        self.names.iter().filter(|(_, entry)| entry.usage == Use::Over).map(|(name, _)| name.clone()).collect()
    }

    /// Forgets a name.
    pub fn forget(&mut self, name: &EndpointName) {
        self.names.remove(name);
    }

    /// Records the newest worker that asks for a name, and whether somebody asks.
    pub fn look(&mut self, name: &EndpointName, worker: Option<Worker>, uptake: Uptake, now: Instant) {
        let Some(entry) = self.names.get_mut(name) else { return };
        if uptake == Uptake::Unasked {
            entry.silent_since.get_or_insert(now);
        } else {
            (entry.silent_since, entry.was_reloaded) = (None, false);
        }
        let Some(worker) = worker.filter(|worker| entry.worker.is_none_or(|(known, _)| known != *worker)) else {
            return;
        };
        let is_known_clean = entry.worker.is_none() && entry.known_clean.take() == Some(worker.address);
        entry.worker = Some((worker, now));
        entry.is_stale = false;
        entry.has_lines = !is_known_clean && entry.clean_until.is_none_or(|until| until < now);
    }

    /// Begins a reload of the nginx of these resources. The lines of names that it asks for are withheld from the disk, so that the new
    /// workers have none of them; those workers get the peers from the old ones.
    pub fn begin_reload(
        &mut self,
        is_of: impl Fn(&str) -> bool,
        is_asked: impl Fn(&EndpointName) -> bool,
        now: Instant,
    ) {
        for (name, entry) in self.names.iter_mut().filter(|(_, entry)| is_of(&entry.place.resource)) {
            // Old workers hand over the peers of names that they have, too.
            entry.is_withheld = entry.usage == Use::Live && is_asked(name);
            entry.clean_until = entry.is_withheld.then(|| now + RELOADS_WITHIN);
        }
    }

    /// Ends a reload: all lines belong on disk again.
    pub fn end_reload(&mut self, is_of: impl Fn(&str) -> bool, now: Instant) {
        for entry in self.names.values_mut().filter(|entry| is_of(&entry.place.resource)) {
            if std::mem::take(&mut entry.is_withheld) {
                entry.clean_until = Some(now + STARTS_WITHIN);
            }
        }
    }

    /// Returns the resources whose nginx has read lines from disk that it needs no longer, each at most every five seconds.
    pub fn to_clean(&mut self, has_taken: impl Fn(&EndpointName) -> bool, now: Instant) -> BTreeSet<Arc<str>> {
        let mut found = BTreeSet::new();
        for (name, entry) in &mut self.names {
            if entry.usage == Use::Live && entry.clean_at().is_some_and(|at| at <= now) && has_taken(name) {
                found.insert(Arc::clone(&entry.place.resource));
                // Should the reload fail, the next attempt has time.
                let next = now + if entry.is_stale { CLEAN_AFTER } else { Duration::ZERO };
                entry.worker.iter_mut().for_each(|(_, since)| *since = next);
            }
        }
        found
    }

    /// Returns the resources with live names for which nobody has asked for a while although their nginx `runs`, and whether it was
    /// reloaded because of that already. Each is returned again only after the same time.
    pub fn take_silent(&mut self, runs: impl Fn(&str) -> bool, now: Instant) -> BTreeMap<Arc<str>, bool> {
        let mut found = BTreeMap::new();
        let is_silent =
            |entry: &NameRecord| entry.silent_at().is_some_and(|at| at <= now) && runs(&entry.place.resource);
        for entry in self.names.values_mut().filter(|entry| is_silent(entry)) {
            let was_reloaded = found.entry(Arc::clone(&entry.place.resource)).or_insert(entry.was_reloaded);
            *was_reloaded &= entry.was_reloaded;
            (entry.silent_since, entry.was_reloaded) = (Some(now), true);
        }
        found
    }

    /// Returns when something may be due.
    pub fn wake_at(&self, now: Instant) -> Option<Instant> {
        let times = self.names.values().flat_map(|entry| [entry.clean_at(), entry.silent_at()]);
        times.flatten().filter(|at| *at > now).min()
    }

    /// Returns the names, each with its file and whether its method knows backups.
    pub fn names(&self) -> impl Iterator<Item = (&EndpointName, &NamedIn, bool)> {
        self.names.iter().map(|(name, entry)| (name, &entry.place, entry.knows_backups))
    }

    /// Returns the names in the live files of a resource.
    pub fn names_of(&self, resource: &str) -> impl Iterator<Item = &EndpointName> {
        let is_of = move |entry: &NameRecord| &*entry.place.resource == resource && entry.usage == Use::Live;
        self.names.iter().filter(move |(_, entry)| is_of(entry)).map(|(name, _)| name)
    }

    /// Returns the lines that belong on disk for a name with these endpoints; `None` if none do.
    pub fn lines(&self, name: &EndpointName, endpoints: &[Endpoint]) -> Option<String> {
        let entry = self.names.get(name).filter(|entry| !entry.is_withheld && !endpoints.is_empty())?;
        let line = |endpoint: &Endpoint| {
            let weight = if endpoint.weight == 1 { String::new() } else { format!(" weight={}", endpoint.weight) };
            let backup = if entry.knows_backups { " backup" } else { "" };
            format!("server {}{weight}{backup};\n", endpoint.address)
        };
        Some(endpoints.iter().map(line).collect())
    }
}

impl NameRecord {
    fn clean_at(&self) -> Option<Instant> {
        let pause = if self.is_stale { Duration::ZERO } else { CLEAN_AFTER };
        self.worker.filter(|_| self.has_lines && self.usage == Use::Live).map(|(_, since)| since + pause)
    }

    fn silent_at(&self) -> Option<Instant> {
        self.silent_since.filter(|_| self.usage == Use::Live).map(|since| since + SILENT_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> EndpointName {
        EndpointName::new("web-1")
    }

    fn worker(number: u64) -> Worker {
        Worker { number, address: SocketAddr::from(([127, 0, 0, 1], 4000 + number as u16)) }
    }

    struct Walk {
        ledger: Ledger,
        now: Instant,
    }

    impl Walk {
        fn new() -> Walk {
            let (mut ledger, now) = (Ledger::default(), Instant::now());
            let place = NamedIn { resource: "a.toml".into(), dest: "/a".into() };
            ledger.record(&place, &[NameUse { name: name(), knows_backups: true }], now);
            ledger.went_live(Path::new("/a"), &BTreeSet::from([name()]));
            Walk { ledger, now }
        }

        fn pass(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }

        fn asks(&mut self, number: u64) {
            self.ledger.look(&name(), Some(worker(number)), Uptake::Taken, self.now);
        }

        fn must_clean(&mut self) -> bool {
            !self.ledger.to_clean(|_| true, self.now).is_empty()
        }

        fn reload(&mut self, has_taken: bool) {
            self.ledger.begin_reload(|name| name == "a.toml", |_| has_taken, self.now);
        }

        fn lines(&self) -> Option<String> {
            let endpoint = |text: &str, weight| Endpoint { address: text.parse().unwrap(), weight, is_backup: false };
            self.ledger.lines(&name(), &[endpoint("10.0.0.1:80", 1), endpoint("[2001:db8::1]:80", 3)])
        }
    }

    #[test]
    fn nginx_that_started_from_disk_is_reloaded_once_without_the_lines() {
        let mut walk = Walk::new();
        assert_eq!(walk.lines().unwrap(), "server 10.0.0.1:80 backup;\nserver [2001:db8::1]:80 weight=3 backup;\n");
        walk.asks(1);
        assert!(!walk.must_clean());
        assert_eq!(walk.ledger.wake_at(walk.now), Some(walk.now + CLEAN_AFTER));
        walk.pass(5);
        assert!(walk.ledger.to_clean(|_| false, walk.now).is_empty(), "it has no other peers yet");
        assert!(walk.must_clean());
        assert!(!walk.must_clean(), "the reload has time");
        walk.reload(true);
        assert_eq!(walk.lines(), None);
        walk.ledger.end_reload(|name| name == "a.toml", walk.now);
        assert!(walk.lines().is_some());
        walk.asks(2);
        walk.pass(100);
        assert!(!walk.must_clean());
        // A reload of somebody else.
        walk.asks(3);
        walk.pass(5);
        assert!(walk.must_clean());
    }

    #[test]
    fn a_reload_before_nginx_has_the_set_leaves_the_lines() {
        let mut walk = Walk::new();
        walk.reload(false);
        assert!(walk.lines().is_some());
        walk.asks(1);
        walk.pass(5);
        assert!(walk.must_clean());
    }

    #[test]
    fn a_removed_backend_in_the_lines_that_nginx_has_read_is_urgent() {
        let mut walk = Walk::new();
        walk.ledger.lost_endpoint(&name());
        assert!(!walk.ledger.is_stale(&name()), "no worker has read anything");
        walk.asks(1);
        walk.ledger.lost_endpoint(&name());
        assert!(walk.ledger.is_stale(&name()) && walk.must_clean() && !walk.must_clean());
        walk.pass(5);
        assert!(walk.must_clean(), "the reload has failed");
        walk.reload(true);
        walk.asks(2);
        assert!(!walk.ledger.is_stale(&name()));
    }

    #[test]
    fn a_restart_of_ours_remembers_a_clean_worker() {
        let mut walk = Walk::new();
        walk.ledger.remember_clean(&name(), worker(1).address);
        walk.asks(1);
        walk.pass(9);
        assert!(!walk.must_clean());
        assert_eq!(walk.ledger.clean_worker(&name()), Some(worker(1).address));
        let mut other = Walk::new();
        other.ledger.remember_clean(&name(), worker(7).address);
        other.asks(1);
        other.pass(9);
        assert!(other.must_clean());
        assert_eq!(other.ledger.clean_worker(&name()), None);
    }

    #[test]
    fn a_file_whose_names_nobody_asks_for_is_known() {
        let mut walk = Walk::new();
        let silent = |walk: &mut Walk| walk.ledger.take_silent(|_| true, walk.now).get("a.toml").copied();
        walk.pass(15);
        assert!(walk.ledger.take_silent(|resource| resource != "a.toml", walk.now).is_empty(), "its nginx is down");
        assert_eq!(silent(&mut walk), Some(false));
        assert_eq!(silent(&mut walk), None, "the reload has time");
        walk.pass(15);
        assert_eq!(silent(&mut walk), Some(true));
        walk.asks(1);
        walk.ledger.look(&name(), Some(worker(1)), Uptake::Unasked, walk.now);
        walk.pass(14);
        assert_eq!(silent(&mut walk), None);
        walk.pass(1);
        assert_eq!(silent(&mut walk), Some(false));
        walk.pass(15);
        walk.ledger.went_live(Path::new("/a"), &BTreeSet::new());
        assert_eq!(silent(&mut walk), None);
        assert_eq!(walk.ledger.unused(), [name()]);
    }
}
