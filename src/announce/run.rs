//! The announcer's loop: waits for the next thing to happen, hands it to those who decide, and acts one step at a time.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::model::service::Service;
use crate::model::store::EtcdSettings;
use crate::world::folder_watch::{FolderWatch, Watched};
use crate::world::fs::folder;
use crate::world::signals::{Signal, Signals};
use crate::world::{clock, random};

use super::layout::Announcer;
use super::link::Link;
use super::lookup;
use super::registrar::{Action, Holder, Notice, Registrar};
use super::roster::{File, Roster};
use super::services::{Services, Verdict};

/// How long it may take to give everything back at the end.
const GOODBYE: Duration = Duration::from_secs(5);
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
    pub source: Source,
}

/// Where it is said what is to be announced.
#[derive(Clone, Debug)]
pub enum Source {
    /// One service, which ends the program where it cannot be announced.
    One(Box<Service>),
    /// The `*.toml` files of this folder, followed.
    Folder(PathBuf),
}

/// Why it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A signal said so.
    Stopped,
    /// Somebody else announces the same key.
    Held,
}

/// What the loop wakes up for.
enum Wake {
    Verdict(Verdict),
    Way(IpAddr),
    FilesChanged,
    Signal(Signal),
}

/// Where wakes come from.
struct Inputs {
    signals: Signals,
    verdicts: mpsc::Receiver<Verdict>,
    ways: mpsc::Receiver<IpAddr>,
    folder: Option<FolderWatch>,
}

impl Inputs {
    /// The next one. Dropping the future loses nothing.
    async fn next(&mut self) -> Wake {
        tokio::select! {
            biased;
            signal = self.signals.next() => Wake::Signal(signal),
            Some(verdict) = self.verdicts.recv() => Wake::Verdict(verdict),
            Some(address) = self.ways.recv() => Wake::Way(address),
            () = changed(&mut self.folder) => Wake::FilesChanged,
        }
    }
}

async fn changed(folder: &mut Option<FolderWatch>) {
    match folder {
        Some(folder) => folder.changed().await,
        None => std::future::pending().await,
    }
}

/// Announces until a signal says stop, or, for a single service, until it is clear that it cannot be announced.
pub async fn run(plan: Plan) -> End {
    let signals = Signals::listen();
    let (services, verdicts) = Services::new(plan.announcer.clone());
    let (found, ways) = mpsc::channel(1);
    let folder = matches!(plan.source, Source::Folder(_)).then(|| FolderWatch::start(QUIET));
    let mut inputs = Inputs { signals, verdicts, ways, folder };
    let mut link = Link::new(plan.store.clone());
    let mut announcing = Announcing {
        registrar: Registrar::new(clock::now()),
        services,
        roster: Roster::default(),
        way_finder: Some((plan.store.clone(), found)),
        plan,
        goodbye: None,
    };
    announcing.load(inputs.folder.as_mut(), "start");
    loop {
        if let Some((end, deadline)) = &announcing.goodbye
            && (announcing.registrar.is_empty() || clock::now() >= *deadline)
        {
            if !announcing.registrar.is_empty() {
                tracing::warn!("etcd did not take the keys away in time; they go when their time to live is over");
            }
            return end.clone();
        }
        let until = announcing.goodbye.as_ref().map(|(_, deadline)| *deadline);
        link.set_limit(announcing.services.request_limit());
        let action = announcing.registrar.next(clock::now());
        if let Action::Wait(at) = action {
            tokio::select! {
                wake = inputs.next() => announcing.take(wake, &mut inputs),
                () = sleep_until(earlier(at, until)) => {}
            }
            continue;
        }
        let outcome = {
            let work = link.perform(&action);
            tokio::pin!(work);
            loop {
                tokio::select! {
                    biased;
                    outcome = &mut work => break Some(outcome),
                    wake = inputs.next() => announcing.take(wake, &mut inputs),
                    () = sleep_until(until) => break None,
                }
            }
        };
        if let Some(outcome) = outcome {
            for notice in announcing.registrar.done(&action, outcome, clock::now(), random::fraction()) {
                announcing.tell(notice);
            }
        }
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    a.into_iter().chain(b).min()
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

struct Announcing {
    plan: Plan,
    registrar: Registrar,
    services: Services,
    roster: Roster,
    /// What it takes to look for the way to etcd; gone once that has begun.
    way_finder: Option<(EtcdSettings, mpsc::Sender<IpAddr>)>,
    /// How it is to end, and by when.
    goodbye: Option<(End, Instant)>,
}

impl Announcing {
    fn take(&mut self, wake: Wake, inputs: &mut Inputs) {
        match wake {
            Wake::Verdict(verdict) if self.goodbye.is_none() => self.services.judge(verdict, &mut self.registrar),
            Wake::Way(address) if self.goodbye.is_none() => self.services.set_auto(address, &mut self.registrar),
            Wake::FilesChanged if self.goodbye.is_none() => self.load(inputs.folder.as_mut(), "files have changed"),
            Wake::Verdict(_) | Wake::Way(_) | Wake::FilesChanged => {}
            Wake::Signal(Signal::SIGHUP) => {
                self.load(inputs.folder.as_mut(), "SIGHUP");
                self.registrar.look(clock::now());
            }
            Wake::Signal(Signal::SIGUSR1) => self.registrar.look(clock::now()),
            Wake::Signal(_) => self.end(End::Stopped),
        }
    }

    /// Takes the keys away and ends. Asked again, it ends at once.
    fn end(&mut self, end: End) {
        if let Some((_, deadline)) = &mut self.goodbye {
            *deadline = clock::now();
            return;
        }
        tracing::info!("stopping");
        self.registrar.stop();
        self.goodbye = Some((end, clock::now() + GOODBYE));
    }

    /// Reads what is to be announced.
    fn load(&mut self, watch: Option<&mut FolderWatch>, reason: &str) {
        if self.goodbye.is_some() {
            return;
        }
        let roster = match &self.plan.source {
            Source::One(service) => Roster::of_one((**service).clone(), &self.plan.announcer),
            Source::Folder(folder) => {
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
        match notice {
            Notice::Written(key, revision) => tracing::info!(key, %revision, "announced"),
            Notice::Removed(key, revision) => tracing::info!(key, %revision, "taken away"),
            Notice::Taken(key, holder) => {
                tracing::warn!(key, "taken by {}; it is announced as soon as that is gone", holder_words(&holder));
            }
            Notice::Held(key, holder) => {
                let hint = if holder.lease == 0 { "delete the key" } else { "stop one of the two, or give it another id" };
                tracing::error!(key, "held by {} for longer than a dead one could (hint: {hint})", holder_words(&holder));
                if matches!(self.plan.source, Source::One(_)) {
                    self.end(End::Held);
                }
            }
            Notice::Vanished(key) => tracing::warn!(key, "somebody else has deleted the key; it is announced again"),
            Notice::Denied(key, problem) => tracing::error!(key, "the key may not be written: {problem}"),
            Notice::LeaseLost => tracing::warn!("the lease has run out, and its keys with it; they are announced again"),
            Notice::Lost { problem, retry_in } => {
                let retry_in_ms = retry_in.as_millis();
                tracing::warn!(retry_in_ms, "etcd cannot be reached, keys stay for their time to live: {problem}");
            }
            Notice::Regained => tracing::info!("etcd can be reached again"),
        }
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
