//! The running answers about names of the store: its sockets, its table, and the way to other name servers. Goes on with the last
//! tree while the store is away. Never reads the store, and never knows what nginx asks.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use tokio::sync::{mpsc, oneshot};

use crate::model::endpoints::DOMAIN;
use crate::model::event::Event;
use crate::model::lease::LeaseId;
use crate::model::range::KeyRanges;
use crate::model::text::counted;
use crate::model::tree::Tree;
use crate::world::clock;
use crate::world::dns_forward::{ForwardWay, Forwarder};
use crate::world::dns_listener::{DatagramSender, DnsListener, MessageReply, Respond};
use crate::world::random;

use super::message::{self, DnsMessage, DnsQuestion, MAX_TCP_BYTES};
use super::skydns::{self, KeyLeases, LeaseTimes, Moment, NameAnswer, NamePlaces, NameTable};

/// Most unusable keys that one change logs by name.
const MAX_LOGGED: usize = 3;

/// Answers about names of the store.
pub struct NameService {
    places: NamePlaces,
    /// Those that the store shows; `None` before it was read.
    shown: Mutex<Option<NamePlaces>>,
    /// Whether these are all.
    shows_all: AtomicBool,
    newer: Mutex<StoreNews>,
    /// Records, once there are some to know; used by the thread that answers.
    table: Mutex<Option<NameTable>>,
    lease_times: Mutex<LeaseTimes>,
    /// Leases to ask etcd for.
    lease_questions: mpsc::Sender<LeaseId>,
    /// Set once it listens.
    sender: OnceLock<DatagramSender>,
    /// The way to other name servers; `None` refuses names outside our domains.
    forwarder: Option<Forwarder>,
}

impl std::fmt::Debug for NameService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NameService").field("places", &self.places).finish_non_exhaustive()
    }
}

/// The changes that the table has not taken yet.
#[derive(Default)]
struct StoreNews {
    tree: Option<Tree>,
    leases: KeyLeases,
}

/// The fate of a question.
enum Handled {
    Answer(Vec<u8>),
    Nothing,
    /// Another name server has to be asked.
    Ask(Asking),
}

/// A question to another name server.
struct Asking {
    question: Vec<u8>,
    /// What is said if it does not answer.
    otherwise: Vec<u8>,
    /// The most bytes of what is said and the answer together, if the answer is to be added.
    added_up_to: Option<usize>,
}

impl Asking {
    fn reply(otherwise: Vec<u8>, added_up_to: Option<usize>, answer: Option<Vec<u8>>) -> Vec<u8> {
        match added_up_to {
            Some(limit) => message::joined(otherwise, answer.as_deref(), limit),
            None => answer.unwrap_or(otherwise),
        }
    }
}

impl NameService {
    /// Returns a service that does not listen yet. Until the first tree, its answer is that we cannot say. `lease_questions` takes the
    /// leases of which [`NameService::learn`] should say how much is left.
    pub fn new(
        places: NamePlaces,
        forwarder: Option<Forwarder>,
        lease_questions: mpsc::Sender<LeaseId>,
    ) -> Arc<NameService> {
        Arc::new(NameService {
            places,
            shown: Mutex::default(),
            shows_all: AtomicBool::new(false),
            newer: Mutex::default(),
            table: Mutex::default(),
            lease_times: Mutex::default(),
            lease_questions,
            sender: OnceLock::new(),
            forwarder,
        })
    }

    /// Starts to answer at these sockets.
    ///
    /// # Errors
    /// The system has no further thread.
    pub fn listen(self: &Arc<Self>, listener: DnsListener) -> std::io::Result<()> {
        let sender = listener.sender();
        listener.serve(Arc::clone(self) as Arc<dyn Respond>)?;
        self.sender.get_or_init(|| sender).wake();
        Ok(())
    }

    /// Returns the keys that have to be followed.
    pub fn ranges(&self) -> KeyRanges {
        self.places.ranges()
    }

    /// Takes note of an event of the store. Returns whether the tree that it makes has to be published.
    pub fn note(&self, event: &Event) -> bool {
        let shown = match event {
            Event::Snapshot { ranges, .. } => self.show(self.places.shown_by(ranges)),
            Event::Changes { .. } => self.shown().clone().unwrap_or_default(),
            Event::Lost { .. } | Event::Regained => return false,
        };
        if shown.is_any() {
            self.news().leases.note(event, &shown.ranges());
        }
        shown.is_any()
    }

    /// Answers from these places from now on, once their tree is there.
    fn show(&self, shown: NamePlaces) -> NamePlaces {
        let before = self.shown().replace(shown.clone());
        if before.as_ref() == Some(&shown) {
            return shown;
        }
        *self.news() = StoreNews::default();
        *self.table.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let missing = self.places.missing_in(&shown);
        self.shows_all.store(missing.is_empty(), Ordering::Relaxed);
        match before {
            _ if !missing.is_empty() => {
                let missing = missing.join(" and ");
                tracing::warn!(
                    "the store does not show the keys that names are made from; their questions fail (hint: the role of the user in \
                     etcd needs to read {missing})"
                );
            }
            Some(_) => tracing::info!("the store shows all keys that names are made from again"),
            None => {}
        }
        shown
    }

    /// Publishes a tree: the next question is answered from it.
    pub fn publish(&self, tree: Tree) {
        self.news().tree = Some(tree);
        self.sender.get().into_iter().for_each(DatagramSender::wake);
    }

    /// Takes how much is left of a lease, by a question that was sent to etcd at this time.
    pub fn learn(&self, lease: LeaseId, sent: Instant, left: Duration) {
        self.lease_times.lock().unwrap_or_else(PoisonError::into_inner).learn(lease, sent, left);
    }

    fn shown(&self) -> MutexGuard<'_, Option<NamePlaces>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn news(&self) -> MutexGuard<'_, StoreNews> {
        self.newer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the table up to the last tree.
    fn catch_up(&self) {
        let mut news = self.news();
        let Some(tree) = news.tree.take() else { return };
        let leases = std::mem::take(&mut news.leases);
        drop(news);
        let shown = self.shown().clone().unwrap_or_default();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let table = table.get_or_insert_with(|| NameTable::new(shown));
        let skipped = table.update(tree, leases);
        let (named, more) = skipped.split_at(skipped.len().min(MAX_LOGGED));
        for (key, reason) in named {
            tracing::warn!(key, "no name is made from the key {key}: {reason}");
        }
        for (key, reason) in more {
            tracing::debug!(key, "no name is made from the key {key}: {reason}");
        }
        if !more.is_empty() {
            let more = counted(more.len(), "more key");
            tracing::warn!("no names are made from {more} (hint: --log-level debug names them)");
        }
    }

    /// Answers a message that may be as long as the question says, or `limit`.
    fn handle(&self, bytes: &[u8], limit: Option<usize>) -> Handled {
        self.catch_up();
        let question = match message::read(bytes) {
            DnsMessage::Question(question) => question,
            DnsMessage::Refuse(reply) => return Handled::Answer(reply),
            DnsMessage::Ignore => return Handled::Nothing,
        };
        // Clients ask for A and AAAA in turn: a count of questions would always show them the same record first.
        let turn = (random::fraction() * f64::from(u32::MAX)) as usize;
        let limit = limit.unwrap_or_else(|| question.udp_limit());
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, nothing) = (table.as_ref(), NamePlaces::default());
        let shown = known.map_or(&nothing, NameTable::places);
        let is_whole = known.is_some() && self.shows_all.load(Ordering::Relaxed);
        let answer = if !is_whole && self.places.may_have_besides(shown, &question) {
            Some(NameAnswer { bytes: skydns::refusal(&question, ResponseCode::ServFail), unfinished: None })
        } else if let Some(table) = known {
            let mut leases = self.lease_times.lock().unwrap_or_else(PoisonError::into_inner);
            let answer =
                skydns::answer(table, &question, limit, Moment { turn, now: clock::now(), leases: &mut leases });
            // One for which there is no room is wanted again by a later question.
            for lease in leases.take_wanted() {
                self.lease_questions.try_send(lease).ok();
            }
            answer
        } else {
            None
        };
        drop(table);
        let may_ask = self.forwarder.is_some() && question.wants_recursion && !is_nginxs(&question);
        match answer {
            Some(NameAnswer { bytes, unfinished: Some(host) }) if may_ask => {
                Handled::Ask(Asking { question: question.about(&host), otherwise: bytes, added_up_to: Some(limit) })
            }
            Some(answer) => Handled::Answer(answer.bytes),
            None if may_ask => Handled::Ask(Asking {
                question: bytes.to_vec(),
                otherwise: skydns::refusal(&question, ResponseCode::ServFail),
                added_up_to: None,
            }),
            None => Handled::Answer(skydns::refusal(&question, ResponseCode::Refused)),
        }
    }

    /// Asks another name server; `done` gets what is to be said, at once if it cannot be asked.
    fn ask(&self, asking: Asking, way: ForwardWay, done: impl FnOnce(Vec<u8>) + Send + 'static) {
        let Asking { question, otherwise, added_up_to } = asking;
        let done = move |answer| done(Asking::reply(otherwise, added_up_to, answer));
        match &self.forwarder {
            Some(forwarder) => forwarder.start(question, way, done),
            None => done(None),
        }
    }
}

/// Returns whether a name is one that only nginx asks for, elsewhere.
fn is_nginxs(question: &DnsQuestion) -> bool {
    let name = question.name();
    name == DOMAIN || name.ends_with(&format!(".{DOMAIN}"))
}

impl Respond for NameService {
    fn datagram(&self, socket: usize, from: SocketAddr, bytes: &[u8], _: Duration) -> Option<Vec<u8>> {
        match self.handle(bytes, None) {
            Handled::Answer(reply) => return Some(reply),
            Handled::Nothing => {}
            Handled::Ask(asking) => {
                let sender = self.sender.get()?.clone();
                self.ask(asking, ForwardWay::Udp, move |reply| sender.send(socket, from, &reply));
            }
        }
        None
    }

    fn message(&self, _: usize, _: SocketAddr, bytes: &[u8]) -> MessageReply {
        match self.handle(bytes, Some(MAX_TCP_BYTES)) {
            Handled::Answer(reply) => MessageReply::Now(reply),
            Handled::Nothing => MessageReply::Close,
            Handled::Ask(asking) => {
                let (to, reply) = oneshot::channel();
                self.ask(asking, ForwardWay::Tcp, move |bytes| drop(to.send(bytes)));
                MessageReply::Later(reply)
            }
        }
    }

    fn is_for_slow_askers(&self) -> bool {
        false
    }

    fn tick(&self) {
        self.catch_up();
    }

    fn wake_at(&self) -> Option<Instant> {
        let is_behind = self.news().tree.is_some();
        is_behind.then(clock::now)
    }
}
