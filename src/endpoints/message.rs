//! DNS messages: reads a question, and writes an answer to it. Pure. Whatever a stranger sends ends as a question, as a short
//! refusal, or as nothing.

use std::net::IpAddr;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::model::dns::Srv;

/// Most bytes of an answer over UDP to somebody who says nothing about it (RFC 1035, 4.2.1).
const PLAIN_UDP_BYTES: usize = 512;
/// Most bytes of an answer over UDP to somebody who takes more: more than this may be fragmented.
pub const MAX_UDP_BYTES: usize = 1232;
/// Most bytes of an answer over TCP (RFC 1035, 4.2.2).
pub const MAX_TCP_BYTES: usize = 65_535;

/// A question that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsQuestion {
    /// Number that ties the answer to the question.
    pub id: u16,
    /// Name and type.
    pub query: Query,
    /// Whether the asker wants names outside our domains resolved.
    pub wants_recursion: bool,
    /// Size of UDP answers that the asker takes, if it says so.
    udp_bytes: Option<u16>,
}

/// A message, read.
#[derive(Debug, PartialEq, Eq)]
pub enum DnsMessage {
    /// A question of class IN.
    Question(DnsQuestion),
    /// Something to refuse with these bytes.
    Refuse(Vec<u8>),
    /// Nothing to answer: an answer, or too short to have a number.
    Ignore,
}

/// Reads a message.
pub fn read(bytes: &[u8]) -> DnsMessage {
    let Some([first, second, flags, ..]) = bytes.get(..12) else { return DnsMessage::Ignore };
    let is_answer = flags & 0x80 != 0;
    if is_answer {
        return DnsMessage::Ignore;
    }
    let id = u16::from_be_bytes([*first, *second]);
    let Ok(mut message) = Message::from_vec(bytes) else { return refuse(id, OpCode::Query, ResponseCode::FormErr) };
    if message.metadata.op_code != OpCode::Query {
        return refuse(id, message.metadata.op_code, ResponseCode::NotImp);
    }
    let (Some(query), []) = (message.queries.pop(), message.queries.as_slice()) else {
        return refuse(id, OpCode::Query, ResponseCode::FormErr);
    };
    if message.edns.as_ref().is_some_and(|edns| edns.version() != 0) {
        return refuse(id, OpCode::Query, ResponseCode::BADVERS);
    }
    let is_internet = query.query_class == DNSClass::IN;
    let question = DnsQuestion {
        id,
        query,
        wants_recursion: message.metadata.recursion_desired,
        udp_bytes: message.edns.as_ref().map(Edns::max_payload),
    };
    match is_internet {
        true => DnsMessage::Question(question),
        false => DnsMessage::Refuse(question.refusal(ResponseCode::Refused)),
    }
}

fn refuse(id: u16, op_code: OpCode, code: ResponseCode) -> DnsMessage {
    let mut message = Message::error_msg(id, op_code, code);
    if code == ResponseCode::BADVERS {
        message.set_edns(Edns::new());
    }
    message.to_vec().map_or(DnsMessage::Ignore, DnsMessage::Refuse)
}

/// Returns whether a message is the reply to a question, both as bytes: the same number and the same question.
pub fn is_reply(reply: &[u8], question: &[u8]) -> bool {
    let (Some(head), Some([.., 0, 1])) = (reply.get(..6), question.get(..6)) else { return false };
    let is_answer = head.get(2).is_some_and(|flags| flags & 0x80 != 0);
    let Ok(asked) = Message::from_vec(question) else { return false };
    let Ok(replied) = Message::from_vec(reply) else { return false };
    is_answer && asked.metadata.id == replied.metadata.id && asked.queries == replied.queries
}

/// Returns our answer with the answers of another message behind it. If that says nothing, or if it would be too long, it is ours, and
/// says that there is more, unless it goes over TCP: nobody could ask in another way.
pub fn joined(ours: Vec<u8>, theirs: Option<&[u8]>, limit: usize) -> Vec<u8> {
    let can_ask_again = limit < MAX_TCP_BYTES;
    let join = || {
        let (mut message, theirs) = (Message::from_vec(&ours).ok()?, Message::from_vec(theirs?).ok()?);
        let says_it = matches!(theirs.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain);
        message.answers.extend(theirs.answers);
        message.metadata.truncation |= theirs.metadata.truncation || (can_ask_again && !says_it);
        message.to_vec().ok().filter(|bytes| bytes.len() <= limit)
    };
    join().unwrap_or_else(|| if can_ask_again { cut(ours) } else { ours })
}

/// Returns a message that says that there is more than it has.
pub fn cut(mut message: Vec<u8>) -> Vec<u8> {
    if let Some(flags) = message.get_mut(2) {
        *flags |= 0x02;
    }
    message
}

impl DnsQuestion {
    /// Returns the message that asks for the same kind of records of another name.
    pub fn about(&self, name: &Name) -> Vec<u8> {
        let mut message = Message::new(self.id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.queries.push(Query::query(name.clone(), self.kind()));
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_UDP_BYTES as u16);
        message.set_edns(edns);
        message.to_vec().unwrap_or_default()
    }

    /// Returns the name, in lower case and without the final dot.
    pub fn name(&self) -> String {
        let mut name = self.query.name.to_ascii();
        name.make_ascii_lowercase();
        name.truncate(name.trim_end_matches('.').len());
        name
    }

    /// Returns the type of the records asked for.
    pub fn kind(&self) -> RecordType {
        self.query.query_type
    }

    /// Returns the most bytes that an answer over UDP may have.
    pub fn udp_limit(&self) -> usize {
        self.udp_bytes.map_or(PLAIN_UDP_BYTES, |bytes| usize::from(bytes).clamp(PLAIN_UDP_BYTES, MAX_UDP_BYTES))
    }

    /// Returns an answer with these records; if it is longer than `limit`, one without records that asks to come by TCP.
    pub fn answer(&self, records: Vec<Record>, limit: usize) -> Vec<u8> {
        let mut message = self.reply(ResponseCode::NoError);
        message.answers = records;
        match message.to_vec() {
            Ok(bytes) if bytes.len() <= limit => bytes,
            _ => {
                message.answers.clear();
                message.metadata.truncation = true;
                message.to_vec().unwrap_or_default()
            }
        }
    }

    /// Returns an answer with these SRV records; if it is longer than `limit`, one without records that asks to come by TCP. Each record
    /// names its owner by a pointer to the question, so that hundreds fit; the codec would write out the name.
    pub(super) fn answer_srv(&self, records: &[Srv], limit: usize) -> Vec<u8> {
        let Some(mut bytes) = self.with_srv(records).filter(|bytes| bytes.len() <= limit) else {
            return self.answer(Vec::new(), 0);
        };
        if self.udp_bytes.is_some() {
            // An OPT record with our size, in the additional section.
            bytes.extend([0, 0, 41]);
            bytes.extend((MAX_UDP_BYTES as u16).to_be_bytes());
            bytes.extend([0; 6]);
            if let Some(count) = bytes.get_mut(10..12) {
                count.copy_from_slice(&[0, 1]);
            }
        }
        bytes
    }

    fn with_srv(&self, records: &[Srv]) -> Option<Vec<u8>> {
        let mut bytes = self.plain_reply(ResponseCode::NoError).to_vec().ok()?;
        let count = u16::try_from(records.len()).ok()?;
        bytes.get_mut(6..8)?.copy_from_slice(&count.to_be_bytes());
        for Srv { priority, weight, port, target } in records {
            // Three numbers, each label with its length, and the end of the name.
            let length = u16::try_from(6 + target.len() + 2).ok()?;
            // The owner's pointer, SRV, IN, a time to live of zero.
            bytes.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 0]);
            for number in [length, *priority, *weight, *port] {
                bytes.extend(number.to_be_bytes());
            }
            for label in target.split('.') {
                bytes.push(u8::try_from(label.len()).ok().filter(|length| *length < 64)?);
                bytes.extend(label.as_bytes());
            }
            bytes.push(0);
        }
        Some(bytes)
    }

    /// Returns a reply without records.
    pub fn refusal(&self, code: ResponseCode) -> Vec<u8> {
        self.reply(code).to_vec().unwrap_or_default()
    }

    /// Returns a reply to fill.
    pub fn reply(&self, code: ResponseCode) -> Message {
        let mut message = self.plain_reply(code);
        if self.udp_bytes.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(MAX_UDP_BYTES as u16);
            message.set_edns(edns);
        }
        message
    }

    fn plain_reply(&self, code: ResponseCode) -> Message {
        let mut message = Message::new(self.id, MessageType::Response, OpCode::Query);
        message.metadata.authoritative = true;
        message.metadata.recursion_desired = self.wants_recursion;
        message.metadata.recursion_available = true;
        message.metadata.response_code = code;
        message.queries.push(self.query.clone());
        message
    }

    /// Returns the records of those of these addresses that were asked for.
    pub fn address_records(&self, addresses: &[IpAddr], ttl_seconds: u32) -> Vec<Record> {
        let data = |address: &IpAddr| match (address, self.kind()) {
            (IpAddr::V4(address), RecordType::A) => Some(RData::A(A(*address))),
            (IpAddr::V6(address), RecordType::AAAA) => Some(RData::AAAA(AAAA(*address))),
            _ => None,
        };
        let record = |data| Record::from_rdata(self.query.name.clone(), ttl_seconds, data);
        addresses.iter().filter_map(data).map(record).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<Name> {
        let mut name = Name::from_ascii(text).ok()?;
        name.set_fqdn(true);
        Some(name)
    }

    fn question(text: &str, kind: RecordType) -> Message {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(name(text).unwrap(), kind));
        message
    }

    fn bytes(message: &Message) -> Vec<u8> {
        message.to_vec().unwrap()
    }

    #[test]
    fn a_question_is_read_and_its_name_is_lower_case() {
        let DnsMessage::Question(read) = read(&bytes(&question("_Peers._tcp.Web.upstreamd.internal", RecordType::SRV)))
        else {
            panic!("no question")
        };
        assert_eq!((read.id, read.name().as_str()), (7, "_peers._tcp.web.upstreamd.internal"));
        assert_eq!((read.kind(), read.udp_limit()), (RecordType::SRV, 512));
    }

    /// Checks what becomes of a message: the code of its refusal, or `None` if it is ignored.
    #[track_caller]
    fn check_refused(bytes: &[u8], expected: Option<ResponseCode>) {
        let code = match read(bytes) {
            DnsMessage::Refuse(reply) => Some(Message::from_vec(&reply).unwrap().metadata.response_code),
            DnsMessage::Ignore => None,
            DnsMessage::Question(question) => panic!("{question:?}"),
        };
        // 16 stands for BADVERS and for BADSIG.
        assert_eq!(code.map(u16::from), expected.map(u16::from));
    }

    #[test]
    fn what_is_no_question_is_refused_or_ignored() {
        let good = question("a.b", RecordType::A);
        check_refused(b"", None);
        check_refused(&[0; 11], None);
        check_refused(&[0; 12], Some(ResponseCode::FormErr));
        check_refused(&bytes(&Message::response(7, OpCode::Query)), None);
        let mut notify = good.clone();
        notify.metadata.op_code = OpCode::Notify;
        check_refused(&bytes(&notify), Some(ResponseCode::NotImp));
        let mut two = good.clone();
        two.add_query(two.queries[0].clone());
        check_refused(&bytes(&two), Some(ResponseCode::FormErr));
        let mut chaos = good.clone();
        chaos.queries[0].query_class = DNSClass::CH;
        check_refused(&bytes(&chaos), Some(ResponseCode::Refused));
        let mut future = good.clone();
        let mut edns = Edns::new();
        edns.set_version(1);
        future.set_edns(edns);
        check_refused(&bytes(&future), Some(ResponseCode::BADVERS));
        let mut cut = bytes(&good);
        cut.truncate(15);
        check_refused(&cut, Some(ResponseCode::FormErr));
        // A name that points at itself.
        check_refused(&[&bytes(&good)[..12], &[0xc0, 12, 0, 1, 0, 1]].concat(), Some(ResponseCode::FormErr));
    }

    #[test]
    fn a_reply_has_the_number_and_the_question() {
        let asked = question("db.example.org", RecordType::A);
        let reply = |change: fn(&mut Message)| {
            let mut reply = asked.clone();
            reply.metadata.message_type = MessageType::Response;
            change(&mut reply);
            bytes(&reply)
        };
        for (reply, expected) in [
            (reply(|_| {}), true),
            (reply(|reply| reply.metadata.id = 8), false),
            (reply(|reply| reply.metadata.message_type = MessageType::Query), false),
            (reply(|reply| reply.queries.clear()), false),
            (reply(|reply| reply.queries[0].query_type = RecordType::AAAA), false),
            (reply(|reply| reply.queries[0].name = name("db.example.com").unwrap()), false),
            (b"short".to_vec(), false),
        ] {
            assert_eq!(is_reply(&reply, &bytes(&asked)), expected, "{reply:?}");
        }
    }

    #[test]
    fn answers_of_another_server_are_added_if_they_fit() {
        let DnsMessage::Question(asked) = read(&bytes(&question("a.b", RecordType::A))) else { panic!("no question") };
        let ours = asked.answer(asked.address_records(&[IpAddr::from([10, 0, 0, 1])], 60), 512);
        let DnsMessage::Question(about) = read(&asked.about(&name("c.d").unwrap())) else { panic!("no question") };
        assert_eq!((about.name().as_str(), about.kind(), about.wants_recursion), ("c.d", RecordType::A, true));
        let theirs = about.answer(about.address_records(&[IpAddr::from([10, 0, 0, 2])], 60), 512);
        let both = joined(ours.clone(), Some(&theirs), 512);
        let names: Vec<String> =
            Message::from_vec(&both).unwrap().answers.iter().map(|record| record.name.to_ascii()).collect();
        assert_eq!(names, ["a.b.", "c.d."]);
        assert_eq!(both[2] & 0x02, 0);
        // An answer without the addresses is not the whole answer.
        let failed = about.refusal(ResponseCode::ServFail);
        let half = about.answer(Vec::new(), 0);
        let limit = both.len() - 1;
        for (theirs, limit) in [
            (Some(&theirs), limit),
            (Some(&b"nothing".to_vec()), 512),
            (None, 512),
            (Some(&failed), 512),
            (Some(&half), 512),
        ] {
            let cut = Message::from_vec(&joined(ours.clone(), theirs.map(Vec::as_slice), limit)).unwrap();
            assert!(cut.metadata.truncation && cut.answers.len() == 1, "{theirs:?}");
        }
        for theirs in [None, Some(&*failed)] {
            assert_eq!(joined(ours.clone(), theirs, MAX_TCP_BYTES), ours, "nobody can ask in another way");
        }
        for code in [ResponseCode::NoError, ResponseCode::NXDomain] {
            assert_eq!(joined(ours.clone(), Some(&about.refusal(code)), 512), ours, "it has no address");
        }
    }

    #[test]
    fn a_long_answer_asks_to_come_by_tcp() {
        let DnsMessage::Question(asked) = read(&bytes(&question("a.b", RecordType::A))) else { panic!("no question") };
        let addresses: Vec<IpAddr> = (0..100).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        let records = asked.address_records(&addresses, 60);
        assert_eq!(records.len(), 100);
        let short = Message::from_vec(&asked.answer(records.clone(), asked.udp_limit())).unwrap();
        assert!(short.metadata.truncation && short.answers.is_empty());
        let long = Message::from_vec(&asked.answer(records, MAX_TCP_BYTES)).unwrap();
        assert!(!long.metadata.truncation && long.answers.len() == 100 && long.metadata.authoritative);
    }

    #[test]
    fn services_are_written_as_the_codec_reads_them() {
        let mut asked = question("_peers._tcp.a.b", RecordType::SRV);
        for with_edns in [false, true] {
            if with_edns {
                asked.set_edns(Edns::new());
            }
            let DnsMessage::Question(read) = read(&bytes(&asked)) else { panic!("no question") };
            let target = |n: u16| Srv { priority: 1, weight: n, port: 80 + n, target: format!("t{n}.b") };
            let answer = read.answer_srv(&[target(1), target(2)], 4096);
            let answer = Message::from_vec(&answer).unwrap();
            let records: Vec<String> = answer.answers.iter().map(ToString::to_string).collect();
            assert_eq!(records, ["_peers._tcp.a.b. 0 IN SRV 1 1 81 t1.b.", "_peers._tcp.a.b. 0 IN SRV 1 2 82 t2.b."]);
            assert_eq!(answer.edns.is_some(), with_edns);
            let cut = Message::from_vec(&read.answer_srv(&[target(1)], 20)).unwrap();
            assert!(cut.metadata.truncation && cut.answers.is_empty());
        }
    }
}
