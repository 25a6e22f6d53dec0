//! Checks the health of a store, over a separate connection: for people and probes, never for the agent's work.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::model::health::Health;
use crate::model::store::{EtcdSettings, FileSettings, StoreSettings};
use crate::world::etcd::{Connection, MemberAddress, Members};
use crate::world::{clock, fs, host, tasks};

/// Time limit for a store's answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Time limit for one member of etcd: shorter, so that there is time to say what the others have answered.
const MEMBER_LIMIT: Duration = Duration::from_secs(4);

/// Checks the health of a store. Never takes longer than 5 s.
pub async fn ask(settings: &StoreSettings) -> Health {
    let started = clock::now();
    let asked = async {
        match settings {
            StoreSettings::Etcd(settings) => etcd(settings).await,
            StoreSettings::File(settings) => files(settings).await,
            StoreSettings::Env => env(),
        }
    };
    let answer = tokio::time::timeout(LIMIT, asked).await.unwrap_or_else(|_| {
        let problem = format!("no answer in {LIMIT:?}");
        Answer { result: Err(problem), details: BTreeMap::new() }
    });
    let mut details = answer.details;
    let (healthy, message) = match answer.result {
        Ok(message) => (true, message),
        Err(problem) => {
            details.insert("error", problem.clone());
            (false, problem)
        }
    };
    Health { healthy, message, elapsed: clock::now().duration_since(started), details }
}

struct Answer {
    /// A message if the store is healthy, or the problem.
    result: Result<String, String>,
    details: BTreeMap<&'static str, String>,
}

/// Head start of the first member before the others are asked too: each of these questions is a connection, and perhaps a login.
const HEAD_START: Duration = Duration::from_millis(500);

/// Asks a member of a cluster, and all others too if it fails or takes its time; the first that is healthy decides. Otherwise one that
/// has answered does.
async fn etcd(settings: &EtcdSettings) -> Answer {
    let mut members = Members::new(settings.clone());
    if let Err(failure) = members.look_up().await {
        return unanswered(failure.problem);
    }
    let mut asked = JoinSet::new();
    let (first_asks, first_is_done) = watch::channel(());
    let mut first_asks = Some(first_asks);
    for member in members.addresses() {
        let (member, settings) = (member.clone(), settings.clone());
        let (is_asked_first, mut first_is_done) = (first_asks.take(), first_is_done.clone());
        asked.spawn(async move {
            if is_asked_first.is_none() {
                tokio::time::timeout(HEAD_START, first_is_done.changed()).await.ok();
            }
            let limited = tokio::time::timeout(MEMBER_LIMIT, ask_member(&member, &settings)).await;
            let late = |_| unanswered(format!("{member}: no answer in {MEMBER_LIMIT:?}"));
            (limited.unwrap_or_else(late), is_asked_first)
        });
    }
    let mut worst = unanswered("there is no etcd endpoint".to_owned());
    while let Some(answer) = asked.join_next().await {
        // If the first one fails, the others begin when this is dropped.
        let (answer, _is_asked_first) =
            answer.unwrap_or_else(|error| (unanswered(format!("the task that asks etcd failed: {error}")), None));
        if answer.result.is_ok() {
            return answer;
        }
        if worst.details.is_empty() {
            worst = answer;
        }
    }
    worst
}

fn unanswered(problem: String) -> Answer {
    Answer { result: Err(format!("etcd health check failed: {problem}")), details: BTreeMap::new() }
}

async fn ask_member(member: &MemberAddress, settings: &EtcdSettings) -> Answer {
    let status = match Connection::open(member, settings, MEMBER_LIMIT).await {
        Ok(connection) => connection.status().await,
        Err(failure) => Err(failure),
    };
    let status = match status {
        Ok(status) => status,
        Err(failure) => return unanswered(failure.problem),
    };
    let details = BTreeMap::from([
        ("endpoint", member.to_string()),
        ("version", status.version),
        ("db_size", status.db_size_bytes.to_string()),
        ("leader_id", status.leader_id.to_string()),
        ("raft_index", status.raft_index.to_string()),
    ]);
    let well = Ok("etcd backend is healthy".to_owned());
    let result = if status.leader_id == 0 { Err("the etcd member has no leader".to_owned()) } else { well };
    Answer { result, details }
}

/// Looks at the files on a separate thread, as their source does: only one at a time, because a network folder may hang.
async fn files(settings: &FileSettings) -> Answer {
    static IS_LOOKING: AtomicBool = AtomicBool::new(false);
    let failed = |problem: String| Answer { result: Err(problem), details: BTreeMap::new() };
    if IS_LOOKING.swap(true, Ordering::AcqRel) {
        return failed("an earlier look at the files has not ended".to_owned());
    }
    let settings = settings.clone();
    let look = tasks::spawn_blocking(move || {
        let answer = look_at(&settings);
        IS_LOOKING.store(false, Ordering::Release);
        answer
    });
    look.await.unwrap_or_else(|error| failed(format!("the task that looks at the files failed: {error}")))
}

fn look_at(settings: &FileSettings) -> Answer {
    let (mut count, mut bytes) = (0_u64, 0_u64);
    for path in &settings.paths {
        match fs::readable_size(path) {
            Ok(Some(size)) => {
                count += 1;
                bytes += size;
            }
            // The path is a folder.
            Ok(None) => {}
            Err(error) => {
                let details = BTreeMap::from([("failed_path", path.display().to_string())]);
                return Answer { result: Err(format!("cannot read `{}`: {error}", path.display())), details };
            }
        }
    }
    let paths: Vec<String> = settings.paths.iter().map(|path| path.display().to_string()).collect();
    let details = BTreeMap::from([
        ("file_count", count.to_string()),
        ("total_size_bytes", bytes.to_string()),
        ("paths", paths.join(", ")),
    ]);
    Answer { result: Ok("All configured files are accessible and readable".to_owned()), details }
}

fn env() -> Answer {
    let details = BTreeMap::from([("env_var_count", host::environment().len().to_string())]);
    Answer { result: Ok("the environment is always available".to_owned()), details }
}
