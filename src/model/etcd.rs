//! Data between the etcd client and the etcd session: headers, spans of keys, watch messages, failures.
//! Plain data without gRPC types, so that the session can be decided and tested without a network.

use super::key::{Key, Revision, Value};
use super::lease::LeaseId;

/// Header of every answer of etcd: the state of the store that gave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Id of the cluster, made from the first members' addresses and the cluster's token.
    pub cluster_id: u64,
    /// Raft term: grows with every election of one cluster; small again in a cluster that was recreated.
    pub raft_term: u64,
    /// The store's revision at the time of the answer.
    pub revision: Revision,
}

impl Header {
    /// Returns whether the store that answered so is another one than that of an earlier answer, or at an older state.
    pub fn went_back(&self, earlier: &Header) -> bool {
        self.cluster_id != earlier.cluster_id || self.revision < earlier.revision || self.raft_term < earlier.raft_term
    }
}

/// Keys from `start` up to but not including `end`, as bytes. `end == None` means to the last key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// First key covered.
    pub start: Vec<u8>,
    /// First key no longer covered.
    pub end: Option<Vec<u8>>,
}

/// One entry of a page, with the revision that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Value,
    /// The revision of the key's last change.
    pub mod_revision: Revision,
    /// The lease that it is under; 0 if there is none.
    pub lease: LeaseId,
}

/// Part of a span, read at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPage {
    /// Header of the answer.
    pub header: Header,
    /// Entries in byte order of their keys.
    pub entries: Vec<StoredKey>,
    /// Keys left out because they are not UTF-8.
    pub unreadable_keys: usize,
    /// Bytes of keys and values in the answer.
    pub bytes: usize,
    /// Keys in the answer, those left out included.
    pub keys: usize,
    /// Start of the next page, if the span has more keys.
    pub next: Option<Vec<u8>>,
}

/// One message of a watch stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchMessage {
    /// Header of the message.
    pub header: Header,
    /// Number of the watcher, counted from 1; `-1` for the whole stream.
    pub watcher: i64,
    /// Whether the watcher was created. Such a message carries no events.
    pub created: bool,
    /// Reason why the watcher ended; `None` if it goes on.
    pub cancelled: Option<EtcdFailure>,
    /// Whether more of the same revisions follows in the next message of this watcher.
    pub is_fragment: bool,
    /// The changes.
    pub events: Vec<WatchEvent>,
    /// Events left out because their keys are not UTF-8.
    pub unreadable_keys: usize,
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchEvent {
    /// The key.
    pub key: Key,
    /// Its new value; `None` if it was deleted.
    pub value: Option<Value>,
    /// The revision of the change.
    pub revision: Revision,
    /// The lease that the key is under now; 0 if there is none.
    pub lease: LeaseId,
}

/// A failure of etcd, or of the connection to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdFailure {
    /// Meaning for the session.
    pub kind: FailureKind,
    /// Problem, for people.
    pub problem: String,
}

/// Meaning of a failure for the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// No connection, a broken one, no leader, no answer in time, or an unusable setting: a different endpoint may work.
    Unreachable,
    /// The login has expired or was never made.
    Unauthenticated,
    /// The user may not read these keys. On a watch, etcd also says so when the login has expired.
    Denied,
    /// The revision asked for is no longer kept.
    Compacted,
    /// The revision asked for does not exist yet: this member is behind, or the store went back.
    Future,
    /// The answer is larger than we accept in one message, or what is written than etcd accepts: less of it, or more room, helps.
    TooLarge,
    /// A wrong login, a certificate or a file of TLS that will never do, or more keys than we keep: only an edit helps, here or at
    /// the server.
    Refused,
}

/// Begins the hint for something that does not answer as etcd does; the scheme to try and `?)` follow.
pub const PORT_HINT: &str = " (hint: is this etcd's client port, and does it want ";

impl EtcdFailure {
    /// Returns the failure without the question whether this is etcd's port at all: etcd has answered there before.
    pub fn of_known_store(self) -> EtcdFailure {
        let problem = self.problem.split_once(PORT_HINT).map(|(before, _)| before.to_owned());
        EtcdFailure { problem: problem.unwrap_or(self.problem), ..self }
    }

    /// Returns a failure that a different endpoint or a later attempt may fix.
    pub fn unreachable(problem: impl Into<String>) -> EtcdFailure {
        EtcdFailure { kind: FailureKind::Unreachable, problem: problem.into() }
    }

    /// Returns a failure that only an edit fixes.
    pub fn refused(problem: impl Into<String>) -> EtcdFailure {
        EtcdFailure { kind: FailureKind::Refused, problem: problem.into() }
    }
}

/// Status of a member, as it reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Version of etcd.
    pub version: String,
    /// Size of its database in bytes.
    pub db_size_bytes: i64,
    /// Id of the leader that it knows; 0 for no leader.
    pub leader_id: u64,
    /// Raft index of its log.
    pub raft_index: u64,
}
