//! One key that is kept in etcd beside other work, under its own lease: its value may change at any time, the newest counts,
//! and an unreachable etcd holds nothing up. Never decides anything: the registrar does.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::model::store::EtcdSettings;
use crate::world::clock::{self, sleep_until};
use crate::world::random;

use super::link::EtcdLink;
use super::registrar::{EtcdAction, KeyNotice, Registrar};

/// Time to live of the key, in seconds: etcd deletes it that long after its keeper has died.
pub const TTL_SECONDS: u32 = 15;

/// Shortest time between two writes of the key: each one goes to all members of etcd and wakes everybody who watches the key.
const PAUSE: Duration = Duration::from_millis(500);

/// A task that keeps a key until it is stopped; if it is dropped, the key stays until its lease expires.
#[derive(Debug)]
pub struct Keeper {
    value: watch::Sender<Option<Arc<str>>>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Starts a task that writes the key as soon as it has a value. Must be called inside the runtime.
    pub fn start(settings: EtcdSettings, key: String) -> Keeper {
        let (value, values) = watch::channel(None);
        Keeper { value, task: tokio::spawn(keep(settings, key, values)) }
    }

    /// Sets the value of the key. Values that follow within half a second of a write are written together, at the end of that time,
    /// with the newest; an unchanged value is not written again.
    pub fn set(&self, text: String) {
        self.value.send_replace(Some(text.into()));
    }

    /// Deletes the key. Returns whether that was done within `limit`.
    pub async fn stop(self, limit: Duration) -> bool {
        let Keeper { value, mut task } = self;
        drop(value);
        let is_done = tokio::time::timeout(limit, &mut task).await.is_ok();
        if !is_done {
            task.abort();
        }
        is_done
    }
}

async fn keep(settings: EtcdSettings, key: String, mut values: watch::Receiver<Option<Arc<str>>>) {
    let mut link = EtcdLink::new(settings);
    // Three tries fit into the time to live.
    link.set_limit(Duration::from_secs(TTL_SECONDS.into()) / 3);
    let mut registrar = Registrar::new(clock::now()).with_pause(PAUSE);
    let mut is_open = true;
    loop {
        if is_open {
            registrar.want(&key, TTL_SECONDS, values.borrow_and_update().clone());
            if values.has_changed().is_err() {
                registrar.stop();
                is_open = false;
            }
        }
        if !is_open && registrar.is_empty() {
            return;
        }
        let action = registrar.next(clock::now());
        if let EtcdAction::Wait(until) = action {
            tokio::select! {
                _ = values.changed(), if is_open => {}
                () = sleep_until(until) => {}
            }
            continue;
        }
        let outcome = link.perform(&action).await;
        for notice in registrar.done(&action, outcome, clock::now(), random::fraction()) {
            log(&notice);
        }
    }
}

fn log(notice: &KeyNotice) {
    match notice {
        KeyNotice::Written(key, revision) => {
            tracing::debug!(%key, revision = revision.0, "wrote {key} (revision {revision})")
        }
        KeyNotice::Removed(..) | KeyNotice::Taken(..) | KeyNotice::Regained => {}
        KeyNotice::Held(key, _) => {
            tracing::error!(%key, "{key} belongs to another agent; not writing it (hint: give each agent its own --agent-id)");
        }
        KeyNotice::Denied(key, problem) => {
            tracing::error!(%key, "cannot write {key}, trying again later: {problem} (hint: its etcd user needs readwrite)");
        }
        KeyNotice::Vanished(key) => {
            tracing::warn!(%key, "{key} was deleted by somebody else; writing it again")
        }
        KeyNotice::LeaseLost => {
            tracing::warn!("lost the lease of the agent's receipt; writing the receipt under a new lease")
        }
        KeyNotice::Lost { problem, .. } => {
            tracing::warn!("cannot update the agent's receipt, trying again: {problem}")
        }
    }
}
