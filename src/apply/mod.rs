//! One group of resources as a transaction: all files staged, one check, all installed, one reload, one verification, or
//! none of it. Rank 4: knows no store and no template, and its siblings do not know it.
//!
//! `plan`, `machine`, `verify` and `isolate` decide, `transaction` acts, `journal` and `live_count` remember across
//! restarts, `instance_files` knows the files of a `for_each`, `lone` is the short way for resources without commands.

pub mod exclusion;
mod failure;
pub mod group;
mod handover;
pub mod instance_files;
pub mod isolate;
pub mod journal;
pub mod live_count;
pub mod lone;
pub mod machine;
mod nginx;
pub mod plan;
pub mod preview;
pub mod recovery;
pub mod staging;
pub mod transaction;
pub mod unread;
pub mod unread_files;
pub mod verify;

pub use nginx::{is_in_effect, is_watched, leaving_workers, processes_of, running_at};

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::model::nginx::{NginxPlace, NginxSettings};
use crate::model::report::{ReloadEnd, Stage};
use crate::world::clock;
use crate::world::fs::resolve_links;

use group::Group;

/// Most warnings that are said once: names in them may come from the store.
const MAX_SAID: usize = 1000;

/// The settings of transactions in this process.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// State folder; `None` switches journal and lock off.
    pub state_folder: Option<PathBuf>,
    /// Whether this process renders once and ends: a failing reload keeps the checked files and is owed.
    pub onetime: bool,
    /// Whether to keep a copy of the staged file beside its destination.
    pub keep_stage_file: bool,
    /// Time to wait for another process's transaction; zero is the default, 120 s.
    pub lock_timeout: Duration,
    /// `[nginx]`; missing settings are read from nginx itself.
    pub nginx: NginxSettings,
    /// Work around each reload of nginx.
    pub around_reload: Option<Arc<dyn AroundReload>>,
}

/// Work around each reload, besides the files of the group.
pub trait AroundReload: std::fmt::Debug + Send + Sync {
    /// Called before a reload for this group. Returns whether there is work to end.
    fn begin(&self, group: &Group) -> bool;
    /// Called when its transaction ends, if `begin` has returned true.
    fn end(&self, group: &Group, end: ReloadEnd);
}

/// The state that all transactions of this process share.
#[derive(Debug, Default)]
pub struct Context {
    /// Settings, fixed for the life of the process.
    pub settings: Settings,
    journals: journal::KeptJournals,
    handover: handover::Handover,
    exclusion: exclusion::Exclusion,
    nginx: nginx::KnownNginx,
    namespace_refused: AtomicBool,
    warnings: Warnings,
    cleanup_errors: AtomicU64,
    /// Files of a transaction that was cut off without a journal: not known to be live until they are proven.
    doubted: Mutex<BTreeSet<PathBuf>>,
    refusals: Mutex<transaction::Refusals>,
    /// The step that the pass over each group is at.
    steps: Mutex<BTreeMap<String, (Stage, Instant)>>,
    disproofs: Mutex<Disproofs>,
}

/// The reloads that are not in effect although the journals of their groups say that they took.
#[derive(Debug, Default)]
struct Disproofs {
    /// Groups whose reload is owed.
    owed: BTreeSet<String>,
    /// Groups of which a reload has begun since.
    made_up: BTreeSet<String>,
}

/// Warnings for people.
#[derive(Debug, Default)]
struct Warnings {
    /// What was said once.
    said: Mutex<BTreeSet<String>>,
    /// For the next report: what was put aside on the way.
    pending: Mutex<Vec<String>>,
}

impl Context {
    /// Returns the context of a process.
    pub fn new(settings: Settings) -> Context {
        Context { settings, ..Context::default() }
    }

    /// Records that a pass over a group begins this step.
    pub fn begin_step(&self, group_id: &str, step: Stage) {
        if let Ok(mut steps) = self.steps.lock() {
            steps.insert(group_id.to_owned(), (step, clock::now()));
        }
    }

    /// Records that the pass over a group is at none of its steps: it is over, or has to wait.
    pub fn end_steps(&self, group_id: &str) {
        if let Ok(mut steps) = self.steps.lock() {
            steps.remove(group_id);
        }
    }

    /// Returns the groups whose pass is at a step, each with the step that it is at and the start of that.
    pub fn running_steps(&self) -> BTreeMap<String, (Stage, Instant)> {
        self.steps.lock().map(|steps| steps.clone()).unwrap_or_default()
    }

    /// Returns whether a private mount namespace may still be tried: it has not been refused in this process.
    pub fn namespace_may_work(&self) -> bool {
        !self.namespace_refused.load(Ordering::Relaxed)
    }

    /// Records whether this process starts nginx later, which reads the files then. As long as that is expected, a group
    /// whose nginx is not running needs no reload and owes no reload.
    pub fn expect_nginx_to_start(&self, expected: bool) {
        self.nginx.starts_later.store(expected, Ordering::Relaxed);
    }

    fn nginx_starts_later(&self) -> bool {
        self.nginx.starts_later.load(Ordering::Relaxed)
    }

    fn doubt(&self, target: &Path) {
        if let Ok(mut doubted) = self.doubted.lock() {
            doubted.insert(target.to_owned());
        }
    }

    fn doubts(&self, dest: &Path) -> bool {
        let target = resolve_links(dest).unwrap_or_else(|_| dest.to_owned());
        self.doubted.lock().is_ok_and(|doubted| doubted.contains(&target))
    }

    fn disproofs(&self) -> MutexGuard<'_, Disproofs> {
        self.disproofs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the last reload of a group is not in effect, or one that is under way will not be enough: another one is owed.
    pub fn disprove(&self, group_id: &str) {
        let mut disproofs = self.disproofs();
        disproofs.made_up.remove(group_id);
        disproofs.owed.insert(group_id.to_owned());
    }

    fn is_disproved(&self, group_id: &str) -> bool {
        self.disproofs().owed.contains(group_id)
    }

    /// Records that a reload of a group begins, which makes up for what was disproved before.
    fn makes_up(&self, group_id: &str) {
        let mut disproofs = self.disproofs();
        if disproofs.owed.contains(group_id) {
            disproofs.made_up.insert(group_id.to_owned());
        }
    }

    /// Forgets what was disproved before the last reload of a group began.
    fn forget_made_up(&self, group_id: &str) {
        let mut disproofs = self.disproofs();
        if disproofs.made_up.remove(group_id) {
            disproofs.owed.remove(group_id);
        }
    }

    fn forget_disproof(&self, group_id: &str) {
        let mut disproofs = self.disproofs();
        disproofs.owed.remove(group_id);
        disproofs.made_up.remove(group_id);
    }

    /// Returns the nginx that these groups drive, each once; none while this process has yet to start it.
    pub fn nginx_places<'a>(&self, group_ids: impl Iterator<Item = &'a str>) -> Vec<NginxPlace> {
        let mut found: Vec<NginxPlace> = Vec::new();
        if let (Ok(places), false) = (self.nginx.places.lock(), self.nginx_starts_later()) {
            for place in group_ids.filter_map(|group_id| places.get(group_id)) {
                if !found.iter().any(|known| known.is_same(place)) {
                    found.push(place.clone());
                }
            }
        }
        found
    }

    fn knows_nginx_of(&self, group_id: &str) -> bool {
        self.nginx.places.lock().is_ok_and(|places| places.contains_key(group_id))
    }

    fn set_nginx_of(&self, group_id: &str, place: NginxPlace) {
        if let Ok(mut places) = self.nginx.places.lock() {
            places.insert(group_id.to_owned(), place);
        }
    }

    /// Returns the files that nginx was found not to read.
    pub fn unread(&self) -> &unread_files::UnreadFiles {
        &self.nginx.unread
    }

    /// Sets the groups of conf.d, which was read: every file is looked at again, whether nginx reads it, and a group takes over what
    /// the journals of others say of its resources.
    pub fn set_groups(&self, groups: &[Arc<Group>]) {
        self.nginx.looked_at.forget();
        self.nginx.unread.retain(groups);
        self.handover.set_groups(groups);
        let is_there = |group_id: &str| groups.iter().any(|group| group.id == group_id);
        if let Ok(mut refusals) = self.refusals.lock() {
            refusals.retain(|group_id, _| is_there(group_id));
        }
        if let Ok(mut places) = self.nginx.places.lock() {
            places.retain(|group_id, _| is_there(group_id));
        }
    }

    /// Returns how many staged files could not be removed.
    pub fn cleanup_errors(&self) -> u64 {
        self.cleanup_errors.load(Ordering::Relaxed)
    }

    fn note_namespace_refused(&self) {
        self.namespace_refused.store(true, Ordering::Relaxed);
    }

    fn warn_in_next_report(&self, warnings: impl IntoIterator<Item = String>) {
        if let Ok(mut pending) = self.warnings.pending.lock() {
            pending.extend(warnings);
        }
    }

    fn take_pending_warnings(&self) -> Vec<String> {
        self.warnings.pending.lock().map(|mut pending| std::mem::take(&mut *pending)).unwrap_or_default()
    }

    /// Returns the warning the first time, then `None`.
    fn once(&self, warning: String) -> Option<String> {
        self.once_for(warning.clone(), warning)
    }

    /// Returns the first warning about this, then `None`; after many different ones, `None` for all others.
    fn once_for(&self, about: String, warning: String) -> Option<String> {
        let mut said = self.warnings.said.lock().ok()?;
        (said.len() < MAX_SAID && said.insert(about)).then_some(warning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_disproved_while_a_reload_runs_is_owed_after_it() {
        let context = Context::default();
        context.disprove("a");
        context.makes_up("a");
        context.forget_made_up("a");
        assert!(!context.is_disproved("a"));
        context.disprove("a");
        context.makes_up("a");
        context.disprove("a");
        context.forget_made_up("a");
        assert!(context.is_disproved("a"), "the reload had begun before");
        context.makes_up("a");
        context.forget_made_up("a");
        assert!(!context.is_disproved("a"));
    }

    #[test]
    fn what_was_said_and_looked_at_is_bounded_and_may_leave() {
        let context = Context::default();
        let says = |about: &str, warning: &str| context.once_for(about.to_owned(), warning.to_owned()).is_some();
        assert_eq!([says("folder", "a"), says("folder", "b"), says("c", "c")], [true, false, true]);
        let said = (0..2 * MAX_SAID).filter(|n| context.once(n.to_string()).is_some()).count();
        assert_eq!(said, MAX_SAID - 2);
        let looked_at = &context.nginx.looked_at;
        let file = Path::new("/etc/a");
        looked_at.add(file);
        assert!(!looked_at.is_new(file));
        looked_at.remove(file);
        assert!(looked_at.is_new(file), "it was removed, and is there again");
        (0..30_000)
            .map(|n| PathBuf::from(n.to_string()))
            .filter(|file| looked_at.is_new(file))
            .for_each(|file| looked_at.add(&file));
        assert!(!looked_at.is_new(file), "there are too many");
    }
}
