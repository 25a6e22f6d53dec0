//! What the announcers of a machine say about themselves: each service with its key, and why it is announced or not. Plain data.
//! Never asks one, and never holds a key's value, except for its address. Pure.

use serde::{Deserialize, Serialize};

use super::UnixTime;

/// The path at which an announcer is asked.
pub const ANNOUNCED_PATH: &str = "/api/announced";

/// A process that announces backends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AnnouncerStatus {
    /// The format of this tree, as of the whole status.
    pub format: u32,
    /// Its process; 0 if it does not answer.
    pub pid: u32,
    /// Its version, with the commit if that is known.
    pub version: String,
    /// Its start.
    pub started: UnixTime,
    /// The socket at which it was asked.
    pub socket: String,
    /// Why it does not answer: then nothing else is known of it.
    pub silent: Option<String>,
    /// The folder of its service files; `None` for one service of the command line.
    pub folder: Option<String>,
    /// Its etcd.
    pub etcd: AnnouncerStore,
    /// What is wrong with its files; what was read last stays in effect.
    pub problems: Vec<ServiceFileProblem>,
    /// Number of all its services.
    pub total: usize,
    /// Number of those that are announced.
    pub announced: usize,
    /// Its services, those that are not announced first: 200 at most.
    pub services: Vec<AnnouncedService>,
}

/// The etcd of an announcer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AnnouncerStore {
    /// The member in use; `None` while there is no connection.
    pub member: Option<String>,
    /// Since when it cannot be reached.
    pub away_since: Option<UnixTime>,
    /// Why it cannot be reached; empty if it can.
    pub problem: String,
}

/// The part of an announcer's folder that has a problem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnnouncedPart {
    /// The folder, or one below it, cannot be read.
    Folder,
    /// There is no service in the folder.
    Services,
    /// A file, or anything that another version names.
    #[default]
    #[serde(other)]
    File,
}

impl AnnouncedPart {
    /// Returns what is wrong with it, in two or three words.
    pub fn wrong(self) -> &'static str {
        match self {
            AnnouncedPart::File => "file error",
            AnnouncedPart::Folder => "folder not read",
            AnnouncedPart::Services => "no services",
        }
    }
}

/// Something that is wrong with the service files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceFileProblem {
    /// What it is a problem of.
    pub of: AnnouncedPart,
    /// The problem, with its place: `/etc/upstreamd/announce.d/web.toml:3:1: …`.
    pub text: String,
    /// Since when.
    pub since: UnixTime,
}

/// A service that is announced, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AnnouncedService {
    /// Its key, with the prefix.
    pub key: String,
    /// The address in the key's value: `10.0.0.5:8080`; `auto:8080` until the address of this machine is known.
    pub address: String,
    /// How it stands.
    pub state: AnnouncedState,
    /// Since when.
    pub since: UnixTime,
    /// Why; empty if the state says it all.
    pub reason: String,
    /// Its health check.
    pub check: ServiceCheck,
    /// The lease that its key is under, if the key is in etcd.
    pub lease: Option<KeyLease>,
}

/// A health check with its last result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceCheck {
    /// The check: `tcp`, `http://10.0.0.5:8080/healthz`, `exec` (never the command: it may hold a password).
    pub what: String,
    /// End of the last one; `None` before the first.
    pub at: Option<UnixTime>,
    /// Why the last one failed; `None` if it passed.
    pub problem: Option<String>,
}

/// A lease in etcd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyLease {
    /// Its id, as etcdctl prints it.
    pub id: String,
    /// When it expires unless it is renewed.
    pub expires: UnixTime,
}

/// State of a service, the worst first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnnouncedState {
    /// Its checks fail: its key is not in etcd, or is being removed.
    Unhealthy,
    /// Somebody else has its key.
    Held,
    /// etcd does not let its user write the key.
    Denied,
    /// It is healthy; its key is not in etcd yet, because etcd or the address of this machine is away.
    Waiting,
    /// Its checks have not passed often enough since the start.
    Starting,
    /// Its last requests are being waited for.
    Draining,
    /// Its announcer is ending: the key is being removed.
    Leaving,
    /// Its key is in etcd.
    Announced,
    /// A state that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

impl AnnouncedState {
    /// Returns its word for people and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            AnnouncedState::Unhealthy => "unhealthy",
            AnnouncedState::Held => "held",
            AnnouncedState::Denied => "denied",
            AnnouncedState::Waiting => "waiting",
            AnnouncedState::Starting => "starting",
            AnnouncedState::Draining => "draining",
            AnnouncedState::Leaving => "leaving",
            AnnouncedState::Announced => "announced",
            AnnouncedState::Unknown => "unknown",
        }
    }
}
