//! Does what the registrar decides: finds members, connects, asks. Decides nothing.

use std::time::Duration;

use crate::model::etcd::{EtcdFailure, FailureKind, Span};
use crate::model::receipt;
use crate::model::store::EtcdSettings;
use crate::world::etcd::{Connection, Members};

use super::registrar::{Action, Outcome};

/// The way to etcd, in whatever state it is.
pub(super) struct Link {
    members: Members,
    /// How long a request may take: a lease must not run out while one member says nothing.
    limit: Duration,
}

impl Link {
    pub(super) fn new(settings: EtcdSettings) -> Link {
        let limit = settings.request_timeout;
        Link { members: Members::new(settings), limit }
    }

    /// From now on no request may take longer.
    pub(super) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit.min(self.members.settings().request_timeout);
    }

    /// Acts. Waiting is not for it. Dropping the future leaves what was asked for in doubt.
    pub(super) async fn perform(&mut self, action: &Action) -> Outcome {
        match self.attempt(action).await {
            Ok(outcome) => outcome,
            Err(failure) => {
                let failure = self.members.blame(failure);
                if failure.kind != FailureKind::Denied {
                    self.members.disconnect();
                }
                Outcome::Failed(failure)
            }
        }
    }

    /// The receipts of all agents, by id; `None` where they cannot be read.
    pub(super) async fn receipts(&self) -> Option<Vec<(String, String)>> {
        /// More agents than this have no receipt for us.
        const MOST: i64 = 10_000;
        let start = format!("{}/", receipt::FOLDER);
        let span = Span { end: Some(format!("{}0", receipt::FOLDER).into_bytes()), start: start.clone().into_bytes() };
        let page = match self.connection() {
            Ok(connection) => connection.read(&span, None, MOST).await,
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
                tracing::debug!("the agents' receipts cannot be read: {}", failure.problem);
                None
            }
        }
    }

    async fn attempt(&mut self, action: &Action) -> Result<Outcome, EtcdFailure> {
        if *action == Action::Connect {
            self.members.connect_next().await?;
            return Ok(Outcome::Connected);
        }
        let connection = self.connection()?;
        Ok(match action {
            Action::Grant(ttl_seconds) => Outcome::Granted(connection.grant(*ttl_seconds).await?),
            Action::KeepAlive(id) => Outcome::KeptAlive(connection.keep_alive(*id).await?),
            Action::List(id) => Outcome::Listed(connection.keys_under(*id).await?),
            Action::Write(id, writes) => Outcome::Wrote(connection.write(*id, writes).await?),
            Action::Revoke(id) => {
                connection.revoke(*id).await?;
                Outcome::Revoked
            }
            Action::Connect | Action::Wait(_) => Outcome::Connected,
        })
    }

    fn connection(&self) -> Result<Connection, EtcdFailure> {
        Ok(self.members.connection()?.with_deadline(self.limit))
    }
}
