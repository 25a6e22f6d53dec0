//! The announcer's loop: waits for the next event, hands it to the deciding parts, and acts one step at a time. Never
//! decides what to write.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::mpsc;

use crate::model::service::Service;
use crate::model::status::{AnnouncedPart, AnnouncerStatus};
use crate::model::store::EtcdSettings;
use crate::world::child::{Child, ChildEnd};
use crate::world::clock::{self, sleep_until};
use crate::world::folder_reader::FolderNews;
use crate::world::signals::Signals;
use crate::world::{process, random, tasks, terminal};

use super::asked::{AnnouncerSocket, StatusReply};
use super::draining::DrainWatch;
use super::ending::Phase;
use super::layout::Announcer;
use super::link::EtcdLink;
use super::registrar::{EtcdAction, KeyNotice, Registrar};
use super::roster::Roster;
use super::service_files::{START, ServiceFiles, ServiceFolder};
use super::services::{HealthVerdict, Services};
use super::status::{self, AnnouncerFacts, AnnouncerNotes, AskedAt};
use super::vacancy::Vacancy;
use super::{asked, log, lookup};

/// The inputs of the announcer.
#[derive(Clone, Debug)]
pub struct AnnouncePlan {
    /// Settings of etcd.
    pub store: EtcdSettings,
    /// Identity of the announcer.
    pub announcer: Announcer,
    /// Source of the services.
    pub source: ServiceSource,
    /// Program and arguments of the backend, if it runs as our child.
    pub command: Option<Vec<String>>,
    /// Time for the command to end after its signal; then it is killed.
    pub stop_timeout: Duration,
    /// How it introduces itself in its status.
    pub about: AnnouncerStatus,
}

/// The source of the services to announce.
#[derive(Clone, Debug, PartialEq)]
pub enum ServiceSource {
    /// One service; the program ends if it cannot be announced.
    One(Box<Service>),
    /// The `*.toml` files of this folder, followed.
    Folder(PathBuf),
}

/// The reason for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnounceEnd {
    /// A signal requested it.
    Stopped,
    /// Somebody else announces the same key.
    Held,
    /// The command has ended with this exit status, or could not be started.
    Command(u8),
}

/// An event that wakes the loop.
enum AnnounceWake {
    Verdict(HealthVerdict),
    OwnAddress(IpAddr),
    Files(FolderNews<ServiceFiles>),
    Signal(Signal),
    ChildEnded(ChildEnd),
    Asked(StatusReply),
}

/// The sources of events.
struct Inputs {
    signals: Signals,
    verdicts: mpsc::Receiver<HealthVerdict>,
    own_addresses: mpsc::Receiver<IpAddr>,
    folder: Option<ServiceFolder>,
    child: Option<Child>,
    asked: mpsc::Receiver<StatusReply>,
}

impl Inputs {
    /// Waits for the next event. Dropping the future loses nothing.
    async fn next(&mut self) -> AnnounceWake {
        let Inputs { signals, verdicts, own_addresses, folder, child, asked } = self;
        let files = async {
            match folder {
                Some(folder) => folder.reader.next().await,
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
            signal = signals.next() => AnnounceWake::Signal(signal),
            ended = ended => AnnounceWake::ChildEnded(ended),
            Some(verdict) = verdicts.recv() => AnnounceWake::Verdict(verdict),
            Some(address) = own_addresses.recv() => AnnounceWake::OwnAddress(address),
            news = files => AnnounceWake::Files(news),
            Some(asking) = asked.recv() => AnnounceWake::Asked(asking),
        }
    }
}

/// Announces until a stop signal, the end of the command, or, for a single service, until it clearly cannot be announced. Whoever asks at
/// the socket meanwhile gets the status.
pub async fn run(plan: AnnouncePlan, signals: Signals, socket: Option<AnnouncerSocket>) -> AnnounceEnd {
    let child = match plan.command.as_deref().map(Child::start).transpose() {
        Ok(child) => child,
        Err(error) => {
            tracing::error!("{error}");
            return AnnounceEnd::Command(error.exit_status());
        }
    };
    let (services, verdicts) = Services::new(plan.announcer.clone());
    let (found, own_addresses) = mpsc::channel(1);
    let folder = match &plan.source {
        ServiceSource::Folder(folder) => Some(ServiceFolder::follow(folder)),
        ServiceSource::One(_) => None,
    };
    let (served, asked) = asked::serve(socket);
    let mut inputs = Inputs { signals, verdicts, own_addresses, folder, child, asked };
    let mut link = EtcdLink::new(plan.store.clone());
    let stop_timeout = plan.stop_timeout;
    let mut announcing = Announcing {
        registrar: Registrar::new(clock::now()),
        services,
        roster: Roster::default(),
        vacancy: Vacancy::default(),
        address_lookup: Some((plan.store.clone(), found)),
        plan,
        phase: Phase::Announcing,
        notes: AnnouncerNotes::new(clock::now()),
        draining: DrainWatch::default(),
        leaving: Vec::new(),
        end: AnnounceEnd::Stopped,
        last_signal: Signal::SIGTERM,
    };
    announcing.take_one();
    while announcing.proceed() != Phase::Over {
        announcing.step(&mut link, &mut inputs).await;
    }
    drop(served);
    // No more checks; one that runs is no use any more.
    drop(announcing.services);
    process::kill_running();
    if !announcing.leaving.is_empty() {
        log::left(&announcing.leaving, announcing.registrar.is_empty());
    }
    let Some(mut child) = inputs.child else { return announcing.end };
    let (ended, killed) = child.stop(announcing.last_signal, stop_timeout).await;
    if killed {
        tracing::error!("the command did not end within {stop_timeout:?} (--stop-timeout) and was killed");
    }
    log::command_ended(ended, false);
    match announcing.end {
        AnnounceEnd::Held => AnnounceEnd::Held,
        AnnounceEnd::Stopped | AnnounceEnd::Command(_) => AnnounceEnd::Command(ended.exit_status()),
    }
}

struct Announcing {
    plan: AnnouncePlan,
    registrar: Registrar,
    services: Services,
    roster: Roster,
    vacancy: Vacancy,
    /// Settings and channel for the lookup of the route to etcd; `None` once that has begun.
    address_lookup: Option<(EtcdSettings, mpsc::Sender<IpAddr>)>,
    phase: Phase,
    notes: AnnouncerNotes,
    /// Draining as the agents report it.
    draining: DrainWatch,
    /// Keys that are removed at the end.
    leaving: Vec<String>,
    end: AnnounceEnd,
    /// Signal that ends the command.
    last_signal: Signal,
}

impl Announcing {
    /// Does one step: an action of the registrar, a look at the receipts, or a wait, and handles all events meanwhile.
    async fn step(&mut self, link: &mut EtcdLink, inputs: &mut Inputs) {
        link.set_limit(self.services.request_limit(&self.registrar));
        let now = clock::now();
        self.vacancy.take_due(now).into_iter().for_each(log::vacant);
        let action = self.registrar.next(now);
        let EtcdAction::Wait(at) = action else {
            let Some(outcome) = self.meanwhile(inputs, link.perform(&action)).await else { return };
            if action == EtcdAction::Connect {
                self.notes.member = link.member();
            }
            for notice in self.registrar.done(&action, outcome, clock::now(), random::fraction()) {
                self.take_notice(notice);
            }
            return;
        };
        let look_at = self.draining.look_at().filter(|_| matches!(self.phase, Phase::Draining(_)));
        if look_at.is_some_and(|at| at <= now) {
            let Some(receipts) = self.meanwhile(inputs, link.receipts()).await else { return };
            if let Some(news) = self.draining.take(receipts, clock::now(), random::fraction()) {
                log::receipts(&news, &self.draining.keys(), self.services.drain_timeout());
            }
            return;
        }
        let until = [at, look_at, self.phase.deadline(), self.vacancy.due_at()].into_iter().flatten().min();
        let is_watching = matches!(self.phase, Phase::Draining(_)) && self.draining.is_watching();
        tokio::select! {
            wake = inputs.next() => self.take(wake, inputs),
            change = link.receipts_changed(), if is_watching => {
                self.draining.heard(&change, clock::now(), random::fraction());
            }
            () = sleep_until(until) => {}
        }
    }

    /// Waits for some work and handles events meanwhile; returns `None` if the work is abandoned because all is over.
    async fn meanwhile<T>(&mut self, inputs: &mut Inputs, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        while self.proceed() != Phase::Over {
            tokio::select! {
                biased;
                result = &mut work => return Some(result),
                wake = inputs.next() => self.take(wake, inputs),
                () = sleep_until(self.phase.deadline()) => {}
            }
        }
        None
    }

    fn take(&mut self, wake: AnnounceWake, inputs: &mut Inputs) {
        let is_announcing = self.phase == Phase::Announcing;
        match wake {
            AnnounceWake::Verdict(verdict) if is_announcing => self.services.judge(verdict, &mut self.registrar),
            AnnounceWake::OwnAddress(address) if is_announcing => self.services.set_auto(address, &mut self.registrar),
            AnnounceWake::Files(news) if is_announcing => self.take_files(news, inputs.folder.as_mut()),
            AnnounceWake::Verdict(_) | AnnounceWake::OwnAddress(_) | AnnounceWake::Files(_) => {}
            // Whoever asked may be gone.
            AnnounceWake::Asked(asking) => asking.send(self.status()).unwrap_or_default(),
            AnnounceWake::ChildEnded(ended) => {
                log::command_ended(ended, self.phase == Phase::Announcing && !self.notes.was_announced);
                inputs.child = None;
                self.end = AnnounceEnd::Command(ended.exit_status());
                let phase = self.phase.leave(clock::now());
                self.enter(phase);
            }
            AnnounceWake::Signal(signal @ (Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT)) => {
                self.last_signal = signal;
                if matches!(self.phase, Phase::Draining(_)) {
                    log::not_drained(&self.draining.keys(), "a second signal came");
                }
                let serves = inputs.child.is_some() && self.services.keys().any(|key| self.registrar.may_hold(key));
                let phase = self.phase.stop(serves.then(|| self.services.drain_timeout()), clock::now());
                self.enter(phase);
            }
            // A change of the window size is not meant for it, and makes nginx dismiss its workers.
            AnnounceWake::Signal(Signal::SIGWINCH) if terminal::reads_from_terminal() => {}
            AnnounceWake::Signal(signal) => {
                if let Some(child) = &inputs.child {
                    child.signal(signal);
                }
                match signal {
                    Signal::SIGHUP => {
                        if let Some(folder) = inputs.folder.as_mut().filter(|_| is_announcing) {
                            folder.read("SIGHUP came");
                        }
                        self.registrar.look(clock::now());
                    }
                    Signal::SIGUSR1 => self.registrar.look(clock::now()),
                    _ => {}
                }
            }
        }
    }

    /// Enters the phase that the present state leads to, and returns it.
    fn proceed(&mut self) -> Phase {
        let is_drained = self.draining.is_over();
        let phase = self.phase.proceed(is_drained, self.registrar.is_empty(), clock::now());
        if matches!(self.phase, Phase::Draining(_)) && phase != self.phase && !is_drained {
            log::not_drained(&self.draining.keys(), "--drain-timeout is over");
        }
        self.enter(phase);
        phase
    }

    fn enter(&mut self, phase: Phase) {
        if std::mem::replace(&mut self.phase, phase) == phase {
            return;
        }
        self.notes.phase_since = clock::now();
        // Now nothing is to be announced.
        self.vacancy = Vacancy::default();
        match phase {
            Phase::Draining(_) => {
                let keys = self.held_keys();
                log::draining(&keys, self.services.drain_timeout());
                self.draining = DrainWatch::of(keys, clock::now());
                self.services.drain(&mut self.registrar);
            }
            Phase::Leaving(_) => {
                self.leaving = self.held_keys();
                log::leaving(&self.leaving);
                self.registrar.stop();
            }
            Phase::Announcing | Phase::Over => {}
        }
    }

    /// Returns our keys that may be in etcd.
    fn held_keys(&self) -> Vec<String> {
        self.services.keys().filter(|key| self.registrar.may_hold(key)).map(str::to_owned).collect()
    }

    /// Takes the only service, if there is no folder of them.
    fn take_one(&mut self) {
        if let ServiceSource::One(service) = &self.plan.source {
            let roster = Roster::of_one((**service).clone(), &self.plan.announcer);
            roster.services.keys().for_each(|key| log::one_service(key));
            self.adopt(roster);
        }
    }

    /// Has changed files read again, and takes those that were read.
    fn take_files(&mut self, news: FolderNews<ServiceFiles>, folder: Option<&mut ServiceFolder>) {
        let Some(folder) = folder else { return };
        let (found, reason) = match news {
            FolderNews::Due(reason) => return folder.read(reason),
            FolderNews::Read(found, reason) => (found, Some(reason).filter(|reason| *reason != START)),
        };
        let roster = self.roster.read(&found.files, found.unread, &self.plan.announcer);
        let root = folder.root();
        let empty = || roster.unread.first().cloned().unwrap_or_else(|| format!("no services in `{}`", root.display()));
        self.vacancy.set(roster.services.is_empty().then(empty), clock::now());
        if !roster.services.is_empty() && roster.unread != self.roster.unread {
            roster.unread.iter().for_each(|problem| log::unread(problem));
        }
        if roster.problems != self.roster.problems {
            roster.problems.iter().for_each(|problem| tracing::error!("{}", problem.line()));
        }
        if !roster.services.is_empty() && (roster.services != self.roster.services || reason.is_none()) {
            log::files_read(root, roster.services.len(), reason);
        }
        self.adopt(roster);
    }

    fn adopt(&mut self, roster: Roster) {
        self.roster = roster;
        let files = self.roster.problems.iter().map(|problem| (AnnouncedPart::File, problem.line()));
        let folders = self.roster.unread.iter().map(|problem| (AnnouncedPart::Folder, problem.clone()));
        let empty = self.vacancy.reason().filter(|_| self.roster.unread.is_empty());
        let empty = empty.map(|reason| (AnnouncedPart::Services, reason.to_owned()));
        self.notes.set_problems(files.chain(folders).chain(empty), clock::now());
        self.services.set(&self.roster, &mut self.registrar);
        if self.services.need_auto()
            && let Some((settings, found)) = self.address_lookup.take()
        {
            tasks::spawn(lookup::follow(settings, found));
        }
    }

    fn status(&self) -> AnnouncerStatus {
        let facts = AnnouncerFacts { registrar: &self.registrar, phase: self.phase, notes: &self.notes };
        let moment = AskedAt { now: clock::now(), unix_time: clock::unix_time() };
        status::status(self.plan.about.clone(), &facts, self.services.facts(), moment)
    }

    fn take_notice(&mut self, notice: KeyNotice) {
        match &notice {
            // A write that was under way when draining began does not have the draining value yet.
            KeyNotice::Written(key, _) if !self.registrar.is_as_wanted(key) => {}
            KeyNotice::Written(key, revision) | KeyNotice::Removed(key, revision) => {
                self.draining.changed(key, *revision)
            }
            _ => {}
        }
        let is_draining = match &notice {
            KeyNotice::Written(key, _) => self.phase != Phase::Announcing && self.registrar.is_as_wanted(key),
            _ => false,
        };
        let is_held = matches!(notice, KeyNotice::Lost { .. }) && !self.held_keys().is_empty();
        log::notice(&notice, is_draining, is_held);
        self.notes.was_announced |= matches!(notice, KeyNotice::Written(..));
        if let (KeyNotice::Held(..), ServiceSource::One(_)) = (&notice, &self.plan.source) {
            self.end = AnnounceEnd::Held;
            let phase = self.phase.leave(clock::now());
            self.enter(phase);
        }
    }
}
