//! Stores: etcd, files, the environment. Each runs as a task of its own and speaks `model::event::Event`, nothing else.
//! Rank 4: never asks who listens, never renders, never applies.

mod assemble;
mod coverage;
mod document;
mod env;
mod etcd;
mod file;
pub mod health;
mod noise;
mod outbox;
mod paging;
mod session;

use std::future::Future;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::model::event::Event;
use crate::model::range::KeyRanges;
use crate::model::store::StoreSettings;
use outbox::Outbox;

/// Events that may wait for the agent; beyond that they melt together.
const EVENTS: usize = 2;

/// A running source. Dropping it ends the source.
#[derive(Debug)]
pub struct Handle {
    /// What happens in the store, beginning with a `Snapshot` or `Lost`. Changes that the agent has not taken yet melt
    /// together. Ends only when the source has failed beyond repair.
    pub events: mpsc::Receiver<Event>,
    wishes: watch::Sender<Wish>,
    task: JoinHandle<()>,
}

/// What the agent wants of a source.
#[derive(Clone, Debug)]
struct Wish {
    ranges: KeyRanges,
    /// How often everything was wanted anew.
    resyncs: u64,
}

impl Handle {
    /// Other keys are wanted from now on: a `Snapshot` of them follows, and nothing of the old ones after it.
    pub fn set_ranges(&self, ranges: KeyRanges) {
        self.wishes.send_modify(|wish| wish.ranges = ranges);
    }

    /// Everything is wanted anew: a `Snapshot` follows, and a new watch where the store is followed.
    pub fn resync(&self) {
        self.wishes.send_modify(|wish| wish.resyncs += 1);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts the source of `settings`, wanting the keys of `ranges`. Must be called on a tokio runtime that has time and IO.
///
/// With `follow`, a `Snapshot` is followed by `Changes` for as long as the handle lives, and the source never gives up:
/// each failed attempt is a `Lost`, and a `Regained` or a `Snapshot` comes after. Without `follow` there is one
/// `Snapshot`, and one more after each `resync` or `set_ranges`; failed attempts are repeated and told as `Lost` too, so
/// whoever cannot wait for ever must bound the wait.
pub fn start(settings: StoreSettings, ranges: KeyRanges, follow: bool) -> Handle {
    let (sender, events) = mpsc::channel(EVENTS);
    let (wishes, receiver) = watch::channel(Wish { ranges: ranges.clone(), resyncs: 0 });
    let outlet = Outlet { outbox: Outbox::default(), sender };
    let requests = Requests { receiver, ranges, ranges_changed: false };
    let task = match settings {
        StoreSettings::Etcd(settings) => tokio::spawn(etcd::run(settings, follow, requests, outlet)),
        StoreSettings::File(settings) => tokio::spawn(file::run(settings, follow, requests, outlet)),
        StoreSettings::Env => tokio::spawn(env::run(requests, outlet)),
    };
    Handle { events, wishes, task }
}

/// The agent's wishes, as a source sees them.
struct Requests {
    receiver: watch::Receiver<Wish>,
    ranges: KeyRanges,
    ranges_changed: bool,
}

impl Requests {
    /// Waits for a wish to take account of. False: nobody listens any more.
    async fn changed(&mut self) -> bool {
        if self.receiver.changed().await.is_err() {
            return false;
        }
        let wanted = self.receiver.borrow_and_update().ranges.clone();
        self.ranges_changed = wanted != self.ranges;
        self.ranges = wanted;
        true
    }

    /// The keys wanted.
    fn ranges(&self) -> KeyRanges {
        self.ranges.clone()
    }

    /// Whether the last wish was for other keys than the one before.
    fn have_other_ranges(&self) -> bool {
        self.ranges_changed
    }
}

/// The way to the agent.
struct Outlet {
    outbox: Outbox,
    sender: mpsc::Sender<Event>,
}

impl Outlet {
    /// Passes one waiting event on as soon as the agent has room for it. Never ends while nothing waits. Dropping the
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
