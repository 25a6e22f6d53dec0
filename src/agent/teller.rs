//! Tells in etcd how far the agent has come: hands each receipt that is another to the keeper of its key.

use std::time::Duration;

use crate::announce::keeper::Keeper;
use crate::apply::{self, Context};
use crate::model::receipt;
use crate::world::clock;

use super::engine::Engine;
use super::run::ReceiptPlan;

/// How long taking the receipt away may take at the end.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Teller {
    keeper: Keeper,
}

impl Teller {
    /// Starts. To be called before anything is applied.
    pub(super) async fn start(plan: ReceiptPlan, engine: &mut Engine, context: &Context) -> Teller {
        let groups: Vec<_> = engine.loaded().groups.clone();
        let leaving = apply::leaving_workers(context, groups.iter().map(|group| &**group)).await;
        engine.keep_receipt(plan.id.clone(), leaving, clock::now());
        Teller { keeper: Keeper::start(plan.store, receipt::key_of(&plan.id)) }
    }

    /// Tells what has moved.
    pub(super) fn tell(&mut self, engine: &mut Engine) {
        if let Some(receipt) = engine.moved_receipt() {
            self.keeper.say(receipt.to_text());
        }
    }

    /// Takes the receipt away.
    pub(super) async fn stop(self) {
        if !self.keeper.stop(STOP_TIMEOUT).await {
            tracing::warn!("etcd did not take the receipt away in time; it goes when its time to live is over");
        }
    }
}
