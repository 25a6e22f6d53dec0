//! What passes between the etcd client and the etcd session: headers, spans of keys, watch messages, failures.
//! Plain data without gRPC types, so that the session can be decided and tested without a network.

use super::key::{Key, Revision, Value};

/// What every answer of etcd says about the store that gave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Made from the first members' addresses and the cluster's token.
    pub cluster_id: u64,
    /// Grows with every election of one cluster; small again in a cluster that was made anew.
    pub raft_term: u64,
    /// The store's revision when it answered.
    pub revision: Revision,
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
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Value,
    /// The revision of the key's last change.
    pub mod_revision: Revision,
}

/// Part of a span, read at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Who answered.
    pub header: Header,
    /// Entries in byte order of their keys.
    pub entries: Vec<Entry>,
    /// Keys left out because they are not UTF-8.
    pub unreadable_keys: usize,
    /// Bytes of keys and values in the answer.
    pub bytes: usize,
    /// Keys in the answer, those left out included.
    pub keys: usize,
    /// Where to go on, if the span has more keys.
    pub next: Option<Vec<u8>>,
}

/// One message of a watch stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchMessage {
    /// Who sent it.
    pub header: Header,
    /// Which watcher it belongs to, counted from 1; `-1` for the whole stream.
    pub watcher: i64,
    /// The watcher is there. Carries no events.
    pub created: bool,
    /// The watcher is gone, and why.
    pub cancelled: Option<EtcdFailure>,
    /// More of the same revisions follows in the next message of this watcher.
    pub is_fragment: bool,
    /// What changed.
    pub events: Vec<WatchEvent>,
    /// Events left out because their keys are not UTF-8.
    pub unreadable_keys: usize,
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchEvent {
    /// The key.
    pub key: Key,
    /// Its value now, or `None` where it was deleted.
    pub value: Option<Value>,
    /// The revision of the change.
    pub revision: Revision,
}

/// Something that etcd or the way to it did not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdFailure {
    /// What it means for the session.
    pub kind: FailureKind,
    /// What went wrong, for people.
    pub problem: String,
}

/// What a failure means for the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// No connection, a broken one, no leader, no answer in time, or a setting that cannot work: another endpoint may do.
    Unreachable,
    /// The login has run out or was never made.
    Unauthenticated,
    /// The user may not read these keys. On a watch, etcd also says so when the login has run out.
    Denied,
    /// The revision asked for is no longer kept.
    Compacted,
    /// The revision asked for is not there yet: this member is behind, or the store went back.
    Future,
    /// The answer is larger than we take in one message.
    TooLarge,
}

impl EtcdFailure {
    /// A failure that another endpoint or a later time may mend.
    pub fn unreachable(problem: impl Into<String>) -> EtcdFailure {
        EtcdFailure { kind: FailureKind::Unreachable, problem: problem.into() }
    }
}

/// What a member says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Version of etcd.
    pub version: String,
    /// Size of its database in bytes.
    pub db_size_bytes: i64,
    /// The leader it knows; 0 for none.
    pub leader_id: u64,
    /// How far its log is.
    pub raft_index: u64,
}
