//! How each resource stands with its guard: what is live, what is held until when, and what was decided last. Asks
//! `model::guard` for every decision; a change of its mind is logged once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::apply::Context;
use crate::apply::live_count::{self, LiveCount};
use crate::model::guard::{Decision, Live, RenderCount, Verdict};
use crate::model::resource::Resource;
use crate::status::events;
use crate::world::clock;

/// Every resource that was decided on.
#[derive(Default)]
pub(super) struct Standings {
    by_name: BTreeMap<Arc<str>, Standing>,
    /// Nothing is to be written: what is decided here is only shown.
    only_shown: bool,
}

struct Standing {
    resource: Arc<Resource>,
    /// How many backends the live file has; `None` where nobody remembers.
    live: Option<usize>,
    /// How many the render has that is on its way.
    rendered: usize,
    held_since: Option<Instant>,
    decision: Option<Decision>,
    /// When a held loss is to be looked at again.
    wake_at: Option<Instant>,
    saved: LiveCount,
}

impl Standings {
    pub(super) fn new(only_shown: bool) -> Standings {
        Standings { by_name: BTreeMap::new(), only_shown }
    }

    /// Forgets resources that are gone or write elsewhere now.
    pub(super) fn keep_those_of<'a>(&mut self, resources: impl Iterator<Item = &'a Arc<Resource>>) {
        let mut old = std::mem::take(&mut self.by_name);
        for resource in resources {
            if let Some(mut standing) = old.remove(&resource.name).filter(|old| old.resource.dest == resource.dest) {
                standing.resource = Arc::clone(resource);
                self.by_name.insert(Arc::clone(&resource.name), standing);
            }
        }
    }

    /// Forgets a resource.
    pub(super) fn forget(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// What becomes of a render; `has_file`: there is something live that could stay.
    pub(super) fn decide(
        &mut self,
        context: &Context,
        resource: &Arc<Resource>,
        found: RenderCount,
        has_file: bool,
        now: Instant,
    ) -> Decision {
        let standing = self
            .by_name
            .entry(Arc::clone(&resource.name))
            .or_insert_with(|| Standing::remembered(context, resource, now));
        let live = Live { has_file, count: standing.live, held_since: standing.held_since };
        let decision = resource.guard.decide(found, live, now);
        let before = standing.decision.replace(decision);
        if before.map(|before| (before.verdict, before.loss)) != Some((decision.verdict, decision.loss)) {
            events::guarded(resource, &decision, before.and_then(|before| before.loss), found.count());
        }
        standing.held_since = decision.held_since;
        standing.wake_at = match decision.verdict {
            Verdict::Hold(until) => Some(until),
            _ => None,
        };
        standing.rendered = if decision.verdict == Verdict::Placeholder { 0 } else { found.count() };
        if !self.only_shown {
            standing.save(context, now);
        }
        decision
    }

    /// What was rendered last is live.
    pub(super) fn is_live(&mut self, context: &Context, name: &str, now: Instant) {
        let Some(standing) = self.by_name.get_mut(name) else { return };
        if standing.decision.is_some_and(|decision| decision.keeps_file() || decision.verdict == Verdict::Fail) {
            return;
        }
        standing.live = Some(standing.rendered);
        standing.held_since = None;
        if !self.only_shown {
            standing.save(context, now);
        }
    }

    /// The decision, where the live file of this resource stays as it is.
    pub(super) fn held(&self, name: &str) -> Option<Decision> {
        self.by_name.get(name)?.decision.filter(Decision::keeps_file)
    }

    /// Resources whose hold is over: they are to be decided on again.
    pub(super) fn lapsed(&mut self, now: Instant) -> Vec<Arc<str>> {
        let mut lapsed = Vec::new();
        for (name, standing) in &mut self.by_name {
            if standing.wake_at.take_if(|at| *at <= now).is_some() {
                lapsed.push(Arc::clone(name));
            }
        }
        lapsed
    }

    /// When `lapsed` has something next.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.by_name.values().filter_map(|standing| standing.wake_at).min()
    }
}

impl Standing {
    fn remembered(context: &Context, resource: &Arc<Resource>, now: Instant) -> Standing {
        let saved =
            if resource.guard.compares() { live_count::load(context, &resource.dest) } else { LiveCount::default() };
        let held_since = saved.held_since_unix.map(|since| {
            // A clock that was set back may say anything: a hold is never longer than it should be.
            let age = Duration::from_secs(clock::unix_seconds().saturating_sub(since));
            now.checked_sub(age.min(resource.guard.max_drop_hold)).unwrap_or(now)
        });
        Standing {
            resource: Arc::clone(resource),
            live: saved.count,
            rendered: 0,
            held_since,
            decision: None,
            wake_at: None,
            saved,
        }
    }

    fn save(&mut self, context: &Context, now: Instant) {
        if !self.resource.guard.compares() {
            return;
        }
        let held_since_unix = match (self.held_since, self.saved.held_since_unix) {
            (None, _) => None,
            (Some(_), Some(since)) => Some(since),
            (Some(since), None) => Some(clock::unix_seconds().saturating_sub(now.duration_since(since).as_secs())),
        };
        let wanted = LiveCount { count: self.live, held_since_unix };
        if wanted != self.saved {
            match live_count::save(context, &self.resource.dest, wanted) {
                Ok(()) => self.saved = wanted,
                Err(error) => events::not_remembered(&self.resource, &error),
            }
        }
    }
}
