//! How each service of the announcer stands: announced or not, why, and since when. Made when somebody asks. Pure: facts and the time
//! go in. Never changes what is announced.

use std::time::{Duration, Instant};

use crate::model::service::{Address, Check, Service, host_and_port};
use crate::model::status::{
    AnnouncedPart, AnnouncedService, AnnouncedState, AnnouncerStatus, AnnouncerStore, FORMAT, KeyLease, ServiceCheck,
    ServiceFileProblem, UnixTime,
};
use crate::model::text::shortened;

use super::ending::Phase;
use super::registrar::{KeyFact, Registrar};

/// Most services that are shown.
const MAX_SERVICES: usize = 200;
/// Most problems of files that are shown.
const MAX_PROBLEMS: usize = 20;
/// Longest reason that is shown, in characters.
const MAX_REASON: usize = 300;

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// Its end.
    pub at: Instant,
    /// Why it failed; `None` if it passed.
    pub problem: Option<String>,
}

/// Facts about a service beside its key in etcd.
#[derive(Clone, Debug)]
pub struct ServiceFacts<'a> {
    /// Its key.
    pub key: &'a str,
    /// The service.
    pub service: &'a Service,
    /// Its host; `None` until the address of this machine is known.
    pub host: Option<&'a str>,
    /// Whether it is healthy.
    pub healthy: bool,
    /// Whether it ever was.
    pub was_healthy: bool,
    /// Since when it has been healthy, or has not been.
    pub since: Instant,
    /// Its last check.
    pub last: Option<CheckResult>,
}

/// The time, as a moment and since 1970.
#[derive(Clone, Copy, Debug)]
pub struct AskedAt {
    /// The moment.
    pub now: Instant,
    /// The time since 1970.
    pub unix_time: Duration,
}

impl AskedAt {
    fn unix(self, at: Instant) -> UnixTime {
        UnixTime::of(at, self.now, self.unix_time)
    }
}

/// Facts about the announcer as a whole.
#[derive(Clone, Debug)]
pub struct AnnouncerFacts<'a> {
    /// Its keys in etcd.
    pub registrar: &'a Registrar,
    /// Its phase.
    pub phase: Phase,
    /// Its memory.
    pub notes: &'a AnnouncerNotes,
}

/// Memory of the announcer for its status.
#[derive(Clone, Debug)]
pub struct AnnouncerNotes {
    /// Start of its phase.
    pub phase_since: Instant,
    /// The member of etcd that was connected last.
    pub member: Option<String>,
    /// Whether some key was ever written.
    pub was_announced: bool,
    /// What is wrong with its files, and with what of them, each with its start.
    problems: Vec<(AnnouncedPart, String, Instant)>,
}

impl AnnouncerNotes {
    /// Returns the notes of an announcer that starts now.
    pub fn new(now: Instant) -> AnnouncerNotes {
        AnnouncerNotes { phase_since: now, member: None, was_announced: false, problems: Vec::new() }
    }

    /// Records what is wrong with the files now, as much of it as is shown; what was wrong before keeps its start.
    pub fn set_problems(&mut self, problems: impl Iterator<Item = (AnnouncedPart, String)>, now: Instant) {
        let known = std::mem::take(&mut self.problems);
        let since = |text: &String| known.iter().find(|(_, known, _)| known == text).map_or(now, |(.., since)| *since);
        self.problems = problems.take(MAX_PROBLEMS).map(|(with, text)| (with, text.clone(), since(&text))).collect();
    }
}

/// Returns the status of an announcer with these services; `about` has its process, its version and its folder.
pub fn status<'a>(
    about: AnnouncerStatus,
    facts: &AnnouncerFacts<'_>,
    services: impl Iterator<Item = ServiceFacts<'a>>,
    moment: AskedAt,
) -> AnnouncerStatus {
    let mut services: Vec<AnnouncedService> = services.map(|service| line(&service, facts, moment)).collect();
    let total = services.len();
    let announced = services.iter().filter(|service| service.state == AnnouncedState::Announced).count();
    services.sort_by_key(|service| service.state);
    services.truncate(MAX_SERVICES);
    let lost = facts.registrar.lost();
    let problems = facts.notes.problems.iter();
    AnnouncerStatus {
        format: FORMAT,
        etcd: AnnouncerStore {
            member: facts.notes.member.clone().filter(|_| lost.is_none()),
            away_since: lost.map(|(since, _)| moment.unix(since)),
            problem: lost.map(|(_, problem)| shortened(problem, MAX_REASON)).unwrap_or_default(),
        },
        problems: problems
            .map(|(of, text, since)| ServiceFileProblem { of: *of, text: text.clone(), since: moment.unix(*since) })
            .collect(),
        total,
        announced,
        services,
        ..about
    }
}

fn line(service: &ServiceFacts<'_>, facts: &AnnouncerFacts<'_>, moment: AskedAt) -> AnnouncedService {
    let (state, since, reason) = state(service, facts, moment);
    let ours = matches!(facts.registrar.fact(service.key), KeyFact::Ours(_));
    let lease = facts.registrar.lease_of(service.key).filter(|_| ours);
    let last = service.last.as_ref();
    AnnouncedService {
        key: service.key.to_owned(),
        address: host_and_port(service.host.unwrap_or("auto"), service.service.address.port()),
        state,
        since: moment.unix(since),
        reason: shortened(&reason, MAX_REASON),
        check: ServiceCheck {
            what: what(service.service),
            at: last.map(|last| moment.unix(last.at)),
            problem: last.and_then(|last| last.problem.as_ref()).map(|problem| shortened(problem, MAX_REASON)),
        },
        lease: lease.map(|(id, expires)| KeyLease { id: format!("{id:x}"), expires: moment.unix(expires) }),
    }
}

/// Returns how a service stands, since when, and why.
fn state(service: &ServiceFacts<'_>, facts: &AnnouncerFacts<'_>, moment: AskedAt) -> (AnnouncedState, Instant, String) {
    let fact = facts.registrar.fact(service.key);
    let since = facts.notes.phase_since;
    match facts.phase {
        Phase::Announcing => {}
        Phase::Draining(until) if matches!(fact, KeyFact::Ours(_)) => {
            let until = moment.unix(until);
            return (AnnouncedState::Draining, since, format!("its last requests may take until {until}"));
        }
        _ => return (AnnouncedState::Leaving, since, "the announcer is ending".to_owned()),
    }
    if service.host.is_none() && matches!(service.service.address, Address::Auto(_)) {
        let reason = "the address of this machine on the way to etcd is not known yet";
        return (AnnouncedState::Waiting, service.since, reason.to_owned());
    }
    if !service.healthy {
        return unhealthy(service, facts, moment);
    }
    let lost = facts.registrar.lost();
    match (fact, lost) {
        (KeyFact::Ours(since), None) => (AnnouncedState::Announced, since, String::new()),
        (KeyFact::Ours(since), Some(_)) => match facts.registrar.lease_of(service.key) {
            Some((_, expires)) if expires <= moment.now => {
                (AnnouncedState::Waiting, expires, "etcd cannot be reached, and the lease has expired".to_owned())
            }
            lease => {
                let until = lease.map(|(_, expires)| format!(" until {}", moment.unix(expires))).unwrap_or_default();
                (AnnouncedState::Announced, since, format!("etcd cannot be reached; the key stays{until}"))
            }
        },
        (KeyFact::Foreign(since, holder), _) => (AnnouncedState::Held, since, format!("{holder} has the key")),
        (KeyFact::Denied(since, problem), _) => {
            (AnnouncedState::Denied, since, format!("its etcd user may not write the key: {problem}"))
        }
        (KeyFact::Absent, Some((since, _))) => {
            (AnnouncedState::Waiting, since.max(service.since), "etcd cannot be reached".to_owned())
        }
        (KeyFact::Absent, None) => {
            (AnnouncedState::Waiting, service.since, "the key is about to be written".to_owned())
        }
    }
}

fn unhealthy(
    service: &ServiceFacts<'_>,
    facts: &AnnouncerFacts<'_>,
    moment: AskedAt,
) -> (AnnouncedState, Instant, String) {
    let rules = service.service.rules;
    let starts = !service.was_healthy && moment.now.saturating_duration_since(service.since) < rules.start_grace;
    let (mut state, mut reason) = match &service.last {
        None => (AnnouncedState::Starting, "no check has ended yet".to_owned()),
        Some(CheckResult { problem: None, .. }) => {
            (AnnouncedState::Starting, format!("a check has passed, {} in a row are needed", rules.rise))
        }
        Some(CheckResult { problem: Some(problem), .. }) if starts => {
            (AnnouncedState::Starting, format!("it is given {:?} to start: {problem}", rules.start_grace))
        }
        Some(CheckResult { problem: Some(problem), .. }) => (AnnouncedState::Unhealthy, problem.clone()),
    };
    if service.was_healthy {
        state = AnnouncedState::Unhealthy;
    }
    if let (KeyFact::Ours(_), Some(_)) = (facts.registrar.fact(service.key), facts.registrar.lost()) {
        reason.push_str("; etcd cannot be reached, so the key goes with its lease");
    }
    (state, service.since, reason)
}

/// Returns a check in words, without what may be secret: the command, and the query of a URL.
fn what(service: &Service) -> String {
    match &service.check {
        Check::Tcp => "tcp".to_owned(),
        Check::Http(check) => {
            let scheme = if check.tls.is_some() { "https" } else { "http" };
            let path = check.path.split('?').next().unwrap_or_default();
            format!("{scheme}://{}{path}", host_and_port(&check.host, check.port))
        }
        Check::Http2 { tls: Some(_) } => "h2".to_owned(),
        Check::Http2 { tls: None } => "h2c".to_owned(),
        Check::Exec(_) => "exec".to_owned(),
    }
}

#[cfg(test)]
mod tests;
