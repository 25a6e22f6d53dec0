//! The state between events: what is loaded, the tree, what is dirty, what runs. Loops feed it and act on what comes out.
//! Holds no business rule: `schedule` says when, `apply` says how.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use crate::apply::group::Group;
use crate::apply::transaction::Request;
use crate::apply::{Context, lone, transaction};
use crate::model::event::Event;
use crate::model::key::Revision;
use crate::model::range::KeyRanges;
use crate::model::report::{Failure, Rendered, Report, Stage};
use crate::model::resource::Resource;
use crate::model::tree::Tree;
use crate::model::view::View;
use crate::render::{Memory, SetAside, format};
use crate::status::events;
use crate::world::random;

use super::loaded::{Loaded, Member, resource_root};
use super::schedule::{Left, Schedule};

/// A group's id and what its pass did.
pub type Finished = (String, Report);

/// Called instead of applying, where nothing may be changed.
pub type Preview = Box<dyn Fn(&Rendered) -> bool>;

/// See the module.
pub struct Engine {
    context: Arc<Context>,
    loaded: Loaded,
    tree: Tree,
    /// The keys that the tree speaks of, once a snapshot has arrived: resources that see no others can be rendered.
    known: Option<KeyRanges>,
    /// What each resource's last render leaves to the next.
    memories: BTreeMap<Arc<str>, Memory>,
    /// Keys of each resource that are known to be no backend: told once.
    set_aside: BTreeMap<Arc<str>, BTreeSet<SetAside>>,
    /// Resources, by name, that must be rendered again.
    dirty: BTreeSet<Arc<str>>,
    schedule: Schedule,
    running: JoinSet<Vec<Finished>>,
    /// The last failure of each group, to say repeated ones briefly.
    last_failures: BTreeMap<String, (String, u32)>,
    preview: Option<Preview>,
    /// Reloads keep their distance; a single pass does everything at once.
    paced: bool,
}

impl Engine {
    /// An engine over what is loaded. With `preview`, nothing is applied.
    pub fn new(context: Arc<Context>, loaded: Loaded, preview: Option<Preview>, paced: bool, now: Instant) -> Engine {
        let mut engine = Engine {
            context,
            loaded: Loaded::default(),
            tree: Tree::default(),
            known: None,
            memories: BTreeMap::new(),
            set_aside: BTreeMap::new(),
            dirty: BTreeSet::new(),
            schedule: Schedule::default(),
            running: JoinSet::new(),
            last_failures: BTreeMap::new(),
            preview,
            paced,
        };
        engine.set_loaded(loaded, now);
        engine
    }

    /// What is loaded.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Takes a new form of conf.d and templates; everything is rendered again.
    pub fn set_loaded(&mut self, loaded: Loaded, now: Instant) {
        self.loaded = loaded;
        let names: BTreeSet<&Arc<str>> = self.loaded.members.iter().map(|member| &member.resource.name).collect();
        self.dirty.retain(|name| names.contains(name));
        self.set_aside.retain(|name, _| names.contains(name));
        self.memories.clear();
        let pace = |group: &Group| group.reload.as_ref().filter(|_| self.paced).map(|_| group.pace);
        self.schedule.set_groups(self.loaded.groups.iter().map(|group| (group.id.clone(), pace(group))));
        self.touch_all(now);
    }

    /// Marks every resource for another pass: after a resync, or to notice what others did to the files.
    pub fn touch_all(&mut self, now: Instant) {
        for position in 0..self.loaded.members.len() {
            self.touch(position, now);
        }
    }

    fn touch(&mut self, position: usize, now: Instant) {
        let Some(member) = self.loaded.members.get(position) else { return };
        self.dirty.insert(Arc::clone(&member.resource.name));
        if !self.is_ready(&member.resource) {
            return;
        }
        if let Some(group) = self.loaded.group_at(position) {
            self.schedule.changed(&group.id, now);
        }
    }

    /// Gives resources another chance that could not be rendered because their keys were not known.
    fn touch_dirty(&mut self, now: Instant) {
        let dirty: Vec<usize> = self.dirty.iter().filter_map(|name| self.loaded.position(name)).collect();
        for position in dirty {
            self.touch(position, now);
        }
    }

    fn is_ready(&self, resource: &Resource) -> bool {
        resource.ranges.is_empty() || self.known.as_ref().is_some_and(|known| known.covers(&resource.ranges))
    }

    /// Applies a store event to the tree and marks the resources that it concerns.
    pub fn take_event(&mut self, event: Event, now: Instant) {
        let changed = match event {
            Event::Snapshot { revision, ranges, entries } => {
                let tree = Tree::from_entries(revision, entries);
                let changed = self.tree.changed_paths(&tree);
                self.tree = tree;
                if self.known.as_ref() != Some(&ranges) {
                    self.known = Some(ranges);
                    self.touch_dirty(now);
                }
                changed
            }
            Event::Changes { revision, puts, deletes } => self.tree.advance(revision, puts, deletes),
            Event::Lost { .. } | Event::Regained => return,
        };
        let positions: BTreeSet<usize> = changed.iter().flat_map(|key| self.loaded.touched.by(key.as_str())).collect();
        for position in positions {
            self.touch(position, now);
        }
    }

    /// Starts every group whose time has come. Answers the passes that ended where they began, without a transaction.
    pub fn start_due(&mut self, now: Instant) -> Vec<Report> {
        let mut ended = Vec::new();
        let mut lone_batch: Vec<(String, Rendered)> = Vec::new();
        for id in self.schedule.start_due(now) {
            let Some(group) = self.loaded.group(&id).cloned() else { continue };
            let (mut rendered, dropped) = self.render_dirty(&group);
            if let Some(preview) = &self.preview {
                rendered.drain(..).for_each(|rendered| {
                    preview(&rendered);
                });
            }
            if rendered.is_empty() {
                let report = Report { dropped, ..Report::unchanged(self.tree.revision()) };
                ended.push(self.finish(&id, report, now));
            } else if group.is_lone() {
                lone_batch.extend(rendered.into_iter().map(|rendered| (id.clone(), rendered)));
            } else {
                let request = Request { group, rendered, dropped, revision: self.tree.revision() };
                let context = Arc::clone(&self.context);
                self.running.spawn(async move { vec![(id, transaction::run(&context, request).await)] });
            }
        }
        if !lone_batch.is_empty() {
            let context = Arc::clone(&self.context);
            let revision = self.tree.revision();
            self.running.spawn(async move {
                let (ids, rendered): (Vec<String>, Vec<Rendered>) = lone_batch.into_iter().unzip();
                ids.into_iter().zip(lone::run(&context, rendered, revision).await).collect()
            });
        }
        ended
    }

    /// Renders the dirty members of a group that can be rendered yet; those that fail come back as dropped.
    fn render_dirty(&mut self, group: &Group) -> (Vec<Rendered>, Vec<(Arc<str>, Failure)>) {
        let (mut rendered, mut dropped) = (Vec::new(), Vec::new());
        for resource in &group.resources {
            if !self.is_ready(resource) || !self.dirty.remove(&resource.name) {
                continue;
            }
            let Some(member) = self.loaded.member(&resource.name) else { continue };
            let memory = self.memories.entry(Arc::clone(&resource.name)).or_default();
            let result = render(member, &self.tree, memory);
            let known = self.set_aside.entry(Arc::clone(&resource.name)).or_default();
            let found = memory.keys_set_aside();
            if known != found {
                events::set_aside(&resource.name, found.difference(known), found.len());
                // A render that failed may not have come to all of them: what it did not see is not healed.
                if result.is_ok() {
                    known.clone_from(found);
                } else {
                    known.extend(found.iter().cloned());
                }
            }
            match result {
                Ok(bytes) => rendered.push(Rendered { resource: Arc::clone(resource), bytes }),
                Err(failure) => dropped.push((Arc::clone(&resource.name), failure)),
            }
        }
        (rendered, dropped)
    }

    /// Waits for the next pass to end; answers nothing while none runs.
    pub async fn next_finished(&mut self) -> Option<Vec<Finished>> {
        match self.running.join_next().await? {
            Ok(finished) => Some(finished),
            Err(error) => {
                tracing::error!("a transaction ended without a report: {error}");
                Some(Vec::new())
            }
        }
    }

    /// Takes the report of a pass: logs it, and marks for another try what did not come true.
    pub fn finish(&mut self, id: &str, report: Report, now: Instant) -> Report {
        let left = if report.needs_another_try() { Left::Failed } else { Left::Settled };
        let again = report.dropped.iter().map(|(name, _)| name);
        let again: Vec<&Arc<str>> =
            if report.outcome.is_final() { again.collect() } else { again.chain(&report.resources).collect() };
        for name in again {
            if self.loaded.member(name).is_some() {
                self.dirty.insert(Arc::clone(name));
            }
        }
        self.schedule.finished(id, now, report.reload_ran, left, random::fraction());
        events::pass(&report, self.repeated(id, &report));
        report
    }

    /// How often in a row this group has failed in the same way.
    fn repeated(&mut self, id: &str, report: &Report) -> u32 {
        let Some(failure) = report.first_failure() else {
            self.last_failures.remove(id);
            return 0;
        };
        let text = format!("{failure} {}", failure.output);
        let entry = self.last_failures.entry(id.to_owned()).or_insert_with(|| (String::new(), 0));
        *entry = if entry.0 == text { (text, entry.1 + 1) } else { (text, 0) };
        entry.1
    }

    /// When `start_due` has something next.
    pub fn wake_at(&self) -> Option<Instant> {
        self.schedule.wake_at()
    }

    /// Whether a transaction runs.
    pub fn is_busy(&self) -> bool {
        !self.running.is_empty()
    }

    /// The revision that is known.
    pub fn revision(&self) -> Revision {
        self.tree.revision()
    }
}

/// Renders one member from a tree, its output format checked.
pub fn render(member: &Member, tree: &Tree, memory: &mut Memory) -> Result<Arc<Vec<u8>>, Failure> {
    let resource = &member.resource;
    let view = View::new(tree.clone(), Arc::clone(&resource.prefix), resource.ranges.clone());
    let bytes = member.renderer.render(resource_root(resource), &view, memory).map_err(|error| {
        let hint = error.hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        Failure::new(Stage::Render, format!("{error}{hint}"))
    })?;
    if let Some(output_format) = resource.output_format {
        format::check(&bytes, output_format).map_err(|error| Failure::new(Stage::Check, error.to_string()))?;
    }
    Ok(Arc::new(bytes))
}
