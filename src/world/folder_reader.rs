//! Reads folders on a thread that may block, and again when they have changed: a folder that hangs holds up nothing else, and gets no
//! second thread. Never decides what is done with what was read.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::clock;
use super::folder_watch::{FolderWatch, Watched};

/// Time for which the folders must be quiet before a change is news.
const QUIET: Duration = Duration::from_millis(100);
/// Time after which a reading that has not ended is said in the log.
const SLOW: Duration = Duration::from_secs(10);

/// A reader of folders.
pub struct FolderReader<Content> {
    /// What is read, for the log.
    what: &'static str,
    /// The watch on the folders; `None` if they are read when somebody asks only.
    watch: Option<FolderWatch>,
    /// Returns what has to be watched after this was read.
    watched: fn(&Content) -> &Watched,
    reading: Option<FolderReading<Content>>,
    /// Reason for a further reading, after the one under way.
    again: Option<&'static str>,
}

struct FolderReading<Content> {
    task: JoinHandle<Content>,
    reason: &'static str,
    /// When the log says that it takes long; `None` once it has.
    slow_at: Option<Instant>,
}

/// What has happened to the folders.
pub enum FolderNews<Content> {
    /// A file may have changed.
    Changed,
    /// They were read, for this reason.
    Read(Content, &'static str),
}

impl<Content: Send + 'static> FolderReader<Content> {
    /// Returns a reader that has read nothing yet. `watches`: changes of the folders are news.
    pub fn new(what: &'static str, watches: bool, watched: fn(&Content) -> &Watched) -> FolderReader<Content> {
        let watch = watches.then(|| FolderWatch::start(QUIET));
        FolderReader { what, watch, watched, reading: None, again: None }
    }

    /// Returns whether a change of the folders is noticed.
    pub fn watches(&self) -> bool {
        self.watch.is_some()
    }

    /// Returns whether a reading is under way.
    pub fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Begins to read with `load`, or notes that it has to be read once more after the reading under way.
    pub fn read(&mut self, reason: &'static str, load: impl Fn() -> Content + Send + 'static) {
        if self.reading.is_some() {
            self.again = Some(reason);
            return;
        }
        let (places, watched) = (self.watch.as_ref().map(FolderWatch::places), self.watched);
        let task = tokio::task::spawn_blocking(move || {
            let content = load();
            match places.is_some_and(|places| places.set(watched(&content))) {
                true => load(),
                false => content,
            }
        });
        self.reading = Some(FolderReading { task, reason, slow_at: Some(clock::now() + SLOW) });
    }

    /// Returns the reason for which a further reading was asked for while one was under way, once.
    pub fn take_again(&mut self) -> Option<&'static str> {
        self.again.take()
    }

    /// Waits for the next news. Dropping the future loses nothing.
    pub async fn next(&mut self) -> FolderNews<Content> {
        loop {
            let Some(reading) = &mut self.reading else { return changed(&mut self.watch).await };
            tokio::select! {
                read = &mut reading.task => {
                    let reason = reading.reason;
                    self.reading = None;
                    match read {
                        Ok(content) => return FolderNews::Read(content, reason),
                        Err(error) => tracing::error!("the task that reads {} failed: {error}", self.what),
                    }
                }
                () = clock::sleep_until(reading.slow_at), if reading.slow_at.is_some() => {
                    reading.slow_at = None;
                    tracing::warn!(
                        "reading {} takes longer than {SLOW:?}: everything else goes on with what was read before",
                        self.what
                    );
                }
                news = changed(&mut self.watch) => return news,
            }
        }
    }
}

async fn changed<Content>(watch: &mut Option<FolderWatch>) -> FolderNews<Content> {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
    FolderNews::Changed
}
