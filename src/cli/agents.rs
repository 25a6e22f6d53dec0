//! `agents`: prints the receipts of all agents. Never changes one.

use crate::agent::fleet as receipts;
use crate::config::settings::{Settings, table};
use crate::status::fleet;
use crate::world::terminal;

use super::exit::Exit;

/// Reads all receipts and prints them.
pub(super) async fn agents(settings: Settings, json: bool) -> Exit {
    let (timeout, setting) = (settings.timeouts.store, Some(table::BACKEND_TIMEOUT.name));
    let stored = match receipts::read(settings.store, timeout, setting).await {
        Ok(stored) => stored,
        Err(problem) => {
            terminal::print_error(&format!("{problem}\n"));
            return Exit::Store;
        }
    };
    let agents: Vec<fleet::FleetAgent> = stored.iter().map(fleet::FleetAgent::read).collect();
    if agents.is_empty() && !json {
        terminal::print_error("no agent keeps a receipt (hint: start them with --receipts)\n");
    }
    terminal::print(&if json { fleet::json(&agents) } else { fleet::table(&agents) });
    Exit::Done
}
