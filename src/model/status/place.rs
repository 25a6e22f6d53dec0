//! The parts of the status that are outside of the agent: stores, nginx, backends, other agents. Plain data. Never looks for any.
//! Pure.

use serde::{Deserialize, Serialize};

use super::UnixTime;

/// A store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStatus {
    /// `etcd`, `file` or `env`; of a `[backend]` table, its settings in one line.
    pub name: String,
    /// The addresses or files that it was given.
    pub places: Vec<String>,
    /// Whether it is followed.
    pub followed: bool,
    /// Newest revision read.
    pub revision: Option<i64>,
    /// Reason why it cannot be followed.
    pub problem: Option<String>,
    /// Start of that.
    pub lost_since: Option<UnixTime>,
    /// The member of etcd from which it is read now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<StoreMember>,
    /// The revision that etcd has named last, whoever changed what: it may be newer than the newest that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<HeardRevision>,
    /// The lease of the agent's own receipt, if it keeps one in this store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt_lease: Option<ReceiptLease>,
}

/// A member of etcd that a store is read from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreMember {
    /// Its address: `https://etcd-1:2379`.
    pub address: String,
    /// Time of the connection to it.
    pub since: UnixTime,
}

/// A revision that a store has named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeardRevision {
    /// The revision.
    pub revision: i64,
    /// When it was named.
    pub at: UnixTime,
}

/// A lease under which a receipt is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptLease {
    /// Its id, as etcdctl prints it.
    pub id: String,
    /// Its time to live in seconds.
    pub ttl_seconds: u32,
    /// How long it lives from now on unless it is renewed, in seconds; 0 if it may be gone.
    pub left_seconds: u64,
}

/// The list of backends that a template got from one folder of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamStatus {
    /// The folder, with the prefix: `/services/web`.
    pub folder: String,
    /// Name of the resource.
    pub resource: String,
    /// The file that lists them.
    pub dest: String,
    /// How changes reach nginx: `dns` or `reload`; `file` if no nginx is driven.
    pub driven_by: String,
    /// Number of all its backends.
    pub total: usize,
    /// Number of those that get traffic.
    pub serving: usize,
    /// How many that could get traffic the store has now, if that is a different number than the file lists: a guard holds the loss, or
    /// the file with them was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_store: Option<usize>,
    /// Its backends; those that get no traffic first. At most 200, unless more were asked for.
    pub backends: Vec<BackendLine>,
}

impl UpstreamStatus {
    /// Returns whether none gets traffic although one is up: the nginx that reads the file is not running.
    pub fn is_without_nginx(&self) -> bool {
        self.serving == 0 && self.backends.iter().any(|backend| backend.state == "up")
    }
}

/// A backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendLine {
    /// Its address.
    pub address: String,
    /// Its key, with the prefix.
    pub key: String,
    /// `up`, `draining`, `down`, or `backup`.
    pub state: String,
    /// Since when it has that state in the live file.
    pub since: UnixTime,
    /// Share of the traffic, 1 to 256.
    pub weight: u16,
    /// Who announced it, if its record says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announcer: Option<String>,
    /// Connections of nginx's workers to it now, if they can be seen.
    pub connections: Option<usize>,
    /// The last time in the last ten minutes that nginx's error log says that it could not be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<BackendFailure>,
    /// Whether the store no longer has it: a guard keeps it in the file, or the file without it was refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_gone: bool,
}

/// A failure of nginx to reach a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendFailure {
    /// Its time.
    pub at: UnixTime,
    /// What happened, in nginx's words.
    pub said: String,
}

/// An nginx that groups drive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NginxStatus {
    /// Its pid file.
    pub pid_file: String,
    /// Its program.
    pub program: String,
    /// Its version, if it was asked.
    pub version: Option<String>,
    /// Process of the master; `None` if none runs.
    pub master: Option<i32>,
    /// Start of the master.
    #[serde(default)]
    pub started: Option<UnixTime>,
    /// Start of the absence, if it does not run.
    pub away_since: Option<UnixTime>,
    /// Processes of its workers with the current configuration.
    pub workers: Vec<i32>,
    /// Workers with an earlier one.
    pub leaving: Vec<LeavingWorker>,
}

/// A worker that finishes the connections that it has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeavingWorker {
    /// Its process.
    pub pid: i32,
    /// The reload that it has to leave for; the start of the agent if that was earlier.
    pub since: UnixTime,
    /// Its open sockets, to clients and to backends, if they can be seen.
    pub sockets: Option<usize>,
}

/// An agent of the fleet, as its receipt has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentLine {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Resources that have not applied the last change that the agent knows of: 20 at most.
    pub lagging: Vec<String>,
    /// Number of the others that have not.
    #[serde(default)]
    pub lagging_more: usize,
    /// Resources that a guard holds: 20 at most.
    pub held: Vec<String>,
    /// Number of the others that one holds.
    #[serde(default)]
    pub held_more: usize,
    /// Why its receipt cannot be read.
    pub problem: Option<String>,
}

/// The last reading of the fleet's receipts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetReading {
    /// Time of the reading that the agents are shown by; `None` before the first.
    pub at: Option<UnixTime>,
    /// Number of agents that are not shown.
    pub more: usize,
    /// Why the last reading failed.
    pub problem: Option<String>,
}
