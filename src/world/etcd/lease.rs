//! Leases, and writes under them, as plain data. Every call has a deadline. Decides nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use etcd_client::{Compare, CompareOp, Error, LeaseTimeToLiveOptions, PutOptions, Txn, TxnOp, TxnOpResponse, TxnResponse};

use super::{Connection, failure, within};
use crate::model::etcd::Failure;
use crate::model::lease::{Found, LeaseId, Write, WriteOutcome, Written};

impl Connection {
    /// The same connection, no request of which may take longer than `limit`.
    pub fn with_deadline(&self, limit: Duration) -> Connection {
        Connection { request_timeout: self.request_timeout.min(limit), ..self.clone() }
    }

    /// Grants a lease of so many seconds.
    ///
    /// # Errors
    /// No answer in time, or etcd's own words.
    pub async fn grant(&self, ttl_seconds: u32) -> Result<LeaseId, Failure> {
        let mut lease = self.lease.clone();
        within(self.request_timeout, async move {
            lease.grant(ttl_seconds.into(), None).await.map(|granted| granted.id()).map_err(|error| failure::of_error(&error))
        })
        .await
    }

    /// Renews a lease; false where there is none of this name any more.
    ///
    /// # Errors
    /// As `grant`.
    pub async fn keep_alive(&self, id: LeaseId) -> Result<bool, Failure> {
        let mut lease = self.lease.clone();
        within(self.request_timeout, async move {
            match lease.keep_alive(id).await {
                Ok(_) => Ok(true),
                // The client's own words, for an answer without time to live.
                Err(Error::LeaseKeepAliveError(problem)) if problem == "lease not found" => Ok(false),
                Err(error) => Err(failure::of_error(&error)),
            }
        })
        .await
    }

    /// The keys under a lease, without those that are not UTF-8; `None` where there is no such lease any more.
    ///
    /// # Errors
    /// As `grant`.
    pub async fn keys_under(&self, id: LeaseId) -> Result<Option<BTreeSet<String>>, Failure> {
        let mut lease = self.lease.clone();
        within(self.request_timeout, async move {
            let options = LeaseTimeToLiveOptions::new().with_keys();
            let found = lease.time_to_live(id, Some(options)).await.map_err(|error| failure::of_error(&error))?;
            let keys = found.keys().iter().filter_map(|key| String::from_utf8(key.clone()).ok()).collect();
            Ok((found.ttl() > 0).then_some(keys))
        })
        .await
    }

    /// Gives a lease back, and with it all its keys. One that is gone already is no failure.
    ///
    /// # Errors
    /// As `grant`.
    pub async fn revoke(&self, id: LeaseId) -> Result<(), Failure> {
        let mut lease = self.lease.clone();
        within(self.request_timeout, async move {
            match lease.revoke(id).await {
                Ok(_) => Ok(()),
                Err(error) if says_lease_is_gone(&error) => Ok(()),
                Err(error) => Err(failure::of_error(&error)),
            }
        })
        .await
    }

    /// Does all writes that their conditions allow at one revision, under the lease.
    ///
    /// # Errors
    /// As `grant`; none of them is done, or it cannot be known.
    pub async fn write(&self, id: LeaseId, writes: &[Write]) -> Result<Written, Failure> {
        let operations: Vec<TxnOp> = writes.iter().map(|write| TxnOp::txn(transaction(id, write))).collect();
        let mut kv = self.kv.clone();
        within(self.request_timeout, async move {
            let answer = kv.txn(Txn::new().and_then(operations)).await.map_err(|error| failure::of_error(&error))?;
            let outcomes = answer.op_responses().iter().map(outcome).collect();
            Ok(Written { revision: failure::header(answer.header()).revision, outcomes })
        })
        .await
    }
}

fn says_lease_is_gone(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status) if status.message().contains("requested lease not found"))
}

/// One write as a transaction of its own: where its condition does not hold, the key is read.
fn transaction(id: LeaseId, write: &Write) -> Txn {
    let put = |key: &str, value: &str| TxnOp::put(key, value, Some(PutOptions::new().with_lease(id)));
    let is_ours = |key: &str| Compare::lease(key, CompareOp::Equal, id);
    let (condition, operation) = match write {
        Write::Create(key, value) => {
            (Compare::create_revision(key.as_str(), CompareOp::Equal, 0), put(key, value))
        }
        Write::Update(key, value) => (is_ours(key), put(key, value)),
        Write::Delete(key) => (is_ours(key), TxnOp::delete(key.as_str(), None)),
    };
    Txn::new().when([condition]).and_then([operation]).or_else([TxnOp::get(write.key(), None)])
}

fn outcome(answer: &TxnOpResponse) -> WriteOutcome {
    match answer {
        TxnOpResponse::Txn(inner) if inner.succeeded() => WriteOutcome::Done,
        TxnOpResponse::Txn(inner) => WriteOutcome::Refused(found(inner)),
        TxnOpResponse::Put(_) | TxnOpResponse::Get(_) | TxnOpResponse::Delete(_) => WriteOutcome::Refused(None),
    }
}

fn found(answer: &TxnResponse) -> Option<Found> {
    answer.op_responses().into_iter().find_map(|answer| match answer {
        TxnOpResponse::Get(read) => {
            read.kvs().first().map(|pair| Found { lease: pair.lease(), value: pair.value().to_vec() })
        }
        _ => None,
    })
}
