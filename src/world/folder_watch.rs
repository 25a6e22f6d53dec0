//! Reports that something in a set of folders has changed, once they have been quiet for a moment. Never says what changed,
//! and never reads a file: the listener reads everything again.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::fs;

/// Number of quiet times after which a change is reported even if the folders stay busy.
const LONGEST_WAIT_FACTOR: u32 = 5;
/// Maximum number of links followed on the way to one path.
const MAX_LINKS: usize = 16;

/// Types of file systems, as `statfs` names them, that other hosts can write to, or the host of a virtual machine: the kernel reports
/// only what is written by way of itself.
const SHARED_FILE_SYSTEMS: [u32; 16] = [
    0x0000_6969, // NFS
    0x0000_517B, // SMB
    0xFE53_4D42, // SMB 2
    0xFF53_4D42, // CIFS
    0x6573_5546, // FUSE, virtiofs
    0x0102_1997, // 9p
    0x00C3_6400, // Ceph
    0x5346_414F, // AFS
    0x6B41_4653, // AFS, the kernel's own
    0x7375_7245, // Coda
    0x0BD0_0BD0, // Lustre
    0x0116_1970, // GFS2
    0x7461_636F, // OCFS2
    0x4750_4653, // GPFS
    0x786F_4256, // shared folders of VirtualBox
    0xBACB_ACBC, // shared folders of VMware
];

/// The set of paths to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// Folders in which everything matters, links resolved, without their subfolders.
    pub folders: BTreeSet<PathBuf>,
    /// Single names that matter, regardless of the rest of their folder: links and folders on the way to a path, and its
    /// first component that does not exist.
    pub names: BTreeSet<PathBuf>,
    /// Whether there is more that cannot be read: then it cannot be watched either.
    pub is_partial: bool,
}

impl Watched {
    /// Adds the names that decide where `path` leads: it may be replaced, appear, or lead elsewhere through a changed link.
    pub fn add_way_to(&mut self, path: &Path) {
        self.add_way(path, 0);
    }

    fn add_way(&mut self, path: &Path, links: usize) {
        let Ok(path) = std::path::absolute(path) else { return };
        let mut prefix = PathBuf::new();
        for part in path.components() {
            prefix.push(part);
            match std::fs::symlink_metadata(&prefix) {
                Ok(metadata) if metadata.is_symlink() => {
                    self.add_name(&prefix);
                    if let Ok(target) = std::fs::read_link(&prefix)
                        && links < MAX_LINKS
                    {
                        self.add_way(&prefix.parent().unwrap_or(Path::new("/")).join(target), links + 1);
                    }
                }
                Ok(_) => {}
                Err(_) => {
                    self.add_name(&prefix);
                    return;
                }
            }
        }
        self.add_name(&path);
    }

    fn add_name(&mut self, path: &Path) {
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name())
            && let Ok(parent) = parent.canonicalize()
        {
            self.names.insert(parent.join(name));
        }
    }

    fn matters(&self, path: &Path) -> bool {
        self.names.contains(path)
            || self.folders.contains(path)
            || path.parent().is_some_and(|parent| self.folders.contains(parent))
    }

    /// Returns what inotify must watch: the folders, and of these mount points those that matter. A file that is mounted by
    /// itself is written by way of another folder, so the watch on ours does not notice.
    fn places<'a>(&'a self, mount_points: &'a [PathBuf]) -> BTreeSet<&'a Path> {
        let parents = self.names.iter().filter_map(|name| name.parent());
        let mounted = mount_points.iter().map(PathBuf::as_path).filter(|point| self.matters(point));
        self.folders.iter().map(PathBuf::as_path).chain(parents).chain(mounted).collect()
    }
}

/// A watch on folders, without their subfolders, and on files in them that are mounted by themselves.
pub struct FolderWatch {
    places: WatchedPlaces,
    events: mpsc::Receiver<()>,
    /// Times of the first and the last change that have not been reported yet.
    pending: Option<(Instant, Instant)>,
    quiet: Duration,
}

/// The folders that a [`FolderWatch`] watches. A folder on a network may hang, so it is not set on the thread of a loop.
#[derive(Clone)]
pub struct WatchedPlaces {
    inotify: Arc<Mutex<Inotify>>,
    wanted: Arc<Mutex<Watched>>,
    /// Whether something of it is not watched.
    is_blind: Arc<AtomicBool>,
}

struct Inotify {
    watcher: Option<RecommendedWatcher>,
    /// The watched places with their identity when the watch began: a replaced one must be watched again.
    watched: BTreeMap<PathBuf, (u64, u64)>,
    /// The places that the kernel has refused to watch, each logged once.
    refused: BTreeSet<PathBuf>,
}

/// Returns whether an event counts as a change. Reading does not; closing after writing does. Until then a file may be half
/// written, so neither its creation nor the writing counts; a link or a folder is complete when it is created.
fn is_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Data(_)) => false,
        EventKind::Create(CreateKind::File) => !event.paths.iter().all(|path| is_empty_file(path)),
        _ => true,
    }
}

/// Returns whether a place may change without the kernel's knowledge.
fn is_shared(place: &Path) -> bool {
    rustix::fs::statfs(place).is_ok_and(|found| is_shared_type(found.f_type as u32))
}

fn is_shared_type(file_system: u32) -> bool {
    SHARED_FILE_SYSTEMS.contains(&file_system)
}

fn is_empty_file(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0)
}

impl FolderWatch {
    /// Returns a watch on nothing yet. It reports changes once nothing more has happened for `quiet`.
    pub fn start(quiet: Duration) -> FolderWatch {
        // One waiting event is enough.
        let (sender, events) = mpsc::channel(1);
        let wanted = Arc::new(Mutex::new(Watched::default()));
        let filter = Arc::clone(&wanted);
        let notice = move |event: notify::Result<Event>| {
            let concerns = |path: &PathBuf| filter.lock().map_or(true, |wanted| wanted.matters(path));
            // An error, or an event without a path, means that events were lost: look at everything.
            let matters = event.map_or(true, |event| {
                is_change(&event) && (event.paths.is_empty() || event.paths.iter().any(concerns))
            });
            if matters {
                sender.try_send(()).ok();
            }
        };
        let watcher = notify::recommended_watcher(notice);
        if let Err(error) = &watcher {
            tracing::warn!("cannot watch files for edits; send SIGHUP after an edit: {error}");
        }
        let is_blind = Arc::new(AtomicBool::new(watcher.is_err()));
        let inotify = Inotify { watcher: watcher.ok(), watched: BTreeMap::new(), refused: BTreeSet::new() };
        let places = WatchedPlaces { inotify: Arc::new(Mutex::new(inotify)), wanted, is_blind };
        FolderWatch { places, events, pending: None, quiet }
    }

    /// Returns whether some change may go unnoticed, because the kernel has refused a watch, a folder could not be read, or others can
    /// write without the kernel's knowledge: then only reading again shows it.
    pub fn is_blind(&self) -> bool {
        self.places.is_blind.load(Ordering::Relaxed)
    }

    /// Returns what sets the places to watch, for a thread that may block.
    pub fn places(&self) -> WatchedPlaces {
        self.places.clone()
    }

    /// Waits until something has changed and the folders are quiet again. Dropping the future loses nothing.
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

impl WatchedPlaces {
    /// Makes each call of `set` hang until the result is dropped.
    #[cfg(test)]
    pub(crate) fn hang(&self) -> impl Drop {
        self.inotify.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches exactly this set from now on. Logs once what cannot be watched, and tries that again at each call. Returns true if some
    /// folder or mounted file is watched that was not: the caller must read them again, since a change in between has gone unnoticed.
    /// Asks each folder, and blocks as long as one hangs.
    pub fn set(&self, wanted: &Watched) -> bool {
        let mut inotify = self.inotify.lock().unwrap_or_else(PoisonError::into_inner);
        let Inotify { watcher: Some(watcher), watched, refused } = &mut *inotify else { return false };
        if let Ok(mut ours) = self.wanted.lock() {
            ours.clone_from(wanted);
        }
        let mount_points = fs::mount_points_at_or_below(Path::new("/"));
        let places = wanted.places(&mount_points);
        watched.retain(|place, _| {
            let stays = places.contains(place.as_path());
            if !stays {
                // It may be deleted, and its watch with it.
                watcher.unwatch(place).ok();
            }
            stays
        });
        let mut grew = false;
        let said = std::mem::take(refused);
        for place in &places {
            let Ok(metadata) = std::fs::metadata(place) else { continue };
            let identity = (metadata.dev(), metadata.ino());
            if watched.get(*place) == Some(&identity) {
                continue;
            }
            match watcher.watch(place, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    grew = true;
                    watched.insert(place.to_path_buf(), identity);
                }
                Err(error) => {
                    refused.insert(place.to_path_buf());
                    if !said.contains(*place) {
                        let place = place.display();
                        tracing::warn!(path = %place, "cannot watch {place} for edits; send SIGHUP after an edit: {error}");
                    }
                }
            }
        }
        let is_blind = wanted.is_partial || !refused.is_empty() || places.into_iter().any(is_shared);
        self.is_blind.store(is_blind, Ordering::Relaxed);
        grew
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_way_to_a_path_is_all_that_may_change_where_it_leads() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("releases/1/etc")).unwrap();
        symlink("releases/1", root.join("current")).unwrap();
        let names = |path: &str| {
            let mut watched = Watched::default();
            watched.add_way_to(&root.join(path));
            watched.names
        };
        assert!(names("current/etc").is_superset(&[root.join("current"), root.join("releases/1/etc")].into()));
        assert_eq!(names("gone/below/it"), [root.join("gone")].into());
        assert_eq!(names("releases/1/etc"), [root.join("releases/1/etc")].into());
    }

    #[test]
    fn file_systems_that_other_hosts_write_to_are_known_by_their_types() {
        for (shared, file_system) in
            [("NFS", 0x6969), ("CIFS", 0xFF53_4D42), ("FUSE", 0x6573_5546), ("9p", 0x0102_1997)]
        {
            assert!(is_shared_type(file_system), "{shared}");
        }
        let local = [("ext4", 0xEF53), ("xfs", 0x5846_5342), ("tmpfs", 0x0102_1994), ("overlayfs", 0x794C_7630)];
        for (name, file_system) in local {
            assert!(!is_shared_type(file_system), "{name}");
        }
        assert!(!is_shared(Path::new("/proc")) && !is_shared(Path::new("/gone")));
    }
}
