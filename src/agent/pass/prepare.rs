//! The first half of a pass: renders the marked resources of a group, asks the guards, and expands each `for_each`. Never
//! changes a file except for the records of guards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::agent::catalog::Member;
use crate::agent::claims::Claims;
use crate::agent::mark::Mark;
use crate::agent::standing::Standing;
use crate::agent::state::{FileState, Instance, ResourceState};
use crate::agent::wait::WaitDecision;
use crate::apply::group::Group;
use crate::apply::instance_files::{self, InstanceFiles};
use crate::apply::live_count;
use crate::model::backend_change::BackendChange;
use crate::model::changed_keys::ChangedKeys;
use crate::model::endpoints::{EndpointSet, ServersForm};
use crate::model::for_each::ForEach;
use crate::model::guard::{Decision, RenderCount, Verdict};
use crate::model::live_backends::{LiveBackends, LiveFiles};
use crate::model::needs;
use crate::model::note::{Note, SkippedKeys};
use crate::model::removed::ResourceRemoval;
use crate::model::report::{Rendered, StepFailure};
use crate::model::resource::{InstanceId, Resource};
use crate::model::tree::Tree;
use crate::render::{Memory, Reads, SkippedKey};
use crate::world::{clock, fs};

use super::instances::{self, FoundNames};
use super::render::{self, view};
use super::terms::{LastStep, Shown, Terms};

/// The work that is left after rendering.
#[derive(Default)]
pub(super) struct Work {
    /// New content.
    pub(super) rendered: Vec<Rendered>,
    /// All files of the resources with `for_each` that were looked at.
    pub(super) instance_files: Vec<InstanceFiles>,
    /// Resources and instances that could not be rendered.
    pub(super) dropped: Vec<(InstanceId, StepFailure)>,
}

/// Findings of a pass besides its report.
#[derive(Default)]
pub struct Findings {
    /// Notes for the log.
    pub notes: Vec<Note>,
    /// Files that were rendered, each with its skipped keys.
    pub renders: Vec<(InstanceId, SkippedKeys)>,
    /// The files of each resource that is live now, with their backends.
    pub live: BTreeMap<Arc<str>, LiveFiles>,
    /// The backends that the store has for files that do not list them yet.
    pub store_has: Vec<(InstanceId, Arc<LiveBackends>)>,
    /// The keys that have changed since the pass before, with the prefix.
    pub changed: ChangedKeys,
    /// What changed in the backends of the files that were written, by destination.
    pub backends: BTreeMap<PathBuf, BackendChange>,
    /// What the resources whose changes are in effect no longer name.
    pub removed: BTreeMap<Arc<str>, ResourceRemoval>,
    /// What changed in the backends of the files that stay as they are, because nginx asks for their endpoints.
    pub endpoints: Vec<(InstanceId, BackendChange)>,
    /// Resources that wait for their keys, each with those that are missing, with the prefix.
    pub waiting: BTreeMap<Arc<str>, Vec<String>>,
    /// Resources to render again with the next pass, whatever happens until then.
    pub again: BTreeSet<Arc<str>>,
    /// Files to show instead of applying them.
    pub shown: Vec<Shown>,
    /// Whether a resource is driven by reloads from now on.
    pub has_new_way: bool,
}

/// Reason for `server` lines. Without the second `resolver`, an empty answer would be a peer beside those of the other call.
const TWO_RESOLVERS: &str = "an upstream in its file would have two `resolver` lines, which nginx refuses \
                             (hint: one servers() in each, and no `resolver` of its own)";

/// A group's pass while it renders.
pub(super) struct Preparation<'a> {
    pub(super) terms: &'a Terms,
    pub(super) claims: &'a Arc<Claims>,
    pub(super) group: &'a Group,
    pub(super) work: Work,
    pub(super) findings: Findings,
}

impl Preparation<'_> {
    /// Returns the work to apply, and the other findings.
    pub(super) fn end(mut self) -> (Work, Findings) {
        if self.terms.all_or_none && !self.work.dropped.is_empty() {
            self.work.rendered.clear();
            self.work.instance_files.clear();
            self.findings.again.extend(self.group.resources.iter().map(|resource| Arc::clone(resource.name())));
        }
        // A file that one resource gives up and a different one takes over is not removed.
        for of_one in &mut self.work.instance_files {
            of_one.wanted.extend(self.work.rendered.iter().map(|rendered| rendered.resource.dest.clone()));
        }
        if !self.terms.apply() {
            self.show();
        }
        (self.work, self.findings)
    }

    /// Adds everything that would be applied to the files to show.
    fn show(&mut self) {
        let shown = &mut self.findings.shown;
        shown.extend(self.work.rendered.drain(..).map(Shown::File));
        for of_one in self.work.instance_files.drain(..) {
            shown.extend(
                instance_files::would_remove(&self.terms.context, &self.group.id, &of_one).into_iter().map(Shown::Gone),
            );
        }
    }

    /// Renders one resource, or the instances of its `for_each`, if it can go live.
    pub(super) fn take_up(&mut self, member: &Member, tree: &Tree, state: &mut ResourceState, mark: &Mark) {
        if let LastStep::Mock(data) = &self.terms.last_step {
            let failure = render::render_mock(member, data).err();
            self.work.dropped.extend(failure.map(|failure| (member.resource.id.clone(), failure)));
            return;
        }
        if self.must_wait(&member.resource, tree, state) {
            self.findings.again.insert(Arc::clone(member.resource.name()));
            return;
        }
        match &member.resource.for_each {
            None => self.render_into(member, tree, mark, &mut state.own),
            Some(for_each) => self.render_each(member, for_each, tree, state, mark),
        }
    }

    /// Returns whether a resource waits for its keys. It is rendered as soon as one of them changes or its time is over.
    fn must_wait(&mut self, resource: &Arc<Resource>, tree: &Tree, state: &mut ResourceState) -> bool {
        // A resource that is only shown does not have to wait.
        if resource.needs.wait_for.is_empty() || !self.terms.apply() {
            return false;
        }
        let view = view(resource, tree);
        let missing = needs::missing(&resource.needs.wait_for, &view);
        let readiness = state.wait.decide(resource.needs.wait_timeout, !missing.is_empty(), clock::now());
        if let WaitDecision::Waits { .. } = readiness {
            let keys = missing.iter().map(|key| format!("{}{key}", resource.prefix)).collect();
            self.findings.waiting.insert(Arc::clone(resource.name()), keys);
        }
        let missing = missing.into_iter().map(str::to_owned).collect();
        let resource = Arc::clone(resource);
        self.findings.notes.extend(match readiness {
            WaitDecision::Waits { is_new: true } => Some(Note::Waits { resource, missing }),
            WaitDecision::GivenUp => Some(Note::GaveUpWaiting { resource, missing }),
            WaitDecision::Waits { is_new: false } | WaitDecision::Ready => None,
        });
        matches!(readiness, WaitDecision::Waits { .. })
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
        let names = FoundNames::of(resource, for_each, &view, self.claims);
        if let Err(failure) = self.judge_names(resource, names.found, &mut state.own) {
            // Nothing is gone, then: the instances keep their files and all that is known of them.
            self.findings.again.insert(Arc::clone(resource.name()));
            instances::keep(resource, &names, self.claims, &state.instances);
            self.work.dropped.extend(names.refused());
            self.work.dropped.extend(failure.map(|failure| (resource.id.clone(), failure)));
            return;
        }
        let expansion = instances::expand(resource, names, self.claims, &mut state.instances);
        let changed = mark.paths(&resource.prefix);
        for Instance { file, .. } in expansion.gone {
            let reads = file.reads.unwrap_or_else(Reads::everything);
            state.removed.add(file.backends.removed(&reads, changed.as_deref()));
        }
        self.work.dropped.extend(expansion.refused);
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
            self.render_into(&member, tree, mark, &mut instance.file);
        }
        self.work.instance_files.push(expansion.files);
    }

    /// Asks the guard whether so many names may be gone. An error keeps every file; it contains a failure if the guard's
    /// decision is one.
    fn judge_names(
        &mut self,
        resource: &Arc<Resource>,
        found: RenderCount,
        own: &mut FileState,
    ) -> Result<(), Option<StepFailure>> {
        if matches!(self.terms.last_step, LastStep::Show { .. }) {
            return Ok(());
        }
        let judged = instances::with_names_guard(resource);
        let has_files = instance_files::has_files(&self.terms.context, &self.group.id, resource.name());
        let decision = self.decide(&judged, own, found, has_files);
        match decision.verdict {
            Verdict::Keep | Verdict::Hold(_) => Err(None),
            Verdict::Fail => Err(Some(render::refused(&judged, &decision))),
            Verdict::Placeholder | Verdict::Apply => Ok(()),
        }
    }

    fn render_into(&mut self, member: &Member, tree: &Tree, mark: &Mark, file: &mut FileState) {
        let result = render::contain(&member.resource, || self.render_file(member, tree, mark, file)).unwrap_or_else(
            |failure| {
                // What it has left behind may be wrong.
                (file.memory, file.reads) = (Memory::default(), None);
                Err(failure)
            },
        );
        match result {
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
        mark: &Mark,
        file: &mut FileState,
    ) -> Result<Option<Arc<Vec<u8>>>, StepFailure> {
        let resource = &member.resource;
        let mut form = self.terms.endpoints.form(resource);
        let mut rendering = render::render(member, tree, &form, &mut file.memory);
        let sets = &rendering.endpoints;
        if rendering.bytes.as_ref().is_ok_and(|bytes| file.upstreams.has_two_resolvers(sets, bytes)) {
            self.findings.has_new_way |= self.terms.endpoints.give_up(resource.name(), TWO_RESOLVERS);
            form = ServersForm::Lines;
            rendering = render::render(member, tree, &form, &mut file.memory);
        }
        file.counts_backends = rendering.tally.is_some();
        file.backends.rendered(rendering.listed, &rendering.reads, mark.paths(&resource.prefix).as_deref());
        file.reads = resource.id.item.is_some().then_some(rendering.reads);
        self.note_skipped(resource, file, rendering.skipped, rendering.bytes.is_ok());
        let (bytes, endpoints) = (rendering.bytes?, rendering.endpoints);
        file.backends.completed();
        if resource.ranges.is_empty() {
            return render::check_format(member, bytes).map(Some);
        }
        let found = render::found(member, tree, rendering.tally.as_ref());
        file.left_out = rendering.tally.and_then(|tally| tally.left_out);
        let has_file = resource.guard.needs_live_file(found) && fs::has_content(&resource.dest);
        let decision = self.decide(resource, file, found, has_file);
        match decision.verdict {
            _ if matches!(self.terms.last_step, LastStep::Show { .. }) => render::check_format(member, bytes).map(Some),
            Verdict::Keep | Verdict::Hold(_) => Ok(None),
            Verdict::Fail => Err(render::refused(resource, &decision)),
            Verdict::Placeholder if found.backends > 0 => {
                // The decision depends on the reads of the render before.
                file.reads = None;
                file.backends.rendered_placeholder();
                let (bytes, endpoints) = render::render_placeholder(member, tree, &form, &mut file.memory)?;
                self.publish(resource, file, (bytes, endpoints)).map(Some)
            }
            Verdict::Placeholder | Verdict::Apply => {
                let bytes = render::check_format(member, bytes)?;
                self.publish(resource, file, (bytes, endpoints)).map(Some)
            }
        }
    }

    /// Publishes the endpoints of a file, which nginx then has before it has the file. Returns the file.
    fn publish(
        &self,
        resource: &Resource,
        file: &mut FileState,
        (bytes, endpoints): (Arc<Vec<u8>>, Vec<EndpointSet>),
    ) -> Result<Arc<Vec<u8>>, StepFailure> {
        file.names = endpoints.iter().map(|set| set.name.clone()).collect();
        if self.terms.apply() {
            let known = &mut file.upstreams;
            self.terms.endpoints.publish(resource, &endpoints, &bytes, known).map_err(render::failure)?;
        }
        Ok(bytes)
    }

    /// Notes keys that were not known to be skipped. `is_whole`: the render has completed.
    fn note_skipped(
        &mut self,
        resource: &Resource,
        file: &mut FileState,
        skipped: Option<BTreeSet<SkippedKey>>,
        is_whole: bool,
    ) {
        if let Some(skipped) = skipped.filter(|skipped| *skipped != file.skipped) {
            let new =
                skipped.difference(&file.skipped).map(|(key, reason)| (key.clone(), reason.to_string())).collect();
            self.findings.notes.push(Note::Skipped { id: resource.id.clone(), new, total: skipped.len() });
            // A render that failed may not have read all of them: keys that it did not see are not known to be good again.
            if is_whole {
                file.skipped = skipped;
            } else {
                file.skipped.extend(skipped);
            }
        }
        let named = file.skipped.iter().take(SkippedKeys::MAX_NAMED);
        let named = named.map(|(key, reason)| (format!("{}{key}", resource.prefix), reason.to_string())).collect();
        let skipped = SkippedKeys { named, total: file.skipped.len() };
        self.findings.renders.push((resource.id.clone(), skipped));
    }

    /// Asks the guard for its decision, and saves the state that has to survive a restart.
    fn decide(
        &mut self,
        resource: &Arc<Resource>,
        file: &mut FileState,
        found: RenderCount,
        has_file: bool,
    ) -> Decision {
        let now = clock::now();
        let (context, applies) = (&self.terms.context, self.terms.apply());
        let standing = file.standing.get_or_insert_with(|| {
            let guard = &resource.guard;
            let saved =
                if guard.compares() { live_count::load(context, &resource.dest, applies) } else { Default::default() };
            Standing::remembered(saved, guard, now, clock::unix_seconds())
        });
        let (decision, mut note) = standing.decide(resource, found, has_file, now);
        if let Some(Note::Guarded { left_out, .. }) = &mut note {
            *left_out = file.left_out.take();
        }
        self.findings.notes.extend(note);
        self.findings.notes.extend(self.terms.remember(resource, standing, now));
        decision
    }
}

impl Terms {
    /// Saves the state of a file that is needed after a restart.
    pub(super) fn remember(&self, resource: &Resource, standing: &mut Standing, now: Instant) -> Option<Note> {
        let unsaved = standing.unsaved(&resource.guard, now, clock::unix_seconds()).filter(|_| self.apply())?;
        match live_count::save(&self.context, &resource.dest, unsaved) {
            Ok(()) => {
                standing.saved(unsaved);
                None
            }
            Err(error) => {
                let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
                Some(Note::CountNotSaved { id: resource.id.clone(), problem: format!("{error}{source}") })
            }
        }
    }
}

/// Returns whether a file of a `for_each` may render differently than the last time, or be judged differently.
fn is_concerned(instance: &Resource, file: &mut FileState, mark: &Mark, tree: &Tree) -> bool {
    let Some(mut paths) = mark.paths(&instance.prefix).map(Vec::into_iter) else { return true };
    // Without backends to count, the guard counts every key that the resource sees.
    if instance.guard.compares() && !file.counts_backends {
        return true;
    }
    let Some(reads) = &file.reads else { return true };
    let concerned = paths.any(|path| reads.depend_on(path));
    if !concerned {
        file.memory.follow(|| view(instance, tree));
    }
    concerned
}
