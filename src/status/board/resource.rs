//! State and counters of one resource. Pure: never acts on a resource.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::model::guard::{Decision, Verdict};
use crate::model::key::Revision;
use crate::model::live_backends::{LiveBackends, LiveFiles};
use crate::model::note::SkippedKeys;
use crate::model::resource::{InstanceId, Resource};
use crate::model::text::counted;
use crate::status::histogram::Histogram;

use super::{Board, status_line};

/// Something that is the case, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lasting<T> {
    /// The trouble itself.
    pub what: T,
    /// Its start, in seconds since 1970.
    pub since: u64,
}

impl<T> Lasting<T> {
    /// Returns what is the case now; it keeps its start if something was the case before.
    pub fn after(before: Option<&Lasting<T>>, now: Option<T>, unix_seconds: u64) -> Option<Lasting<T>> {
        now.map(|what| Lasting { what, since: before.map_or(unix_seconds, |before| before.since) })
    }
}

/// State and counters of one resource.
#[derive(Clone, Debug, Default)]
pub struct ResourceBoard {
    /// Its conf.d settings.
    pub about: ResourceAbout,
    /// Its troubles.
    pub troubles: ResourceTroubles,
    /// Which changes it has seen and applied.
    pub progress: ResourceProgress,
    /// Backends of its live files; none of those that list none.
    pub live: BTreeMap<InstanceId, Arc<LiveBackends>>,
    /// Backends that the store has for files that do not list them.
    pub store_has: BTreeMap<InstanceId, Arc<LiveBackends>>,
    /// Whether the last pass of its group left it behind.
    pub is_failing: bool,
    /// Successful passes that it took part in.
    pub succeeded: u64,
    /// Passes in which it failed.
    pub failed: u64,
    /// Number of times its file was replaced.
    pub replaced: u64,
    /// Duration of those passes.
    pub pass_times: Histogram,
}

/// The conf.d settings of a resource.
#[derive(Clone, Debug, Default)]
pub struct ResourceAbout {
    /// Its destination; with `for_each`, the pattern.
    pub dest: String,
    /// Its template.
    pub src: Arc<str>,
    /// The keys that it wants, with the prefix.
    pub keys: Vec<String>,
    /// The prefix that templates do not see.
    pub prefix: Arc<str>,
    /// Name of its group.
    pub group: Arc<str>,
    /// Name of the store that it reads: of a `[backend]` table, its settings in one line; empty if it reads no key.
    pub store: Arc<str>,
    /// Whether it has a `for_each`.
    pub has_for_each: bool,
    /// Whether nothing of what changes in its files is shown.
    pub is_secret: bool,
}

impl ResourceAbout {
    /// Returns whether a key is among those that it wants.
    fn is_below(key: &str, wanted: &str) -> bool {
        key.strip_prefix(wanted.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Returns whether it sees a key.
    pub(super) fn sees(&self, key: &str) -> bool {
        self.keys.iter().any(|wanted| ResourceAbout::is_below(key, wanted))
    }

    /// Returns what conf.d says of this resource of a group. `own_store`: the name of the settings' store.
    pub(super) fn new(resource: &Resource, group: &Arc<str>, own_store: &str) -> ResourceAbout {
        let store = match &resource.backend {
            _ if resource.ranges.is_empty() => String::new(),
            None => own_store.to_owned(),
            Some(settings) => settings.to_string(),
        };
        ResourceAbout {
            store: store.into(),
            dest: resource.dest.display().to_string(),
            src: Arc::clone(&resource.src),
            keys: resource.keys.iter().map(|key| format!("{}{key}", resource.prefix)).collect(),
            prefix: Arc::clone(&resource.prefix),
            group: Arc::clone(group),
            has_for_each: resource.for_each.is_some(),
            is_secret: resource.target.is_secret,
        }
    }
}

/// The troubles of a resource.
#[derive(Clone, Debug, Default)]
pub struct ResourceTroubles {
    /// Skipped keys, by file: with `for_each` a resource has many.
    skipped: BTreeMap<InstanceId, Lasting<SkippedKeys>>,
    /// The reason why its last good file stays, if a guard holds it.
    pub held: Option<Lasting<HeldLoss>>,
    /// The message of the store, if it refuses keys of the resource.
    pub refused: Option<Lasting<String>>,
    /// The keys that it waits for before it goes live.
    pub waits: Option<Lasting<Vec<String>>>,
    /// The lists of its live files of which no backend gets traffic: by file, each folder with its start, in seconds since 1970.
    without_traffic: BTreeMap<InstanceId, BTreeMap<String, u64>>,
    /// Whether nginx has not taken its changed endpoints yet.
    pub untaken: Option<Lasting<()>>,
    /// The problem of the first of its files that nginx never reads.
    pub unread: Option<Lasting<String>>,
}

/// A loss of backends for which a guard keeps the last good file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldLoss {
    /// The loss, and the setting that holds it, in words.
    pub reason: String,
    /// The end of the hold if it lasts that long, in seconds since 1970; `None` if only the store ends it.
    pub until: Option<u64>,
}

/// The changes of a resource's keys: the last that the agent knows of, that is live, that all new connections get, that all use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceProgress {
    /// The last change known.
    pub seen: Option<Revision>,
    /// The last that is live.
    pub applied: Option<Revision>,
    /// The last after which only its new configuration accepts connections.
    pub converged: Option<Revision>,
    /// The last after which nothing uses what it removed.
    pub drained: Option<Revision>,
    /// Time of the oldest change that is not live, in seconds since 1970.
    pub behind_since: Option<u64>,
    /// Number of the changes that are not live.
    pub behind_changes: usize,
}

impl ResourceBoard {
    /// Returns how many keys were skipped, over all its files.
    pub fn skipped(&self) -> usize {
        self.troubles.skipped.values().map(|skipped| skipped.what.total).sum()
    }

    /// Returns the files with skipped keys.
    pub fn files_with_skipped(&self) -> impl Iterator<Item = &Lasting<SkippedKeys>> {
        self.troubles.skipped.values()
    }

    pub(super) fn record_skipped(&mut self, id: &InstanceId, skipped: SkippedKeys, unix_seconds: u64) {
        let found = (skipped.total > 0).then_some(skipped);
        let before = self.troubles.skipped.remove(id);
        let now = Lasting::after(before.as_ref(), found, unix_seconds);
        self.troubles.skipped.extend(now.map(|now| (id.clone(), now)));
    }

    /// Returns the lists of which no backend gets traffic: the file, the folder of keys, and the start, in seconds since 1970.
    pub fn lists_without_traffic(&self) -> impl Iterator<Item = (&InstanceId, &str, u64)> {
        self.troubles
            .without_traffic
            .iter()
            .flat_map(|(id, folders)| folders.iter().map(move |(folder, since)| (id, folder.as_str(), *since)))
    }

    /// Records all its files. Only those whose lists differ from before are looked at.
    fn record_files(&mut self, files: LiveFiles, unix_seconds: u64) {
        self.troubles.skipped.retain(|id, _| files.contains_key(id));
        let mut before = std::mem::take(&mut self.troubles.without_traffic);
        let files = files.into_iter().filter_map(|(id, live)| Some((id, live?)));
        let known = std::mem::replace(&mut self.live, files.collect());
        for (id, live) in &self.live {
            let mut folders = before.remove(id).unwrap_or_default();
            if known.get(id).is_none_or(|known| !Arc::ptr_eq(known, live)) {
                let since = |folder: &str| folders.get(folder).copied().unwrap_or(unix_seconds);
                folders = live.folders_without_traffic().map(|folder| (folder.to_owned(), since(folder))).collect();
            }
            if !folders.is_empty() {
                self.troubles.without_traffic.insert(id.clone(), folders);
            }
        }
    }
}

impl Board {
    /// Records which resources their store refuses, each with its message. `unix_seconds` is the current time.
    pub fn record_refusals(&mut self, refused: &BTreeMap<Arc<str>, String>, unix_seconds: u64) {
        for (name, resource) in &mut self.resources {
            let message = refused.get(name).map(|message| status_line(message));
            let before = resource.troubles.refused.take();
            resource.troubles.refused = Lasting::after(before.as_ref(), message, unix_seconds);
        }
    }

    /// Records a render of one file, and its skipped keys.
    pub fn record_render(&mut self, id: &InstanceId, skipped: SkippedKeys, unix_seconds: u64) {
        self.renders += 1;
        if let Some(board) = self.resources.get_mut(&id.resource) {
            board.record_skipped(id, skipped, unix_seconds);
        }
    }

    /// Records all files of a resource that is live now, and forgets the others.
    pub fn record_files(&mut self, resource: &str, files: LiveFiles, unix_seconds: u64) {
        if let Some(board) = self.resources.get_mut(resource) {
            board.record_files(files, unix_seconds);
        }
    }

    /// Records what the store has for those files of a group that do not list it; all others do.
    pub fn record_store_has(&mut self, group_id: &str, store_has: &[(InstanceId, Arc<LiveBackends>)]) {
        let Some(group) = self.names.get(group_id).and_then(|name| self.groups.get(name)) else { return };
        for name in &group.members {
            let Some(resource) = self.resources.get_mut(name) else { continue };
            let own = store_has.iter().filter(|(id, _)| id.resource == *name).cloned();
            resource.store_has = own.collect();
        }
    }

    /// Records the resources of a group that wait for keys, each with those that are missing; the others of the group do not.
    pub fn record_waits(&mut self, group_id: &str, waits: &BTreeMap<Arc<str>, Vec<String>>, unix_seconds: u64) {
        let Some(group) = self.names.get(group_id).and_then(|name| self.groups.get(name)) else { return };
        for name in &group.members {
            let Some(resource) = self.resources.get_mut(name) else { continue };
            let before = resource.troubles.waits.take();
            resource.troubles.waits = Lasting::after(before.as_ref(), waits.get(name).cloned(), unix_seconds);
        }
    }

    /// Records the resources whose changed endpoints nginx has not taken yet, each with the time of the first of these changes.
    pub fn record_untaken(&mut self, untaken: &BTreeMap<Arc<str>, u64>) {
        for (name, resource) in &mut self.resources {
            resource.troubles.untaken = untaken.get(name).map(|since| Lasting { what: (), since: *since });
        }
    }

    /// Records the problems of files that nginx never reads, by resource; all other files are read.
    pub fn record_unread(&mut self, unread: &BTreeMap<Arc<str>, Vec<String>>, unix_seconds: u64) {
        for (name, resource) in &mut self.resources {
            let line = unread.get(name).and_then(|lines| match lines.as_slice() {
                [] => None,
                [line] => Some(line.clone()),
                [line, more @ ..] => Some(format!("{line}; and {} more", counted(more.len(), "file"))),
            });
            let before = resource.troubles.unread.take();
            resource.troubles.unread = Lasting::after(before.as_ref(), line, unix_seconds);
        }
    }

    /// Returns the resources whose changed endpoints nginx has not taken yet.
    pub fn untaken(&self) -> impl Iterator<Item = &Arc<str>> {
        self.resources.iter().filter(|(_, resource)| resource.troubles.untaken.is_some()).map(|(name, _)| name)
    }

    /// Records the progress of a resource.
    pub fn record_progress(&mut self, resource: &str, progress: ResourceProgress) {
        if let Some(board) = self.resources.get_mut(resource) {
            board.progress = progress;
        }
    }

    /// Records when a group is tried again, in seconds since 1970; `None` if nothing but a change brings that about.
    pub fn record_next_try(&mut self, group_id: &str, next_try: Option<u64>) {
        if let Some(group) = self.names.get(group_id).and_then(|name| self.groups.get_mut(name)) {
            group.left.next_try = next_try;
        }
    }
}

/// Returns the loss for which a guard keeps a file.
pub(super) fn held_loss(decision: &Decision, now: Instant, unix_seconds: u64) -> HeldLoss {
    let reason = decision.loss.map_or_else(|| "held".to_owned(), |loss| status_line(&loss.to_string()));
    let until = match decision.verdict {
        Verdict::Hold(until) => Some(unix_seconds + until.saturating_duration_since(now).as_secs()),
        _ => None,
    };
    HeldLoss { reason, until }
}
