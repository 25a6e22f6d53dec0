//! One pass over one group: renders what is marked, asks the guards, and does the last step: apply, preview, or show.
//! Takes the group's state and the trees by value and brings the state back with a report. Knows no loop, and logs nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::apply::fleet::{self, Fleet};
use crate::apply::group::Group;
use crate::apply::transaction::{self, Request};
use crate::apply::{Context, live_count};
use crate::model::for_each::ForEach;
use crate::model::guard::{Found, Verdict};
use crate::model::key::Revision;
use crate::model::needs;
use crate::model::note::Note;
use crate::model::report::{Failure, Outcome, Rendered, Report};
use crate::model::resource::{InstanceId, Resource};
use crate::model::tree::Tree;
use crate::world::{clock, fs};

use super::catalog::Member;
use super::claims::Claims;
use super::mark::Mark;
use super::standing::Standing;
use super::state::{FileState, ResourceState};
use super::wait::Readiness;

mod instances;
mod render;

pub use render::{MockData, view};

/// What a pass does with what it has rendered.
#[derive(Clone, Debug, Default)]
pub enum LastStep {
    /// Makes it live.
    #[default]
    Apply,
    /// Returns what would change, as guards decide it.
    Preview,
    /// Returns all bytes, whatever guards say of them.
    Show {
        /// Only the instance for this name of a `for_each`.
        item: Option<Arc<str>>,
    },
    /// Renders with this data and no store. Returns nothing but failures.
    Mock(MockData),
}

/// What a pass returns instead of applying it.
#[derive(Clone, Debug)]
pub enum Shown {
    /// A file with its new content.
    File(Rendered),
    /// A file that would be removed.
    Gone(PathBuf),
}

/// What all passes of a run share.
#[derive(Default)]
pub struct Terms {
    /// What transactions share.
    pub context: Arc<Context>,
    /// What passes are for.
    pub last_step: LastStep,
    /// A group with a resource that drops out is left as it is.
    pub all_or_none: bool,
    /// Passes that are applying right now.
    applying: AtomicUsize,
}

impl Terms {
    /// Returns the terms of a run.
    pub fn new(context: Arc<Context>, last_step: LastStep, all_or_none: bool) -> Terms {
        Terms { context, last_step, all_or_none, applying: AtomicUsize::new(0) }
    }

    /// Returns whether passes change files.
    pub fn apply(&self) -> bool {
        matches!(self.last_step, LastStep::Apply)
    }

    /// Returns whether some pass is changing files right now.
    pub fn is_applying(&self) -> bool {
        self.applying.load(Ordering::Relaxed) > 0
    }
}

/// A pass counts as applying as long as this lives: until what it did has been taken back.
struct Applying(Arc<Terms>);

impl Applying {
    fn begin(terms: &Arc<Terms>) -> Applying {
        terms.applying.fetch_add(1, Ordering::Relaxed);
        Applying(Arc::clone(terms))
    }
}

impl Drop for Applying {
    fn drop(&mut self) {
        self.0.applying.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A resource of the group, with all that is known of it.
pub struct InHand {
    /// The resource and its templates.
    pub member: Member,
    /// What its store holds.
    pub tree: Tree,
    /// Why to render it; `None` leaves it as it is.
    pub mark: Option<Mark>,
    /// What is known of it.
    pub state: ResourceState,
}

/// One pass.
pub struct Pass {
    /// What all passes share.
    pub terms: Arc<Terms>,
    /// Who has which file.
    pub claims: Arc<Claims>,
    /// The group.
    pub group: Arc<Group>,
    /// The store revision that it is rendered at: that of its first resource's store.
    pub revision: Revision,
    /// All resources of the group.
    pub resources: Vec<InHand>,
    work: Work,
    findings: Findings,
    applying: Option<Applying>,
}

/// What there is to do after rendering.
#[derive(Default)]
struct Work {
    /// New content.
    rendered: Vec<Rendered>,
    /// All files of the resources with `for_each` that were looked at.
    fleets: Vec<Fleet>,
    /// What could not be rendered.
    dropped: Vec<(InstanceId, Failure)>,
}

/// What a pass has found besides its report.
#[derive(Default)]
pub struct Findings {
    /// Things to say.
    pub notes: Vec<Note>,
    /// Files that were rendered, and how many of their keys were skipped.
    pub renders: Vec<(InstanceId, usize)>,
    /// Instances whose names are gone from the store.
    pub gone: Vec<InstanceId>,
    /// Resources that wait for their keys.
    pub waiting: Vec<Arc<str>>,
    /// Resources to render again with the next pass, whatever happens until then.
    pub again: BTreeSet<Arc<str>>,
    /// What was not applied but is to be shown.
    pub shown: Vec<Shown>,
}

/// What comes back from a pass.
pub struct Returned {
    /// The group.
    pub group: Arc<Group>,
    /// The resources of the group, each with its state.
    pub resources: Vec<(Arc<Resource>, ResourceState)>,
    /// What the pass did.
    pub report: Report,
    /// What else it found.
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
        let (work, findings) = Default::default();
        Pass { terms, claims, group, revision, resources, work, findings, applying: None }
    }

    /// Renders and decides. Afterwards it is known what has to be applied.
    pub(super) fn prepare(&mut self) {
        let mut resources = std::mem::take(&mut self.resources);
        for in_hand in &mut resources {
            if let Some(mark) = in_hand.mark.take() {
                self.take_up(in_hand, &mark);
            }
        }
        self.resources = resources;
        if self.terms.all_or_none && !self.work.dropped.is_empty() {
            self.work.rendered.clear();
            self.work.fleets.clear();
            self.findings.again.extend(self.group.resources.iter().map(|resource| Arc::clone(resource.name())));
        }
        // A file that one resource gives up and another takes over is not removed.
        for fleet in &mut self.work.fleets {
            fleet.wanted.extend(self.work.rendered.iter().map(|rendered| rendered.resource.dest.clone()));
        }
        if !self.terms.apply() {
            self.show();
        }
    }

    /// Puts everything that would be applied among what is shown.
    fn show(&mut self) {
        let shown = &mut self.findings.shown;
        shown.extend(self.work.rendered.drain(..).map(Shown::File));
        for fleet in self.work.fleets.drain(..) {
            shown.extend(fleet::would_remove(&self.terms.context, &self.group.id, &fleet).into_iter().map(Shown::Gone));
        }
    }

    /// Renders one resource, or what its `for_each` makes of it, if it can go live.
    fn take_up(&mut self, in_hand: &mut InHand, mark: &Mark) {
        let InHand { member, tree, state, .. } = in_hand;
        if let LastStep::Mock(data) = &self.terms.last_step {
            let failure = render::render_mock(member, data).err();
            self.work.dropped.extend(failure.map(|failure| (member.resource.id.clone(), failure)));
            return;
        }
        if self.must_wait(&member.resource, tree, state) {
            self.findings.again.insert(Arc::clone(member.resource.name()));
            self.findings.waiting.push(Arc::clone(member.resource.name()));
            return;
        }
        match &member.resource.for_each {
            None => self.render_into(member, tree, &mut state.own),
            Some(for_each) => self.render_each(member, for_each, tree, state, mark),
        }
    }

    /// Returns whether a resource waits for its keys. It is rendered as soon as one of them changes, or its time is over.
    fn must_wait(&mut self, resource: &Arc<Resource>, tree: &Tree, state: &mut ResourceState) -> bool {
        // A resource that is only shown does not have to wait.
        if resource.needs.wait_for.is_empty() || !self.terms.apply() {
            return false;
        }
        let view = view(resource, tree);
        let missing = needs::missing(&resource.needs.wait_for, &view);
        let readiness = state.wait.decide(resource.needs.wait_timeout, !missing.is_empty(), clock::now());
        let missing = missing.into_iter().map(str::to_owned).collect();
        let resource = Arc::clone(resource);
        self.findings.notes.extend(match readiness {
            Readiness::Waits { is_new: true } => Some(Note::Waits { resource, missing }),
            Readiness::GivenUp => Some(Note::GaveUpWaiting { resource, missing }),
            Readiness::Waits { is_new: false } | Readiness::Ready => None,
        });
        matches!(readiness, Readiness::Waits { .. })
    }

    /// Renders those instances of a resource with `for_each` that a change concerns.
    fn render_each(
        &mut self,
        member: &Member,
        for_each: &ForEach,
        tree: &Tree,
        state: &mut ResourceState,
        mark: &Mark,
    ) {
        let resource = &member.resource;
        let view = view(resource, tree);
        if let Err(failure) = render::require(resource, &view) {
            self.findings.again.insert(Arc::clone(resource.name()));
            self.work.dropped.push((resource.id.clone(), failure));
            return;
        }
        let expansion = instances::expand(resource, for_each, &view, &self.claims, &mut state.instances);
        self.work.dropped.extend(expansion.refused);
        if let Err(failure) = self.judge_names(resource, expansion.found, &mut state.own) {
            self.findings.again.insert(Arc::clone(resource.name()));
            self.work.dropped.extend(failure.map(|failure| (resource.id.clone(), failure)));
            return;
        }
        self.findings.gone.extend(expansion.gone);
        let only = match &self.terms.last_step {
            LastStep::Show { item } => item.clone(),
            _ => None,
        };
        for (name, instance) in &mut state.instances {
            let is_wanted = only.as_ref().is_none_or(|only| only == name);
            if !is_wanted || !is_concerned(&instance.resource, &mut instance.file, mark, tree) {
                continue;
            }
            let resource = Arc::clone(&instance.resource);
            let member = Member { resource, renderer: Arc::clone(&member.renderer) };
            self.render_into(&member, tree, &mut instance.file);
        }
        self.work.fleets.push(expansion.fleet);
    }

    /// Asks the guard whether so many names may be gone. An error keeps every file; it has a failure if that is one.
    fn judge_names(
        &mut self,
        resource: &Arc<Resource>,
        found: Found,
        own: &mut FileState,
    ) -> Result<(), Option<Failure>> {
        if matches!(self.terms.last_step, LastStep::Show { .. }) {
            return Ok(());
        }
        let judged = instances::as_judged(resource);
        let has_files = fleet::has_files(&self.terms.context, &self.group.id, resource.name());
        let decision = self.decide(&judged, own, found, has_files);
        match decision.verdict {
            Verdict::Keep | Verdict::Hold(_) => Err(None),
            Verdict::Fail => Err(Some(render::refused(&judged, &decision))),
            Verdict::Placeholder | Verdict::Apply => Ok(()),
        }
    }

    fn render_into(&mut self, member: &Member, tree: &Tree, file: &mut FileState) {
        match self.render_file(member, tree, file) {
            Ok(Some(bytes)) => {
                self.work.rendered.push(Rendered { resource: Arc::clone(&member.resource), bytes });
            }
            Ok(None) => {}
            Err(failure) => self.work.dropped.push((member.resource.id.clone(), failure)),
        }
    }

    /// Renders one file and asks its guard. Returns `None` if the live file stays.
    fn render_file(
        &mut self,
        member: &Member,
        tree: &Tree,
        file: &mut FileState,
    ) -> Result<Option<Arc<Vec<u8>>>, Failure> {
        let resource = &member.resource;
        let result = render::render(member, tree, &mut file.memory);
        self.note_skipped(resource, file, result.is_ok());
        let bytes = result?;
        if resource.ranges.is_empty() {
            return render::check_format(resource, bytes).map(Some);
        }
        let found = render::found(member, tree, &file.memory);
        let has_file = resource.guard.asks_for_file(found) && fs::has_content(&resource.dest);
        let decision = self.decide(resource, file, found, has_file);
        match decision.verdict {
            _ if matches!(self.terms.last_step, LastStep::Show { .. }) => {
                render::check_format(resource, bytes).map(Some)
            }
            Verdict::Keep | Verdict::Hold(_) => Ok(None),
            Verdict::Fail => Err(render::refused(resource, &decision)),
            Verdict::Placeholder if found.backends > 0 => {
                render::render_placeholder(member, tree, &mut file.memory).map(Some)
            }
            Verdict::Placeholder | Verdict::Apply => render::check_format(resource, bytes).map(Some),
        }
    }

    /// Notes keys that were not known to be skipped.
    fn note_skipped(&mut self, resource: &Resource, file: &mut FileState, is_whole: bool) {
        let skipped = file.memory.keys_set_aside();
        if file.skipped != *skipped {
            let new =
                skipped.difference(&file.skipped).map(|(key, reason)| (key.clone(), reason.to_string())).collect();
            self.findings.notes.push(Note::Skipped { id: resource.id.clone(), new, total: skipped.len() });
            // A render that failed may not have come to all of them: what it did not see is not healed.
            if is_whole {
                file.skipped.clone_from(skipped);
            } else {
                file.skipped.extend(skipped.iter().cloned());
            }
        }
        self.findings.renders.push((resource.id.clone(), skipped.len()));
    }

    /// Lets the guard decide, and remembers what has to survive a restart.
    fn decide(
        &mut self,
        resource: &Arc<Resource>,
        file: &mut FileState,
        found: Found,
        has_file: bool,
    ) -> crate::model::guard::Decision {
        let now = clock::now();
        let context = &self.terms.context;
        let standing = file.standing.get_or_insert_with(|| {
            let guard = &resource.guard;
            let saved = if guard.compares() { live_count::load(context, &resource.dest) } else { Default::default() };
            Standing::remembered(saved, guard, now, clock::unix_seconds())
        });
        let (decision, note) = standing.decide(resource, found, has_file, now);
        self.findings.notes.extend(note);
        self.findings.notes.extend(self.terms.remember(resource, standing, now));
        decision
    }

    /// Returns whether a transaction has something to do. A reload may be owed for a file that is held: it looks.
    fn has_something_to_apply(&self) -> bool {
        let is_held = || self.resources.iter().any(|in_hand| !in_hand.state.held(&in_hand.member.resource).is_empty());
        let holds = || self.terms.apply() && !self.group.is_lone() && is_held();
        !self.work.rendered.is_empty() || !self.work.fleets.is_empty() || holds()
    }

    /// Takes what a lone resource has to write; from then on the pass is applying.
    pub(super) fn take_rendered(&mut self) -> Vec<Rendered> {
        if !self.work.rendered.is_empty() {
            self.applying = Some(Applying::begin(&self.terms));
        }
        std::mem::take(&mut self.work.rendered)
    }

    /// Does all of the pass but for what [`Pass::end`] does.
    pub(super) async fn apply(&mut self) -> Report {
        let dropped = std::mem::take(&mut self.work.dropped);
        if !self.has_something_to_apply() {
            return Report { dropped, ..Report::unchanged(self.revision) };
        }
        self.applying = Some(Applying::begin(&self.terms));
        let request = Request {
            group: Arc::clone(&self.group),
            rendered: std::mem::take(&mut self.work.rendered),
            fleets: std::mem::take(&mut self.work.fleets),
            dropped,
            revision: self.revision,
        };
        transaction::run(&self.terms.context, request).await
    }

    /// Does the whole pass, if its last step applies nothing.
    pub(super) fn rehearse(mut self) -> Returned {
        self.prepare();
        let report = Report::unchanged(self.revision);
        self.end(report)
    }

    /// Takes the report of what was applied, and ends.
    pub(super) fn end(mut self, mut report: Report) -> Returned {
        report.dropped.append(&mut self.work.dropped);
        let now = clock::now();
        let is_in_place = report.outcome.is_final() || matches!(report.outcome, Outcome::ReloadOwed { .. });
        for in_hand in &mut self.resources {
            if is_in_place && report.resources.contains(in_hand.member.resource.name()) {
                self.findings.notes.extend(went_live(&self.terms, in_hand, &report, now));
            }
        }
        let held = self.resources.iter().flat_map(|in_hand| in_hand.state.held(&in_hand.member.resource));
        report.held = held.collect();
        if report.resources.is_empty() && !report.outcome.is_final() {
            // Their reload is owed.
            report.resources = report.held.iter().map(|(id, _)| Arc::clone(&id.resource)).collect();
            report.resources.dedup();
        }
        let again = &mut self.findings.again;
        again.extend(report.dropped.iter().map(|(id, _)| Arc::clone(&id.resource)));
        if !report.outcome.is_final() {
            again.extend(report.resources.iter().cloned());
        }
        let resources = std::mem::take(&mut self.resources)
            .into_iter()
            .map(|in_hand| (in_hand.member.resource, in_hand.state))
            .collect();
        let Pass { group, findings, applying, .. } = self;
        Returned { group, resources, report, findings, _applying: applying }
    }
}

impl Terms {
    /// Writes down what has to be known of a file after a restart.
    fn remember(&self, resource: &Resource, standing: &mut Standing, now: Instant) -> Option<Note> {
        let unsaved = standing.unsaved(&resource.guard, now, clock::unix_seconds()).filter(|_| self.apply())?;
        match live_count::save(&self.context, &resource.dest, unsaved) {
            Ok(()) => {
                standing.saved(unsaved);
                None
            }
            Err(error) => {
                let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
                Some(Note::NotRemembered { id: resource.id.clone(), problem: format!("{error}{source}") })
            }
        }
    }
}

/// Records for each file of a resource that did not drop out that it is live.
fn went_live(terms: &Terms, in_hand: &mut InHand, report: &Report, now: Instant) -> Vec<Note> {
    let own = &in_hand.member.resource;
    let own = if own.for_each.is_some() { instances::as_judged(own) } else { Arc::clone(own) };
    let instances = in_hand.state.instances.values_mut().map(|instance| (&*instance.resource, &mut instance.file));
    let files = instances.chain([(&*own, &mut in_hand.state.own)]);
    let mut notes = Vec::new();
    for (resource, file) in files {
        let Some(standing) = &mut file.standing else { continue };
        if report.dropped.iter().all(|(dropped, _)| *dropped != resource.id) {
            standing.went_live();
            notes.extend(terms.remember(resource, standing, now));
        }
    }
    notes
}

/// Returns whether a file of a `for_each` may come out differently than the last time, or be judged differently.
fn is_concerned(instance: &Resource, file: &mut FileState, mark: &Mark, tree: &Tree) -> bool {
    let Mark::Keys(keys) = mark else { return true };
    // Without backends to count, the guard counts every key that the resource sees.
    if instance.guard.compares() && file.memory.tally().is_none() {
        return true;
    }
    let paths = keys.iter().map(|key| key.as_str().strip_prefix(&*instance.prefix).unwrap_or(key.as_str()));
    let concerned = file.memory.is_concerned_by(paths);
    if !concerned {
        file.memory.keep_up(|| view(instance, tree));
    }
    concerned
}
