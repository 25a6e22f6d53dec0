//! Dealer-up stores and questions, answered by the table and by a plain model of the rules, which reads everything for each question.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hickory_proto::rr::RecordType;
use serde_json::{Value as Json, json};

use super::tests::{lines, places};
use super::*;
use crate::model::key::{Key, Revision, Value};
use crate::model::tree::Tree;

/// Numbers that look random and are the same each time.
struct Dealer(u64);

impl Dealer {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// Returns some labels with dots between.
    fn name(&mut self, from: &[&str], most: usize) -> String {
        let count = 1 + self.below(most);
        (0..count).map(|_| self.pick(from)).collect::<Vec<_>>().join(".")
    }

    fn key(&mut self) -> String {
        let name = self.name(&["a", "b", "a-b", "c"], 4);
        let domain = if self.below(12) == 0 { "dev/other" } else { "dev/webapp" };
        let parts: Vec<&str> = name.split('.').collect();
        format!("/skydns/{domain}/{}", parts.join("/"))
    }

    fn value(&mut self) -> String {
        let host = match self.below(8) {
            0 => format!("{}.webapp.dev", self.name(&["a", "b", "c"], 3)),
            1 => "Far.Example.org".to_owned(),
            2 => format!("2001:db8::{}", self.below(4)),
            3 => String::new(),
            _ => format!("10.0.0.{}", self.below(5)),
        };
        let mut value = json!({ "host": host });
        for (member, bound) in [("port", 3), ("priority", 3), ("weight", 5), ("ttl", 4), ("targetstrip", 6)] {
            if self.below(2) == 0 {
                value[member] = json!(self.below(bound));
            }
        }
        for (member, texts) in [("text", &["hello", "b", ""]), ("group", &["g1", "g2", ""])] {
            if self.below(4) == 0 {
                value[member] = json!(self.pick(texts));
            }
        }
        if self.below(4) == 0 {
            value["mail"] = json!(self.below(2) == 0);
        }
        match self.below(12) {
            0 => self.pick(&["", "7", "{", r#"{"host":1}"#, r#"{"host":"x y"}"#, r#"{"port":70000}"#]).to_owned(),
            _ => value.to_string(),
        }
    }
}

/// A record as the rules have it: all is text and plain numbers.
#[derive(Clone)]
struct Plain {
    name: String,
    host: String,
    numbers: [u64; 5],
    text: String,
    group: String,
    mail: bool,
}

/// The rest of a list of records: "OWNER TYPE DATA", each once, and the shortest TTL.
type Wanted = (BTreeSet<String>, Option<u64>);

fn plain(key: &str, text: &str) -> Option<Plain> {
    let value: Json = serde_json::from_str(text).ok().filter(Json::is_object)?;
    let host = value["host"]
        .as_str()
        .map_or(Some(""), Some)
        .filter(|_| value["host"].is_null() || value["host"].is_string())?;
    if host.contains(' ') || value["port"].as_u64().is_some_and(|port| port > 65_535) {
        return None;
    }
    let number = |member: &str, default: u64| value[member].as_u64().filter(|n| *n > 0).unwrap_or(default);
    let parts: Vec<&str> = key.split('/').skip(2).collect();
    Some(Plain {
        name: parts.into_iter().rev().collect::<Vec<_>>().join("."),
        host: host.to_lowercase(),
        numbers: [
            number("port", 0),
            number("priority", 10),
            number("weight", 100),
            number("ttl", 3600),
            number("targetstrip", 0),
        ],
        text: value["text"].as_str().unwrap_or_default().to_owned(),
        group: value["group"].as_str().unwrap_or_default().to_owned(),
        mail: value["mail"].as_bool().unwrap_or(false),
    })
}

impl Plain {
    fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    fn target(&self) -> String {
        let whole = if self.address().is_some() { &self.name } else { &self.host };
        let labels: Vec<&str> = whole.split('.').collect();
        let strip = usize::try_from(self.numbers[4]).unwrap();
        if strip < labels.len() { labels[strip..].join(".") } else { whole.clone() }
    }
}

/// Returns whether a record answers a question for this name.
fn is_at_or_below(record: &Plain, asked: &str) -> bool {
    let (own, asked): (Vec<&str>, Vec<&str>) = (record.name.rsplit('.').collect(), asked.rsplit('.').collect());
    let fits = |(position, (own, asked)): (usize, (&&str, &&str))| {
        own == asked || (position >= 2 && (*asked == "*" || *asked == "any"))
    };
    own.len() >= asked.len() && own.iter().zip(&asked).enumerate().all(fits)
}

struct Model(Vec<Plain>);

impl Model {
    fn found(&self, asked: &str) -> Vec<Plain> {
        let found: Vec<Plain> = self.0.iter().filter(|record| is_at_or_below(record, asked)).cloned().collect();
        let dots = |record: &Plain| record.name.matches('.').count();
        let Some(shortest) = found.iter().map(dots).min() else { return found };
        let groups: BTreeSet<String> = found
            .iter()
            .filter(|record| dots(record) == shortest && !record.group.is_empty())
            .map(|record| record.group.clone())
            .collect();
        match groups.first() {
            Some(group) if groups.len() == 1 => {
                found.into_iter().filter(|record| record.group.is_empty() || record.group == *group).collect()
            }
            _ => found,
        }
    }

    fn addresses(&self, asked: &str, before: &[String], kinds: &[&str]) -> Vec<(String, u64)> {
        let mut records = Vec::new();
        let owner = before.last().cloned().unwrap_or_default();
        for record in self.found(asked) {
            let ttl = record.numbers[3];
            match record.address() {
                Some(IpAddr::V4(ip)) if kinds.contains(&"A") => records.push((format!("{owner} A {ip}"), ttl)),
                Some(IpAddr::V6(ip)) if kinds.contains(&"AAAA") => records.push((format!("{owner} AAAA {ip}"), ttl)),
                Some(_) => {}
                None if record.host.is_empty() || before.contains(&record.host) || before.len() > 8 => {}
                None => {
                    let further = [before, std::slice::from_ref(&record.host)].concat();
                    let more = self.addresses(&record.host, &further, kinds);
                    if !more.is_empty() || !record.host.ends_with("webapp.dev") {
                        records.push((format!("{owner} CNAME {}", record.host), ttl));
                    }
                    records.extend(more);
                }
            }
        }
        records
    }

    fn answer(&self, asked: &str, kind: &str) -> (bool, Wanted, Wanted) {
        let found = self.found(asked);
        let (mut answers, mut additional) = (Vec::new(), Vec::new());
        for record in &found {
            let [port, priority, weight, ttl, _] = record.numbers;
            let of_priority = found.iter().filter(|other| other.numbers[1] == priority && !other.host.is_empty());
            let share = weight * 100 / of_priority.map(|other| other.numbers[2]).sum::<u64>().max(1);
            let line = match kind {
                "SRV" if !record.host.is_empty() => format!("SRV {priority} {share} {port} {}.", record.target()),
                "MX" if !record.host.is_empty() && record.mail => format!("MX {priority} {}.", record.target()),
                "TXT" if !record.text.is_empty() => format!("TXT {}", record.text),
                _ => continue,
            };
            answers.push((format!("{asked} {line}"), ttl));
            let target = record.target();
            match record.address() {
                _ if kind == "TXT" => {}
                Some(IpAddr::V4(ip)) => additional.push((format!("{target} A {ip}"), ttl)),
                Some(IpAddr::V6(ip)) => additional.push((format!("{target} AAAA {ip}"), ttl)),
                None if target.ends_with("webapp.dev") => {
                    additional.extend(self.addresses(&target, std::slice::from_ref(&target), &["A", "AAAA"]));
                }
                None => {}
            }
        }
        if kind == "A" || kind == "AAAA" {
            answers = self.addresses(asked, &[asked.to_owned()], &[kind]);
        }
        if kind == "CNAME" {
            let exact = self
                .0
                .iter()
                .find(|record| record.name == asked && record.address().is_none() && !record.host.is_empty());
            answers.extend(exact.map(|record| (format!("{asked} CNAME {}.", record.host), record.numbers[3])));
        }
        let wanted = |records: Vec<(String, u64)>| -> Wanted {
            let ttl = records.iter().map(|(_, ttl)| *ttl).min();
            // The name of a host is printed with its final dot.
            let text =
                |line: String| if line.contains(" CNAME ") { format!("{}.", line.trim_end_matches('.')) } else { line };
            (records.into_iter().map(|(line, _)| text(line)).collect(), ttl)
        };
        (!found.is_empty(), wanted(answers), wanted(additional))
    }
}

/// Splits "OWNER. TTL TYPE DATA" lines.
fn wanted_of<'a>(lines: impl Iterator<Item = &'a str>) -> Wanted {
    let mut ttl = None;
    let mut count = 0;
    let split = |line: &str| {
        let mut parts = line.splitn(3, ' ');
        let owner = parts.next().unwrap().trim_end_matches('.').to_owned();
        ttl = Some(parts.next().unwrap().parse().unwrap());
        count += 1;
        format!("{owner} {}", parts.next().unwrap())
    };
    let found: BTreeSet<String> = lines.map(split).collect();
    assert_eq!(found.len(), count, "a record stands twice: {found:?}");
    (found, ttl)
}

#[track_caller]
fn compare(table: &NameTable, model: &Model, asked: &str, kind: RecordType, turn: usize) {
    let lines = lines(table, asked, kind, turn);
    let (exists, answers, additional) = model.answer(asked, &kind.to_string());
    assert_eq!(lines[0] == "NXDomain", !exists && asked != "webapp.dev", "{asked} {kind}: {lines:?}");
    let is_answer = |line: &&str| !line.starts_with('+') && !line.ends_with("SOA") && *line != "NXDomain";
    let found = wanted_of(lines.iter().map(String::as_str).filter(is_answer));
    assert_eq!(found, answers, "{asked} {kind}: {lines:?}");
    let found = wanted_of(lines.iter().filter_map(|line| line.strip_prefix("+ ")));
    assert_eq!(found, additional, "additional of {asked} {kind}: {lines:?}");
    assert_eq!(lines.contains(&"webapp.dev. 60 SOA".to_owned()), answers.0.is_empty(), "{asked} {kind}: {lines:?}");
}

#[test]
fn a_made_up_corpus_is_answered_as_the_rules_say() {
    let mut made = Dealer(0x5eed_0018);
    let kinds = [
        RecordType::A,
        RecordType::AAAA,
        RecordType::SRV,
        RecordType::MX,
        RecordType::TXT,
        RecordType::CNAME,
        RecordType::HTTPS,
    ];
    for _ in 0..150 {
        let mut tree = Tree::default();
        let mut table = NameTable::new(places());
        let mut store: std::collections::BTreeMap<String, String> = Default::default();
        for revision in 1..=4 {
            for _ in 0..made.below(6) {
                store.insert(made.key(), made.value());
            }
            let gone: Vec<String> = store.keys().filter(|_| made.below(5) == 0).cloned().collect();
            gone.iter().for_each(|key| drop(store.remove(key)));
            let puts = store.iter().map(|(key, value)| (Key::from(key.as_str()), Value::from(value.as_str())));
            tree.advance(Revision(revision), puts, gone.iter().map(|key| Key::from(key.as_str())));
            table.update(tree.clone(), KeyLeases::default());
            let model = Model(store.iter().filter_map(|(key, value)| plain(key, value)).collect());
            for _ in 0..12 {
                let asked = match made.below(10) {
                    0 => "webapp.dev".to_owned(),
                    _ => format!("{}.webapp.dev", made.name(&["a", "b", "a-b", "c", "a", "*", "any"], 3)),
                };
                compare(&table, &model, &asked, kinds[made.below(kinds.len())], made.below(7));
            }
        }
    }
}
