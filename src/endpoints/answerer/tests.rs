//! Questions and answers in every order: one name, its askers, and a clock.

mod holding;
mod processes;
mod taking;

use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{RData, Record, RecordType};

use super::named::MAX_POLLERS;
use super::*;

const REFUGE: &str = "127.0.0.153:503";

/// An answerer with a clock, and one name.
struct Walk {
    answerer: Answerer,
    now: Instant,
    name: EndpointName,
    /// Whether it is known which users nginx has.
    users_are_known: bool,
    /// Time for which questions wait until they are read.
    waiting: Duration,
}

fn asker(port: u16) -> Asker {
    Asker { socket: 0, address: SocketAddr::from(([127, 0, 0, 1], port)) }
}

fn query(name: &str, kind: RecordType, id: u16) -> Vec<u8> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(name.parse().unwrap(), kind));
    message.to_vec().unwrap()
}

fn endpoints(addresses: &[&str]) -> Vec<Endpoint> {
    let endpoint = |address: &&str| Endpoint { address: address.parse().unwrap(), weight: 1, is_backup: false };
    addresses.iter().map(endpoint).collect()
}

/// The port of an asker that is not nginx.
const STRANGER: u16 = 999;

impl Walk {
    fn new() -> Walk {
        let answerer = Answerer::new(REFUGE.parse().unwrap(), 1);
        let (now, name, waiting) = (Instant::now(), EndpointName::new("web-1"), Duration::ZERO);
        Walk { answerer, now, name, users_are_known: true, waiting }
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn publish(&mut self, addresses: &[&str]) -> Vec<u16> {
        let set = EndpointSet { name: self.name.clone(), endpoints: endpoints(addresses) };
        let packets = self.answerer.publish(vec![set], self.now);
        packets.iter().map(|packet| packet.to.address.port()).collect()
    }

    /// Asks for the peers. Returns the ports in the answer; `None` if there is none yet.
    fn ask(&mut self, port: u16, id: u16) -> Option<Vec<u16>> {
        self.ask_at(0, port, id)
    }

    /// Takes a message as the service does.
    fn take(&mut self, asker: Asker, bytes: &[u8], is_nginx: Option<bool>) -> Option<Packet> {
        let DnsMessage::Question(question) = message::read(bytes) else { panic!("no question") };
        let (asked, times) = (Asked::of(&question), (self.now - self.waiting, self.now));
        let question = (question, asked);
        let is_nginx = if self.answerer.must_identify(asker, &question, self.now) { is_nginx } else { Some(true) };
        self.answerer.take_question(asker, question, times, is_nginx)
    }

    /// Asks at one of our addresses.
    fn ask_at(&mut self, socket: usize, port: u16, id: u16) -> Option<Vec<u16>> {
        let bytes = query(&format!("_peers._tcp.{}", self.name), RecordType::SRV, id);
        let asker = Asker { socket, ..asker(port) };
        let packet = self.take(asker, &bytes, self.users_are_known.then_some(port != STRANGER))?;
        assert_eq!(packet.to, asker);
        Some(ports(&packet.bytes))
    }

    fn worker(&self) -> Option<u64> {
        self.answerer.progress(&self.name, self.now).0.map(|worker| worker.number)
    }

    fn tick(&mut self) -> Vec<u16> {
        self.answerer.tick(self.now).iter().map(|packet| packet.to.address.port()).collect()
    }

    fn uptake(&self) -> Uptake {
        self.answerer.uptake(&self.name, self.now)
    }
}

fn ports(bytes: &[u8]) -> Vec<u16> {
    let message = Message::from_vec(bytes).unwrap();
    let port = |record: &Record| match &record.data {
        RData::SRV(service) => service.port,
        other => panic!("{other:?}"),
    };
    message.answers.iter().map(port).collect()
}
