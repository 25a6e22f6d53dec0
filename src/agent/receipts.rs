//! The progress of each resource, for the receipt: which change of its keys was seen, applied, has converged and drained.
//! Pure: events go in, the receipt comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use crate::apply::group::Group;
use crate::endpoints::taken::TakenAnswers;
use crate::model::key::Revision;
use crate::model::receipt::{FORMAT, Proof, Receipt, ResourceReceipt};
use crate::model::report::Report;
use crate::model::resource::{Resource, Verify};
use crate::status::board::ResourceProgress;

use super::drains::Drains;
use super::reloads::Reloads;
use changes::{UntakenChange, UntakenChanges};

mod changes;

/// Most changes of a resource that are kept apart until they drain.
const MAX_UNDRAINED: usize = 1024;

/// The account of all resources that are read from the settings' store.
#[derive(Debug)]
pub struct Receipts {
    id: String,
    /// Whether the receipt may have changed since it was last taken.
    moved: bool,
    /// Resources whose progress may have changed since it was last shown.
    news: BTreeSet<Arc<str>>,
    /// Number of the oldest reload that still had old workers at the last look.
    oldest: Option<u64>,
    tracks: BTreeMap<Arc<str>, Track>,
}

#[derive(Debug)]
struct Track {
    keys: Vec<String>,
    proof: Proof,
    seen: Revision,
    /// The changes that no pass has picked up.
    touched: Lag,
    /// The changes that a pass has picked up and none has made live.
    picked_up: Lag,
    /// Value of `seen` when the running pass picked up the resource.
    under_way: Option<Revision>,
    /// The changes whose endpoints nginx has not taken yet.
    untaken: UntakenChanges,
    applied: Option<Revision>,
    converged: Option<Revision>,
    drained: Option<Revision>,
    /// Whether a guard held it in its last pass.
    held: bool,
    /// Applied changes; what they removed may still be in use. At most one per reload.
    undrained: Vec<UndrainedChange>,
}

/// Changes of keys that are not live.
#[derive(Clone, Copy, Debug, Default)]
struct Lag {
    /// Time of the first.
    since: Option<Instant>,
    /// Number of them.
    changes: usize,
}

impl Lag {
    /// Returns these and later ones together.
    fn and(self, later: Lag) -> Lag {
        Lag { since: self.since.or(later.since), changes: self.changes + later.changes }
    }
}

#[derive(Debug)]
struct UndrainedChange {
    revision: Revision,
    /// Number of the reload whose old workers may use what was removed; `None` if none were left behind.
    reload: Option<u64>,
    removal: RemovalKind,
}

/// The removals of an applied change, and the evidence that they are no longer in use. The end of the old workers always is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalKind {
    /// Anything: only the end of the old workers shows it.
    Anything,
    /// Nothing: later changes do not wait for it.
    Nothing,
    /// Backends: the end of this change of `Drains` shows it.
    Backends(u64),
    /// Endpoints that nginx asks for: only the end of this change of the resource, and of those before it, shows it, because workers
    /// that stay may have used them too.
    Endpoints(u64),
    /// Such endpoints, and anything: the end of the old workers has to show it too.
    EndpointsAndMore(u64),
}

impl RemovalKind {
    /// Returns what two changes have removed together.
    fn and(self, other: RemovalKind) -> RemovalKind {
        match (self, other) {
            (RemovalKind::Nothing, one) | (one, RemovalKind::Nothing) => one,
            (one, other) if one == other => one,
            (RemovalKind::Endpoints(one), RemovalKind::Endpoints(other)) => RemovalKind::Endpoints(one.max(other)),
            (endpoints @ RemovalKind::Endpoints(_), _) | (_, endpoints @ RemovalKind::Endpoints(_)) => endpoints,
            _ => RemovalKind::Anything,
        }
    }
}

impl Receipts {
    /// Returns an empty account of the agent of this id.
    pub fn new(id: String) -> Receipts {
        Receipts { id, moved: true, news: BTreeSet::new(), oldest: None, tracks: BTreeMap::new() }
    }

    /// Adopts a new set of groups. An unchanged resource keeps its progress.
    pub fn set_groups<'a>(&mut self, groups: impl IntoIterator<Item = &'a Group>) {
        self.moved = true;
        let mut old = std::mem::take(&mut self.tracks);
        for group in groups {
            let proof = proof(group);
            // Revisions of a different store would mean nothing here.
            let of_ours = |resource: &&Arc<Resource>| !resource.ranges.is_empty() && resource.backend.is_none();
            for resource in group.resources.iter().filter(of_ours) {
                let keys = keys(resource);
                let same = old.remove(resource.name()).filter(|track| track.keys == keys && track.proof == proof);
                let new = || Track {
                    keys,
                    proof,
                    seen: Revision::default(),
                    touched: Lag::default(),
                    picked_up: Lag::default(),
                    under_way: None,
                    untaken: UntakenChanges::default(),
                    applied: None,
                    converged: None,
                    drained: None,
                    held: false,
                    undrained: Vec::new(),
                };
                self.tracks.insert(Arc::clone(resource.name()), same.unwrap_or_else(new));
            }
        }
    }

    /// Records that a key of the resource has changed at this revision.
    pub fn touched(&mut self, resource: &Arc<str>, revision: Revision, now: Instant) {
        if let Some(track) = self.tracks.get_mut(resource) {
            if track.touched.since.is_none() || track.seen != revision {
                track.touched = track.touched.and(Lag { since: Some(now), changes: 1 });
            }
            if revision < track.seen {
                track.restart(revision);
            }
            track.seen = revision;
            self.news.insert(Arc::clone(resource));
        }
    }

    /// Records that the store has been restored, or is a different one, and is at this revision now.
    pub fn went_back(&mut self, revision: Revision) {
        for (name, track) in self.tracks.iter_mut().filter(|(_, track)| track.seen > revision) {
            track.restart(revision);
            track.seen = revision;
            self.news.insert(Arc::clone(name));
            self.moved = true;
        }
    }

    /// Records that a pass picks up the resource, with the tree at this revision.
    pub fn rendering(&mut self, resource: &str, revision: Revision) {
        if let Some(track) = self.tracks.get_mut(resource) {
            // Everything that happened before the first tree is in it.
            let is_first = track.applied.is_none() && track.seen == Revision::default();
            track.under_way = Some(if is_first { revision } else { track.seen });
            track.picked_up = track.picked_up.and(std::mem::take(&mut track.touched));
        }
    }

    /// Records that the pass left the resource as it is, because it waits for its keys.
    pub fn waits(&mut self, resource: &str) {
        if let Some(track) = self.tracks.get_mut(resource) {
            track.under_way = None;
        }
    }

    /// Records that a pass over the group has ended; `reloads` and `drains` already include what it removed.
    pub fn finished(
        &mut self,
        group: &Group,
        report: &Report,
        removals: &BTreeMap<Arc<str>, RemovalKind>,
        (reloads, drains): (&Reloads, &Drains),
        taken: &TakenAnswers,
    ) {
        let held = |resource: &str| report.held.iter().any(|(id, _)| *id.resource == *resource);
        for resource in &group.resources {
            let Some(track) = self.tracks.get_mut(resource.name()) else { continue };
            let Some(revision) = track.under_way.take() else { continue };
            if track.seen == Revision::default() {
                track.seen = revision;
            }
            track.held = held(resource.name());
            self.news.insert(Arc::clone(resource.name()));
            if report.is_applied(resource.name()) {
                let removal = match track.applied {
                    // The first change is everything that happened before.
                    None => drains.last_open(resource.name()).map(RemovalKind::EndpointsAndMore),
                    Some(_) => removals.get(resource.name()).copied(),
                };
                let removal = removal.unwrap_or(RemovalKind::Anything);
                track.add_untaken((revision, taken.serial()), removal, report);
            }
        }
        self.moved = true;
        self.settle(taken, reloads);
        self.look(reloads, drains);
    }

    /// Returns whether a change waits until nginx has taken it.
    pub fn awaits_nginx(&self) -> bool {
        self.tracks.values().any(|track| track.untaken.first.is_some())
    }

    /// Records what nginx has taken of the answers: then what the passes did counts as applied.
    pub fn settle(&mut self, taken: &TakenAnswers, reloads: &Reloads) {
        for (name, track) in &mut self.tracks {
            while let Some(change) = track.untaken.take_if(|change| taken.has(name, change.answers)) {
                track.apply(change, reloads.count());
                self.moved = true;
                self.news.insert(Arc::clone(name));
            }
        }
    }

    /// Records what has drained since.
    pub fn look(&mut self, reloads: &Reloads, drains: &Drains) {
        let oldest = reloads.oldest_undrained();
        self.moved |= std::mem::replace(&mut self.oldest, oldest) != oldest;
        for (name, track) in &mut self.tracks {
            if let Some(revision) = track.drain(name, oldest, drains) {
                self.moved = true;
                self.news.insert(Arc::clone(name));
                track.drained = Some(revision);
                // Workers that have ended serve nothing, even if they were never seen leaving.
                track.converged = track.converged.max(Some(revision));
            }
        }
    }

    /// Returns whether the receipt may have changed since the last call.
    pub fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Returns the progress of the resources for which it may have changed since the last call. `unix_seconds` is the time.
    pub fn take_progress(&mut self, now: Instant, unix_seconds: u64) -> Vec<(Arc<str>, ResourceProgress)> {
        let progress = |track: &Track| {
            let behind = track.behind();
            ResourceProgress {
                seen: Some(track.seen).filter(|seen| *seen != Revision::default()),
                applied: track.applied,
                converged: track.converged,
                drained: track.drained,
                behind_since: behind.since.map(|at| unix_seconds.saturating_sub(now.duration_since(at).as_secs())),
                behind_changes: behind.changes,
            }
        };
        let news = std::mem::take(&mut self.news).into_iter();
        news.filter_map(|name| self.tracks.get(&name).map(progress).map(|progress| (name, progress))).collect()
    }

    /// Returns the present receipt.
    pub fn receipt(&self, reloads: &Reloads) -> Receipt {
        let drained_generation = match reloads.oldest_undrained() {
            None => Some(reloads.count()),
            Some(oldest) => oldest.checked_sub(1),
        };
        let number = |revision: Option<Revision>| revision.map(|revision| revision.0);
        Receipt {
            format: FORMAT,
            id: self.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: reloads.count(),
            drained_generation,
            resources: self
                .tracks
                .iter()
                .map(|(name, track)| ResourceReceipt {
                    name: name.to_string(),
                    keys: track.keys.clone(),
                    proof: track.proof,
                    seen: track.seen.0,
                    applied: number(track.applied),
                    converged: number(track.converged),
                    drained: number(track.drained),
                    held: track.held,
                })
                .collect(),
        }
    }
}

impl Track {
    /// Forgets what was reached at later revisions: the store has been restored, or is another one. What was removed may still be in use.
    fn restart(&mut self, revision: Revision) {
        (self.applied, self.converged, self.drained) = (None, None, None);
        let changes = [&mut self.untaken.first, &mut self.untaken.later].into_iter().flatten();
        let revisions = changes.map(|change| &mut change.revision);
        let revisions = revisions.chain(self.undrained.iter_mut().map(|change| &mut change.revision));
        revisions.chain(&mut self.under_way).for_each(|known| *known = revision.min(*known));
    }

    /// Returns all changes that are not applied.
    fn behind(&self) -> Lag {
        let untaken = [&self.untaken.first, &self.untaken.later].into_iter().flatten().map(|change| change.lag);
        untaken.fold(Lag::default(), Lag::and).and(self.picked_up).and(self.touched)
    }

    /// Records a change that a pass has made, with the serial of the answers that have it.
    fn add_untaken(&mut self, (revision, answers): (Revision, u64), removal: RemovalKind, report: &Report) {
        let has_converged = report.verified.as_ref().map(|verified| verified.converged.is_some());
        let (removal, leaves_workers) = match removal {
            RemovalKind::Anything | RemovalKind::Backends(_) => (removal, true),
            RemovalKind::Nothing => (removal, report.verified.is_some()),
            RemovalKind::Endpoints(_) => (removal, false),
            RemovalKind::EndpointsAndMore(number) => (RemovalKind::Endpoints(number), true),
        };
        let lag = std::mem::take(&mut self.picked_up);
        self.untaken.add(UntakenChange { revision, answers, lag, removal, has_converged, leaves_workers });
    }

    fn apply(&mut self, change: UntakenChange, reload: u64) {
        let UntakenChange { revision, removal, has_converged, leaves_workers, .. } = change;
        let had_converged = self.converged == self.applied;
        self.applied = Some(revision);
        if self.proof != Proof::Nginx {
            return;
        }
        // Without a reload, a worker that hangs serves what it has served.
        if has_converged.unwrap_or(had_converged) {
            self.converged = self.applied;
        }
        let reload = leaves_workers.then_some(reload);
        match self.undrained.last_mut() {
            Some(last) if last.reload == reload && (reload.is_some() || last.removal == removal) => {
                last.revision = revision;
                last.removal = last.removal.and(removal);
            }
            _ => self.undrained.push(UndrainedChange { revision, reload, removal }),
        }
    }

    /// Removes the changes that have drained; `oldest` is the oldest reload with old workers. Returns the last one's revision.
    fn drain(&mut self, resource: &str, oldest: Option<u64>, drains: &Drains) -> Option<Revision> {
        let without_workers =
            |change: &UndrainedChange| change.reload.is_some_and(|reload| oldest.is_none_or(|oldest| reload < oldest));
        let has_drained = |change: &&UndrainedChange| match change.removal {
            RemovalKind::Anything => without_workers(change),
            RemovalKind::Nothing => true,
            RemovalKind::Backends(number) => without_workers(change) || drains.is_over(number),
            RemovalKind::Endpoints(number) | RemovalKind::EndpointsAndMore(number) => {
                drains.are_over(resource, number) && (change.reload.is_none() || without_workers(change))
            }
        };
        let count = self.undrained.iter().take_while(has_drained).count();
        // A reload that removed nothing still leaves old workers behind: by itself it drains with them.
        let is_last = |change: &UndrainedChange| {
            change.removal != RemovalKind::Nothing || change.reload.is_none() || without_workers(change)
        };
        let count = self.undrained[..count].iter().rposition(is_last).map_or(0, |last| last + 1);
        let drained = self.undrained.drain(..count).next_back().map(|change| change.revision);
        while self.undrained.len() > MAX_UNDRAINED && self.merge_oldest(drains) {}
        drained
    }

    /// Makes one change of the two oldest that can be one, which drains no earlier than both. Returns whether there are any: two sets of
    /// endpoints in use are not one, and `Drains` keeps few of them.
    fn merge_oldest(&mut self, drains: &Drains) -> bool {
        let left = |change: &UndrainedChange| match change.removal {
            RemovalKind::Endpoints(number) if drains.is_over(number) && change.reload.is_some() => {
                RemovalKind::Anything
            }
            RemovalKind::Endpoints(number) | RemovalKind::Backends(number) if drains.is_over(number) => {
                RemovalKind::Nothing
            }
            removal => removal,
        };
        let together = |two: &[UndrainedChange]| match (left(&two[0]), left(&two[1])) {
            (RemovalKind::Endpoints(one), RemovalKind::Endpoints(other)) if one != other => None,
            (one, other) => Some(one.and(other)),
        };
        let pairs = self.undrained.windows(2).enumerate();
        let Some((at, removal)) = pairs.filter_map(|(at, two)| Some((at, together(two)?))).next() else { return false };
        let later = self.undrained.remove(at + 1);
        let earlier = &mut self.undrained[at];
        *earlier = UndrainedChange { reload: earlier.reload.max(later.reload), removal, revision: later.revision };
        true
    }
}

fn proof(group: &Group) -> Proof {
    match &group.reload {
        None => Proof::File,
        Some(_) if group.drives_nginx() && group.verify == Verify::Auto => Proof::Nginx,
        Some(_) => Proof::Unseen,
    }
}

/// Returns the directories of the store that a resource sees.
fn keys(resource: &Resource) -> Vec<String> {
    resource.keys.iter().map(|key| format!("{}{key}", resource.prefix)).collect()
}

#[cfg(test)]
mod tests;
