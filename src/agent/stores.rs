//! The running sources: that of the settings, and one for each further store that `[backend]` tables name. A store that is away
//! concerns nobody but its own resources.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::model::event::Event;
use crate::model::range::KeyRanges;
use crate::model::store::StoreSettings;
use crate::source::{self, Handle};
use crate::world::clock;

use super::loaded::StoreUse;

/// The sources, by the position of their store in `Loaded::stores`.
pub struct Stores {
    /// The store of the settings.
    standard: StoreSettings,
    follows: bool,
    running: Vec<Running>,
}

struct Running {
    /// `None` is the store of the settings.
    settings: Option<Arc<StoreSettings>>,
    /// How it is named in the log.
    name: String,
    ranges: KeyRanges,
    /// `None` where nobody wants any key of it.
    handle: Option<Handle>,
    /// The problem that was said last, while it cannot be followed.
    lost: Option<String>,
    /// The next snapshot answers a resync.
    resync_wanted: bool,
}

impl Stores {
    /// No source yet.
    pub fn new(standard: StoreSettings, follows: bool) -> Stores {
        Stores { standard, follows, running: Vec::new() }
    }

    /// Makes the sources fit: those that stay go on, others are started or ended.
    pub fn set(&mut self, wanted: &[StoreUse]) {
        let mut old = std::mem::take(&mut self.running);
        let is_alone = wanted.len() == 1;
        for store in wanted {
            let known = old.iter().position(|running| running.settings == store.settings);
            let mut running = known.map(|position| old.swap_remove(position)).unwrap_or_else(|| Running {
                settings: store.settings.clone(),
                name: store.settings.as_deref().unwrap_or(&self.standard).to_string(),
                ranges: store.ranges.clone(),
                handle: None,
                lost: None,
                resync_wanted: false,
            });
            // Nobody has to have a store that no resource reads; one that is the only one is looked at all the same.
            let is_needed = !store.ranges.is_empty() || (is_alone && self.follows);
            match &running.handle {
                Some(handle) if is_needed && running.ranges != store.ranges => handle.set_ranges(store.ranges.clone()),
                Some(_) if is_needed => {}
                Some(_) => running.handle = None,
                None if is_needed => {
                    let settings = store.settings.as_deref().unwrap_or(&self.standard).clone();
                    running.handle = Some(source::start(settings, store.ranges.clone(), self.follows));
                }
                None => {}
            }
            running.ranges = store.ranges.clone();
            self.running.push(running);
        }
    }

    /// Waits for the next thing that a store says; `None` when its task has ended, which it never should.
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

    /// Tells what an event says of the store itself. Answers whether it is the snapshot that a resync has asked for.
    pub fn note(&mut self, position: usize, event: &Event) -> bool {
        let Some(running) = self.running.get_mut(position) else { return false };
        match event {
            Event::Lost { problem, .. } if running.lost.as_ref() == Some(problem) => {}
            Event::Lost { problem, retry_in, .. } => {
                let retry_in_ms = retry_in.as_millis();
                match &running.settings {
                    None => tracing::warn!(
                        retry_in_ms,
                        "the store cannot be followed, every file stays as it is: {problem}"
                    ),
                    Some(_) => tracing::warn!(
                        retry_in_ms,
                        store = running.name,
                        "a store of [backend] cannot be followed, the files of its resources stay as they are: {problem}"
                    ),
                }
                running.lost = Some(problem.clone());
            }
            _ if running.lost.take().is_some() => match &running.settings {
                None => tracing::info!("the store is followed again"),
                Some(_) => tracing::info!(store = running.name, "a store of [backend] is followed again"),
            },
            _ => {}
        }
        matches!(event, Event::Snapshot { .. }) && std::mem::take(&mut running.resync_wanted)
    }

    /// How a further store is named; `None` for that of the settings.
    pub fn further(&self, position: usize) -> Option<&str> {
        self.running.get(position).filter(|running| running.settings.is_some()).map(|running| running.name.as_str())
    }

    /// Wants everything anew. Answers the stores of which nothing is read, so that no snapshot will come.
    pub fn resync(&mut self) -> Vec<usize> {
        let mut idle = Vec::new();
        for (position, running) in self.running.iter_mut().enumerate() {
            match &running.handle {
                Some(handle) => {
                    handle.resync();
                    running.resync_wanted = true;
                }
                None => idle.push(position),
            }
        }
        idle
    }

    /// Whether a resync waits for its answer.
    pub fn awaits_resync(&self) -> bool {
        self.running.iter().any(|running| running.resync_wanted)
    }

    /// The first snapshot of each store, or why there was none in time. What is still malformed at the second look is not
    /// waited for: that is a daemon's work.
    pub async fn first_snapshots(&mut self, timeout: Duration) -> Vec<(usize, Result<Event, String>)> {
        let deadline = tokio::time::Instant::from(clock::now() + timeout);
        let mut waiting: Vec<usize> = (0..self.running.len()).filter(|at| self.running[*at].handle.is_some()).collect();
        let mut problems = vec!["no answer".to_owned(); self.running.len()];
        let mut were_malformed = vec![false; self.running.len()];
        let mut found = Vec::new();
        while !waiting.is_empty() {
            match tokio::time::timeout_at(deadline, self.next()).await {
                Ok((position, Some(event @ Event::Snapshot { .. }))) => {
                    waiting.retain(|waiting| *waiting != position);
                    found.push((position, Ok(event)));
                }
                Ok((position, Some(Event::Lost { problem, is_malformed, .. }))) => {
                    if std::mem::replace(&mut were_malformed[position], is_malformed) && is_malformed {
                        waiting.retain(|waiting| *waiting != position);
                        found.push((position, Err(self.no_snapshot(position, "", &problem))));
                    }
                    problems[position] = problem;
                }
                Ok((_, Some(_))) => {}
                Ok((position, None)) => {
                    // Its task has ended: nothing more will come of it.
                    self.running[position].handle = None;
                    waiting.retain(|waiting| *waiting != position);
                    found.push((position, Err(self.no_snapshot(position, "", &problems[position]))));
                }
                Err(_) => break,
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
