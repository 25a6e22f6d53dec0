//! Carries out passes beside the loop, each on a thread that may block: a template that computes for seconds or waits for a
//! name server does not hold up other passes. Never decides which pass is due.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::apply::lone;
use crate::model::report::{Rendered, Report};
use crate::world::clock;

use super::pass::{Pass, Returned};

/// Time without progress after which a batch gets a further thread.
const PATIENCE: Duration = Duration::from_millis(50);

/// The passes under way.
pub(super) struct Crew {
    running: JoinSet<Vec<Returned>>,
    /// Resources without commands: rendered one after the other, written together.
    batches: Vec<WatchedBatch>,
    /// Whether passes have to stop immediately.
    stopped: watch::Sender<bool>,
}

/// A batch, with its progress at the last look.
struct WatchedBatch {
    batch: Arc<LoneBatch>,
    taken: usize,
    look_at: Instant,
}

/// Passes over lone resources. The thread that finds nothing left to render writes everything that has been rendered.
struct LoneBatch {
    todo: Mutex<VecDeque<Pass>>,
    prepared: Mutex<Vec<Pass>>,
    /// Number of passes that have been taken from `todo`.
    taken: AtomicUsize,
}

impl Crew {
    /// Returns a crew without work.
    pub(super) fn new() -> Crew {
        Crew { running: JoinSet::new(), batches: Vec::new(), stopped: watch::Sender::new(false) }
    }

    /// Starts these passes.
    pub(super) fn start(&mut self, passes: Vec<Pass>) {
        let (lone, others): (VecDeque<Pass>, Vec<Pass>) = partition(passes);
        for pass in others {
            let (runtime, stopped) = (Handle::current(), self.stopped.subscribe());
            self.running.spawn_blocking(move || run(pass, &runtime, stopped));
        }
        if !lone.is_empty() {
            let is_one = lone.len() == 1;
            let batch = Arc::new(LoneBatch::of(lone));
            self.work_on(Arc::clone(&batch));
            // A single pass holds up no other.
            if !is_one {
                self.batches.push(WatchedBatch { batch, taken: 0, look_at: clock::now() + PATIENCE });
            }
        }
    }

    fn work_on(&mut self, batch: Arc<LoneBatch>) {
        let runtime = Handle::current();
        self.running.spawn_blocking(move || batch.work(&runtime));
    }

    /// Waits for the next pass to end, or several that end together; returns `None` if none runs.
    pub(super) async fn next(&mut self) -> Option<Vec<Returned>> {
        loop {
            let look_at = self.batches.iter().map(|watched| watched.look_at).min();
            let joined = tokio::select! {
                joined = self.running.join_next() => joined?,
                () = clock::sleep_until(look_at) => {
                    self.help();
                    continue;
                }
            };
            return Some(joined.unwrap_or_else(|_| {
                tracing::error!(
                    "a pass over a group has ended without a report, which is a bug; its files stay as they are"
                );
                Vec::new()
            }));
        }
    }

    /// Adds a thread to each batch that has made no progress.
    fn help(&mut self) {
        let now = clock::now();
        self.batches.retain(|watched| !watched.batch.is_done());
        let mut stuck = Vec::new();
        for watched in self.batches.iter_mut().filter(|watched| watched.look_at <= now) {
            let taken = watched.batch.taken.load(Ordering::Relaxed);
            if taken == watched.taken {
                stuck.push(Arc::clone(&watched.batch));
            }
            (watched.taken, watched.look_at) = (taken, now + PATIENCE);
        }
        stuck.into_iter().for_each(|batch| self.work_on(batch));
    }

    /// Returns whether any pass is under way.
    pub(super) fn is_busy(&self) -> bool {
        !self.running.is_empty()
    }

    /// Stops every pass immediately; half-done work is undone at the next start.
    pub(super) fn stop(&mut self) {
        self.stopped.send_replace(true);
    }
}

impl Default for Crew {
    fn default() -> Crew {
        Crew::new()
    }
}

fn partition(passes: Vec<Pass>) -> (VecDeque<Pass>, Vec<Pass>) {
    let (mut lone, mut others) = (VecDeque::new(), Vec::new());
    for pass in passes {
        if pass.group.is_lone() { lone.push_back(pass) } else { others.push(pass) }
    }
    (lone, others)
}

/// Runs a whole pass; returns nothing if it was stopped.
fn run(mut pass: Pass, runtime: &Handle, mut stopped: watch::Receiver<bool>) -> Vec<Returned> {
    pass.prepare();
    let report = runtime.block_on(async {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => None,
            report = pass.apply() => Some(report),
        }
    });
    report.map(|report| pass.end(report)).into_iter().collect()
}

impl LoneBatch {
    fn of(passes: VecDeque<Pass>) -> LoneBatch {
        let prepared = Mutex::new(Vec::with_capacity(passes.len()));
        LoneBatch { todo: Mutex::new(passes), prepared, taken: AtomicUsize::new(0) }
    }

    /// Returns whether nothing waits to be rendered or written. The last passes may still be under way.
    fn is_done(&self) -> bool {
        self.lock_todo().is_empty() && self.lock_prepared().is_empty()
    }

    fn lock_prepared(&self) -> MutexGuard<'_, Vec<Pass>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_todo(&self) -> MutexGuard<'_, VecDeque<Pass>> {
        self.todo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renders until nothing is left to render, then writes what has been rendered.
    fn work(&self, runtime: &Handle) -> Vec<Returned> {
        loop {
            let Some(mut pass) = self.lock_todo().pop_front() else { break };
            self.taken.fetch_add(1, Ordering::Relaxed);
            pass.prepare();
            self.lock_prepared().push(pass);
        }
        let prepared = std::mem::take(&mut *self.lock_prepared());
        write(prepared, runtime)
    }
}

/// Writes the rendered files of lone resources, all together.
fn write(mut passes: Vec<Pass>, runtime: &Handle) -> Vec<Returned> {
    let rendered: Vec<Vec<Rendered>> = passes.iter_mut().map(Pass::take_rendered).collect();
    let counts: Vec<usize> = rendered.iter().map(Vec::len).collect();
    let rendered: Vec<Rendered> = rendered.into_iter().flatten().collect();
    let Some(terms) = passes.first().map(|pass| Arc::clone(&pass.terms)) else { return Vec::new() };
    let reports = if rendered.is_empty() { Vec::new() } else { runtime.block_on(lone::run(&terms.context, rendered)) };
    let mut reports = reports.into_iter();
    let end = |(pass, count): (Pass, usize)| {
        let unchanged = Report::unchanged(pass.revision);
        let report = if count == 0 { None } else { reports.next() };
        let revision = pass.revision;
        pass.end(report.map_or(unchanged, |report| Report { revision, ..report }))
    };
    passes.into_iter().zip(counts).map(end).collect()
}
