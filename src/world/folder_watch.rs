//! Says that something in a set of folders has changed, once it has been quiet for a moment. Never says what, and never
//! reads a file: whoever listens reads everything anew.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
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

/// Reading is no change; closing after writing is. Until then a file may be half written, so neither its birth nor the
/// writing itself counts; a link or a folder is whole from its birth.
fn is_change(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Data(_)) => false,
        _ => true,
    }
}

impl FolderWatch {
    /// A watch on nothing yet. Changes are told when nothing more has happened for `quiet`.
    pub fn start(quiet: Duration) -> FolderWatch {
        // One waiting event says as much as many.
        let (sender, events) = mpsc::channel(1);
        let notice = move |event: notify::Result<Event>| {
            // An error says that events were lost: look at everything.
            if event.map_or(true, |event| is_change(&event.kind)) {
                sender.try_send(()).ok();
            }
        };
        let watcher = notify::recommended_watcher(notice);
        if let Err(error) = &watcher {
            tracing::warn!("edits of files cannot be noticed, SIGHUP still works: {error}");
        }
        FolderWatch { watcher: watcher.ok(), folders: BTreeSet::new(), events, pending: None, quiet }
    }

    /// Watches these folders from now on, and no others. Those that cannot be watched are said once. True: some are new, and
    /// what was read of them before must be read again, since a change in between has gone unnoticed.
    pub fn set_folders(&mut self, folders: &BTreeSet<PathBuf>) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        for gone in self.folders.difference(folders) {
            // It may be deleted, and its watch with it.
            watcher.unwatch(gone).ok();
        }
        for new in folders.difference(&self.folders) {
            if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!(folder = %new.display(), "edits in this folder cannot be noticed, SIGHUP still works: {error}");
            }
        }
        let grew = !folders.is_subset(&self.folders);
        self.folders = folders.clone();
        grew
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
