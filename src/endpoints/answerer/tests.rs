//! Questions and answers in every order: what is answered at once, what is held, and what counts as taken.

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

#[test]
fn an_answer_is_held_until_something_changes() {
    let mut walk = Walk::new();
    assert!(walk.publish(&["10.0.0.1:81"]).is_empty());
    assert_eq!(walk.uptake(), Uptake::Unasked);
    assert_eq!(walk.ask(1, 10), Some(vec![81]), "the first question of an asker is answered at once");
    assert_eq!(walk.uptake(), Uptake::Asked);
    walk.pass(1000);
    assert_eq!(walk.ask(1, 11), None);
    assert_eq!(walk.uptake(), Uptake::Taken, "a new question proves that the answer was taken");
    walk.pass(500);
    assert_eq!(walk.publish(&["10.0.0.1:81", "10.0.0.2:82"]), [1], "a change answers at once");
    assert_eq!(walk.uptake(), Uptake::Asked);
    assert!(walk.publish(&["10.0.0.1:81", "10.0.0.2:82"]).is_empty(), "nothing new");
    assert!(walk.publish(&["10.0.0.3:83"]).is_empty(), "nobody asks right now");
    walk.pass(1000);
    assert_eq!(walk.ask(1, 12), Some(vec![83]));
    assert_eq!(walk.uptake(), Uptake::Asked, "the set has changed again since that answer");
    walk.pass(1000);
    assert_eq!(walk.ask(1, 13), None);
    assert_eq!(walk.uptake(), Uptake::Taken);
}

#[test]
fn what_nginx_has_taken_is_known_although_the_set_has_changed_since() {
    let mut walk = Walk::new();
    let first_untaken = |walk: &Walk| walk.answerer.first_untaken(&walk.name, walk.now);
    walk.publish(&["10.0.0.1:81"]);
    assert_eq!(first_untaken(&walk), Some(0), "nobody asks");
    walk.ask(1, 10);
    assert_eq!(first_untaken(&walk), Some(0), "the answer may be lost");
    walk.pass(1000);
    walk.ask(1, 11);
    assert_eq!(first_untaken(&walk), None);
    assert_eq!(walk.publish(&["10.0.0.2:82"]), [1]);
    for port in 83..86 {
        walk.publish(&[&format!("10.0.0.2:{port}")]);
    }
    assert_eq!((first_untaken(&walk), walk.answerer.serial()), (Some(2), 5));
    walk.pass(1000);
    walk.answerer.take_changed();
    assert_eq!(walk.ask(1, 12), Some(vec![85]));
    assert_eq!((first_untaken(&walk), walk.uptake()), (Some(3), Uptake::Asked));
    assert!(walk.answerer.has_news(), "somebody may wait for the second set");
    for port in 100..200 {
        walk.publish(&[&format!("10.0.0.2:{port}")]);
    }
    walk.pass(1000);
    assert_eq!(walk.ask(1, 13), Some(vec![199]));
    assert_eq!(first_untaken(&walk), Some(6), "of very many sets the next one is what counts");
    walk.pass(1000);
    assert_eq!((walk.ask(1, 14), first_untaken(&walk)), (None, None));
    assert_eq!(walk.answerer.first_untaken(&EndpointName::new("other-1"), walk.now), Some(0));
}

#[test]
fn a_held_question_is_answered_before_nginx_gives_it_up() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    walk.ask(1, 10);
    walk.pass(1000);
    walk.ask(1, 11);
    let due = walk.now + HOLD;
    assert_eq!(walk.answerer.wake_at(), Some(due));
    walk.pass(5000);
    assert_eq!(walk.ask(1, 11), None, "a repeat changes nothing");
    assert_eq!(walk.answerer.wake_at(), Some(due));
    walk.pass(3999);
    assert!(walk.tick().is_empty());
    walk.pass(1);
    assert_eq!(walk.tick(), [1]);
    assert_eq!(walk.answerer.wake_at(), None);
    assert_eq!(walk.uptake(), Uptake::Taken, "the set is still the one that it had");
}

#[test]
fn a_new_process_at_the_socket_of_one_that_has_ended_gets_its_answer() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    let answer = || Some(vec![81]);
    walk.ask(1, 10);
    walk.pass(1000);
    assert_eq!((walk.ask(1, 11), walk.worker()), (None, Some(1)));
    // nginx repeats its question until that has an answer.
    walk.pass(3000);
    assert_eq!((walk.ask(1, 12), walk.worker()), (answer(), None), "while a question is held");
    assert_eq!((walk.answerer.wake_at(), walk.answerer.by_asker.len()), (None, 1));
    walk.pass(500);
    walk.ask(2, 20);
    walk.pass(500);
    assert_eq!(walk.ask(1, 13), answer(), "a process has started meanwhile");
    let elsewhere = Asker { socket: 0, address: SocketAddr::from(([10, 0, 0, 7], 30)) };
    let question = query(&format!("_peers._tcp.{}", walk.name), RecordType::SRV, 30);
    walk.pass(500);
    assert!(walk.take(elsewhere, &question, None).is_some());
    walk.pass(500);
    assert_eq!(walk.ask(1, 14), None, "one on a different machine is no reason");
    assert_eq!(walk.worker(), Some(2));
    walk.pass(3000);
    walk.users_are_known = false;
    let question = query(&format!("_peers._tcp.{}", walk.name), RecordType::SRV, 17);
    assert!(walk.take(asker(1), &question, Some(false)).is_some());
    assert_eq!((walk.uptake(), walk.worker()), (Uptake::Unasked, None), "somebody else who is at that socket now");
}

#[test]
fn the_sockets_of_one_start_are_one_process() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    assert_eq!(walk.ask(1, 10), Some(vec![81]));
    walk.pass(200);
    assert_eq!(walk.ask(2, 20), Some(vec![81]), "the next upstream of the same start");
    walk.pass(800);
    assert_eq!(walk.ask(1, 11), None, "held for a change");
    assert_eq!(walk.publish(&["10.0.0.1:82"]), [1], "which it gets at once");
    walk.pass(300);
    walk.ask(3, 30);
    walk.pass(700);
    assert_eq!(walk.ask(1, 12), Some(vec![82]), "a process has started meanwhile");
}

#[test]
fn a_question_after_a_silence_gets_its_answer_and_proves_nothing() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    walk.ask(1, 10);
    walk.pass(1000);
    assert_eq!((walk.ask(1, 11), walk.uptake()), (None, Uptake::Taken));
    assert_eq!(walk.publish(&["10.0.0.1:82"]), [1]);
    // Either the first datagram of a question was lost, or nginx has given up a question whose answer was lost.
    walk.pass(6000);
    assert_eq!((walk.ask(1, 12), walk.uptake()), (Some(vec![82]), Uptake::Asked));
    walk.pass(1000);
    assert_eq!((walk.ask(1, 13), walk.uptake(), walk.worker()), (None, Uptake::Taken, Some(1)));
    walk.publish(&["10.0.0.1:83"]);
    walk.pass(31_000);
    assert_eq!((walk.ask(1, 14), walk.worker()), (Some(vec![83]), None), "nginx is never silent for so long");
    walk.pass(1000);
    assert_eq!((walk.ask(1, 15), walk.worker()), (None, Some(2)));
}

#[test]
fn answers_that_are_due_within_a_moment_of_each_other_are_sent_together() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    for port in 1..=5 {
        walk.ask(port, 1);
    }
    walk.pass(1000);
    let mut hold = |port, id| {
        assert_eq!(walk.ask(port, id), None);
        let due = walk.answerer.due.last().map(|(at, ..)| *at);
        let held_for = due.map(|at| at - walk.now);
        walk.pass(100);
        held_for
    };
    let millis = |millis| Some(HOLD - Duration::from_millis(millis));
    assert_eq!([hold(1, 10), hold(2, 20), hold(3, 30)], [millis(0), millis(100), millis(200)]);
    assert_eq!([hold(4, 40), hold(5, 50)], [millis(0), millis(100)], "each within a quarter of a second of the first");
    walk.pass(8500);
    assert_eq!(walk.tick(), [1, 2, 3]);
    walk.pass(299);
    assert!(walk.tick().is_empty());
    walk.pass(1);
    assert_eq!(walk.tick(), [4, 5]);
}

#[test]
fn answers_of_one_moment_are_made_a_few_at_a_time() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    let ports = || 1..=MAX_POLLERS as u16;
    ports().for_each(|port| assert!(walk.ask(port, 10).is_some()));
    walk.pass(1000);
    ports().for_each(|port| assert!(walk.ask(port, 11).is_none()));
    let other = EndpointName::new("other-1");
    walk.answerer.publish(vec![EndpointSet { name: other.clone(), endpoints: endpoints(&["10.0.0.2:82"]) }], walk.now);
    walk.name = other;
    assert!(walk.ask(7, 20).is_some());
    walk.pass(1000);
    assert!(walk.ask(7, 21).is_none());
    walk.pass(9000);
    assert_eq!(walk.tick().len(), MAX_AT_ONCE);
    assert_eq!(walk.answerer.wake_at(), Some(walk.now), "there are more");
    assert_eq!((walk.tick().len(), walk.tick().len()), (MAX_POLLERS + 1 - MAX_AT_ONCE, 0));
}

#[test]
fn of_several_addresses_none_is_asked_twice_for_one_answer() {
    let mut walk = Walk { answerer: Answerer::new(REFUGE.parse().unwrap(), 2), ..Walk::new() };
    walk.publish(&["10.0.0.1:81"]);
    walk.ask(1, 10);
    walk.pass(1000);
    walk.ask(1, 11);
    walk.pass(3500);
    assert_eq!(walk.tick(), [1], "before nginx repeats the question at the other address");
}

#[test]
fn whoever_stops_repeating_a_held_question_does_not_ask() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    walk.ask(1, 10);
    walk.pass(1000);
    walk.ask(1, 11);
    walk.pass(7000);
    assert_eq!(walk.uptake(), Uptake::Taken);
    walk.pass(1);
    assert_eq!(walk.uptake(), Uptake::Unasked);
}

#[test]
fn a_repeat_is_answered_again_and_proves_nothing() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    assert!(walk.ask(1, 10).is_some());
    walk.pass(4000);
    assert_eq!(walk.ask(1, 10), Some(vec![81]), "the answer was lost");
    assert_eq!(walk.uptake(), Uptake::Asked);
    walk.pass(1000);
    assert_eq!(walk.ask(1, 11), None);
    walk.pass(100);
    assert_eq!(walk.ask(1, 11), None, "a repeat of a held question stays held");
    assert_eq!(walk.publish(&[]), [1], "and is answered once");
}

#[test]
fn a_question_that_has_waited_is_answered_at_once_and_proves_nothing() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    walk.ask(1, 10);
    walk.pass(1000);
    assert_eq!(walk.ask(1, 11), None, "held");
    // We hang. Until its questions are read, nginx gives this one up, and the next.
    walk.pass(40_000);
    walk.waiting = Duration::from_secs(2);
    for id in [11, 12] {
        assert_eq!(walk.ask(1, id), Some(vec![81]), "not held");
    }
    assert!(walk.publish(&["10.0.0.2:82"]).is_empty(), "nobody waits for that");
    assert_eq!(walk.ask(1, 12), Some(vec![82]));
    walk.pass(8000);
    walk.waiting = Duration::ZERO;
    assert_eq!(walk.ask(1, 13), Some(vec![82]), "the answer before has reached nobody");
    assert_eq!(walk.uptake(), Uptake::Asked);
    walk.pass(1000);
    assert_eq!(walk.ask(1, 14), None);
    assert_eq!(walk.uptake(), Uptake::Taken);
}

#[test]
fn the_answer_to_a_held_question_that_nobody_repeats_proves_nothing() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    walk.ask(1, 10);
    walk.pass(1000);
    assert_eq!(walk.ask(1, 11), None, "held");
    walk.pass(40_000);
    assert_eq!(walk.publish(&["10.0.0.2:82"]), [1]);
    walk.pass(8000);
    assert_eq!(walk.ask(1, 12), Some(vec![82]), "nginx has given up the question before");
    assert_eq!(walk.uptake(), Uptake::Asked);
}

#[test]
fn the_newest_asker_decides_and_a_silent_one_does_not() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    walk.ask(1, 10);
    walk.pass(1000);
    walk.ask(1, 11);
    // A reload: a new worker asks from a socket of its own.
    assert_eq!(walk.ask(2, 20), Some(vec![81]));
    assert_eq!(walk.uptake(), Uptake::Asked);
    walk.pass(1000);
    walk.ask(2, 21);
    assert_eq!(walk.uptake(), Uptake::Taken);
    let mut both = walk.publish(&["10.0.0.2:82"]);
    both.sort_unstable();
    assert_eq!(both, [1, 2], "an old worker that lingers gets the change too");
    walk.pass(1000);
    walk.ask(1, 12);
    assert_eq!(walk.uptake(), Uptake::Asked);
    walk.pass(2500);
    assert_eq!(walk.uptake(), Uptake::Taken, "the newer one has been silent for too long");
    walk.pass(2500);
    assert_eq!(walk.uptake(), Uptake::Taken, "the older one's question is held");
    walk.pass(2100);
    assert_eq!(walk.uptake(), Uptake::Unasked);
}

#[test]
fn somebody_who_looks_a_name_up_is_no_worker() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    let began = walk.now;
    walk.ask(1, 10);
    assert_eq!(walk.worker(), None, "it may be anybody");
    walk.pass(1000);
    walk.ask(1, 11);
    assert_eq!(walk.answerer.progress(&walk.name, walk.now).0.map(|worker| worker.since), Some(began));
    assert_eq!(walk.ask(2, 20), Some(vec![81]));
    walk.pass(1000);
    assert_eq!(walk.ask(2, 20), Some(vec![81]), "a repeat");
    assert_eq!(walk.worker(), Some(1));
    walk.pass(3001);
    assert_eq!(walk.uptake(), Uptake::Taken);
}

#[test]
fn each_upstream_that_asks_for_a_name_has_to_take_it() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    walk.answerer.set_upstreams(&walk.name.clone(), 2);
    walk.ask(1, 10);
    walk.pass(1000);
    walk.ask(1, 11);
    assert_eq!(walk.uptake(), Uptake::Asked, "where is the other one?");
    for id in 20..22 {
        walk.ask(2, id);
        walk.pass(1000);
    }
    assert_eq!(walk.uptake(), Uptake::Taken);
    walk.publish(&["10.0.0.2:82"]);
    walk.pass(1000);
    walk.ask(2, 22);
    assert_eq!(walk.uptake(), Uptake::Asked, "the first one may still use the former set");
    walk.ask(1, 12);
    assert_eq!(walk.uptake(), Uptake::Taken);
    // A reload: both of the new worker count.
    for id in 30..32 {
        walk.ask(3, id);
        walk.ask(4, id);
        walk.pass(1000);
    }
    walk.publish(&["10.0.0.3:83"]);
    walk.pass(1000);
    for (port, expected) in [(2, Uptake::Asked), (3, Uptake::Asked), (4, Uptake::Taken)] {
        walk.ask(port, 40);
        assert_eq!(walk.uptake(), expected, "{port}");
    }
}

#[test]
fn a_worker_with_several_upstreams_has_one_address_whoever_asks_first() {
    let seen = |ports: [u16; 2]| {
        let mut walk = Walk::new();
        walk.publish(&["10.0.0.1:81"]);
        walk.answerer.set_upstreams(&walk.name.clone(), 2);
        for port in ports {
            assert_eq!(walk.worker(), None);
            walk.ask(port, 10);
            walk.pass(1000);
            walk.ask(port, 11);
        }
        walk.answerer.progress(&walk.name, walk.now).0.map(|worker| (worker.number, worker.address.port()))
    };
    assert_eq!((seen([1, 2]), seen([2, 1])), (Some((2, 1)), Some((2, 1))));
}

#[test]
fn a_worker_that_asks_at_several_addresses_is_one() {
    let mut walk = Walk { answerer: Answerer::new(REFUGE.parse().unwrap(), 2), ..Walk::new() };
    walk.publish(&["10.0.0.1:81"]);
    for round in 0..3 {
        for socket in 0..2 {
            if walk.ask_at(socket, 10 + u16::try_from(socket).unwrap(), 10 * round + 1).is_none() {
                walk.pass(3500);
                walk.tick();
            }
            walk.pass(1000);
        }
    }
    assert_eq!((walk.worker(), walk.uptake()), (Some(1), Uptake::Taken));
    // A reload.
    for id in 1..3 {
        walk.ask_at(0, 20, id);
        walk.pass(1000);
    }
    assert_eq!(walk.worker(), Some(2));
}

#[test]
fn a_question_before_the_set_is_known_waits_for_it() {
    let mut walk = Walk::new();
    assert_eq!(walk.ask(1, 10), None, "an error would be taken for an answer");
    assert_eq!(walk.publish(&["10.0.0.1:81"]), [1]);
    walk.answerer.withdraw(&walk.name.clone());
    walk.pass(1000);
    assert_eq!((walk.ask(1, 11), walk.uptake()), (None, Uptake::Unasked));
}

#[test]
fn an_empty_set_has_the_refuge() {
    let mut walk = Walk::new();
    walk.publish(&[]);
    assert_eq!(walk.ask(1, 10), Some(vec![503]));
}

#[test]
fn what_is_too_long_for_udp_is_fetched_by_tcp_and_counts() {
    let mut walk = Walk::new();
    let many: Vec<String> = (0..780).map(|n| format!("[2001:db8::{n:x}]:{}", 1000 + n)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    walk.publish(&many);
    assert_eq!(walk.ask(1, 10), Some(vec![]), "only the request to come by TCP");
    let bytes = query(&format!("_peers._tcp.{}", walk.name), RecordType::SRV, 10);
    let answer = walk.answerer.take_message(&bytes, walk.now, Some(false)).unwrap();
    assert_eq!(ports(&answer).len(), 780, "as many as a name may have");
    walk.pass(1000);
    assert_eq!(walk.ask(1, 11), Some(vec![]), "somebody else has fetched the answer");
    assert_eq!(walk.uptake(), Uptake::Asked);
    let bytes = query(&format!("_peers._tcp.{}", walk.name), RecordType::SRV, 11);
    assert!(walk.answerer.take_message(&bytes, walk.now, Some(true)).is_some());
    walk.pass(1000);
    assert_eq!(walk.ask(1, 12), None, "it has the set, so the question is held");
    assert_eq!(walk.uptake(), Uptake::Taken);
}

#[test]
fn targets_are_answered_and_other_names_are_refused() {
    let mut walk = Walk::new();
    let mut ask = |name: &str, kind| {
        let packet = walk.take(asker(1), &query(name, kind, 5), Some(true))?;
        let message = Message::from_vec(&packet.bytes).unwrap();
        let ttl = message.answers.first().map(|record| record.ttl);
        Some((message.metadata.response_code, message.answers.len(), ttl))
    };
    let found = Some((ResponseCode::NoError, 1, Some(TARGET_TTL_SECONDS)));
    assert_eq!(ask("v4-0a000001.upstreamd.internal", RecordType::A), found);
    assert_eq!(ask("v4-0a000001.upstreamd.internal", RecordType::AAAA), Some((ResponseCode::NoError, 0, None)));
    assert_eq!(ask("set-1.upstreamd.internal", RecordType::A), None);
    for (name, kind) in [
        ("example.com", RecordType::A),
        ("xupstreamd.internal", RecordType::A),
        ("upstreamd.internal", RecordType::A),
        ("a.b.upstreamd.internal", RecordType::A),
        ("_peers._udp.a.upstreamd.internal", RecordType::SRV),
        ("v4-0a000001.upstreamd.internal", RecordType::ANY),
    ] {
        assert_eq!(ask(name, kind), Some((ResponseCode::Refused, 0, None)), "{name}");
    }
}

#[test]
fn targets_in_an_answer_of_an_earlier_run_are_known() {
    let addresses: Vec<String> = (1..100).map(|n| format!("10.0.0.{n}:80")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let [mut earlier, mut walk] = [Walk::new(), Walk::new()];
    for walk in [&mut earlier, &mut walk] {
        walk.publish(&addresses);
    }
    let question = query(&format!("_peers._tcp.{}", earlier.name), RecordType::SRV, 1);
    let answer = Message::from_vec(&earlier.take(asker(1), &question, Some(true)).unwrap().bytes).unwrap();
    assert!(!answer.answers.is_empty());
    for record in answer.answers {
        let RData::SRV(service) = record.data else { panic!("{record:?}") };
        let question = query(&service.target.to_ascii(), RecordType::A, 2);
        assert!(walk.take(asker(1), &question, Some(true)).is_some(), "{}", service.target);
    }
}

#[test]
fn another_users_questions_are_answered_and_change_nothing() {
    let mut walk = Walk::new();
    assert_eq!(walk.ask(STRANGER, 1), None, "a name that is not published yet");
    assert!(walk.publish(&["10.0.0.1:81"]).is_empty());
    for id in 2..5 {
        assert_eq!(walk.ask(STRANGER, id), Some(vec![81]), "nothing is held");
        assert_eq!((walk.uptake(), walk.worker()), (Uptake::Unasked, None));
        walk.pass(1000);
    }
    walk.ask(1, 10);
    walk.publish(&["10.0.0.2:82"]);
    walk.ask(STRANGER, 5);
    walk.ask(STRANGER, 6);
    assert_eq!(walk.uptake(), Uptake::Asked, "nginx has not taken it yet");
}

#[test]
fn who_counted_before_nginx_was_known_is_judged_again() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    walk.users_are_known = false;
    for port in [1, STRANGER] {
        walk.ask(port, 1);
    }
    walk.pass(1000);
    for port in [1, STRANGER] {
        assert_eq!(walk.ask(port, 2), None, "held");
    }
    assert_eq!(walk.worker(), Some(2));
    walk.users_are_known = true;
    assert_eq!(walk.ask(STRANGER, 2), Some(vec![81]));
    assert_eq!((walk.ask(1, 2), walk.worker()), (None, Some(1)));
    assert_eq!(walk.publish(&["10.0.0.2:82"]), [1], "only nginx has a question that is held");
}

#[test]
fn a_socket_that_was_silent_may_be_somebody_elses() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    walk.ask(1, 1);
    walk.pass(1000);
    assert_eq!(walk.ask(1, 2), None, "held");
    let question = query(&format!("_peers._tcp.{}", walk.name), RecordType::SRV, 2);
    let must_identify = |walk: &Walk| {
        let DnsMessage::Question(question) = message::read(&question) else { panic!("no question") };
        let asked = Asked::of(&question);
        walk.answerer.must_identify(asker(1), &(question, asked), walk.now)
    };
    assert!(!must_identify(&walk));
    walk.pass(8000);
    assert!(must_identify(&walk));
    assert!(walk.take(asker(1), &question, Some(false)).is_some(), "it is answered");
    assert_eq!((walk.uptake(), walk.worker()), (Uptake::Unasked, None), "and changes nothing");
    assert_eq!((walk.answerer.wake_at(), walk.answerer.by_asker.len()), (None, 0));
}

#[test]
fn strangers_cannot_fill_the_memory() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    for port in 1..=2000 {
        walk.ask(port, 1);
        walk.pass(1);
    }
    let name = walk.name.clone();
    assert_eq!(walk.answerer.names[&name].pollers.len(), named::MAX_POLLERS);
    walk.name = EndpointName::new("unknown");
    for port in 1..=5000 {
        walk.ask(port, 1);
    }
    assert_eq!(walk.answerer.early.len(), MAX_EARLY);
    walk.pass(7001);
    walk.ask(5001, 1);
    assert_eq!(walk.answerer.early.len(), 1, "the others do not ask any more");
    walk.pass(7001);
    assert!(walk.publish(&["10.0.0.1:81"]).is_empty());
}

#[test]
fn workers_that_are_gone_are_forgotten_but_for_the_newest() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    for (port, id) in [(1, 10), (1, 11), (2, 20), (2, 21)] {
        walk.ask(port, id);
        walk.pass(1000);
    }
    let askers = |walk: &mut Walk| {
        walk.tick();
        walk.answerer.forget_gone(walk.now);
        assert_eq!(walk.answerer.by_asker.len(), walk.answerer.names[&walk.name].pollers.len());
        walk.answerer.by_asker.iter().map(|(asker, _)| asker.address.port()).collect::<Vec<_>>()
    };
    assert_eq!(askers(&mut walk), [1, 2]);
    walk.pass(9000);
    assert_eq!(askers(&mut walk), [1, 2], "both were answered just now");
    walk.pass(31_000);
    assert_eq!(askers(&mut walk), [2]);
    assert_eq!(walk.worker(), Some(2), "whoever asks next is compared with it");
}

#[test]
fn the_next_owner_of_a_port_gets_no_answer_to_older_questions() {
    let mut walk = Walk::new();
    walk.publish(&["10.0.0.1:81"]);
    walk.ask(1, 10);
    walk.pass(1000);
    assert_eq!(walk.ask(1, 11), None, "held");
    walk.name = EndpointName::new("other-1");
    walk.publish(&["10.0.0.2:82"]);
    walk.pass(8000);
    assert_eq!(walk.ask(1, 20), Some(vec![82]));
    walk.pass(2000);
    assert_eq!(walk.tick(), [] as [u16; 0]);
    assert!(walk.answerer.by_asker.len() == 1);
}

#[test]
fn a_question_is_held_while_its_asker_begins_to_ask_for_another_name() {
    let mut walk = Walk::new();
    let [first, early, late] = ["web-1", "web-2", "web-3"].map(EndpointName::new);
    walk.publish(&["10.0.0.1:81"]);
    let ask = |walk: &mut Walk, name: &EndpointName, id: u16| {
        walk.name = name.clone();
        walk.ask(1, id)
    };
    assert_eq!(ask(&mut walk, &early, 20), None, "not published");
    assert!(ask(&mut walk, &first, 10).is_some());
    walk.pass(1000);
    assert_eq!(ask(&mut walk, &first, 11), None, "held");
    // After a restart of ours, nginx repeats its questions one after the other.
    for (name, id) in [(&early, 20), (&late, 30)] {
        walk.name = name.clone();
        walk.publish(&["10.0.0.2:82"]);
        assert!(walk.ask(1, id).is_some());
    }
    walk.name = first;
    assert_eq!(walk.uptake(), Uptake::Taken);
    assert_eq!(walk.publish(&["10.0.0.3:83"]), [1]);
}
