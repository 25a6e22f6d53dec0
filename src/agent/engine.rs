//! The state between events: what is loaded, the tree, what is dirty, what runs. Loops feed it and act on what comes out.
//! Holds no business rule: `schedule` says when, `apply` says how.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use crate::apply::group::Group;
use crate::apply::transaction::Request;
use crate::apply::{Context, fleet, lone, transaction};
use crate::model::guard::Decision;
use crate::model::key::Revision;
use crate::model::range::KeyRanges;
use crate::model::report::{Outcome, Rendered, Report};
use crate::model::resource::name_in_conf_d;
use crate::model::store::StoreSettings;
use crate::model::tree::Tree;
use crate::render::SkippedKey;
use crate::status::{Shared, events};
use crate::world::{clock, random};

use super::draining::Draining;
use super::expansion::Expansions;
use super::loaded::Loaded;
use super::marks::Marks;
use super::receipts::Receipts;
use super::rendering::Remembered;
use super::schedule::{Left, Schedule, Timed, Urgency};
use super::standing::Standings;
use super::waiting::Waiting;

mod dirty;
mod marking;
mod workers;

use dirty::Work;

/// A group's id and what its pass did.
pub type Finished = (String, Report);

/// Called instead of applying, where nothing may be changed.
pub type Preview = Box<dyn Fn(Previewed<'_>) -> bool>;

/// What would change.
pub enum Previewed<'a> {
    /// A file would have this content.
    File(&'a Rendered),
    /// A file would go.
    Gone(&'a Path),
}

/// What is known of a store.
#[derive(Default)]
struct Store {
    settings: Option<Arc<StoreSettings>>,
    tree: Tree,
    /// The keys that the tree speaks of, once a snapshot has arrived: resources that see no others can be rendered.
    known: Option<KeyRanges>,
}

/// See the module.
pub struct Engine {
    context: Arc<Context>,
    loaded: Loaded,
    /// What is known of each store, by its position in what is loaded.
    stores: Vec<Store>,
    /// What each resource's last render leaves to the next.
    memories: BTreeMap<Arc<str>, Remembered>,
    /// Keys of each resource that are known to be no backend: told once.
    set_aside: BTreeMap<Arc<str>, BTreeSet<SkippedKey>>,
    /// The names of resources with `for_each`.
    expansions: Expansions,
    /// Resources that wait for their keys.
    waiting: Waiting,
    /// What lost backends come to.
    standings: Standings,
    /// Resources that must be rendered again.
    marks: Marks,
    schedule: Schedule,
    /// Reloads of nginx whose old workers have not ended.
    draining: Draining,
    /// How far each resource has come, where that is told.
    receipts: Option<Receipts>,
    running: JoinSet<Vec<Finished>>,
    /// Groups that have been worked on at least once.
    worked_on: BTreeSet<String>,
    /// The last failure of each group, to say repeated ones briefly.
    last_failures: BTreeMap<String, (String, u32)>,
    preview: Option<Preview>,
    /// Reloads keep their distance; a single pass does everything at once.
    paced: bool,
    /// One group at a time, in the order of their files, and none of a group that is not whole.
    fail_fast: bool,
    /// What is told of all this.
    board: Shared,
}

impl Engine {
    /// An engine over what is loaded. With `preview`, nothing is applied.
    pub fn new(
        context: Arc<Context>,
        loaded: Loaded,
        preview: Option<Preview>,
        paced: bool,
        board: Shared,
        now: Instant,
    ) -> Engine {
        let mut engine = Engine {
            context,
            loaded: Loaded::default(),
            stores: Vec::new(),
            memories: BTreeMap::new(),
            set_aside: BTreeMap::new(),
            expansions: Expansions::default(),
            waiting: Waiting::default(),
            standings: Standings::new(preview.is_some()),
            marks: Marks::default(),
            schedule: Schedule::default(),
            draining: Draining::default(),
            receipts: None,
            running: JoinSet::new(),
            worked_on: BTreeSet::new(),
            last_failures: BTreeMap::new(),
            preview,
            paced,
            fail_fast: false,
            board,
        };
        engine.set_loaded(loaded, now);
        engine
    }

    /// The same, one group at a time and each as a whole, so that the first failure can end a pass.
    pub fn one_at_a_time(self) -> Engine {
        Engine { fail_fast: true, ..self }
    }

    /// What is loaded.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Takes a new form of conf.d and templates; everything is rendered again.
    pub fn set_loaded(&mut self, loaded: Loaded, now: Instant) {
        self.loaded = loaded;
        let mut old = std::mem::take(&mut self.stores);
        for store in &self.loaded.stores {
            let known = old.iter().position(|old| old.settings == store.settings);
            let new = || Store { settings: store.settings.clone(), ..Store::default() };
            self.stores.push(known.map_or_else(new, |position| old.swap_remove(position)));
        }
        let names: BTreeSet<&Arc<str>> = self.loaded.members.iter().map(|member| &member.resource.name).collect();
        self.marks.keep(|name| names.contains(name));
        self.set_aside.retain(|name, _| names.contains(name));
        self.standings.keep_those_of(self.loaded.members.iter().map(|member| &member.resource));
        self.memories.clear();
        self.waiting.keep_those_of(self.loaded.members.iter().map(|member| &member.resource));
        self.expansions = Expansions::over(self.loaded.members.iter().map(|member| &member.resource));
        let timed = |group: &Arc<Group>| Timed {
            id: group.id.clone(),
            pace: group.reload.as_ref().filter(|_| self.paced).map(|_| group.pace),
            drives_nginx: self.paced && group.drives_nginx(),
        };
        self.schedule.set_groups(self.loaded.groups.iter().map(timed));
        if let Some(receipts) = &mut self.receipts {
            receipts.set_groups(self.loaded.groups.iter().map(|group| &**group));
        }
        let groups = self.loaded.groups.iter().map(|group| (group.id.as_str(), group.resources.as_slice()));
        let further =
            self.loaded.stores.iter().filter_map(|store| Some(store.settings.as_ref()?.to_string())).collect();
        self.board.with(|board| {
            board.loaded(groups, self.loaded.problems.len());
            board.store.keep_further(&further);
        });
        self.touch_all(now);
    }

    /// Starts every group whose time has come. Answers the passes that ended where they began, without a transaction.
    pub fn start_due(&mut self, now: Instant) -> Vec<Report> {
        for name in self.standings.lapsed(now).into_iter().chain(self.waiting.lapsed(now)) {
            if let Some(position) = self.member_of(&name).and_then(|name| self.loaded.position(&name)) {
                self.touch(position, Urgency::Removal, now);
            }
        }
        self.look_at_old_workers(now);
        let mut ended = Vec::new();
        let mut lone_batch: Vec<(String, Rendered)> = Vec::new();
        for id in self.due(now) {
            let Some(group) = self.loaded.group(&id).cloned() else { continue };
            let Work { mut rendered, mut fleets, dropped } = self.render_dirty(&group, now);
            if self.fail_fast && !dropped.is_empty() {
                rendered.clear();
                fleets.clear();
                group.resources.iter().for_each(|resource| self.marks.anything(&resource.name));
            }
            if let Some(preview) = &self.preview {
                rendered.drain(..).for_each(|rendered| {
                    preview(Previewed::File(&rendered));
                });
                for fleet in fleets.drain(..) {
                    let gone = fleet::would_remove(&self.context, &id, &fleet);
                    gone.iter().for_each(|dest| {
                        preview(Previewed::Gone(dest));
                    });
                }
            }
            // A reload may be owed for a file that is held: the transaction looks.
            let holds = self.preview.is_none() && !group.is_lone() && self.held(&group).next().is_some();
            if rendered.is_empty() && fleets.is_empty() && !holds {
                let report = Report { dropped, ..Report::unchanged(self.revision_of(&group)) };
                ended.push(self.finish(&id, report, now));
            } else if group.is_lone() {
                lone_batch.extend(rendered.into_iter().map(|rendered| (id.clone(), rendered)));
            } else {
                let revision = self.revision_of(&group);
                let request = Request { group, rendered, fleets, dropped, revision };
                let context = Arc::clone(&self.context);
                self.running.spawn(async move { vec![(id, transaction::run(&context, request).await)] });
            }
        }
        if !lone_batch.is_empty() {
            let context = Arc::clone(&self.context);
            let revision = |rendered: &Rendered| self.store_of(&rendered.resource).map(|store| store.tree.revision());
            let revisions: Vec<Revision> =
                lone_batch.iter().map(|(_, rendered)| revision(rendered).unwrap_or_default()).collect();
            self.running.spawn(async move {
                let (ids, rendered): (Vec<String>, Vec<Rendered>) = lone_batch.into_iter().unzip();
                let reports = lone::run(&context, rendered, Revision::default()).await.into_iter().zip(revisions);
                ids.into_iter().zip(reports.map(|(report, revision)| Report { revision, ..report })).collect()
            });
        }
        ended
    }

    /// The members of a group whose live files stay, and why.
    fn held<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = (Arc<str>, Decision)> + 'a {
        let names = group.resources.iter().flat_map(|resource| self.expansions.instances(&resource.name));
        names.filter_map(|name| Some((Arc::clone(name), self.standings.held(name)?)))
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
    pub fn finish(&mut self, id: &str, mut report: Report, now: Instant) -> Report {
        let is_in_place = report.outcome.is_final() || matches!(report.outcome, Outcome::ReloadOwed { .. });
        for name in report.resources.iter().filter(|_| is_in_place) {
            for name in self.expansions.instances(name) {
                if report.dropped.iter().all(|(dropped, _)| dropped != name) {
                    self.standings.is_live(&self.context, name, now);
                }
            }
        }
        if let Some(group) = self.loaded.group(id) {
            report.held = self.held(group).collect();
        }
        if report.resources.is_empty() && !report.outcome.is_final() {
            // Their reload is owed.
            report.resources = report.held.iter().map(|(name, _)| Arc::clone(name)).collect();
        }
        if !self.worked_on.contains(id) {
            self.worked_on.insert(id.to_owned());
        }
        let left = if report.needs_another_try() { Left::Failed } else { Left::Settled };
        let again = report.dropped.iter().map(|(name, _)| name);
        let again: Vec<&Arc<str>> =
            if report.outcome.is_final() { again.collect() } else { again.chain(&report.resources).collect() };
        for name in again {
            // A name of a `for_each` is rendered again with all others.
            if let Some(resource) = self.member_of(name) {
                self.marks.anything(&resource);
            }
        }
        self.schedule.finished(id, now, report.reload_ran, left, random::fraction());
        events::pass(&report, self.repeated(id, &report));
        self.board.with(|board| {
            board.passed(id, &report, clock::unix_seconds());
            board.cleanup_errors = self.context.cleanup_errors();
        });
        if let Some(drained) = self.draining.add(&report, now) {
            self.tell_drained(&drained);
        }
        if let (Some(receipts), Some(group)) = (&mut self.receipts, self.loaded.group(id)) {
            receipts.finished(group, &report, &self.draining);
        }
        report
    }

    /// The resource of this name, or the one with `for_each` that has an instance of this name.
    fn member_of(&self, name: &str) -> Option<Arc<str>> {
        self.loaded.member(name_in_conf_d(name)).map(|member| Arc::clone(&member.resource.name))
    }

    /// How often in a row this group has failed in the same way.
    fn repeated(&mut self, id: &str, report: &Report) -> u32 {
        let Some(failure) = report.first_failure() else {
            self.last_failures.remove(id);
            return 0;
        };
        // Process ids and times differ each time.
        let text = format!("{failure} {}", failure.output).replace(|c: char| c.is_ascii_digit(), "");
        let entry = self.last_failures.entry(id.to_owned()).or_insert_with(|| (String::new(), 0));
        *entry = if entry.0 == text { (text, entry.1 + 1) } else { (text, 0) };
        entry.1
    }

    /// When `start_due` has something next.
    pub fn wake_at(&self) -> Option<Instant> {
        [self.schedule.wake_at(), self.draining.wake_at(), self.standings.wake_at(), self.waiting.wake_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether nothing is left to do of what has been taken so far, retries excepted.
    pub fn is_settled(&self) -> bool {
        !self.is_busy() && !self.schedule.has_pending()
    }

    /// Whether every group has been worked on since the start, whatever came of it.
    pub fn first_pass_is_over(&self) -> bool {
        self.loaded.groups.iter().all(|group| self.worked_on.contains(&group.id))
    }

    /// Until when some resource waits for keys; `None` where none does.
    pub fn waits_until(&self) -> Option<Instant> {
        self.waiting.wake_at()
    }

    /// Whether a transaction runs.
    pub fn is_busy(&self) -> bool {
        !self.running.is_empty()
    }

    /// The revision that is known of the settings' store.
    pub fn revision(&self) -> Revision {
        self.stores.first().map(|store| store.tree.revision()).unwrap_or_default()
    }
}
