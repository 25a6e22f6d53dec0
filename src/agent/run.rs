//! The loops: one for a single pass (`once`), one that follows. Each waits for the next thing to happen, whatever it is, and
//! hands it to the engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::net::TcpListener;

use crate::apply::{Context, recovery};
use crate::model::event::Event;
use crate::model::for_each::ForEach;
use crate::model::problem::Problems;
use crate::model::report::Report;
use crate::model::store::{EtcdSettings, StoreSettings};
use crate::render::Facts;
use crate::status::Shared;
use crate::world::child::{ChildEnd, StartError};
use crate::world::folder_watch::FolderWatch;
use crate::world::signals::Signals;
use crate::world::{clock, terminal};

mod once;

pub use super::engine::{Preview, Previewed};
pub use once::once;

use super::engine::{Engine, Finished};
use super::loaded::{self, Loaded, Member, Sources};
use super::reporting::{self, Manager};
use super::stores::Stores;
use super::supervised::Supervised;
use super::supervision::{Request, meaning};
use super::teller::Teller;

/// Everything a run needs to know.
pub struct Plan {
    /// Where conf.d and templates are.
    pub sources: Sources,
    /// Answers for templates.
    pub facts: Arc<dyn Facts>,
    /// Where keys come from.
    pub store: StoreSettings,
    /// What transactions share.
    pub context: Arc<Context>,
    /// Called instead of applying.
    pub preview: Option<Preview>,
    /// What is told of the work.
    pub board: Shared,
    /// Where status pages are served while following.
    pub listener: Option<TcpListener>,
    /// The first failure ends a single pass.
    pub fail_fast: bool,
    /// How long a single pass waits for the store in all.
    pub store_timeout: Duration,
    /// How long running transactions may take to end when the agent is to stop.
    pub shutdown_timeout: Duration,
    /// Tell in etcd how far the agent has come, under this name.
    pub receipt: Option<ReceiptPlan>,
    /// A command to start after the first pass of following, and to supervise: a program and its arguments.
    pub command: Option<Vec<String>>,
    /// How long that command may take to end.
    pub stop_timeout: Duration,
}

/// Where and as whom to tell how far the agent has come.
pub struct ReceiptPlan {
    /// The agent.
    pub id: String,
    /// Where etcd is.
    pub store: EtcdSettings,
}

/// How the agent goes on after the first pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// Watch the store and the folders; with a pause, also read everything anew that often.
    Watch(Option<Duration>),
    /// Read everything anew that often.
    Interval(Duration),
}

/// What a single pass came to.
#[derive(Debug, Default)]
pub struct Pass {
    /// One report for each group that was worked on.
    pub reports: Vec<Report>,
    /// What is wrong with conf.d and templates.
    pub problems: Problems,
    /// Why there was no snapshot of a store.
    pub store_problems: Vec<String>,
    /// A signal ended it early.
    pub interrupted: bool,
}

/// What the loop wakes up for.
enum Wake {
    Store(usize, Option<Event>),
    Finished(Vec<Finished>),
    FoldersChanged,
    Signal(Signal),
    ChildEnded(ChildEnd),
    Due,
    Resync,
}

/// Puts right what a killed process left, before anything else happens.
async fn heal(context: &Context, loaded: &Loaded) {
    let (many, one): (Vec<&Member>, Vec<&Member>) =
        loaded.members.iter().partition(|member| member.resource.for_each.is_some());
    let targets = one.iter().map(|member| member.resource.dest.as_path());
    let patterns = many.iter().filter_map(|member| member.resource.for_each.as_ref()).map(ForEach::dest);
    let healed = recovery::recover_all(context, targets, patterns).await;
    for id in healed.groups {
        tracing::warn!(group = %id, "a transaction was cut off half-way: its previous files are back, its reload is owed");
    }
    for failure in healed.failures {
        tracing::error!("failed to put a transaction right that was cut off: {failure}");
    }
}

/// Why following has come to its end.
#[derive(Debug)]
pub enum Stopped {
    /// A signal asked for it.
    Asked,
    /// The supervised command has ended, by itself or with us.
    CommandEnded(ChildEnd),
    /// The command to be supervised could not be started.
    CommandNotStarted(StartError),
    /// The store's task has ended by itself, which it never should.
    StoreEnded,
}

/// Applies and goes on until a signal says stop, or the supervised command has ended.
pub async fn follow(plan: Plan, follow: Follow) -> Stopped {
    let mut loaded = loaded::load(&plan.sources, &plan.facts, None);
    let watches = matches!(follow, Follow::Watch(_));
    let mut folders = FolderWatch::start(Duration::from_millis(100));
    if watches && folders.set(&loaded.watched) {
        loaded = loaded::load(&plan.sources, &plan.facts, None);
    }
    log_problems(&loaded);
    if plan.preview.is_none() {
        heal(&plan.context, &loaded).await;
    }
    let mut signals = if plan.command.is_some() { Signals::listen_for_child() } else { Signals::listen() };
    let on_terminal = terminal::reads_from_terminal();
    let mut command = Supervised::new(plan.command, plan.stop_timeout, clock::now() + plan.store_timeout);
    plan.context.expect_nginx_to_start(command.is_awaited());
    let board = plan.board;
    let _pages = plan.listener.map(|listener| reporting::serve(listener, board.clone(), plan.store.clone()));
    let mut manager = Manager::new();
    let mut stores = Stores::new(plan.store, watches);
    stores.set(&loaded.stores);
    let mut ticker = match follow {
        Follow::Watch(None) => None,
        Follow::Watch(Some(pause)) | Follow::Interval(pause) => Some(ticker(pause)),
    };
    let engine = Engine::new(Arc::clone(&plan.context), loaded, plan.preview, true, board.clone(), clock::now());
    let mut agent = Agent { engine, sources: plan.sources, facts: plan.facts, stores, board: board.clone() };
    agent.tell_use();
    let mut teller = match plan.receipt {
        Some(receipt) => Some(Teller::start(receipt, &mut agent.engine, &plan.context).await),
        None => None,
    };
    // Why it ends, and with which signal the command is to end.
    let (stopped, signal) = loop {
        agent.engine.start_due(clock::now());
        if let Some(teller) = &mut teller {
            teller.tell(&mut agent.engine);
        }
        match command.turn(&agent.engine, &plan.context, clock::now()) {
            Ok(()) => {}
            Err(error) => {
                tracing::error!("{error}: {}", error.source);
                break (Stopped::CommandNotStarted(error), None);
            }
        }
        manager.turn(&board, agent.is_settled());
        let due =
            [agent.engine.wake_at(), command.wake_at(clock::now()), manager.wake_at()].into_iter().flatten().min();
        let wake = tokio::select! {
            biased;
            signal = signals.next() => Wake::Signal(signal),
            ended = command.ended() => Wake::ChildEnded(ended),
            Some(finished) = agent.engine.next_finished() => Wake::Finished(finished),
            (position, event) = agent.stores.next() => Wake::Store(position, event),
            () = folders.changed(), if watches => Wake::FoldersChanged,
            () = sleep_until(due) => Wake::Due,
            () = tick(&mut ticker) => Wake::Resync,
        };
        match wake {
            Wake::Due => {}
            Wake::Finished(finished) => agent.finished(finished),
            Wake::Store(position, Some(event)) => agent.take_event(position, event),
            Wake::Store(_, None) => {
                tracing::error!("the store's task has ended, which it never should; stopping");
                break (Stopped::StoreEnded, Some(Signal::SIGTERM));
            }
            Wake::FoldersChanged => agent.reload(watches.then_some(&mut folders), "files have changed"),
            Wake::ChildEnded(ended) => break (Stopped::CommandEnded(ended), None),
            Wake::Signal(signal) => {
                let (request, hand_on) = meaning(signal, on_terminal);
                command.hand_on(signal, hand_on);
                match request {
                    Request::None => {}
                    Request::Stop => {
                        tracing::info!("stopping");
                        break (Stopped::Asked, Some(signal));
                    }
                    Request::Reload => {
                        manager.reload();
                        agent.reload(watches.then_some(&mut folders), "SIGHUP");
                        agent.resync();
                    }
                    Request::Resync => agent.resync(),
                }
            }
            Wake::Resync => {
                if !watches {
                    agent.reload(None, "interval");
                }
                agent.resync();
            }
        }
    };
    agent.stop(&mut manager, plan.shutdown_timeout).await;
    let ended = match signal {
        Some(signal) => command.stop(signal).await,
        None => None,
    };
    // Until nginx has ended, backends are in use and the receipt is to say so.
    if let Some(teller) = teller {
        teller.stop().await;
    }
    match (stopped, ended) {
        (Stopped::Asked, Some(ended)) => Stopped::CommandEnded(ended),
        (stopped, _) => stopped,
    }
}

struct Agent {
    engine: Engine,
    sources: Sources,
    facts: Arc<dyn Facts>,
    stores: Stores,
    board: Shared,
}

impl Agent {
    /// Nothing is left to do of what was asked for.
    fn is_settled(&self) -> bool {
        !self.stores.awaits_resync() && self.engine.is_settled()
    }

    fn take_event(&mut self, position: usize, event: Event) {
        let answers_resync = self.stores.note(position, &event);
        self.engine.take_event(position, event, clock::now());
        // Everything is rendered again, changed or not.
        if answers_resync {
            self.engine.touch_store(position, clock::now());
        }
    }

    fn finished(&mut self, finished: Vec<Finished>) {
        for (id, report) in finished {
            self.engine.finish(&id, report, clock::now());
        }
    }

    /// Reads conf.d and templates anew; what is broken keeps its last good form.
    fn reload(&mut self, folders: Option<&mut FolderWatch>, reason: &str) {
        let mut loaded = loaded::load(&self.sources, &self.facts, Some(self.engine.loaded()));
        if folders.is_some_and(|folders| folders.set(&loaded.watched)) {
            loaded = loaded::load(&self.sources, &self.facts, Some(self.engine.loaded()));
        }
        if loaded.same_as(self.engine.loaded()) {
            return;
        }
        tracing::info!(resources = loaded.members.len(), "read conf.d and templates again: {reason}");
        log_problems(&loaded);
        for gone in self.engine.loaded().members.iter().filter(|old| loaded.member(&old.resource.name).is_none()) {
            let dest = gone.resource.dest.display();
            tracing::warn!(resource = %gone.resource.name, "the resource is gone; its file `{dest}` stays as it is");
        }
        self.stores.set(&loaded.stores);
        self.engine.set_loaded(loaded, clock::now());
        self.tell_use();
    }

    /// Says whether the store of the settings is read at all.
    fn tell_use(&self) {
        let is_unused = self.engine.loaded().stores.iter().position(|store| !store.ranges.is_empty()).unwrap_or(0) > 0;
        self.board.with(|board| board.store.is_unused = is_unused);
    }

    fn resync(&mut self) {
        self.board.with(|board| board.store.asked(clock::now()));
        for idle in self.stores.resync() {
            self.engine.touch_store(idle, clock::now());
        }
    }

    /// Says that the agent is ending, and lets running transactions end.
    async fn stop(&mut self, manager: &mut Manager, timeout: Duration) {
        self.board.with(|board| board.stopping = true);
        manager.turn(&self.board, false);
        self.drain(timeout).await;
    }

    /// Lets running transactions end.
    async fn drain(&mut self, timeout: Duration) {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            match tokio::time::timeout_at(deadline, self.engine.next_finished()).await {
                Ok(Some(finished)) => self.finished(finished),
                Ok(None) => return,
                Err(_) => {
                    tracing::error!("a transaction did not end within {timeout:?}; the next start puts it right");
                    return;
                }
            }
        }
    }
}

fn log_problems(loaded: &Loaded) {
    for problem in loaded.problems.iter() {
        tracing::error!("{problem}");
    }
    if loaded.members.is_empty() {
        tracing::warn!("there is no resource to keep true");
    }
}

fn ticker(pause: Duration) -> tokio::time::Interval {
    let mut ticker = tokio::time::interval_at(tokio::time::Instant::now() + pause, pause);
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

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
