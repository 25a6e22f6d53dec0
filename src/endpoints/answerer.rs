//! Decides which question is answered when, and with what. A question for a set that the asker already has is held; a new question
//! proves that nginx has taken the last answer. Pure: messages and the time go in, messages to send come out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Instant;

use hickory_proto::op::ResponseCode;

use super::asked::Asked;
use super::message::{self, DnsMessage, DnsQuestion, MAX_TCP_BYTES};
use super::poller::{GROUPED_WITHIN, HOLD, HOLD_OF_SEVERAL, Handling, Poller, REPEATS_WITHIN};
use super::targets::SharedNames;
use crate::model::endpoints::{Endpoint, EndpointName, EndpointSet};
use named::Named;

/// Most bytes of an answer over UDP to nginx, which says nothing about it: the size of its buffer (`ngx_resolver.c`).
const NGINX_UDP_BYTES: usize = 4096;
/// Seconds for which nginx keeps the addresses of a target, which never change.
const TARGET_TTL_SECONDS: u32 = 3600;
/// Most answers whose time has come that are made at once, since each may have thousands of bytes.
const MAX_AT_ONCE: usize = 64;
/// Most questions for names that nobody has published yet.
const MAX_EARLY: usize = 4096;

/// An asker over UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asker {
    /// Our socket that it asks.
    pub socket: usize,
    /// Its address.
    pub address: SocketAddr,
}

impl Asker {
    /// The first one in their order.
    const FIRST: Asker = Asker { socket: 0, address: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)) };
}

/// A message to send over UDP.
#[derive(Debug, PartialEq, Eq)]
pub struct Packet {
    /// Receiver.
    pub to: Asker,
    /// Message.
    pub bytes: Vec<u8>,
}

/// A worker of nginx that asks: each has sockets of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Order in which they were first seen.
    pub number: u64,
    /// An address from which it asks.
    pub address: SocketAddr,
    /// Time of its first question.
    pub since: Instant,
}

/// Whether nginx has the present set of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uptake {
    /// Its newest worker has taken it.
    Taken,
    /// Somebody asks; the newest worker has not taken it yet.
    Asked,
    /// Nobody asks.
    Unasked,
}

/// The sets, and who asks for them.
#[derive(Debug)]
pub struct Answerer {
    /// The peer of a set without endpoints: without any record, nginx would go on with none and ask again after 10 s only.
    refuge: Endpoint,
    /// Number of our addresses, which nginx asks in turn.
    addresses: usize,
    names: BTreeMap<EndpointName, Named>,
    shared: SharedNames,
    /// Serial of the last change of any set.
    serial: u64,
    /// Number of workers seen so far.
    workers_seen: u64,
    /// Machine of the last one who asked for a name for the first time, and when.
    met: Option<(IpAddr, Instant)>,
    /// Held questions by the time at which they are answered in any case.
    due: BTreeSet<(Instant, EndpointName, Asker)>,
    /// Names that each asker has asked for.
    by_asker: BTreeSet<(Asker, EndpointName)>,
    /// Last question of each asker for a name that is not published yet, with the time of its arrival.
    early: BTreeMap<(EndpointName, Asker), (DnsQuestion, Instant)>,
    /// Names of which something has changed since the last call of `take_changed`.
    changed: BTreeSet<EndpointName>,
}

impl Answerer {
    /// Returns one without sets, which answers at `addresses` addresses. `refuge` is the peer of a set without endpoints.
    pub fn new(refuge: SocketAddr, addresses: usize) -> Answerer {
        Answerer {
            refuge: Endpoint { address: refuge, weight: 1, is_backup: false },
            addresses,
            names: BTreeMap::new(),
            shared: SharedNames::default(),
            serial: 0,
            workers_seen: 0,
            met: None,
            due: BTreeSet::new(),
            by_asker: BTreeSet::new(),
            early: BTreeMap::new(),
            changed: BTreeSet::new(),
        }
    }

    /// Publishes sets. Returns the answers to questions that were held for them.
    pub fn publish(&mut self, sets: Vec<EndpointSet>, now: Instant) -> Vec<Packet> {
        let mut packets = Vec::new();
        for EndpointSet { name, endpoints } in sets {
            if self.names.get(&name).is_some_and(|named| *named.endpoints == *endpoints) {
                continue;
            }
            self.serial += 1;
            self.changed.insert(name.clone());
            let (serial, endpoints) = (self.serial, Arc::from(endpoints));
            match self.names.get_mut(&name) {
                Some(named) => named.replace(endpoints, serial),
                None => {
                    self.names.insert(name.clone(), Named::new(endpoints, serial));
                    self.answer_early(&name, now, &mut packets);
                }
            }
            self.answer_held(&name, now, &mut packets);
            if let Some(named) = self.names.get(&name) {
                // nginx may have its targets from an answer of our last run.
                self.shared.srv_records(named.peers(&self.refuge), now);
            }
        }
        packets
    }

    /// Sets how many upstreams ask for a name, each from sockets of its own.
    pub fn set_upstreams(&mut self, name: &EndpointName, upstreams: usize) {
        let Some(named) = self.names.get_mut(name) else { return };
        if std::mem::replace(&mut named.upstreams, upstreams) != upstreams {
            self.changed.insert(name.clone());
        }
    }

    /// Returns how many upstreams ask for a name.
    pub fn upstreams(&self, name: &EndpointName) -> usize {
        self.names.get(name).map_or(1, |named| named.upstreams)
    }

    fn answer_early(&mut self, name: &EndpointName, now: Instant, packets: &mut Vec<Packet>) {
        self.forget_early(now);
        let from_first = (name.clone(), Asker::FIRST)..;
        let early = self.early.range(from_first).map(|(key, _)| key).take_while(|(asked, _)| asked == name);
        let early: Vec<(EndpointName, Asker)> = early.cloned().collect();
        for key in early {
            let Some((question, arrived)) = self.early.remove(&key) else { continue };
            packets.extend(self.ask_for_peers(key.1, question, name.clone(), (arrived, now), false));
        }
    }

    /// Forgets early questions that nobody repeats any more.
    fn forget_early(&mut self, now: Instant) {
        self.early.retain(|_, (_, arrived)| now.duration_since(*arrived) <= REPEATS_WITHIN);
    }

    fn answer_held(&mut self, name: &EndpointName, now: Instant, packets: &mut Vec<Packet>) {
        let Some(named) = self.names.get(name) else { return };
        let held: Vec<Asker> =
            named.pollers.iter().filter(|(_, poller)| poller.held.is_some()).map(|(asker, _)| *asker).collect();
        packets.extend(held.into_iter().filter_map(|asker| self.answer(name, asker, now)));
    }

    /// Forgets a name. nginx keeps its peers, since its questions get no answer any more.
    pub fn withdraw(&mut self, name: &EndpointName) {
        let pollers = self.names.get(name).map(|named| named.pollers.iter().map(|(asker, _)| *asker));
        let pollers: Vec<Asker> = pollers.into_iter().flatten().collect();
        for asker in pollers {
            self.forget(asker, name);
        }
        if self.names.remove(name).is_some() {
            self.changed.insert(name.clone());
        }
    }

    /// Forgets that somebody asks for a name.
    fn forget(&mut self, asker: Asker, name: &EndpointName) {
        let Some(named) = self.names.get_mut(name) else { return };
        if let Some(at) = named.poller(asker).and_then(|poller| poller.due) {
            self.due.remove(&(at, name.clone(), asker));
        }
        named.pollers.retain(|(known, _)| *known != asker);
        named.pollers.shrink_to_fit();
        self.by_asker.remove(&(asker, name.clone()));
    }

    /// Forgets who has not asked for a name for long, except its newest worker.
    pub fn forget_gone(&mut self, now: Instant) {
        let of_name = |(name, named): (&EndpointName, &Named)| {
            named.gone_before_newest(now).into_iter().map(|asker| (asker, name.clone())).collect::<Vec<_>>()
        };
        let gone: Vec<(Asker, EndpointName)> = self.names.iter().flat_map(of_name).collect();
        gone.into_iter().for_each(|(asker, name)| self.forget(asker, &name));
    }

    /// Returns whether somebody has to find out who asked this over UDP before it is taken: it counts only if it is nginx's.
    pub fn must_identify(&self, from: Asker, (question, asked): &(DnsQuestion, Asked), now: Instant) -> bool {
        let Asked::Peers(name) = asked else { return false };
        let poller = self.names.get(name).and_then(|named| named.poller(from));
        // A socket that has been silent may be somebody else's by now.
        !poller.is_some_and(|poller| poller.is_certain && poller.asks(now) && !poller.was_replaced(question, now))
    }

    /// Takes a question over UDP that has arrived at this time. Returns the reply, if there is one by now. `is_nginx` says whether nginx
    /// asks, `None` if that cannot be known; the question of somebody else is answered, and changes nothing.
    pub fn take_question(
        &mut self,
        from: Asker,
        (question, asked): (DnsQuestion, Asked),
        (arrived, now): (Instant, Instant),
        is_nginx: Option<bool>,
    ) -> Option<Packet> {
        match asked {
            Asked::Peers(name) => {
                if is_nginx == Some(false) {
                    self.forget(from, &name);
                }
                let Some(named) = self.names.get_mut(&name) else {
                    if is_nginx != Some(false) {
                        self.take_early(from, question, name, (arrived, now));
                    }
                    return None;
                };
                if is_nginx != Some(false) {
                    return self.ask_for_peers(from, question, name, (arrived, now), is_nginx.is_some());
                }
                let records = self.shared.srv_records(named.peers(&self.refuge), now);
                Some(Packet { to: from, bytes: question.answer_srv(&records, NGINX_UDP_BYTES) })
            }
            asked => {
                let bytes = self.reply(&question, &asked, NGINX_UDP_BYTES)?;
                Some(Packet { to: from, bytes })
            }
        }
    }

    /// Keeps a question for a name that is not published yet. nginx drops all peers of a name that does not exist; without an answer it
    /// keeps them and asks again.
    fn take_early(
        &mut self,
        from: Asker,
        question: DnsQuestion,
        name: EndpointName,
        (arrived, now): (Instant, Instant),
    ) {
        let key = (name, from);
        if self.early.len() >= MAX_EARLY {
            self.forget_early(now);
        }
        if self.early.len() < MAX_EARLY || self.early.contains_key(&key) {
            self.early.insert(key, (question, arrived));
        }
    }

    /// Takes a message over TCP. Returns the reply; `None` if there is none, and never will be. The question of somebody who is known not
    /// to be nginx is answered, and changes nothing.
    pub fn take_message(&mut self, bytes: &[u8], now: Instant, is_nginx: Option<bool>) -> Option<Vec<u8>> {
        let question = match message::read(bytes) {
            DnsMessage::Question(question) => question,
            DnsMessage::Refuse(bytes) => return Some(bytes),
            DnsMessage::Ignore => return None,
        };
        let asked = Asked::of(&question);
        let Asked::Peers(name) = &asked else { return self.reply(&question, &asked, MAX_TCP_BYTES) };
        let named = self.names.get_mut(name)?;
        let serial = named.serial;
        let mut pollers = named.pollers.iter_mut().filter(|_| is_nginx != Some(false));
        if let Some((_, poller)) = pollers.find(|(_, poller)| poller.fetches(question.id)) {
            poller.answer(serial, false, now);
        }
        let records = self.shared.srv_records(named.peers(&self.refuge), now);
        Some(question.answer_srv(&records, MAX_TCP_BYTES))
    }

    fn ask_for_peers(
        &mut self,
        from: Asker,
        question: DnsQuestion,
        name: EndpointName,
        (arrived, now): (Instant, Instant),
        is_certain: bool,
    ) -> Option<Packet> {
        // One text for all that ask for it.
        let (name, named) = self.names.get_key_value(&name).map(|(name, named)| (name.clone(), named))?;
        let known = named.poller(from).filter(|poller| !poller.was_replaced(&question, now));
        if known.is_none() {
            self.forget(from, &name);
            self.meet(from, &name, now);
        }
        let named = self.names.get_mut(&name)?;
        let before = named.taken(now);
        let serial = named.serial;
        let poller = named.poller_mut(from)?;
        poller.is_certain = is_certain;
        let met_at = self.met.filter(|(ip, _)| *ip == from.address.ip()).map(|(_, at)| at);
        let decision = poller.ask(&question, serial, (arrived, now), met_at);
        poller.held = Some(Box::new(question));
        if decision == Handling::Hold && poller.due.is_none() {
            let latest = now + if self.addresses > 1 { HOLD_OF_SEVERAL } else { HOLD };
            let from_earliest = (latest - GROUPED_WITHIN, EndpointName::first(), Asker::FIRST)..;
            let at = self.due.range(from_earliest).next().map_or(latest, |(at, ..)| latest.min(*at));
            poller.due = Some(at);
            self.due.insert((at, name.clone(), from));
        }
        if named.taken(now) != before {
            self.changed.insert(name.clone());
        }
        if decision == Handling::Answer { self.answer(&name, from, now) } else { None }
    }

    /// Remembers a new asker of a name. Questions that are held for the same socket and not repeated are those of a process that has ended.
    fn meet(&mut self, from: Asker, name: &EndpointName, now: Instant) {
        let Some(named) = self.names.get_mut(name) else { return };
        let worker = named.worker_at_other_addresses(from.socket, now).unwrap_or_else(|| {
            self.workers_seen += 1;
            self.met = Some((from.address.ip(), now));
            (self.workers_seen, now)
        });
        for gone in named.too_many(now) {
            self.forget(gone, name);
        }
        for other in self.asked_by(from) {
            let named = self.names.get(&other);
            let is_over = |poller: &Poller| poller.held.is_some() && !poller.asks(now);
            if named.and_then(|named| named.poller(from)).is_some_and(is_over) {
                self.forget(from, &other);
            }
        }
        let Some(named) = self.names.get_mut(name) else { return };
        named.pollers.reserve_exact(1);
        named.pollers.push((from, Poller::new(worker, self.addresses, now)));
        self.by_asker.insert((from, name.clone()));
    }

    /// Returns the names that somebody has asked for.
    fn asked_by(&self, asker: Asker) -> Vec<EndpointName> {
        let from_first = (asker, EndpointName::first())..;
        let of_asker = self.by_asker.range(from_first).take_while(|(known, _)| *known == asker);
        of_asker.map(|(_, name)| name.clone()).collect()
    }

    /// Answers a held question.
    fn answer(&mut self, name: &EndpointName, asker: Asker, now: Instant) -> Option<Packet> {
        let named = self.names.get_mut(name)?;
        let poller = named.poller_mut(asker)?;
        if let Some(at) = poller.due.take() {
            self.due.remove(&(at, name.clone(), asker));
        }
        let question = poller.held.take()?;
        let records = self.shared.srv_records(named.peers(&self.refuge), now);
        let bytes = question.answer_srv(&records, NGINX_UDP_BYTES);
        let by_tcp = bytes.get(2).is_some_and(|flags| flags & 0x02 != 0);
        let serial = named.serial;
        named.poller_mut(asker)?.answer(serial, by_tcp, now);
        Some(Packet { to: asker, bytes })
    }

    /// Answers what has been held for long enough, a limited number at a time.
    pub fn tick(&mut self, now: Instant) -> Vec<Packet> {
        let is_due = |(at, ..): &&(Instant, EndpointName, Asker)| *at <= now;
        let due: Vec<_> = self.due.iter().take_while(is_due).take(MAX_AT_ONCE).cloned().collect();
        let mut packets = Vec::with_capacity(due.len());
        for one in due {
            self.due.remove(&one);
            packets.extend(self.answer(&one.1, one.2, now));
        }
        packets
    }

    /// Returns when `tick` has something to do.
    pub fn wake_at(&self) -> Option<Instant> {
        self.due.first().map(|(at, ..)| *at)
    }

    /// Returns the reply to a question that is not held.
    fn reply(&mut self, question: &DnsQuestion, asked: &Asked, limit: usize) -> Option<Vec<u8>> {
        match asked {
            Asked::Addresses(label) => {
                let addresses = self.shared.addresses(label)?;
                Some(question.answer(question.address_records(&addresses, TARGET_TTL_SECONDS), limit))
            }
            Asked::Peers(_) => None,
            Asked::Foreign => Some(question.refusal(ResponseCode::Refused)),
        }
    }

    /// Returns whether nginx has the present set of a name.
    pub fn uptake(&self, name: &EndpointName, now: Instant) -> Uptake {
        self.names.get(name).map_or(Uptake::Unasked, |named| named.uptake(now))
    }

    /// Returns the serial of the last change of any set.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Returns the serial of the first set of a name that nginx has not taken; `None` if it has the present one.
    pub fn first_untaken(&self, name: &EndpointName, now: Instant) -> Option<u64> {
        self.names.get(name).map_or(Some(0), |named| named.first_untaken(now))
    }

    /// Returns the names whose progress or set has changed since the last call.
    pub fn take_changed(&mut self) -> BTreeSet<EndpointName> {
        std::mem::take(&mut self.changed)
    }

    /// Returns whether `take_changed` has something.
    pub fn has_news(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Returns the present set of a name.
    pub fn endpoints(&self, name: &EndpointName) -> Option<&Arc<[Endpoint]>> {
        self.names.get(name).map(|named| &named.endpoints)
    }

    /// Returns the newest worker that has asked for a name, and again after an answer; and whether nginx has the present set.
    pub fn progress(&self, name: &EndpointName, now: Instant) -> (Option<Worker>, Uptake) {
        let named = self.names.get(name);
        named.map_or((None, Uptake::Unasked), |named| (named.newest_worker(), named.uptake(now)))
    }
}

mod named;
#[cfg(test)]
mod tests;
