//! One pass over one group: renders what is marked, asks the guards, and does the last step: apply, preview, or show. Takes
//! the group's state and the trees by value and returns the state with a report. Never logs, and knows no loop.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::apply::exclusion::GroupInHand;
use crate::apply::group::Group;
use crate::apply::transaction::{self, Request};
use crate::model::key::Revision;
use crate::model::progress;
use crate::model::removed::{Removed, ResourceRemoval};
use crate::model::report::{Outcome, Rendered, Report, Stage, StepFailure};
use crate::model::resource::{InstanceId, Resource};
use crate::model::tree::Tree;
use crate::world::clock;
use crate::world::terminal::ProgressLine;

use super::catalog::Member;
use super::claims::Claims;
use super::file_backends::FileChange;
use super::mark::Mark;
use super::state::ResourceState;

mod instances;
mod prepare;
mod render;
mod terms;

pub use prepare::Findings;
pub use render::{MockData, view};
pub use terms::{LastStep, Shown, Terms};

use prepare::{Preparation, Work};
use terms::Applying;

/// A resource of the group, with its state.
pub struct InHand {
    /// Resource with its templates.
    pub member: Member,
    /// State of its store.
    pub tree: Tree,
    /// Reason to render it; `None` leaves it as it is.
    pub mark: Option<Mark>,
    /// The failure of a resource whose keys the store refuses: it drops out.
    pub refused: Option<String>,
    /// State between passes.
    pub state: ResourceState,
}

/// One pass.
pub struct Pass {
    /// Terms that all passes of the run share.
    pub terms: Arc<Terms>,
    /// Assignment of files to resources.
    pub claims: Arc<Claims>,
    /// Group.
    pub group: Arc<Group>,
    /// Store revision at which it is rendered: that of its first resource's store.
    pub revision: Revision,
    /// All resources of the group.
    pub resources: Vec<InHand>,
    /// Becomes true when a resource of the group is marked again before the pass has ended.
    pub change_waits: Arc<AtomicBool>,
    work: Work,
    findings: Findings,
    /// Resources that the transaction has files of.
    tried: BTreeSet<Arc<str>>,
    applying: Option<Applying>,
    _in_hand: GroupInHand,
}

/// The result of a pass.
pub struct Returned {
    /// Group.
    pub group: Arc<Group>,
    /// Resources of the group, each with its state.
    pub resources: Vec<(Arc<Resource>, ResourceState)>,
    /// Report.
    pub report: Report,
    /// Findings besides the report.
    pub findings: Findings,
    _applying: Option<Applying>,
}

impl Pass {
    /// Returns a pass over these resources, which are all of the group's.
    pub fn new(
        terms: Arc<Terms>,
        claims: Arc<Claims>,
        group: Arc<Group>,
        revision: Revision,
        resources: Vec<InHand>,
    ) -> Pass {
        let (change_waits, work, findings, tried) = Default::default();
        let _in_hand = GroupInHand::take(&terms.context, &group.id);
        Pass {
            terms,
            claims,
            group,
            revision,
            resources,
            change_waits,
            work,
            findings,
            tried,
            applying: None,
            _in_hand,
        }
    }

    /// Renders and decides; then the work to apply is known.
    pub(super) fn prepare(&mut self) {
        let (work, findings) = Default::default();
        let (terms, claims, group) = (&*self.terms, &self.claims, &*self.group);
        terms.context.begin_step(&group.id, Stage::Render);
        let mut preparation = Preparation { terms, claims, group, work, findings };
        let (progress, all) = (ProgressLine::start(), self.resources.len());
        for (done, InHand { member, tree, mark, refused, state }) in self.resources.iter_mut().enumerate() {
            progress.show(|| progress::rendered(done, all));
            if let Some(message) = refused.take() {
                let failure = StepFailure::new(Stage::Read, message);
                preparation.work.dropped.push((member.resource.id.clone(), failure));
            } else if let Some(mark) = mark.take() {
                preparation.findings.changed.extend(mark.keys());
                let taken = render::contain(&member.resource, || preparation.take_up(member, tree, state, &mark));
                let id = &member.resource.id;
                preparation.work.dropped.extend(taken.err().map(|failure| (id.clone(), failure)));
            }
        }
        (self.work, self.findings) = preparation.end();
        // What comes next may have to wait for the transaction of a different group.
        terms.context.end_steps(&group.id);
    }

    /// Returns whether a transaction has something to do. Without content, too: a reload may be owed.
    fn has_something_to_apply(&self) -> bool {
        let may_owe = self.terms.apply() && !self.group.is_lone();
        !self.work.rendered.is_empty() || !self.work.instance_files.is_empty() || may_owe
    }

    /// Returns the content that a lone resource has to write; from now on the pass counts as applying.
    pub(super) fn take_rendered(&mut self) -> Vec<Rendered> {
        if !self.work.rendered.is_empty() {
            self.applying = Some(Applying::begin(&self.terms));
        }
        std::mem::take(&mut self.work.rendered)
    }

    /// Does all of the pass except for [`Pass::end`].
    pub(super) async fn apply(&mut self) -> Report {
        let has_something = self.has_something_to_apply();
        let dropped = std::mem::take(&mut self.work.dropped);
        if !has_something {
            return Report { dropped, ..Report::unchanged(self.revision) };
        }
        self.applying = Some(Applying::begin(&self.terms));
        let names = self.work.rendered.iter().map(|rendered| rendered.resource.name());
        self.tried =
            names.chain(self.work.instance_files.iter().map(|of_one| of_one.resource.name())).cloned().collect();
        let request = Request {
            group: Arc::clone(&self.group),
            rendered: std::mem::take(&mut self.work.rendered),
            instance_files: std::mem::take(&mut self.work.instance_files),
            dropped,
            revision: self.revision,
            change_waits: Arc::clone(&self.change_waits),
        };
        transaction::run(&self.terms.context, request).await
    }

    /// Does the whole pass, if its last step applies nothing.
    pub(super) fn rehearse(mut self) -> Returned {
        self.prepare();
        let report = Report::unchanged(self.revision);
        self.end(report)
    }

    /// Adds the report of the transaction, and ends.
    pub(super) fn end(mut self, mut report: Report) -> Returned {
        report.dropped.append(&mut self.work.dropped);
        let now = clock::now();
        let is_in_place = report.outcome.is_final() || matches!(report.outcome, Outcome::ReloadOwed { .. });
        let is_read = !report.outcome.is_unread();
        let written: HashSet<&Path> = report.files.iter().map(PathBuf::as_path).collect();
        let dropped: HashSet<&InstanceId> = report.dropped.iter().map(|(id, _)| id).collect();
        let beside: HashSet<&InstanceId> = report.live_beside_failure().iter().collect();
        let names_beside: HashSet<&Arc<str>> = beside.iter().map(|id| &id.resource).collect();
        for in_hand in &mut self.resources {
            let name = in_hand.member.resource.name();
            let as_a_whole = is_in_place && report.resources.contains(name);
            if as_a_whole || names_beside.contains(name) {
                let is_live = |id: &InstanceId| !dropped.contains(id) && (as_a_whole || beside.contains(id));
                went_live(&self.terms, in_hand, (is_live, is_read), &written, now, &mut self.findings);
            }
            match dropped.contains(&in_hand.member.resource.id) {
                _ if !as_a_whole => {}
                // A file whose removal was refused is back, and keeps its names.
                true => report.removed.iter().for_each(|dest| self.terms.endpoints.went_live(dest, &BTreeSet::new())),
                false => keep_files(&self.terms, in_hand),
            }
        }
        // What came of a reload that was owed before is beside the outcome.
        if report.outcome == Outcome::Applied || report.verified.is_some() {
            self.read_by_nginx();
        }
        for in_hand in &self.resources {
            note_what_the_store_has(in_hand, &mut self.findings);
        }
        let held = self.resources.iter().flat_map(|in_hand| in_hand.state.held(&in_hand.member.resource));
        report.held = held.collect();
        self.find_removed(&report);
        if report.resources.is_empty() && !report.outcome.is_final() {
            // Their reload is owed.
            report.resources = report.held.iter().map(|(id, _)| Arc::clone(&id.resource)).collect();
            report.resources.dedup();
        }
        let again = &mut self.findings.again;
        let dropped: BTreeSet<&Arc<str>> = report.dropped.iter().map(|(id, _)| &id.resource).collect();
        again.extend(dropped.into_iter().cloned());
        if !report.outcome.is_final() {
            again.extend(report.resources.iter().cloned());
            again.extend(self.tried.into_iter().filter(|name| !report.is_in_place(name)));
            if report.resources.is_empty() {
                // What failed is a reload that the group owes although no file has changed.
                again.extend(self.group.resources.iter().map(|resource| Arc::clone(resource.name())));
            }
        }
        let resources = std::mem::take(&mut self.resources)
            .into_iter()
            .map(|in_hand| (in_hand.member.resource, in_hand.state))
            .collect();
        let Pass { group, findings, applying, .. } = self;
        Returned { group, resources, report, findings, _applying: applying }
    }

    /// Records that nginx has been reloaded: it has read the files that were in place before.
    fn read_by_nginx(&mut self) {
        for InHand { member, state, .. } in &mut self.resources {
            let own = (&*member.resource, &mut state.own);
            let instances = state.instances.values_mut().map(|instance| (&*instance.resource, &mut instance.file));
            for (resource, file) in instances.chain([own]) {
                let names = file.unread.take();
                names.iter().for_each(|names| self.terms.endpoints.went_live(&resource.dest, names));
            }
        }
    }

    /// Finds what the resources no longer name. What is not served as a whole has not removed anything yet.
    fn find_removed(&mut self, report: &Report) {
        for InHand { member, state, .. } in &mut self.resources {
            if report.is_applied(member.resource.name()) {
                let (removed, is_asked_for) = (std::mem::take(&mut state.removed), state.is_asked_for());
                let lost = self.terms.endpoints.lost(member.resource.name());
                let answers = self.terms.endpoints.serial();
                let removal = ResourceRemoval { removed, is_asked_for, lost, answers };
                self.findings.removed.insert(Arc::clone(member.resource.name()), removal);
            }
        }
    }
}

/// Adds what the store has for the files of a resource whose last render is not live: held, refused or failed.
fn note_what_the_store_has(in_hand: &InHand, findings: &mut Findings) {
    let instances = in_hand.state.instances.values().map(|instance| (&instance.resource.id, &instance.file));
    let files = instances.chain([(&in_hand.member.resource.id, &in_hand.state.own)]);
    let waiting = files.filter_map(|(id, file)| Some((id.clone(), Arc::new(file.backends.waiting()?))));
    findings.store_has.extend(waiting);
}

/// Records that each of these files of a resource is live. `is_read`: nginx has read them.
fn went_live(
    terms: &Terms,
    in_hand: &mut InHand,
    (is_live, is_read): (impl Fn(&InstanceId) -> bool, bool),
    written: &HashSet<&Path>,
    now: Instant,
    findings: &mut Findings,
) {
    let own = &in_hand.member.resource;
    let own = if own.for_each.is_some() { instances::with_names_guard(own) } else { Arc::clone(own) };
    let (mut removed, unix_seconds) = (Removed::default(), clock::unix_seconds());
    let instances = in_hand.state.instances.values_mut().map(|instance| (&*instance.resource, &mut instance.file));
    let files = instances.chain([(&*own, &mut in_hand.state.own)]);
    for (resource, file) in files {
        let Some(standing) = &mut file.standing else { continue };
        if is_live(&resource.id) {
            if standing.went_live() {
                if is_read {
                    file.unread = None;
                    terms.endpoints.went_live(&resource.dest, &file.names);
                } else {
                    // Until then nginx asks for the names of the file before: a backend that has left one stays in the answer.
                    file.unread = Some(file.names.clone());
                }
                let (is_written, asks) = (written.contains(&*resource.dest), !file.names.is_empty());
                let FileChange { shown, removed: taken_away } = file.backends.went_live(is_written, unix_seconds);
                if is_written || asks && shown.is_some() {
                    removed.add(taken_away);
                }
                match is_written {
                    true => findings.backends.extend(shown.map(|shown| (resource.dest.clone(), shown))),
                    false if asks => {
                        let shown = shown.filter(|shown| !shown.is_empty());
                        findings.endpoints.extend(shown.map(|shown| (resource.id.clone(), shown)));
                    }
                    false => {}
                }
            }
            findings.notes.extend(terms.remember(resource, standing, now));
        }
    }
    in_hand.state.removed.add(removed);
    let member = &in_hand.member.resource;
    findings.live.insert(Arc::clone(member.name()), in_hand.state.live_files(member));
}

/// Records that a resource has its present files and no others.
fn keep_files(terms: &Terms, in_hand: &InHand) {
    let own = &in_hand.member.resource;
    let instances = in_hand.state.instances.values().map(|instance| &*instance.resource.dest);
    terms.endpoints.keep_files(own.name(), &instances.chain([&*own.dest]).collect());
}

#[cfg(test)]
mod tests;
