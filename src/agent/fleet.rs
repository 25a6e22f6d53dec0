//! Reads the receipts of all agents, for `upstreamd agents` and for the status. Never changes one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::event::Event;
use crate::model::range::{KeyRanges, WantedKeys};
use crate::model::receipt::{self, AgentProgress, StoredReceipt};
use crate::model::status::{AgentLine, FleetReading, UnixTime};
use crate::model::store::StoreSettings;
use crate::model::text;
use crate::status::fleet::FleetAgent;
use crate::world::clock;
use crate::world::tasks;

use super::catalog::StoreUse;
use super::stores::Stores;

/// Time for which a reading is shown before the next.
const LASTS: Duration = Duration::from_secs(5);
/// Time limit for reading them for the status.
const LIMIT: Duration = Duration::from_secs(5);
/// Most agents that the status shows, and most resources of each that it names.
const MAX_AGENTS: usize = 500;
const MAX_NAMED: usize = 20;
/// Longest text of a receipt, and longest reason why there is none, that the status shows, in characters.
const MAX_CHARACTERS: usize = 200;
const MAX_PROBLEM_CHARACTERS: usize = 1000;

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
    last: Arc<Mutex<(Vec<AgentLine>, FleetReading)>>,
    asked_at: Option<Instant>,
}

impl FleetView {
    /// Returns a view of the agents that keep receipts in this store. Nothing has been read.
    pub(super) fn new(store: StoreSettings) -> FleetView {
        FleetView { store, last: Arc::default(), asked_at: None }
    }

    /// Returns the agents and how they were read, and has them read again if that is due.
    pub(super) fn agents(&mut self) -> (Vec<AgentLine>, FleetReading) {
        let now = clock::now();
        if self.asked_at.is_none_or(|at| now.saturating_duration_since(at) >= LASTS) {
            self.asked_at = Some(now);
            let (store, last) = (self.store.clone(), Arc::clone(&self.last));
            tasks::spawn(async move {
                let stored = read(store, LIMIT, None).await;
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                let (lines, reading) = &mut *last;
                match stored {
                    Ok(stored) => {
                        let (found, more) = of_fleet(&stored);
                        *lines = found;
                        *reading = FleetReading { at: Some(UnixTime(clock::unix_seconds())), more, problem: None };
                    }
                    // What was read last stays, with its time.
                    Err(problem) => reading.problem = Some(text::one_line(&problem, MAX_PROBLEM_CHARACTERS, ' ')),
                }
            });
        }
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Returns the agents that the status shows, those with something to say first, and the number of the others.
fn of_fleet(stored: &[StoredReceipt]) -> (Vec<AgentLine>, usize) {
    let mut lines: Vec<AgentLine> = stored.iter().map(line).collect();
    lines.sort_by_key(|agent| (agent.problem.is_none(), agent.held.is_empty(), agent.lagging.is_empty()));
    lines.truncate(MAX_AGENTS);
    let more = stored.len() - lines.len();
    (lines, more)
}

/// Returns what the status shows of an agent, whatever its receipt has: others may have written it.
fn line(stored: &StoredReceipt) -> AgentLine {
    let short = |text: &str| text::one_line(text, MAX_CHARACTERS, ' ');
    let first = |names: &[String]| names.iter().take(MAX_NAMED).map(|name| short(name)).collect();
    let FleetAgent { id, standing, lagging, receipt } = FleetAgent::read(stored);
    let version = receipt.as_ref().map(|receipt| short(&receipt.version)).unwrap_or_default();
    let resources = receipt.into_iter().flat_map(|receipt| receipt.resources);
    let held: Vec<String> = resources.filter(|resource| resource.held).map(|resource| resource.name).collect();
    let (lagging, problem) = match standing {
        None => (Vec::new(), lagging.first().map(|problem| short(problem))),
        // What is only draining is live.
        Some(AgentProgress::Draining) => (Vec::new(), None),
        Some(_) => (lagging, None),
    };
    AgentLine {
        id: short(&id),
        version,
        lagging_more: lagging.len().saturating_sub(MAX_NAMED),
        lagging: first(&lagging),
        held_more: held.len().saturating_sub(MAX_NAMED),
        held: first(&held),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key::Revision;
    use crate::model::receipt::{FORMAT, Proof, Receipt, ResourceReceipt};

    fn stored(id: &str, names: impl Iterator<Item = String>, is_behind: bool) -> StoredReceipt {
        let resources = names.map(|name| ResourceReceipt {
            name,
            keys: Vec::new(),
            proof: Proof::File,
            seen: 9,
            applied: Some(if is_behind { 8 } else { 9 }),
            converged: Some(8),
            drained: Some(8),
            held: is_behind,
        });
        let receipt = Receipt {
            format: FORMAT,
            id: id.to_owned(),
            version: "1\u{9b}".repeat(1000),
            generation: 1,
            drained_generation: None,
            resources: resources.collect(),
        };
        StoredReceipt { id: id.to_owned(), text: receipt.to_text(), written: Revision(10) }
    }

    #[test]
    fn what_a_receipt_names_is_bounded_and_counted() {
        let agent = line(&stored("a", (0..500).map(|number| format!("{number}\u{9b}").repeat(60)), true));
        assert_eq!((agent.lagging.len(), agent.lagging_more), (MAX_NAMED, 480));
        assert_eq!((agent.held.len(), agent.held_more), (MAX_NAMED, 480));
        let texts = || [&agent.id, &agent.version].into_iter().chain(&agent.lagging).chain(&agent.held);
        assert!(
            texts().all(|text| text.chars().count() <= MAX_CHARACTERS + 1 && !text.contains('\u{9b}')),
            "{agent:?}"
        );
    }

    #[test]
    fn of_many_agents_those_with_something_to_say_are_shown() {
        let name = || ["web.toml".to_owned()].into_iter();
        let all: Vec<StoredReceipt> =
            (0..600).map(|number| stored(&format!("{number:03}"), name(), number == 555)).collect();
        let (shown, more) = of_fleet(&all);
        assert_eq!((shown.len(), more), (MAX_AGENTS, 100));
        assert_eq!((shown[0].id.as_str(), shown[0].held.as_slice()), ("555", &["web.toml".to_owned()][..]));
        assert_eq!((shown[1].id.as_str(), shown[1].held.len()), ("000", 0));
    }
}
