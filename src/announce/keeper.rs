//! One key that is kept in etcd beside other work, under its own lease: its value may change at any time, the newest counts,
//! and an unreachable etcd holds nothing up. Never decides anything: the registrar does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::model::lease::LeaseId;
use crate::model::store::EtcdSettings;
use crate::world::clock::{self, sleep_until};
use crate::world::random;
use crate::world::tasks;

use super::link::EtcdLink;
use super::registrar::{EtcdAction, EtcdOutcome, KeyNotice, Registrar};

/// Time to live of the key, in seconds: etcd deletes it that long after its keeper has died.
pub const TTL_SECONDS: u32 = 15;

/// Shortest time between two writes of the key: each one goes to all members of etcd and wakes everybody who watches the key.
const PAUSE: Duration = Duration::from_millis(500);

/// A task that keeps a key until it is stopped; if it is dropped, the key stays until its lease expires.
#[derive(Debug)]
pub struct Keeper {
    value: watch::Sender<Option<Arc<str>>>,
    lease: watch::Receiver<Option<KeptLease>>,
    task: JoinHandle<()>,
}

/// The lease of a kept key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptLease {
    /// Its id.
    pub id: LeaseId,
    /// Its end unless it is renewed.
    pub until: Instant,
}

impl Keeper {
    /// Starts a task that writes the key as soon as it has a value. Must be called inside the runtime.
    pub fn start(settings: EtcdSettings, key: String) -> Keeper {
        let (value, values) = watch::channel(None);
        let (leases, lease) = watch::channel(None);
        Keeper { value, lease, task: tasks::spawn(keep(settings, key, values, leases)) }
    }

    /// Returns the lease of the key, as it is and will be.
    pub fn lease(&self) -> watch::Receiver<Option<KeptLease>> {
        self.lease.clone()
    }

    /// Sets the value of the key. Values that follow within half a second of a write are written together, at the end of that time,
    /// with the newest; an unchanged value is not written again.
    pub fn set(&self, text: String) {
        self.value.send_replace(Some(text.into()));
    }

    /// Deletes the key. Returns whether that was done within `limit`.
    pub async fn stop(self, limit: Duration) -> bool {
        let Keeper { value, mut task, .. } = self;
        drop(value);
        let is_done = tokio::time::timeout(limit, &mut task).await.is_ok();
        if !is_done {
            task.abort();
        }
        is_done
    }
}

async fn keep(
    settings: EtcdSettings,
    key: String,
    mut values: watch::Receiver<Option<Arc<str>>>,
    leases: watch::Sender<Option<KeptLease>>,
) {
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
        let asked_at = clock::now();
        let outcome = link.perform(&action).await;
        leases.send_if_modified(|lease| {
            let before = std::mem::replace(lease, lease_after(*lease, &action, &outcome, asked_at));
            before != *lease
        });
        for notice in registrar.done(&action, outcome, clock::now(), random::fraction()) {
            log(&notice);
        }
    }
}

/// Returns the lease after an action that was requested at this time: etcd counts from then on at the earliest.
fn lease_after(
    lease: Option<KeptLease>,
    action: &EtcdAction,
    outcome: &EtcdOutcome,
    asked_at: Instant,
) -> Option<KeptLease> {
    let until = asked_at + Duration::from_secs(TTL_SECONDS.into());
    match (action, outcome) {
        (EtcdAction::Grant(_), EtcdOutcome::Granted(id)) => Some(KeptLease { id: *id, until }),
        (EtcdAction::KeepAlive(id), EtcdOutcome::KeptAlive(true)) => Some(KeptLease { id: *id, until }),
        (_, EtcdOutcome::KeptAlive(false) | EtcdOutcome::Listed(_, None) | EtcdOutcome::Revoked) => None,
        _ => lease,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::etcd::Header;

    #[test]
    fn a_lease_lives_from_the_request_that_renewed_it() {
        let start = clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let lease = |id, seconds| Some(KeptLease { id, until: at(seconds) });
        let failed = EtcdOutcome::Failed(crate::model::etcd::EtcdFailure::unreachable("away"));
        let granted = lease_after(None, &EtcdAction::Grant(TTL_SECONDS), &EtcdOutcome::Granted(7), at(0));
        assert_eq!(granted, lease(7, 15));
        let renew = EtcdAction::KeepAlive(7);
        for (action, outcome, expected) in [
            (&renew, &EtcdOutcome::KeptAlive(true), lease(7, 20)),
            (&renew, &failed, granted),
            (&renew, &EtcdOutcome::KeptAlive(false), None),
            (&EtcdAction::List(7), &EtcdOutcome::Listed(Header::default(), None), None),
            (&EtcdAction::Connect, &EtcdOutcome::Connected, granted),
            (&EtcdAction::Revoke(7), &EtcdOutcome::Revoked, None),
        ] {
            assert_eq!(lease_after(granted, action, outcome, at(5)), expected, "{action:?} {outcome:?}");
        }
    }
}
