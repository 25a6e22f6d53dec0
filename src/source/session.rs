//! Decides the next action of the etcd session: list, verify, watch, follow, or wait and try a different member. Inputs are
//! the outcomes of earlier actions; no network, no clock, no randomness of its own. Pure.
//!
//! ```text
//! Discover -> Connect -> List -> Watch -> Follow      nothing lost: Connect -> CheckHistory -> Watch -> Follow
//! ```
//!
//! Ranges that the store refuses are left out of the listing and of the watch. `Probe` asks for them now and then; the
//! others are followed meanwhile, and listed again only if the answer is yes.
//!
//! Four promises: no revision is missed between the last one passed on and the watch; if that is impossible (compacted, the
//! store went back, a different cluster or history), or would take the agent back in time, everything is listed again; every
//! failure in a row waits longer; agents that lose a member together do not return together.

mod step;

use std::time::Duration;

pub(crate) use step::{Input, LastChange, ListedStore, SessionAction, SessionNotice, SessionStep};

use super::coverage::Coverage;
use crate::model::backoff::Backoff;
use crate::model::etcd::{EtcdFailure, FailureKind, Header};
use crate::model::key::Revision;

/// Number of repeated listings without progress before they count as a failure.
const RELISTS: u32 = 3;

/// Time after which a watch counts as a success: the next failure starts the backoff again.
const HELD: Duration = Duration::from_secs(10);

/// Time after which a watch that ends may be as wide again as any: it must list anyway, and the burst of foreign keys that has
/// narrowed it may be over.
const QUIET: Duration = Duration::from_secs(600);

/// Time over which agents return that have lost their member at the same moment: the others get them one after the other.
const SPREAD: Duration = Duration::from_secs(2);

/// Most revisions between the mark and the last one passed on for which the watch is resumed. etcd sends a watcher that lags behind so
/// many at once, so that the first message leads at least to the tree that the agent has: with less, keys would be back for a moment
/// that were deleted long ago.
const MAX_REPLAY: i64 = 1000;

/// The reason for a listing if an answer is older than an earlier one.
const BEHIND: &str = "the store is at an older revision than it reported before";

/// The state of one session.
#[derive(Debug)]
pub(crate) struct Session {
    follow: bool,
    has_login: bool,
    turns: Turns,
    doing: SessionAction,
    /// Header of the store at the revision last passed on.
    point: Option<Header>,
    mark: Option<LastChange>,
    watch_after: Revision,
    /// The widest watch that the user's role and the traffic allow, as far as we know: what was refused or too loud once is tried
    /// again when the agent asks, and after a watch that was followed for long.
    allowed: Coverage,
    /// Whether the watch has a single watcher. With several, revisions that accumulate while we are away arrive watcher by
    /// watcher and could not be separated, so everything is listed instead.
    resumable: bool,
    must_list: bool,
    /// Pauses between probes since the store began to refuse something.
    probes: Backoff,
    row: FailureRow,
}

/// The connected member, and those to try next.
#[derive(Debug)]
struct Turns {
    /// Whether the members are looked up, and looked up again.
    discovers: bool,
    members: usize,
    current: usize,
    /// Number of members to try before the members are looked up again.
    untried: usize,
}

/// The attempts since the last success.
#[derive(Debug, Default)]
struct FailureRow {
    /// Whether the agent knows of them.
    lost: bool,
    relists: u32,
    /// Number of attempts in a row that failed for a reason that only an edit changes.
    refused: usize,
    logged_in_again: bool,
    backoff: Backoff,
}

impl Session {
    /// Returns a session that has not begun. With `follow == false` it lists once, and again whenever the agent asks.
    /// `members == 0` means that the members must be looked up.
    pub(crate) fn new(follow: bool, has_login: bool, members: usize) -> Session {
        let discovers = members == 0;
        Session {
            follow,
            has_login,
            turns: Turns { discovers, members, current: 0, untried: members },
            doing: if discovers { SessionAction::Discover } else { SessionAction::Connect(0) },
            point: None,
            mark: None,
            watch_after: Revision::default(),
            allowed: Coverage::Hull,
            resumable: false,
            must_list: true,
            probes: Backoff::default(),
            row: FailureRow::default(),
        }
    }

    /// Limits the pauses between attempts.
    pub(crate) fn with_longest_pause(self, longest: Duration) -> Session {
        Session { row: FailureRow { backoff: Backoff::up_to(longest), ..self.row }, ..self }
    }

    /// Returns the current action.
    pub(crate) fn doing(&self) -> SessionAction {
        self.doing
    }

    /// Returns the last revision passed on.
    pub(crate) fn revision(&self) -> Option<Revision> {
        self.point.map(|point| point.revision)
    }

    /// Returns the revision after which `Watch` starts: that of the listing, or that of the mark, which may be older than
    /// the last one passed on.
    pub(crate) fn watch_after(&self) -> Revision {
        self.watch_after
    }

    /// Returns the change that `CheckHistory` checks.
    pub(crate) fn mark(&self) -> Option<&LastChange> {
        self.mark.as_ref()
    }

    /// Returns whether the current action is pointless once the agent requests everything again.
    pub(crate) fn can_drop(&self) -> bool {
        match self.doing {
            SessionAction::Discover | SessionAction::Connect(_) | SessionAction::Wait(_) => false,
            SessionAction::List
            | SessionAction::CheckHistory
            | SessionAction::Watch(_)
            | SessionAction::Follow
            | SessionAction::Probe
            | SessionAction::Rest => true,
        }
    }

    /// Handles the agent's request to read everything again, or `other_keys` than before. Drops the current action if `can_drop`.
    pub(crate) fn ask(&mut self, other_keys: bool) {
        self.must_list = true;
        if other_keys {
            self.allowed = Coverage::Hull;
        }
        if self.can_drop() {
            self.doing = SessionAction::List;
        }
    }

    /// Processes the outcome of the current action. `random` is from 0 up to 1.
    pub(crate) fn step(&mut self, input: Input, random: f64) -> SessionStep {
        let step = match input {
            Input::Discovered(members) => {
                self.turns.members = members;
                self.turns.untried = members;
                self.turns.current = 0;
                SessionAction::Connect(0).into()
            }
            Input::Connected if self.can_resume() => SessionAction::CheckHistory.into(),
            Input::Connected => SessionAction::List.into(),
            Input::Listed(listed) => self.listed(listed, random),
            Input::AllRefused => self.all_refused(random),
            Input::Verified { header, same } if same && !self.went_back(header) => self.resume(),
            Input::Verified { .. } => self.list_again("the store has a different history than before", random),
            Input::Watching { header, .. } if self.went_back(header) => self.list_again(BEHIND, random),
            Input::Watching { header, watchers } => self.watching(header, watchers),
            Input::Advanced { revision, mark } => {
                if let Some(point) = &mut self.point {
                    point.revision = point.revision.max(revision);
                }
                self.mark = mark;
                self.row.relists = 0;
                SessionAction::Follow.into()
            }
            Input::Progress(header) if self.went_back(header) => self.list_again(BEHIND, random),
            Input::Progress(_) => {
                self.row.relists = 0;
                SessionAction::Follow.into()
            }
            Input::TooLoud => self.narrow().unwrap_or(SessionAction::Follow.into()),
            Input::ProbeDue => SessionAction::Probe.into(),
            Input::Probed { granted: true } => self.list(),
            Input::Probed { granted: false } => self.still_refused(random),
            Input::Failed { failure, held } => self.failed(failure, held, random),
            Input::Waited => self.try_again(),
        };
        self.doing = step.action;
        step
    }

    fn can_resume(&self) -> bool {
        let (Some(point), Some(mark)) = (&self.point, &self.mark) else { return false };
        let replay = point.revision.0 - mark.revision.0;
        self.follow && !self.must_list && self.resumable && replay <= MAX_REPLAY
    }

    fn went_back(&self, header: Header) -> bool {
        self.point.is_some_and(|point| header.went_back(&point))
    }

    fn listed(&mut self, listed: ListedStore, random: f64) -> SessionStep {
        self.row.refused = 0;
        self.point = Some(listed.header);
        self.watch_after = listed.header.revision;
        self.mark = listed.mark;
        self.must_list = false;
        self.row.lost = false;
        self.turns.untried = self.turns.members;
        let step = if self.follow {
            self.resumable = listed.coverage.max(self.allowed) == Coverage::Hull;
            self.watch(listed.coverage)
        } else {
            self.settle();
            SessionAction::Rest.into()
        };
        if listed.refused {
            return self.probe_later(step, random);
        }
        self.probes.reset();
        step
    }

    fn all_refused(&mut self, random: f64) -> SessionStep {
        self.point = None;
        self.mark = None;
        self.must_list = true;
        self.row.lost = false;
        self.turns.untried = self.turns.members;
        self.settle();
        self.probe_later(SessionAction::Rest.into(), random)
    }

    fn still_refused(&mut self, random: f64) -> SessionStep {
        let action = if self.point.is_some() { SessionAction::Follow } else { SessionAction::Rest };
        self.probe_later(action.into(), random)
    }

    /// Adds the time of the next probe to a step. Without following, the agent asks again.
    fn probe_later(&mut self, step: SessionStep, random: f64) -> SessionStep {
        SessionStep { probe_in: self.follow.then(|| self.probes.next_delay(random)), ..step }
    }

    fn resume(&mut self) -> SessionStep {
        self.watch_after = self.mark.as_ref().map_or(self.watch_after, |mark| mark.revision);
        // Only a watch with a single watcher is resumed, and that covers the hull regardless of its coverage.
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
        self.turns.untried = self.turns.members;
        self.row.logged_in_again = false;
        let notice = std::mem::take(&mut self.row.lost).then_some(SessionNotice::Regained);
        SessionStep { notice, ..SessionAction::Follow.into() }
    }

    /// Ends a row of failures after a success.
    fn settle(&mut self) {
        self.row.backoff.reset();
        self.row.relists = 0;
        self.row.logged_in_again = false;
    }

    fn list_again(&mut self, why: &str, random: f64) -> SessionStep {
        self.must_list = true;
        if self.row.relists >= RELISTS {
            let problem = format!("{why}, and listing it again {RELISTS} times did not help");
            return self.lose(EtcdFailure::unreachable(problem), random);
        }
        self.row.relists += 1;
        self.list()
    }

    fn list(&mut self) -> SessionStep {
        self.must_list = true;
        SessionAction::List.into()
    }

    fn failed(&mut self, failure: EtcdFailure, held: Duration, random: f64) -> SessionStep {
        if held >= HELD {
            self.settle();
        }
        if held >= QUIET {
            self.allowed = Coverage::Hull;
        }
        match failure.kind {
            // A member that is away ends the watch too.
            _ if self.doing == SessionAction::Probe && self.point.is_some() => self.still_refused(random),
            FailureKind::Compacted | FailureKind::Future => self.list_again(&failure.problem, random),
            // The watch message is too large; a listing comes in pages.
            FailureKind::TooLarge if self.is_watching() => self.list_again(&failure.problem, random),
            FailureKind::Unauthenticated if self.may_log_in_again() => self.log_in_again(),
            FailureKind::Denied => self.denied(failure, random),
            _ => self.lose(failure, random),
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

    /// Handles a denied request. etcd denies a watch for three reasons that it does not distinguish: an old login, a watch
    /// wider than the role, and a role that grants less than before. A listing finds out which ranges are refused.
    fn denied(&mut self, failure: EtcdFailure, random: f64) -> SessionStep {
        match self.doing {
            SessionAction::Watch(_) if self.may_log_in_again() => self.log_in_again(),
            SessionAction::Watch(coverage) => {
                self.allowed = self.allowed.max(coverage);
                self.narrow().unwrap_or_else(|| self.list_again(&failure.problem, random))
            }
            SessionAction::CheckHistory | SessionAction::Follow => self.list_again(&failure.problem, random),
            _ => self.lose(failure, random),
        }
    }

    /// Lists again and then watches less; returns `None` if there is no narrower coverage.
    fn narrow(&mut self) -> Option<SessionStep> {
        self.allowed = self.allowed.narrower()?;
        Some(self.list())
    }

    fn lose(&mut self, failure: EtcdFailure, random: f64) -> SessionStep {
        let failure = if self.point.is_some() { failure.of_known_store() } else { failure };
        let EtcdFailure { kind, problem } = failure;
        self.row.refused = if kind == FailureKind::Refused { self.row.refused + 1 } else { 0 };
        // A different member may accept what this one refuses.
        let is_lasting = self.row.refused > 0 && self.row.refused >= self.turns.members;
        self.row.lost = true;
        self.row.relists = 0;
        self.row.logged_in_again = false;
        self.turns.untried = self.turns.untried.saturating_sub(1);
        if self.turns.members > 0 {
            self.turns.current = (self.turns.current + 1) % self.turns.members;
        }
        let retry_in = match self.doing {
            // A watch that worked: all others of this member have lost theirs too.
            SessionAction::Follow => self.row.backoff.next_delay_within(SPREAD, random),
            _ => self.row.backoff.next_delay(random),
        };
        let notice = Some(SessionNotice::Lost { problem, retry_in, is_lasting });
        SessionStep { notice, ..SessionAction::Wait(retry_in).into() }
    }

    fn try_again(&mut self) -> SessionStep {
        if self.turns.discovers && self.turns.untried == 0 {
            // If the lookup fails, the members known so far are tried again.
            self.turns.untried = self.turns.members + 1;
            return SessionAction::Discover.into();
        }
        SessionAction::Connect(self.turns.current).into()
    }
}

#[cfg(test)]
mod tests;
