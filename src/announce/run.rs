//! The announcer's loop: waits for the next thing to happen, hands it to those who decide, and acts one step at a time.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::mpsc;

use crate::model::service::Service;
use crate::model::store::EtcdSettings;
use crate::world::child::{Child, Ended};
use crate::world::clock::{self, sleep_until};
use crate::world::folder_watch::{FolderWatch, Watched};
use crate::world::fs::folder;
use crate::world::signals::Signals;
use crate::world::{random, terminal};

use super::draining::{Draining, News};
use super::ending::Stage;
use super::layout::Announcer;
use super::link::Link;
use super::lookup;
use super::registrar::{Action, Holder, Notice, Registrar};
use super::roster::{File, Roster};
use super::services::{Services, Verdict};

/// How long files must be quiet before they are read again.
const QUIET: Duration = Duration::from_millis(100);

/// Everything the announcer needs to know.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where etcd is.
    pub store: EtcdSettings,
    /// Who announces.
    pub announcer: Announcer,
    /// What.
    pub source: ServiceSource,
    /// The backend itself, to be run as our child: a program and its arguments.
    pub command: Option<Vec<String>>,
    /// How long that may take to end when it is told to; then it is killed.
    pub stop_timeout: Duration,
}

/// Where it is said what is to be announced.
#[derive(Clone, Debug, PartialEq)]
pub enum ServiceSource {
    /// One service, which ends the program where it cannot be announced.
    One(Box<Service>),
    /// The `*.toml` files of this folder, followed.
    Folder(PathBuf),
}

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A signal said so.
    Stopped,
    /// Somebody else announces the same key.
    Held,
    /// The command has ended, or could not be started, with this exit status.
    Command(u8),
}

/// What the loop wakes up for.
enum Wake {
    Verdict(Verdict),
    Way(IpAddr),
    FilesChanged,
    Signal(Signal),
    ChildEnded(Ended),
}

/// Where wakes come from.
struct Inputs {
    signals: Signals,
    verdicts: mpsc::Receiver<Verdict>,
    ways: mpsc::Receiver<IpAddr>,
    folder: Option<FolderWatch>,
    child: Option<Child>,
}

impl Inputs {
    /// The next one. Dropping the future loses nothing.
    async fn next(&mut self) -> Wake {
        let Inputs { signals, verdicts, ways, folder, child } = self;
        let changed = async {
            match folder {
                Some(folder) => folder.changed().await,
                None => std::future::pending().await,
            }
        };
        let ended = async {
            match child {
                Some(child) => child.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            signal = signals.next() => Wake::Signal(signal),
            ended = ended => Wake::ChildEnded(ended),
            Some(verdict) = verdicts.recv() => Wake::Verdict(verdict),
            Some(address) = ways.recv() => Wake::Way(address),
            () = changed => Wake::FilesChanged,
        }
    }
}

/// Announces until a signal says stop, the command ends, or, for a single service, it is clear that it cannot be announced.
pub async fn run(plan: Plan) -> End {
    let signals = if plan.command.is_some() { Signals::listen_for_child() } else { Signals::listen() };
    let child = match plan.command.as_deref().map(Child::start).transpose() {
        Ok(child) => child,
        Err(error) => {
            tracing::error!("{error}: {}", error.source);
            return End::Command(error.exit_status());
        }
    };
    let (services, verdicts) = Services::new(plan.announcer.clone());
    let (found, ways) = mpsc::channel(1);
    let folder = matches!(plan.source, ServiceSource::Folder(_)).then(|| FolderWatch::start(QUIET));
    let mut inputs = Inputs { signals, verdicts, ways, folder, child };
    let mut link = Link::new(plan.store.clone());
    let stop_timeout = plan.stop_timeout;
    let mut announcing = Announcing {
        registrar: Registrar::new(clock::now()),
        services,
        roster: Roster::default(),
        way_finder: Some((plan.store.clone(), found)),
        plan,
        stage: Stage::Announcing,
        draining: Draining::default(),
        end: End::Stopped,
        last_signal: Signal::SIGTERM,
    };
    announcing.load(inputs.folder.as_mut(), "start");
    while announcing.proceed() != Stage::Over {
        announcing.step(&mut link, &mut inputs).await;
    }
    if !announcing.registrar.is_empty() {
        tracing::warn!("etcd did not take the keys away in time; they go when their time to live is over");
    }
    let Some(mut child) = inputs.child else { return announcing.end };
    let (ended, killed) = child.stop(announcing.last_signal, stop_timeout).await;
    if killed {
        tracing::error!("the command did not end within {stop_timeout:?} and was killed");
    }
    tracing::info!("the command has ended: {ended}");
    match announcing.end {
        End::Held => End::Held,
        End::Stopped | End::Command(_) => End::Command(ended.exit_status()),
    }
}

struct Announcing {
    plan: Plan,
    registrar: Registrar,
    services: Services,
    roster: Roster,
    /// What it takes to look for the way to etcd; gone once that has begun.
    way_finder: Option<(EtcdSettings, mpsc::Sender<IpAddr>)>,
    stage: Stage,
    /// What the agents say of it, while it drains.
    draining: Draining,
    end: End,
    /// What the command is told in the end.
    last_signal: Signal,
}

impl Announcing {
    /// One step: an action of the registrar with all that happens meanwhile, a look at the receipts, or a wait.
    async fn step(&mut self, link: &mut Link, inputs: &mut Inputs) {
        link.set_limit(self.services.request_limit());
        let now = clock::now();
        let action = self.registrar.next(now);
        let Action::Wait(at) = action else {
            let Some(outcome) = self.meanwhile(inputs, link.perform(&action)).await else { return };
            for notice in self.registrar.done(&action, outcome, clock::now(), random::fraction()) {
                self.tell(notice);
            }
            return;
        };
        let look_at = self.draining.look_at().filter(|_| matches!(self.stage, Stage::Draining(_)));
        if look_at.is_some_and(|at| at <= now) {
            let Some(receipts) = self.meanwhile(inputs, link.receipts()).await else { return };
            let news = self.draining.take(receipts.as_deref(), clock::now());
            news.iter().for_each(tell_news);
            return;
        }
        let until = [at, look_at, self.stage.deadline()].into_iter().flatten().min();
        tokio::select! {
            wake = inputs.next() => self.take(wake, inputs),
            () = sleep_until(until) => {}
        }
    }

    /// Waits for some work and takes what happens meanwhile; `None` where it is given up because all is over.
    async fn meanwhile<T>(&mut self, inputs: &mut Inputs, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        while self.proceed() != Stage::Over {
            tokio::select! {
                biased;
                result = &mut work => return Some(result),
                wake = inputs.next() => self.take(wake, inputs),
                () = sleep_until(self.stage.deadline()) => {}
            }
        }
        None
    }

    fn take(&mut self, wake: Wake, inputs: &mut Inputs) {
        let is_announcing = self.stage == Stage::Announcing;
        match wake {
            Wake::Verdict(verdict) if is_announcing => self.services.judge(verdict, &mut self.registrar),
            Wake::Way(address) if is_announcing => self.services.set_auto(address, &mut self.registrar),
            Wake::FilesChanged if is_announcing => self.load(inputs.folder.as_mut(), "files have changed"),
            Wake::Verdict(_) | Wake::Way(_) | Wake::FilesChanged => {}
            Wake::ChildEnded(ended) => {
                tracing::info!("the command has ended: {ended}");
                inputs.child = None;
                self.end = End::Command(ended.exit_status());
                let stage = self.stage.leave(clock::now());
                self.enter(stage);
            }
            Wake::Signal(signal @ (Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT)) => {
                self.last_signal = signal;
                let serves = inputs.child.is_some() && self.services.keys().any(|key| self.registrar.may_hold(key));
                let stage = self.stage.stop(serves.then(|| self.services.drain_timeout()), clock::now());
                self.enter(stage);
            }
            // A window of another size is not meant for it, and makes an nginx dismiss its workers.
            Wake::Signal(Signal::SIGWINCH) if terminal::reads_from_terminal() => {}
            Wake::Signal(signal) => {
                if let Some(child) = &inputs.child {
                    child.signal(signal);
                }
                match signal {
                    Signal::SIGHUP => {
                        if is_announcing {
                            self.load(inputs.folder.as_mut(), "SIGHUP");
                        }
                        self.registrar.look(clock::now());
                    }
                    Signal::SIGUSR1 => self.registrar.look(clock::now()),
                    _ => {}
                }
            }
        }
    }

    /// Where things stand.
    fn proceed(&mut self) -> Stage {
        let stage = self.stage.proceed(self.draining.is_over(), self.registrar.is_empty(), clock::now());
        self.enter(stage);
        stage
    }

    fn enter(&mut self, stage: Stage) {
        if std::mem::replace(&mut self.stage, stage) == stage {
            return;
        }
        match stage {
            Stage::Draining(_) => {
                tracing::info!(limit = ?self.services.drain_timeout(), "draining");
                let held = self.services.keys().filter(|key| self.registrar.may_hold(key));
                self.draining = Draining::of(held, clock::now());
                self.services.drain(&mut self.registrar);
            }
            Stage::Leaving(_) => {
                tracing::info!("stopping");
                self.registrar.stop();
            }
            Stage::Announcing | Stage::Over => {}
        }
    }

    /// Reads what is to be announced.
    fn load(&mut self, watch: Option<&mut FolderWatch>, reason: &str) {
        let roster = match &self.plan.source {
            ServiceSource::One(service) => Roster::of_one((**service).clone(), &self.plan.announcer),
            ServiceSource::Folder(folder) => {
                let files = read_files(folder, watch);
                self.roster.read(&files, &self.plan.announcer)
            }
        };
        if roster.problems != self.roster.problems {
            roster.problems.iter().for_each(|problem| tracing::error!("{problem}"));
        }
        if roster.services != self.roster.services || reason == "start" {
            tracing::info!(services = roster.services.len(), "what is to be announced is read: {reason}");
        }
        self.roster = roster;
        self.services.set(&self.roster, &mut self.registrar);
        if self.services.need_auto()
            && let Some((settings, found)) = self.way_finder.take()
        {
            tokio::spawn(lookup::follow(settings, found));
        }
    }

    fn tell(&mut self, notice: Notice) {
        match &notice {
            // One that was under way when draining began does not say so yet.
            Notice::Written(key, _) if !self.registrar.is_as_wanted(key) => {}
            Notice::Written(key, revision) | Notice::Removed(key, revision) => self.draining.changed(key, *revision),
            _ => {}
        }
        match notice {
            Notice::Written(key, revision) => tracing::info!(key, %revision, "announced"),
            Notice::Removed(key, revision) => tracing::info!(key, %revision, "taken away"),
            Notice::Taken(key, holder) => {
                tracing::warn!(key, "taken by {}; it is announced as soon as that is gone", holder_words(&holder));
            }
            Notice::Held(key, holder) => {
                let hint =
                    if holder.lease == 0 { "delete the key" } else { "stop one of the two, or give it another id" };
                tracing::error!(
                    key,
                    "held by {} for longer than a dead one could (hint: {hint})",
                    holder_words(&holder)
                );
                if matches!(self.plan.source, ServiceSource::One(_)) {
                    self.end = End::Held;
                    let stage = self.stage.leave(clock::now());
                    self.enter(stage);
                }
            }
            Notice::Vanished(key) => tracing::warn!(key, "somebody else has deleted the key; it is announced again"),
            Notice::Denied(key, problem) => tracing::error!(key, "the key may not be written: {problem}"),
            Notice::LeaseLost => {
                tracing::warn!("the lease has run out, and its keys with it; they are announced again")
            }
            Notice::Lost { problem, retry_in } => {
                let retry_in_ms = retry_in.as_millis();
                tracing::warn!(retry_in_ms, "etcd cannot be reached, keys stay for their time to live: {problem}");
            }
            Notice::Regained => tracing::info!("etcd can be reached again"),
        }
    }
}

fn tell_news(news: &News) {
    match news {
        News::Nobody => {
            tracing::info!(
                "no agent says in a receipt that it sees the key (hint: --receipts); waiting for --drain-timeout"
            );
        }
        News::Waiting(agents) => {
            let agents: Vec<&str> = agents.iter().map(String::as_str).collect();
            tracing::info!("agents that may still send requests: {}", agents.join(", "));
        }
        News::Drained => tracing::info!("drained: every agent that sees the key says so"),
    }
}

/// Who holds a key, for people.
fn holder_words(holder: &Holder) -> String {
    let lease = match holder.lease {
        0 => "without a lease".to_owned(),
        lease => format!("lease {lease:x}"),
    };
    match &holder.owner {
        Some(owner) => format!("{owner} ({lease})"),
        None => format!("another announcer ({lease})"),
    }
}

/// The folder's files, read again where only the watch that begins now could have noticed a change.
fn read_files(root: &std::path::Path, watch: Option<&mut FolderWatch>) -> Vec<File> {
    let read = || folder::read_texts(root, |name| name.ends_with(".toml"));
    let mut found = read();
    if let Some(watch) = watch {
        let mut watched = Watched { folders: found.folders.clone(), ..Watched::default() };
        watched.add_way_to(root);
        if watch.set(&watched) {
            found = read();
        }
    }
    if let Some(problem) = &found.problem {
        tracing::error!("{problem}");
    }
    found.files.into_iter().map(|file| File { path: file.path, text: file.text }).collect()
}
