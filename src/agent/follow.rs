//! Following: the loop that waits for the next event until a signal or the end of the supervised command ends it. Never
//! renders or applies by itself.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::mpsc;

use crate::endpoints::service::EndpointService;
use crate::model::event::Event;
use crate::model::store::StoreSettings;
use crate::render::Facts;
use crate::status::{endpoint_events, events};
use crate::world::child::{ChildEnd, StartError};
use crate::world::folder_reader::FolderNews;
use crate::world::signals::Signals;
use crate::world::{clock, tasks, terminal};

use super::catalog::{Catalog, Confdirs};
use super::catalog_reader::CatalogReader;
use super::news::LastHeard;
use super::pass::Returned;
use super::questions::{self, KeyQuestion};
use super::receipt_key::{ReceiptKey, ReceiptPlan};
use super::recovering::recover;
use super::reporting::{self, PagesPlan, PagesSettings, ServiceManager};
use super::run::{Agent, Outlook, log_problems};
use super::stores::Stores;
use super::supervision::{SignalMeaning, meaning};
use super::supervisor::{CommandPlan, Supervisor};

/// Time within which the last known endpoints are on disk when the agent stops: what comes after does not wait for a disk that hangs.
const SAVES_WITHIN: Duration = Duration::from_secs(5);

/// The inputs of following.
pub struct FollowPlan {
    /// Terms and observers of the passes.
    pub outlook: Outlook,
    /// Folders of conf.d and templates.
    pub confdirs: Confdirs,
    /// Facts that templates can query.
    pub facts: Arc<dyn Facts>,
    /// Settings of the store.
    pub store: StoreSettings,
    /// Times at which everything is read again.
    pub follow: Follow,
    /// Where the status pages are served, and by which names.
    pub pages: PagesSettings,
    /// Identity under which the agent publishes its progress.
    pub receipt: Option<ReceiptPlan>,
    /// A command to start after the first round, and to supervise.
    pub command: Option<CommandPlan>,
    /// The signals of the agent, or of the command.
    pub signals: Signals,
    /// Time for running passes to end when the agent stops.
    pub shutdown_timeout: Duration,
}

/// The times at which everything is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// Watches the store and the folders; with an interval, also reads everything again that often.
    Watch(Option<Duration>),
    /// Reads everything again that often.
    Interval(Duration),
}

/// The reason why following has ended.
#[derive(Debug)]
pub enum Stopped {
    /// A signal requested it.
    Asked,
    /// The supervised command has ended, by itself or with the agent.
    CommandEnded(ChildEnd),
    /// The supervised command has exited with 0 and goes on in the background.
    CommandInBackground,
    /// The command could not be started.
    CommandNotStarted(StartError),
    /// The store's task has ended by itself, which it never should.
    StoreEnded,
}

/// A reason for the loop to wake up.
enum Wake {
    Store(usize, Option<Event>),
    Returned(Vec<Returned>),
    Catalog(FolderNews<Box<Catalog>>),
    Endpoints,
    Asked(KeyQuestion),
    Signal(Signal),
    CommandEnded(Option<ChildEnd>),
    Due,
    Resync,
}

/// The reason why the loop ends, and the signal that ends the supervised command.
type End = (Stopped, Option<Signal>);

/// The event sources of the loop, and the parts that act on events.
struct FollowLoop {
    agent: Agent,
    /// Reads the folders of conf.d and templates.
    reader: CatalogReader,
    stores: Stores,
    ticker: Option<tokio::time::Interval>,
    signals: Signals,
    on_terminal: bool,
    command: Supervisor,
    manager: ServiceManager,
    receipt_key: Option<ReceiptKey>,
    /// The writing of endpoints to disk.
    saving: Option<tokio::task::JoinHandle<()>>,
    /// The number of passes with work when a signal asked for everything again, until that is done.
    asked: Option<u64>,
}

/// Applies until a signal or the end of the supervised command stops it.
pub async fn follow(mut plan: FollowPlan) -> Stopped {
    let shutdown_timeout = plan.shutdown_timeout;
    let (asker, questions) = questions::channel();
    let pages = PagesPlan {
        settings: std::mem::take(&mut plan.pages),
        board: plan.outlook.board.clone(),
        context: Arc::clone(&plan.outlook.terms.context),
        store: plan.store.clone(),
        keeps_receipt: plan.receipt.is_some(),
        facts: Arc::clone(&plan.facts),
        news: LastHeard::default(),
    };
    let news = pages.news.clone();
    let _pages = reporting::serve(pages, asker);
    let watches = matches!(plan.follow, Follow::Watch(_));
    let mut reader = CatalogReader::new(plan.confdirs.clone(), Arc::clone(&plan.facts), watches);
    let Ok(catalog) = reader.first(&mut plan.signals).await else { return Stopped::Asked };
    log_problems(&catalog);
    if recover(&plan.outlook, &catalog, &mut plan.signals).await.is_err() {
        return Stopped::Asked;
    }
    let mut following = FollowLoop::start(plan, reader, catalog, (questions, news)).await;
    let (stopped, signal) = loop {
        if let Err(error) = following.act() {
            tracing::error!("{error}");
            break (Stopped::CommandNotStarted(error), None);
        }
        let wake = following.next_wake().await;
        if let ControlFlow::Break(end) = following.handle(wake) {
            break end;
        }
    };
    following.stop(stopped, signal, shutdown_timeout).await
}

impl FollowLoop {
    async fn start(
        plan: FollowPlan,
        reader: CatalogReader,
        catalog: Catalog,
        (questions, news): (mpsc::Receiver<KeyQuestion>, LastHeard),
    ) -> FollowLoop {
        let FollowPlan { outlook, store, follow, receipt, command, signals, .. } = plan;
        let context = Arc::clone(&outlook.terms.context);
        let command = Supervisor::new(command);
        context.expect_nginx_to_start(command.has_to_start());
        let mut stores = Stores::new(store, reader.folders.watches()).with_news(news.clone());
        stores.set(&catalog.stores);
        let ticker = match follow {
            Follow::Watch(None) => None,
            Follow::Watch(Some(pause)) | Follow::Interval(pause) => Some(ticker(pause)),
        };
        let mut agent = Agent::new(outlook, Arc::new(catalog), true);
        agent.questions = Some(questions);
        let receipt_key = match receipt {
            Some(receipt) => {
                let receipt_key = ReceiptKey::start(receipt, &mut agent).await;
                news.show_receipt(receipt_key.lease());
                Some(receipt_key)
            }
            None => {
                agent.keep_receipt(String::new(), BTreeSet::new());
                None
            }
        };
        FollowLoop {
            agent,
            reader,
            stores,
            ticker,
            signals,
            on_terminal: terminal::reads_from_terminal(),
            command,
            manager: ServiceManager::new(),
            receipt_key,
            saving: None,
            asked: None,
        }
    }

    /// Does everything that is due.
    fn act(&mut self) -> Result<(), StartError> {
        self.agent.start_due();
        if let Some(receipt_key) = &mut self.receipt_key {
            receipt_key.publish(&mut self.agent);
        }
        self.agent.put_progress_on_board();
        self.command.turn(&self.agent, clock::now())?;
        let is_settled = !self.stores.awaits_resync() && !self.reader.folders.is_reading() && self.agent.is_settled();
        let outlook = &self.agent.outlook;
        self.manager.turn(&outlook.board, &outlook.terms.context, is_settled);
        if let Some(before) = self.asked.take_if(|_| is_settled) {
            self.agent.say_up_to_date(before);
        }
        Ok(())
    }

    /// Waits for the next event.
    async fn next_wake(&mut self) -> Wake {
        let due = [self.agent.wake_at(), self.command.wake_at(clock::now()), self.manager.wake_at()];
        let due = due.into_iter().flatten().min();
        let service = self.agent.service();
        tokio::select! {
            biased;
            signal = self.signals.next() => Wake::Signal(signal),
            ended = self.command.ended() => Wake::CommandEnded(ended),
            Some(returned) = self.agent.crew.next() => Wake::Returned(returned),
            (position, event) = self.stores.next() => Wake::Store(position, event),
            news = self.reader.folders.next() => Wake::Catalog(news),
            () = endpoints_changed(service.as_deref()) => Wake::Endpoints,
            Some(question) = next_question(&mut self.agent.questions) => Wake::Asked(question),
            () = clock::sleep_until(due) => Wake::Due,
            () = tick(&mut self.ticker) => Wake::Resync,
        }
    }

    /// Passes an event on to the parts that it concerns.
    fn handle(&mut self, wake: Wake) -> ControlFlow<End> {
        match wake {
            Wake::Due => {}
            Wake::Returned(returned) => self.take_back(returned),
            Wake::Store(position, Some(event)) => self.take_event(position, event),
            Wake::Store(_, None) => {
                tracing::error!("the task that follows the store has ended, which is a bug; stopping");
                return ControlFlow::Break((Stopped::StoreEnded, Some(Signal::SIGTERM)));
            }
            Wake::Catalog(FolderNews::Due(reason)) => self.read_again(reason),
            Wake::Catalog(FolderNews::Read(catalog, reason)) => self.adopt(*catalog, reason),
            Wake::Endpoints => self.take_endpoint_news(),
            // Whoever asked may be gone.
            Wake::Asked(KeyQuestion { key, answer }) => drop(answer.send(self.agent.desk.facts(&key))),
            Wake::CommandEnded(ended) => {
                let stopped = ended.map_or(Stopped::CommandInBackground, Stopped::CommandEnded);
                return ControlFlow::Break((stopped, None));
            }
            Wake::Signal(signal) => return self.take_signal(signal),
            Wake::Resync => {
                if !self.reader.folders.watches() {
                    self.read_again("interval");
                }
                self.resync(false);
            }
        }
        ControlFlow::Continue(())
    }

    fn take_signal(&mut self, signal: Signal) -> ControlFlow<End> {
        let (request, hand_on) = meaning(signal, self.on_terminal);
        self.command.hand_on(signal, hand_on);
        match request {
            SignalMeaning::None => {}
            SignalMeaning::Stop => {
                tracing::info!("stopping");
                return ControlFlow::Break((Stopped::Asked, Some(signal)));
            }
            SignalMeaning::Reload => {
                tracing::info!("reading conf.d, templates and the store again (SIGHUP)");
                self.manager.reload();
                self.ask_again();
                self.read_again("SIGHUP");
            }
            SignalMeaning::Resync => {
                tracing::info!("reading the store again and looking at every file (SIGUSR1)");
                self.ask_again();
            }
        }
        ControlFlow::Continue(())
    }

    fn take_event(&mut self, position: usize, event: Event) {
        let answers_resync = self.stores.note(position, &event);
        self.agent.take_event(position, event);
        self.stores.show(position, self.agent.desk.tree_at(position));
        // Everything is rendered again, even if nothing has changed.
        if answers_resync {
            self.agent.desk.mark_store(position, clock::now());
        }
    }

    fn take_endpoint_news(&mut self) {
        let is_unsaved = self.agent.take_endpoint_news();
        let is_saving = self.saving.as_ref().is_some_and(|saving| !saving.is_finished());
        if let Some(service) = self.agent.service().filter(|_| is_unsaved && !is_saving) {
            self.saving = Some(tasks::spawn_blocking(move || service.save()));
        }
    }

    fn take_back(&mut self, returned: Vec<Returned>) {
        for returned in returned {
            self.agent.take_back(returned);
        }
    }

    /// Reads conf.d and templates again; broken files keep their last good form.
    fn read_again(&mut self, reason: &'static str) {
        self.reader.read(Some(self.agent.desk.catalog()), reason);
    }

    fn adopt(&mut self, catalog: Catalog, reason: &str) {
        let current = Arc::clone(self.agent.desk.catalog());
        if catalog.same_as(&current) {
            if self.asked.is_some() {
                log_problems(&catalog);
                self.agent.try_endpoints_again();
            }
            return;
        }
        tracing::info!(resources = catalog.members.len(), "read conf.d and templates again: {reason}");
        log_problems(&catalog);
        if catalog.problems.is_empty() && !current.problems.is_empty() {
            events::mended();
        }
        log_gone(&current, &catalog);
        self.stores.set(&catalog.stores);
        self.agent.adopt(Arc::new(catalog));
    }

    /// Reads the stores again because a person asked, and says so if nothing had to be done.
    fn ask_again(&mut self) {
        self.asked = Some(self.agent.outlook.board.with(|board| board.passes_with_work()));
        self.resync(true);
    }

    fn resync(&mut self, restarts: bool) {
        self.agent.outlook.board.with(|board| board.store.snapshot_requested(clock::now()));
        for idle in self.stores.resync(restarts) {
            self.agent.desk.mark_store(idle, clock::now());
        }
    }

    /// Waits for running passes, writes the endpoints to disk, ends the supervised command, and removes the receipt.
    async fn stop(mut self, stopped: Stopped, signal: Option<Signal>, timeout: Duration) -> Stopped {
        self.agent.outlook.board.with(|board| board.stopping = true);
        self.manager.turn(&self.agent.outlook.board, &self.agent.outlook.terms.context, false);
        self.wait_for_applying(timeout).await;
        if let Some(service) = self.agent.service() {
            // A reload that was given up has no more need to keep lines off the disk. A writing that is under way ends before.
            let saved = tasks::spawn_blocking(move || service.save_for_good());
            if tokio::time::timeout(SAVES_WITHIN, saved).await.is_err() {
                endpoint_events::not_saved(SAVES_WITHIN);
            }
        }
        let ended = match signal {
            Some(signal) => self.command.stop(signal).await,
            None => None,
        };
        // Until nginx has ended, backends are in use and the receipt says so.
        if let Some(receipt_key) = self.receipt_key {
            receipt_key.stop().await;
        }
        match (stopped, ended) {
            (Stopped::Asked, Some(ended)) => Stopped::CommandEnded(ended),
            (stopped, _) => stopped,
        }
    }

    /// Waits until no pass is applying any more, but not for passes that only render.
    async fn wait_for_applying(&mut self, timeout: Duration) {
        let deadline = tokio::time::Instant::from(clock::now() + timeout);
        while self.agent.outlook.terms.is_applying() {
            match tokio::time::timeout_at(deadline, self.agent.crew.next()).await {
                Ok(Some(returned)) => self.take_back(returned),
                Ok(None) => return,
                Err(_) => return self.agent.give_up(timeout),
            }
        }
        self.agent.crew.stop();
    }
}

fn log_gone(old: &Catalog, new: &Catalog) {
    for gone in old.members.iter().filter(|old| new.member(old.resource.name()).is_none()) {
        let dest = gone.resource.dest.display();
        tracing::warn!(resource = %gone.resource.id, "the resource is gone from conf.d; its file `{dest}` stays as it is");
    }
}

async fn endpoints_changed(service: Option<&EndpointService>) {
    match service {
        Some(service) => service.changed().await,
        None => std::future::pending().await,
    }
}

async fn next_question(questions: &mut Option<mpsc::Receiver<KeyQuestion>>) -> Option<KeyQuestion> {
    match questions {
        Some(questions) => questions.recv().await,
        None => None,
    }
}

fn ticker(pause: Duration) -> tokio::time::Interval {
    let mut ticker = tokio::time::interval_at((clock::now() + pause).into(), pause);
    ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticker
}

async fn tick(ticker: &mut Option<tokio::time::Interval>) {
    match ticker {
        Some(ticker) => {
            ticker.tick().await;
        }
        None => std::future::pending().await,
    }
}
