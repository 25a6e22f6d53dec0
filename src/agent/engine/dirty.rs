//! The part of a pass before the transaction: renders what has changed of a group, asks the guards, and makes a resource with
//! `for_each` into one for each of its names.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use crate::agent::expansion::{self, Expansion};
use crate::agent::loaded::Member;
use crate::agent::marks::Because;
use crate::agent::rendering::{check_format, found, refused, render_placeholder, render_unchecked, require, view};
use crate::agent::waiting::Readiness;
use crate::apply::fleet::{self, InstanceFiles};
use crate::apply::group::Group;
use crate::model::guard::Verdict;
use crate::model::needs;
use crate::model::report::{Rendered, StepFailure};
use crate::model::resource::Resource;
use crate::model::tree::Tree;
use crate::status::events;

use super::Engine;

/// What a group's pass has to work with.
#[derive(Default)]
pub(super) struct Work {
    /// New content.
    pub(super) rendered: Vec<Rendered>,
    /// All files of the resources with `for_each` that were looked at.
    pub(super) fleets: Vec<InstanceFiles>,
    /// What could not be rendered.
    pub(super) dropped: Vec<(Arc<str>, StepFailure)>,
}

impl Engine {
    /// The groups to start now: all whose time has come, or the first of them in the order of their files.
    pub(super) fn due(&mut self, now: Instant) -> Vec<String> {
        if !self.fail_fast {
            return self.schedule.start_due(now);
        }
        let first = self.loaded.groups.iter().find(|group| self.schedule.start_if_due(&group.id, now));
        first.map(|group| group.id.clone()).into_iter().collect()
    }

    /// Renders the dirty members of a group that can be rendered yet.
    pub(super) fn render_dirty(&mut self, group: &Group, now: Instant) -> Work {
        let mut work = Work::default();
        for resource in &group.resources {
            if !self.is_ready(resource) {
                continue;
            }
            let Some(because) = self.marks.take(&resource.name) else { continue };
            let Some(member) = self.loaded.member(&resource.name).cloned() else { continue };
            let tree = self.tree_of(resource);
            if self.must_wait(resource, &tree, now) {
                self.marks.anything(&resource.name);
                continue;
            }
            let revision = self.tree_of(resource).revision();
            if let Some(receipts) = &mut self.receipts {
                receipts.rendering(&resource.name, revision);
            }
            match &resource.for_each {
                None => self.render_into(&mut work, &member, &tree, now),
                Some(for_each) => {
                    if let Err(failure) = require(resource, &view(resource, &tree)) {
                        self.marks.anything(&resource.name);
                        work.dropped.push((Arc::clone(&resource.name), failure));
                        continue;
                    }
                    let expansion = self.expansions.expand(resource, for_each, &tree);
                    work.dropped.extend(expansion.refused.iter().cloned());
                    // Told once only, whatever the guard says of it: a name that comes back is rendered.
                    expansion.gone.iter().for_each(|name| drop(self.memories.remove(name)));
                    if let Err(failure) = self.judge_names(group, &expansion, now) {
                        self.marks.anything(&resource.name);
                        work.dropped.extend(failure.map(|failure| (Arc::clone(&resource.name), failure)));
                        continue;
                    }
                    self.forget_gone(&expansion);
                    for instance in expansion.instances {
                        if !self.is_concerned(&instance, &because, &tree) {
                            continue;
                        }
                        let renderer = Arc::clone(&member.renderer);
                        self.render_into(&mut work, &Member { resource: instance, renderer }, &tree, now);
                    }
                    work.fleets.push(expansion.fleet);
                }
            }
        }
        // A file that one resource gives up and another takes over is not removed.
        for fleet in &mut work.fleets {
            fleet.wanted.extend(work.rendered.iter().map(|rendered| rendered.resource.dest.clone()));
        }
        work
    }

    /// Whether one file of a `for_each` may come out differently than the last time, or be judged differently.
    fn is_concerned(&mut self, instance: &Resource, because: &Because, tree: &Tree) -> bool {
        let Because::Keys(keys) = because else { return true };
        let Some(memory) = self.memories.get_mut(&instance.name) else { return true };
        // Without backends to count, the guard counts every key that the resource sees.
        if instance.guard.compares() && memory.tally().is_none() {
            return true;
        }
        let paths = keys.iter().map(|key| key.as_str().strip_prefix(&*instance.prefix).unwrap_or(key.as_str()));
        let concerned = memory.is_concerned_by(paths);
        if !concerned {
            memory.keep_up(|| view(instance, tree));
        }
        concerned
    }

    /// Whether a resource waits for its keys. It is rendered as soon as one of them changes, or its time is over.
    fn must_wait(&mut self, resource: &Arc<Resource>, tree: &Tree, now: Instant) -> bool {
        // What is only shown does not have to wait.
        if resource.needs.wait_for.is_empty() || self.preview.is_some() {
            return false;
        }
        let view = view(resource, tree);
        let missing = needs::missing(&resource.needs.wait_for, &view);
        let readiness = self.waiting.decide(resource, !missing.is_empty(), now);
        match readiness {
            Readiness::Waits(true) => events::waits(resource, &missing),
            Readiness::GivenUp => events::waited_in_vain(resource, &missing),
            Readiness::Waits(false) | Readiness::Ready => {}
        }
        matches!(readiness, Readiness::Waits(_))
    }

    /// Asks the guard whether so many names may be gone. An error says that every file stays, and why, if that is a failure.
    fn judge_names(&mut self, group: &Group, expansion: &Expansion, now: Instant) -> Result<(), Option<StepFailure>> {
        let resource = expansion::as_judged(&expansion.fleet.resource);
        let has_files = fleet::has_files(&self.context, &group.id, &resource.name);
        let decision = self.standings.decide(&self.context, &resource, expansion.found(), has_files, now);
        match decision.verdict {
            Verdict::Keep | Verdict::Hold(_) => Err(None),
            Verdict::Fail => Err(Some(refused(&resource, &decision))),
            Verdict::Placeholder | Verdict::Apply => Ok(()),
        }
    }

    /// What was remembered of names that are gone is of no use any more.
    fn forget_gone(&mut self, expansion: &Expansion) {
        for name in &expansion.gone {
            self.set_aside.remove(name);
            self.standings.forget(name);
            self.board.with(|board| board.forget(&expansion.fleet.resource.name, name));
        }
    }

    fn render_into(&mut self, work: &mut Work, member: &Member, tree: &Tree, now: Instant) {
        match self.render_member(member, tree, now) {
            Ok(Some(bytes)) => work.rendered.push(Rendered { resource: Arc::clone(&member.resource), bytes }),
            Ok(None) => {}
            Err(failure) => work.dropped.push((Arc::clone(&member.resource.name), failure)),
        }
    }

    /// Renders one member; nothing, where its live file stays.
    fn render_member(
        &mut self,
        member: &Member,
        tree: &Tree,
        now: Instant,
    ) -> Result<Option<Arc<Vec<u8>>>, StepFailure> {
        let resource = &member.resource;
        let memory = self.memories.entry(Arc::clone(&resource.name)).or_default();
        let result = render_unchecked(member, tree, memory);
        let aside = memory.keys_set_aside();
        if self.set_aside.get(&resource.name).map_or(!aside.is_empty(), |known| known != aside) {
            let known: &mut BTreeSet<_> = self.set_aside.entry(Arc::clone(&resource.name)).or_default();
            events::set_aside(&resource.name, aside.difference(known), aside.len());
            // A render that failed may not have come to all of them: what it did not see is not healed.
            if result.is_ok() {
                known.clone_from(aside);
            } else {
                known.extend(aside.iter().cloned());
            }
        }
        let n_aside = aside.len();
        self.board.with(|board| board.rendered(resource.of_conf_d(), &resource.name, n_aside));
        let bytes = result?;
        if resource.ranges.is_empty() {
            return check_format(resource, bytes).map(Some);
        }
        let found = found(member, tree, memory);
        let has_file = resource.guard.asks_for_file(found) && crate::world::fs::has_content(&resource.dest);
        let decision = self.standings.decide(&self.context, resource, found, has_file, now);
        match decision.verdict {
            Verdict::Keep | Verdict::Hold(_) => Ok(None),
            Verdict::Fail => Err(refused(resource, &decision)),
            Verdict::Placeholder if found.backends > 0 => render_placeholder(member, tree, memory).map(Some),
            Verdict::Placeholder | Verdict::Apply => check_format(resource, bytes).map(Some),
        }
    }
}
