//! Decides what the etcd session does next: list, verify, watch, follow, or wait and try another member. Inputs are the
//! outcomes of what was asked for before; no network, no clock, no randomness of its own. Pure.
//!
//! ```text
//! Discover -> Connect -> List -> Watch -> Follow      nothing lost: Connect -> Verify -> Watch -> Follow
//! ```
//!
//! Three promises: no revision is skipped between what was handed on and the watch; where that cannot be (compacted, the
//! store went back, another cluster, another history) everything is listed again; every failure in a row waits longer.

use std::time::Duration;

use super::coverage::Coverage;
use crate::model::backoff::Backoff;
use crate::model::etcd::{EtcdFailure, FailureKind, Header};
use crate::model::key::{Key, Revision, Value};

/// Listing again without getting anywhere is tried this often before it counts as a failure.
const RELISTS: u32 = 3;

/// A watch that held this long was a success: the next failure starts the backoff anew.
const HELD: Duration = Duration::from_secs(10);

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionAction {
    /// Look up the members.
    Discover,
    /// Connect to this endpoint and log in. Any older connection is of no use any more.
    Connect(usize),
    /// Read everything at one revision and hand it on. Any older watch is of no use any more.
    List,
    /// See whether the mark stands in the store as we know it.
    Verify,
    /// Watch from the revision after `watch_after`.
    Watch(Coverage),
    /// Take what the watch brings.
    Follow,
    /// Do nothing for so long.
    Wait(Duration),
    /// Do nothing until asked.
    Rest,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// So many endpoints are known now, at least one.
    Discovered(usize),
    /// Connected and logged in.
    Connected,
    /// Everything was read and handed on.
    Listed(ListedStore),
    /// The mark was looked at. `same`: it stands as we know it.
    Verified { header: Header, same: bool },
    /// All watchers are there.
    Watching { header: Header, watchers: usize },
    /// The watch brought complete revisions up to this one. They were handed on.
    Advanced { revision: Revision, mark: Option<LastChange> },
    /// The watch brought a sign of life.
    Progress(Header),
    /// The watch brings too much that nobody asked for.
    TooLoud,
    /// It did not work. `held`: how long a watch had been followed before.
    Failed { failure: EtcdFailure, held: Duration },
    /// The time is over.
    Waited,
}

/// Everything at one revision, as far as the session cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedStore {
    /// Who answered, and at which revision.
    pub(crate) header: Header,
    /// The last put among what was read.
    pub(crate) mark: Option<LastChange>,
    /// The widest watch worth having.
    pub(crate) coverage: Coverage,
}

/// The last change that we know of. A store in which it stands at the same revision has the history that we followed; one
/// restored from an older copy has not, even where its revision has overtaken ours in the meantime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LastChange {
    pub(crate) key: Key,
    /// What was put, or `None` where the key was deleted.
    pub(crate) value: Option<Value>,
    /// The revision of the change. A watch resumes after it.
    pub(crate) revision: Revision,
    /// For a mark that comes from listing, which shows no deletions: keys in the hull of the ranges, and at which revision.
    pub(crate) keys_in_hull: Option<(usize, Revision)>,
}

/// What the agent should hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SessionNotice {
    /// The store cannot be followed at the moment.
    Lost { problem: String, retry_in: Duration },
    /// It is followed again, and nothing was missed.
    Regained,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionStep {
    pub(crate) notice: Option<SessionNotice>,
    pub(crate) action: SessionAction,
}

impl From<SessionAction> for SessionStep {
    fn from(action: SessionAction) -> SessionStep {
        SessionStep { notice: None, action }
    }
}

/// The state of one session.
#[derive(Debug)]
pub(crate) struct Session {
    follow: bool,
    has_login: bool,
    turns: Turns,
    doing: SessionAction,
    /// The revision last handed on, in which store.
    point: Option<Header>,
    mark: Option<LastChange>,
    watch_after: Revision,
    /// The widest watch that the user's role allows and the traffic lets seem wise, as far as we know.
    allowed: Coverage,
    /// Whether the watch has a single watcher. With several, revisions that pile up while we are away arrive watcher
    /// by watcher and could not be told apart, so everything is listed instead.
    resumable: bool,
    must_list: bool,
    lost: bool,
    row: FailureRow,
}

/// Which endpoint is connected to, and which come next.
#[derive(Debug)]
struct Turns {
    /// The members are looked up, and looked up again.
    discovers: bool,
    endpoints: usize,
    current: usize,
    /// Endpoints to try before the members are looked up again.
    untried: usize,
}

/// What was tried since the last success.
#[derive(Debug, Default)]
struct FailureRow {
    relists: u32,
    logged_in_again: bool,
    backoff: Backoff,
}

impl Session {
    /// A session that has not begun. With `follow == false` it lists once, and again whenever asked.
    /// `endpoints == 0` means that the members must be looked up.
    pub(crate) fn new(follow: bool, has_login: bool, endpoints: usize) -> Session {
        let discovers = endpoints == 0;
        Session {
            follow,
            has_login,
            turns: Turns { discovers, endpoints, current: 0, untried: endpoints },
            doing: if discovers { SessionAction::Discover } else { SessionAction::Connect(0) },
            point: None,
            mark: None,
            watch_after: Revision::default(),
            allowed: Coverage::Hull,
            resumable: false,
            must_list: true,
            lost: false,
            row: FailureRow::default(),
        }
    }

    /// What is being done.
    pub(crate) fn doing(&self) -> SessionAction {
        self.doing
    }

    /// The last revision handed on.
    pub(crate) fn revision(&self) -> Option<Revision> {
        self.point.map(|point| point.revision)
    }

    /// The revision after which `Watch` starts: what was listed, or the mark, which may be older than what was handed on.
    pub(crate) fn watch_after(&self) -> Revision {
        self.watch_after
    }

    /// What `Verify` looks at.
    pub(crate) fn mark(&self) -> Option<&LastChange> {
        self.mark.as_ref()
    }

    /// Whether what is being done is pointless once everything is wanted anew.
    pub(crate) fn can_drop(&self) -> bool {
        match self.doing {
            SessionAction::Discover | SessionAction::Connect(_) | SessionAction::Wait(_) => false,
            SessionAction::List
            | SessionAction::Verify
            | SessionAction::Watch(_)
            | SessionAction::Follow
            | SessionAction::Rest => true,
        }
    }

    /// The agent wants everything anew. `ranges_changed`: it also wants other keys. What `can_drop` is dropped.
    pub(crate) fn ask(&mut self, ranges_changed: bool) {
        self.must_list = true;
        if ranges_changed {
            self.allowed = Coverage::Hull;
        }
        if self.can_drop() {
            self.doing = SessionAction::List;
        }
    }

    /// Takes the outcome of what was being done. `random` is from 0 up to 1.
    pub(crate) fn step(&mut self, input: Input, random: f64) -> SessionStep {
        let step = match input {
            Input::Discovered(endpoints) => {
                self.turns.endpoints = endpoints;
                self.turns.untried = endpoints;
                self.turns.current = 0;
                SessionAction::Connect(0).into()
            }
            Input::Connected if self.can_resume() => SessionAction::Verify.into(),
            Input::Connected => SessionAction::List.into(),
            Input::Listed(listed) => self.listed(listed),
            Input::Verified { header, same } if same && !self.went_back(header) => self.resume(),
            Input::Verified { .. } => self.list_again("the store has another history than the one we followed", random),
            Input::Watching { header, .. } if self.went_back(header) => {
                self.list_again("the store is behind what it told us before", random)
            }
            Input::Watching { header, watchers } => self.watching(header, watchers),
            Input::Advanced { revision, mark } => {
                if let Some(point) = &mut self.point {
                    point.revision = point.revision.max(revision);
                }
                self.mark = mark;
                SessionAction::Follow.into()
            }
            Input::Progress(header) if self.went_back(header) => {
                self.list_again("the store is behind what it told us before", random)
            }
            Input::Progress(_) => SessionAction::Follow.into(),
            Input::TooLoud => self.narrow().unwrap_or(SessionAction::Follow.into()),
            Input::Failed { failure, held } => self.failed(failure, held, random),
            Input::Waited => self.try_again(),
        };
        self.doing = step.action;
        step
    }

    fn can_resume(&self) -> bool {
        self.follow && !self.must_list && self.resumable && self.point.is_some() && self.mark.is_some()
    }

    fn went_back(&self, header: Header) -> bool {
        self.point.is_some_and(|point| {
            header.cluster_id != point.cluster_id
                || header.revision < point.revision
                || header.raft_term < point.raft_term
        })
    }

    fn listed(&mut self, listed: ListedStore) -> SessionStep {
        self.point = Some(listed.header);
        self.watch_after = listed.header.revision;
        self.mark = listed.mark;
        self.must_list = false;
        self.lost = false;
        self.turns.untried = self.turns.endpoints;
        if self.follow {
            self.resumable = listed.coverage.max(self.allowed) == Coverage::Hull;
            return self.watch(listed.coverage);
        }
        self.settle();
        SessionAction::Rest.into()
    }

    fn resume(&mut self) -> SessionStep {
        self.watch_after = self.mark.as_ref().map_or(self.watch_after, |mark| mark.revision);
        // Only a watch with a single watcher is resumed, and that covers the hull whatever it was called.
        self.watch(Coverage::Hull)
    }

    fn watch(&self, widest: Coverage) -> SessionStep {
        SessionAction::Watch(widest.max(self.allowed)).into()
    }

    fn watching(&mut self, header: Header, watchers: usize) -> SessionStep {
        if let Some(point) = &mut self.point {
            point.raft_term = header.raft_term;
        }
        self.resumable = watchers == 1;
        self.turns.untried = self.turns.endpoints;
        self.row.relists = 0;
        self.row.logged_in_again = false;
        let notice = std::mem::take(&mut self.lost).then_some(SessionNotice::Regained);
        SessionStep { notice, action: SessionAction::Follow }
    }

    /// A success that ends a row of failures.
    fn settle(&mut self) {
        self.row.backoff.reset();
        self.row.relists = 0;
        self.row.logged_in_again = false;
    }

    fn list_again(&mut self, why: &str, random: f64) -> SessionStep {
        self.must_list = true;
        if self.row.relists >= RELISTS {
            return self.lose(format!("{why}, and listing it again {RELISTS} times did not help"), random);
        }
        self.row.relists += 1;
        SessionAction::List.into()
    }

    fn failed(&mut self, failure: EtcdFailure, held: Duration, random: f64) -> SessionStep {
        if held >= HELD {
            self.settle();
        }
        match failure.kind {
            FailureKind::Compacted | FailureKind::Future => self.list_again(&failure.problem, random),
            // A watch with too much to say at once; listing comes in pages.
            FailureKind::TooLarge if self.is_watching() => self.list_again(&failure.problem, random),
            FailureKind::Unauthenticated if self.may_log_in_again() => self.log_in_again(),
            FailureKind::Denied => self.denied(failure, random),
            _ => self.lose(failure.problem, random),
        }
    }

    fn is_watching(&self) -> bool {
        matches!(self.doing, SessionAction::Watch(_) | SessionAction::Follow)
    }

    fn may_log_in_again(&self) -> bool {
        self.has_login && !self.row.logged_in_again
    }

    fn log_in_again(&mut self) -> SessionStep {
        self.row.logged_in_again = true;
        SessionAction::Connect(self.turns.current).into()
    }

    /// A watch is denied for two reasons that etcd does not tell apart: an old login, or a range wider than the role.
    fn denied(&mut self, failure: EtcdFailure, random: f64) -> SessionStep {
        let SessionAction::Watch(coverage) = self.doing else {
            return self.lose(failure.problem, random);
        };
        if self.may_log_in_again() {
            return self.log_in_again();
        }
        self.allowed = self.allowed.max(coverage);
        let narrowed = if self.has_login { self.narrow() } else { None };
        narrowed.unwrap_or_else(|| self.lose(failure.problem, random))
    }

    /// Lists again and then watches less, if there is less.
    fn narrow(&mut self) -> Option<SessionStep> {
        self.allowed = self.allowed.narrower()?;
        self.must_list = true;
        Some(SessionAction::List.into())
    }

    fn lose(&mut self, problem: String, random: f64) -> SessionStep {
        self.lost = true;
        self.row.relists = 0;
        self.row.logged_in_again = false;
        self.turns.untried = self.turns.untried.saturating_sub(1);
        if self.turns.endpoints > 0 {
            self.turns.current = (self.turns.current + 1) % self.turns.endpoints;
        }
        let retry_in = self.row.backoff.next_delay(random);
        SessionStep { notice: Some(SessionNotice::Lost { problem, retry_in }), action: SessionAction::Wait(retry_in) }
    }

    fn try_again(&mut self) -> SessionStep {
        if self.turns.discovers && self.turns.untried == 0 {
            // Should the lookup fail, the members known so far get another round.
            self.turns.untried = self.turns.endpoints + 1;
            return SessionAction::Discover.into();
        }
        SessionAction::Connect(self.turns.current).into()
    }
}

#[cfg(test)]
mod tests;
