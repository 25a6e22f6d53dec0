//! What is known of one process that asks for one name: a worker of nginx with its socket. Pure.

use std::time::{Duration, Instant};

use super::message::DnsQuestion;

/// Time for which an answer is held if nothing changes: a change that comes in the second between an answer and the next question waits
/// for the question, so answers that say nothing new should be rare. Shorter than nginx waits (`RESOLVER_TIMEOUT_SECONDS`) by more than a
/// restart of the agent takes.
pub(super) const HOLD: Duration = Duration::from_secs(9);
/// The same if nginx has several addresses to ask. In the fifth second (it counts whole ones) it repeats a question, to the next address
/// and from a socket that we do not know, so it must have its answer by then.
pub(super) const HOLD_OF_SEVERAL: Duration = Duration::from_millis(3500);
/// Answers that are due within this time of each other are sent together, since who is woken for one has the next ones for little; their
/// questions come together then, too.
pub(super) const GROUPED_WITHIN: Duration = Duration::from_millis(250);
/// Time within which nginx repeats a question that is held: it does so every five seconds.
pub(super) const REPEATS_WITHIN: Duration = Duration::from_secs(7);
/// Time after an answer within which nginx asks again: it pauses for one second.
const ASKS_AGAIN_WITHIN: Duration = Duration::from_secs(3);
/// The same for each further address that it asks in turn: until it has the answer from there, and has paused again.
const ASKS_THERE_WITHIN: Duration = Duration::from_millis(4600);
/// Time within which the sockets of a process that starts ask for the first time, one for each of its upstreams.
const STARTS_WITHIN: Duration = Duration::from_millis(250);
/// Time for which a question may have waited for us: nginx gives it up two seconds after its last repeat.
const LATE_AFTER: Duration = Duration::from_secs(1);
/// Time after which one that does not ask is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// One asker of one name. Serials are those of the name's sets.
#[derive(Debug)]
pub(super) struct Poller {
    /// Order in which the workers that ask for the name were first seen.
    pub(super) number: u64,
    /// Time of that worker's first question.
    pub(super) since: Instant,
    /// Whether it is known to be nginx's.
    pub(super) is_certain: bool,
    /// Whether the last question has waited for us, so that it may have been given up.
    is_late: bool,
    /// The question that is held, in a box: those that have ended hold none.
    pub(super) held: Option<Box<DnsQuestion>>,
    /// When it is answered in any case.
    pub(super) due: Option<Instant>,
    /// Number of the last question.
    last_id: Option<u16>,
    /// Time of the last question or answer.
    active_at: Instant,
    /// Serial of the last answer.
    answered: Option<u64>,
    /// Serial that it has: it asked a new question after that answer.
    pub(super) taken: Option<u64>,
    /// Whether the last answer asked it to come by TCP.
    pub(super) comes_by_tcp: bool,
    /// Number of further addresses that it asks in turn.
    others: u32,
}

/// The decision about a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handling {
    /// Answer now.
    Answer,
    /// Hold it until the set changes or its time is over.
    Hold,
}

impl Poller {
    /// Returns the poller for a first question at one of so many addresses, of a worker with this number that asked first at `since`.
    pub(super) fn new((number, since): (u64, Instant), addresses: usize, now: Instant) -> Poller {
        Poller {
            number,
            since,
            is_certain: false,
            is_late: false,
            held: None,
            due: None,
            last_id: None,
            active_at: now,
            answered: None,
            taken: None,
            comes_by_tcp: false,
            others: u32::try_from(addresses.saturating_sub(1)).unwrap_or(u32::MAX),
        }
    }

    /// Takes a question that has arrived at this time while the set has this serial. `met_at` is the time at which somebody of the same
    /// machine asked for a name for the first time, the last one who did.
    pub(super) fn ask(
        &mut self,
        question: &DnsQuestion,
        serial: u64,
        (arrived, now): (Instant, Instant),
        met_at: Option<Instant>,
    ) -> Handling {
        let was_silent = !self.asks(arrived);
        // A process may have started since the last answer, and be the one that asks, by accident from the same address.
        let may_be_new =
            self.held.is_none() && met_at.is_some_and(|at| at > self.active_at && at > self.since + STARTS_WITHIN);
        self.active_at = now;
        self.is_late = now.duration_since(arrived) > LATE_AFTER;
        let repeats = self.last_id.replace(question.id) == Some(question.id);
        if self.held.is_none() && (repeats || was_silent) {
            // The answer was lost or has crossed the repeat, the question was lost and this is its repeat, or nginx had given up.
            return Handling::Answer;
        }
        if !repeats && self.answered.is_some() {
            self.taken = self.answered;
        }
        let has_set = self.answered == Some(serial) && !may_be_new;
        if has_set && !self.is_late { Handling::Hold } else { Handling::Answer }
    }

    /// Returns whether this question comes from a process that has started since: nginx asks a new one only after it has the answer to
    /// the last, or has given that up for long.
    pub(super) fn was_replaced(&self, question: &DnsQuestion, now: Instant) -> bool {
        match self.held {
            Some(_) => self.last_id != Some(question.id),
            None => self.is_gone(now),
        }
    }

    /// Records an answer with this serial.
    pub(super) fn answer(&mut self, serial: u64, by_tcp: bool, now: Instant) {
        let is_awaited = self.asks(now) && !self.is_late;
        self.held = None;
        self.active_at = now;
        self.comes_by_tcp = by_tcp;
        if !by_tcp {
            // The next question after one that was given up proves nothing.
            self.answered = is_awaited.then_some(serial);
        }
    }

    /// Returns whether this is the question whose answer it was asked to fetch by TCP.
    pub(super) fn fetches(&self, id: u16) -> bool {
        self.comes_by_tcp && self.last_id == Some(id)
    }

    /// Returns whether it has asked again after an answer, as nginx does and somebody who looks something up does not.
    pub(super) fn has_taken_any(&self) -> bool {
        self.taken.is_some()
    }

    /// Returns whether it asks as nginx does.
    pub(super) fn asks(&self, now: Instant) -> bool {
        let asks_again_within = ASKS_AGAIN_WITHIN + ASKS_THERE_WITHIN.saturating_mul(self.others);
        let limit = if self.held.is_some() { REPEATS_WITHIN } else { asks_again_within };
        now.duration_since(self.active_at) <= limit
    }

    /// Returns whether it can be forgotten.
    pub(super) fn is_gone(&self, now: Instant) -> bool {
        self.held.is_none() && now.duration_since(self.active_at) > FORGOTTEN_AFTER
    }

    /// Returns the time of its last question or answer.
    pub(super) fn active_at(&self) -> Instant {
        self.active_at
    }
}
