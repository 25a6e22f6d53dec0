//! The announcers of this machine in the status: reads what they answered, and says what is not announced. Pure. Trusts no answer: any
//! process that may make a socket there could have given it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::model::status::{
    AnnouncedPart, AnnouncedService, AnnouncedState, AnnouncerStatus, Cause, Condition, ConditionKind, FORMAT, UnixTime,
};
use crate::model::text::{counted, shortened};

/// Most lines that are taken of one announcer.
const MAX_LINES: usize = 200;
/// Most services that an announcer is believed to have.
const MAX_TOTAL: usize = 1_000_000;
/// Longest text that is taken, in characters.
const MAX_CHARACTERS: usize = 500;
/// Most keys that a condition names, and most of them with their reasons.
const MAX_CAUSES: usize = 20;
const MAX_REASONS: usize = 3;

/// The answer at the socket of an announcer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncerAnswer {
    /// The socket.
    pub socket: String,
    /// The process in the name of the socket.
    pub pid: u32,
    /// What it said, or why it said nothing.
    pub said: Result<String, String>,
}

/// Reads the answers. One that is not understood is shown as none.
pub fn read(answers: Vec<AnnouncerAnswer>) -> Vec<AnnouncerStatus> {
    answers.into_iter().map(one).collect()
}

/// Returns since when each announcer does not answer, by process: since `before`, or since now.
pub fn silent_since(
    announcers: &[AnnouncerStatus],
    before: &BTreeMap<u32, UnixTime>,
    now: UnixTime,
) -> BTreeMap<u32, UnixTime> {
    let silent = announcers.iter().filter(|announcer| announcer.silent.is_some());
    silent.map(|announcer| (announcer.pid, before.get(&announcer.pid).copied().unwrap_or(now))).collect()
}

fn one(AnnouncerAnswer { socket, pid, said }: AnnouncerAnswer) -> AnnouncerStatus {
    let understood = said.and_then(|text| {
        let status: AnnouncerStatus =
            serde_json::from_str(&text).map_err(|error| format!("its answer is not understood: {error}"))?;
        if status.format == FORMAT { Ok(status) } else { Err(format!("its answer has format {}", status.format)) }
    });
    match understood {
        Ok(status) => bounded(AnnouncerStatus { socket, pid, silent: None, ..status }),
        Err(problem) => {
            let silent = Some(shortened(&problem, MAX_CHARACTERS));
            AnnouncerStatus { format: FORMAT, pid, socket, silent, ..AnnouncerStatus::default() }
        }
    }
}

/// Returns the status without what is too long.
fn bounded(mut status: AnnouncerStatus) -> AnnouncerStatus {
    let cut = |text: &mut String| {
        if text.len() > MAX_CHARACTERS {
            *text = shortened(text, MAX_CHARACTERS);
        }
    };
    status.total = status.total.min(MAX_TOTAL);
    status.announced = status.announced.min(status.total);
    status.services.truncate(MAX_LINES);
    status.problems.truncate(MAX_LINES);
    [&mut status.version, &mut status.etcd.problem].into_iter().for_each(cut);
    [&mut status.folder, &mut status.etcd.member].into_iter().flatten().for_each(cut);
    status.problems.iter_mut().for_each(|problem| cut(&mut problem.text));
    for service in &mut status.services {
        [&mut service.key, &mut service.address, &mut service.reason, &mut service.check.what]
            .into_iter()
            .for_each(cut);
        service.check.problem.iter_mut().for_each(cut);
        service.lease.iter_mut().for_each(|lease| cut(&mut lease.id));
    }
    status
}

/// Returns what announces these services, for people: `announcer 4711`.
pub fn name(announcer: &AnnouncerStatus) -> String {
    format!("announcer {}", announcer.pid)
}

/// Returns what is wrong with this part of an announcer's folder, and what to do.
fn wrong_with(part: AnnouncedPart) -> (&'static str, &'static str) {
    match part {
        AnnouncedPart::File => (
            "a service file has an error; its last good version stays",
            "Fix that line; the announcer reads the file again when it changes.",
        ),
        AnnouncedPart::Folder => (
            "a folder of service files cannot be read; the services that were read from it stay",
            "Let the announcer read the folder; it tries again automatically.",
        ),
        AnnouncedPart::Services => (
            "it has no services to announce",
            "Put a file with a [[service]] table into the folder; the announcer notices it.",
        ),
    }
}

/// Returns everything that is not announced, as notices: it is a matter of the announcers, and no fault of this agent. `silent_since`
/// has the start of each silence by process, as far as it is known; `at` is the moment, which is the start of what has none.
pub fn conditions(
    announcers: &[AnnouncerStatus],
    silent_since: &BTreeMap<u32, UnixTime>,
    at: UnixTime,
) -> Vec<Condition> {
    let mut found = Vec::new();
    for announcer in announcers {
        let condition = |summary: String, reason: String, since: UnixTime, advice: &str| Condition {
            kind: ConditionKind::NotAnnounced,
            question: ConditionKind::NotAnnounced.question(),
            subject: name(announcer),
            resources: Vec::new(),
            summary,
            reason,
            step: None,
            causes: vec![Cause::Process(format!("upstreamd announce, process {}", announcer.pid))],
            since,
            next_try: None,
            advice: advice.to_owned(),
        };
        if let Some(why) = &announcer.silent {
            let summary = format!("{} does not say what it announces", name(announcer));
            let advice = "Look at the log of that process.";
            let since = silent_since.get(&announcer.pid).copied().unwrap_or(at);
            found.push(condition(summary, format!("{}: {why}", announcer.socket), since, advice));
            continue;
        }
        if let Some(since) = announcer.etcd.away_since {
            let summary = format!("{} cannot reach etcd; its keys stay until their leases expire", name(announcer));
            let advice = "Check etcd and the network to it. The announcer retries automatically.";
            found.push(condition(summary, announcer.etcd.problem.clone(), since, advice));
        }
        found.extend(announcer.problems.iter().map(|problem| {
            let (what, advice) = wrong_with(problem.of);
            let summary = format!("{}: {what}", name(announcer));
            condition(summary, problem.text.clone(), problem.since, advice)
        }));
        for (state, services) in by_state(announcer) {
            let named = match services.as_slice() {
                [one] => one.key.clone(),
                many => counted(many.len(), "key"),
            };
            let summary = format!("{named}: {}", summary(state));
            let reasons = services.iter().take(MAX_REASONS).map(|service| match services.len() {
                1 => service.reason.clone(),
                _ => format!("{}: {}", service.key, service.reason),
            });
            let reasons: Vec<String> = reasons.collect();
            let since = services.iter().map(|service| service.since).min().unwrap_or(at);
            let mut condition = condition(summary, reasons.join("; "), since, advice(state));
            let keys = services.iter().take(MAX_CAUSES - 1).map(|service| Cause::Key(service.key.clone()));
            condition.causes.splice(0..0, keys);
            found.push(condition);
        }
    }
    found
}

/// Returns the services that are not announced, by state, worst first.
fn by_state(announcer: &AnnouncerStatus) -> BTreeMap<AnnouncedState, Vec<&AnnouncedService>> {
    let mut found: BTreeMap<AnnouncedState, Vec<&AnnouncedService>> = BTreeMap::new();
    for service in announcer.services.iter().filter(|service| service.state != AnnouncedState::Announced) {
        found.entry(service.state).or_default().push(service);
    }
    found
}

fn summary(state: AnnouncedState) -> &'static str {
    match state {
        AnnouncedState::Unhealthy => "the check fails",
        AnnouncedState::Held => "somebody else holds the key",
        AnnouncedState::Denied => "etcd denies the announcer write access to the key",
        AnnouncedState::Waiting => "healthy, but not in etcd yet",
        AnnouncedState::Starting => "not known to be healthy yet",
        AnnouncedState::Draining => "draining",
        AnnouncedState::Leaving => "the announcer is ending",
        AnnouncedState::Announced | AnnouncedState::Unknown => "in a state that this version does not know",
    }
}

/// Returns what a person can do about a service that stands so.
fn advice(state: AnnouncedState) -> &'static str {
    match state {
        AnnouncedState::Unhealthy => "Find out why the backend fails its check. It is announced again when it passes.",
        AnnouncedState::Held => "Stop one of the two announcers, or give it a different --id.",
        AnnouncedState::Denied => {
            "Give the announcer's role in etcd readwrite access to the key; the announcer retries automatically."
        }
        AnnouncedState::Waiting => "Nothing, unless it lasts: then check etcd and the network to it.",
        AnnouncedState::Starting => "Nothing, unless it lasts: then find out why the backend fails its check.",
        AnnouncedState::Draining | AnnouncedState::Leaving | AnnouncedState::Unknown | AnnouncedState::Announced => {
            "Nothing: it ends without help."
        }
    }
}

/// Returns a number that changes when something else is announced, or not announced for a different reason.
pub fn fingerprint(announcers: &[AnnouncerStatus]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for announcer in announcers {
        (announcer.pid, &announcer.silent, announcer.etcd.away_since.is_some()).hash(&mut hasher);
        announcer.problems.iter().for_each(|problem| problem.text.hash(&mut hasher));
        for AnnouncedService { key, address, state, since, .. } in &announcer.services {
            (key, address, state.word(), since.0).hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
