//! The sections of an answer, as they go into a message: each record once, one TTL for all of a section, no longer than the asker
//! takes. Pure.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};

use crate::endpoints::message::{self, DnsQuestion};

use super::record::SkyRecord;

/// Records that are quicker compared with each other than looked up.
const FEW: usize = 32;

/// The parts of an answer.
#[derive(Debug, Default)]
pub(super) struct Sections {
    pub(super) code: ResponseCode,
    pub(super) answers: Vec<Record>,
    pub(super) authority: Vec<Record>,
    pub(super) additional: Vec<Record>,
    /// Hosts whose addresses have been looked up for the additional section.
    pub(super) looked_up: HashSet<Name>,
    /// The host outside our domains that the answers lead to first: nothing more is known of it.
    pub(super) unfinished: Option<Name>,
    /// Whether records may stand there twice.
    pub(super) repeats: bool,
    /// Whether there are more answers than these.
    pub(super) is_cut: bool,
}

/// The kinds of addresses that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Addresses {
    V4,
    V6,
    Both,
}

impl Addresses {
    /// Returns the addresses that a question for these records wants.
    pub(super) fn of(kind: RecordType) -> Addresses {
        if kind == RecordType::AAAA { Addresses::V6 } else { Addresses::V4 }
    }

    /// Returns the record of an address, if it is wanted.
    pub(super) fn record(self, owner: &Name, ttl_seconds: u32, address: IpAddr) -> Option<Record> {
        let data = match address {
            IpAddr::V4(address) if self != Addresses::V6 => RData::A(rdata::A(address)),
            IpAddr::V6(address) if self != Addresses::V4 => RData::AAAA(rdata::AAAA(address)),
            _ => return None,
        };
        Some(Record::from_rdata(owner.clone(), ttl_seconds, data))
    }
}

impl Sections {
    /// Returns the message. What does not fit is left out: first what was not asked for, then answers, and the reply says so.
    pub(super) fn write(mut self, question: &DnsQuestion, limit: usize) -> Vec<u8> {
        equal_ttls(&mut self.answers);
        equal_ttls(&mut self.additional);
        if self.repeats || matches!(question.kind(), RecordType::A | RecordType::AAAA | RecordType::TXT) {
            remove_repeats(&mut self.answers);
            remove_repeats(&mut self.additional);
        }
        let mut message = question.reply(self.code);
        message.answers = self.answers;
        message.authorities = self.authority;
        message.additionals = self.additional;
        loop {
            match message.to_vec() {
                // One that says so by itself is longer than any message, and was cut in the middle.
                Ok(bytes) if bytes.len() <= limit && !is_cut(&bytes) => {
                    return if self.is_cut { message::cut(bytes) } else { bytes };
                }
                _ if !message.additionals.is_empty() => message.additionals.clear(),
                _ if !message.answers.is_empty() => {
                    self.is_cut = true;
                    message.answers.truncate(message.answers.len() / 2);
                }
                _ => return question.refusal(ResponseCode::ServFail),
            }
        }
    }
}

/// Returns whether a message says that there is more than it has.
fn is_cut(message: &[u8]) -> bool {
    message.get(2).is_some_and(|flags| flags & 0x02 != 0)
}

fn remove_repeats(records: &mut Vec<Record>) {
    if records.len() <= FEW {
        let mut kept: Vec<Record> = Vec::with_capacity(records.len());
        for record in records.drain(..) {
            if !kept.iter().any(|other| other.data == record.data && other.name == record.name) {
                kept.push(record);
            }
        }
        *records = kept;
    } else {
        let mut seen: HashSet<(Name, RData)> = HashSet::with_capacity(records.len());
        records.retain(|record| seen.insert((record.name.clone(), record.data.clone())));
    }
}

/// Gives all records the shortest TTL: records of one name and kind must not differ (RFC 2181, 5.2).
fn equal_ttls(records: &mut [Record]) {
    if let Some(shortest) = records.iter().map(|record| record.ttl).min() {
        records.iter_mut().for_each(|record| record.ttl = shortest);
    }
}

/// Returns the sum of the weights of each priority.
pub(super) fn weights(found: &[&SkyRecord]) -> BTreeMap<u16, u64> {
    let mut sums = BTreeMap::new();
    for record in found {
        *sums.entry(record.priority).or_insert(0) += u64::from(record.weight);
    }
    sums
}

/// Returns the weight of a record in hundredths of those of its priority.
pub(super) fn weight(record: &SkyRecord, sums: &BTreeMap<u16, u64>) -> u16 {
    let sum = sums.get(&record.priority).copied().unwrap_or_default().max(1);
    u16::try_from(u64::from(record.weight) * 100 / sum).unwrap_or(100)
}
