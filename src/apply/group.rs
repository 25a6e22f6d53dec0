//! Groups: the resources that share check, reload and verify settings, compared as written in the TOML.
//! Pure.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::plan;
use crate::model::resource::{CommandLine, OnReloadFailure, Pace, Reload, Resource, Verify};

/// Resources with the same commands; one without commands is alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Stable over restarts as long as the commands are: names the group's journal.
    pub id: String,
    /// The members, in the order of their names.
    pub resources: Vec<Arc<Resource>>,
    /// The shared check.
    pub check: Option<CommandLine>,
    /// The shared reload.
    pub reload: Option<Reload>,
    /// How a reload of nginx is proven.
    pub verify: Verify,
    /// What a failed reload does.
    pub on_reload_failure: OnReloadFailure,
    /// The slowest pace of the members.
    pub pace: Pace,
}

impl Group {
    /// Neither check nor reload: its only member is installed by a lone rename. One with `for_each` has many files, which are
    /// one transaction nevertheless.
    pub fn is_lone(&self) -> bool {
        self.check.is_none() && self.reload.is_none() && self.resources.iter().all(|member| member.for_each.is_none())
    }

    /// The commands say that nginx reads these files.
    pub fn drives_nginx(&self) -> bool {
        self.check.as_ref().is_some_and(CommandLine::mentions_nginx)
            || self.reload.as_ref().is_some_and(Reload::mentions_nginx)
    }

    /// The destinations of members that have one, in the order of the members.
    pub fn destinations(&self) -> impl Iterator<Item = &PathBuf> {
        self.resources.iter().filter(|resource| resource.for_each.is_none()).map(|resource| &resource.dest)
    }

    /// Whether there is such a member.
    pub fn has_member(&self, name: &str) -> bool {
        self.resources.iter().any(|resource| **resource.name() == *name)
    }
}

/// Sorts resources into groups. The order follows the first member's name.
pub fn form(resources: &[Arc<Resource>]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut by_identity: BTreeMap<String, usize> = BTreeMap::new();
    for resource in resources {
        let lone = resource.check.is_none() && resource.reload.is_none();
        let identity = if lone {
            format!("dest {}", resource.dest.display())
        } else {
            let check = resource.check.as_ref().map(|command| &command.text);
            let reload = resource.reload.as_ref().map(|reload| reload.command().map(|command| &command.text));
            format!("{check:?} {reload:?} {:?} {:?}", resource.verify, resource.on_reload_failure)
        };
        if let Some(index) = by_identity.get(&identity) {
            groups[*index].add(resource);
            continue;
        }
        by_identity.insert(identity.clone(), groups.len());
        groups.push(Group {
            id: plan::hash(identity.as_bytes())[..16].to_owned(),
            resources: vec![Arc::clone(resource)],
            check: resource.check.clone(),
            reload: resource.reload.clone(),
            verify: resource.verify,
            on_reload_failure: resource.on_reload_failure,
            pace: resource.pace,
        });
    }
    groups
}

impl Group {
    /// Adds a member; where members differ in what is not part of the identity, the more patient one counts.
    fn add(&mut self, resource: &Arc<Resource>) {
        self.resources.push(Arc::clone(resource));
        if let (Some(ours), Some(theirs)) = (&mut self.check, &resource.check) {
            ours.timeout = longer(ours.timeout, theirs.timeout);
        }
        if let (Some(Reload::Command(ours)), Some(Reload::Command(theirs))) = (&mut self.reload, &resource.reload) {
            ours.timeout = longer(ours.timeout, theirs.timeout);
        }
        self.pace = Pace {
            debounce: self.pace.debounce.max(resource.pace.debounce),
            debounce_first: self.pace.debounce_first || resource.pace.debounce_first,
            debounce_max: self.pace.debounce_max.max(resource.pace.debounce_max),
            min_reload_interval: self.pace.min_reload_interval.max(resource.pace.min_reload_interval),
        };
    }
}

/// The longer of two limits; none is the longest.
fn longer(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    Some(a?.max(b?))
}
