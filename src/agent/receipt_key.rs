//! The agent's receipt as a key in etcd: hands each receipt that has changed to the keeper of its key. Never writes to etcd
//! by itself.

use std::time::Duration;

use tokio::sync::watch;

use crate::announce::keeper::{Keeper, KeptLease};
use crate::apply;
use crate::model::receipt;
use crate::model::store::EtcdSettings;

use super::run::Agent;

/// Time limit for removing the key at the end.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The identity and the etcd under which the agent publishes its progress.
pub struct ReceiptPlan {
    /// Name of the agent.
    pub id: String,
    /// Settings of etcd.
    pub store: EtcdSettings,
}

/// The key, kept while the agent follows.
pub(super) struct ReceiptKey {
    keeper: Keeper,
}

impl ReceiptKey {
    /// Starts to keep the key. Called before anything is applied.
    pub(super) async fn start(plan: ReceiptPlan, agent: &mut Agent) -> ReceiptKey {
        let groups = agent.desk.catalog().groups.clone();
        let leaving = apply::leaving_workers(&agent.outlook.terms.context, groups.iter().map(|group| &**group)).await;
        agent.keep_receipt(plan.id.clone(), leaving);
        ReceiptKey { keeper: Keeper::start(plan.store, receipt::key_of(&plan.id)) }
    }

    /// Returns the lease of the key.
    pub(super) fn lease(&self) -> watch::Receiver<Option<KeptLease>> {
        self.keeper.lease()
    }

    /// Publishes the receipt if it has changed.
    pub(super) fn publish(&mut self, agent: &mut Agent) {
        if let Some(receipt) = agent.changed_receipt() {
            self.keeper.set(receipt.to_text());
        }
    }

    /// Removes the key.
    pub(super) async fn stop(self) {
        if !self.keeper.stop(STOP_TIMEOUT).await {
            tracing::warn!("etcd did not remove the receipt in time; it expires with its lease");
        }
    }
}
