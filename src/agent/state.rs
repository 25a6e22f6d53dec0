//! The state of one resource between its passes. A pass takes it and returns it. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use crate::model::endpoints::EndpointName;
use crate::model::guard::Decision;
use crate::model::live_backends::LiveFiles;
use crate::model::removed::Removed;
use crate::model::resource::{InstanceId, Resource};
use crate::render::{Memory, Reads, SkippedKey};

use super::file_backends::FileBackends;
use super::standing::Standing;
use super::upstreams::KnownUpstreams;
use super::wait::Wait;

/// The state of one file.
#[derive(Default)]
pub struct FileState {
    /// Memory of its guard, from the first decision on.
    pub standing: Option<Standing>,
    /// Cache that makes the next render cheaper.
    pub memory: Memory,
    /// Keys and folders that the bytes of an instance depend on; `None` if anything may change them.
    pub reads: Option<Reads>,
    /// Backends of the live file.
    pub backends: FileBackends,
    /// Names in the last render whose endpoints nginx asks for.
    pub names: BTreeSet<EndpointName>,
    /// Names in the file that is in place, if nginx may not have read it yet.
    pub unread: Option<BTreeSet<EndpointName>>,
    /// Facts about the upstreams in it.
    pub upstreams: KnownUpstreams,
    /// Whether the template has asked for backends.
    pub counts_backends: bool,
    /// Keys that options of `backends` have left out of an empty list in the last render, in words.
    pub left_out: Option<String>,
    /// Skipped keys that are known already: each is reported once.
    pub skipped: BTreeSet<SkippedKey>,
}

/// One name of a `for_each`.
pub struct Instance {
    /// Resource for this name.
    pub resource: Arc<Resource>,
    /// File of this name.
    pub file: FileState,
}

/// The state of one resource.
#[derive(Default)]
pub struct ResourceState {
    /// Progress of the wait for its keys.
    pub wait: Wait,
    /// File of the resource; with `for_each` there is no such file, and only the guard over the number of names is used.
    pub own: FileState,
    /// Instances by name, as the last pass has found them; empty without `for_each`.
    pub instances: BTreeMap<Arc<str>, Instance>,
    /// What its files no longer name, since its last change that nginx serves for certain.
    pub removed: Removed,
}

impl ResourceState {
    /// Returns the state that stays valid after conf.d or a template was read again: `old` became `new`.
    pub fn carried_over(self, old: &Resource, new: &Resource) -> ResourceState {
        let is_same = old.dest == new.dest;
        let standing = self.own.standing.filter(|_| is_same);
        let backends = if is_same { self.own.backends } else { FileBackends::default() };
        let unread = self.own.unread.filter(|_| is_same);
        let own = FileState { standing, backends, unread, skipped: self.own.skipped, ..FileState::default() };
        let carried = |(name, Instance { resource, file }): (Arc<str>, Instance)| {
            let resource = Arc::new(new.instance(&name, resource.dest.clone()));
            let FileState { standing, backends, unread, skipped, .. } = file;
            let file = FileState { standing, backends, unread, skipped, ..FileState::default() };
            (name, Instance { resource, file })
        };
        let instances = self.instances.into_iter().filter(|_| new.for_each.is_some()).map(carried).collect();
        // What the other destinations name is forgotten.
        let removed = if is_same { self.removed } else { Removed::Unknown };
        ResourceState { wait: self.wait, own, instances, removed }
    }

    /// Returns the time of the next look after this time, whatever the store says.
    pub fn wake_after(&self, taken_at: Option<Instant>) -> Option<Instant> {
        let looks = self.files().filter_map(|file| file.standing.as_ref()?.wake_at()).chain(self.wait.until());
        looks.filter(|at| taken_at.is_none_or(|taken| *at > taken)).min()
    }

    /// Returns whether nginx asks for the endpoints of one of its files.
    pub fn is_asked_for(&self) -> bool {
        self.files().any(|file| !file.names.is_empty())
    }

    /// Returns its files.
    pub fn files(&self) -> impl Iterator<Item = &FileState> {
        self.instances.values().map(|instance| &instance.file).chain([&self.own])
    }

    /// Returns all its files, with the backends that the live ones list.
    pub fn live_files(&self, resource: &Resource) -> LiveFiles {
        let live = |id: &InstanceId, file: &FileState| (id.clone(), file.backends.live().cloned());
        match resource.for_each {
            None => LiveFiles::from([live(&resource.id, &self.own)]),
            Some(_) => self.instances.values().map(|instance| live(&instance.resource.id, &instance.file)).collect(),
        }
    }

    /// Returns the files that stay as they are because a guard holds them, with its decisions.
    pub fn held(&self, resource: &Resource) -> Vec<(InstanceId, Decision)> {
        let held = |id: &InstanceId, file: &FileState| Some((id.clone(), file.standing.as_ref()?.held()?));
        let instances = self.instances.values().filter_map(|instance| held(&instance.resource.id, &instance.file));
        held(&resource.id, &self.own).into_iter().chain(instances).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::live_count::LiveCount;
    use crate::model::for_each::{DestPattern, ForEach, NameSource};
    use crate::model::guard::Guard;
    use crate::status::board::tests::resource;

    #[test]
    fn a_hold_goes_on_although_conf_d_was_read_again() {
        let resource = resource("a.toml");
        let instance = |name: &str| {
            let saved = LiveCount { count: Some(10), held_since_unix: Some(1000) };
            let standing = Standing::remembered(saved, &Guard::default(), Instant::now(), 1000);
            let file = FileState { standing: Some(standing), ..FileState::default() };
            Instance { resource: Arc::new(resource.instance(name, resource.dest.clone())), file }
        };
        let dest = DestPattern::new("/".into(), vec![String::new(); 2]).unwrap();
        let for_each = ForEach::new(NameSource::parse("/*").unwrap(), dest);
        let new = Resource { for_each: Some(for_each), ..(*resource).clone() };
        let state = ResourceState { instances: [("x".into(), instance("x"))].into(), ..ResourceState::default() };
        let carried = state.carried_over(&resource, &new);
        assert!(carried.instances["x"].file.standing.is_some());
    }
}
