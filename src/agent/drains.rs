//! The changes that removed backends, until nginx has no connection to these any more: one long connection to another backend
//! holds none of them up. Pure: the caller lists connections and says which processes live.
//!
//! Nothing tells a connection that idles in nginx's pool from a quiet one in use, such as a WebSocket: to the kernel both last
//! received something a while ago. So each connection counts for as long as it is open. Workers that are shutting down keep no idle
//! ones; the others close them after the `keepalive_timeout` of the upstream.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::endpoints::taken::TakenAnswers;
use crate::model::connection::BackendConnection;
use crate::model::key::Revision;
use crate::model::process::Process;

use super::reloads::Drained;

/// Least pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// Least pause before a look that has to confirm that there is no connection.
const CONFIRMING_PAUSE: Duration = Duration::from_millis(100);
/// Pause after a look, in times of what it cost: among very many sockets looks are rarer.
const REST: u32 = 20;
/// Most changes that are watched for themselves at a time.
const MAX_OPEN: usize = 1024;

/// The changes whose removed backends may still be in use.
#[derive(Debug, Default)]
pub struct Drains {
    open: BTreeMap<u64, Drain>,
    /// Number of changes so far.
    count: u64,
    next_look: Option<Instant>,
}

#[derive(Debug)]
struct Drain {
    removal: BackendRemoval,
    /// Whether nginx may still choose the backends: it has to take the change first.
    is_untaken: bool,
    /// Whether the last look found no connection. Two looks have to agree: an old worker may retry a request.
    was_unused: bool,
}

/// A change of one resource that removed backends.
#[derive(Clone, Debug)]
pub struct BackendRemoval {
    /// Name of the resource.
    pub resource: Arc<str>,
    /// Store revision that was applied.
    pub revision: Revision,
    /// Addresses of the backends.
    pub addresses: BTreeSet<SocketAddr>,
    /// Processes that may still use them.
    pub users: Users,
    /// Time of the change.
    pub since: Instant,
    /// Serial of the answers that have the change.
    pub answers: u64,
}

/// The processes whose connections count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Users {
    /// Old workers after a reload. The others may use the backends for another resource.
    OldWorkers {
        /// Number of the reload.
        reload: u64,
        /// Those that were leaving after it.
        workers: BTreeSet<Process>,
    },
    /// All workers: nginx takes the change without a reload, or its new workers inherit what it knows.
    AllWorkers,
}

/// The connections to look for.
#[derive(Debug, PartialEq, Eq)]
pub struct Sought {
    /// Addresses of removed backends.
    pub addresses: BTreeSet<SocketAddr>,
    /// Old workers.
    pub workers: BTreeSet<Process>,
    /// Whether to look at all other workers too.
    pub all_workers: bool,
}

/// A change whose removed backends are no longer in use.
#[derive(Debug, PartialEq, Eq)]
pub struct DrainEnd {
    /// Number of its reload, if it was one.
    pub reload: Option<u64>,
    /// Addresses of the backends.
    pub addresses: BTreeSet<SocketAddr>,
    /// The change.
    pub drained: Drained,
}

impl Drains {
    /// Returns whether no further change can be watched for itself.
    pub fn is_full(&self) -> bool {
        self.open.len() >= MAX_OPEN
    }

    /// Records a change. Returns its number. One that nginx has to take counts from then on. The first of a resource that waits for that
    /// does not wait for those after it, which are one.
    pub fn add(&mut self, removal: BackendRemoval, now: Instant) -> u64 {
        let is_untaken = removal.users == Users::AllWorkers;
        let of_resource = |open: &Drain| open.is_taken_for(&removal.resource);
        let waiting = self.open.values().filter(|open| open.is_untaken && of_resource(open)).count();
        let is_joined = is_untaken && (waiting > 1 || self.is_full());
        if let Some((number, open)) = self.open.iter_mut().rev().find(|(_, open)| is_joined && of_resource(open)) {
            open.removal.addresses.extend(removal.addresses);
            (open.removal.revision, open.removal.answers) = (removal.revision, removal.answers);
            (open.is_untaken, open.was_unused) = (true, false);
            return *number;
        }
        self.count += 1;
        self.open.insert(self.count, Drain { removal, is_untaken, was_unused: false });
        if !is_untaken {
            self.look_soon(now);
        }
        self.count
    }

    /// Returns whether a change waits until nginx has taken it.
    pub fn awaits_nginx(&self) -> bool {
        self.open.values().any(|drain| drain.is_untaken)
    }

    /// Records what nginx has taken of the answers.
    pub fn taken(&mut self, taken: &TakenAnswers, now: Instant) {
        let mut is_news = false;
        for drain in self.open.values_mut().filter(|drain| drain.is_untaken) {
            drain.is_untaken = !taken.has(&drain.removal.resource, drain.removal.answers);
            is_news |= !drain.is_untaken;
        }
        if is_news {
            self.look_soon(now);
        }
    }

    fn look_soon(&mut self, now: Instant) {
        self.next_look = Some(self.next_look.map_or(now, |at| at.min(now + PAUSE)));
    }

    /// Returns whether the change of this number is over.
    pub fn is_over(&self, number: u64) -> bool {
        !self.open.contains_key(&number)
    }

    /// Returns whether the changes of a resource that nginx has to take are over, up to this number.
    pub fn are_over(&self, resource: &str, number: u64) -> bool {
        !self.open.range(..=number).any(|(_, drain)| drain.is_taken_for(resource))
    }

    /// Returns the number of the last change of a resource that nginx has to take and that is not over.
    pub fn last_open(&self, resource: &str) -> Option<u64> {
        self.open.iter().rfind(|(_, drain)| drain.is_taken_for(resource)).map(|(number, _)| *number)
    }

    /// Returns what to look for, if it is time for that.
    pub fn sought(&self, now: Instant) -> Option<Sought> {
        self.next_look.filter(|at| *at <= now)?;
        let mut sought = Sought { addresses: BTreeSet::new(), workers: BTreeSet::new(), all_workers: false };
        for Drain { removal, .. } in self.open.values().filter(|drain| !drain.is_untaken) {
            sought.addresses.extend(&removal.addresses);
            match &removal.users {
                Users::OldWorkers { workers, .. } => sought.workers.extend(workers),
                Users::AllWorkers => sought.all_workers = true,
            }
        }
        Some(sought)
    }

    /// Evaluates a look that took `cost` of the processor's time; `found` is `None` if connections cannot be seen. Workers that stay
    /// may use what is `in_service` again, or for another resource. Returns the changes that have drained,
    /// except those whose old workers have all ended: `Reloads` reports these.
    pub fn take(
        &mut self,
        found: Option<&[BackendConnection]>,
        in_service: &BTreeSet<SocketAddr>,
        cost: Duration,
        now: Instant,
        is_alive: impl Fn(Process) -> bool,
    ) -> Vec<DrainEnd> {
        let mut ended = Vec::new();
        self.open.retain(|_, drain| {
            if drain.is_untaken {
                return true;
            }
            let removal = &mut drain.removal;
            if let Users::OldWorkers { workers, .. } = &mut removal.users {
                workers.retain(|worker| is_alive(*worker));
                if workers.is_empty() {
                    return false;
                }
            }
            let is_unused =
                found.is_some_and(|found| !found.iter().any(|connection| removal.is_used_by(connection, in_service)));
            let was_unused = std::mem::replace(&mut drain.was_unused, is_unused);
            if is_unused && was_unused {
                ended.push(removal.end(now));
            }
            !(is_unused && was_unused)
        });
        let has_to_confirm = self.open.values().any(|drain| drain.was_unused);
        let pause = if has_to_confirm { CONFIRMING_PAUSE } else { PAUSE };
        self.next_look = self.open.values().any(|drain| !drain.is_untaken).then(|| now + pause.max(cost * REST));
        ended
    }

    /// Returns when to look next.
    pub fn wake_at(&self) -> Option<Instant> {
        self.next_look
    }
}

impl Drain {
    /// Returns whether this is a change of a resource that nginx has to take.
    fn is_taken_for(&self, resource: &str) -> bool {
        self.removal.users == Users::AllWorkers && *self.removal.resource == *resource
    }
}

impl BackendRemoval {
    fn is_used_by(&self, connection: &BackendConnection, in_service: &BTreeSet<SocketAddr>) -> bool {
        let may_be_owner = |workers: &BTreeSet<Process>| connection.owner.is_none_or(|owner| workers.contains(&owner));
        let is_user = match &self.users {
            Users::OldWorkers { workers, .. } => may_be_owner(workers),
            Users::AllWorkers => !in_service.contains(&connection.remote),
        };
        is_user && self.addresses.contains(&connection.remote)
    }

    fn end(&self, now: Instant) -> DrainEnd {
        let reload = match self.users {
            Users::OldWorkers { reload, .. } => Some(reload),
            Users::AllWorkers => None,
        };
        let (resources, revision) = (vec![Arc::clone(&self.resource)], self.revision);
        let drained = Drained { resources, revision, after: now.duration_since(self.since) };
        DrainEnd { reload, addresses: self.addresses.clone(), drained }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "10.0.0.1:80";
    const B: &str = "10.0.0.2:80";

    fn worker(pid: i32) -> Process {
        Process { pid, start_time: 1 }
    }

    fn connection(owner: Option<i32>, remote: &str) -> BackendConnection {
        BackendConnection { owner: owner.map(worker), remote: remote.parse().unwrap() }
    }

    fn removal(revision: i64, addresses: &[&str], users: Users, since: Instant) -> BackendRemoval {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        BackendRemoval { resource: "web".into(), revision: Revision(revision), addresses, users, since, answers: 0 }
    }

    fn old(reload: u64, workers: &[i32]) -> Users {
        Users::OldWorkers { reload, workers: workers.iter().map(|pid| worker(*pid)).collect() }
    }

    /// Looks again and again after a change that removed A. What each look finds is a word: `10A20B` are a connection of worker 10
    /// to A and one of worker 20 to B, `?A` is one to A of nobody knows whom, `-` is nothing, and `x` means that connections cannot
    /// be seen. Checks after which look the change has drained, counted from 1.
    #[track_caller]
    fn check(users: Users, looks: &str, expected: Option<usize>) {
        let mut now = Instant::now();
        let mut drains = Drains::default();
        let number = drains.add(removal(7, &[A], users, now), now);
        drains.taken(&TakenAnswers::default(), now);
        let mut drained_at = None;
        for (look, word) in looks.split(' ').enumerate() {
            now = drains.wake_at().unwrap_or(now);
            let found: Vec<BackendConnection> = word
                .split_inclusive(['A', 'B'])
                .filter(|part| *part != "-")
                .map(|part| connection(part[..part.len() - 1].parse().ok(), if part.ends_with('A') { A } else { B }))
                .collect();
            let found = (word != "x").then_some(found);
            let ended = drains.take(found.as_deref(), &BTreeSet::new(), Duration::ZERO, now, |_| true);
            drained_at = drained_at.or((!ended.is_empty()).then_some(look + 1));
            assert_eq!(drains.is_over(number), drained_at.is_some());
        }
        assert_eq!(drained_at, expected, "{looks}");
    }

    #[test]
    fn a_change_has_drained_after_two_looks_without_a_connection() {
        for (looks, expected) in [
            ("- -", Some(2)),
            ("10A - -", Some(3)),
            ("- 10A - -", Some(4)),
            ("10A10B 10B 10B", Some(3)),
            ("20A 20A", Some(2)),
            ("10A 10A 10A 10A", None),
            ("?A ?A ?A ?A", None),
            ("?B ?B", Some(2)),
            ("x x x x", None),
            ("- x - -", Some(4)),
        ] {
            check(old(1, &[10]), looks, expected);
        }
        check(Users::AllWorkers, "20A 20B -", Some(3));
        check(Users::AllWorkers, "20A ?A x - -", Some(5));
    }

    #[test]
    fn the_end_of_the_old_workers_ends_it_without_a_word() {
        let now = Instant::now();
        let mut drains = Drains::default();
        let number = drains.add(removal(7, &[A], old(1, &[10, 11]), now), now);
        assert_eq!(drains.take(None, &BTreeSet::new(), Duration::ZERO, now, |worker| worker.pid == 11), []);
        assert!(!drains.is_over(number));
        assert_eq!(drains.take(None, &BTreeSet::new(), Duration::ZERO, now, |_| false), []);
        assert!(drains.is_over(number) && drains.wake_at().is_none());
    }

    #[test]
    fn changes_are_looked_for_together_at_a_pace_that_the_cost_sets() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut drains = Drains::default();
        assert_eq!((drains.sought(start), drains.wake_at()), (None, None));
        drains.add(removal(7, &[A], old(1, &[10]), start), start);
        drains.add(removal(8, &[B], Users::AllWorkers, start), start);
        drains.taken(&TakenAnswers::default(), start);
        let addresses = [A, B].map(|address| address.parse().unwrap()).into();
        assert_eq!(
            drains.sought(start),
            Some(Sought { addresses, workers: [worker(10)].into(), all_workers: true }),
            "the first look is at once"
        );
        let to_b = [connection(Some(20), B)];
        assert_eq!(drains.take(Some(&to_b), &BTreeSet::new(), Duration::from_millis(1), start, |_| true), []);
        assert_eq!((drains.sought(at(99)), drains.wake_at()), (None, Some(at(100))), "soon, to confirm it");
        let ended = drains.take(Some(&to_b), &BTreeSet::new(), Duration::from_millis(1), at(100), |_| true);
        let drained = Drained { resources: vec!["web".into()], revision: Revision(7), after: at(100) - start };
        assert_eq!(ended, [DrainEnd { reload: Some(1), addresses: [A.parse().unwrap()].into(), drained }]);
        assert_eq!((drains.wake_at(), drains.sought(at(350)).unwrap().workers), (Some(at(350)), BTreeSet::new()));
        drains.take(Some(&to_b), &BTreeSet::new(), Duration::from_millis(50), at(350), |_| true);
        assert_eq!(drains.wake_at(), Some(at(1350)), "the look took long");
        let more = |address: &str, users: Users| removal(9, &[address], users, start);
        let last = (1..MAX_OPEN).map(|_| drains.add(more(A, old(2, &[10])), at(360))).last();
        assert_eq!(drains.wake_at(), Some(at(610)), "a new change is looked at soon");
        assert!(drains.is_full() && last == Some(MAX_OPEN as u64 + 1));
        assert_eq!(drains.add(more("10.0.0.3:80", Users::AllWorkers), at(360)), 2, "it is part of the one before");
    }

    #[test]
    fn what_nginx_has_to_take_counts_from_then_on() {
        let now = Instant::now();
        let mut drains = Drains::default();
        let add = |drains: &mut Drains, answers: u64, address: &str| {
            drains.add(BackendRemoval { answers, ..removal(7, &[address], Users::AllWorkers, now) }, now)
        };
        let take = |drains: &mut Drains, resource: &str, first_untaken: u64| {
            let mut taken = TakenAnswers::default();
            taken.lack(&resource.into(), first_untaken);
            drains.taken(&taken, now);
        };
        let look = |drains: &mut Drains, found: &[BackendConnection], in_service: &[&str]| {
            let in_service = in_service.iter().map(|address| address.parse().unwrap()).collect();
            drains.take(Some(found), &in_service, Duration::ZERO, now, |_| true).len()
        };
        let first = add(&mut drains, 1, A);
        let second = add(&mut drains, 2, "10.0.0.3:80");
        assert_ne!(first, second, "the first is taken without the second");
        assert_eq!(add(&mut drains, 3, B), second, "what waits behind it is taken together");
        assert_eq!((drains.wake_at(), drains.sought(now)), (None, None));
        assert_eq!(look(&mut drains, &[], &[]) + look(&mut drains, &[], &[]), 0);
        take(&mut drains, "web", 1);
        assert_eq!(drains.wake_at(), None);
        take(&mut drains, "web", 3);
        assert_eq!(drains.sought(now).unwrap().addresses.len(), 1);
        assert_eq!(look(&mut drains, &[], &[]) + look(&mut drains, &[], &[]), 1);
        assert!(drains.is_over(first) && !drains.is_over(second));
        let third = add(&mut drains, 4, A);
        take(&mut drains, "web", 4);
        assert_ne!(third, second, "a later one is taken later");
        assert_eq!(look(&mut drains, &[connection(Some(20), B)], &[]), 0);
        // It is a backend again, or one of another resource.
        assert_eq!(look(&mut drains, &[connection(Some(20), B)], &[B]), 0);
        assert_eq!(look(&mut drains, &[connection(Some(20), B)], &[B]), 1);
        assert!(drains.is_over(second) && !drains.is_over(third) && drains.wake_at().is_none());
        take(&mut drains, "other", 0);
        assert!(drains.wake_at().is_some());
    }
}
