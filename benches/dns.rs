//! How many questions about names of the store one core answers, as a table, by the time of the processor: from the bytes of a
//! question to those of the answer, and with the sockets around it. And what a change of one record costs.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark measures the world")]
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use rustix::time::{ClockId, clock_gettime};
use upstreamd::endpoints::message::{self, DnsMessage};
use upstreamd::endpoints::name_service::NameService;
use upstreamd::endpoints::skydns::{self, KeyLeases, LeaseTimes, Moment, NamePlaces, NameTable, OwnDomain};
use upstreamd::model::event::Event;
use upstreamd::model::key::{Key, Revision, Value};
use upstreamd::model::tree::Tree;
use upstreamd::world::dns_listener::DnsListener;

/// Services in the store, with ten records each.
const SERVICES: usize = 10_000;
const RECORDS: usize = 10;
/// Time for each line of the table.
const TIME: Duration = Duration::from_secs(2);

fn main() {
    let domain = OwnDomain::parse("webapp.dev").unwrap();
    let places = NamePlaces { domain: Some(domain), ..NamePlaces::default() };
    let mut table = NameTable::new(places.clone());
    let mut tree = tree();
    let started = busy();
    table.update(tree.clone(), KeyLeases::default());
    println!("{} records read in {:.0} ms", SERVICES * RECORDS, (busy() - started) * 1e3);
    println!("{:<44} {:>14} {:>10}", "question", "per second", "us each");
    for (text, name, kind) in [
        ("A of one record", "core-3-web-8080.web@.webapp.dev", RecordType::A),
        ("A of ten records", "web@.webapp.dev", RecordType::A),
        ("SRV of one record", "core-3-web-8080.web@.webapp.dev", RecordType::SRV),
        ("SRV of ten records, with their addresses", "web@.webapp.dev", RecordType::SRV),
        ("no such record (TXT)", "web@.webapp.dev", RecordType::TXT),
        ("no such name", "nobody@.webapp.dev", RecordType::A),
        ("a wildcard for one of ten", "*.web@.webapp.dev", RecordType::A),
    ] {
        let questions: Vec<Vec<u8>> = (0..997).map(|n| question(&name.replace('@', &n.to_string()), kind)).collect();
        let (now, mut leases) = (Instant::now(), LeaseTimes::default());
        measure(text, |n| {
            let DnsMessage::Question(asked) = message::read(&questions[n % questions.len()]) else {
                panic!("no question")
            };
            let moment = Moment { turn: n, now, leases: &mut leases };
            skydns::answer(&table, &asked, message::MAX_UDP_BYTES, moment).unwrap().bytes.len()
        });
    }
    over_udp("A of ten records, over UDP", places, &tree);
    measure("(a change of one record)", |n| {
        let put = (Key::from(key(n % SERVICES, 0).as_str()), Value::from(record(n % 250).as_str()));
        tree.advance(Revision(2), [put], []);
        table.update(tree.clone(), KeyLeases::default()).len()
    });
}

fn measure(text: &str, mut once: impl FnMut(usize) -> usize) {
    let (started, began) = (Instant::now(), busy());
    let mut count = 0;
    while started.elapsed() < TIME {
        for _ in 0..100 {
            std::hint::black_box(once(count));
            count += 1;
        }
    }
    print(text, (busy() - began) / count as f64);
}

fn print(text: &str, each: f64) {
    println!("{text:<44} {:>14.0} {:>10.2}", 1.0 / each, each * 1e6);
}

/// Seconds that this thread has had a core.
fn busy() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Seconds that the threads that answer have had a core, in steps of 10 ms.
fn answering() -> f64 {
    let ticks = std::fs::read_dir("/proc/self/task").unwrap().filter_map(|task| {
        let stat = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
        let (name, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        name.ends_with("(dns").then(|| fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap())
    });
    ticks.sum::<f64>() / 100.0
}

/// Asks through sockets of loopback, 64 questions at a time.
fn over_udp(text: &str, places: NamePlaces, tree: &Tree) {
    let ranges = places.ranges();
    let listener = DnsListener::bind_only(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let address = listener.addresses()[0];
    let service = NameService::new(places, None, tokio::sync::mpsc::channel(1).0);
    service.listen(listener).unwrap();
    service.note(&Event::Snapshot {
        revision: Revision(1),
        ranges,
        refused: None,
        entries: Vec::new(),
        leases: Vec::new(),
    });
    service.publish(tree.clone());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(address).unwrap();
    let asked = question("web7.webapp.dev", RecordType::A);
    let mut buffer = [0; 4096];
    let mut exchange = || {
        (0..64).for_each(|_| drop(socket.send(&asked)));
        assert!((0..64).all(|_| socket.recv(&mut buffer).is_ok()));
    };
    exchange();
    let (started, began) = (Instant::now(), answering());
    let mut count = 0;
    while started.elapsed() < TIME * 2 {
        exchange();
        count += 64;
    }
    print(text, (answering() - began) / f64::from(count));
}

fn key(service: usize, record: usize) -> String {
    format!("/skydns/dev/webapp/web{service}/core-{record}-web-8080")
}

fn record(last: usize) -> String {
    format!(r#"{{"host":"10.0.0.{last}","port":8080,"priority":10,"weight":100,"ttl":15}}"#)
}

fn tree() -> Tree {
    let entries = (0..SERVICES * RECORDS).map(|n| {
        let key = key(n / RECORDS, n % RECORDS);
        (Key::from(key.as_str()), Value::from(record(n % 250).as_str()))
    });
    Tree::from_entries(Revision(1), entries)
}

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    let mut edns = hickory_proto::op::Edns::new();
    edns.set_max_payload(1232);
    message.set_edns(edns);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}
