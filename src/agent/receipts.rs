//! How far each resource has come, for the receipt: which change of its keys was seen, applied, has converged and drained.
//! Pure: what happens is told, the receipt is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::apply::group::Group;
use crate::model::key::Revision;
use crate::model::receipt::{FORMAT, Proof, Receipt, ResourceReceipt};
use crate::model::report::Report;
use crate::model::resource::{Resource, Verify};

use super::draining::Draining;

/// See the module.
#[derive(Debug)]
pub struct Receipts {
    id: String,
    tracks: BTreeMap<Arc<str>, Track>,
}

#[derive(Debug)]
struct Track {
    keys: Vec<String>,
    proof: Proof,
    seen: Revision,
    /// What `seen` was when the bytes were rendered that are on their way.
    under_way: Revision,
    applied: Option<Revision>,
    converged: Option<Revision>,
    drained: Option<Revision>,
    /// Applied, each with the generation of nginx that has it; those before it may still be in use. One for a generation.
    undrained: Vec<(Revision, u64)>,
}

impl Receipts {
    /// Those of the agent of this id.
    pub fn new(id: String) -> Receipts {
        Receipts { id, tracks: BTreeMap::new() }
    }

    /// Takes the resources that there are from now on. What stays as it was has come as far as it had.
    pub fn set_groups<'a>(&mut self, groups: impl IntoIterator<Item = &'a Group>) {
        let mut old = std::mem::take(&mut self.tracks);
        for group in groups {
            let proof = proof(group);
            for resource in group.resources.iter().filter(|resource| !resource.ranges.is_empty()) {
                let keys = keys(resource);
                let same = old.remove(&resource.name).filter(|track| track.keys == keys && track.proof == proof);
                let new = || Track {
                    keys,
                    proof,
                    seen: Revision::default(),
                    under_way: Revision::default(),
                    applied: None,
                    converged: None,
                    drained: None,
                    undrained: Vec::new(),
                };
                self.tracks.insert(Arc::clone(&resource.name), same.unwrap_or_else(new));
            }
        }
    }

    /// A key of the resource has changed at this revision.
    pub fn touched(&mut self, resource: &str, revision: Revision) {
        if let Some(track) = self.tracks.get_mut(resource) {
            track.seen = revision;
        }
    }

    /// The resource is rendered, from the tree at this revision.
    pub fn rendering(&mut self, resource: &str, revision: Revision) {
        if let Some(track) = self.tracks.get_mut(resource) {
            if track.applied.is_none() && track.seen == Revision::default() {
                // The first it sees of the store; whatever happened before is in it.
                track.seen = revision;
            }
            track.under_way = track.seen;
        }
    }

    /// A pass has ended, and `draining` has heard of it.
    pub fn finished(&mut self, report: &Report, draining: &Draining) {
        if report.outcome.is_final() {
            for name in &report.resources {
                let dropped = report.dropped.iter().any(|(dropped, _)| dropped == name);
                if let Some(track) = self.tracks.get_mut(name).filter(|_| !dropped) {
                    track.apply(report, draining.generation());
                }
            }
        }
        self.look(draining);
    }

    /// Workers may have ended.
    pub fn look(&mut self, draining: &Draining) {
        let oldest = draining.oldest_undrained();
        for track in self.tracks.values_mut() {
            let drained = |(_, generation): &(Revision, u64)| oldest.is_none_or(|oldest| *generation < oldest);
            let count = track.undrained.iter().take_while(|entry| drained(entry)).count();
            if let Some((revision, _)) = track.undrained.drain(..count).last() {
                track.drained = Some(revision);
                // Workers that have ended serve nothing, even if they were not seen to begin to leave.
                track.converged = track.converged.max(Some(revision));
            }
        }
    }

    /// The receipt as of now.
    pub fn receipt(&self, draining: &Draining) -> Receipt {
        let drained_generation = match draining.oldest_undrained() {
            None => Some(draining.generation()),
            Some(oldest) => oldest.checked_sub(1),
        };
        let number = |revision: Option<Revision>| revision.map(|revision| revision.0);
        Receipt {
            format: FORMAT,
            id: self.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: draining.generation(),
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
                })
                .collect(),
        }
    }
}

impl Track {
    fn apply(&mut self, report: &Report, generation: u64) {
        self.applied = Some(self.under_way);
        if self.proof != Proof::Nginx {
            return;
        }
        if report.verified.as_ref().is_none_or(|verified| verified.converged.is_some()) {
            self.converged = self.applied;
        }
        match self.undrained.last_mut() {
            Some((revision, last)) if *last == generation => *revision = self.under_way,
            _ => self.undrained.push((self.under_way, generation)),
        }
    }
}

fn proof(group: &Group) -> Proof {
    match &group.reload {
        None => Proof::File,
        Some(_) if group.drives_nginx() && group.verify == Verify::Auto => Proof::Nginx,
        Some(_) => Proof::Unseen,
    }
}

/// The directories of the store that a resource sees, as its ranges are made.
fn keys(resource: &Resource) -> Vec<String> {
    resource.keys.iter().map(|key| format!("{}{key}", resource.prefix)).collect()
}
