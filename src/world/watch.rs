//! Tells when files or folders may have changed. Watches the folders that names are looked up in, because editors and
//! ConfigMaps replace files and links by renaming. Never reads a file and never says what changed.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Follows no more links than this on the way to one file.
const MOST_LINKS: usize = 40;

/// How often to look where the system cannot tell of changes.
const POLL: Duration = Duration::from_secs(2);

/// How long changes may go on before they are told, in quiet times.
const LONGEST_WAIT_IN_QUIETS: u32 = 20;

/// A watch over paths that need not exist. Good for one change: start the next one before reading, and nothing is missed.
#[derive(Debug)]
pub struct PathWatch {
    changes: mpsc::Receiver<()>,
    /// `None` where the system cannot watch; then every poll counts as a change.
    watcher: Option<RecommendedWatcher>,
}

impl PathWatch {
    /// Starts watching `paths`: files, and folders with all that is below them.
    pub fn start(paths: &[PathBuf]) -> PathWatch {
        let (sender, changes) = mpsc::channel(1);
        match watcher(paths, sender) {
            Ok(watcher) => PathWatch { changes, watcher: Some(watcher) },
            Err(error) => {
                tracing::warn!(%error, "cannot watch files for changes; looking at them every {POLL:?} instead");
                PathWatch { changes, watcher: None }
            }
        }
    }

    /// Ends when something may have changed and nothing more happened for `quiet`, or for twenty times that at most.
    /// Dropping the future loses nothing but the quiet time.
    pub async fn changed(&mut self, quiet: Duration) {
        if self.watcher.is_none() || self.changes.recv().await.is_none() {
            tokio::time::sleep(POLL).await;
            return;
        }
        let settle = async { while let Ok(Some(())) = tokio::time::timeout(quiet, self.changes.recv()).await {} };
        // Whether it settled or was cut off: it is time to look.
        tokio::time::timeout(quiet * LONGEST_WAIT_IN_QUIETS, settle).await.ok();
    }
}

fn watcher(paths: &[PathBuf], sender: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let trails: Vec<PathBuf> = paths.iter().flat_map(|path| trail(path)).collect();
    let named = trails.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.map_or(true, |event| matters(&event, &named)) {
            // A full channel already says that something changed.
            sender.try_send(()).ok();
        }
    })?;
    for name in &trails {
        if let Some(parent) = name.parent() {
            watcher.watch(parent, RecursiveMode::NonRecursive)?;
        }
        if name.is_dir() {
            watcher.watch(name, RecursiveMode::Recursive)?;
        }
    }
    Ok(watcher)
}

/// Reading is no change; closing after writing is. Until then a file may be half written, so neither its birth nor the
/// writing itself counts.
fn matters(event: &Event, named: &[PathBuf]) -> bool {
    let is_change = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Data(_)) => false,
        EventKind::Create(CreateKind::File) => !event.paths.iter().all(|path| is_empty_file(path)),
        _ => true,
    };
    // An event without a path tells of lost events.
    let concerns = |path: &PathBuf| named.iter().any(|name| path.starts_with(name));
    is_change && (event.paths.is_empty() || event.paths.iter().any(concerns))
}

fn is_empty_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0)
}

/// All names whose replacement would change what `path` names: each link on the way, and the file or folder itself or
/// the first part of the way that does not exist.
fn trail(path: &Path) -> Vec<PathBuf> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut todo: VecDeque<OsString> = parts(&absolute);
    let mut current = PathBuf::from("/");
    let mut trail = Vec::new();
    let mut links = 0;
    while let Some(part) = todo.pop_front() {
        if part == ".." {
            current.pop();
            continue;
        }
        let next = current.join(&part);
        let target = fs::read_link(&next).ok().filter(|_| links < MOST_LINKS);
        if let Some(target) = target {
            links += 1;
            if target.is_absolute() {
                current = PathBuf::from("/");
            }
            for part in parts(&target).into_iter().rev() {
                todo.push_front(part);
            }
            trail.push(next);
            continue;
        }
        current = next;
        if todo.is_empty() || fs::symlink_metadata(&current).is_err() {
            trail.push(current.clone());
            break;
        }
    }
    trail
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(part) => Some(part.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}
