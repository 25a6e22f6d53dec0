//! The agent between two events: the desk with the work, the crew that does it, and the observers. The loops in `follow` and
//! `once` feed it. Never waits for events by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::endpoints::name_service::NameService;
use crate::model::event::Event;
use crate::model::note::Note;
use crate::model::problem::Problem;
use crate::model::process::Process;
use crate::model::receipt::Receipt;
use crate::model::report::Report;
use crate::status::board::{FailedPasses, PassNews};
use crate::status::{Shared, endpoint_events, events};
use crate::world::{clock, process, random};

use super::catalog::{Catalog, Member};
use super::crew::Crew;
use super::desk::Desk;
use super::endpoints::{Way, prints_servers};
use super::old_workers::OldWorkers;
use super::pass::{Pass, Returned, Shown, Terms};
use super::questions::KeyQuestion;
use super::receipts::Receipts;
use super::unread::UnreadLooks;
use super::untaken::Untaken;

/// A callback for everything that a pass shows instead of applying it.
pub type Show = Box<dyn Fn(&Shown)>;

/// Terms and observers of the passes of a run.
pub struct Outlook {
    /// Terms that all passes share.
    pub terms: Arc<Terms>,
    /// Callback for shown files.
    pub show: Option<Show>,
    /// Board with the present state, for pages, metrics and systemd.
    pub board: Shared,
    /// Whether passes are logged.
    pub logs: bool,
    /// Answers about names of the settings' store.
    pub names: Option<Arc<NameService>>,
}

/// The desk, the crew, and the observers of their work.
pub(super) struct Agent {
    pub(super) desk: Desk,
    pub(super) crew: Crew,
    pub(super) outlook: Outlook,
    pub(super) old_workers: OldWorkers,
    /// Changes of endpoints that nginx has not taken yet.
    pub(super) untaken: Untaken,
    /// Resources whose keys their store refuses, with the message that was logged.
    refused: BTreeMap<Arc<str>, String>,
    /// What the pages ask; `None` if there are none.
    pub(super) questions: Option<mpsc::Receiver<KeyQuestion>>,
    /// The way in which changes of each resource's backends reach nginx, as the log says it.
    pub(super) ways: BTreeMap<Arc<str>, String>,
    /// The looks at files that nginx does not read.
    unread: UnreadLooks,
}

/// The result of a pass, for a caller that collects them.
pub(super) struct PassEnd {
    pub(super) report: Report,
    pub(super) notes: Vec<Note>,
}

impl Agent {
    /// Returns an agent that has to render everything. `is_paced`: reloads keep their distance.
    pub(super) fn new(outlook: Outlook, catalog: Arc<Catalog>, is_paced: bool) -> Agent {
        outlook.terms.context.set_groups(&catalog.groups);
        let ways = listen_for(&outlook, &catalog, &BTreeMap::new());
        let desk = Desk::new(Arc::clone(&outlook.terms), catalog, is_paced, clock::now());
        let (old_workers, untaken, refused, questions, unread) = Default::default();
        let agent = Agent { desk, crew: Crew::new(), outlook, old_workers, untaken, refused, questions, ways, unread };
        agent.put_on_board();
        agent
    }

    /// Adopts a new reading of conf.d and templates; everything is rendered again.
    pub(super) fn adopt(&mut self, catalog: Arc<Catalog>) {
        self.outlook.terms.endpoints.try_again();
        self.outlook.terms.context.set_groups(&catalog.groups);
        self.ways = listen_for(&self.outlook, &catalog, &self.ways);
        self.desk.set_catalog(catalog, clock::now());
        self.put_on_board();
        self.look_at_refusals();
    }

    /// Looks again at which way changes go, and renders what goes another way now.
    fn look_at_ways(&mut self, now: Instant) {
        let ways = listen_for(&self.outlook, self.desk.catalog(), &self.ways);
        let before = std::mem::replace(&mut self.ways, ways);
        self.put_ways_on_board();
        let ways = &self.ways;
        self.desk.mark_if(|resource| before.get(resource.name()) != ways.get(resource.name()), now);
    }

    /// Tries again to reach nginx by DNS, because a person asked for everything to be read again.
    pub(super) fn try_endpoints_again(&mut self) {
        self.outlook.terms.endpoints.try_again();
        self.look_at_ways(clock::now());
    }

    /// Logs what a store has begun to refuse and what it shows again, each once.
    fn look_at_refusals(&mut self) {
        let refused = self.desk.refusals();
        let before = std::mem::replace(&mut self.refused, refused);
        let is_new = |(name, message): &(&Arc<str>, &String)| before.get(*name) != Some(message);
        if self.outlook.logs {
            self.refused.iter().filter(is_new).for_each(|(name, message)| events::refused(name, message));
            let is_over = |name: &&Arc<str>| !self.refused.contains_key(*name) && self.desk.is_readable(name);
            before.keys().filter(is_over).for_each(|name| events::readable_again(name));
        }
        if !(before.is_empty() && self.refused.is_empty()) {
            self.outlook.board.with(|board| board.record_refusals(&self.refused, clock::unix_seconds()));
        }
    }

    fn put_on_board(&self) {
        let catalog = self.desk.catalog();
        let groups = catalog.groups.iter().map(|group| (group.id.as_str(), group.resources.as_slice()));
        let read = catalog.stores.iter().filter(|store| !store.wanted.all().is_empty());
        let further = read.filter_map(|store| Some(store.settings.as_ref()?.to_string())).collect();
        let is_unused = catalog.stores.iter().position(|store| !store.wanted.all().is_empty()).unwrap_or(0) > 0;
        self.outlook.board.with(|board| {
            board.record_load(groups, catalog.problems.iter().map(Problem::line).collect(), clock::unix_seconds());
            board.store.set_others(&further);
            board.store.set_unused(is_unused, clock::now());
        });
        self.put_ways_on_board();
    }

    /// Shows which way the changes of each resource go.
    pub(super) fn put_ways_on_board(&self) {
        let ways = self.desk.catalog().members.iter().filter_map(|member| {
            let way = prints_servers(member).then(|| self.outlook.terms.endpoints.way(&member.resource))?;
            Some((Arc::clone(member.resource.name()), matches!(way, Way::Dns(_))))
        });
        let ways = ways.collect();
        self.outlook.board.with(|board| board.by_dns = ways);
    }

    /// Applies an event of the store at this position.
    pub(super) fn take_event(&mut self, position: usize, event: Event) {
        let (now, unix_seconds) = (clock::now(), clock::unix_seconds());
        match self.desk.catalog().stores.get(position).map(|store| &store.settings) {
            None => return,
            Some(None) => self.outlook.board.with(|board| board.record_event(&event, now, unix_seconds)),
            Some(Some(settings)) => {
                let name = settings.to_string();
                self.outlook.board.with(|board| board.store.record_other_event(&name, &event, now, unix_seconds));
            }
        }
        let may_refuse = matches!(event, Event::Snapshot { .. });
        // The settings' store is the first.
        let names = self.outlook.names.as_ref().filter(|names| position == 0 && names.note(&event));
        self.desk.take_event(position, event, now);
        names.into_iter().for_each(|names| names.publish(self.desk.tree_at(position)));
        if may_refuse {
            self.look_at_refusals();
        }
    }

    /// Starts all passes that are due.
    pub(super) fn start_due(&mut self) {
        let now = clock::now();
        self.look_at_old_workers(now);
        if self.outlook.terms.endpoints.try_at().is_some_and(|at| at <= now) {
            self.look_at_ways(now);
        }
        let passes = self.desk.hand_out(now);
        self.start(passes);
    }

    /// Starts the first pass that is due.
    pub(super) fn start_first(&mut self) {
        let pass = self.desk.hand_out_first(clock::now());
        self.start(pass.into_iter().collect());
    }

    fn start(&mut self, passes: Vec<Pass>) {
        if !passes.is_empty() {
            self.crew.start(passes);
        }
    }

    fn look_at_old_workers(&mut self, now: Instant) {
        let Outlook { terms, board, .. } = &self.outlook;
        let has_looked = self.old_workers.look(&mut self.desk, (&terms.context, &terms.endpoints), board, now);
        if let Some(service) = self.outlook.terms.endpoints.service().filter(|_| has_looked) {
            let groups = &self.desk.catalog().groups;
            service.look_at_nginx(&self.old_workers.nginx_places(&self.outlook.terms.context, groups));
        }
        for group_id in self.old_workers.disproved(now) {
            self.outlook.terms.context.disprove(&group_id);
            let groups = &self.desk.catalog().groups;
            let Some(group) = groups.iter().find(|group| group.id == group_id).cloned() else { continue };
            self.desk.mark_if(|resource| group.has_member(resource.name()), now);
            events::disproved(&group.resources);
        }
    }

    /// Takes back the result of a pass, and reports it.
    pub(super) fn take_back(&mut self, mut returned: Returned) -> PassEnd {
        let now = clock::now();
        let repeated = self.desk.take_back(&mut returned, now, random::fraction());
        self.outlook.terms.context.end_steps(&returned.group.id);
        let Returned { group, report, mut findings, .. } = returned;
        if self.outlook.logs {
            findings.notes.iter().for_each(events::note);
        }
        if let Some(show) = &self.outlook.show {
            findings.shown.iter().for_each(show);
        }
        let cleanup_errors = self.outlook.terms.context.cleanup_errors();
        let unix_seconds = clock::unix_seconds();
        let next_try = self.desk.next_try(&group).map(|at| unix_seconds + at.saturating_duration_since(now).as_secs());
        let (backends, endpoints, changed) = (&findings.backends, &findings.endpoints, &findings.changed);
        let news = PassNews { backends, endpoints, changed, now };
        let (ended, since) = self.outlook.board.with(|board| {
            for (id, skipped) in std::mem::take(&mut findings.renders) {
                board.record_render(&id, skipped, unix_seconds);
            }
            for (name, files) in std::mem::take(&mut findings.live) {
                board.record_files(&name, files, unix_seconds);
            }
            board.record_store_has(&group.id, &findings.store_has);
            board.record_waits(&group.id, &findings.waiting, unix_seconds);
            board.cleanup_errors = cleanup_errors;
            board.record_next_try(&group.id, next_try);
            (board.record_pass(&group.id, &report, news, unix_seconds), board.in_trouble_since(&group.id))
        });
        self.unread.turn(&self.outlook.terms.context, &self.outlook.board);
        if self.outlook.logs {
            events::pass(&report, &findings.backends, repeated, since);
        }
        if let Some(FailedPasses { resources, failures, since }) = ended.filter(|_| self.outlook.logs) {
            events::recovered(&resources, failures, Duration::from_secs(unix_seconds.saturating_sub(since)));
        }
        let removals = self.old_workers.add((&group, &report), findings.removed, &self.outlook.board, now);
        let taken = self.outlook.terms.endpoints.taken(now);
        self.old_workers.taken(&taken, now);
        if let Some(receipts) = &mut self.desk.receipts {
            findings.waiting.keys().for_each(|name| receipts.waits(name));
            receipts.finished(&group, &report, &removals, self.old_workers.accounts(), &taken);
        }
        for (id, change) in &findings.endpoints {
            self.untaken.add(id, change, taken.serial(), now);
        }
        if !findings.endpoints.is_empty() {
            // nginx may have asked already, or has nothing to ask for: a backend that drained is down.
            self.look_at_untaken(&taken, now);
        }
        if findings.has_new_way {
            self.look_at_ways(now);
        }
        PassEnd { report, notes: findings.notes }
    }

    /// Starts to keep a receipt as the agent of this id. Called before anything is applied; `leaving` are workers of nginx
    /// that were leaving before.
    pub(super) fn keep_receipt(&mut self, id: String, leaving: BTreeSet<Process>) {
        let mut receipts = Receipts::new(id);
        receipts.set_groups(self.desk.catalog().groups.iter().map(|group| &**group));
        self.desk.receipts = Some(receipts);
        self.old_workers.add_earlier(leaving, clock::now());
    }

    /// Shows the progress that resources have made.
    pub(super) fn put_progress_on_board(&mut self) {
        let Some(receipts) = &mut self.desk.receipts else { return };
        let news = receipts.take_progress(clock::now(), clock::unix_seconds());
        if !news.is_empty() {
            self.outlook.board.with(|board| {
                news.into_iter().for_each(|(name, progress)| board.record_progress(&name, progress));
            });
        }
    }

    /// Returns the receipt, if one is kept and may have changed since the last call.
    pub(super) fn changed_receipt(&mut self) -> Option<Receipt> {
        let receipts = self.desk.receipts.as_mut()?;
        receipts.take_moved().then(|| receipts.receipt(self.old_workers.accounts().0))
    }

    /// Logs that every file is as wanted, if no pass has had work since there were this many of them.
    pub(super) fn say_up_to_date(&self, passes_with_work: u64) {
        let board = &self.outlook.board;
        let revision = board.with(|board| {
            let is_idle = board.passes_with_work() == passes_with_work && board.is_up_to_date();
            is_idle.then_some(board.applied_revision)
        });
        if let Some(revision) = revision.filter(|_| self.outlook.logs && self.outlook.terms.apply()) {
            events::up_to_date(self.desk.catalog().members.len(), revision);
        }
    }

    /// Returns whether all work so far is done, except for retries.
    pub(super) fn is_settled(&self) -> bool {
        !self.crew.is_busy() && !self.desk.has_pending()
    }

    /// Gives up waiting for a transaction: kills its commands. The next start undoes it.
    pub(super) fn give_up(&mut self, timeout: Duration) {
        tracing::error!(
            "a transaction did not end within {timeout:?}: its commands are killed, and the next start undoes it"
        );
        process::kill_running();
        self.crew.stop();
    }

    /// Returns when `start_due` next has a pass.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let endpoints = &self.outlook.terms.endpoints;
        [self.desk.wake_at(), self.old_workers.wake_at(), endpoints.try_at()].into_iter().flatten().min()
    }
}

/// Starts to answer nginx's questions if a resource needs it, and logs which way the changes of each go if that is new. Returns
/// the ways.
fn listen_for(outlook: &Outlook, catalog: &Catalog, known: &BTreeMap<Arc<str>, String>) -> BTreeMap<Arc<str>, String> {
    let endpoints = &outlook.terms.endpoints;
    endpoints.listen_for(catalog.members.iter().map(|member| &*member.resource), clock::now());
    endpoints.keep_resources(|resource| catalog.member(resource).is_some());
    let is_said = |member: &&Member| outlook.logs && outlook.terms.apply() && prints_servers(member);
    let way = |member: &Member| (Arc::clone(member.resource.name()), endpoints.way(&member.resource).to_string());
    let ways: BTreeMap<_, _> = catalog.members.iter().filter(is_said).map(way).collect();
    let is_new = |(name, way): &(&Arc<str>, &String)| known.get(*name) != Some(way);
    ways.iter().filter(is_new).for_each(|(name, way)| endpoint_events::way(name, way));
    ways
}

/// Logs the problems in conf.d and templates, and what stays because of them.
pub(super) fn log_problems(catalog: &Catalog) {
    for problem in catalog.problems.iter() {
        tracing::error!("{}", problem.line());
    }
    if !catalog.problems.is_empty() {
        events::broken(catalog.kept.iter());
    }
    for outside in &catalog.outside_keys {
        tracing::warn!("{}", outside.problem.line());
    }
    let reads_nothing = catalog.stores.iter().all(|store| store.wanted.all().is_empty());
    if catalog.members.is_empty() && catalog.problems.is_empty() && reads_nothing {
        tracing::warn!("conf.d has no resource; nothing to do");
    }
}
