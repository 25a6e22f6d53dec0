//! Reads folders on a thread that may block, and again when they have changed: a folder that hangs holds up nothing else, and gets no
//! second thread. Never decides what is done with what was read.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::clock;
use super::folder_watch::{FolderWatch, Watched};
use crate::world::tasks;

/// Time for which the folders must be quiet before a change is news.
const QUIET: Duration = Duration::from_millis(100);
/// Time after which the log says that a reading has not ended.
const SLOW: Duration = Duration::from_secs(10);
/// Pause after a reading that has failed.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Pause after a reading while a change may go unnoticed.
pub const BLIND_PAUSE: Duration = Duration::from_secs(10);

/// A reader of folders.
pub struct FolderReader<Content> {
    /// Name of what is read, for the log.
    what: &'static str,
    /// The watch on the folders; `None` if they are read when somebody asks only.
    watch: Option<FolderWatch>,
    /// Returns what has to be watched after this was read.
    watched: fn(&Content) -> &Watched,
    reading: Option<FolderReading<Content>>,
    /// Reason for another read, after the one under way, and when it is due.
    again: Option<(&'static str, Instant)>,
    /// When to read because the watch is blind.
    blind_look: Option<Instant>,
}

struct FolderReading<Content> {
    task: JoinHandle<Content>,
    reason: &'static str,
    /// When the log says that it takes long; `None` once it has.
    slow_at: Option<Instant>,
}

/// News of the folders.
pub enum FolderNews<Content> {
    /// They have to be read, for this reason.
    Due(&'static str),
    /// They were read, for this reason.
    Read(Content, &'static str),
}

impl<Content: Send + 'static> FolderReader<Content> {
    /// Returns a reader that has read nothing yet. `watches`: changes of the folders are news.
    pub fn new(what: &'static str, watches: bool, watched: fn(&Content) -> &Watched) -> FolderReader<Content> {
        let watch = watches.then(|| FolderWatch::start(QUIET));
        FolderReader { what, watch, watched, reading: None, again: None, blind_look: None }
    }

    /// Returns whether changes of the folders are news.
    pub fn watches(&self) -> bool {
        self.watch.is_some()
    }

    /// Returns whether a reading is under way or due.
    pub fn is_reading(&self) -> bool {
        self.reading.is_some() || self.again.is_some()
    }

    /// Begins to read with `load`. If a read is under way, another one is due after it.
    pub fn read(&mut self, reason: &'static str, load: impl Fn() -> Content + Send + 'static) {
        if self.reading.is_some() {
            self.again = Some((reason, clock::now()));
            return;
        }
        self.blind_look = None;
        let (places, watched) = (self.watch.as_ref().map(FolderWatch::places), self.watched);
        let task = tasks::spawn_blocking(move || {
            let content = load();
            match places.is_some_and(|places| places.set(watched(&content))) {
                true => load(),
                false => content,
            }
        });
        self.reading = Some(FolderReading { task, reason, slow_at: Some(clock::now() + SLOW) });
    }

    /// Waits for the next news. Dropping the future loses nothing.
    pub async fn next(&mut self) -> FolderNews<Content> {
        loop {
            let Some(reading) = &mut self.reading else {
                let Some((reason, due)) = self.again else {
                    tokio::select! {
                        news = changed(&mut self.watch) => return news,
                        () = clock::sleep_until(self.blind_look) => {
                            self.blind_look = None;
                            return FolderNews::Due("not everything is watched");
                        }
                    }
                };
                clock::sleep_until(Some(due)).await;
                self.again = None;
                return FolderNews::Due(reason);
            };
            tokio::select! {
                read = &mut reading.task => {
                    let reason = reading.reason;
                    self.reading = None;
                    let is_blind = self.watch.as_ref().is_some_and(FolderWatch::is_blind);
                    self.blind_look = is_blind.then(|| clock::now() + BLIND_PAUSE);
                    match read {
                        Ok(content) => return FolderNews::Read(content, reason),
                        Err(error) => {
                            tracing::error!("the task that reads {} failed and is tried again: {error}", self.what);
                            self.again = Some((reason, clock::now() + RETRY_PAUSE));
                        }
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
    FolderNews::Due("files have changed")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Text(String, Watched);

    /// Returns the next text that is read; `begins` begins each reading that is due.
    async fn next_text(
        reader: &mut FolderReader<Text>,
        begins: impl Fn(&mut FolderReader<Text>, &'static str),
    ) -> String {
        loop {
            match reader.next().await {
                FolderNews::Read(Text(text, _), _) => return text,
                FolderNews::Due(reason) => begins(reader, reason),
            }
        }
    }

    #[tokio::test]
    async fn what_changes_during_a_reading_is_read_after_it() {
        let mut reader = FolderReader::new("a", false, |text: &Text| &text.1);
        let load = |text: &'static str| move || Text(text.to_owned(), Watched::default());
        reader.read("start", load("old"));
        reader.read("changed meanwhile", load("new"));
        assert_eq!(next_text(&mut reader, |_, _| unreachable!()).await, "old");
        assert!(reader.is_reading(), "it has to be read again");
        let begins = |reader: &mut FolderReader<Text>, reason| {
            assert_eq!(reason, "changed meanwhile");
            reader.read(reason, load("new"));
        };
        assert_eq!(next_text(&mut reader, begins).await, "new");
        assert!(!reader.is_reading());
    }

    #[tokio::test]
    async fn a_reading_that_fails_is_tried_again() {
        let mut reader = FolderReader::new("a", false, |text: &Text| &text.1);
        reader.read("start", || panic!("a bug"));
        let begins = |reader: &mut FolderReader<Text>, reason| {
            assert_eq!(reason, "start");
            reader.read(reason, || Text("read".to_owned(), Watched::default()));
        };
        assert_eq!(next_text(&mut reader, begins).await, "read");
    }
}
