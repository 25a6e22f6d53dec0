//! Gathers the status from the board and a look at what is running. Pure. Never holds the board longer than a copy takes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use crate::model::key::Revision;
use crate::model::live_backends::{ListedBackend, LiveBackends};
use crate::model::nginx::NginxPlace;
use crate::model::report::Stage;
use crate::model::status::{
    AgentLine, AgentStatus, AnnouncerStatus, BackendFailure, BackendLine, ConditionKind, FORMAT, FleetReading,
    GroupStatus, HeardRevision, NginxStatus, ProgressStatus, ReceiptLease, ResourceStatus, RunningStep, Status,
    StoreMember, StoreStatus, UnixTime, UpstreamStatus,
};
use crate::model::text;

use super::announced;
use super::answers::Answers;
use super::board::{Board, Change, GroupBoard, LastFailures, NginxState, ResourceBoard};
use super::conditions::{self, Look, MAX_CONDITIONS, conditions};

/// Most backends of one list that are reported unless one is asked for.
pub const MAX_BACKENDS: usize = 200;
/// The list that means all of them, and every condition.
pub const EVERYTHING: &str = "*";
/// Longest announcer that is shown, in characters.
const MAX_ANNOUNCER_CHARACTERS: usize = 80;

/// Facts that somebody has just looked up: the board and a look at the groups do not have them.
#[derive(Clone, Debug, Default)]
pub struct LookedUp {
    /// The agent.
    pub agent: AgentStatus,
    /// Places of the settings' store.
    pub store_places: Vec<String>,
    /// What was heard of the stores.
    pub heard: Vec<HeardStore>,
    /// Each nginx that a group drives.
    pub nginx: Vec<NginxStatus>,
    /// Connections of nginx's workers, by address; `None` if they were not counted.
    pub connections: Option<BTreeMap<String, usize>>,
    /// Agents of the fleet.
    pub fleet: Vec<AgentLine>,
    /// How these were read.
    pub fleet_reading: Option<FleetReading>,
    /// The announcers of this machine.
    pub announced: Vec<AnnouncerStatus>,
    /// Since when each of them does not answer, by process.
    pub silent_since: BTreeMap<u32, UnixTime>,
}

/// The last sign of life from a store, beside its events.
#[derive(Clone, Debug, Default)]
pub struct HeardStore {
    /// Its name; `None` for the settings' store.
    pub name: Option<String>,
    /// The member that it is read from now.
    pub member: Option<StoreMember>,
    /// The revision that it has named last.
    pub heard: Option<HeardRevision>,
    /// The lease of the agent's receipt, if that is there.
    pub receipt_lease: Option<ReceiptLease>,
}

/// A copy of the board, as far as the status needs it: made while the board is locked.
pub struct Copied {
    at: UnixTime,
    /// The status without what has to be looked up, without backends and changes, without the moment, and without the conditions of each
    /// resource.
    status: Status,
    lists: Vec<CopiedList>,
    changes: Vec<Arc<Change>>,
    leaving_since: BTreeMap<i32, u64>,
    nginx: Vec<NginxState>,
    /// The last failure of nginx to reach each address.
    failures: LastFailures,
    /// Whether the first store is that of the settings.
    has_own_store: bool,
}

/// The backends of one file.
#[derive(PartialEq)]
struct CopiedList {
    resource: Arc<str>,
    dest: String,
    prefix: Arc<str>,
    driven_by: &'static str,
    live: Arc<LiveBackends>,
    /// What the store has instead, if the file does not list it.
    store_has: Option<Arc<LiveBackends>>,
    /// Whether the nginx that reads the file is not running: then no backend gets traffic.
    is_down: bool,
}

/// Copies what the status needs.
pub fn copy(board: &Board, look: &Look) -> Copied {
    let found = conditions(board, look);
    let mut lists = Vec::new();
    for (name, resource) in &board.resources {
        let driven_by = match board.by_dns.get(name) {
            Some(true) => "dns",
            _ if board.groups.get(&resource.about.group).is_some_and(|group| group.about.drives_nginx) => "reload",
            _ => "file",
        };
        lists.extend(resource.live.iter().map(|(id, live)| CopiedList {
            resource: Arc::clone(name),
            dest: id.item.as_ref().map_or_else(|| resource.about.dest.clone(), |_| id.to_string()),
            prefix: Arc::clone(&resource.about.prefix),
            driven_by,
            live: Arc::clone(live),
            store_has: resource.store_has.get(id).cloned(),
            is_down: driven_by != "file" && board.is_nginx_away_for(&resource.about.group),
        }));
    }
    let running: BTreeMap<&str, &(Stage, Instant)> =
        look.running.iter().filter_map(|(id, step)| Some((&**board.group_of(id)?.0, step))).collect();
    let mut kinds: BTreeMap<&str, Vec<ConditionKind>> = BTreeMap::new();
    for condition in &found {
        condition.resources.iter().for_each(|name| kinds.entry(name).or_default().push(condition.kind));
    }
    let group_of = |(name, group): (&Arc<str>, &GroupBoard)| {
        let running = running
            .get(&**name)
            .map(|(step, since)| RunningStep { step: step.to_string(), since: UnixTime(look.unix(*since)) });
        group_status(board, (name, group), running, &kinds)
    };
    let groups = board.groups.iter().map(group_of).collect();
    let Answers { sync, service } = Answers::of(board, &found);
    let status = Status {
        format: FORMAT,
        at: UnixTime::default(),
        agent: AgentStatus { stopping: board.stopping, ..AgentStatus::default() },
        sync,
        service,
        stores: stores(board),
        groups,
        upstreams: Vec::new(),
        nginx: Vec::new(),
        changes: Vec::new(),
        fleet: Vec::new(),
        fleet_reading: None,
        announced: Vec::new(),
        conditions: found,
    };
    let (changes, leaving_since) = (board.changes.newest_first(), board.leaving_since.clone());
    let (failures, has_own_store) = (board.upstream_troubles.failures().clone(), !board.store.is_unused());
    let (at, nginx) = (UnixTime(look.unix_seconds()), board.nginx.clone());
    Copied { at, status, lists, changes, leaving_since, nginx, failures, has_own_store }
}

impl Copied {
    /// Returns whether the status shows the same of both, but for what has to be looked up.
    pub fn shows_the_same(&self, other: &Copied) -> bool {
        // What is kept stays as it is: a change that goes on is a new one.
        let is_kept = |(one, other): (&Arc<Change>, &Arc<Change>)| Arc::ptr_eq(one, other);
        self.status == other.status
            && self.lists == other.lists
            && self.leaving_since == other.leaving_since
            && self.failures == other.failures
            && self.changes.len() == other.changes.len()
            && self.changes.iter().zip(&other.changes).all(is_kept)
    }

    /// Returns the addresses of all backends; one may come several times.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.lists.iter().flat_map(|list| list.live.addresses())
    }

    /// Returns since when a worker has to leave, in seconds since 1970: since its reload, or since now if it is not ours.
    pub fn leaving_since(&self, pid: i32) -> u64 {
        self.leaving_since.get(&pid).copied().unwrap_or(self.at.0)
    }

    /// Returns since when the nginx there is away.
    pub fn nginx_away_since(&self, place: &NginxPlace) -> Option<UnixTime> {
        self.nginx.iter().find(|nginx| nginx.place.is_same(place))?.away_since.map(UnixTime)
    }

    /// Returns the status. All backends of the lists with this folder, destination or resource are reported; of each other list so many at most.
    pub fn status(&self, looked_up: LookedUp, wanted: Option<&str>, most: usize) -> Status {
        let LookedUp { agent, store_places, heard, nginx, connections, fleet, fleet_reading, announced, silent_since } =
            looked_up;
        let mut status = Status { at: self.at, ..self.status.clone() };
        status.agent = AgentStatus { stopping: status.agent.stopping, ..agent };
        if let Some(store) = status.stores.first_mut().filter(|_| self.has_own_store) {
            store.places = store_places;
        }
        for HeardStore { name, member, heard, receipt_lease } in heard {
            let own = status.stores.first_mut().filter(|_| self.has_own_store);
            let store = match &name {
                None => own,
                Some(name) => status.stores.iter_mut().find(|store| store.name == *name),
            };
            if let Some(store) = store {
                (store.member, store.heard, store.receipt_lease) = (member, heard, receipt_lease);
            }
        }
        status.conditions.extend(announced::conditions(&announced, &silent_since, status.at));
        conditions::sort(&mut status.conditions);
        if wanted != Some(EVERYTHING) {
            status.conditions.truncate(MAX_CONDITIONS);
            status.conditions.iter_mut().for_each(|condition| condition.resources.truncate(MAX_CONDITIONS));
        }
        let lists =
            self.lists.iter().flat_map(|list| upstreams(list, (connections.as_ref(), &self.failures), wanted, most));
        let changes = self.changes.iter().map(|change| change.status()).collect();
        Status { upstreams: lists.collect(), nginx, fleet, fleet_reading, announced, changes, ..status }
    }
}

fn stores(board: &Board) -> Vec<StoreStatus> {
    let lost = board.store.lost();
    let store = |name: &str, revision: Option<Revision>| {
        let lost = lost.iter().find(|lost| lost.name == name);
        StoreStatus {
            name: name.to_owned(),
            places: Vec::new(),
            followed: lost.is_none() && revision.is_some(),
            revision: revision.map(|revision| revision.0),
            problem: lost.map(|lost| lost.problem.to_owned()),
            lost_since: lost.map(|lost| UnixTime(lost.since)),
            ..StoreStatus::default()
        }
    };
    let own = (!board.store.is_unused()).then(|| store(board.store.backend, board.store.revision));
    own.into_iter().chain(board.store.others().map(|(name, revision)| store(name, revision))).collect()
}

fn group_status(
    board: &Board,
    (name, group): (&Arc<str>, &GroupBoard),
    running: Option<RunningStep>,
    kinds: &BTreeMap<&str, Vec<ConditionKind>>,
) -> GroupStatus {
    GroupStatus {
        name: name.to_string(),
        state: group.state.word().to_owned(),
        nginx: group.nginx.as_ref().map(|place| place.pid_file.display().to_string()),
        applied_revision: group.applied_revision.map(|revision| revision.0),
        applied_at: group.applied_at.map(UnixTime),
        running,
        next_try: group.left.next_try.map(UnixTime),
        resources: group
            .members
            .iter()
            .filter_map(|name| {
                let kinds = kinds.get(&**name).cloned().unwrap_or_default();
                Some(resource_status(name, (group, board.resources.get(name)?), kinds))
            })
            .collect(),
    }
}

fn resource_status(
    name: &Arc<str>,
    (group, board): (&GroupBoard, &ResourceBoard),
    mut kinds: Vec<ConditionKind>,
) -> ResourceStatus {
    kinds.dedup();
    let number = |revision: Option<Revision>| revision.map(|revision| revision.0);
    let progress = &board.progress;
    ResourceStatus {
        name: name.to_string(),
        src: board.about.src.to_string(),
        dest: board.about.dest.clone(),
        state: group.state_of(name).word().to_owned(),
        keys: board.about.keys.clone(),
        progress: ProgressStatus {
            wanted_revision: number(progress.seen),
            applied_revision: number(progress.applied),
            converged_revision: number(progress.converged),
            drained_revision: number(progress.drained),
            behind_since: progress.behind_since.map(UnixTime),
            behind_changes: progress.behind_changes,
        },
        skipped_keys: board.skipped(),
        conditions: kinds,
    }
}

/// Returns the lists of one file, one for each folder of keys.
fn upstreams<'a>(
    list: &'a CopiedList,
    (connections, failures): (Option<&'a BTreeMap<String, usize>>, &'a LastFailures),
    wanted: Option<&'a str>,
    most: usize,
) -> impl Iterator<Item = UpstreamStatus> {
    list.live.folders().map(move |folder| {
        let of_folder = || list.live.iter().filter(|(backend, _)| backend.key.starts_with(folder));
        let whole = format!("{}{}", list.prefix, folder.trim_end_matches('/'));
        let usable = |listed: &LiveBackends| {
            listed.iter().filter(|(backend, _)| backend.key.starts_with(folder) && !backend.state.is_down()).count()
        };
        let in_store = list.store_has.as_deref().map(usable).filter(|count| *count != usable(&list.live));
        let kept: Option<BTreeSet<&str>> =
            list.store_has.as_deref().map(|has| has.iter().map(|(backend, _)| backend.key).collect());
        let is_gone = |key: &str| kept.as_ref().is_some_and(|kept| !kept.contains(key));
        let mut rows: Vec<_> = of_folder().collect();
        let total = rows.len();
        let serving = rows.iter().filter(|(backend, _)| !backend.state.is_down() && !list.is_down).count();
        rows.sort_by_key(|(backend, _)| backend.state);
        if wanted.is_none_or(|wanted| ![&whole, &list.dest, &*list.resource, EVERYTHING].contains(&wanted)) {
            rows.truncate(most);
        }
        let line = |(backend, since): (ListedBackend<'_>, u64)| BackendLine {
            address: backend.address.to_owned(),
            key: format!("{}{}", list.prefix, backend.key),
            state: backend.state.word().to_owned(),
            since: UnixTime(since),
            weight: backend.weight,
            announcer: (!backend.announcer.is_empty())
                .then(|| text::one_line(backend.announcer, MAX_ANNOUNCER_CHARACTERS, ' ')),
            connections: connections.map(|counts| counts.get(backend.address).copied().unwrap_or(0)),
            last_failure: failures
                .get(backend.address)
                .map(|(at, said)| BackendFailure { at: UnixTime(*at), said: said.clone() }),
            is_gone: is_gone(backend.key),
        };
        UpstreamStatus {
            folder: whole,
            resource: list.resource.to_string(),
            dest: list.dest.clone(),
            driven_by: list.driven_by.to_owned(),
            total,
            serving,
            in_store,
            backends: rows.into_iter().map(line).collect(),
        }
    })
}

#[cfg(test)]
mod tests;
