//! What goes into the etcd session and what comes out: the outcome of an action, and the next action with what the agent must know.
//! Decides nothing. Pure.

use std::time::Duration;

use crate::model::etcd::{EtcdFailure, Header};
use crate::model::key::{Key, Revision, Value};
use crate::source::coverage::Coverage;

/// The next action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionAction {
    /// Look up the members.
    Discover,
    /// Connect to this endpoint and log in. Any older connection is obsolete.
    Connect(usize),
    /// Read everything at one revision and pass it on. Any older watch is obsolete.
    List,
    /// Check whether the store still has the mark.
    CheckHistory,
    /// Watch from the revision after `watch_after`.
    Watch(Coverage),
    /// Process the messages of the watch.
    Follow,
    /// Ask whether the store still refuses what it has refused. The watch goes on.
    Probe,
    /// Do nothing for this long.
    Wait(Duration),
    /// Do nothing until the agent asks, or a probe is due.
    Rest,
}

/// The outcome of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// This many endpoints are known now, at least one.
    Discovered(usize),
    /// Connected and logged in.
    Connected,
    /// Everything that may be read was read and passed on.
    Listed(ListedStore),
    /// The store refuses everything. That was passed on.
    AllRefused,
    /// The mark was checked. `same`: the store still has it.
    Verified { header: Header, same: bool },
    /// All watchers are created.
    Watching { header: Header, watchers: usize },
    /// The watch delivered complete revisions up to this one. They were passed on.
    Advanced { revision: Revision, mark: Option<LastChange> },
    /// The watch sent a sign of life.
    Progress(Header),
    /// The watch delivers too many keys outside the ranges.
    TooLoud,
    /// The time for a probe has come.
    ProbeDue,
    /// The refused ranges were asked for. `granted`: the store shows some of them now.
    Probed { granted: bool },
    /// The action failed. `held`: time for which a watch had been followed before.
    Failed { failure: EtcdFailure, held: Duration },
    /// The wait is over.
    Waited,
}

/// The facts about a listing that the session needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedStore {
    /// The member that answered, and the revision.
    pub(crate) header: Header,
    /// The last put among the entries read.
    pub(crate) mark: Option<LastChange>,
    /// The widest watch worth having.
    pub(crate) coverage: Coverage,
    /// Whether the store has refused some ranges.
    pub(crate) refused: bool,
}

/// The last change that we know of. A store that has it at the same revision has the history that we followed; one restored
/// from an older copy does not have it, even if its revision has overtaken ours in the meantime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LastChange {
    pub(crate) key: Key,
    /// The value that was put; `None` if the key was deleted.
    pub(crate) value: Option<Value>,
    /// The revision of the change. A watch resumes after it.
    pub(crate) revision: Revision,
    /// Number of keys in the hull of the ranges with its revision, for a mark from a listing, which shows no deletions.
    pub(crate) keys_in_hull: Option<(usize, Revision)>,
}

/// A notice to the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SessionNotice {
    /// The store cannot be followed at the moment.
    Lost { problem: String, retry_in: Duration, is_lasting: bool },
    /// It is followed again, and nothing was missed.
    Regained,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionStep {
    pub(crate) notice: Option<SessionNotice>,
    pub(crate) action: SessionAction,
    /// Time until the next probe is due, if it changes.
    pub(crate) probe_in: Option<Duration>,
}

impl From<SessionAction> for SessionStep {
    fn from(action: SessionAction) -> SessionStep {
        SessionStep { notice: None, action, probe_in: None }
    }
}
