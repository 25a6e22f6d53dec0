//! The agent's receipt as a key in etcd: hands each receipt that has changed to the keeper of its key.

use std::time::Duration;

use crate::announce::keeper::Keeper;
use crate::apply;
use crate::model::receipt;
use crate::model::store::EtcdSettings;

use super::run::Agent;

/// How long it may take to remove the key at the end.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// As whom and in which etcd the agent publishes how far it has come.
pub struct ReceiptPlan {
    /// The agent's name.
    pub id: String,
    /// Where etcd is.
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

    /// Publishes the receipt if it has changed.
    pub(super) fn publish(&mut self, agent: &mut Agent) {
        if let Some(receipt) = agent.changed_receipt() {
            self.keeper.say(receipt.to_text());
        }
    }

    /// Removes the key.
    pub(super) async fn stop(self) {
        if !self.keeper.stop(STOP_TIMEOUT).await {
            tracing::warn!("etcd did not remove the receipt in time; it expires with its lease");
        }
    }
}
