//! Carries out the registrar's actions (finds members, connects, sends requests), and reads and watches the agents' receipts.
//! Never decides anything.

use std::time::Duration;

use crate::model::etcd::{EtcdFailure, FailureKind, Span, WatchMessage};
use crate::model::receipt::{self, StoredReceipt};
use crate::model::store::EtcdSettings;
use crate::world::etcd::{Connection, Members, Watch};

use super::registrar::{EtcdAction, EtcdOutcome};

/// Number of receipts in a page.
const RECEIPTS_AT_ONCE: i64 = 500;

/// Most receipts that are read, and most bytes of all of them.
const MAX_RECEIPTS: usize = 10_000;
const MAX_RECEIPT_BYTES: usize = 16 << 20;

/// The connection to etcd, up or down.
pub(super) struct EtcdLink {
    members: Members,
    /// Time limit for a request: no lease may run out while one member does not respond.
    limit: Duration,
    /// Watch of all agents' receipts, from the first time that they are read.
    receipts: Option<Watch>,
}

impl EtcdLink {
    pub(super) fn new(settings: EtcdSettings) -> EtcdLink {
        let limit = settings.request_timeout;
        EtcdLink { members: Members::new(settings), limit, receipts: None }
    }

    /// Sets the time limit for requests.
    pub(super) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit.min(self.members.settings().request_timeout);
    }

    /// Returns the member that is connected, if one is.
    pub(super) fn member(&self) -> Option<String> {
        Some(self.members.connection().ok()?.endpoint().to_string())
    }

    /// Carries out an action other than a wait. If the future is dropped, the result of the request is unknown.
    pub(super) async fn perform(&mut self, action: &EtcdAction) -> EtcdOutcome {
        match self.attempt(action).await {
            Ok(outcome) => outcome,
            Err(failure) => {
                let failure = self.members.blame(failure);
                if failure.kind != FailureKind::Denied {
                    self.members.disconnect();
                    self.receipts = None;
                }
                EtcdOutcome::Failed(failure)
            }
        }
    }

    /// Reads the receipts of all agents, and watches them from then on.
    ///
    /// # Errors
    /// etcd does not show them: not now, or not to this user.
    pub(super) async fn receipts(&mut self) -> Result<Vec<StoredReceipt>, EtcdFailure> {
        self.read_receipts().await.map_err(|failure| self.members.blame(failure))
    }

    /// Reads them page by page: one that is left out might be that of the only agent that has not drained.
    async fn read_receipts(&mut self) -> Result<Vec<StoredReceipt>, EtcdFailure> {
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
            let Some(next) = page.next else { break };
            span.start = next;
        }
        if let (None, Some(revision)) = (&self.receipts, at) {
            let all = Span { start: start.into_bytes(), end: span.end };
            self.receipts = Some(connection.watch(&[all], revision, false).await?);
        }
        Ok(found)
    }

    /// Waits until a receipt changes. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Nothing watches the receipts any more; only `receipts` does so again.
    pub(super) async fn receipts_changed(&mut self) -> Result<(), EtcdFailure> {
        let lost = || EtcdFailure::unreachable("the watch has ended with its connection");
        let changed = loop {
            match self.receipts.as_mut().ok_or_else(lost)?.next().await {
                Ok(WatchMessage { cancelled: Some(failure), .. }) => break Err(failure),
                Ok(message) if message.events.is_empty() => {}
                Ok(_) => return Ok(()),
                Err(failure) => break Err(failure),
            }
        };
        self.receipts = None;
        changed
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
