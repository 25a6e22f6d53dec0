//! How many questions about names of the store one core answers, as a table: from the bytes of a question to those of the answer,
//! without the network. And how long a change of one record takes to be in the answers.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark measures the world")]
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use upstreamd::endpoints::message::{self, DnsMessage};
use upstreamd::endpoints::skydns::{self, NamePlaces, NameTable, OwnDomain};
use upstreamd::model::key::{Key, Revision, Value};
use upstreamd::model::tree::Tree;

/// Services in the store, with ten records each.
const SERVICES: usize = 10_000;
const RECORDS: usize = 10;
/// Time for each line of the table.
const TIME: Duration = Duration::from_secs(2);

fn main() {
    let domain = OwnDomain::parse("webapp.dev").unwrap();
    let places = NamePlaces { domain: Some(domain), ..NamePlaces::default() };
    let mut table = NameTable::new(places);
    let mut tree = tree();
    let started = Instant::now();
    table.update(tree.clone());
    println!("{} records read in {:.0} ms", SERVICES * RECORDS, started.elapsed().as_secs_f64() * 1e3);
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
        measure(text, |n| {
            let DnsMessage::Question(asked) = message::read(&questions[n % questions.len()]) else {
                panic!("no question")
            };
            skydns::answer(&table, &asked, message::MAX_UDP_BYTES, n).unwrap().bytes.len()
        });
    }
    measure("(a change of one record)", |n| {
        let put = (Key::from(key(n % SERVICES, 0).as_str()), Value::from(record(n % 250).as_str()));
        tree.advance(Revision(2), [put], []);
        table.update(tree.clone()).len()
    });
}

fn measure(text: &str, mut once: impl FnMut(usize) -> usize) {
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < TIME {
        for _ in 0..100 {
            std::hint::black_box(once(count));
            count += 1;
        }
    }
    let each = started.elapsed().as_secs_f64() / count as f64;
    println!("{text:<44} {:>14.0} {:>10.2}", 1.0 / each, each * 1e6);
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
