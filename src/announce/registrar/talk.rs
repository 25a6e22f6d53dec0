//! The messages between the registrar and the task that acts for it: actions, outcomes and notices. Never holds any logic. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use crate::model::etcd::{EtcdFailure, Header};
use crate::model::key::Revision;
use crate::model::lease::{LeaseId, Write, WriteAnswer};

/// The next action. One at a time: its outcome goes into `done` before the next is requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EtcdAction {
    /// Connect to the next member.
    Connect,
    /// Grant a lease of this many seconds.
    Grant(u32),
    /// Renew a lease.
    KeepAlive(LeaseId),
    /// List the keys under a lease.
    List(LeaseId),
    /// Write these keys under a lease.
    Write(LeaseId, Vec<Write>),
    /// Give a lease back, and with it all its keys.
    Revoke(LeaseId),
    /// Wait until this time or until something different is wanted; `None`: only until something different is wanted.
    Wait(Option<Instant>),
}

/// The outcome of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EtcdOutcome {
    /// The connection is up.
    Connected,
    /// The lease was granted.
    Granted(LeaseId),
    /// Whether the lease still existed and was renewed.
    KeptAlive(bool),
    /// The state of the store, and the keys under the lease; `None` if it is gone.
    Listed(Header, Option<BTreeSet<String>>),
    /// The outcome of each write, in their order.
    Wrote(WriteAnswer),
    /// The lease is gone.
    Revoked,
    /// The action has failed.
    Failed(EtcdFailure),
}

/// A change that the owner of the keys should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyNotice {
    /// The key has had the wanted value since this revision, or longer.
    Written(String, Revision),
    /// The key is gone, as wanted.
    Removed(String, Revision),
    /// Somebody else has the key, perhaps a predecessor that has just died.
    Taken(String, Holder),
    /// Somebody else has had the key for longer than a dead predecessor could.
    Held(String, Holder),
    /// The key was deleted by somebody else.
    Vanished(String),
    /// We may not write the key.
    Denied(String, String),
    /// The lease is gone with all its keys, not by our doing.
    LeaseLost,
    /// etcd cannot be reached.
    Lost {
        /// Reason.
        problem: String,
        /// Pause before the next attempt.
        retry_in: Duration,
    },
    /// etcd can be reached again.
    Regained,
}

/// The holder of a key that we want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Name in the value, in layouts that have one.
    pub owner: Option<String>,
    /// Lease of the key; 0 if it has no lease and stays until it is deleted.
    pub lease: LeaseId,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.owner.as_deref().unwrap_or("another announcer"))?;
        match self.lease {
            0 => f.write_str(" (without a lease)"),
            lease => write!(f, " (lease {lease:x})"),
        }
    }
}
