//! Leases, and writes under them, as plain data. Every call has a deadline. Never decides anything.

use std::collections::BTreeSet;
use std::time::Duration;

use etcd_client::proto::{PbKeyValue, PbTxnOpResponse};
use etcd_client::{Compare, CompareOp, Error, LeaseTimeToLiveOptions, PutOptions, Txn, TxnOp};

use super::{Connection, failure};
use crate::model::etcd::{EtcdFailure, Header};
use crate::model::key::Revision;
use crate::model::lease::{FoundKey, LeaseId, Write, WriteAnswer, WriteOutcome};

impl Connection {
    /// Returns the same connection with a time limit for each request.
    pub fn with_deadline(&self, limit: Duration) -> Connection {
        Connection { request_timeout: self.request_timeout.min(limit), ..self.clone() }
    }

    /// Grants a lease of `ttl_seconds` seconds.
    ///
    /// # Errors
    /// There was no answer in time, or etcd refused; the text is etcd's.
    pub async fn grant(&self, ttl_seconds: u32) -> Result<LeaseId, EtcdFailure> {
        let mut lease = self.lease.clone();
        self.within(async move {
            lease
                .grant(ttl_seconds.into(), None)
                .await
                .map(|granted| granted.id())
                .map_err(|error| failure::of_error(&error))
        })
        .await
    }

    /// Renews a lease; returns false if it no longer exists.
    ///
    /// # Errors
    /// As `grant`.
    pub async fn keep_alive(&self, id: LeaseId) -> Result<bool, EtcdFailure> {
        let mut lease = self.lease.clone();
        self.within(async move {
            match lease.keep_alive(id).await {
                Ok(_) => Ok(true),
                // The client's text for an answer without a time to live.
                Err(Error::LeaseKeepAliveError(problem)) if problem == "lease not found" => Ok(false),
                Err(error) => Err(failure::of_error(&error)),
            }
        })
        .await
    }

    /// Returns how much is left of a lease, in whole seconds; nothing if it no longer exists.
    ///
    /// # Errors
    /// As `grant`.
    pub async fn left_of(&self, id: LeaseId) -> Result<Duration, EtcdFailure> {
        let mut lease = self.lease.clone();
        self.within(async move {
            let found = lease.time_to_live(id, None).await.map_err(|error| failure::of_error(&error))?;
            Ok(Duration::from_secs(u64::try_from(found.ttl()).unwrap_or(0)))
        })
        .await
    }

    /// Returns the state of the store, and the keys under a lease, without those that are not UTF-8; `None` if the lease no longer exists.
    ///
    /// # Errors
    /// As `grant`.
    pub async fn keys_under(&self, id: LeaseId) -> Result<(Header, Option<BTreeSet<String>>), EtcdFailure> {
        let mut lease = self.lease.clone();
        self.within(async move {
            let options = LeaseTimeToLiveOptions::new().with_keys();
            let found = lease.time_to_live(id, Some(options)).await.map_err(|error| failure::of_error(&error))?;
            let keys = found.keys().iter().filter_map(|key| String::from_utf8(key.clone()).ok()).collect();
            Ok((failure::header(found.header()), (found.ttl() > 0).then_some(keys)))
        })
        .await
    }

    /// Revokes a lease, which deletes all its keys. Succeeds if the lease is already gone.
    ///
    /// # Errors
    /// As `grant`.
    pub async fn revoke(&self, id: LeaseId) -> Result<(), EtcdFailure> {
        let mut lease = self.lease.clone();
        self.within(async move {
            match lease.revoke(id).await {
                Ok(_) => Ok(()),
                Err(error) if says_lease_is_gone(&error) => Ok(()),
                Err(error) => Err(failure::of_error(&error)),
            }
        })
        .await
    }

    /// Applies all writes at one revision, under the lease, or no write at all if a condition does not hold. (etcd could
    /// apply each one in a nested transaction, but etcd 3.4 does not check permissions there.)
    ///
    /// # Errors
    /// As `grant`; no write was applied, or the outcome is unknown.
    pub async fn write(&self, id: LeaseId, writes: &[Write]) -> Result<WriteAnswer, EtcdFailure> {
        let transaction = Txn::new()
            .when(writes.iter().map(|write| condition(id, write)).collect::<Vec<_>>())
            .and_then(writes.iter().map(|write| operation(id, write)).collect::<Vec<_>>())
            .or_else(writes.iter().map(|write| TxnOp::get(write.key(), None)).collect::<Vec<_>>());
        let mut kv = self.kv.clone();
        self.within(async move {
            let answer = kv.txn(transaction).await.map_err(|error| failure::of_error(&error))?;
            let revision = failure::header(answer.header()).revision;
            if answer.succeeded() {
                let outcomes = writes.iter().map(|_| WriteOutcome::Done).collect();
                return Ok(WriteAnswer { revision, outcomes });
            }
            // The client's own list of answers panics at one that has nothing in it.
            let answers = answer.0.responses.into_iter();
            let found: Option<Vec<Option<FoundKey>>> = answers.map(|one| found(one.response)).collect();
            // No pause would follow.
            let Some(found) = found.filter(|found| found.len() >= writes.len()) else {
                return Err(EtcdFailure::unreachable("etcd answered a transaction without saying what it found"));
            };
            let outcomes = writes.iter().zip(found).map(|(write, found)| write.refused(id, found)).collect();
            Ok(WriteAnswer { revision, outcomes })
        })
        .await
    }
}

fn says_lease_is_gone(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status) if status.message().contains("requested lease not found"))
}

fn condition(id: LeaseId, write: &Write) -> Compare {
    match write {
        Write::Create(key, _) => Compare::create_revision(key.as_str(), CompareOp::Equal, 0),
        Write::Update(key, _) | Write::Delete(key) => Compare::lease(key.as_str(), CompareOp::Equal, id),
    }
}

fn operation(id: LeaseId, write: &Write) -> TxnOp {
    match write {
        Write::Create(key, value) | Write::Update(key, value) => {
            TxnOp::put(key.as_str(), value.as_bytes(), Some(PutOptions::new().with_lease(id)))
        }
        Write::Delete(key) => TxnOp::delete(key.as_str(), None),
    }
}

/// Returns the key that a read has found, if any; `None` if the answer is that of no read.
fn found(answer: Option<PbTxnOpResponse>) -> Option<Option<FoundKey>> {
    let Some(PbTxnOpResponse::ResponseRange(read)) = answer else { return None };
    let of_pair =
        |pair: PbKeyValue| FoundKey { lease: pair.lease, value: pair.value, changed: Revision(pair.mod_revision) };
    Some(read.kvs.into_iter().next().map(of_pair))
}

#[cfg(test)]
mod tests {
    use etcd_client::proto::PbRangeResponse;

    use super::*;

    #[test]
    fn an_answer_that_says_nothing_is_none() {
        assert!(found(None).is_none());
        let empty = PbTxnOpResponse::ResponseRange(PbRangeResponse::default());
        assert!(found(Some(empty)).is_some_and(|found| found.is_none()));
    }
}
