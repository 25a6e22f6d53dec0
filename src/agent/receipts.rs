//! The progress of each resource, for the receipt: which change of its keys was seen, applied, has converged and drained.
//! Pure: events go in, the receipt comes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::apply::group::Group;
use crate::model::key::Revision;
use crate::model::receipt::{FORMAT, Proof, Receipt, ResourceReceipt};
use crate::model::report::Report;
use crate::model::resource::{Resource, Verify};

use super::reloads::Reloads;

/// The account of all resources that are read from the settings' store.
#[derive(Debug)]
pub struct Receipts {
    id: String,
    /// Whether the receipt may have changed since it was last taken.
    moved: bool,
    /// Number of the oldest reload that still had old workers at the last look.
    oldest: Option<u64>,
    tracks: BTreeMap<Arc<str>, Track>,
}

#[derive(Debug)]
struct Track {
    keys: Vec<String>,
    proof: Proof,
    seen: Revision,
    /// Value of `seen` when the running pass picked up the resource.
    under_way: Option<Revision>,
    /// The revision whose endpoints nginx has not taken yet, and whether its reload has converged.
    untaken: Option<(Revision, bool)>,
    applied: Option<Revision>,
    converged: Option<Revision>,
    drained: Option<Revision>,
    /// Whether a guard held it in its last pass.
    held: bool,
    /// Applied revisions, each with the number of its reload; earlier revisions may still be in use. At most one per reload.
    undrained: Vec<(Revision, u64)>,
}

impl Receipts {
    /// Returns an empty account of the agent of this id.
    pub fn new(id: String) -> Receipts {
        Receipts { id, moved: true, oldest: None, tracks: BTreeMap::new() }
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
                    under_way: None,
                    untaken: None,
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
    pub fn touched(&mut self, resource: &str, revision: Revision) {
        if let Some(track) = self.tracks.get_mut(resource) {
            track.seen = revision;
        }
    }

    /// Records that a pass picks up the resource, with the tree at this revision.
    pub fn rendering(&mut self, resource: &str, revision: Revision) {
        if let Some(track) = self.tracks.get_mut(resource) {
            // Everything that happened before the first tree is in it.
            let is_first = track.applied.is_none() && track.seen == Revision::default();
            track.under_way = Some(if is_first { revision } else { track.seen });
        }
    }

    /// Records that the pass left the resource as it is, because it waits for its keys.
    pub fn waits(&mut self, resource: &str) {
        if let Some(track) = self.tracks.get_mut(resource) {
            track.under_way = None;
        }
    }

    /// Records that a pass over the group has ended; `reloads` already includes its reload.
    pub fn finished(&mut self, group: &Group, report: &Report, reloads: &Reloads, has_taken: impl Fn(&str) -> bool) {
        let dropped = |resource: &str| report.dropped.iter().any(|(id, _)| *id.resource == *resource);
        let held = |resource: &str| report.held.iter().any(|(id, _)| *id.resource == *resource);
        for resource in &group.resources {
            let Some(track) = self.tracks.get_mut(resource.name()) else { continue };
            let Some(revision) = track.under_way.take() else { continue };
            if track.seen == Revision::default() {
                track.seen = revision;
            }
            track.held = held(resource.name());
            if report.outcome.is_final() && !dropped(resource.name()) && !track.held {
                let has_converged = report.verified.as_ref().is_none_or(|verified| verified.converged.is_some());
                track.untaken = Some((revision, has_converged));
            }
        }
        self.moved = true;
        self.settle(has_taken, reloads);
        self.look(reloads);
    }

    /// Records which resources nginx has taken the endpoints of: then what their passes did counts as applied.
    pub fn settle(&mut self, has_taken: impl Fn(&str) -> bool, reloads: &Reloads) {
        for (name, track) in &mut self.tracks {
            if let Some((revision, has_converged)) = track.untaken.take_if(|_| has_taken(name)) {
                track.apply(revision, has_converged, reloads.count());
                self.moved = true;
            }
        }
    }

    /// Records which old workers have ended since.
    pub fn look(&mut self, reloads: &Reloads) {
        let oldest = reloads.oldest_undrained();
        self.moved |= std::mem::replace(&mut self.oldest, oldest) != oldest;
        for track in self.tracks.values_mut() {
            let drained = |(_, reload): &(Revision, u64)| oldest.is_none_or(|oldest| *reload < oldest);
            let count = track.undrained.iter().take_while(|entry| drained(entry)).count();
            if let Some((revision, _)) = track.undrained.drain(..count).next_back() {
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
    fn apply(&mut self, applied: Revision, has_converged: bool, reload: u64) {
        self.applied = Some(applied);
        if self.proof != Proof::Nginx {
            return;
        }
        if has_converged {
            self.converged = self.applied;
        }
        match self.undrained.last_mut() {
            Some((revision, last)) if *last == reload => *revision = applied,
            _ => self.undrained.push((applied, reload)),
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

/// Returns the directories of the store that a resource sees.
fn keys(resource: &Resource) -> Vec<String> {
    resource.keys.iter().map(|key| format!("{}{key}", resource.prefix)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::apply::group;
    use crate::config::resource::{Defaults, ResourceFile, parse};
    use crate::model::process::Process;
    use crate::model::report::{Outcome, Stage, StepFailure, Verified};
    use crate::model::resource::InstanceId;

    /// Returns the group of a resource `NAME.toml` over `/services/NAME`, with these lines added.
    fn group(name: &str, lines: &str) -> Group {
        let text =
            format!("[template]\nsrc = \"x.tera\"\ndest = \"/{name}\"\nkeys = [\"/services/{name}\"]\n{lines}\n");
        let file = ResourceFile { name: format!("{name}.toml").into(), path: name.into(), text };
        group::form(&[Arc::new(parse(&file, &Defaults::default()).unwrap())]).remove(0)
    }

    const NGINX: &str = "reload = \"nginx\"";

    struct Walk {
        receipts: Receipts,
        reloads: Reloads,
        groups: Vec<Group>,
        now: Instant,
    }

    impl Walk {
        fn new(groups: Vec<Group>) -> Walk {
            let mut receipts = Receipts::new("a".to_owned());
            receipts.set_groups(&groups);
            Walk { receipts, reloads: Reloads::default(), groups, now: Instant::now() }
        }

        /// Runs a pass over the first group, at this tree's revision, with this report.
        fn pass(&mut self, tree: i64, report: Report) {
            let group = self.groups[0].clone();
            for resource in &group.resources {
                self.receipts.rendering(resource.name(), Revision(tree));
            }
            self.reloads.add(&report, self.now);
            self.receipts.finished(&group, &report, &self.reloads, |_| true);
        }

        fn end_of_workers(&mut self, pids: &[i32]) {
            self.now += Duration::from_secs(1);
            self.reloads.look(self.now, |process| !pids.contains(&process.pid));
            self.receipts.look(&self.reloads);
        }

        /// Checks seen, applied, converged and drained of the first resource, then the reload counts.
        #[track_caller]
        fn check(&self, seen: i64, rest: [Option<i64>; 3], generations: (u64, Option<u64>)) {
            let receipt = self.receipts.receipt(&self.reloads);
            let resource = &receipt.resources[0];
            assert_eq!((resource.seen, [resource.applied, resource.converged, resource.drained]), (seen, rest));
            assert_eq!((receipt.generation, receipt.drained_generation), generations);
        }
    }

    fn reloaded(now: Instant, leaving: &[i32], converged: bool) -> Report {
        let zero = Duration::ZERO;
        let leaving = leaving.iter().map(|pid| Process { pid: *pid, start_time: 1 }).collect();
        let converged = converged.then_some(zero);
        let (generation, asked_at, evidence) = (None, now, None);
        let verified =
            Verified { accepted: zero, healthy: zero, converged, generation, serving: 2, leaving, asked_at, evidence };
        Report { outcome: Outcome::Applied, verified: Some(verified), ..Report::unchanged(Revision(0)) }
    }

    fn unchanged() -> Report {
        Report::unchanged(Revision(0))
    }

    #[test]
    fn a_change_is_seen_applied_converges_and_drains() {
        let mut walk = Walk::new(vec![group("web", NGINX)]);
        walk.check(0, [None; 3], (0, Some(0)));
        walk.pass(10, unchanged());
        walk.check(10, [Some(10); 3], (0, Some(0)));
        walk.receipts.touched("web.toml", Revision(12));
        walk.check(12, [Some(10); 3], (0, Some(0)));
        walk.pass(15, reloaded(walk.now, &[7], true));
        walk.check(12, [Some(12), Some(12), Some(10)], (1, Some(0)));
        // No byte has changed, but the remaining old worker has none of it.
        walk.receipts.touched("web.toml", Revision(20));
        walk.pass(20, unchanged());
        walk.check(20, [Some(20), Some(20), Some(10)], (1, Some(0)));
        walk.receipts.touched("web.toml", Revision(30));
        walk.pass(30, reloaded(walk.now, &[7, 8], false));
        walk.check(30, [Some(30), Some(20), Some(10)], (2, Some(0)));
        walk.end_of_workers(&[7]);
        walk.check(30, [Some(30), Some(20), Some(20)], (2, Some(1)));
        walk.end_of_workers(&[7, 8]);
        walk.check(30, [Some(30); 3], (2, Some(2)));
        // A further look at everything changes nothing.
        walk.pass(99, unchanged());
        walk.check(30, [Some(30); 3], (2, Some(2)));
    }

    #[test]
    fn workers_that_were_leaving_before_count() {
        let mut walk = Walk::new(vec![group("web", NGINX)]);
        walk.reloads.add_earlier(BTreeSet::from([Process { pid: 7, start_time: 1 }]), walk.now);
        walk.pass(10, unchanged());
        walk.check(10, [Some(10), Some(10), None], (0, None));
        walk.end_of_workers(&[7]);
        walk.check(10, [Some(10); 3], (0, Some(0)));
    }

    #[test]
    fn what_failed_or_is_held_is_not_applied() {
        let failure = || StepFailure::new(Stage::Check, "x");
        let mut walk = Walk::new(vec![group("web", NGINX)]);
        walk.pass(10, unchanged());
        walk.receipts.touched("web.toml", Revision(12));
        walk.pass(12, Report { outcome: Outcome::Rejected(failure()), ..unchanged() });
        walk.pass(12, Report { dropped: vec![("web.toml".into(), failure())], ..unchanged() });
        let instance = InstanceId { item: Some("a".into()), .."web.toml".into() };
        walk.pass(12, Report { dropped: vec![(instance, failure())], ..unchanged() });
        let owed = Outcome::ReloadOwed { cause: failure(), nothing_runs: true };
        walk.pass(12, Report { outcome: owed, ..unchanged() });
        walk.check(12, [Some(10); 3], (0, Some(0)));
        walk.pass(12, Report { dropped: vec![("web2.toml".into(), failure())], ..unchanged() });
        walk.check(12, [Some(12); 3], (0, Some(0)));
    }

    #[test]
    fn what_changes_during_a_pass_waits_for_the_next() {
        let mut walk = Walk::new(vec![group("web", NGINX)]);
        walk.pass(10, unchanged());
        let web = walk.groups[0].clone();
        walk.receipts.touched("web.toml", Revision(11));
        walk.receipts.rendering("web.toml", Revision(11));
        walk.receipts.touched("web.toml", Revision(12));
        walk.receipts.finished(&web, &unchanged(), &walk.reloads, |_| true);
        walk.check(12, [Some(11); 3], (0, Some(0)));
    }

    #[test]
    fn what_cannot_be_proven_is_not_said() {
        for (lines, proof) in [
            ("", Proof::File),
            ("check_cmd = \"nginx -t\"", Proof::File),
            ("reload_cmd = \"service haproxy reload\"", Proof::Unseen),
            ("reload_cmd = \"nginx -s reload\"\nverify = \"off\"", Proof::Unseen),
            ("reload_cmd = \"nginx -s reload\"", Proof::Nginx),
        ] {
            let mut walk = Walk::new(vec![group("web", lines)]);
            walk.pass(10, unchanged());
            let rest = if proof == Proof::Nginx { Some(10) } else { None };
            walk.check(10, [Some(10), rest, rest], (0, Some(0)));
            let receipt = walk.receipts.receipt(&walk.reloads);
            assert_eq!(
                (receipt.resources[0].proof, receipt.resources[0].keys.as_slice()),
                (proof, &["/services/web".to_owned()][..])
            );
        }
    }

    #[test]
    fn a_resource_that_stays_has_come_as_far_as_it_had() {
        let mut walk = Walk::new(vec![group("web", NGINX)]);
        walk.pass(10, unchanged());
        walk.receipts.set_groups(&[group("web", NGINX), group("echo", NGINX)]);
        let receipt = walk.receipts.receipt(&walk.reloads);
        let applied: Vec<_> =
            receipt.resources.iter().map(|resource| (resource.name.as_str(), resource.applied)).collect();
        assert_eq!(applied, [("echo.toml", None), ("web.toml", Some(10))]);
        walk.receipts.set_groups(&[group("web", "")]);
        assert_eq!(walk.receipts.receipt(&walk.reloads).resources[0].applied, None, "it is proven in another way");
    }
}
