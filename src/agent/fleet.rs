//! Reads the receipts of all agents, for `upstreamd agents` and for the status. Never changes one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::event::Event;
use crate::model::range::{KeyRanges, WantedKeys};
use crate::model::receipt::{self, AgentStanding, StoredReceipt};
use crate::model::status::AgentLine;
use crate::model::store::StoreSettings;
use crate::status::fleet::FleetAgent;
use crate::world::clock;

use super::catalog::StoreUse;
use super::stores::Stores;

/// How long what was read is shown before it is read again.
const LASTS: Duration = Duration::from_secs(5);
/// Time limit for reading them for the status.
const LIMIT: Duration = Duration::from_secs(5);
/// Most agents that the status shows.
const MAX_AGENTS: usize = 500;

/// Reads all receipts. `setting` is the flag that sets the time limit, for the log.
///
/// # Errors
/// A phrase for people: the store does not answer in time, or does not show the receipts.
pub async fn read(store: StoreSettings, limit: Duration, setting: Option<&str>) -> Result<Vec<StoredReceipt>, String> {
    let ranges = KeyRanges::of_directories([format!("{}/", receipt::FOLDER).as_str()]);
    let mut stores = Stores::new(store, false);
    stores.set(&[StoreUse { settings: None, wanted: WantedKeys::of([&ranges]) }]);
    let mut stored = Vec::new();
    for (_, snapshot) in stores.first_snapshots(limit, setting).await {
        match snapshot? {
            Event::Snapshot { refused: Some(refusal), .. } => {
                return Err(refusal.message(&ranges).unwrap_or(refusal.reason));
            }
            Event::Snapshot { revision, entries, .. } => {
                stored.extend(entries.iter().filter_map(|(key, value)| {
                    let id = key.as_str().strip_prefix(receipt::FOLDER)?.strip_prefix('/')?.to_owned();
                    let text = value.as_text().unwrap_or_default().to_owned();
                    // A receipt tells of revisions before its own, which is this one at the latest.
                    Some(StoredReceipt { id, text, written: revision })
                }));
            }
            _ => {}
        }
    }
    Ok(stored)
}

/// The agents of the fleet as they were read last, beside whoever asks: nobody waits for the store.
pub(super) struct FleetView {
    store: StoreSettings,
    agents: Arc<Mutex<Vec<AgentLine>>>,
    read_at: Option<Instant>,
}

impl FleetView {
    /// Returns a view of the agents that keep receipts in this store. Nothing has been read.
    pub(super) fn new(store: StoreSettings) -> FleetView {
        FleetView { store, agents: Arc::default(), read_at: None }
    }

    /// Returns the agents, and has them read again if that is due.
    pub(super) fn agents(&mut self) -> Vec<AgentLine> {
        let now = clock::now();
        if self.read_at.is_none_or(|at| now.saturating_duration_since(at) >= LASTS) {
            self.read_at = Some(now);
            let (store, agents) = (self.store.clone(), Arc::clone(&self.agents));
            tokio::spawn(async move {
                // While the store is away, what was read last stays: the store's own condition says that it is old.
                if let Ok(stored) = read(store, LIMIT, None).await {
                    let lines = stored.iter().take(MAX_AGENTS).map(line).collect();
                    *agents.lock().unwrap_or_else(PoisonError::into_inner) = lines;
                }
            });
        }
        self.agents.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn line(stored: &StoredReceipt) -> AgentLine {
    let FleetAgent { id, standing, lagging, receipt } = FleetAgent::read(stored);
    let version = receipt.as_ref().map(|receipt| receipt.version.clone()).unwrap_or_default();
    let resources = receipt.into_iter().flat_map(|receipt| receipt.resources);
    let held = resources.filter(|resource| resource.held).map(|resource| resource.name).collect();
    let (lagging, problem) = match standing {
        None => (Vec::new(), lagging.into_iter().next()),
        // What is only draining is live.
        Some(AgentStanding::Draining) => (Vec::new(), None),
        Some(_) => (lagging, None),
    };
    AgentLine { id, version, lagging, held, problem }
}
