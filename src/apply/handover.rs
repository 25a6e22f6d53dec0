//! Takes over what the journals of other groups say of the resources that a group has now: an edit of commands makes a new group, with
//! a journal of its own. The new commands still have to prove the files. Never touches a rendered file.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::world::fs::FileError;
use crate::world::fs::entry::Folders;

use super::group::Group;
use super::instance_files::look_at;
use super::journal::{self, InFlight, Journal};
use super::plan::ToRemove;
use super::{Context, failure, recovery};

/// The handover of entries from journal to journal.
#[derive(Debug, Default)]
pub(super) struct Handover {
    /// Never locked while a journal is read or written: conf.d may change then.
    known: Mutex<KnownGroups>,
    /// Held by the group that reads and writes the journals of others.
    working: Mutex<()>,
}

/// The groups of conf.d, and whose journals they have to look into.
#[derive(Debug, Default)]
struct KnownGroups {
    groups: Vec<Arc<Group>>,
    /// Whether the journals have not been searched since conf.d was read.
    is_due: bool,
    /// Groups whose journals have entries of a different group, by the id of that.
    givers: BTreeMap<String, BTreeSet<String>>,
}

impl Handover {
    /// Adopts the groups of a new reading of conf.d.
    pub(super) fn set_groups(&self, groups: &[Arc<Group>]) {
        self.known().set_groups(groups);
    }

    fn known(&self) -> MutexGuard<'_, KnownGroups> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for journals with entries of other groups, once after each reading of conf.d. One that cannot be read is looked at again.
    fn search(&self, context: &Context) {
        let groups = {
            let mut known = self.known();
            if !std::mem::take(&mut known.is_due) {
                return;
            }
            known.groups.clone()
        };
        let owners = Owners::of(&groups);
        let note = |error: &FileError| {
            self.known().is_due = true;
            warn_of_unknown(context, error);
        };
        let ids = journal::group_ids(context).inspect_err(note).unwrap_or_default();
        for group_id in ids {
            let found = journal::read(context, &group_id).inspect_err(note).ok().flatten();
            for owner in owners.of_others(&group_id, &found.unwrap_or_default()) {
                self.known().add_givers(owner, [group_id.clone()].into());
            }
        }
    }
}

fn warn_of_unknown(context: &Context, error: &FileError) {
    let problem = failure::describe(error);
    let warning = format!("what a journal says of files that another group has now is not known: {problem}");
    context.warn_in_next_report(context.once(warning));
}

impl KnownGroups {
    fn has(&self, group_id: &str) -> bool {
        self.groups.iter().any(|group| group.id == group_id)
    }

    fn set_groups(&mut self, groups: &[Arc<Group>]) {
        let before = std::mem::replace(&mut self.groups, groups.to_vec());
        let before = Owners::of(&before);
        for group in groups {
            let resources = group.resources.iter();
            let owners = resources.filter_map(|resource| match resource.for_each {
                Some(_) => before.by_resource.get(&**resource.name()),
                None => before.by_dest.get(resource.dest.as_path()),
            });
            // A transaction of theirs that still runs may have more to write down.
            let others = owners.filter(|owner| owner.id != group.id).map(|owner| owner.id.clone());
            self.add_givers(&group.id, others.collect());
        }
        let ids: BTreeSet<&str> = groups.iter().map(|group| group.id.as_str()).collect();
        self.givers.retain(|group_id, _| ids.contains(group_id.as_str()));
        self.is_due = true;
    }

    fn add_givers(&mut self, group_id: &str, givers: BTreeSet<String>) {
        if !givers.is_empty() {
            self.givers.entry(group_id.to_owned()).or_default().extend(givers);
        }
    }
}

/// The journal of a group over which no pass runs now.
struct SettledJournal {
    group_id: String,
    journal: Journal,
    _held: OwnedMutexGuard<()>,
}

/// Adds to a group's journal what the journals of others say of its resources. The group's locks must be held.
///
/// # Errors
/// A journal cannot be written.
pub(super) fn take_over(context: &Context, group: &Group, journal: &mut Journal) -> Result<(), FileError> {
    let handover = &context.handover;
    let _working = handover.working.lock().unwrap_or_else(PoisonError::into_inner);
    handover.search(context);
    let givers = {
        let known = handover.known();
        // A pass that began before conf.d was read knows other members.
        let is_present = || known.groups.iter().any(|known| **known == *group);
        known.givers.get(&group.id).filter(|_| is_present()).cloned()
    };
    let Some(givers) = givers else { return Ok(()) };
    let mut given = Vec::new();
    for giver in givers {
        match settle(context, &giver, journal) {
            Ok(Some(mut settled)) => {
                add(journal, take_part(group, &mut settled.journal));
                given.push(settled);
            }
            // It may have more to write down: it is asked again.
            Ok(None) => {
                if let Ok(Some(mut found)) = journal::read(context, &giver) {
                    add(journal, take_part(group, &mut found));
                }
            }
            Err(error) => warn_of_unknown(context, &error),
        }
    }
    journal::save(context, &group.id, journal)?;
    for SettledJournal { group_id, journal, .. } in &given {
        let is_there = handover.known().has(group_id);
        if !is_there {
            context.forget_disproof(group_id);
        }
        match journal.files.is_empty() && journal.made.is_empty() && !is_there {
            true => journal::remove(context, group_id)?,
            false => journal::save(context, group_id, journal)?,
        }
    }
    let mut known = handover.known();
    if let Some(givers) = known.givers.get_mut(&group.id) {
        givers.retain(|giver| given.iter().all(|settled| settled.group_id != *giver));
        if givers.is_empty() {
            known.givers.remove(&group.id);
        }
    }
    Ok(())
}

/// Returns a group's journal after its half-done transaction has been undone, except for what is live by `taker`, which then owes the
/// reload; `None` while a pass over that group runs.
///
/// # Errors
/// The journal cannot be read or written, or a file cannot be put back.
fn settle(context: &Context, group_id: &str, taker: &mut Journal) -> Result<Option<SettledJournal>, FileError> {
    let Some(held) = context.exclusion.try_group(group_id) else { return Ok(None) };
    journal::save_unsaved(context, group_id)?;
    let mut journal = journal::load(context, group_id)?;
    if let Some(in_flight) = &mut journal.in_flight {
        in_flight.files.retain(|file| taker.files.get(&file.target) != Some(&file.new_hash));
    }
    taker.reload_owed |= recovery::recover(context, group_id, &mut journal)?;
    journal.reload_owed |= context.is_disproved(group_id) && !context.handover.known().has(group_id);
    Ok(Some(SettledJournal { group_id: group_id.to_owned(), journal, _held: held }))
}

/// Leaves out of a half-done transaction of a group what is live by a different one, which conf.d has given the file to.
pub(super) fn leave_to_others(context: &Context, group_id: &str, in_flight: &mut InFlight) {
    let groups = context.handover.known().groups.clone();
    let owners = Owners::of(&groups);
    in_flight.files.retain(|file| {
        let owner = owners.by_dest.get(file.target.as_path()).filter(|owner| owner.id != *group_id);
        let owned = owner.and_then(|owner| journal::peek(context, &owner.id)).unwrap_or_default();
        owned.files.get(&file.target) != Some(&file.new_hash) || owned.unproven.contains(&file.target)
    });
}

/// Which group has what.
struct Owners<'a> {
    by_dest: HashMap<&'a Path, &'a Group>,
    /// By the names of resources with `for_each`.
    by_resource: HashMap<&'a str, &'a Group>,
}

impl<'a> Owners<'a> {
    fn of(groups: &'a [Arc<Group>]) -> Owners<'a> {
        let made = |group: &'a Group| {
            let members = group.resources.iter().filter(|member| member.for_each.is_some());
            members.map(move |member| (&**member.name(), group))
        };
        // A group without commands keeps no journal.
        let groups = || groups.iter().map(|group| &**group).filter(|group| !group.is_lone());
        Owners {
            by_dest: groups().flat_map(|group| group.destinations().map(move |dest| (dest.as_path(), group))).collect(),
            by_resource: groups().flat_map(made).collect(),
        }
    }

    /// Returns the ids of the other groups whose resources a group's journal has.
    fn of_others(&self, group_id: &str, journal: &Journal) -> BTreeSet<&'a str> {
        let by_dest = journal.files.keys().filter_map(|dest| self.by_dest.get(dest.as_path()));
        let by_resource = journal.made.keys().filter_map(|resource| self.by_resource.get(resource.as_str()));
        by_dest.chain(by_resource).map(|owner| owner.id.as_str()).filter(|id| *id != group_id).collect()
    }
}

/// Takes out of a journal what belongs to this group, and returns it.
fn take_part(group: &Group, journal: &mut Journal) -> Journal {
    let mut part = Journal::default();
    for resource in group.resources.iter().filter(|resource| resource.for_each.is_some()) {
        let Some(made) = journal.made.remove(&**resource.name()) else { continue };
        let known = made.into_iter().filter_map(|dest| journal.files.remove_entry(&dest));
        let known: BTreeMap<PathBuf, String> = known.collect();
        part.made.insert(resource.name().to_string(), known.keys().cloned().collect());
        part.files.extend(known);
    }
    for dest in group.destinations() {
        let is_made = journal.made.values().any(|made| made.contains(dest));
        let known = journal.files.get_key_value(dest).map(|(dest, hash)| (dest.clone(), hash.clone()));
        // The file of a name that is gone has the same destination, perhaps: its removal is still to be decided.
        if known.is_some() && !is_made {
            journal.files.remove(dest);
        }
        part.files.extend(known);
    }
    part.reload_owed = journal.reload_owed && !part.files.is_empty();
    part
}

/// Adds what is taken over to a journal. What the journal says itself is newer.
fn add(journal: &mut Journal, part: Journal) {
    let mut folders = Folders::default();
    let mut is_as_written = |dest: &Path, hash: &str| match look_at(&mut folders, dest).1 {
        ToRemove::File { hash: found } => found == hash,
        _ => false,
    };
    let mut new: BTreeSet<PathBuf> = part.files.keys().cloned().collect();
    for (resource, dests) in part.made {
        match journal.made.entry(resource) {
            Entry::Vacant(place) => drop(place.insert(dests)),
            // What it no longer has is not ours any more, unless it was written after that.
            Entry::Occupied(mut made) => {
                for dest in dests.into_iter().filter(|dest| !made.get().contains(dest)).collect::<Vec<_>>() {
                    match part.files.get(&dest).is_some_and(|hash| is_as_written(&dest, hash)) {
                        true => drop(made.get_mut().insert(dest)),
                        false => drop(new.remove(&dest)),
                    }
                }
            }
        }
    }
    for (dest, hash) in part.files.into_iter().filter(|(dest, _)| new.contains(dest)) {
        match journal.files.entry(dest) {
            Entry::Vacant(place) => {
                journal.unproven.insert(place.key().clone());
                place.insert(hash);
            }
            // Taken over while a pass over the other group was still writing it.
            Entry::Occupied(mut known)
                if journal.unproven.contains(known.key()) && is_as_written(known.key(), &hash) =>
            {
                known.insert(hash);
            }
            Entry::Occupied(_) => {}
        }
    }
    journal.reload_owed |= part.reload_owed;
}
