//! Does what the registrar decides: finds members, connects, asks. Decides nothing.

use std::time::Duration;

use crate::model::etcd::{Failure, FailureKind, Span};
use crate::model::receipt;
use crate::model::store::EtcdSettings;
use crate::world::etcd::{self, Connection, Endpoint};
use crate::world::random;

use super::registrar::{Action, Outcome};

/// The way to etcd, in whatever state it is.
pub(super) struct Link {
    settings: EtcdSettings,
    endpoints: Vec<Endpoint>,
    /// Which one to try next.
    next: usize,
    connection: Option<Connection>,
    /// How long a request may take: a lease must not run out while one member says nothing.
    limit: Duration,
}

impl Link {
    pub(super) fn new(settings: EtcdSettings) -> Link {
        let limit = settings.request_timeout;
        Link { settings, endpoints: Vec::new(), next: 0, connection: None, limit }
    }

    /// From now on no request may take longer.
    pub(super) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit.min(self.settings.request_timeout);
    }

    /// Acts. Waiting is not for it. Dropping the future leaves what was asked for in doubt.
    pub(super) async fn perform(&mut self, action: &Action) -> Outcome {
        match self.attempt(action).await {
            Ok(outcome) => outcome,
            Err(mut failure) => {
                if let Some(connection) = &self.connection {
                    failure.problem = format!("{}: {}", connection.endpoint(), failure.problem);
                }
                if failure.kind != FailureKind::Denied {
                    self.connection = None;
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

    async fn attempt(&mut self, action: &Action) -> Result<Outcome, Failure> {
        if *action == Action::Connect {
            self.connect().await?;
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

    fn connection(&self) -> Result<Connection, Failure> {
        let connection = self.connection.as_ref().ok_or_else(|| Failure::unreachable("not connected to etcd"))?;
        Ok(connection.with_deadline(self.limit))
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        self.connection = None;
        // After all of them were tried, records may name others.
        if self.next.checked_rem(self.endpoints.len()).unwrap_or(0) == 0 {
            self.endpoints = members(&self.settings).await?;
        }
        let nth = self.next.checked_rem(self.endpoints.len()).unwrap_or(0);
        let endpoint = self.endpoints.get(nth).ok_or_else(|| Failure::unreachable("no etcd endpoint is set"))?;
        self.next = nth + 1;
        self.connection = Some(Connection::open(endpoint, &self.settings).await?);
        tracing::debug!(%endpoint, "connected to etcd");
        Ok(())
    }
}

/// The members to try, in order.
pub(super) async fn members(settings: &EtcdSettings) -> Result<Vec<Endpoint>, Failure> {
    match etcd::discover(settings, random::fraction).await {
        Some(found) => found,
        None => etcd::endpoints(settings),
    }
}
