//! Stores: etcd, files, the environment. Each runs as a task of its own and sends only `model::event::Event`.
//! Rank 4: never knows who listens, never renders, never applies.
// What is read here is written by strangers: cut by what is found in it, never at a number of bytes.
#![warn(clippy::string_slice)]

mod assemble;
mod coverage;
pub mod document;
mod env;
mod etcd;
mod file;
pub mod health;
pub mod leases;
mod noise;
mod outbox;
mod paging;
mod session;
mod tally;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::model::event::Event;
use crate::model::range::{KeyRanges, WantedKeys};
use crate::model::status::{HeardRevision, StoreMember};
use crate::model::store::StoreSettings;
use crate::model::tree::Tree;
use crate::world::tasks;
use outbox::Outbox;

/// Maximum number of events that wait for the agent; further ones are merged.
const EVENTS: usize = 2;

/// A running source. Dropping it ends the source.
#[derive(Debug)]
pub struct Handle {
    /// Events of the store; the first is a `Snapshot` or `Lost`. Changes that the agent has not taken yet are merged. Ends
    /// only when the source has failed beyond repair.
    pub events: mpsc::Receiver<Event>,
    wishes: watch::Sender<Wish>,
    known: Arc<Mutex<Tree>>,
    /// The last word of etcd.
    pub heard: watch::Receiver<SourceNews>,
    task: JoinHandle<()>,
}

/// The last sign of life from a store, beside its events, for display. Never causes a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceNews {
    /// The member of etcd from which it is read now.
    pub member: Option<StoreMember>,
    /// The revision that it has named last.
    pub heard: Option<HeardRevision>,
}

/// The agent's request to a source.
#[derive(Clone, Debug)]
struct Wish {
    wanted: WantedKeys,
    /// Number of calls of `resync`.
    resyncs: u64,
}

impl Handle {
    /// Changes the wanted keys: a `Snapshot` of them follows, and no event for the old ones after it.
    pub fn set_wanted(&self, wanted: WantedKeys) {
        self.wishes.send_modify(|wish| wish.wanted = wanted);
    }

    /// Shows the source the tree that the agent has now, so that values which a further snapshot finds unchanged are not kept twice.
    pub fn set_known(&self, tree: Tree) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = tree;
    }

    /// Requests all keys again: a `Snapshot` follows, and a new watch if the store is followed.
    pub fn resync(&self) {
        self.wishes.send_modify(|wish| wish.resyncs += 1);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts the source of `settings` for the wanted keys. Must be called on a tokio runtime with time and IO.
///
/// With `follow`, a `Snapshot` is followed by `Changes` for as long as the handle lives, and the source never gives up:
/// each failed attempt is a `Lost`, and a `Regained` or a `Snapshot` comes after. Without `follow` there is one
/// `Snapshot`, and one more after each `resync` or `set_wanted`; failed attempts are repeated and reported as `Lost` too,
/// so a caller that cannot wait forever must limit the wait.
pub fn start(settings: StoreSettings, wanted: WantedKeys, follow: bool) -> Handle {
    let (sender, events) = mpsc::channel(EVENTS);
    let (wishes, receiver) = watch::channel(Wish { wanted: wanted.clone(), resyncs: 0 });
    let outlet = Outlet { outbox: Outbox::default(), sender };
    let known = Arc::new(Mutex::new(Tree::default()));
    let requests = Requests { receiver, wanted, known: Arc::clone(&known) };
    let (news, heard) = watch::channel(SourceNews::default());
    let task = match settings {
        StoreSettings::Etcd(settings) => tasks::spawn(etcd::run(settings, follow, requests, outlet, news)),
        StoreSettings::File(settings) => tasks::spawn(file::run(settings, follow, requests, outlet)),
        StoreSettings::Env => tasks::spawn(env::run(requests, outlet)),
    };
    Handle { events, wishes, known, heard, task }
}

/// Receiver of the agent's requests.
struct Requests {
    receiver: watch::Receiver<Wish>,
    wanted: WantedKeys,
    /// The tree that the agent has.
    known: Arc<Mutex<Tree>>,
}

impl Requests {
    /// Waits for a new request. Returns false if nobody listens any more.
    async fn changed(&mut self) -> bool {
        if self.receiver.changed().await.is_err() {
            return false;
        }
        self.wanted = self.receiver.borrow_and_update().wanted.clone();
        true
    }

    /// Returns the wanted keys.
    fn ranges(&self) -> KeyRanges {
        self.wanted.all().clone()
    }

    /// Returns the wanted keys, with the ranges of each reader.
    fn wanted(&self) -> WantedKeys {
        self.wanted.clone()
    }
}

/// Sender of events to the agent.
struct Outlet {
    outbox: Outbox,
    sender: mpsc::Sender<Event>,
}

impl Outlet {
    /// Passes one waiting event on as soon as the agent has room for it. Does not return while no event waits. Dropping the
    /// future loses nothing.
    async fn flush(&mut self) {
        if self.outbox.is_empty() {
            std::future::pending::<()>().await;
        }
        let Ok(permit) = self.sender.reserve().await else {
            // The handle is being dropped, and this task with it.
            return std::future::pending().await;
        };
        if let Some(event) = self.outbox.take() {
            permit.send(event);
        }
    }

    /// Passes events on until `work` is done.
    async fn until<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                () = self.flush() => {}
                done = &mut work => return done,
            }
        }
    }
}
