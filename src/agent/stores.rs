//! The running sources: that of the settings, and one for each further store that `[backend]` tables name. A store that is
//! away affects only its own resources. Never renders.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::model::event::Event;
use crate::model::range::WantedKeys;
use crate::model::store::StoreSettings;
use crate::model::tree::Tree;
use crate::source::{self, Handle};
use crate::world::clock;

use super::catalog::StoreUse;
use super::loss::StoreLoss;
use super::news::LastHeard;

/// Time after which a wait for the first snapshot is logged.
const SILENCE: Duration = Duration::from_secs(1);

/// The sources, by the position of their store in `Catalog::stores`.
pub struct Stores {
    /// Settings of the standard store.
    standard: StoreSettings,
    follows: bool,
    running: Vec<Running>,
    news: LastHeard,
}

struct Running {
    /// Settings; `None` for the store of the settings.
    settings: Option<Arc<StoreSettings>>,
    /// Name in the log.
    name: String,
    wanted: WantedKeys,
    /// Handle of the source; `None` if no resource reads any key of it.
    handle: Option<Handle>,
    /// Its loss, while it cannot be followed.
    lost: Option<StoreLoss>,
    /// Whether the next snapshot answers a resync.
    resync_wanted: bool,
}

impl Running {
    /// Logs that it cannot be followed, or still cannot be: `since` is empty, or says since when.
    fn log_loss(&self, problem: &str, retry_in: Duration, since: &str) {
        let retry_in_ms = retry_in.as_millis();
        let still = if since.is_empty() { "" } else { "still " };
        match (&self.settings, still) {
            (None, "") => tracing::warn!(retry_in_ms, "cannot follow the store; every file stays as it is: {problem}"),
            (None, _) => {
                tracing::warn!(
                    retry_in_ms,
                    "still cannot follow the store{since}; every file stays as it is: {problem}"
                )
            }
            (Some(_), still) => tracing::warn!(
                retry_in_ms,
                store = self.name,
                "{still}cannot follow a store of [backend]{since}; the files of its resources stay as they are: {problem}"
            ),
        }
    }

    /// Logs that it is followed again, after this time.
    fn log_return(&self, lost: Duration) {
        let lost_seconds = lost.as_secs();
        match &self.settings {
            None => tracing::info!(lost_seconds, "following the store again, after {lost_seconds} s"),
            Some(_) => tracing::info!(
                lost_seconds,
                store = self.name,
                "following a store of [backend] again, after {lost_seconds} s"
            ),
        }
    }
}

impl Stores {
    /// Returns a set without sources. `follows`: sources go on after the first snapshot.
    pub fn new(standard: StoreSettings, follows: bool) -> Stores {
        Stores { standard, follows, running: Vec::new(), news: LastHeard::default() }
    }

    /// Shows there what its sources hear.
    pub(super) fn with_news(self, news: LastHeard) -> Stores {
        Stores { news, ..self }
    }

    /// Starts, keeps and ends sources as the catalog requires.
    pub fn set(&mut self, wanted: &[StoreUse]) {
        let mut old = std::mem::take(&mut self.running);
        let is_alone = wanted.len() == 1;
        for store in wanted {
            let known = old.iter().position(|running| running.settings == store.settings);
            let mut running = known.map(|position| old.swap_remove(position)).unwrap_or_else(|| Running {
                settings: store.settings.clone(),
                name: store.settings.as_deref().unwrap_or(&self.standard).to_string(),
                wanted: store.wanted.clone(),
                handle: None,
                lost: None,
                resync_wanted: false,
            });
            // A store that no resource reads is not needed, but the only store is followed all the same.
            let is_needed = !store.wanted.all().is_empty() || (is_alone && self.follows);
            match &running.handle {
                Some(handle) if is_needed && running.wanted != store.wanted => handle.set_wanted(store.wanted.clone()),
                Some(_) if is_needed => {}
                // What was requested of it, and its loss, are over with it.
                Some(_) => (running.handle, running.lost, running.resync_wanted) = (None, None, false),
                None if is_needed => {
                    let settings = store.settings.as_deref().unwrap_or(&self.standard).clone();
                    running.handle = Some(source::start(settings, store.wanted.clone(), self.follows));
                }
                None => {}
            }
            running.wanted = store.wanted.clone();
            self.running.push(running);
        }
        let shown = self.running.iter().filter_map(|running| {
            let name = running.settings.as_ref().map(|_| running.name.clone());
            Some((name, running.handle.as_ref()?.heard.clone()))
        });
        self.news.show_stores(shown.collect());
    }

    /// Waits for the next event of any store; `None` if its task has ended, which it never should.
    pub async fn next(&mut self) -> (usize, Option<Event>) {
        std::future::poll_fn(|context| {
            for (position, running) in self.running.iter_mut().enumerate() {
                if let Some(handle) = &mut running.handle
                    && let Poll::Ready(event) = handle.events.poll_recv(context)
                {
                    return Poll::Ready((position, event));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Logs the news of the store itself in an event. Returns whether the event is the snapshot that a resync has requested.
    pub fn note(&mut self, position: usize, event: &Event) -> bool {
        let Some(running) = self.running.get_mut(position) else { return false };
        match event {
            Event::Lost { problem, retry_in, .. } => {
                let now = clock::now();
                let loss = running.lost.get_or_insert_with(|| StoreLoss::begin(now, clock::unix_seconds()));
                if let Some(still) = loss.says(problem, now) {
                    running.log_loss(problem, *retry_in, &still);
                }
            }
            _ => {
                if let Some(loss) = running.lost.take() {
                    running.log_return(clock::since(loss.since));
                }
            }
        }
        matches!(event, Event::Snapshot { .. }) && std::mem::take(&mut running.resync_wanted)
    }

    /// Shows a store the tree that the agent has of it now.
    pub fn show(&self, position: usize, tree: Tree) {
        if let Some(handle) = self.running.get(position).and_then(|running| running.handle.as_ref()) {
            handle.set_known(tree);
        }
    }

    /// Returns the name of a store of a `[backend]` table; `None` for the settings' store.
    pub fn further(&self, position: usize) -> Option<&str> {
        self.running.get(position).filter(|running| running.settings.is_some()).map(|running| running.name.as_str())
    }

    /// Requests everything again. `restarts`: what an earlier request is still reading is read from the beginning. Returns the stores
    /// that no resource reads, for which no snapshot will come.
    pub fn resync(&mut self, restarts: bool) -> Vec<usize> {
        let mut idle = Vec::new();
        for (position, running) in self.running.iter_mut().enumerate() {
            match &running.handle {
                Some(_) if running.resync_wanted && !restarts => {}
                Some(handle) => {
                    handle.resync();
                    running.resync_wanted = true;
                }
                None => idle.push(position),
            }
        }
        idle
    }

    /// Returns whether a resync waits for its snapshot.
    pub fn awaits_resync(&self) -> bool {
        self.running.iter().any(|running| running.resync_wanted)
    }

    /// Returns the first snapshot of each store, or the reason why there was no snapshot in time. A store that only an edit makes
    /// readable is not waited for: only a daemon does that. With the `setting` that limits the wait, a wait that gets long is logged.
    pub async fn first_snapshots(
        &mut self,
        timeout: Duration,
        setting: Option<&str>,
    ) -> Vec<(usize, Result<Event, String>)> {
        let deadline = tokio::time::Instant::from(clock::now() + timeout);
        let mut to_log = setting.filter(|_| timeout > SILENCE);
        let patience = tokio::time::Instant::from(clock::now() + SILENCE);
        let mut waiting: Vec<usize> = (0..self.running.len()).filter(|at| self.running[*at].handle.is_some()).collect();
        let mut problems = vec!["no answer".to_owned(); self.running.len()];
        let mut found = Vec::new();
        while !waiting.is_empty() {
            let until = if to_log.is_some() { patience } else { deadline };
            match tokio::time::timeout_at(until, self.next()).await {
                Ok((position, Some(event @ Event::Snapshot { .. }))) => {
                    waiting.retain(|waiting| *waiting != position);
                    found.push((position, Ok(event)));
                }
                Ok((position, Some(Event::Lost { problem, is_lasting, .. }))) => {
                    if is_lasting {
                        waiting.retain(|waiting| *waiting != position);
                        found.push((position, Err(self.no_snapshot(position, "", &problem))));
                    }
                    problems[position] = problem;
                }
                Ok((_, Some(_))) => {}
                Ok((position, None)) => {
                    // Its task has ended: no event will follow.
                    self.running[position].handle = None;
                    waiting.retain(|waiting| *waiting != position);
                    found.push((position, Err(self.no_snapshot(position, "", &problems[position]))));
                }
                Err(_) => match to_log.take() {
                    None => break,
                    Some(setting) => {
                        let left = timeout.saturating_sub(SILENCE).as_secs();
                        for &position in &waiting {
                            let problem = self.no_snapshot(position, " yet", &problems[position]);
                            tracing::warn!("{problem}; trying for another {left} s (--{setting})");
                        }
                    }
                },
            }
        }
        let within = format!(" within {timeout:?}");
        for position in waiting {
            found.push((position, Err(self.no_snapshot(position, &within, &problems[position]))));
        }
        found
    }

    fn no_snapshot(&self, position: usize, within: &str, problem: &str) -> String {
        match self.further(position) {
            None => format!("no snapshot of the store{within}: {problem}"),
            Some(name) => format!("no snapshot of the store {name}{within}: {problem}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::range::KeyRanges;

    /// Returns the settings' store, and one of a `[backend]`, which is read as well.
    fn uses(is_standard_read: bool) -> [StoreUse; 2] {
        let wanted = |is_read: bool| WantedKeys::of([&KeyRanges::of_directories(is_read.then_some("/a"))]);
        let further = StoreUse { settings: Some(Arc::new(StoreSettings::Env)), wanted: wanted(true) };
        [StoreUse { settings: None, wanted: wanted(is_standard_read) }, further]
    }

    /// Returns the sources, which have sent their first snapshots.
    async fn started() -> Stores {
        let mut stores = Stores::new(StoreSettings::Env, true);
        stores.set(&uses(true));
        stores.first_snapshots(Duration::from_secs(60), None).await;
        stores
    }

    /// Returns the store whose event waits after all sources have done what they were asked to.
    async fn waiting(stores: &mut Stores) -> Option<usize> {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        tokio::select! {
            biased;
            (position, _) = stores.next() => Some(position),
            () = std::future::ready(()) => None,
        }
    }

    #[tokio::test]
    async fn the_next_interval_does_not_restart_a_reading_but_a_person_does() {
        let mut stores = started().await;
        stores.resync(false);
        // The snapshots are taken here, but the agent does not have them yet.
        assert_eq!((waiting(&mut stores).await, waiting(&mut stores).await), (Some(0), Some(1)));
        stores.resync(false);
        assert_eq!(waiting(&mut stores).await, None);
        stores.resync(true);
        assert_eq!(waiting(&mut stores).await, Some(0));
    }

    #[tokio::test]
    async fn a_source_that_ends_is_neither_awaited_nor_lost_any_more() {
        let mut stores = started().await;
        stores.resync(true);
        stores.note(0, &Event::Lost { problem: "away".to_owned(), retry_in: Duration::ZERO, is_lasting: false });
        let (_, event) = stores.next().await;
        stores.note(1, &event.unwrap());
        stores.set(&uses(false));
        assert!(!stores.awaits_resync() && stores.running[0].lost.is_none());
    }
}
