//! TLS to etcd, certificate by certificate: those that Go accepts, hence confd, and those that nobody may accept.
//! etcdctl, which is a Go program, has to agree with each verdict.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{ServerConfig, ServerConnection};
use upstreamd::model::store::{EtcdSettings, StoreSettings, TlsSettings};

use super::follower::Follower;
use crate::support::certs::Certs;
use crate::support::etcd::{Etcd, Options};
use crate::support::openssl::{AUTHORITY, AUTHORITY_AND_SERVER, CLIENTS_ONLY, OTHER_NAME, Openssl, Pair, SERVER};
use crate::support::temp_dir;

/// Follows `/a` over TLS and expects to see the key, or a problem that has all of the words.
#[track_caller]
fn check(what: &str, url: String, tls: TlsSettings, problem: Option<&[&str]>) {
    let settings = EtcdSettings {
        members: vec![url],
        tls: Some(tls),
        dial_timeout: Duration::from_secs(20),
        ..EtcdSettings::default()
    };
    let follower = Follower::start(StoreSettings::Etcd(settings), &["/a"]);
    match problem {
        None => {
            follower.wait(what, |seen| seen.lost > 0 || seen.snapshots > 0);
            assert_eq!(follower.seen_problems(), Vec::<String>::new(), "{what}");
            follower.wait_value("/a/x", Some("1"));
        }
        Some(words) => {
            follower.wait(what, |seen| seen.lost > 0 || seen.snapshots > 0);
            let problems = follower.seen_problems();
            let found = problems.first().unwrap_or_else(|| panic!("{what}: accepted"));
            assert!(words.iter().all(|word| found.contains(word)), "{what}: {found}");
        }
    }
}

/// Whether etcdctl accepts the server by this CA file.
fn go_accepts(etcd: &Etcd, ca: &Path, expected: bool) -> bool {
    let limit = if expected { "20s" } else { "1s" };
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").args(["get", "/a/x", "--command-timeout", limit, "--dial-timeout", limit]);
    command.arg(format!("--endpoints={}", etcd.url())).arg(format!("--cacert={}", ca.display()));
    command.output().unwrap().status.success()
}

/// An etcd whose certificate can be replaced: it reads the files for every connection.
struct Server {
    etcd: Etcd,
    files: Certs,
}

impl Server {
    fn start(folder: &Path) -> Server {
        let files = Certs::new(folder, &[]);
        let etcd = Etcd::start_with(Options { certs: Some(files.clone()), ..Options::default() });
        etcd.put("/a/x", "1");
        Server { etcd, files }
    }

    fn show(&self, chain: &[&Pair]) {
        let pem: String = chain.iter().map(|pair| fs::read_to_string(&pair.cert).unwrap()).collect();
        fs::write(&self.files.server_cert, pem).unwrap();
        fs::copy(&chain[0].key, &self.files.server_key).unwrap();
    }

    /// Expects a server with this chain to be accepted by the CA file, or refused with these words, and etcdctl to do the
    /// same. Without verification, it is accepted.
    #[track_caller]
    fn check(&self, what: &str, chain: &[&Pair], ca: &Path, problem: Option<&[&str]>) {
        self.check_alone(what, chain, ca, problem);
        assert_eq!(go_accepts(&self.etcd, ca, problem.is_none()), problem.is_none(), "Go, {what}");
    }

    #[track_caller]
    fn check_alone(&self, what: &str, chain: &[&Pair], ca: &Path, problem: Option<&[&str]>) {
        self.show(chain);
        check(what, self.etcd.url(), TlsSettings { ca: Some(ca.to_owned()), ..TlsSettings::default() }, problem);
        let insecure = TlsSettings { insecure: true, ..TlsSettings::default() };
        check(&format!("{what}, without verification"), self.etcd.url(), insecure, None);
    }
}

#[test]
fn a_server_certificate_that_go_accepts_is_accepted() {
    let folder = temp_dir();
    let openssl = Openssl::new(folder.path());
    let server = Server::start(folder.path());
    let accept = |what: &str, chain: &[&Pair], ca: &Pair| server.check(what, chain, &ca.cert, None);
    for kind in ["P-256", "P-384", "P-521", "rsa:2048"] {
        let pair = openssl.own("own", "own", kind, AUTHORITY_AND_SERVER);
        accept(&format!("its own CA, {kind}"), &[&pair], &pair);
        let pair = openssl.own("own", "own", kind, SERVER);
        accept(&format!("self-signed and no CA, {kind}"), &[&pair], &pair);
    }
    for (kind, hash) in [("P-521", "-sha256"), ("P-521", "-sha384"), ("P-521", "-sha512"), ("P-256", "-sha384")] {
        let root = openssl.own("root", "root", kind, AUTHORITY);
        let leaf = openssl.signed("leaf", kind, &root, Some(SERVER), hash);
        accept(&format!("signed by a CA, {kind} {hash}"), &[&leaf], &root);
        accept(&format!("its own certificate as the CA file, {kind} {hash}"), &[&leaf], &leaf);
        let leaf = openssl.signed("leaf", kind, &root, Some(AUTHORITY_AND_SERVER), hash);
        accept(&format!("a CA itself, signed by a CA, {kind} {hash}"), &[&leaf], &root);
    }
    let root = openssl.own("root", "root", "P-521", AUTHORITY);
    let middle = openssl.signed("middle", "P-256", &root, Some(AUTHORITY), "");
    let leaf = openssl.signed("leaf", "P-521", &middle, Some(SERVER), "");
    accept("signed by an intermediate that is sent along", &[&leaf, &middle], &root);
    accept("signed by an intermediate that is the CA file", &[&leaf], &middle);
    let old = openssl.own("old", "old", "P-256", AUTHORITY);
    let first_version = openssl.signed("first", "P-256", &old, None, "");
    assert!(openssl.text(&first_version).contains("Version: 1 "), "openssl makes version 1 of what has no extensions");
    let leaf = openssl.signed("leaf", "P-256", &first_version, Some(SERVER), "");
    accept("a CA of version 1", &[&leaf], &first_version);
    let both = folder.path().join("both.pem");
    fs::write(&both, [fs::read(&old.cert).unwrap(), fs::read(&leaf.cert).unwrap()].concat()).unwrap();
    server.check("its own certificate among others", &[&leaf], &both, None);
}

#[test]
fn a_server_certificate_that_proves_nothing_is_refused() {
    let folder = temp_dir();
    let openssl = Openssl::new(folder.path());
    let server = Server::start(folder.path());
    let refuse =
        |what: &str, chain: &[&Pair], ca: &Pair, words: &[&str]| server.check(what, chain, &ca.cert, Some(words));
    let root = openssl.own("root", "root", "P-256", AUTHORITY);
    let named = openssl.signed("named", "P-256", &root, Some(OTHER_NAME), "");
    let words = ["the server's certificate is for other.example, not for 127.0.0.1; use one of its names"];
    refuse("a wrong name", &[&named], &root, &words);
    refuse("a wrong name in the CA file", &[&named], &named, &words);
    let expired = openssl.signed("expired", "P-256", &root, Some(SERVER), "-days -1");
    refuse("expired", &[&expired], &root, &["the server's certificate expired on 20", "; renew it"]);
    refuse("expired, in the CA file", &[&expired], &expired, &["the server's certificate expired on 20"]);
    let clients = openssl.signed("clients", "P-256", &root, Some(CLIENTS_ONLY), "");
    refuse("for clients", &[&clients], &root, &["the server's certificate is not for servers"]);
    refuse("for clients, in the CA file", &[&clients], &clients, &["the server's certificate is not for servers"]);
    let leaf = openssl.signed("leaf", "P-256", &root, Some(SERVER), "");
    let other = openssl.own("other", "other", "P-256", AUTHORITY);
    let words =
        ["is signed by \"root\", which is not among the certificates of the CA file", "other.pem", "set a CA file"];
    refuse("an unknown CA", &[&leaf], &other, &words);
    let twin = openssl.own("twin", "root", "P-256", AUTHORITY);
    refuse("a CA of the same name with a different key", &[&leaf], &twin, &["the server's certificate", "\"root\""]);
    let authority = openssl.signed("authority", "P-256", &root, Some(AUTHORITY_AND_SERVER), "");
    refuse("a CA itself, of an unknown CA", &[&authority], &other, &["is signed by \"root\", which is not among"]);
    refuse(
        "a CA itself, of a CA of the same name",
        &[&authority],
        &twin,
        &["is signed by \"root\", which is not among"],
    );
    let middle = openssl.signed("middle", "P-256", &root, Some(AUTHORITY), "");
    let below = openssl.signed("below", "P-256", &middle, Some(SERVER), "");
    refuse(
        "a broken chain",
        &[&below],
        &root,
        &["is signed by \"middle\"", "nor does an intermediate certificate lead"],
    );
    let pinned = openssl.own("pinned", "pinned", "P-256", SERVER);
    let forged = openssl.signed("forged", "P-256", &pinned, Some(SERVER), "");
    let words = ["is signed by \"pinned\"", "left out: \"pinned\", which is no CA (CA:TRUE)"];
    refuse("signed by a server whose certificate is the CA file", &[&forged], &pinned, &words);
    let same = openssl.own("same", "pinned", "P-256", SERVER);
    refuse("the same names as that in the CA file, with a different key", &[&same], &pinned, &words);
    let first_version = openssl.signed("first", "P-256", &root, None, "");
    refuse("version 1", &[&first_version], &root, &["names no server", "no subjectAltName"]);
    refuse("version 1, in the CA file", &[&first_version], &first_version, &["names no server", "no subjectAltName"]);
    let old = openssl.signed("old", "P-256", &root, Some(AUTHORITY), "-days -1");
    let below_old = openssl.signed("below_old", "P-256", &old, Some(SERVER), "");
    refuse("an expired CA", &[&below_old], &old, &["left out: \"old\", which expired on 20"]);
    refuse(
        "an expired intermediate",
        &[&below_old, &old],
        &root,
        &["an intermediate certificate of the server expired on"],
    );
}

#[test]
fn a_server_without_the_key_of_its_certificate_is_refused() {
    let folder = temp_dir();
    let openssl = Openssl::new(folder.path());
    for kind in ["P-256", "P-521"] {
        let own = openssl.own("own", "own", kind, AUTHORITY_AND_SERVER);
        let other = openssl.own("other", "other", "P-256", AUTHORITY_AND_SERVER);
        let url = impostor(&own, &other);
        let tls = TlsSettings { ca: Some(own.cert.clone()), ..TlsSettings::default() };
        check(kind, url, tls, Some(&["https://127.0.0.1:"]));
    }
    let own = openssl.own("own", "own", "P-256", AUTHORITY_AND_SERVER);
    let other = openssl.own("other", "other", "P-256", AUTHORITY_AND_SERVER);
    let tls = TlsSettings { ca: Some(own.cert.clone()), ..TlsSettings::default() };
    let words = ["the server does not hold the key of the certificate that it shows"];
    check("the same curve", impostor(&own, &other), tls, Some(&words));
}

/// Where a server listens that shows the certificate of `shown` and signs with the key of `held`, until the tests end.
fn impostor(shown: &Pair, held: &Pair) -> String {
    let provider = ring::default_provider();
    let cert = CertificateDer::from_pem_file(&shown.cert).unwrap();
    let key = provider.key_provider.load_private_key(PrivateKeyDer::from_pem_file(&held.key).unwrap()).unwrap();
    let own = SingleCertAndKey::from(CertifiedKey::new(vec![cert], key));
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(own));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut connection = ServerConnection::new(Arc::new(config.clone())).unwrap();
            while connection.is_handshaking() && connection.complete_io(&mut stream.as_ref().unwrap()).is_ok() {}
        }
    });
    url
}

#[test]
fn short_rsa_keys_are_refused_with_the_owner() {
    let folder = temp_dir();
    let openssl = Openssl::new(folder.path());
    let server = Server::start(folder.path());
    let root = openssl.own("root", "root", "P-256", AUTHORITY);
    let leaf = openssl.signed("leaf", "rsa:1024", &root, Some(SERVER), "");
    let words = ["the server's certificate has an RSA key of 1024 bits, and fewer than 2048 are not accepted"];
    // Go of 2022 accepts them, so etcdctl is not asked.
    server.check_alone("the server's", &[&leaf], &root.cert, Some(&words));
    let short = openssl.own("short", "short", "rsa:1024", AUTHORITY);
    let below = openssl.signed("below", "P-256", &short, Some(SERVER), "");
    let words = ["short.pem", "left out: \"short\", which has an RSA key of 1024 bits"];
    server.check_alone("the CA file's", &[&below], &short.cert, Some(&words));
    let middle = openssl.signed("middle", "rsa:1024", &root, Some(AUTHORITY), "");
    let below = openssl.signed("below", "P-256", &middle, Some(SERVER), "");
    let words = ["an intermediate certificate of the server has an RSA key of 1024 bits"];
    server.check_alone("an intermediate's", &[&below, &middle], &root.cert, Some(&words));
}

#[test]
fn etcd_with_a_certificate_of_its_own_making_is_followed() {
    let etcd = Etcd::start_with(Options { auto_tls: true, ..Options::default() });
    etcd.put("/a/x", "1");
    check("any certificate", etcd.url(), TlsSettings { insecure: true, ..TlsSettings::default() }, None);
    let own = TlsSettings { ca: Some(etcd.own_certificate()), ..TlsSettings::default() };
    check("that certificate", etcd.url(), own, None);
    check(
        "the system's authorities",
        etcd.url(),
        TlsSettings::default(),
        Some(&["the system's certificate authorities"]),
    );
}

#[test]
fn a_client_certificate_of_every_kind_is_shown() {
    let folder = temp_dir();
    let openssl = Openssl::new(folder.path());
    let files = Certs::new(folder.path(), &[]);
    let options = Options { certs: Some(files.clone()), needs_client_cert: true, ..Options::default() };
    let etcd = Etcd::start_with(options);
    etcd.put("/a/x", "1");
    let root = Pair { cert: files.ca.clone(), key: folder.path().join("ca.key") };
    let show = |what: &str, own: Option<(&PathBuf, &PathBuf)>, problem: Option<&[&str]>| {
        let (cert, key) = (own.map(|own| own.0.clone()), own.map(|own| own.1.clone()));
        check(what, etcd.url(), TlsSettings { ca: Some(files.ca.clone()), cert, key, insecure: false }, problem);
    };
    for kind in ["P-256", "P-384", "P-521", "rsa:2048"] {
        for (version, section) in [(1, None), (3, Some(SERVER))] {
            let own = openssl.signed("own", kind, &root, section, "");
            assert!(openssl.text(&own).contains(&format!("Version: {version} ")));
            show(&format!("{kind}, version {version}"), Some((&own.cert, &own.key)), None);
        }
    }
    let own = openssl.signed("own", "P-521", &root, None, "");
    show("P-521 as SEC1", Some((&own.cert, &openssl.sec1("own"))), None);
    let other = openssl.signed("other", "P-521", &root, None, "");
    let words = ["other.key is not the key of the client certificate", "own.pem"];
    show("a key of a different certificate", Some((&own.cert, &other.key)), Some(&words));
    let short = openssl.signed("short", "rsa:1024", &root, None, "");
    let words =
        ["the client certificate", "short.pem has an RSA key of 1024 bits, and fewer than 2048 are not accepted"];
    show("a short RSA key", Some((&short.cert, &short.key)), Some(&words));
    let unknown = openssl.own("unknown", "unknown", "P-256", SERVER);
    // Whether the server's reason arrives before the end of the connection is up to the network.
    show(
        "a certificate that the server does not know",
        Some((&unknown.cert, &unknown.key)),
        Some(&["https://127.0.0.1:"]),
    );
    show("none", None, Some(&["https://127.0.0.1:"]));
}
