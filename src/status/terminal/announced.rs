//! The announcers of this machine, as text. Pure.

use std::collections::BTreeMap;

use crate::model::status::{AnnouncedService, AnnouncedState, AnnouncerStatus, Axis, AxisAnswer, UnixTime};
use crate::model::text::counted;
use crate::status::announced;
use crate::status::span::span;

use super::{GREEN, RED, StatusWriter, YELLOW, one_line};

/// Most services of one announcer that are shown.
const MAX_SERVICES: usize = 10;

/// Returns what the announcers of a machine without an agent announce, and what not.
pub fn announced(announcers: &[AnnouncerStatus], now: UnixTime, has_color: bool) -> String {
    let mut page = StatusWriter { text: String::new(), has_color, now };
    let total: usize = announcers.iter().map(|announcer| announcer.total).sum();
    let count: usize = announcers.iter().map(|announcer| announcer.announced).sum();
    let found = announced::conditions(announcers, &BTreeMap::new(), now);
    let summary = format!("{count} of {} by {}", counted(total, "service"), counted(announcers.len(), "announcer"));
    let answer = if found.is_empty() { AxisAnswer::Yes } else { AxisAnswer::No };
    let since = found.iter().map(|condition| condition.since).min();
    page.axis("announced", &Axis::new(answer, summary, since));
    for condition in &found {
        page.text.push('\n');
        page.condition(condition);
    }
    page.announced(announcers);
    page.text
}

impl StatusWriter {
    /// Adds the announcers, if there are any.
    pub(super) fn announced(&mut self, announcers: &[AnnouncerStatus]) {
        if announcers.is_empty() {
            return;
        }
        self.head("Announced from this machine");
        for announcer in announcers {
            if let Some(why) = &announcer.silent {
                let silent = self.painted(RED, "does not answer");
                self.line(&format!("  process {} {silent}: {}", announcer.pid, one_line(why)));
                continue;
            }
            self.announcer(announcer);
        }
    }

    fn announcer(&mut self, announcer: &AnnouncerStatus) {
        let folder = announcer.folder.as_ref().map_or(String::new(), |folder| format!(", {}", one_line(folder)));
        let count = format!("{} of {} announced", announcer.announced, announcer.total);
        let count = self.painted(if announcer.announced < announcer.total { YELLOW } else { GREEN }, &count);
        let etcd = match (&announcer.etcd.away_since, &announcer.etcd.member) {
            (Some(since), _) => {
                let away = self.painted(RED, "away");
                format!("{away} since {}: {}", self.ago(*since), one_line(&announcer.etcd.problem))
            }
            (None, Some(member)) => one_line(member),
            (None, None) => "not asked yet".to_owned(),
        };
        self.line(&format!("  process {}{folder}: {count}, etcd {etcd}", announcer.pid));
        for problem in &announcer.problems {
            let broken = self.painted(RED, problem.of.wrong());
            let age = span(self.now.seconds_since(problem.since));
            self.line(&format!("    {broken} for {age}: {}", one_line(&problem.text)));
        }
        announcer.services.iter().take(MAX_SERVICES).for_each(|service| self.service(service));
        if announcer.total > MAX_SERVICES {
            let more = announcer.total - MAX_SERVICES;
            self.line(&format!("    and {} more (upstreamd status --json)", counted(more, "service")));
        }
    }

    fn service(&mut self, service: &AnnouncedService) {
        let AnnouncedService { key, address, state, since, reason, check, lease } = service;
        let paint = match state {
            AnnouncedState::Announced => GREEN,
            AnnouncedState::Unhealthy | AnnouncedState::Held | AnnouncedState::Denied => RED,
            _ => YELLOW,
        };
        let state = self.painted(paint, &format!("{:<9}", state.word()));
        let lease = lease.as_ref().map_or(String::new(), |lease| {
            format!(", lease {} for {}", one_line(&lease.id), span(lease.expires.seconds_since(self.now)))
        });
        let age = span(self.now.seconds_since(*since));
        let reason = if reason.is_empty() { String::new() } else { format!(": {}", one_line(reason)) };
        let (key, address) = (one_line(key), one_line(address));
        self.line(&format!("    {state} {address:<21} for {age}, {key}{lease}{reason}"));
        let problem = check.problem.as_ref().filter(|problem| !service.reason.contains(problem.as_str()));
        let problem = problem.map_or(String::new(), |problem| format!(": {}", one_line(problem)));
        let result = match check.at {
            None => "none has ended yet".to_owned(),
            Some(at) => {
                let passed = if check.problem.is_none() { "passed" } else { "failed" };
                format!("{passed} {} ago{problem}", span(self.now.seconds_since(at)))
            }
        };
        self.line(&format!("              check {}: {result}", one_line(&check.what)));
    }
}
