//! Two hundred agents at a cluster of three: they share the members, the death of one costs no listing and brings nobody back at
//! the same moment, and a change costs each of them at most two writes of its receipt in a second. An agent here is its etcd session
//! and the key of its receipt, all in one process.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use upstreamd::announce::keeper::Keeper;
use upstreamd::model::event::Event;
use upstreamd::model::key::Revision;
use upstreamd::model::range::{KeyRanges, WantedKeys};
use upstreamd::model::receipt;
use upstreamd::model::store::{EtcdSettings, StoreSettings};
use upstreamd::source;

use super::follower::DEADLINE;
use crate::support::etcd::{Etcd, Writer, cluster};
use crate::support::wait_for;

const AGENTS: usize = 200;
/// Keys of the store: a listing takes five requests.
const KEYS: usize = 600;
const RANGE: &str = "grpc_method=\"Range\"";

/// What an agent has seen of the store.
#[derive(Clone, Default)]
struct Seen {
    revision: Revision,
    snapshots: usize,
    regained: usize,
    /// Pause before its return, from each loss.
    pauses: Vec<Duration>,
}

struct Agent {
    seen: Arc<Mutex<Seen>>,
    receipt: Keeper,
    task: JoinHandle<()>,
}

impl Agent {
    /// Must be called in a runtime.
    fn start(settings: EtcdSettings, id: usize) -> Agent {
        let ranges = KeyRanges::of_directories(["/services"]);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut source = source::start(StoreSettings::Etcd(settings.clone()), WantedKeys::of([&ranges]), true);
        let task = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                while let Some(event) = source.events.recv().await {
                    seen.lock().unwrap().take(event);
                }
            }
        });
        Agent { seen, receipt: Keeper::start(settings, receipt::key_of(&format!("{id:03}"))), task }
    }
}

impl Seen {
    fn take(&mut self, event: Event) {
        match event {
            Event::Snapshot { revision, .. } => {
                self.snapshots += 1;
                self.revision = revision;
            }
            Event::Changes { revision, .. } => self.revision = revision,
            Event::Lost { retry_in, .. } => self.pauses.push(retry_in),
            Event::Regained => self.regained += 1,
        }
    }
}

/// All agents, with the runtime that they run in.
struct Fleet {
    agents: Vec<Agent>,
    _runtime: tokio::runtime::Runtime,
}

impl Fleet {
    fn start(members: &[Etcd]) -> Fleet {
        let endpoints = members.iter().map(Etcd::url).collect();
        let patience = Duration::from_secs(20);
        let settings = EtcdSettings {
            members: endpoints,
            dial_timeout: patience,
            request_timeout: patience,
            ..EtcdSettings::default()
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let agents = {
            let _inside = runtime.enter();
            (0..AGENTS).map(|id| Agent::start(settings.clone(), id)).collect()
        };
        Fleet { agents, _runtime: runtime }
    }

    fn seen(&self) -> Vec<Seen> {
        self.agents.iter().map(|agent| agent.seen.lock().unwrap().clone()).collect()
    }

    #[track_caller]
    fn wait(&self, what: &str, holds: impl Fn(&Seen) -> bool) {
        let mut count = 0;
        let all = || {
            count = self.seen().iter().filter(|seen| holds(seen)).count();
            (count == AGENTS).then_some(())
        };
        wait_for(&format!("{what} at every agent"), DEADLINE, all);
    }

    fn set_receipts(&self, text: &str) {
        self.agents.iter().for_each(|agent| agent.receipt.set(text.to_owned()));
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.agents.iter().for_each(|agent| agent.task.abort());
    }
}

/// Waits until each agent has one watch on these members, and returns how many each of them has.
#[track_caller]
fn wait_watchers(members: &[&Etcd]) -> Vec<u64> {
    wait_for("a watch of every agent", DEADLINE, || {
        let watchers: Vec<u64> = members.iter().map(|member| member.watchers()).collect();
        (watchers.iter().sum::<u64>() == AGENTS as u64).then_some(watchers)
    })
}

fn ranges(members: &[&Etcd]) -> u64 {
    members.iter().map(|member| member.metric("grpc_server_started_total", RANGE)).sum()
}

#[track_caller]
fn assert_even(watchers: &[u64], what: &str) {
    let (most, least) = (watchers.iter().max().unwrap(), watchers.iter().min().unwrap());
    println!("{what}: {watchers:?}, a factor of {:.2}", *most as f64 / *least as f64);
    assert!(is_even(watchers), "{what}: {watchers:?}");
    // Two hundred draws differ by a factor of more than 1.3 in a quarter of all runs, and of more than 2.5 in two of a million. That
    // the draws themselves are even is for a unit test, which makes many more.
    assert!(2 * most <= 5 * least, "{what}: {watchers:?}");
}

/// Returns whether no member has more than 1.3 times its equal share.
fn is_even(watchers: &[u64]) -> bool {
    let (most, all) = (watchers.iter().max().unwrap(), watchers.iter().sum::<u64>());
    10 * most * watchers.len() as u64 <= 13 * all
}

/// Starts a fleet that has read the store. Agents that do not know of each other draw a member: four of a thousand such starts give one
/// of them more than 1.3 times its share, so two in a row are no accident.
#[track_caller]
fn start_fleet(members: &[Etcd]) -> (Fleet, Vec<u64>) {
    let all: Vec<&Etcd> = members.iter().collect();
    let start = || {
        let fleet = Fleet::start(members);
        fleet.wait("a snapshot", |seen| seen.snapshots == 1);
        let watchers = wait_watchers(&all);
        (fleet, watchers)
    };
    let first = start();
    if is_even(&first.1) {
        return first;
    }
    println!("watches of each member: {:?}; starting once more", first.1);
    drop(first);
    wait_for("the end of all watches", DEADLINE, || (all.iter().all(|member| member.watchers() == 0)).then_some(()));
    start()
}

/// Writes a store of so many keys and returns the revision.
fn fill(writer: &mut Writer) -> i64 {
    let names: Vec<String> = (0..KEYS).map(|nth| format!("/services/web/{nth:04}")).collect();
    let writes = names.chunks(100).map(|names| {
        let changes: Vec<_> = names.iter().map(|name| (name.as_str(), Some("127.0.0.1:1"))).collect();
        writer.change(&changes)
    });
    writes.last().unwrap()
}

#[test]
fn a_fleet_shares_the_members_and_the_death_of_one_costs_no_listing() {
    let mut members = cluster(3);
    fill(&mut members[0].writer());
    let (fleet, watchers) = start_fleet(&members);
    assert_even(&watchers, "watches of each member");
    println!("requests to list {KEYS} keys at {AGENTS} agents: {}", ranges(&members.iter().collect::<Vec<_>>()));

    // One that does not lead: the others go on at once.
    let dies = members.iter().position(|member| member.metric("etcd_server_is_leader", "") == 0).unwrap();
    let mut dead = members.remove(dies);
    let others: Vec<&Etcd> = members.iter().collect();
    let mut writer = others[0].writer();
    let revision = Revision(writer.put("/services/web/0000", "127.0.0.1:2"));
    fleet.wait("the change", |seen| seen.revision >= revision);
    let before = ranges(&others);
    dead.kill();
    let moved = watchers[dies];
    let after = wait_watchers(&others);
    wait_for("the return of those that were with it", DEADLINE, || {
        (fleet.seen().iter().filter(|seen| seen.regained > 0).count() as u64 >= moved).then_some(())
    });
    assert_even(&after, "watches of each member after the death of one");
    let asked = ranges(&others) - before;
    println!("{moved} agents have moved, with {asked} requests for keys");
    assert!(asked <= 2 * moved, "{asked} requests for keys by {moved} agents: a listing takes five");
    let seen = fleet.seen();
    assert!(seen.iter().all(|seen| seen.snapshots == 1), "some agent has listed the store again");

    let mut pauses: Vec<Duration> = seen.iter().filter_map(|seen| seen.pauses.first().copied()).collect();
    pauses.sort();
    println!(
        "pauses before the return: {:?}, {:?}, {:?}",
        pauses[0],
        pauses[pauses.len() / 2],
        pauses[pauses.len() - 1]
    );
    // The smallest and the largest quarter of what is drawn between 0 and 2 s are never this close.
    let spread = pauses[pauses.len() * 3 / 4] - pauses[pauses.len() / 4];
    assert!(spread > Duration::from_millis(300), "all return together: {pauses:?}");

    let revision = Revision(writer.put("/services/web/0000", "127.0.0.1:3"));
    fleet.wait("a change after the death", |seen| seen.revision >= revision);
}

#[test]
fn a_fleet_writes_its_receipts_twice_a_second_and_the_last_arrives() {
    let members = cluster(3);
    let mut writer = members[0].writer();
    let fleet = Fleet::start(&members);
    let folder = format!("{}/", receipt::FOLDER);
    fleet.set_receipts("start");
    let before = wait_receipts(&mut writer, &folder, "start");

    let start = Instant::now();
    for stage in 0..10 {
        fleet.set_receipts(&format!("stage {stage}"));
        // Time for etcd to take them, if they came.
        for nth in 0..50 {
            writer.put("/elsewhere", nth.to_string());
        }
    }
    let after = wait_receipts(&mut writer, &folder, "stage 9");
    let elapsed = start.elapsed();
    let puts: Vec<i64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    let (most, all) = (*puts.iter().max().unwrap(), puts.iter().sum::<i64>());
    println!("{all} puts for 10 changes of the receipts of {AGENTS} agents in {elapsed:?}, at most {most} by one");
    assert!(most <= 1 + (2.0 * elapsed.as_secs_f64()) as i64, "{most} puts by one agent in {elapsed:?}");
}

/// Waits until every receipt has this text. Returns the number of puts of each.
#[track_caller]
fn wait_receipts(writer: &mut Writer, folder: &str, text: &str) -> Vec<i64> {
    wait_for(&format!("{text:?} in every receipt"), DEADLINE, || {
        let receipts = writer.read(folder);
        let has_all = receipts.len() == AGENTS && receipts.iter().all(|(_, value, _)| value == text);
        has_all.then(|| receipts.iter().map(|(_, _, puts)| *puts).collect())
    })
}
