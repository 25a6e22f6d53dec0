//! Groups: the resources that share check, reload and verify settings, compared as written in the TOML. Pure: never runs a
//! command.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::plan;
use crate::model::resource::{CommandLine, OnReloadFailure, Pace, Reload, Resource, Verify};

/// Resources with the same commands; a resource without commands is a group of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Name of the group's journal; stable over restarts as long as the commands are.
    pub id: String,
    /// Members in the order of their names.
    pub resources: Vec<Arc<Resource>>,
    /// Shared check.
    pub check: Option<CommandLine>,
    /// Shared reload.
    pub reload: Option<Reload>,
    /// Proof of a reload of nginx.
    pub verify: Verify,
    /// Reaction to a failed reload.
    pub on_reload_failure: OnReloadFailure,
    /// Slowest pace of the members.
    pub pace: Pace,
}

impl Group {
    /// Returns whether the group has neither check nor reload: its only member is installed by a rename. A member with
    /// `for_each` has many files, so it is one transaction all the same.
    pub fn is_lone(&self) -> bool {
        self.check.is_none() && self.reload.is_none() && self.resources.iter().all(|member| member.for_each.is_none())
    }

    /// Returns whether nginx reads these files, judged by the commands.
    pub fn drives_nginx(&self) -> bool {
        self.check.as_ref().is_some_and(CommandLine::mentions_nginx)
            || self.reload.as_ref().is_some_and(Reload::mentions_nginx)
    }

    /// Returns the destinations of members that have one, in the order of the members.
    pub fn destinations(&self) -> impl Iterator<Item = &PathBuf> {
        self.resources.iter().filter(|resource| resource.for_each.is_none()).map(|resource| &resource.dest)
    }

    /// Returns whether the group has a member of this name.
    pub fn has_member(&self, name: &str) -> bool {
        self.resources.iter().any(|resource| **resource.name() == *name)
    }
}

/// Length of an id, in hexadecimal digits.
const ID_LENGTH: usize = 16;

/// Returns whether a text can be the id of a group.
pub fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Sorts resources into groups, in the order of each group's first member.
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
            id: plan::hash(identity.as_bytes())[..ID_LENGTH].to_owned(),
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
    /// Adds a member; if members differ in settings outside the group's identity, the more patient setting counts.
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

/// Returns the longer of two limits; no limit is the longest.
fn longer(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    Some(a?.max(b?))
}
