//! A DNS server on loopback that answers SRV and A questions from a table.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// Runs until the test ends.
pub struct Dns {
    address: SocketAddr,
    records: Arc<Mutex<Vec<Record>>>,
}

impl Dns {
    pub fn start() -> Dns {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let records = Arc::new(Mutex::new(Vec::new()));
        let table = Arc::clone(&records);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut buffer) {
                let Ok(question) = Message::from_vec(&buffer[..length]) else { continue };
                let answer = answer(&question, &table.lock().unwrap());
                socket.send_to(&answer.to_vec().unwrap(), client).ok();
            }
        });
        Dns { address, records }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `name` is served by `target:port`.
    pub fn add_service(&self, name: &str, target: &str, port: u16) {
        let service = SRV::new(10, 10, port, Name::from_ascii(target).unwrap());
        self.add(name, RData::SRV(service));
    }

    /// `name` is 127.0.0.1.
    pub fn add_host(&self, name: &str) {
        self.add(name, RData::A(A(Ipv4Addr::LOCALHOST)));
    }

    pub fn clear(&self) {
        self.records.lock().unwrap().clear();
    }

    fn add(&self, name: &str, data: RData) {
        self.records.lock().unwrap().push(Record::from_rdata(Name::from_ascii(name).unwrap(), 1, data));
    }
}

fn answer(question: &Message, records: &[Record]) -> Message {
    let mut answer = question.clone();
    answer.metadata.message_type = MessageType::Response;
    answer.additionals.clear();
    answer.edns = None;
    let Some(query) = question.queries.first() else { return answer };
    let asked: Vec<Record> = records
        .iter()
        .filter(|record| record.name == *query.name() && matches(record, query.query_type()))
        .cloned()
        .collect();
    if asked.is_empty() {
        answer.metadata.response_code = ResponseCode::NXDomain;
    }
    answer.answers = asked;
    answer
}

fn matches(record: &Record, wanted: RecordType) -> bool {
    record.data.record_type() == wanted
}
