//! What passes between the registrar and the one who acts for it: actions, outcomes, and what is worth telling.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::model::etcd::EtcdFailure;
use crate::model::key::Revision;
use crate::model::lease::{LeaseId, Write, Written};

/// What to do next. One at a time: the outcome goes into `done` before there is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect to the next member.
    Connect,
    /// Grant a lease of so many seconds.
    Grant(u32),
    /// Renew a lease.
    KeepAlive(LeaseId),
    /// List the keys under a lease.
    List(LeaseId),
    /// Write these keys under a lease.
    Write(LeaseId, Vec<Write>),
    /// Give a lease back, and with it all its keys.
    Revoke(LeaseId),
    /// Nothing, until then or until something else is wanted; `None`: until something else is wanted.
    Wait(Option<Instant>),
}

/// What came of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is a connection.
    Connected,
    /// The lease is there.
    Granted(LeaseId),
    /// Whether the lease was still there to be renewed.
    KeptAlive(bool),
    /// The keys under the lease; `None` where it is gone.
    Listed(Option<BTreeSet<String>>),
    /// What came of each write, in their order.
    Wrote(Written),
    /// The lease is gone.
    Revoked,
    /// It did not work.
    Failed(EtcdFailure),
}

/// What has happened, for whoever asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The key says what is wanted, at this revision or since before.
    Written(String, Revision),
    /// The key is gone, as wanted.
    Removed(String, Revision),
    /// Somebody else has the key; it may be a predecessor that has just died.
    Taken(String, Holder),
    /// Somebody else has had the key for longer than a dead predecessor could.
    Held(String, Holder),
    /// The key had gone without our doing.
    Vanished(String),
    /// We may not write the key.
    Denied(String, String),
    /// The lease, and with it all its keys, is gone without our doing.
    LeaseLost,
    /// etcd cannot be reached.
    Lost {
        /// Why.
        problem: String,
        /// When it is tried again.
        retry_in: Duration,
    },
    /// It can again.
    Regained,
}

/// Who has a key that we want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// As it says itself, in layouts that can say.
    pub owner: Option<String>,
    /// Its lease; 0 where there is none and the key stays until it is deleted.
    pub lease: LeaseId,
}
