//! What is known of one name beside its set. Pure.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lost::LostEndpoints;
use super::workers::ServingWorkers;
use super::{NamedIn, UpstreamTraits};
use crate::endpoints::answerer::{Uptake, Worker};
use crate::model::endpoints::SILENT_AFTER_SECONDS;

/// Time from the first answer of a worker until nginx is reloaded without the lines on disk: further names may follow.
pub(super) const CLEAN_AFTER: Duration = Duration::from_secs(5);
/// Time within which a process that starts asks, after it has read the lines on disk.
const ASKS_WITHIN: Duration = Duration::from_secs(10);
/// Time without a question after which nginx is taken for one that does not ask.
const SILENT_AFTER: Duration = Duration::from_secs(SILENT_AFTER_SECONDS);

/// Whether a live file has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A render has it that is not live yet.
    Planned,
    /// The live file has it.
    Live,
    /// Its resource is gone from conf.d. The file stays, so nginx may ask for it as before, and nobody makes sure that it does.
    Orphaned,
    /// No file has it any more; old workers may still ask.
    Over,
}

/// The upstreams that ask for a name, in the live file and in the last one that was rendered.
#[derive(Clone, Debug, Default)]
pub(super) struct PlannedTraits {
    pub(super) live: Option<UpstreamTraits>,
    pub(super) planned: UpstreamTraits,
    /// The last one that was rendered, if it is another file: until it is live, nginx starts with the lines beside the one that is.
    next_place: Option<NamedIn>,
}

impl PlannedTraits {
    /// Returns what suits both files: nginx may start with either.
    pub(super) fn common(&self) -> UpstreamTraits {
        let (planned, live) = (self.planned, self.live.unwrap_or(self.planned));
        UpstreamTraits {
            knows_backups: planned.knows_backups && live.knows_backups,
            upstreams: planned.upstreams.min(live.upstreams),
        }
    }
}

/// The worker before the next one that asks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WorkerBefore {
    /// Its address, if it is one of an earlier run of ours and had not read the lines on disk.
    pub(super) clean: Option<SocketAddr>,
    /// Whether workers have started since, and have not asked for the name in time: there is no telling who asks then.
    pub(super) is_outlived: bool,
}

/// One name.
#[derive(Debug)]
pub(super) struct NameRecord {
    pub(super) place: NamedIn,
    pub(super) traits: PlannedTraits,
    pub(super) usage: Use,
    /// Until when its lines are off the disk, because nginx is being reloaded and has the set.
    pub(super) withheld_until: Option<Instant>,
    /// When the lines were off the disk, lately: a worker that began to ask then has not read them.
    pub(super) clean: Vec<RangeInclusive<Instant>>,
    /// The newest worker.
    pub(super) worker: Option<Worker>,
    /// Whether that worker has read the lines on disk: they stay in it until a reload.
    pub(super) has_lines: bool,
    /// When nginx has to be reloaded without them; `None` once it was said.
    pub(super) clean_at: Option<Instant>,
    /// The endpoints that the set has lost.
    pub(super) lost: LostEndpoints,
    pub(super) before: WorkerBefore,
    /// Since when nobody asks.
    pub(super) silent_since: Option<Instant>,
    /// What was done about that.
    pub(super) remedy: SilenceRemedy,
}

/// The remedy for a name that nobody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SilenceRemedy {
    /// Nothing.
    None,
    /// A reload of nginx is owed.
    Owed,
    /// nginx was reloaded.
    Reloaded,
}

impl NameRecord {
    /// Returns the record of a name that a render has.
    pub(super) fn planned(place: &NamedIn, now: Instant) -> NameRecord {
        NameRecord {
            place: place.clone(),
            traits: PlannedTraits::default(),
            usage: Use::Planned,
            withheld_until: None,
            clean: Vec::new(),
            worker: None,
            has_lines: false,
            clean_at: None,
            lost: LostEndpoints::default(),
            before: WorkerBefore::default(),
            silent_since: Some(now),
            remedy: SilenceRemedy::None,
        }
    }

    /// Returns the file that has it, or will have it.
    pub(super) fn planned_place(&self) -> &NamedIn {
        self.traits.next_place.as_ref().unwrap_or(&self.place)
    }

    /// Records that a render of this file has it.
    pub(super) fn plan_in(&mut self, place: &NamedIn) {
        let is_elsewhere = self.traits.live.is_some() && self.place.dest != place.dest;
        match is_elsewhere {
            true => self.traits.next_place = Some(place.clone()),
            false => (self.place, self.traits.next_place) = (place.clone(), None),
        }
    }

    /// Records that the file of this destination is live. Returns whether it has moved there.
    pub(super) fn move_to(&mut self, dest: &Path) -> bool {
        let next = self.traits.next_place.take_if(|next| next.dest == dest);
        let has_moved = next.is_some();
        next.into_iter().for_each(|next| self.place = next);
        has_moved
    }

    /// Records the newest worker that asks, and whether somebody asks. Returns whether another worker is clean now.
    pub(super) fn look(
        &mut self,
        (worker, uptake): (Option<Worker>, Uptake),
        (cleaning, workers): (&BTreeSet<Arc<str>>, &ServingWorkers),
        now: Instant,
    ) -> bool {
        if uptake == Uptake::Unasked {
            self.silent_since.get_or_insert(now);
        } else {
            (self.silent_since, self.remedy) = (None, SilenceRemedy::None);
        }
        let (known, clean_before) = (self.worker, self.clean_worker());
        let Some(worker) = worker.filter(|worker| known.is_none_or(|known| known.number != worker.number)) else {
            return false;
        };
        let is_known_clean = clean_before.is_some_and(|before| match workers.are_settled() {
            // Its socket is another one if it has asked while we were away or hung, and an old worker that is leaving may be seen later.
            Some(are_settled) if !self.before.is_outlived => are_settled,
            are_settled => known.is_none() && before == worker.address && are_settled != Some(false),
        });
        (self.worker, self.before) = (Some(worker), WorkerBefore::default());
        self.has_lines = !is_known_clean && !self.clean.iter().any(|during| during.contains(&worker.since));
        // The first that we know of may have read the lines long before it could ask us.
        if known.is_some() {
            let has_lines = self.has_lines;
            self.lost.at.take_if(|at| !has_lines || *at + ASKS_WITHIN < worker.since);
        }
        let at = if self.is_stale() { now } else { worker.since + CLEAN_AFTER };
        self.clean_at = (self.has_lines && !cleaning.contains(&self.place.resource)).then_some(at);
        self.clean_worker() != clean_before
    }

    /// Returns the address of the worker that is known not to have read the lines on disk, in an earlier run too.
    pub(super) fn clean_worker(&self) -> Option<SocketAddr> {
        match self.worker {
            Some(worker) => (!self.has_lines).then_some(worker.address),
            None => self.before.clean,
        }
    }

    /// Records until when workers that begin to ask have not read the lines, if these are off the disk.
    pub(super) fn clean_until(&mut self, until: Instant) {
        if let (Some(_), Some(during)) = (self.withheld_until, self.clean.last_mut()) {
            *during = *during.start()..=until;
        }
    }

    /// Returns whether nginx has read a line whose backend has been removed since.
    pub(super) fn is_stale(&self) -> bool {
        self.has_lines && self.lost.at.is_some()
    }

    /// Returns when nginx has to be reloaded without the lines.
    pub(super) fn clean_at(&self) -> Option<Instant> {
        self.clean_at.filter(|_| self.usage == Use::Live)
    }

    /// Returns when nginx is taken for one that does not ask.
    pub(super) fn silent_at(&self) -> Option<Instant> {
        let counts = self.usage == Use::Live && self.remedy != SilenceRemedy::Owed;
        self.silent_since.filter(|_| counts).map(|since| since + SILENT_AFTER)
    }

    /// Returns when something may be due.
    pub(super) fn wake_at(&self, now: Instant) -> Option<Instant> {
        let times = [self.clean_at(), self.silent_at(), self.withheld_until];
        times.into_iter().flatten().filter(|at| *at > now).min()
    }
}
