//! What a run does before anything else: undoes transactions that a killed process has left half done. Waits for those of other
//! processes, but never for longer than until a signal asks us to stop.

use nix::sys::signal::Signal;

use crate::apply::{Context, recovery};
use crate::model::for_each::ForEach;
use crate::world::signals::Signals;

use super::catalog::{Catalog, Member};
use super::run::Outlook;
use super::supervision::{SignalMeaning, meaning};

/// Undoes transactions that a killed process left half done, if this run changes files.
///
/// # Errors
/// This signal asks to stop before that was over.
pub(super) async fn recover(outlook: &Outlook, catalog: &Catalog, signals: &mut Signals) -> Result<(), Signal> {
    if !outlook.terms.apply() {
        return Ok(());
    }
    tokio::select! {
        () = undo(&outlook.terms.context, catalog) => Ok(()),
        signal = stop(signals) => Err(signal),
    }
}

/// Waits for a signal that asks us to stop.
pub(super) async fn stop(signals: &mut Signals) -> Signal {
    loop {
        let signal = signals.next().await;
        if meaning(signal, false).0 == SignalMeaning::Stop {
            return signal;
        }
    }
}

async fn undo(context: &Context, catalog: &Catalog) {
    let (many, one): (Vec<&Member>, Vec<&Member>) =
        catalog.members.iter().partition(|member| member.resource.for_each.is_some());
    let targets = one.iter().map(|member| member.resource.dest.as_path());
    let patterns = many.iter().filter_map(|member| member.resource.for_each.as_ref()).map(ForEach::dest);
    let recovered = recovery::recover_all(context, targets, patterns).await;
    for id in recovered.groups {
        tracing::warn!(group = %id, "undid an interrupted transaction: its previous files are back, its reload is owed");
    }
    for warning in recovered.warnings {
        tracing::warn!("{warning}");
    }
    for failure in recovered.failures {
        tracing::error!("failed to undo an interrupted transaction: {failure}");
    }
}
