//! Says that something in a set of folders has changed, once it has been quiet for a moment. Never says what, and never
//! reads a file: whoever listens reads everything anew.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// However busy the folders are, a change is told after this many quiet times.
const LONGEST_WAIT_FACTOR: u32 = 5;

/// A watch on folders, each without what is below it.
pub struct FolderWatch {
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    events: mpsc::Receiver<()>,
    /// The first and the last change that have not been told yet.
    pending: Option<(Instant, Instant)>,
    quiet: Duration,
}

impl FolderWatch {
    /// A watch on nothing yet. Changes are told when nothing more has happened for `quiet`.
    pub fn start(quiet: Duration) -> FolderWatch {
        // One waiting event says as much as many.
        let (sender, events) = mpsc::channel(1);
        let notice = move |event: notify::Result<Event>| {
            let matters = match event {
                Ok(event) => !matches!(event.kind, EventKind::Access(_)),
                // Events were lost: look at everything.
                Err(_) => true,
            };
            if matters {
                sender.try_send(()).ok();
            }
        };
        let watcher = notify::recommended_watcher(notice);
        if let Err(error) = &watcher {
            tracing::warn!("edits of files cannot be noticed, SIGHUP still works: {error}");
        }
        FolderWatch { watcher: watcher.ok(), folders: BTreeSet::new(), events, pending: None, quiet }
    }

    /// Watches these folders from now on, and no others. Those that cannot be watched are said once.
    pub fn set_folders(&mut self, folders: &BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.folders.difference(folders) {
            // It may be deleted, and its watch with it.
            watcher.unwatch(gone).ok();
        }
        for new in folders.difference(&self.folders) {
            if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!(folder = %new.display(), "edits in this folder cannot be noticed, SIGHUP still works: {error}");
            }
        }
        self.folders = folders.clone();
    }

    /// Waits until something has changed and then been quiet. Dropping the future loses nothing.
    pub async fn changed(&mut self) {
        loop {
            let Some((first, last)) = self.pending else {
                if self.events.recv().await.is_none() {
                    std::future::pending::<()>().await;
                }
                let now = Instant::now();
                self.pending = Some((now, now));
                continue;
            };
            let due = (last + self.quiet).min(first + self.quiet * LONGEST_WAIT_FACTOR);
            tokio::select! {
                () = tokio::time::sleep_until(due) => {
                    self.pending = None;
                    return;
                }
                Some(()) = self.events.recv() => self.pending = Some((first, Instant::now())),
            }
        }
    }
}
