//! What the loop does when nginx has asked: logs and accounts for what it has taken, lets nginx forget what it has read from disk, and
//! gives names up if nobody asks for them. Never answers a question.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::endpoints::service::EndpointService;
use crate::endpoints::taken::TakenAnswers;
use crate::status::endpoint_events;
use crate::world::clock;

use super::receipts::Receipts;
use super::run::Agent;

impl Agent {
    /// Returns the running answerer.
    pub(super) fn service(&self) -> Option<Arc<EndpointService>> {
        self.outlook.terms.endpoints.service()
    }

    /// Takes in what has changed at the answerer. Returns whether its files on disk have to be brought up to date.
    pub(super) fn take_endpoint_news(&mut self) -> bool {
        let Some(service) = self.service() else { return false };
        let now = clock::now();
        let is_unsaved = service.look(now);
        // Looked up once: what drains and what the receipt calls applied have to agree.
        let taken = self.taken_now(now);
        self.look_at_untaken(&taken, now);
        self.old_workers.taken(&taken, now);
        if let Some(receipts) = &mut self.desk.receipts {
            receipts.settle(&taken, self.old_workers.accounts().0);
        }
        let to_clean = service.to_clean(now);
        if !to_clean.is_empty() {
            endpoint_events::cleaning(&to_clean);
            self.owe_reload(&to_clean, now);
        }
        self.look_for_silence(&service, now);
        is_unsaved
    }

    /// Returns what nginx has taken of the answers. Looks only if somebody waits for that.
    fn taken_now(&self, now: Instant) -> TakenAnswers {
        let awaits = !self.untaken.is_empty()
            || self.old_workers.awaits_nginx()
            || self.desk.receipts.as_ref().is_some_and(Receipts::awaits_nginx);
        if awaits { self.outlook.terms.endpoints.taken(now) } else { TakenAnswers::default() }
    }

    /// Accounts for the changed endpoints that nginx has taken, and shows which it has not.
    pub(super) fn look_at_untaken(&mut self, taken: &TakenAnswers, now: Instant) {
        for (id, at, change) in self.untaken.take(|resource, serial| taken.has(resource, serial)) {
            let after = now.duration_since(at);
            if self.outlook.logs {
                endpoint_events::taken(&id, &change, after);
            }
            self.outlook.board.with(|board| board.record_endpoint_change(&id.resource, after));
        }
        let unix_seconds = clock::unix_seconds();
        let since = |at: Instant| unix_seconds.saturating_sub(now.saturating_duration_since(at).as_secs());
        let untaken = self.untaken.resources().into_iter().map(|(name, at)| (name, since(at))).collect();
        self.outlook.board.with(|board| board.record_untaken(&untaken));
    }

    /// Reloads an nginx that does not ask for names in its files; if that does not help, writes their endpoints into the files.
    fn look_for_silence(&mut self, service: &EndpointService, now: Instant) {
        let (groups, context) = (&self.desk.catalog().groups, &self.outlook.terms.context);
        // One that is down is no reason to leave another one silent.
        let runs = |resource: &str| {
            let mut of_resource =
                groups.iter().filter(|group| group.resources.iter().any(|member| **member.name() == *resource));
            of_resource.any(|group| self.old_workers.nginx_runs(context, group))
        };
        let (again, first): (BTreeMap<Arc<str>, bool>, BTreeMap<Arc<str>, bool>) =
            service.take_silent(runs, now).into_iter().partition(|(_, was_reloaded)| *was_reloaded);
        let first: BTreeSet<Arc<str>> = first.into_keys().collect();
        if !first.is_empty() {
            endpoint_events::unasked(&first);
            self.owe_reload(&first, now);
        }
        let endpoints = &self.outlook.terms.endpoints;
        let mut pause = Duration::MAX;
        let mut is_new = |resource: &Arc<str>| {
            endpoints.give_up_unasked(resource, now).inspect(|its| pause = pause.min(*its)).is_some()
        };
        let given_up: BTreeSet<Arc<str>> = again.into_keys().filter(|resource| is_new(resource)).collect();
        if !given_up.is_empty() {
            endpoint_events::given_up(&given_up, pause);
            // A reload brings what nginx has not taken.
            self.untaken.take(|resource, _| given_up.contains(resource));
            // Said by that line; a later attempt to go by DNS is news.
            self.ways.retain(|resource, _| !given_up.contains(resource));
            self.put_ways_on_board();
            self.desk.mark_if(|resource| given_up.contains(resource.name()), now);
        }
    }

    /// Makes the groups of these resources reload although nothing has changed.
    fn owe_reload(&mut self, resources: &BTreeSet<Arc<str>>, now: Instant) {
        let groups = self.desk.catalog().groups.iter();
        let concerned = groups.filter(|group| resources.iter().any(|resource| group.has_member(resource)));
        let concerned: Vec<_> = concerned.cloned().collect();
        for group in &concerned {
            self.outlook.terms.context.disprove(&group.id);
        }
        self.desk.mark_if(|resource| concerned.iter().any(|group| group.has_member(resource.name())), now);
    }
}
