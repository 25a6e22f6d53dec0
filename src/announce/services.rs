//! The services that are announced now: a task for each that checks it, its last verdict, and the value of its key. Never
//! writes to etcd.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::model::service::{Address, Service, host_and_port};
use crate::world::probe::{Probe, TlsConfigs};
use crate::world::{clock, random, tasks};

use super::health::{HealthStep, Rating, Slots, first_pause};
use super::layout::{self, Announcer};
use super::registrar::Registrar;
use super::roster::Roster;
use super::status::{CheckResult, ServiceFacts};

/// Most verdicts on their way; a task with one more waits.
const MAX_VERDICTS: usize = 64;

/// The verdict of one service's checks.
#[derive(Debug)]
pub(super) struct HealthVerdict {
    key: String,
    /// Number of the start of its checks.
    start: u64,
    step: HealthStep,
    /// Problem of the last check.
    problem: String,
}

struct RunningChecks {
    service: Arc<Service>,
    healthy: bool,
    draining: bool,
    /// Whether it was ever healthy.
    was_healthy: bool,
    /// Since when it has been healthy, or has not been.
    since: Instant,
    /// Its last check, if one has ended.
    last: LastCheck,
    /// Number of starts of its checks: a verdict from an earlier start is ignored.
    start: u64,
    checking: Option<AbortHandle>,
}

/// The last check of a service, shared with the task that checks it: most results wake nobody.
type LastCheck = Arc<Mutex<Option<CheckResult>>>;

impl RunningChecks {
    fn new(service: Service) -> RunningChecks {
        RunningChecks {
            service: Arc::new(service),
            healthy: false,
            draining: false,
            was_healthy: false,
            since: clock::now(),
            last: LastCheck::default(),
            start: 0,
            checking: None,
        }
    }

    /// Takes the health of the same service with other settings.
    fn succeed(&mut self, old: &RunningChecks) {
        (self.healthy, self.was_healthy, self.since) = (old.healthy, old.was_healthy, old.since);
        self.draining = old.draining;
        self.last = Arc::clone(&old.last);
    }

    fn set_healthy(&mut self, healthy: bool) {
        if std::mem::replace(&mut self.healthy, healthy) != healthy {
            self.since = clock::now();
        }
        self.was_healthy |= healthy;
    }
}

impl Drop for RunningChecks {
    fn drop(&mut self) {
        if let Some(checking) = &self.checking {
            checking.abort();
        }
    }
}

/// All services with their checks.
pub(super) struct Services {
    announcer: Announcer,
    running: BTreeMap<String, RunningChecks>,
    auto: Option<String>,
    starts: u64,
    /// Start of the announcer, from which the slots of checks are counted.
    since: Instant,
    tls: TlsConfigs,
    verdicts: mpsc::Sender<HealthVerdict>,
}

impl Services {
    /// Returns an empty set of services, and the receiver of their verdicts.
    pub(super) fn new(announcer: Announcer) -> (Services, mpsc::Receiver<HealthVerdict>) {
        let (verdicts, receiver) = mpsc::channel(MAX_VERDICTS);
        let (running, since, tls) = (BTreeMap::new(), clock::now(), TlsConfigs::default());
        (Services { announcer, running, auto: None, starts: 0, since, tls, verdicts }, receiver)
    }

    /// Replaces the services. An unchanged service goes on as before; a changed one keeps its health.
    pub(super) fn set(&mut self, roster: &Roster, registrar: &mut Registrar) {
        let gone: Vec<String> =
            self.running.keys().filter(|key| !roster.services.contains_key(*key)).cloned().collect();
        for key in gone {
            if let Some(running) = self.running.remove(&key) {
                registrar.want(&key, running.service.lease_seconds(), None);
                tracing::info!(key, "{key} is no longer in the service files: no longer announcing it");
            }
        }
        for (key, service) in &roster.services {
            if self.running.get(key).is_some_and(|running| *running.service == *service) {
                continue;
            }
            let old = self.running.remove(key);
            let mut running = RunningChecks::new(service.clone());
            old.iter().for_each(|old| running.succeed(old));
            if let Address::Given(host, _) = &service.address
                && host.trim_matches(['[', ']']).parse::<IpAddr>().is_err()
            {
                tracing::warn!(
                    key,
                    "{key} announces the host name {host}, which `backends()` skips unless it says hostnames=true (hint: give an IP address)"
                );
            }
            self.running.insert(key.clone(), running);
            self.start(key, roster.services.len());
            self.announce(key, registrar);
        }
    }

    /// Sets the address for services with `auto`.
    pub(super) fn set_auto(&mut self, address: IpAddr, registrar: &mut Registrar) {
        self.auto = Some(address.to_string());
        let is_auto = |running: &RunningChecks| matches!(running.service.address, Address::Auto(_));
        let keys: Vec<String> =
            self.running.iter().filter(|(_, running)| is_auto(running)).map(|(key, _)| key.clone()).collect();
        if address.is_loopback() && !keys.is_empty() {
            tracing::warn!(%address, "etcd is on this machine, so `auto` means {address}, which no other machine can reach (hint: set an address instead of auto)");
        }
        for key in &keys {
            self.start(key, keys.len());
            self.announce(key, registrar);
        }
    }

    /// Returns whether some service needs the route to etcd.
    pub(super) fn need_auto(&self) -> bool {
        self.running.values().any(|running| matches!(running.service.address, Address::Auto(_)))
    }

    /// Returns the time limit for a request to etcd, so that the shortest lease outlives an unanswered one: that of a service, or the one
    /// that a key still has.
    pub(super) fn request_limit(&self, registrar: &Registrar) -> Duration {
        let wanted = self.running.values().map(|running| running.service.lease_seconds());
        let shortest = wanted.chain(registrar.shortest_lease()).min();
        shortest.map_or(Duration::MAX, |seconds| Duration::from_secs(seconds.into()) / 4)
    }

    /// Records a verdict.
    pub(super) fn judge(&mut self, verdict: HealthVerdict, registrar: &mut Registrar) {
        let HealthVerdict { key, start, step, problem } = verdict;
        let Some(running) = self.running.get_mut(&key).filter(|running| running.start == start) else { return };
        match step {
            HealthStep::Same => return,
            HealthStep::Ailing => {
                tracing::warn!(key, "{key}: a check failed: {problem}");
                return;
            }
            HealthStep::StillDown(lasted) => {
                let seconds = lasted.as_secs();
                tracing::warn!(
                    key,
                    seconds,
                    "{key} is still not announced: its checks have failed for {seconds} s: {problem}"
                );
                return;
            }
            HealthStep::Up => {
                tracing::info!(key, "{key} is healthy");
                running.set_healthy(true);
            }
            HealthStep::Down => {
                let fall = running.service.rules.fall;
                tracing::warn!(key, "{key} is unhealthy after {fall} failed checks, removing it: {problem}");
                running.set_healthy(false);
            }
        }
        self.announce(&key, registrar);
    }

    /// Starts draining: keys whose layout can express that say so, the other keys are deleted.
    pub(super) fn drain(&mut self, registrar: &mut Registrar) {
        let keys: Vec<String> = self.running.keys().cloned().collect();
        for key in keys {
            if let Some(running) = self.running.get_mut(&key) {
                running.draining = true;
            }
            self.announce(&key, registrar);
        }
    }

    /// Returns the keys that are announced, or would be.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.running.keys().map(String::as_str)
    }

    /// Returns what is known of each service.
    pub(super) fn facts(&self) -> impl Iterator<Item = ServiceFacts<'_>> {
        self.running.iter().map(|(key, running)| ServiceFacts {
            key,
            service: &running.service,
            host: layout::host(&running.service, self.auto.as_deref()),
            healthy: running.healthy,
            was_healthy: running.was_healthy,
            since: running.since,
            last: running.last.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        })
    }

    /// Returns the time that the last requests may take.
    pub(super) fn drain_timeout(&self) -> Duration {
        self.running.values().map(|running| running.service.drain_timeout).max().unwrap_or_default()
    }

    fn announce(&self, key: &str, registrar: &mut Registrar) {
        let Some(running) = self.running.get(key) else { return };
        let service = &running.service;
        let host = layout::host(service, self.auto.as_deref());
        let value = host
            .filter(|_| running.healthy)
            .and_then(|host| layout::value(service, host, running.draining, &self.announcer));
        registrar.want(key, service.lease_seconds(), value.map(Arc::from));
    }

    /// Starts its checks, or restarts them.
    fn start(&mut self, key: &str, services: usize) {
        self.starts += 1;
        let Some(running) = self.running.get_mut(key) else { return };
        if let Some(checking) = running.checking.take() {
            checking.abort();
        }
        let service = &running.service;
        let Some(host) = layout::host(service, self.auto.as_deref()) else { return };
        let address = host_and_port(host, service.address.port());
        let probe = Probe::new(&service.check, host, service.address.port(), service.timeout, &self.tls);
        tracing::debug!(key, address, "checking {key} at {address}");
        running.start = self.starts;
        let health = Rating::new(service.rules, running.healthy, clock::now());
        let slots = Slots::new(self.since, service.rules.interval);
        let first = slots.at(clock::now() + first_pause(services, service.rules.interval, random::fraction()));
        let verdicts = self.verdicts.clone();
        let checks =
            Checks { key: key.to_owned(), start: running.start, probe, health, last: Arc::clone(&running.last) };
        running.checking = Some(tasks::spawn(checks.run((first, slots), verdicts)).abort_handle());
    }
}

/// The checks of one service from one start on.
struct Checks {
    key: String,
    start: u64,
    probe: Probe,
    health: Rating,
    last: LastCheck,
}

impl Checks {
    /// Checks the service until nobody receives the verdicts.
    async fn run(mut self, (first, slots): (Instant, Slots), verdicts: mpsc::Sender<HealthVerdict>) {
        let mut due = first;
        loop {
            tokio::time::sleep_until(due.into()).await;
            let result = self.probe.run().await;
            let now = clock::now();
            let step = self.health.take(result.is_ok(), now);
            let problem = result.err();
            let last = CheckResult { at: now, problem: problem.clone() };
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
            if step != HealthStep::Same {
                let (key, problem) = (self.key.clone(), problem.unwrap_or_default());
                if verdicts.send(HealthVerdict { key, start: self.start, step, problem }).await.is_err() {
                    return;
                }
            }
            // Counted from the start of this check; after a pause of the whole process the missed checks are not made up for.
            due = slots.at((due + self.health.pause(now, random::fraction())).max(clock::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::service;
    use super::super::registrar::{EtcdAction, EtcdOutcome};
    use super::*;
    use crate::model::key::Revision;
    use crate::model::lease::{WriteAnswer, WriteOutcome};
    use crate::model::service::Layout;

    #[test]
    fn a_lease_outlives_a_request_although_a_longer_one_is_wanted() {
        let announcer = Announcer { host_name: "a".to_owned(), owner: "a".to_owned(), prefix: String::new() };
        let (mut services, _verdicts) = Services::new(announcer);
        let mut registrar = Registrar::new(clock::now());
        let mut set = |registrar: &mut Registrar, ttl_seconds: u32, is_healthy: bool| {
            let service = Service { ttl_seconds, ..service("web", Layout::Plain) };
            registrar.want("/web", service.lease_seconds(), is_healthy.then(|| Arc::from("v")));
            services.running.insert("/web".to_owned(), RunningChecks::new(service));
            loop {
                let action = registrar.next(clock::now());
                let outcome = match &action {
                    EtcdAction::Connect => EtcdOutcome::Connected,
                    EtcdAction::Grant(ttl_seconds) => EtcdOutcome::Granted(i64::from(*ttl_seconds)),
                    EtcdAction::Write(_, writes) => {
                        let outcomes = writes.iter().map(|_| WriteOutcome::Done).collect();
                        EtcdOutcome::Wrote(WriteAnswer { revision: Revision(1), outcomes })
                    }
                    EtcdAction::Revoke(_) => EtcdOutcome::Revoked,
                    _ => break,
                };
                registrar.done(&action, outcome, clock::now(), 0.0);
            }
            services.request_limit(registrar)
        };
        assert_eq!(set(&mut registrar, 5, true), Duration::from_secs(1));
        assert_eq!(set(&mut registrar, 61, true), Duration::from_secs(1), "the key keeps its lease");
        assert_eq!(set(&mut registrar, 3, true), Duration::from_millis(500));
        // It is unhealthy, and healthy again.
        set(&mut registrar, 61, false);
        assert_eq!(set(&mut registrar, 61, true), Duration::from_secs(15));
    }
}
