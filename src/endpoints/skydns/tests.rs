//! Each of SkyDNS's rules as a table: keys and a question in, records out.

use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, Record, RecordType};

use super::*;
use crate::endpoints::message::{self, DnsMessage, DnsQuestion, MAX_TCP_BYTES};
use crate::model::event::Event;
use crate::model::key::{Key, Revision, Value};
use crate::model::tree::Tree;

mod places;

/// Returns the question for this name and type.
pub(super) fn question(name: &str, kind: RecordType) -> DnsQuestion {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    let mut name = Name::from_labels(name.split('.').map(str::as_bytes)).unwrap();
    name.set_fqdn(true);
    message.add_query(Query::query(name, kind));
    match message::read(&message.to_vec().unwrap()) {
        DnsMessage::Question(question) => question,
        other => panic!("{other:?}"),
    }
}

/// Returns the places of `webapp.dev` and of `svc.internal`.
pub(super) fn places() -> NamePlaces {
    let domain = |text| OwnDomain::parse(text).unwrap();
    NamePlaces { prefix: String::new(), domain: Some(domain("webapp.dev")), services: Some(domain("svc.internal")) }
}

fn tree(entries: &[(&str, &str)]) -> Tree {
    Tree::from_entries(Revision(42), entries.iter().map(|(key, value)| (Key::from(*key), Value::from(*value))))
}

fn table(entries: &[(&str, &str)]) -> NameTable {
    let mut table = NameTable::new(places());
    table.update(tree(entries), KeyLeases::default());
    table
}

pub(super) fn line(record: &Record) -> String {
    format!("{} {} {} {}", record.name, record.ttl, record.record_type(), record.data)
}

/// Returns the answer as lines: the code if it is not `NoError`, answers, SOA records in short, additional records after `+`.
pub(super) fn lines(table: &NameTable, name: &str, kind: RecordType, turn: usize) -> Vec<String> {
    lines_at(table, name, kind, Moment { turn, now: Instant::now(), leases: &mut LeaseTimes::default() })
}

/// Returns the answer of a moment as lines.
fn lines_at(table: &NameTable, name: &str, kind: RecordType, moment: Moment<'_>) -> Vec<String> {
    let Some(NameAnswer { bytes, unfinished }) = answer(table, &question(name, kind), MAX_TCP_BYTES, moment) else {
        return vec!["foreign".to_owned()];
    };
    let message = Message::from_vec(&bytes).unwrap();
    assert!(unfinished.is_none_or(|host| host.to_ascii().ends_with("example.org.")));
    let flags = &message.metadata;
    assert!(flags.recursion_desired && flags.recursion_available && !flags.truncation, "{flags:?}");
    let code = format!("{:?}", flags.response_code);
    let codes = Some(code).filter(|code| code != "NoError");
    let authority =
        message.authorities.iter().map(|record| format!("{} {} {}", record.name, record.ttl, record.record_type()));
    let additional = message.additionals.iter().map(|record| format!("+ {}", line(record)));
    codes.into_iter().chain(message.answers.iter().map(line)).chain(authority).chain(additional).collect()
}

#[track_caller]
fn check(entries: &[(&str, &str)], name: &str, kind: RecordType, expected: &[&str]) {
    assert_eq!(lines(&table(entries), name, kind, 0), expected, "{name} {kind}");
}

const REDIS: &[(&str, &str)] = &[
    ("/skydns/dev/webapp/redis/1", r#"{"host":"10.0.0.1","port":6379,"ttl":60}"#),
    ("/skydns/dev/webapp/redis/2", r#"{"host":"10.0.0.2","port":6380,"weight":300,"ttl":30}"#),
    ("/skydns/dev/webapp/redis/6", r#"{"host":"2001:db8::6","port":6379,"priority":20}"#),
];

#[test]
fn no_record_is_promised_for_longer_than_its_lease_lasts() {
    let keys = [("/skydns/dev/webapp/x/1", 5), ("/skydns/dev/webapp/y", 0), ("/services/web/b", 6)];
    let values = [r#"{"host":"10.0.0.1"}"#, r#"{"host":"x.webapp.dev"}"#, "10.0.0.2:80"];
    let entries = keys.iter().zip(values).map(|((key, _), value)| (Key::from(*key), Value::from(value))).collect();
    let under = keys.iter().filter(|(_, lease)| *lease != 0).map(|(key, lease)| (Key::from(*key), *lease)).collect();
    let snapshot =
        Event::Snapshot { revision: Revision(1), ranges: places().ranges(), refused: None, entries, leases: under };
    let Event::Snapshot { entries, .. } = &snapshot else { unreachable!() };
    let (tree, mut noted) = (Tree::from_entries(Revision(1), entries.iter().cloned()), KeyLeases::default());
    noted.note(&snapshot, &places().ranges());
    let (mut table, mut leases, now) = (NameTable::new(places()), LeaseTimes::default(), Instant::now());
    table.update(tree.clone(), noted);
    let ask = |table: &NameTable, leases: &mut LeaseTimes, name, at| {
        let moment = Moment { turn: 0, now: now + Duration::from_secs(at), leases };
        lines_at(table, name, RecordType::A, moment)
    };
    assert_eq!(ask(&table, &mut leases, "x.webapp.dev", 0), ["x.webapp.dev. 0 A 10.0.0.1"]);
    assert_eq!(leases.take_wanted(), [5]);
    leases.learn(5, now, Duration::from_secs(60));
    assert_eq!(ask(&table, &mut leases, "x.webapp.dev", 20), ["x.webapp.dev. 40 A 10.0.0.1"]);
    let chain = ["y.webapp.dev. 40 CNAME x.webapp.dev.", "x.webapp.dev. 40 A 10.0.0.1"];
    assert_eq!(ask(&table, &mut leases, "y.webapp.dev", 20), chain);
    assert_eq!(ask(&table, &mut leases, "web.svc.internal", 20), ["web.svc.internal. 0 A 10.0.0.2"]);
    leases.learn(6, now, Duration::from_secs(3600));
    assert_eq!(ask(&table, &mut leases, "web.svc.internal", 20), ["web.svc.internal. 30 A 10.0.0.2"]);
    // The same value, put without a lease.
    let puts = vec![(Key::from(keys[0].0), Value::from(values[0]))];
    let mut noted = KeyLeases::default();
    let put = Event::Changes { revision: Revision(2), puts, leases: Vec::new(), deletes: Vec::new() };
    noted.note(&put, &places().ranges());
    table.update(tree, noted);
    assert_eq!(ask(&table, &mut leases, "x.webapp.dev", 20), ["x.webapp.dev. 3600 A 10.0.0.1"]);
}

#[test]
fn addresses_of_a_name_are_those_of_all_below_it_with_one_ttl() {
    check(
        REDIS,
        "redis.webapp.dev",
        RecordType::A,
        &["redis.webapp.dev. 30 A 10.0.0.1", "redis.webapp.dev. 30 A 10.0.0.2"],
    );
    check(REDIS, "redis.webapp.dev", RecordType::AAAA, &["redis.webapp.dev. 3600 AAAA 2001:db8::6"]);
    check(REDIS, "1.redis.webapp.dev", RecordType::A, &["1.redis.webapp.dev. 60 A 10.0.0.1"]);
    check(REDIS, "1.redis.webapp.dev", RecordType::AAAA, &["webapp.dev. 60 SOA"]);
    check(REDIS, "webapp.dev", RecordType::AAAA, &["webapp.dev. 3600 AAAA 2001:db8::6"]);
}

#[test]
fn names_are_asked_for_in_upper_and_lower_case() {
    check(REDIS, "1.REDIS.WebApp.dev", RecordType::A, &["1.REDIS.WebApp.dev. 60 A 10.0.0.1"]);
    let upper = [("/skydns/dev/webapp/Redis/A:1", r#"{"Host":"10.0.0.1"}"#)];
    let twice =
        [("/skydns/dev/webapp/a", r#"{"host":"10.0.0.1"}"#), ("/skydns/dev/webapp/A", r#"{"host":"10.0.0.1"}"#)];
    check(
        &twice,
        "a.webapp.dev",
        RecordType::SRV,
        &["a.webapp.dev. 3600 SRV 10 50 0 a.webapp.dev.", "+ a.webapp.dev. 3600 A 10.0.0.1"],
    );
    check(&upper, "a-1.redis.webapp.dev", RecordType::A, &["a-1.redis.webapp.dev. 3600 A 10.0.0.1"]);
}

#[test]
fn services_have_weights_within_their_priority_and_hosts_made_from_keys() {
    check(
        REDIS,
        "redis.webapp.dev",
        RecordType::SRV,
        &[
            "redis.webapp.dev. 30 SRV 10 25 6379 1.redis.webapp.dev.",
            "redis.webapp.dev. 30 SRV 10 75 6380 2.redis.webapp.dev.",
            "redis.webapp.dev. 30 SRV 20 100 6379 6.redis.webapp.dev.",
            "+ 1.redis.webapp.dev. 30 A 10.0.0.1",
            "+ 2.redis.webapp.dev. 30 A 10.0.0.2",
            "+ 6.redis.webapp.dev. 30 AAAA 2001:db8::6",
        ],
    );
    let three = ["a", "b", "c"].map(|id| format!("/skydns/dev/webapp/x/{id}"));
    let three: Vec<(&str, &str)> =
        three.iter().map(|key| (key.as_str(), r#"{"host":"db.example.org","weight":0}"#)).collect();
    check(&three, "x.webapp.dev", RecordType::SRV, &["x.webapp.dev. 3600 SRV 10 33 0 db.example.org."]);
}

#[test]
fn records_come_in_turn() {
    let table = table(REDIS);
    let first = |turn| lines(&table, "redis.webapp.dev", RecordType::SRV, turn)[0].clone();
    let firsts = [0, 1, 2, 3].map(first).map(|line| line.rsplit(' ').next().unwrap().to_owned());
    assert_eq!(firsts, ["1", "2", "6", "1"].map(|id| format!("{id}.redis.webapp.dev.")));
}

#[test]
fn what_is_not_there_is_denied_with_the_domains_soa() {
    check(REDIS, "nobody.webapp.dev", RecordType::A, &["NXDomain", "webapp.dev. 60 SOA"]);
    check(REDIS, "redi.webapp.dev", RecordType::SRV, &["NXDomain", "webapp.dev. 60 SOA"]);
    check(REDIS, "1.1.redis.webapp.dev", RecordType::HTTPS, &["NXDomain", "webapp.dev. 60 SOA"]);
    check(REDIS, "redis.webapp.dev", RecordType::HTTPS, &["webapp.dev. 60 SOA"]);
    check(REDIS, "redis.webapp.dev", RecordType::TXT, &["webapp.dev. 60 SOA"]);
    check(REDIS, "redis.webapp.dev", RecordType::SOA, &["webapp.dev. 60 SOA"]);
    check(&[], "webapp.dev", RecordType::A, &["webapp.dev. 60 SOA"]);
    check(
        REDIS,
        "webapp.dev",
        RecordType::SOA,
        &["webapp.dev. 3600 SOA ns.dns.webapp.dev. hostmaster.webapp.dev. 42 28800 7200 604800 60"],
    );
    check(REDIS, "redis.webapp.dev", RecordType::ANY, &["Refused"]);
    check(REDIS, "a\0b.webapp.dev", RecordType::A, &["NXDomain", "webapp.dev. 60 SOA"]);
    for foreign in ["example.org", "dev", "xwebapp.dev", "1.0.0.10.in-addr.arpa"] {
        check(REDIS, foreign, RecordType::A, &["foreign"]);
    }
}

#[test]
fn wildcards_stand_for_one_label() {
    let entries = [
        ("/skydns/dev/webapp/east/web/1", r#"{"host":"10.0.0.1"}"#),
        ("/skydns/dev/webapp/east/db/1", r#"{"host":"10.0.0.2"}"#),
        ("/skydns/dev/webapp/west/web/1", r#"{"host":"10.0.0.3"}"#),
        ("/skydns/dev/webapp/west/web/1/deep", r#"{"host":"10.0.0.4"}"#),
        ("/skydns/dev/webapp/web", r#"{"host":"10.0.0.5"}"#),
    ];
    for (name, expected) in [
        ("web.*.webapp.dev", &["1", "3", "4"][..]),
        ("web.any.webapp.dev", &["1", "3", "4"]),
        ("*.east.webapp.dev", &["2", "1"]),
        ("*.web.*.webapp.dev", &["1", "3", "4"]),
        ("any.*.any.webapp.dev", &["2", "1", "3", "4"]),
        ("1.*.west.webapp.dev", &["3", "4"]),
        ("*.webapp.dev", &["2", "1", "5", "3", "4"]),
    ] {
        let expected: Vec<String> = expected.iter().map(|last| format!("{name}. 3600 A 10.0.0.{last}")).collect();
        check(&entries, name, RecordType::A, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    }
    check(&entries, "x.*.webapp.dev", RecordType::A, &["NXDomain", "webapp.dev. 60 SOA"]);
    check(&entries, "web.east.*.dev", RecordType::A, &["foreign"]);
}

#[test]
fn names_lead_to_addresses_over_at_most_eight_others() {
    let entries = [
        ("/skydns/dev/webapp/www", r#"{"host":"Web.webapp.dev","ttl":60}"#),
        ("/skydns/dev/webapp/web/1", r#"{"host":"10.0.0.1"}"#),
        ("/skydns/dev/webapp/out", r#"{"host":"web.example.org."}"#),
        ("/skydns/dev/webapp/lost", r#"{"host":"nobody.webapp.dev"}"#),
        ("/skydns/dev/webapp/loop/a", r#"{"host":"b.loop.webapp.dev"}"#),
        ("/skydns/dev/webapp/loop/b", r#"{"host":"a.loop.webapp.dev"}"#),
    ];
    check(
        &entries,
        "www.webapp.dev",
        RecordType::A,
        &["www.webapp.dev. 60 CNAME web.webapp.dev.", "web.webapp.dev. 60 A 10.0.0.1"],
    );
    check(&entries, "www.webapp.dev", RecordType::AAAA, &["webapp.dev. 60 SOA"]);
    check(&entries, "www.webapp.dev", RecordType::CNAME, &["www.webapp.dev. 60 CNAME web.webapp.dev."]);
    check(&entries, "web.webapp.dev", RecordType::CNAME, &["webapp.dev. 60 SOA"]);
    check(&entries, "out.webapp.dev", RecordType::A, &["out.webapp.dev. 3600 CNAME web.example.org."]);
    check(&entries, "lost.webapp.dev", RecordType::A, &["webapp.dev. 60 SOA"]);
    check(&entries, "a.loop.webapp.dev", RecordType::A, &["webapp.dev. 60 SOA"]);
    check(
        &entries,
        "www.webapp.dev",
        RecordType::SRV,
        &["www.webapp.dev. 60 SRV 10 100 0 web.webapp.dev.", "+ web.webapp.dev. 3600 A 10.0.0.1"],
    );
    let chain: Vec<(String, String)> = (0..9)
        .map(|n| (format!("/skydns/dev/webapp/n{n}"), format!(r#"{{"host":"n{}.webapp.dev"}}"#, n + 1)))
        .collect();
    let mut chain: Vec<(&str, &str)> = chain.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    chain.push(("/skydns/dev/webapp/n9", r#"{"host":"10.0.0.9"}"#));
    assert_eq!(lines(&table(&chain), "n1.webapp.dev", RecordType::A, 0).len(), 9);
    check(&chain, "n0.webapp.dev", RecordType::A, &["webapp.dev. 60 SOA"]);
}

#[test]
fn a_group_hides_the_records_of_other_groups_below_it() {
    let entries = [
        ("/skydns/dev/webapp/dom/a", r#"{"host":"10.0.0.1","group":"g1"}"#),
        ("/skydns/dev/webapp/dom/b", r#"{"host":"10.0.0.2"}"#),
        ("/skydns/dev/webapp/dom/sub/c", r#"{"host":"10.0.0.3","group":"g2"}"#),
        ("/skydns/dev/webapp/dom/sub/d", r#"{"host":"10.0.0.4","group":"g1"}"#),
        ("/skydns/dev/webapp/two/a", r#"{"host":"10.0.1.1","group":"g1"}"#),
        ("/skydns/dev/webapp/two/b", r#"{"host":"10.0.1.2","group":"g2"}"#),
    ];
    let last = |name| {
        let lines = lines(&table(&entries), name, RecordType::A, 0);
        lines.iter().map(|line| line.rsplit('.').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(last("dom.webapp.dev"), ["1", "2", "4"]);
    assert_eq!(last("sub.dom.webapp.dev"), ["3", "4"]);
    assert_eq!(last("two.webapp.dev"), ["1", "2"]);
}

#[test]
fn texts_mail_name_servers_pointers_and_stripped_targets() {
    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(300));
    let entries = [
        ("/skydns/dev/webapp/info/1", r#"{"text":"hello world"}"#),
        ("/skydns/dev/webapp/long", long.as_str()),
        ("/skydns/dev/webapp/mx/a", r#"{"host":"10.0.0.25","mail":true,"priority":5}"#),
        ("/skydns/dev/webapp/mx/b", r#"{"host":"mail.example.org","mail":true}"#),
        ("/skydns/dev/webapp/mx/c", r#"{"host":"10.0.0.26"}"#),
        ("/skydns/dev/webapp/dns/ns/1", r#"{"host":"10.0.0.53"}"#),
        ("/skydns/dev/webapp/dns/ns/2", r#"{"host":"elsewhere.example.org"}"#),
        ("/skydns/arpa/in-addr/10/0/0/1", r#"{"host":"1.redis.webapp.dev","ttl":9}"#),
        ("/skydns/arpa/in-addr/10/0/0/2", r#"{"host":"10.0.0.2"}"#),
        ("/skydns/arpa/ip6/2/0/0/1", r#"{"host":"six.webapp.dev"}"#),
        ("/skydns/dev/webapp/s/a/one", r#"{"host":"10.0.0.7","port":1,"targetstrip":1}"#),
        ("/skydns/dev/webapp/s/a/two", r#"{"host":"10.0.0.8","port":1,"targetstrip":1}"#),
        ("/skydns/dev/webapp/s/b/far", r#"{"host":"10.0.0.9","port":1,"targetstrip":9}"#),
    ];
    check(&entries, "info.webapp.dev", RecordType::TXT, &["info.webapp.dev. 3600 TXT hello world"]);
    check(&entries, "info.webapp.dev", RecordType::SRV, &["webapp.dev. 60 SOA"]);
    assert_eq!(lines(&table(&entries), "long.webapp.dev", RecordType::TXT, 0).len(), 1);
    check(
        &entries,
        "mx.webapp.dev",
        RecordType::MX,
        &[
            "mx.webapp.dev. 3600 MX 5 a.mx.webapp.dev.",
            "mx.webapp.dev. 3600 MX 10 mail.example.org.",
            "+ a.mx.webapp.dev. 3600 A 10.0.0.25",
        ],
    );
    check(
        &entries,
        "webapp.dev",
        RecordType::NS,
        &["webapp.dev. 3600 NS 1.ns.dns.webapp.dev.", "+ 1.ns.dns.webapp.dev. 3600 A 10.0.0.53"],
    );
    check(&entries, "mx.webapp.dev", RecordType::NS, &["webapp.dev. 60 SOA"]);
    check(&entries, "1.0.0.10.in-addr.arpa", RecordType::PTR, &["1.0.0.10.in-addr.arpa. 9 PTR 1.redis.webapp.dev."]);
    check(&entries, "1.0.0.2.ip6.arpa", RecordType::PTR, &["1.0.0.2.ip6.arpa. 3600 PTR six.webapp.dev."]);
    check(&entries, "2.0.0.10.in-addr.arpa", RecordType::PTR, &["foreign"]);
    check(&entries, "0.0.10.in-addr.arpa", RecordType::PTR, &["foreign"]);
    check(
        &entries,
        "s.webapp.dev",
        RecordType::SRV,
        &[
            "s.webapp.dev. 3600 SRV 10 33 1 a.s.webapp.dev.",
            "s.webapp.dev. 3600 SRV 10 33 1 far.b.s.webapp.dev.",
            "+ a.s.webapp.dev. 3600 A 10.0.0.7",
            "+ a.s.webapp.dev. 3600 A 10.0.0.8",
            "+ far.b.s.webapp.dev. 3600 A 10.0.0.9",
        ],
    );
}

/// glibc looks at no record of a name any more once it has followed an alias of it.
#[test]
fn addresses_of_a_name_come_before_what_it_leads_to() {
    let entries = [
        ("/skydns/dev/webapp/mix/1", r#"{"host":"a.webapp.dev"}"#),
        ("/skydns/dev/webapp/mix/2", r#"{"host":"10.0.0.1"}"#),
        ("/skydns/dev/webapp/mix/3", r#"{"host":"web.example.org"}"#),
        ("/skydns/dev/webapp/mix/4", r#"{"host":"10.0.0.2"}"#),
        ("/skydns/dev/webapp/a", r#"{"host":"10.0.0.3"}"#),
    ];
    let table = table(&entries);
    for turn in 0..8 {
        let lines = lines(&table, "mix.webapp.dev", RecordType::A, turn);
        let is_own = |line: &String| line.starts_with("mix.webapp.dev. 3600 A ");
        assert!(lines.len() == 5 && lines[..2].iter().all(is_own), "{lines:?}");
    }
}

#[test]
fn a_malformed_record_hides_only_itself() {
    let bad = [
        "",
        "10.0.0.1",
        "[]",
        "{",
        r#"{"host":7}"#,
        r#"{"host":"a b"}"#,
        r#"{"host":"10.0.0.1","port":65536}"#,
        r#"{"host":"10.0.0.1","port":"80"}"#,
        r#"{"host":"10.0.0.1","weight":-1}"#,
        r#"{"host":"10.0.0.1","priority":1.5}"#,
        r#"{"host":"10.0.0.1","text":[]}"#,
        r#"{"host":"10.0.0.1","mail":1}"#,
        r#"{"host":"10.0.0.1","ttl":"1"}"#,
        r#"{"host":"10.0.0.1","group":1}"#,
        r#"{"host":"10.0.0.1","targetstrip":-1}"#,
        r#"{"host":"a..b"}"#,
        r#"{"host":"10.0.0.300"}"#,
        r#"{"host":"10.0.1."}"#,
        &format!(r#"{{"text":"{}"}}"#, "x".repeat(60_001)),
    ];
    for value in bad {
        let mut table = NameTable::new(places());
        let good = ("/skydns/dev/webapp/x/good", r#"{"host":"10.0.0.9","weight":null}"#);
        let refused = table.update(tree(&[("/skydns/dev/webapp/x/bad", value), good]), KeyLeases::default());
        assert_eq!(refused.len(), 1, "{value}");
        assert!(refused[0].0 == "/skydns/dev/webapp/x/bad" && (value.is_empty() || !refused[0].1.contains(value)));
        assert_eq!(lines(&table, "x.webapp.dev", RecordType::A, 0), ["x.webapp.dev. 3600 A 10.0.0.9"], "{value}");
    }
    // Each is reported once, until it is a record or gone.
    let mut table = NameTable::new(places());
    let mut store =
        tree(&[("/skydns/dev/webapp/x", "1"), ("/services/web/a", "1"), ("/services/web/b", "10.0.0.1:80")]);
    let mut put = |key: &str, value: &str| {
        store.advance(Revision(43), [(Key::from(key), Value::from(value))], []);
        table.update(store.clone(), KeyLeases::default()).len()
    };
    assert_eq!(put("/other", ""), 2);
    assert_eq!([put("/skydns/dev/webapp/x", "2"), put("/services/web/b", "10.0.0.2:80")], [0, 0]);
    assert_eq!([put("/skydns/dev/webapp/x", "{}"), put("/services/web/a", "10.0.0.3:80")], [0, 0]);
    assert_eq!([put("/skydns/dev/webapp/x", "3"), put("/services/web/a", "3")], [1, 1]);
    let long = format!("/skydns/dev/webapp/{}", "x".repeat(64));
    assert_eq!([put(&long, "{}"), put(&long, "{ }")], [1, 0]);
    store.advance(Revision(44), [], [Key::from(long.as_str())]);
    table.update(store.clone(), KeyLeases::default());
    store.advance(Revision(45), [(Key::from(long.as_str()), Value::from("{}"))], []);
    assert_eq!(table.update(store.clone(), KeyLeases::default()).len(), 1, "it was gone");
    let deep = format!("/skydns/dev/webapp{}", "/abcdefgh".repeat(30));
    assert_eq!(
        NameTable::new(places()).update(tree(&[(&deep, r#"{"host":"10.0.0.9"}"#)]), KeyLeases::default()).len(),
        1
    );
}

#[test]
fn backends_are_records_below_their_services_domain() {
    let entries = [
        ("/services/web/core-1:web:80", "10.0.0.1:80"),
        ("/services/web/b", r#"{"host":"10.0.0.2","port":81,"weight":3,"ttl":15}"#),
        ("/services/web/c", r#"{"host":"10.0.0.3","port":81,"backup":true}"#),
        ("/services/web/d", r#"{"host":"10.0.0.4","port":81,"state":"draining"}"#),
        ("/services/web/e", "nonsense"),
        ("/services/webs/x", "web.example.org:443"),
        ("/services/loose", "10.0.0.5:80"),
        ("/services/a\0b/x", "10.0.0.6:80"),
    ];
    let mut table = NameTable::new(places());
    let refused = table.update(tree(&entries), KeyLeases::default());
    assert_eq!(refused.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["/services/web/e"]);
    assert_eq!(
        lines(&table, "web.svc.internal", RecordType::SRV, 0),
        [
            "web.svc.internal. 15 SRV 10 2 81 b.web.svc.internal.",
            "web.svc.internal. 15 SRV 20 100 81 c.web.svc.internal.",
            "web.svc.internal. 15 SRV 10 97 80 core-1-web-80.web.svc.internal.",
            "+ b.web.svc.internal. 15 A 10.0.0.2",
            "+ c.web.svc.internal. 15 A 10.0.0.3",
            "+ core-1-web-80.web.svc.internal. 15 A 10.0.0.1",
        ]
    );
    let host = |table: &NameTable| lines(table, "webs.svc.internal", RecordType::A, 0);
    assert_eq!(host(&table), ["webs.svc.internal. 30 CNAME web.example.org."]);
    assert_eq!(lines(&table, "core-1-web-80.web.svc.internal", RecordType::A, 0).len(), 1);
    // What goes leaves no record, and touches no other service.
    let mut later = tree(&entries);
    assert_eq!(lines(&table, "a-b.svc.internal", RecordType::A, 0).len(), 1);
    let gone = ["/services/web/b", "/services/web/c", "/services/a\0b/x"];
    later.advance(Revision(43), [], gone.map(Key::from));
    table.update(later, KeyLeases::default());
    assert_eq!(lines(&table, "web.svc.internal", RecordType::A, 0), ["web.svc.internal. 30 A 10.0.0.1"]);
    assert_eq!(lines(&table, "a-b.svc.internal", RecordType::A, 0), ["NXDomain", "svc.internal. 60 SOA"]);
    assert_eq!(host(&table), ["webs.svc.internal. 30 CNAME web.example.org."]);
}

#[test]
fn what_does_not_fit_is_left_out_and_said() {
    let entries: Vec<(String, String)> = (0..12_000)
        .map(|n: u32| {
            (format!("/skydns/dev/webapp/x/n{n}"), format!(r#"{{"host":"10.1.{}.{}","port":1}}"#, n / 256, n % 256))
        })
        .collect();
    let entries: Vec<(&str, &str)> = entries.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    for (count, limit, kind, is_cut) in [
        (20, 512, RecordType::A, false),
        (10, 512, RecordType::SRV, false),
        (100, 512, RecordType::A, true),
        (100, 1232, RecordType::SRV, true),
        (100, MAX_TCP_BYTES, RecordType::SRV, false),
        (1000, MAX_TCP_BYTES, RecordType::SRV, false),
        (12_000, 512, RecordType::A, true),
        (12_000, MAX_TCP_BYTES, RecordType::SRV, true),
    ] {
        let moment = Moment { turn: 0, now: Instant::now(), leases: &mut LeaseTimes::default() };
        let bytes = answer(&table(&entries[..count]), &question("x.webapp.dev", kind), limit, moment).unwrap().bytes;
        let message = Message::from_vec(&bytes).unwrap();
        assert!(bytes.len() <= limit && !message.answers.is_empty(), "{count} {limit}");
        assert_eq!(message.metadata.truncation, is_cut, "{count} {limit} {kind}");
        // hickory compresses few names in a message: other lengths than these are bytes that nobody reads.
        assert_eq!(message.to_vec().unwrap().len(), bytes.len(), "{count} {limit} {kind}");
        assert!(is_cut || message.answers.len() == count);
    }
    // That there is no such record is the whole answer, however many others there are.
    for kind in [RecordType::CNAME, RecordType::HTTPS] {
        assert_eq!(lines(&table(&entries[..2000]), "x.webapp.dev", kind, 0), ["webapp.dev. 60 SOA"]);
    }
}
