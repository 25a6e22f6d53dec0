//! `agents`: what the fleet's receipts say.

use crate::agent::run::first_snapshot;
use crate::config::settings::Settings;
use crate::model::event::Event;
use crate::model::range::KeyRanges;
use crate::model::receipt;
use crate::source;
use crate::status::fleet;
use crate::world::terminal;

use super::exit::Exit;

/// Reads all receipts and prints them.
pub(super) async fn agents(settings: Settings, json: bool) -> Exit {
    let ranges = KeyRanges::of_directories([format!("{}/", receipt::FOLDER).as_str()]);
    let mut store = source::start(settings.store, ranges, false);
    let entries = match first_snapshot(&mut store, settings.backend_timeout).await {
        Ok(Event::Snapshot { entries, .. }) => entries,
        Ok(_) => Vec::new(),
        Err(problem) => {
            terminal::complain(&format!("{problem}\n"));
            return Exit::Store;
        }
    };
    let agents: Vec<fleet::Agent> = entries
        .iter()
        .filter_map(|(key, value)| {
            let id = key.as_str().strip_prefix(receipt::FOLDER)?.strip_prefix('/')?;
            Some(fleet::Agent::read(id, value.as_text().unwrap_or_default()))
        })
        .collect();
    terminal::print(&if json { fleet::json(&agents) } else { fleet::table(&agents) });
    Exit::Done
}
