//! Hands over what the journals say of resources that have changed their group: an edit of commands makes a new group, with a journal of
//! its own. The new commands still have to prove the files. Never touches a rendered file.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::world::fs::FileError;

use super::group::Group;
use super::journal::{self, Journal};
use super::{Context, failure};

/// Moves what a journal says of a resource to the journal of the group that has it now, once after each reading of conf.d. The lock must
/// be held. A journal that cannot be read or written is left for the next transaction.
pub(super) fn run(context: &Context) {
    let Some(groups) = context.journals.take_regrouped() else { return };
    let owners = Owners::of(&groups);
    let mut is_complete = true;
    for group_id in journal::group_ids(context) {
        if let Err(error) = hand_over(context, &owners, &group_id) {
            is_complete = false;
            let problem = failure::describe(&error);
            context.warn_in_next_report(context.once(format!("a journal could not be handed over: {problem}")));
        }
    }
    if !is_complete {
        context.journals.set_regrouped(groups);
    }
}

/// Hands over what the journal of this group says of resources that other groups have now.
fn hand_over(context: &Context, owners: &Owners, group_id: &str) -> Result<(), FileError> {
    journal::save_unsaved(context, group_id)?;
    let Some(before) = journal::peek(context, group_id) else { return Ok(()) };
    let mut left = before.clone();
    for (new_group, part) in owners.take_parts(group_id, &mut left) {
        journal::save_unsaved(context, new_group)?;
        let mut journal = journal::load(context, new_group)?;
        add(&mut journal, part);
        journal::save(context, new_group, &journal)?;
    }
    let is_empty = left.files.is_empty() && left.made.is_empty() && left.in_flight.is_none();
    match left == before {
        true => Ok(()),
        false if is_empty && !owners.groups.contains(group_id) => journal::remove(context, group_id),
        false => journal::save(context, group_id, &left),
    }
}

/// The groups of conf.d, by what they have.
struct Owners<'a> {
    groups: BTreeSet<&'a str>,
    by_dest: HashMap<&'a Path, &'a Group>,
    /// By the names of resources with `for_each`.
    by_resource: HashMap<&'a str, &'a Group>,
}

impl<'a> Owners<'a> {
    fn of(groups: &'a [Arc<Group>]) -> Owners<'a> {
        let by_dest = groups.iter().flat_map(|group| group.destinations().map(|dest| (dest.as_path(), &**group)));
        let made = |group: &'a Group| {
            let members = group.resources.iter().filter(|member| member.for_each.is_some());
            members.map(move |member| (&**member.name(), group))
        };
        Owners {
            groups: groups.iter().map(|group| group.id.as_str()).collect(),
            by_dest: by_dest.collect(),
            by_resource: groups.iter().flat_map(|group| made(group)).collect(),
        }
    }

    /// Takes out of a journal what belongs to other groups, and returns it by group. A group without commands keeps no journal.
    fn take_parts(&self, group_id: &str, journal: &mut Journal) -> BTreeMap<&'a str, Journal> {
        let mut parts: BTreeMap<&str, Journal> = BTreeMap::new();
        let Journal { files, made, reload_owed, .. } = journal;
        let elsewhere = |group: Option<&&'a Group>| group.copied().filter(|group| group.id != group_id);
        made.retain(|resource, dests| {
            let Some(group) = elsewhere(self.by_resource.get(resource.as_str())) else { return true };
            let part = parts.entry(&group.id).or_default();
            let known = std::mem::take(dests).into_iter().filter_map(|dest| files.remove_entry(&dest));
            let known: BTreeMap<PathBuf, String> = known.collect();
            part.made.insert(resource.clone(), known.keys().cloned().collect());
            part.files.extend(known);
            false
        });
        files.retain(|dest, hash| {
            let Some(group) = elsewhere(self.by_dest.get(dest.as_path())) else { return true };
            if !group.is_lone() {
                parts.entry(&group.id).or_default().files.insert(dest.clone(), std::mem::take(hash));
            }
            false
        });
        parts.values_mut().for_each(|part| part.reload_owed = *reload_owed);
        parts
    }
}

/// Adds what was handed over to a journal; what it says itself is newer.
fn add(journal: &mut Journal, mut part: Journal) {
    for (resource, dests) in part.made {
        match journal.made.entry(resource) {
            Entry::Occupied(_) => dests.iter().for_each(|dest| drop(part.files.remove(dest))),
            Entry::Vacant(place) => drop(place.insert(dests)),
        }
    }
    for (dest, hash) in part.files {
        if let Entry::Vacant(place) = journal.files.entry(dest) {
            journal.unproven.insert(place.key().clone());
            place.insert(hash);
        }
    }
    journal.reload_owed |= part.reload_owed;
}
