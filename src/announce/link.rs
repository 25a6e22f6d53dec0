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
    /// Watch of all agents' receipts, from the first time that they are read.
    receipts: Option<Watch>,
}

impl EtcdLink {
    pub(super) fn new(settings: EtcdSettings) -> EtcdLink {
        EtcdLink { members: Members::new(settings), receipts: None }
    }

    /// Sets the time limit for connecting and for requests: no lease may run out while one member does not respond.
    pub(super) fn set_limit(&mut self, limit: Duration) {
        self.members.set_limit(limit);
    }

    /// Returns the member that is connected, if one is.
    pub(super) fn member(&self) -> Option<String> {
        Some(self.members.connection().ok()?.member().to_string())
    }

    /// Carries out an action other than a wait. If the future is dropped, the result of the request is unknown.
    pub(super) async fn perform(&mut self, action: &EtcdAction) -> EtcdOutcome {
        match self.attempt(action).await {
            Ok(outcome) => outcome,
            Err(failure) => {
                let failure = self.members.blame(failure);
                // These are answers of a member that is well: another one would say the same.
                if !matches!(failure.kind, FailureKind::Denied | FailureKind::TooLarge) {
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
        let is_watching = self.receipts.is_some();
        match self.members.ask(|connection| read_receipts(connection, !is_watching)).await {
            Ok((found, watch)) => {
                self.receipts = watch.or(self.receipts.take());
                Ok(found)
            }
            Err(failure) => Err(self.members.blame(failure)),
        }
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
            if self.members.connection().is_err() {
                self.members.connect_next().await?;
            }
            return Ok(EtcdOutcome::Connected);
        }
        self.members.ask(|connection| request(connection, action)).await
    }
}

async fn request(connection: Connection, action: &EtcdAction) -> Result<EtcdOutcome, EtcdFailure> {
    Ok(match action {
        EtcdAction::Grant(ttl_seconds) => EtcdOutcome::Granted(connection.grant(*ttl_seconds).await?),
        EtcdAction::KeepAlive(id) => EtcdOutcome::KeptAlive(connection.keep_alive(*id).await?),
        EtcdAction::List(id) => {
            let (header, keys) = connection.keys_under(*id).await?;
            EtcdOutcome::Listed(header, keys)
        }
        EtcdAction::Write(id, writes) => EtcdOutcome::Wrote(connection.write(*id, writes).await?),
        EtcdAction::Revoke(id) => {
            connection.revoke(*id).await?;
            EtcdOutcome::Revoked
        }
        EtcdAction::Connect | EtcdAction::Wait(_) => EtcdOutcome::Connected,
    })
}

/// Reads all receipts page by page: one that is left out might be that of the only agent that has not drained. With `watches`,
/// also watches them from then on.
async fn read_receipts(
    connection: Connection,
    watches: bool,
) -> Result<(Vec<StoredReceipt>, Option<Watch>), EtcdFailure> {
    let start = format!("{}/", receipt::FOLDER);
    let all = Span { start: start.clone().into_bytes(), end: Some(format!("{}0", receipt::FOLDER).into_bytes()) };
    let (mut found, mut bytes, mut at, mut limit) = (Vec::new(), 0, None, RECEIPTS_AT_ONCE);
    let mut span = all.clone();
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
            let problem = format!("{} has more than {MAX_RECEIPTS} keys or {MAX_RECEIPT_BYTES} bytes", receipt::FOLDER);
            return Err(EtcdFailure::unreachable(problem));
        }
        // The header of a later page names the newest revision, not the one that was read.
        let revision = *at.get_or_insert(page.header.revision);
        match page.next {
            Some(next) => span.start = next,
            None if watches => {
                return Ok((found, Some(connection.watch(&[all], revision, false).await?)));
            }
            None => return Ok((found, None)),
        }
    }
}
