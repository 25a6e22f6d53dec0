//! Lookups against a small name server on a loopback UDP port: found, not there, broken, silent; hosts file, search list.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use upstreamd::agent::facts::WorldFacts;
use upstreamd::model::dns::Srv;
use upstreamd::render::Facts;
use upstreamd::world::dns::{Dns, DnsSources};

use crate::support::temp_dir;

/// Ends with the test.
struct NameServer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl NameServer {
    fn start() -> NameServer {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let address = socket.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || {
            let mut packet = [0; 4096];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut packet) else { continue };
                if let Some(answer) = answer(&packet[..length]) {
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        NameServer { address, stop }
    }
}

fn answer(packet: &[u8]) -> Option<Vec<u8>> {
    let mut message = Message::from_vec(packet).unwrap();
    let (name, kind) = (message.queries[0].name().clone(), message.queries[0].query_type());
    message.metadata.message_type = MessageType::Response;
    message.edns = None;
    let mut add = |data: RData| {
        message.answers.push(Record::from_rdata(name.clone(), 60, data));
    };
    match (name.to_ascii().to_ascii_lowercase().as_str(), kind) {
        ("db.example.", RecordType::A) => add(RData::A(A([10, 0, 0, 9].into()))),
        ("db.example.", RecordType::AAAA) => add(RData::AAAA(AAAA("2001:db8::1".parse().unwrap()))),
        ("only4.example.", RecordType::A) => add(RData::A(A([10, 0, 0, 4].into()))),
        ("only4.example.", RecordType::AAAA) => message.metadata.response_code = ResponseCode::ServFail,
        ("web.internal.", RecordType::A) => add(RData::A(A([10, 0, 0, 7].into()))),
        ("_http._tcp.example.", RecordType::SRV) => {
            add(RData::SRV(SRV::new(10, 5, 8080, Name::from_ascii("a.example.").unwrap())));
        }
        ("empty.example.", _) => {}
        ("half.internal." | "broken.example.", _) => message.metadata.response_code = ResponseCode::ServFail,
        ("silent.example.", _) => return None,
        _ => message.metadata.response_code = ResponseCode::NXDomain,
    }
    Some(message.to_vec().unwrap())
}

fn dns(folder: &Path, port: u16, deadline: Duration) -> Dns {
    let (hosts, resolv_conf) = (folder.join("hosts"), folder.join("resolv.conf"));
    std::fs::write(&hosts, "127.0.0.1 localhost\n10.9.9.9 fixed Fixed.example # and a note\n10.9.9.8 fixed\n").unwrap();
    if !resolv_conf.exists() {
        std::fs::write(&resolv_conf, "nameserver 127.0.0.1\nsearch internal\n").unwrap();
    }
    Dns::new(DnsSources { hosts, resolv_conf, port }, deadline)
}

fn ips(texts: &[&str]) -> Result<Vec<IpAddr>, String> {
    Ok(texts.iter().map(|text| text.parse().unwrap()).collect())
}

#[test]
fn names_are_found_or_not_there_or_nobody_knows() {
    let (folder, server) = (temp_dir(), NameServer::start());
    let dns = dns(folder.path(), server.address.port(), Duration::from_secs(5));
    for (host, expected) in [
        ("192.0.2.1", ips(&["192.0.2.1"])),
        ("2001:db8::9", ips(&["2001:db8::9"])),
        ("fixed", ips(&["10.9.9.9", "10.9.9.8"])),
        ("FIXED.example.", ips(&["10.9.9.9"])),
        ("localhost", ips(&["127.0.0.1"])),
        ("db.example", ips(&["10.0.0.9", "2001:db8::1"])),
        ("db.example.", ips(&["10.0.0.9", "2001:db8::1"])),
        ("only4.example", ips(&["10.0.0.4"])),
        ("web", ips(&["10.0.0.7"])),
        ("gone.example", ips(&[])),
        ("empty.example", ips(&[])),
        ("broken.example", Err("the name server answered \"Server Failure\"".to_owned())),
        // Its zone is out: that the bare name does not exist says nothing.
        ("half", Err("the name server answered \"Server Failure\"".to_owned())),
        ("not a host..name", Err("it is not a host name".to_owned())),
    ] {
        assert_eq!(dns.addresses(host, None), expected, "{host}");
    }
}

#[test]
fn services_are_found() {
    let (folder, server) = (temp_dir(), NameServer::start());
    let facts = WorldFacts::with_dns(dns(folder.path(), server.address.port(), Duration::from_secs(5)));
    let srv = Srv { target: "a.example.".to_owned(), port: 8080, priority: 10, weight: 5 };
    assert_eq!(facts.lookup_srv("http", "tcp", "example", None), Ok(vec![srv.clone()]));
    assert_eq!(facts.lookup_srv("", "", "_http._tcp.example.", None), Ok(vec![srv]));
    assert_eq!(facts.lookup_srv("http", "tcp", "gone.example", None), Ok(Vec::new()));
    assert!(facts.lookup_srv("http", "tcp", "broken.example", None).is_ok(), "another name, which does not exist");
    assert!(facts.lookup_srv("", "", "broken.example", None).is_err());
}

#[test]
fn a_silent_name_server_is_an_error_at_the_deadline() {
    let (folder, server) = (temp_dir(), NameServer::start());
    let dns = dns(folder.path(), server.address.port(), Duration::from_millis(300));
    let problem = dns.addresses("silent.example", None).unwrap_err();
    assert!(problem.contains("answer"), "{problem}");
    assert_eq!(dns.addresses("db.example", None).unwrap().len(), 2, "the resolver goes on");
}

#[test]
fn a_lookup_takes_no_longer_than_its_caller_has_time() {
    let (folder, server) = (temp_dir(), NameServer::start());
    let dns = dns(folder.path(), server.address.port(), Duration::from_secs(3600));
    let problem = dns.addresses("silent.example", Some(Duration::from_millis(100))).unwrap_err();
    assert_eq!(problem, "no answer within 100ms");
}

#[test]
fn many_lookups_of_a_silent_name_server_do_not_add_up() {
    let (folder, server) = (temp_dir(), NameServer::start());
    let dns = dns(folder.path(), server.address.port(), Duration::from_secs(3));
    let problems: Vec<String> = (0..5).map(|_| dns.addresses("silent.example", None).unwrap_err()).collect();
    assert_eq!(problems[0], "no answer within 3s");
    // Four more of these deadlines would hold a watchdog up.
    assert!(problems[1..].iter().all(|problem| problem == "no answer within 200ms"), "{problems:?}");
    assert_eq!(dns.addresses("db.example", None).unwrap().len(), 2, "a name that is answered is found all the while");
}

#[test]
fn a_changed_resolv_conf_counts_from_the_next_lookup() {
    let (folder, server) = (temp_dir(), NameServer::start());
    std::fs::write(folder.path().join("resolv.conf"), "# none\n").unwrap();
    let dns = dns(folder.path(), server.address.port(), Duration::from_secs(5));
    assert!(dns.addresses("db.example", None).unwrap_err().ends_with("resolv.conf` names no name server"));
    std::fs::write(folder.path().join("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
    assert_eq!(dns.addresses("db.example", None).unwrap().len(), 2);
    std::fs::remove_file(folder.path().join("resolv.conf")).unwrap();
    assert!(dns.addresses("db.example", None).unwrap_err().starts_with("cannot read `"));
    assert_eq!(dns.addresses("fixed", None).unwrap().len(), 2, "the hosts file needs no name server");
}
