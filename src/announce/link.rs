//! Carries out the registrar's actions: finds members, connects, sends requests. Never decides anything.

use std::time::Duration;

use crate::model::etcd::{EtcdFailure, FailureKind, Span};
use crate::model::receipt;
use crate::model::store::EtcdSettings;
use crate::world::etcd::{Connection, Members};

use super::registrar::{EtcdAction, EtcdOutcome};

/// The connection to etcd, in whatever state it is.
pub(super) struct EtcdLink {
    members: Members,
    /// Time limit for a request: no lease may run out while one member does not respond.
    limit: Duration,
}

impl EtcdLink {
    pub(super) fn new(settings: EtcdSettings) -> EtcdLink {
        let limit = settings.request_timeout;
        EtcdLink { members: Members::new(settings), limit }
    }

    /// Sets the time limit for requests.
    pub(super) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit.min(self.members.settings().request_timeout);
    }

    /// Carries out an action other than a wait. If the future is dropped, the result of the request is unknown.
    pub(super) async fn perform(&mut self, action: &EtcdAction) -> EtcdOutcome {
        match self.attempt(action).await {
            Ok(outcome) => outcome,
            Err(failure) => {
                let failure = self.members.blame(failure);
                if failure.kind != FailureKind::Denied {
                    self.members.disconnect();
                }
                EtcdOutcome::Failed(failure)
            }
        }
    }

    /// Returns the receipts of all agents, by id; `None` if they cannot be read.
    pub(super) async fn receipts(&self) -> Option<Vec<(String, String)>> {
        /// Most receipts that are read.
        const MAX: i64 = 10_000;
        let start = format!("{}/", receipt::FOLDER);
        let span = Span { end: Some(format!("{}0", receipt::FOLDER).into_bytes()), start: start.clone().into_bytes() };
        let page = match self.connection() {
            Ok(connection) => connection.read(&span, None, MAX).await,
            Err(failure) => Err(failure),
        };
        match page {
            Ok(page) => {
                let receipts = page.entries.iter().filter_map(|entry| {
                    let id = entry.key.as_str().strip_prefix(&start)?;
                    Some((id.to_owned(), entry.value.as_text().unwrap_or_default().to_owned()))
                });
                Some(receipts.collect())
            }
            Err(failure) => {
                tracing::debug!("cannot read the agents' receipts, trying again: {}", failure.problem);
                None
            }
        }
    }

    async fn attempt(&mut self, action: &EtcdAction) -> Result<EtcdOutcome, EtcdFailure> {
        if *action == EtcdAction::Connect {
            self.members.connect_next().await?;
            return Ok(EtcdOutcome::Connected);
        }
        let connection = self.connection()?;
        Ok(match action {
            EtcdAction::Grant(ttl_seconds) => EtcdOutcome::Granted(connection.grant(*ttl_seconds).await?),
            EtcdAction::KeepAlive(id) => EtcdOutcome::KeptAlive(connection.keep_alive(*id).await?),
            EtcdAction::List(id) => EtcdOutcome::Listed(connection.keys_under(*id).await?),
            EtcdAction::Write(id, writes) => EtcdOutcome::Wrote(connection.write(*id, writes).await?),
            EtcdAction::Revoke(id) => {
                connection.revoke(*id).await?;
                EtcdOutcome::Revoked
            }
            EtcdAction::Connect | EtcdAction::Wait(_) => EtcdOutcome::Connected,
        })
    }

    fn connection(&self) -> Result<Connection, EtcdFailure> {
        Ok(self.members.connection()?.with_deadline(self.limit))
    }
}
