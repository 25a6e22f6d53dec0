//! Ways to etcd: TLS in every mixture, logins, roles, members found by DNS.

use std::future::Future;
use std::net::TcpListener;
use std::time::Duration;

use upstreamd::model::store::{EtcdSettings, Login, StoreSettings, TlsSettings};
use upstreamd::source::health;
use upstreamd::world::etcd::Members;

use super::follower::Follower;
use crate::support::certs::Certs;
use crate::support::dns::Dns;
use crate::support::etcd::{Etcd, Options, Writer};
use crate::support::proxy::Proxy;
use crate::support::temp_dir;

fn login(user: &str) -> Option<Login> {
    Some(Login { user: user.to_owned(), password: user.to_owned(), may_be_read: false })
}

/// Follows `/a` with these settings and expects to see the key, or a problem that has all of the words.
#[track_caller]
fn check(what: &str, settings: EtcdSettings, problem: Option<&[&str]>) {
    let settings = EtcdSettings { dial_timeout: Duration::from_secs(3), ..settings };
    let follower = Follower::start(StoreSettings::Etcd(settings), &["/a"]);
    match problem {
        None => {
            follower.wait_value("/a/x", Some("1"));
            assert_eq!(follower.seen_problems(), Vec::<String>::new(), "{what}");
        }
        Some(words) => {
            follower.wait(what, |seen| seen.lost > 0);
            let problems = follower.seen_problems();
            assert!(words.iter().all(|word| problems[0].contains(word)), "{what}: {problems:?}");
        }
    }
}

#[test]
fn tls_works_with_each_flag_alone() {
    let dir = temp_dir();
    let certs = Certs::new(dir.path(), &[]);
    let etcd = Etcd::start_with(Options { certs: Some(certs.clone()), ..Options::default() });
    etcd.put("/a/x", "1");
    let endpoints = vec![etcd.url()];
    let with = |tls: Option<TlsSettings>| EtcdSettings { members: endpoints.clone(), tls, ..EtcdSettings::default() };
    let ca = TlsSettings { ca: Some(certs.ca.clone()), ..TlsSettings::default() };
    check("CA alone", with(Some(ca.clone())), None);
    check("insecure alone", with(Some(TlsSettings { insecure: true, ..TlsSettings::default() })), None);
    check(
        "no flag: the system's roots",
        with(None),
        Some(&["\"test ca\", which is not among the system's certificate authorities"]),
    );
    let host_and_port = EtcdSettings { members: vec![format!("localhost:{}", etcd.port())], ..with(Some(ca.clone())) };
    check("a CA makes TLS the default scheme", host_and_port, None);
    let missing = TlsSettings { ca: Some(dir.path().join("missing.pem")), ..TlsSettings::default() };
    check("a missing CA file", with(Some(missing)), Some(&["cannot read the CA file", "missing.pem"]));
    let key = TlsSettings { ca: Some(certs.server_key.clone()), ..TlsSettings::default() };
    check("a CA file with a key in it", with(Some(key)), Some(&["the CA file", "holds no certificate in PEM"]));
    let lone = TlsSettings { cert: Some(certs.client_cert.clone()), ..ca };
    check(
        "a certificate without its key",
        with(Some(lone)),
        Some(&["a client certificate is set without a client key"]),
    );
    let plain = EtcdSettings { members: vec![format!("http://127.0.0.1:{}", etcd.port())], ..with(None) };
    check("plain text to a TLS port", plain, Some(&["http://127.0.0.1:"]));
}

#[test]
fn a_client_certificate_is_shown_where_etcd_wants_one() {
    let dir = temp_dir();
    let certs = Certs::new(dir.path(), &[]);
    let options = Options { certs: Some(certs.clone()), needs_client_cert: true, ..Options::default() };
    let etcd = Etcd::start_with(options);
    etcd.put("/a/x", "1");
    let with = |tls| EtcdSettings { members: vec![etcd.url()], tls: Some(tls), ..EtcdSettings::default() };
    let ca = TlsSettings { ca: Some(certs.ca), ..TlsSettings::default() };
    let pair = |tls| TlsSettings { cert: Some(certs.client_cert.clone()), key: Some(certs.client_key.clone()), ..tls };
    check("CA and client pair", with(pair(ca.clone())), None);
    let insecure = TlsSettings { insecure: true, ..TlsSettings::default() };
    check("client pair without verification", with(pair(insecure)), None);
    check("no client certificate", with(ca), Some(&["https://127.0.0.1:"]));
}

#[test]
fn a_password_crosses_the_network_without_tls_only_if_that_is_allowed() {
    let etcd = Etcd::start();
    etcd.put("/a/x", "1");
    etcd.enable_auth(&["/a"]);
    // An address by which this machine is reached, and no loopback address.
    let endpoints = vec![format!("http://0.0.0.0:{}", etcd.port())];
    let with = |may_be_read| EtcdSettings {
        members: endpoints.clone(),
        login: login("reader").map(|login| Login { may_be_read, ..login }),
        ..EtcdSettings::default()
    };
    check("a login without TLS", with(false), Some(&["http://0.0.0.0:", "without TLS", "--insecure-login"]));
    check("one that is allowed", with(true), None);
}

#[test]
fn a_login_works_and_a_wrong_one_is_reported_without_the_password() {
    let etcd = Etcd::start();
    etcd.put("/a/x", "1");
    let with = |login| EtcdSettings { members: vec![etcd.url()], login, ..EtcdSettings::default() };
    check("a login while authentication is off", with(login("reader")), None);
    etcd.enable_auth(&["/a"]);
    check("a login", with(login("reader")), None);
    check("no login", with(None), Some(&["user name is empty", "requires a user name and a password"]));
    let wrong = Login { user: "reader".to_owned(), password: "hunter2".to_owned(), may_be_read: false };
    check("a wrong password", with(Some(wrong)), Some(&["authentication failed, invalid user ID or password"]));
    let follower = Follower::start(StoreSettings::Etcd(with(login("reader"))), &["/b"]);
    follower.wait("a denial", |seen| seen.refused);
    assert!(follower.seen_problems().is_empty(), "the store is there: {:?}", follower.seen_problems());
}

#[test]
fn a_role_that_grants_nothing_in_between_gets_narrower_watches() {
    let etcd = Etcd::start();
    for key in ["/a", "/a/x", "/z/x"] {
        etcd.put(key, "1");
    }
    etcd.enable_auth(&["/a/", "/z/"]);
    etcd.ctl_as(Some("root:root"), &["role", "grant-permission", "reader", "read", "/a"]);
    etcd.ctl_as(Some("root:root"), &["role", "grant-permission", "reader", "read", "/z"]);
    let settings = EtcdSettings { members: vec![etcd.url()], login: login("reader"), ..EtcdSettings::default() };
    let follower = Follower::start(StoreSettings::Etcd(settings), &["/a", "/z"]);
    follower.wait_value("/z/x", Some("1"));
    let mut writer = Writer::new(&etcd.url(), Some(("root", "root")));
    follower.wait("a watch", |seen| seen.snapshots >= 3);
    let mut revision = 0;
    for number in 0..50 {
        let text = number.to_string();
        revision = writer.change(&[("/a/x", Some(&text)), ("/z/x", Some(&text))]);
    }
    follower.wait_revision(revision);
    follower.wait_value("/a/x", Some("49"));
    follower.wait_value("/z/x", Some("49"));
    assert_eq!(follower.seen().lost, 0);
}

#[test]
fn an_expired_token_is_renewed_on_watch_resume_and_resync() {
    let etcd = Etcd::start_with(Options::default().flag("--auth-token-ttl=1"));
    etcd.put("/a/x", "1");
    etcd.enable_auth(&["/a"]);
    let proxy = Proxy::start(etcd.port());
    let settings = EtcdSettings { members: vec![proxy.address()], login: login("reader"), ..EtcdSettings::default() };
    let follower = Follower::start(StoreSettings::Etcd(settings), &["/a"]);
    follower.wait_value("/a/x", Some("1"));
    let put = |value: &str| Writer::new(&etcd.url(), Some(("root", "root"))).put("/a/x", value);
    // A key that lives as long as a token, and some: when it is gone, so is the token.
    let outlive_token = |name: &str| {
        let mut writer = Writer::new(&etcd.url(), Some(("root", "root")));
        writer.put_for_seconds(&format!("/a/{name}"), 2);
        follower.wait_value(&format!("/a/{name}"), Some(""));
        follower.wait_value(&format!("/a/{name}"), None);
    };
    outlive_token("first");
    put("2");
    follower.wait_value("/a/x", Some("2"));
    follower.resync();
    follower.wait("a snapshot after the token is gone", |seen| seen.snapshots == 2);
    outlive_token("second");
    proxy.break_connections();
    put("3");
    follower.wait_value("/a/x", Some("3"));
    // The broken connection is one loss; no token is another.
    let problems = follower.seen_problems();
    assert!(problems.len() <= 1, "{problems:?}");
}

#[test]
fn members_are_found_by_srv_records_and_looked_up_again_when_they_move() {
    let dns = Dns::start();
    let mut first = Etcd::start();
    first.put("/a/x", "1");
    let settings = |record: Option<&str>| EtcdSettings {
        srv_domain: Some("example.test".to_owned()),
        srv_record: record.map(str::to_owned),
        dns_server: Some(dns.address()),
        ..EtcdSettings::default()
    };
    check("no records", settings(None), Some(&["no etcd member found", "_etcd-client._tcp.example.test."]));
    dns.add_host("m1.example.test.");
    dns.add_service("_etcd-client._tcp.example.test.", "m1.example.test.", first.port());
    dns.add_service("_own._tcp.example.test.", "m1.example.test.", first.port());
    check("the field's record", settings(None), None);
    check("a record by name", settings(Some("_own._tcp.example.test")), None);
    let follower = Follower::start(StoreSettings::Etcd(settings(None)), &["/a"]);
    follower.wait_value("/a/x", Some("1"));
    first.kill();
    let second = Etcd::start();
    second.put("/a/x", "2");
    dns.clear();
    dns.add_host("m2.example.test.");
    dns.add_service("_etcd._tcp.example.test.", "m2.example.test.", second.port());
    follower.wait_value("/a/x", Some("2"));
}

/// Runs this on a runtime of its own.
fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn while_dns_is_down_the_known_members_are_tried() {
    let (dns, etcd) = (Dns::start(), Etcd::start());
    dns.add_host("m1.example.test.");
    dns.add_service("_etcd-client._tcp.example.test.", "m1.example.test.", etcd.port());
    let srv_domain = Some("example.test".to_owned());
    let settings = EtcdSettings { srv_domain, dns_server: Some(dns.address()), ..EtcdSettings::default() };
    let mut members = Members::new(settings);
    now(async {
        members.connect_next().await.map(drop).unwrap();
        dns.clear();
        for _ in 0..3 {
            members.disconnect();
            members.connect_next().await.map(drop).unwrap();
        }
    });
}

/// A port that takes connections and never answers.
fn mute() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[test]
fn connecting_takes_no_longer_than_the_callers_limit() {
    let (_listener, address) = mute();
    let settings = EtcdSettings { members: vec![format!("https://{address}")], ..EtcdSettings::default() };
    let mut members = Members::new(settings);
    members.set_limit(Duration::from_millis(50));
    let problem = now(members.connect_next()).map(drop).unwrap_err().problem;
    assert!(problem.contains("no answer in 50ms"), "{problem}");
}

#[test]
fn looking_up_the_members_takes_no_longer_than_the_callers_limit() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (srv_domain, dns_server) = (Some("example.test".to_owned()), Some(silent.local_addr().unwrap()));
    let mut members = Members::new(EtcdSettings { srv_domain, dns_server, ..EtcdSettings::default() });
    members.set_limit(Duration::from_millis(50));
    let problem = now(members.connect_next()).map(drop).unwrap_err().problem;
    assert!(problem.ends_with("no answer in 50ms"), "{problem}");
}

#[test]
fn a_cluster_is_healthy_although_members_do_not_answer() {
    let etcd = Etcd::start();
    let listeners: Vec<_> = (0..8).map(|_| mute()).collect();
    let endpoints = listeners.iter().map(|(_, address)| address.clone()).chain([etcd.url()]).collect();
    let health = now(health::ask(&StoreSettings::Etcd(EtcdSettings { members: endpoints, ..EtcdSettings::default() })));
    assert!(health.healthy, "{health:?}");
    assert_eq!(health.details["endpoint"], etcd.url());
}

#[test]
fn a_member_found_by_dns_is_verified_by_its_name() {
    let dir = temp_dir();
    let certs = Certs::new(dir.path(), &["m1.example.test"]);
    let etcd = Etcd::start_with(Options { certs: Some(certs.clone()), ..Options::default() });
    etcd.put("/a/x", "1");
    let dns = Dns::start();
    for name in ["m1.example.test.", "m2.example.test."] {
        dns.add_host(name);
    }
    dns.add_service("_etcd-client-ssl._tcp.right.test.", "m1.example.test.", etcd.port());
    dns.add_service("_etcd-client-ssl._tcp.wrong.test.", "m2.example.test.", etcd.port());
    let settings = |domain: &str| EtcdSettings {
        srv_domain: Some(domain.to_owned()),
        dns_server: Some(dns.address()),
        tls: Some(TlsSettings { ca: Some(certs.ca.clone()), ..TlsSettings::default() }),
        ..EtcdSettings::default()
    };
    check("the right name", settings("right.test"), None);
    check(
        "another name",
        settings("wrong.test"),
        Some(&["the server's certificate is for", "m1.example.test, not for m2.example.test"]),
    );
}
