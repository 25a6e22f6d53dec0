//! What was last heard of the stores, and of the lease of the receipt, for whoever shows it: the loop names the sources that run, and
//! the status looks at them without the loop. Never asks a store.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::announce::keeper::{KeptLease, TTL_SECONDS};
use crate::model::status::ReceiptLease;
use crate::source::SourceNews;
use crate::world::clock;

/// The running sources and the receipt, as the status sees them.
#[derive(Clone, Default)]
pub(super) struct LastHeard(Arc<Mutex<ShownNews>>);

#[derive(Default)]
struct ShownNews {
    /// The sources; without a name, that of the settings' store.
    stores: Vec<(Option<String>, watch::Receiver<SourceNews>)>,
    receipt: Option<watch::Receiver<Option<KeptLease>>>,
}

impl LastHeard {
    /// Shows these sources from now on.
    pub(super) fn show_stores(&self, stores: Vec<(Option<String>, watch::Receiver<SourceNews>)>) {
        self.with(|watched| watched.stores = stores);
    }

    /// Shows the lease of the receipt from now on.
    pub(super) fn show_receipt(&self, lease: watch::Receiver<Option<KeptLease>>) {
        self.with(|watched| watched.receipt = Some(lease));
    }

    /// Returns the last news of each store; without a name, of the settings' store.
    pub(super) fn stores(&self) -> Vec<(Option<String>, SourceNews)> {
        self.with(|watched| watched.stores.iter().map(|(name, news)| (name.clone(), news.borrow().clone())).collect())
    }

    /// Returns the lease of the receipt, if there is one.
    pub(super) fn receipt_lease(&self) -> Option<ReceiptLease> {
        let lease = self.with(|watched| *watched.receipt.as_ref()?.borrow())?;
        let left_seconds = lease.until.saturating_duration_since(clock::now()).as_secs();
        Some(ReceiptLease { id: format!("{:x}", lease.id), ttl_seconds: TTL_SECONDS, left_seconds })
    }

    fn with<T>(&self, work: impl FnOnce(&mut ShownNews) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
