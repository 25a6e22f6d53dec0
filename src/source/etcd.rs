//! Carries out the decisions of the session: looks up, connects, lists, watches, waits. The only code that joins session and
//! network; never decides anything that a test without a network should cover.

mod list;

use std::time::{Duration, Instant};

use super::assemble::Assembler;
use super::coverage::{self, Coverage};
use super::outbox::{Batch, Outbox};
use super::session::{Input, LastChange, ListedStore, Session, SessionAction, SessionNotice};
use super::{Outlet, Requests};
use crate::model::etcd::{EtcdFailure, FailureKind, Header, WatchMessage};
use crate::model::event::Event;
use crate::model::key::Revision;
use crate::model::range::KeyRanges;
use crate::model::store::{EtcdSettings, Scheme};
use crate::world::clock::{self, sleep_until};
use crate::world::etcd::{Members, Watch};
use crate::world::random;
use list::Listing;

/// Runs until the handle is dropped.
pub(super) async fn run(settings: EtcdSettings, follow: bool, mut requests: Requests, mut outlet: Outlet) {
    loop {
        while requests.ranges().is_empty() {
            outlet.outbox.put_snapshot(Revision::default(), KeyRanges::default(), Vec::new());
            if !outlet.until(requests.changed()).await {
                return;
            }
        }
        if !run_session(&settings, follow, &mut requests, &mut outlet).await {
            return;
        }
    }
}

/// Runs one session until no keys are wanted any more (true) or the handle is dropped (false).
async fn run_session(settings: &EtcdSettings, follow: bool, requests: &mut Requests, outlet: &mut Outlet) -> bool {
    let mut link = SessionLink::new(settings.clone(), requests.ranges());
    let mut session = Session::new(follow, settings.login.is_some(), link.members.endpoints().len())
        .with_longest_pause(settings.longest_pause);
    loop {
        let mut asked = None;
        let outcome = {
            let work = link.perform(&session);
            tokio::pin!(work);
            loop {
                let may_read = session.doing() != SessionAction::Follow || !outlet.outbox.is_full();
                tokio::select! {
                    biased;
                    is_open = requests.changed() => {
                        if !is_open {
                            return false;
                        }
                        asked = Some(asked.unwrap_or(false) || requests.have_other_ranges());
                        if session.can_drop() {
                            break None;
                        }
                    }
                    () = outlet.flush() => {}
                    outcome = &mut work, if may_read => break Some(outcome),
                }
            }
        };
        if requests.ranges().is_empty() {
            return true;
        }
        if let Some(ranges_changed) = asked {
            session.ask(ranges_changed);
            link.ranges = requests.ranges();
            if session.doing() == SessionAction::List {
                link.watch = None;
            }
        }
        if let Some(outcome) = outcome {
            take_outcome(&mut session, &mut link, outlet, outcome);
        }
    }
}

/// Passes on the result of a read, asks the session for the next action, and drops connections and watches that are no
/// longer needed.
fn take_outcome(session: &mut Session, link: &mut SessionLink, outlet: &mut Outlet, outcome: LinkOutcome) {
    let input = match outcome {
        LinkOutcome::Plain(input) => input,
        LinkOutcome::Listed(listing) => {
            link.has_large_values = listing.has_large_values;
            link.tell_unreadable(listing.unreadable_keys);
            hand_on(session, &mut outlet.outbox, listing)
        }
        LinkOutcome::Changed(batch, mark) => {
            let revision = batch.revision;
            outlet.outbox.put_changes(batch);
            Input::Advanced { revision, mark }
        }
    };
    let step = session.step(input, random::fraction());
    match step.notice {
        Some(SessionNotice::Lost { problem, retry_in }) => {
            outlet.outbox.put_standing(Event::Lost { problem, retry_in, is_malformed: false });
        }
        Some(SessionNotice::Regained) => outlet.outbox.put_standing(Event::Regained),
        None => {}
    }
    match step.action {
        SessionAction::Follow => {}
        SessionAction::Wait(_) | SessionAction::Connect(_) | SessionAction::Discover => {
            link.watch = None;
            link.members.disconnect();
        }
        SessionAction::List | SessionAction::Verify | SessionAction::Watch(_) | SessionAction::Rest => {
            link.watch = None
        }
    }
}

fn hand_on(session: &Session, outbox: &mut Outbox, listing: Listing) -> Input {
    let Listing { header, ranges, entries, mark, coverage, .. } = listing;
    if let Some(before) = session.revision().filter(|before| *before > header.revision) {
        tracing::warn!(%before, now = %header.revision, "the store went back to an older revision; taking it as it is");
    }
    tracing::debug!(revision = %header.revision, keys = entries.len(), "listed the store");
    outbox.put_snapshot(header.revision, ranges, entries);
    Input::Listed(ListedStore { header, mark, coverage })
}

/// The outcome of an action.
enum LinkOutcome {
    Plain(Input),
    Listed(Listing),
    Changed(Batch, Option<LastChange>),
}

/// The connection to etcd, in any state.
struct SessionLink {
    members: Members,
    ranges: KeyRanges,
    watch: Option<Following>,
    has_large_values: bool,
    /// Number of keys that are not UTF-8 in the last listing.
    unreadable_keys: usize,
}

/// An open watch and the messages that it has delivered so far.
struct Following {
    stream: Watch,
    assembler: Assembler,
    /// Whether several watchers would deliver fewer foreign keys.
    is_wide: bool,
    since: Instant,
}

impl SessionLink {
    fn new(settings: EtcdSettings, ranges: KeyRanges) -> SessionLink {
        let members = Members::new(settings);
        if members.settings().tls.is_some() && members.endpoints().iter().any(|member| member.scheme == Scheme::Http) {
            tracing::warn!("TLS is set up, but an etcd endpoint says http: that one is spoken to in plain text");
        }
        SessionLink { members, ranges, watch: None, has_large_values: false, unreadable_keys: 0 }
    }

    /// Logs the number of keys that are left out, whenever it changes.
    fn tell_unreadable(&mut self, count: usize) {
        if count > 0 && count != self.unreadable_keys {
            tracing::warn!(count, "keys that are not UTF-8 are left out");
        }
        self.unreadable_keys = count;
    }

    async fn perform(&mut self, session: &Session) -> LinkOutcome {
        let result = match session.doing() {
            SessionAction::Discover => {
                self.members.look_up().await.map(|count| LinkOutcome::Plain(Input::Discovered(count)))
            }
            SessionAction::Connect(nth) => {
                self.members.connect(nth).await.map(|_| LinkOutcome::Plain(Input::Connected))
            }
            SessionAction::List => self.list().await,
            SessionAction::Verify => self.verify(session).await,
            SessionAction::Watch(coverage) => self.start_watch(coverage, session).await,
            SessionAction::Follow => self.follow().await,
            SessionAction::Wait(delay) => {
                tokio::time::sleep(delay).await;
                Ok(LinkOutcome::Plain(Input::Waited))
            }
            SessionAction::Rest => std::future::pending().await,
        };
        result.unwrap_or_else(|failure| {
            let failure = self.members.blame(failure);
            let held = self.watch.as_ref().map_or(Duration::ZERO, |watch| clock::now().duration_since(watch.since));
            LinkOutcome::Plain(Input::Failed { failure, held })
        })
    }

    async fn list(&mut self) -> Result<LinkOutcome, EtcdFailure> {
        Ok(LinkOutcome::Listed(list::list(self.members.connection()?, &self.ranges).await?))
    }

    async fn verify(&mut self, session: &Session) -> Result<LinkOutcome, EtcdFailure> {
        let Some(mark) = session.mark() else {
            return Err(EtcdFailure { kind: FailureKind::Future, problem: "nothing to resume from".to_owned() });
        };
        let (header, same) = list::verify(self.members.connection()?, &self.ranges, mark).await?;
        Ok(LinkOutcome::Plain(Input::Verified { header, same }))
    }

    /// Opens the watch and waits until all watchers are created.
    async fn start_watch(&mut self, coverage: Coverage, session: &Session) -> Result<LinkOutcome, EtcdFailure> {
        let spans = coverage::watch_spans(&self.ranges, coverage);
        let stream = self.members.connection()?.watch(&spans, session.watch_after(), self.has_large_values).await?;
        let handed_out = session.revision().unwrap_or_default();
        let (watchers, now) = (spans.len(), clock::now());
        let mark = session.mark().cloned();
        let assembler = Assembler::new(self.ranges.clone(), watchers, handed_out, mark, now);
        // One directory has neighbours too, but only the hull of several is worth giving up its single watcher.
        let is_wide = watchers == 1 && coverage::watch_spans(&self.ranges, Coverage::Directories).len() > 1;
        let following = self.watch.insert(Following { stream, assembler, is_wide, since: now });
        match tokio::time::timeout(self.members.settings().request_timeout, following.all_created(watchers)).await {
            Ok(header) => Ok(LinkOutcome::Plain(Input::Watching { header: header?, watchers })),
            Err(_) => Err(EtcdFailure::unreachable("etcd did not set up the watch in time")),
        }
    }

    async fn follow(&mut self) -> Result<LinkOutcome, EtcdFailure> {
        match &mut self.watch {
            Some(following) => following.next().await,
            None => Err(EtcdFailure::unreachable("no watch to follow")),
        }
    }
}

impl Following {
    /// Waits until all watchers are created and returns the lowest of their headers.
    async fn all_created(&mut self, watchers: usize) -> Result<Header, EtcdFailure> {
        let mut lowest: Option<Header> = None;
        let mut created = 0;
        while created < watchers {
            let message = self.message().await?;
            if message.created {
                created += 1;
                lowest =
                    Some(lowest.filter(|lowest| lowest.revision <= message.header.revision).unwrap_or(message.header));
            } else {
                self.assembler.take_message(message, clock::now());
            }
        }
        Ok(lowest.unwrap_or_default())
    }

    /// Waits for complete revisions or a sign of life, whichever comes first. Dropping the future loses nothing.
    async fn next(&mut self) -> Result<LinkOutcome, EtcdFailure> {
        loop {
            if let Some(batch) = self.assembler.take_complete(clock::now()) {
                return Ok(LinkOutcome::Changed(batch, self.assembler.mark().cloned()));
            }
            let deadline = self.assembler.deadline();
            let message = tokio::select! {
                biased;
                message = self.message() => message?,
                () = sleep_until(deadline) => continue,
            };
            let now = clock::now();
            let is_progress = message.events.is_empty() && !message.is_fragment && message.unreadable_keys == 0;
            let header = message.header;
            self.assembler.take_message(message, now);
            if is_progress {
                return Ok(LinkOutcome::Plain(Input::Progress(header)));
            }
            if self.is_wide && self.assembler.is_too_loud(now) {
                return Ok(LinkOutcome::Plain(Input::TooLoud));
            }
        }
    }

    async fn message(&mut self) -> Result<WatchMessage, EtcdFailure> {
        let mut message = self.stream.next().await?;
        if message.unreadable_keys > 0 {
            tracing::debug!(count = message.unreadable_keys, "changes of keys that are not UTF-8 are left out");
        }
        match message.cancelled.take() {
            Some(failure) => Err(failure),
            None => Ok(message),
        }
    }
}
