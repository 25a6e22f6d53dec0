//! `agents`: prints the receipts of all agents. Never changes one.

use crate::agent::catalog::StoreUse;
use crate::agent::stores::Stores;
use crate::config::settings::{Settings, table};
use crate::model::event::Event;
use crate::model::range::{KeyRanges, WantedKeys};
use crate::model::receipt::{self, StoredReceipt};
use crate::status::fleet;
use crate::world::terminal;

use super::exit::Exit;

/// Reads all receipts and prints them.
pub(super) async fn agents(settings: Settings, json: bool) -> Exit {
    let ranges = KeyRanges::of_directories([format!("{}/", receipt::FOLDER).as_str()]);
    let mut stores = Stores::new(settings.store, false);
    stores.set(&[StoreUse { settings: None, wanted: WantedKeys::of([&ranges]) }]);
    let mut stored = Vec::new();
    for (_, snapshot) in stores.first_snapshots(settings.timeouts.store, Some(table::BACKEND_TIMEOUT.name)).await {
        match snapshot {
            Ok(Event::Snapshot { refused: Some(refusal), .. }) => {
                terminal::print_error(&format!("{}\n", refusal.message(&ranges).unwrap_or(refusal.reason)));
                return Exit::Store;
            }
            Ok(Event::Snapshot { revision, entries, .. }) => {
                stored.extend(entries.iter().filter_map(|(key, value)| {
                    let id = key.as_str().strip_prefix(receipt::FOLDER)?.strip_prefix('/')?.to_owned();
                    let text = value.as_text().unwrap_or_default().to_owned();
                    // A receipt tells of revisions before its own, which is this one at the latest.
                    Some(StoredReceipt { id, text, written: revision })
                }))
            }
            Ok(_) => {}
            Err(problem) => {
                terminal::print_error(&format!("{problem}\n"));
                return Exit::Store;
            }
        }
    }
    let agents: Vec<fleet::FleetAgent> = stored.iter().map(fleet::FleetAgent::read).collect();
    if agents.is_empty() && !json {
        terminal::print_error("no agent keeps a receipt (hint: start them with --receipts)\n");
    }
    terminal::print(&if json { fleet::json(&agents) } else { fleet::table(&agents) });
    Exit::Done
}
