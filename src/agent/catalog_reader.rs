//! Reads conf.d and templates on a thread that may block: a folder that hangs holds up nothing else, and gets no second thread. Never
//! decides what is done with them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::task::JoinHandle;

use crate::render::Facts;
use crate::world::clock;
use crate::world::folder_watch::FolderWatch;
use crate::world::signals::Signals;

use super::catalog::{self, Catalog, Confdirs};
use super::once;

/// Time for which the folders must be quiet before they are read.
const QUIET: Duration = Duration::from_millis(100);
/// Time after which a reading that has not ended is said in the log.
const SLOW: Duration = Duration::from_secs(10);

/// The folders of conf.d and templates.
pub struct CatalogReader {
    confdirs: Arc<Confdirs>,
    facts: Arc<dyn Facts>,
    /// The watch on the folders; `None` if they are read when somebody asks only.
    watch: Option<FolderWatch>,
    reading: Option<CatalogReading>,
    /// Reason for a further reading, after the one under way.
    again: Option<&'static str>,
}

struct CatalogReading {
    task: JoinHandle<Catalog>,
    reason: &'static str,
    /// When the log says that it takes long; `None` once it has.
    slow_at: Option<Instant>,
}

/// What has happened to the folders.
pub(super) enum CatalogNews {
    /// A file may have changed.
    Changed,
    /// They were read, for this reason.
    Read(Box<Catalog>, &'static str),
}

impl CatalogReader {
    /// Returns a reader that has read nothing yet. `watches`: changes of the folders are news.
    pub fn new(confdirs: Confdirs, facts: Arc<dyn Facts>, watches: bool) -> CatalogReader {
        let watch = watches.then(|| FolderWatch::start(QUIET));
        CatalogReader { confdirs: Arc::new(confdirs), facts, watch, reading: None, again: None }
    }

    /// Reads for the first time.
    ///
    /// # Errors
    /// This signal asks to stop before everything was read.
    pub async fn first(&mut self, signals: &mut Signals) -> Result<Catalog, Signal> {
        self.read(None, "start");
        loop {
            tokio::select! {
                biased;
                signal = once::stop(signals) => return Err(signal),
                news = self.next() => match news {
                    CatalogNews::Read(catalog, _) => return Ok(*catalog),
                    CatalogNews::Changed => {}
                },
            }
        }
    }

    /// Returns whether a change of the folders is noticed.
    pub(super) fn watches(&self) -> bool {
        self.watch.is_some()
    }

    /// Returns whether a reading is under way.
    pub(super) fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Begins to read, or to read once more after the reading under way. Files that are broken keep what `current` has of them.
    pub(super) fn read(&mut self, current: Option<&Arc<Catalog>>, reason: &'static str) {
        if self.reading.is_some() {
            self.again = Some(reason);
            return;
        }
        let (confdirs, facts) = (Arc::clone(&self.confdirs), Arc::clone(&self.facts));
        let places = self.watch.as_ref().map(FolderWatch::places);
        let current = current.cloned();
        let task = tokio::task::spawn_blocking(move || {
            let load = || catalog::load(&confdirs, &facts, current.as_deref());
            let catalog = load();
            match places.is_some_and(|places| places.set(&catalog.watched)) {
                true => load(),
                false => catalog,
            }
        });
        self.reading = Some(CatalogReading { task, reason, slow_at: Some(clock::now() + SLOW) });
    }

    /// Returns the reason for which a further reading was asked for while one was under way, once.
    pub(super) fn take_again(&mut self) -> Option<&'static str> {
        self.again.take()
    }

    /// Waits for the next news. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> CatalogNews {
        loop {
            let Some(reading) = &mut self.reading else { return changed(&mut self.watch).await };
            tokio::select! {
                read = &mut reading.task => {
                    let reason = reading.reason;
                    self.reading = None;
                    match read {
                        Ok(catalog) => return CatalogNews::Read(Box::new(catalog), reason),
                        Err(error) => tracing::error!("the task that reads conf.d and templates failed: {error}"),
                    }
                }
                () = clock::sleep_until(reading.slow_at), if reading.slow_at.is_some() => {
                    reading.slow_at = None;
                    tracing::warn!(
                        "reading conf.d and templates takes longer than {SLOW:?}: everything else goes on with what was read before"
                    );
                }
                news = changed(&mut self.watch) => return news,
            }
        }
    }
}

async fn changed(watch: &mut Option<FolderWatch>) -> CatalogNews {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
    CatalogNews::Changed
}
