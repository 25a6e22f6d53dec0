//! Carries out the decisions of the session: looks up, connects, lists, watches, waits. The only code that joins session and
//! network; never decides anything that a test without a network should cover.

mod list;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::assemble::Assembler;
use super::coverage::{self, Coverage};
use super::outbox::{Batch, Outbox, Snapshot};
use super::session::{Input, LastChange, ListedStore, Session, SessionAction, SessionNotice};
use super::tally::StoreTally;
use super::{Outlet, Requests, SourceNews};
use crate::model::etcd::{EtcdFailure, FailureKind, Header, WatchMessage};
use crate::model::event::Event;
use crate::model::key::Revision;
use crate::model::range::{KeyRange, KeyRanges, WantedKeys};
use crate::model::refusal::Refusal;
use crate::model::status::{HeardRevision, StoreMember, UnixTime};
use crate::model::store::{EtcdSettings, Scheme};
use crate::model::tree::Tree;
use crate::world::clock::{self, sleep_until};
use crate::world::etcd::{Members, Watch};
use crate::world::random;
use list::GrantedKeys;

/// Most refused ranges that one probe asks for.
const MAX_PROBED: usize = 16;

/// Runs until the handle is dropped.
pub(super) async fn run(
    settings: EtcdSettings,
    follow: bool,
    mut requests: Requests,
    mut outlet: Outlet,
    news: watch::Sender<SourceNews>,
) {
    loop {
        news.send_modify(|news| news.member = None);
        while requests.ranges().is_empty() {
            outlet.outbox.put_snapshot(Snapshot::default());
            if !outlet.until(requests.changed()).await {
                return;
            }
        }
        if !run_session(&settings, follow, &mut requests, &mut outlet, &news).await {
            return;
        }
    }
}

/// Runs one session until no keys are wanted any more (true) or the handle is dropped (false).
async fn run_session(
    settings: &EtcdSettings,
    follow: bool,
    requests: &mut Requests,
    outlet: &mut Outlet,
    news: &watch::Sender<SourceNews>,
) -> bool {
    let mut link = SessionLink::new(settings.clone(), requests.wanted(), Arc::clone(&requests.known), news.clone());
    let mut session = Session::new(follow, settings.login.is_some(), link.members.addresses().len())
        .with_longest_pause(settings.longest_pause);
    loop {
        let mut asked = false;
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
                        asked = true;
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
        if asked {
            let before = std::mem::replace(&mut link.wanted, requests.wanted());
            session.ask(link.wanted != before);
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
    let mut may_be_full = false;
    link.hear(&outcome);
    let input = match outcome {
        LinkOutcome::Plain(input) => input,
        LinkOutcome::Listed(found) => link.take_listing(found, session, &mut outlet.outbox),
        LinkOutcome::Changed(batch, mark) => {
            let revision = batch.revision;
            may_be_full = link.tally.add(batch.changes.len(), batch.bytes()).is_err();
            outlet.outbox.put_changes(batch);
            Input::Advanced { revision, mark }
        }
    };
    let step = session.step(input, random::fraction());
    if may_be_full {
        // Only a listing can say how much is left of all that was put.
        session.ask(false);
        link.watch = None;
    }
    match step.notice {
        Some(SessionNotice::Lost { problem, retry_in, is_lasting }) => {
            outlet.outbox.put_standing(Event::Lost { problem, retry_in, is_lasting });
        }
        Some(SessionNotice::Regained) => outlet.outbox.put_standing(Event::Regained),
        None => {}
    }
    if let Some(probe_in) = step.probe_in {
        link.probe_at = Some(clock::now() + probe_in);
    }
    match step.action {
        SessionAction::Follow | SessionAction::Probe => {}
        SessionAction::Wait(_) | SessionAction::Connect(_) | SessionAction::Discover => {
            link.watch = None;
            link.members.disconnect();
            link.news.send_modify(|news| news.member = None);
        }
        SessionAction::List | SessionAction::CheckHistory | SessionAction::Watch(_) | SessionAction::Rest => {
            link.watch = None
        }
    }
}

/// Records the revision that the store has just named.
fn heard(news: &watch::Sender<SourceNews>, revision: Revision) {
    let heard = HeardRevision { revision: revision.0, at: UnixTime(clock::unix_seconds()) };
    news.send_modify(|news| news.heard = Some(heard));
}

/// The outcome of an action.
enum LinkOutcome {
    Plain(Input),
    Listed(GrantedKeys),
    Changed(Batch, Option<LastChange>),
}

/// The connection to etcd, in any state.
struct SessionLink {
    members: Members,
    wanted: WantedKeys,
    /// The tree that the agent has.
    known: Arc<Mutex<Tree>>,
    /// The wanted keys that the last listing has read.
    granted: KeyRanges,
    /// The wanted ranges that the store refused then.
    refused: Vec<KeyRange>,
    /// Time at which to ask for them again.
    probe_at: Option<Instant>,
    watch: Option<Following>,
    has_large_values: bool,
    /// Number of keys that are not UTF-8, or too long, in the last listing.
    unreadable_keys: usize,
    /// What the last listing has read, and every change since, as if all were puts of new keys.
    tally: StoreTally,
    news: watch::Sender<SourceNews>,
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
    fn new(
        settings: EtcdSettings,
        wanted: WantedKeys,
        known: Arc<Mutex<Tree>>,
        news: watch::Sender<SourceNews>,
    ) -> SessionLink {
        let members = Members::new(settings);
        if members.settings().tls.is_some() && members.addresses().iter().any(|member| member.scheme == Scheme::Http) {
            tracing::warn!("TLS is configured, but an etcd endpoint says http; connecting to it in plain text");
        }
        SessionLink {
            tally: StoreTally::new(members.settings().limits),
            members,
            wanted,
            known,
            granted: KeyRanges::default(),
            refused: Vec::new(),
            probe_at: None,
            watch: None,
            has_large_values: false,
            unreadable_keys: 0,
            news,
        }
    }

    /// Records what an outcome tells of the store beside its keys.
    fn hear(&self, outcome: &LinkOutcome) {
        let revision = match outcome {
            LinkOutcome::Plain(Input::Connected) => {
                let since = UnixTime(clock::unix_seconds());
                let address = self.members.connection().map(|connection| connection.member().to_string());
                let member = address.ok().map(|address| StoreMember { address, since });
                self.news.send_modify(|news| news.member = member);
                return;
            }
            LinkOutcome::Plain(Input::Verified { header, .. } | Input::Watching { header, .. }) => header.revision,
            LinkOutcome::Listed(GrantedKeys { listing: Some(listing), .. }) => listing.header.revision,
            _ => return,
        };
        heard(&self.news, revision);
    }

    /// Passes a listing on, and returns what the session needs to know of it.
    fn take_listing(&mut self, found: GrantedKeys, session: &Session, outbox: &mut Outbox) -> Input {
        self.refused = found.refused;
        self.probe_at = None;
        let refused = self.refusal();
        let Some(listing) = found.listing else {
            self.granted = KeyRanges::default();
            let revision = session.revision().unwrap_or_default();
            outbox.put_snapshot(Snapshot { revision, refused, ..Snapshot::default() });
            return Input::AllRefused;
        };
        self.granted = listing.ranges.clone();
        self.has_large_values = listing.has_large_values;
        self.tally = listing.tally;
        self.log_unreadable(listing.unreadable_keys);
        let revision = listing.header.revision;
        if let Some(before) = session.revision().filter(|before| *before > revision) {
            tracing::warn!(
                before = before.0,
                now = revision.0,
                "the store went back to an older revision; using it as it is"
            );
        }
        tracing::debug!(revision = revision.0, keys = listing.entries.len(), "listed the store");
        let (ranges, entries, leases) = (listing.ranges, listing.entries, listing.leases);
        outbox.put_snapshot(Snapshot { revision, ranges, refused, entries, leases });
        let refused = !self.refused.is_empty();
        Input::Listed(ListedStore { header: listing.header, mark: listing.mark, coverage: listing.coverage, refused })
    }

    fn refusal(&self) -> Option<Refusal> {
        let user = self.members.settings().login.as_ref().map(|login| login.user.clone());
        let refusal = Refusal { ranges: self.refused.clone(), user, reason: "permission denied".to_owned() };
        (!self.refused.is_empty()).then_some(refusal)
    }

    /// Logs the number of keys that are left out, whenever it changes.
    fn log_unreadable(&mut self, count: usize) {
        if count > 0 && count != self.unreadable_keys {
            tracing::warn!(count, "skipped keys that are not UTF-8, or longer than 4096 bytes");
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
            SessionAction::CheckHistory => self.verify(session).await,
            SessionAction::Watch(coverage) => self.start_watch(coverage, session).await,
            SessionAction::Follow => self.follow().await,
            SessionAction::Probe => self.probe().await,
            SessionAction::Wait(delay) => {
                tokio::time::sleep(delay).await;
                Ok(LinkOutcome::Plain(Input::Waited))
            }
            SessionAction::Rest => {
                sleep_until(self.probe_at).await;
                Ok(LinkOutcome::Plain(Input::ProbeDue))
            }
        };
        result.unwrap_or_else(|failure| {
            let failure = self.members.blame(failure);
            let held = self.watch.as_ref().map_or(Duration::ZERO, |watch| clock::now().duration_since(watch.since));
            LinkOutcome::Plain(Input::Failed { failure, held })
        })
    }

    async fn list(&mut self) -> Result<LinkOutcome, EtcdFailure> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let tally = StoreTally::new(*self.tally.limits());
        Ok(LinkOutcome::Listed(list::list(self.members.connection()?, &self.wanted, known, tally).await?))
    }

    async fn verify(&mut self, session: &Session) -> Result<LinkOutcome, EtcdFailure> {
        let Some(mark) = session.mark() else {
            return Err(EtcdFailure { kind: FailureKind::Future, problem: "nothing to resume from".to_owned() });
        };
        let (header, same) = list::verify(self.members.connection()?, &self.granted, mark).await?;
        Ok(LinkOutcome::Plain(Input::Verified { header, same }))
    }

    /// Opens the watch and waits until all watchers are created.
    async fn start_watch(&mut self, coverage: Coverage, session: &Session) -> Result<LinkOutcome, EtcdFailure> {
        let spans = coverage::watch_spans(&self.granted, coverage);
        let stream = self.members.connection()?.watch(&spans, session.watch_after(), self.has_large_values).await?;
        let handed_out = session.revision().unwrap_or_default();
        let (watchers, now) = (spans.len(), clock::now());
        let mark = session.mark().cloned();
        let max_bytes = self.tally.limits().bytes;
        let assembler = Assembler::new(self.granted.clone(), watchers, handed_out, mark, now).holding_up_to(max_bytes);
        // One directory has neighbours too, but only the hull of several is worth giving up its single watcher.
        let is_wide = watchers == 1 && coverage::watch_spans(&self.granted, Coverage::Directories).len() > 1;
        let following = self.watch.insert(Following { stream, assembler, is_wide, since: now });
        match tokio::time::timeout(self.members.settings().request_timeout, following.all_created(watchers)).await {
            Ok(header) => Ok(LinkOutcome::Plain(Input::Watching { header: header?, watchers })),
            Err(_) => Err(EtcdFailure::unreachable("etcd did not set up the watch in time")),
        }
    }

    async fn follow(&mut self) -> Result<LinkOutcome, EtcdFailure> {
        let Some(following) = &mut self.watch else { return Err(EtcdFailure::unreachable("no watch to follow")) };
        tokio::select! {
            biased;
            () = sleep_until(self.probe_at) => Ok(LinkOutcome::Plain(Input::ProbeDue)),
            outcome = following.next(&self.news) => outcome,
        }
    }

    /// Asks for some of the refused ranges, in turn.
    async fn probe(&mut self) -> Result<LinkOutcome, EtcdFailure> {
        let asked: Vec<KeyRange> = self.refused.iter().take(MAX_PROBED).cloned().collect();
        let ranges = asked.as_slice();
        // A watch does not need the login, which may have expired: it stays.
        let answers = self.members.ask(|connection| async move { list::ask(&connection, ranges).await }).await?;
        tracing::debug!(ranges = asked.len(), "asked the store again for keys that it refuses");
        self.refused.rotate_left(asked.len());
        Ok(LinkOutcome::Plain(Input::Probed { granted: answers.iter().any(|(_, granted)| *granted) }))
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
                self.take(message, clock::now())?;
            }
        }
        Ok(lowest.unwrap_or_default())
    }

    /// Waits for complete revisions or a sign of life, whichever comes first. Dropping the future loses nothing.
    async fn next(&mut self, news: &watch::Sender<SourceNews>) -> Result<LinkOutcome, EtcdFailure> {
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
            heard(news, header.revision);
            self.take(message, now)?;
            if is_progress {
                return Ok(LinkOutcome::Plain(Input::Progress(header)));
            }
            if self.is_wide && self.assembler.is_too_loud(now) {
                return Ok(LinkOutcome::Plain(Input::TooLoud));
            }
        }
    }

    fn take(&mut self, message: WatchMessage, now: Instant) -> Result<(), EtcdFailure> {
        let problem = || "etcd sent more changes at once than may be kept of a store (--max-store-mib)".to_owned();
        let fits = self.assembler.take_message(message, now);
        if fits { Ok(()) } else { Err(EtcdFailure { kind: FailureKind::TooLarge, problem: problem() }) }
    }

    async fn message(&mut self) -> Result<WatchMessage, EtcdFailure> {
        let mut message = self.stream.next().await?;
        if message.unreadable_keys > 0 {
            tracing::debug!(
                count = message.unreadable_keys,
                "skipped changes of keys that are not UTF-8, or longer than 4096 bytes"
            );
        }
        match message.cancelled.take() {
            Some(failure) => Err(failure),
            None => Ok(message),
        }
    }
}
