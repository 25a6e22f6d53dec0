//! Answers a question from the table, by SkyDNS's rules. Pure.

use std::cell::RefCell;
use std::time::Instant;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};

use crate::endpoints::message::DnsQuestion;

use super::find::Finder;
use super::labels::{self, OwnDomain};
use super::leases::LeaseTimes;
use super::record::{SkyHost, SkyRecord};
use super::sections::{self, Addresses, Sections};
use super::table::NameTable;
use super::{DEFAULT_TTL_SECONDS, NOTHING_TTL_SECONDS};

/// Fewest bytes of a record in an answer: more than so many do not fit.
const LEAST_RECORD_BYTES: usize = 12;
/// Records that are looked at to learn whether a name exists.
const ENOUGH_TO_EXIST: usize = 1000;

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAnswer {
    /// The message.
    pub bytes: Vec<u8>,
    /// The host outside our domains that it leads to first, whose addresses are missing.
    pub unfinished: Option<Name>,
}

/// The moment at which a question is answered.
#[derive(Debug)]
pub struct Moment<'l> {
    /// Number that says which record comes first.
    pub turn: usize,
    /// The time.
    pub now: Instant,
    /// How long leases last at least.
    pub leases: &'l mut LeaseTimes,
}

/// Returns the answer to a question of at most `limit` bytes; `None` if its name is not ours.
pub fn answer(table: &NameTable, question: &DnsQuestion, limit: usize, moment: Moment<'_>) -> Option<NameAnswer> {
    if question.kind() == RecordType::ANY {
        return Some(NameAnswer { bytes: refusal(question, ResponseCode::Refused), unfinished: None });
    }
    let name = question.query.name.to_lowercase();
    let labels = labels::of_name(&name);
    let places = table.places();
    let domains: Vec<&OwnDomain> = places.domain.iter().chain(&places.services).collect();
    let (finder, most) = (Finder::new(table), limit / LEAST_RECORD_BYTES);
    let answering = Answering { finder, table, domains, most, moment: RefCell::new(moment) };
    let mut sections = match labels {
        Some(labels) if question.kind() == RecordType::PTR && labels.first() == Some(&"arpa") => {
            answering.pointers(&question.query.name, &labels)?
        }
        Some(labels) => answering.sections(question, &labels, answering.own(&labels)?),
        None => {
            let domain = answering.domains.iter().find(|domain| domain.name.zone_of(&name))?;
            Sections {
                code: ResponseCode::NXDomain,
                authority: vec![answering.soa(domain, NOTHING_TTL_SECONDS)],
                ..Sections::default()
            }
        }
    };
    let unfinished = sections.unfinished.take();
    Some(NameAnswer { bytes: sections.write(question, limit), unfinished })
}

/// Returns a reply without records.
pub fn refusal(question: &DnsQuestion, code: ResponseCode) -> Vec<u8> {
    let mut reply = question.reply(code);
    reply.metadata.authoritative = false;
    reply.to_vec().unwrap_or_default()
}

/// One question under way.
struct Answering<'t> {
    finder: Finder<'t>,
    table: &'t NameTable,
    domains: Vec<&'t OwnDomain>,
    /// Most records that fit.
    most: usize,
    moment: RefCell<Moment<'t>>,
}

impl<'t> Answering<'t> {
    /// Returns the domain that a name is in: the longest.
    fn own(&self, labels: &[&str]) -> Option<&'t OwnDomain> {
        self.domains.iter().copied().filter(|domain| domain.has(labels)).max_by_key(|domain| domain.labels.len())
    }

    /// Returns the records at and below a name, the first of them another one each time.
    fn found(&self, labels: &[&str], domain: &OwnDomain) -> Vec<&'t SkyRecord> {
        let mut found = self.finder.at_or_below(labels, domain.labels.len());
        if !found.is_empty() {
            let first = self.moment.borrow().turn % found.len();
            found.rotate_left(first);
        }
        found
    }

    fn sections(&self, question: &DnsQuestion, labels: &[&str], domain: &'t OwnDomain) -> Sections {
        let owner = &question.query.name;
        let is_top = labels.len() == domain.labels.len();
        let mut sections = Sections::default();
        let exists = match question.kind() {
            RecordType::SOA if is_top => {
                sections.answers.push(self.soa(domain, DEFAULT_TTL_SECONDS));
                true
            }
            RecordType::NS if is_top => {
                self.name_servers(owner, &self.found(&[labels, &["dns", "ns"]].concat(), domain), &mut sections);
                true
            }
            RecordType::CNAME => {
                let host = |record: &SkyRecord| match &record.host {
                    SkyHost::Name(host) => Some(self.cname(owner, record, host)),
                    _ => None,
                };
                sections.answers.extend(self.finder.at(labels).find_map(host));
                !sections.answers.is_empty() || self.exists(labels, domain)
            }
            kind @ (RecordType::A | RecordType::AAAA | RecordType::SRV | RecordType::MX | RecordType::TXT) => {
                let found = self.found(labels, domain);
                match kind {
                    RecordType::SRV => self.services(owner, &found, &mut sections),
                    RecordType::MX => self.mail(owner, &found, &mut sections),
                    RecordType::TXT => self.texts(owner, &found, &mut sections),
                    kind => {
                        let mut chain = vec![owner.to_lowercase()];
                        self.addresses(owner, &found, Addresses::of(kind), &mut chain, &mut sections.answers);
                        sections.unfinished = self.unfinished(&sections.answers);
                    }
                }
                !found.is_empty()
            }
            _ => self.exists(labels, domain),
        };
        if !exists && !is_top {
            sections.code = ResponseCode::NXDomain;
        }
        if sections.answers.is_empty() {
            sections.authority.push(self.soa(domain, NOTHING_TTL_SECONDS));
        }
        sections.is_cut |= self.finder.is_spent() || sections.answers.len() > self.most;
        sections
    }

    fn exists(&self, labels: &[&str], domain: &OwnDomain) -> bool {
        // A search of its own: that this one is spent does not mean that an answer is cut.
        let finder = Finder::new(self.table);
        finder.budget.set(ENOUGH_TO_EXIST);
        !finder.at_or_below(labels, domain.labels.len()).is_empty()
    }

    /// Adds the addresses of these records of `owner`, and behind them those that the names they have lead to: a client that follows a name
    /// looks at nothing of `owner` any more, as glibc does. `chain`: the names that led here.
    fn addresses(
        &self,
        owner: &Name,
        found: &[&SkyRecord],
        wanted: Addresses,
        chain: &mut Vec<Name>,
        to: &mut Vec<Record>,
    ) {
        let has_name = |record: &&&SkyRecord| matches!(record.host, SkyHost::Name(_));
        for record in found.iter().filter(|record| !has_name(record)).chain(found.iter().filter(has_name)) {
            if to.len() > self.most {
                return;
            }
            match &record.host {
                SkyHost::Address(address) => to.extend(wanted.record(owner, self.ttl(record), *address)),
                SkyHost::Nowhere => {}
                SkyHost::Name(host) if chain.len() > super::LONGEST_CHAIN || chain.contains(host) => {}
                SkyHost::Name(host) => {
                    let before = to.len();
                    to.push(self.cname(owner, record, host));
                    let Some(labels) = labels::of_name(host) else { continue };
                    let Some(domain) = self.own(&labels) else { continue };
                    chain.push(host.clone());
                    self.addresses(host, &self.found(&labels, domain), wanted, chain, to);
                    chain.pop();
                    // A name of ours that leads nowhere is left out.
                    if to.len() == before + 1 {
                        to.truncate(before);
                    }
                }
            }
        }
    }

    /// Returns the first host outside our domains that these records lead to: the one that a client follows.
    fn unfinished(&self, records: &[Record]) -> Option<Name> {
        records.iter().find_map(|record| match &record.data {
            RData::CNAME(host) if self.own(&labels::of_name(host)?).is_none() => Some(host.0.clone()),
            _ => None,
        })
    }

    /// Adds the SRV records, and the addresses of their hosts.
    fn services(&self, owner: &Name, found: &[&SkyRecord], sections: &mut Sections) {
        let found: Vec<&SkyRecord> = found.iter().copied().filter(|record| record.host != SkyHost::Nowhere).collect();
        let weights = sections::weights(&found);
        for record in found.iter().take(self.most + 1) {
            let weight = sections::weight(record, &weights);
            let srv = rdata::SRV::new(record.priority, weight, record.port, record.target.clone());
            self.host(owner, record, RData::SRV(srv), sections);
        }
    }

    /// Adds the MX records, and the addresses of their hosts.
    fn mail(&self, owner: &Name, found: &[&SkyRecord], sections: &mut Sections) {
        let receives = |record: &&&SkyRecord| record.is_mail && record.host != SkyHost::Nowhere;
        for record in found.iter().filter(receives).take(self.most + 1) {
            let mx = rdata::MX::new(record.priority, record.target.clone());
            self.host(owner, record, RData::MX(mx), sections);
        }
    }

    /// Adds the NS records, and the addresses of their hosts.
    fn name_servers(&self, owner: &Name, found: &[&SkyRecord], sections: &mut Sections) {
        let has_address = |record: &&&SkyRecord| matches!(record.host, SkyHost::Address(_));
        for record in found.iter().filter(has_address).take(self.most + 1) {
            self.host(owner, record, RData::NS(rdata::NS(record.target.clone())), sections);
        }
    }

    /// Adds a record that names its host, and the addresses of the host.
    fn host(&self, owner: &Name, record: &SkyRecord, data: RData, sections: &mut Sections) {
        sections.repeats |= record.shares_target;
        sections.answers.push(Record::from_rdata(owner.clone(), self.ttl(record), data));
        if sections.additional.len() > self.most {
            return;
        }
        match &record.host {
            SkyHost::Address(address) => {
                sections.additional.extend(Addresses::Both.record(&record.target, self.ttl(record), *address));
            }
            SkyHost::Name(_) if sections.looked_up.insert(record.target.clone()) => {
                let Some(labels) = labels::of_name(&record.target) else { return };
                let Some(domain) = self.own(&labels) else { return };
                let found = self.found(&labels, domain);
                let mut chain = vec![record.target.clone()];
                self.addresses(&record.target, &found, Addresses::Both, &mut chain, &mut sections.additional);
            }
            SkyHost::Name(_) | SkyHost::Nowhere => {}
        }
    }

    fn texts(&self, owner: &Name, found: &[&SkyRecord], sections: &mut Sections) {
        for record in found.iter().filter(|record| !record.text.is_empty()).take(self.most + 1) {
            let text = rdata::TXT::from_bytes(record.text.as_bytes().chunks(255).collect());
            sections.answers.push(Record::from_rdata(owner.clone(), self.ttl(record), RData::TXT(text)));
        }
    }

    /// Returns the hosts at the name of an address; `None` if it has no record.
    fn pointers(&self, owner: &Name, labels: &[&str]) -> Option<Sections> {
        let host = |record: &'t SkyRecord| match &record.host {
            SkyHost::Name(host) => {
                Some(Record::from_rdata(owner.clone(), self.ttl(record), RData::PTR(rdata::PTR(host.clone()))))
            }
            _ => None,
        };
        let answers: Vec<Record> = self.finder.at(labels).filter_map(host).take(self.most + 1).collect();
        let is_known = self.table.places().domain.is_some() && !answers.is_empty();
        is_known.then(|| Sections { answers, ..Sections::default() })
    }

    fn soa(&self, domain: &OwnDomain, ttl_seconds: u32) -> Record {
        let below = |text: &str| {
            let name = Name::from_ascii(text).and_then(|name| name.append_domain(&domain.name));
            name.unwrap_or_else(|_| domain.name.clone())
        };
        let (server, person) = (below("ns.dns"), below("hostmaster"));
        let soa = rdata::SOA::new(server, person, self.table.serial(), 28_800, 7200, 604_800, NOTHING_TTL_SECONDS);
        Record::from_rdata(domain.name.clone(), ttl_seconds, RData::SOA(soa))
    }

    fn cname(&self, owner: &Name, record: &SkyRecord, host: &Name) -> Record {
        Record::from_rdata(owner.clone(), self.ttl(record), RData::CNAME(rdata::CNAME(host.clone())))
    }

    /// Returns the record's TTL: at most what is left of its lease.
    fn ttl(&self, record: &SkyRecord) -> u32 {
        match record.lease {
            0 => record.ttl_seconds,
            lease => {
                let Moment { leases, now, .. } = &mut *self.moment.borrow_mut();
                record.ttl_seconds.min(leases.left_seconds(lease, *now))
            }
        }
    }
}
