//! Carries out the registrar's actions: finds members, connects, sends requests. Never decides anything.

use std::time::Duration;

use crate::model::etcd::{EtcdFailure, FailureKind, Span};
use crate::model::receipt::{self, StoredReceipt};
use crate::model::store::EtcdSettings;
use crate::world::etcd::{Connection, Members};

use super::registrar::{EtcdAction, EtcdOutcome};

/// Number of receipts in a page.
const RECEIPTS_AT_ONCE: i64 = 500;

/// Most receipts that are read, and most bytes of all of them.
const MAX_RECEIPTS: usize = 10_000;
const MAX_RECEIPT_BYTES: usize = 16 << 20;

/// The connection to etcd, in whatever state it is.
pub(super) struct EtcdLink {
    members: Members,
    /// Time limit for a request: no lease may run out while one member does not respond.
    limit: Duration,
    /// Reason why receipts could not be read at the last look.
    receipts_problem: Option<String>,
}

impl EtcdLink {
    pub(super) fn new(settings: EtcdSettings) -> EtcdLink {
        let limit = settings.request_timeout;
        EtcdLink { members: Members::new(settings), limit, receipts_problem: None }
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

    /// Returns the receipts of all agents; `None` if they cannot all be read.
    pub(super) async fn receipts(&mut self) -> Option<Vec<StoredReceipt>> {
        let read = self.read_receipts().await;
        let problem = read.as_ref().err().map(|failure| failure.problem.clone());
        if let Some(problem) = problem.as_ref().filter(|problem| self.receipts_problem.as_ref() != Some(*problem)) {
            tracing::warn!(
                "cannot read the agents' receipts to see whether they have drained, trying again: {problem}"
            );
        }
        self.receipts_problem = problem;
        read.ok()
    }

    /// Reads the receipts page by page: one that is left out might be that of the only agent that has not drained.
    async fn read_receipts(&self) -> Result<Vec<StoredReceipt>, EtcdFailure> {
        let connection = self.connection()?;
        let start = format!("{}/", receipt::FOLDER);
        let end = Some(format!("{}0", receipt::FOLDER).into_bytes());
        let mut span = Span { start: start.clone().into_bytes(), end };
        let (mut found, mut bytes, mut at, mut limit) = (Vec::new(), 0, None, RECEIPTS_AT_ONCE);
        loop {
            let page = match connection.read(&span, at, limit).await {
                Err(failure) if failure.kind == FailureKind::TooLarge && limit > 1 => {
                    limit = (limit / 8).max(1);
                    continue;
                }
                page => page?,
            };
            found.extend(page.entries.iter().filter_map(|entry| {
                let id = entry.key.as_str().strip_prefix(&start)?.to_owned();
                let text = entry.value.as_text().unwrap_or_default().to_owned();
                Some(StoredReceipt { id, text, written: entry.mod_revision })
            }));
            bytes += page.bytes;
            if found.len() > MAX_RECEIPTS || bytes > MAX_RECEIPT_BYTES {
                let problem =
                    format!("{} has more than {MAX_RECEIPTS} keys or {MAX_RECEIPT_BYTES} bytes", receipt::FOLDER);
                return Err(EtcdFailure::unreachable(problem));
            }
            at = Some(page.header.revision);
            let Some(next) = page.next else { return Ok(found) };
            span.start = next;
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
