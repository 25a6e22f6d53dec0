//! Tables of accepted texts, and of refused texts with their messages.

use super::*;
use crate::model::service::{Address, Check, CheckTls, HttpCheck};

fn flags(pairs: &[(&'static str, &str)]) -> Result<Service, Problems> {
    let mut flags: BTreeMap<&'static str, String> =
        [("name", "web".to_owned()), ("address", "10.0.0.5:8080".to_owned())].into();
    flags.extend(pairs.iter().map(|(name, text)| (*name, (*text).to_owned())));
    parse_flags(&flags)
}

#[track_caller]
fn refused(pairs: &[(&'static str, &str)], expected: &str) {
    let problems = flags(pairs).expect_err(expected);
    assert!(problems.to_string().contains(expected), "{pairs:?}:\n{problems}");
}

#[test]
fn name_and_address_are_enough() {
    let service = flags(&[]).unwrap();
    assert_eq!((service.rules.interval, service.timeout), (Duration::from_secs(5), Duration::from_secs(2)));
    assert_eq!((service.rules.rise, service.rules.fall, service.ttl_seconds), (2, 3, 15));
    assert_eq!((service.layout, service.check), (Layout::Upstreamd, Check::Tcp));
    let problems = parse_flags(&BTreeMap::new()).unwrap_err();
    assert!(
        problems.to_string().contains("--name: is missing") && problems.to_string().contains("--address: is missing")
    );
}

#[test]
fn addresses_are_host_and_port() {
    let given = |host: &str, port| Address::Given(host.to_owned(), port);
    for (text, expected) in [
        ("10.0.0.5:80", given("10.0.0.5", 80)),
        ("[2001:DB8::5]:80", given("2001:db8::5", 80)),
        ("Web-1.example.com:80", given("web-1.example.com", 80)),
        ("127.0.0.1:65535", given("127.0.0.1", 65535)),
        ("auto:8080", Address::Auto(8080)),
    ] {
        assert_eq!(flags(&[("address", text)]).map(|service| service.address), Ok(expected), "{text}");
    }
    for text in [
        "10.0.0.5",
        "10.0.0.5:",
        "10.0.0.5:0",
        "10.0.0.5:080",
        "10.0.0.5:+80",
        ":80",
        "2001:db8::5:80",
        "10.0.0.5:80/x",
        "10.0.0.5:80 ",
        "10.0.5:80",
        "a b:80",
        "we_b:80",
        "http://a:80",
        "[10.0.0.5]:80",
        "../x:80",
    ] {
        refused(&[("address", text)], "--address: ");
        refused(&[("address", text)], "is not host:port");
    }
    refused(&[("address", "127.0.0.1:99999")], "the port of `127.0.0.1:99999` is too large");
    refused(&[("address", "auto:65536")], "hint: a port is a number from 1 to 65535");
    let url = "http://127.0.0.1:99999/up?a=b:1";
    refused(&[("address", "10.0.0.5:80"), ("check", url)], &format!("the port of `{url}` is too large"));
    refused(&[("address", "0.0.0.0:80")], "hint: auto:80 is the address that leads to etcd");
    refused(&[("address", "[::]:80")], "not an address that other machines can reach");
    refused(&[("address", "224.0.0.1:80")], "not the address of a single machine");
    refused(&[("address", "auto")], "`auto` has no port");
    let http = flags(&[("address", "auto"), ("check", "http://127.0.0.1:8081/")]).unwrap();
    assert_eq!(http.address, Address::Auto(8081));
}

#[test]
fn what_would_leave_its_place_in_the_store_is_refused() {
    for text in ["a/b", "..", ".", ".a", "a b", "a\n", "é", "a;b", "a$b", "", "/", "a\0", &"x".repeat(201)] {
        for property in ["name", "id"] {
            // An empty text is unset: the name is then missing, the id the default.
            if !(text.is_empty() && property == "id") {
                refused(&[(property, text)], &format!("--{property}: "));
            }
        }
    }
    refused(&[("name", "a:b")], "`a:b` contains `:`");
    assert_eq!(flags(&[("id", "core-1:web:8080")]).unwrap().id.as_deref(), Some("core-1:web:8080"));
    refused(&[("layout", "skydns"), ("name", "we_b")], "not a DNS name");
    refused(&[("layout", "skydns"), ("name", "a..b")], "not a DNS name");
    refused(&[("layout", "skydns"), ("id", "a:b")], "not a part of a DNS name");
    refused(&[("layout", "sidekick"), ("id", "a")], "layout sidekick has no ids");
    refused(&[("layout", "sidekick"), ("address", "[::1]:80")], "not an IPv4 address");
    refused(&[("layout", "plian")], "did you mean `plain`?");
}

#[test]
fn checks_come_in_their_kinds() {
    let http = |host: &str, port, path: &str, tls| {
        let (host, path) = (host.to_owned(), path.to_owned());
        Check::Http(HttpCheck { host, port, path, status: (200, 399), body: None, tls })
    };
    let tls = || Some(CheckTls::default());
    for (text, expected) in [
        ("tcp", Check::Tcp),
        ("h2", Check::Http2 { tls: tls() }),
        ("h2c", Check::Http2 { tls: None }),
        ("exec:test -e /run/ready", Check::Exec("test -e /run/ready".to_owned())),
        ("http://127.0.0.1:8080/healthz?a=b", http("127.0.0.1", 8080, "/healthz?a=b", None)),
        ("http://web", http("web", 80, "/", None)),
        ("https://web.example.com?x", http("web.example.com", 443, "/?x", tls())),
        ("https://[::1]:8443/", http("::1", 8443, "/", tls())),
    ] {
        assert_eq!(flags(&[("check", text)]).map(|service| service.check), Ok(expected), "{text}");
    }
    for text in [
        "",
        "udp",
        "http:/a",
        "ftp://a/",
        "http://",
        "http://user:pw@a/",
        "http://a/ b",
        "http://a/#b",
        "http://a:0/",
        "exec:",
        "exec: ",
    ] {
        if !text.is_empty() {
            refused(&[("check", text)], "--check: ");
        }
    }
    let full =
        flags(&[("check", "https://a/"), ("check_status", "204"), ("check_body", "ok"), ("check_ca", "/ca.pem")]);
    let Check::Http(check) = full.unwrap().check else { panic!("no HTTP check") };
    assert_eq!((check.status, check.body.as_deref()), ((204, 204), Some("ok")));
    assert_eq!(check.tls, Some(CheckTls { ca: Some("/ca.pem".into()), insecure: false }));
    refused(&[("check_body", "ok")], "--check-body: does not go with this check");
    refused(&[("check", "http://a/"), ("check_insecure", "true")], "--check-insecure: does not go");
    refused(&[("check", "h2"), ("check_insecure", "true"), ("check_ca", "/ca.pem")], "leave one of the two out");
    refused(&[("check", "http://a/"), ("check_status", "399-200")], "is not a list of HTTP statuses");
}

#[test]
fn times_must_fit_together() {
    refused(&[("timeout", "5s")], "--timeout: 5s is not less than the interval of 5s");
    refused(&[("interval", "1s")], "--timeout: 2s is not less than the interval of 1s");
    refused(&[("ttl", "14s")], "--ttl: 14s is less than three intervals of 5s");
    refused(&[("ttl", "15500ms")], "not a whole number of seconds");
    refused(&[("ttl", "25h")], "is longer than a day");
    refused(&[("interval", "0s")], "--interval: must be more than 0");
    refused(&[("interval", "5")], "has no unit");
    refused(&[("rise", "0")], "--rise: `0` is not a number from 1 to 100");
    refused(&[("weight", "257")], "not a number from 1 to 256");
    let quick = flags(&[("interval", "500ms"), ("timeout", "200ms"), ("ttl", "2s")]).unwrap();
    assert_eq!(quick.ttl_seconds, 2);
}

#[test]
fn files_have_the_flags_names_as_keys() {
    let text = "[[service]]\nname = \"web\"\naddress = \"10.0.0.5:8080\"\nrise = 1\nttl = \"30s\"\n\n\
                [[service]]\nname = \"db\"\naddress = \"10.0.0.5:5432\"\ncheck-status = \"200\"\ncheck = \"http://10.0.0.5/\"\n";
    let services = parse_file(Path::new("a.toml"), text).unwrap();
    let names: Vec<(&str, u32)> =
        services.iter().map(|placed| (placed.service.name.as_str(), placed.service.rules.rise)).collect();
    assert_eq!(names, [("web", 1), ("db", 2)]);
    assert_eq!(services[1].place.to_string(), "a.toml:7:1");
    assert_eq!(parse_file(Path::new("a.toml"), "# nothing yet\n").map(|services| services.len()), Ok(0));
}

#[test]
fn every_problem_of_a_file_is_reported_with_its_place() {
    let text =
        "[[service]]\nname = \"a/b\"\naddress = \"10.0.0.5\"\nttl = 15\ninterwal = \"5s\"\n\n[[service]]\nrise = [1]\n";
    let problems = parse_file(Path::new("a.toml"), text).unwrap_err().to_string();
    for expected in [
        "a.toml:2:8: name: `a/b` contains `/`",
        "a.toml:3:11: address: `10.0.0.5` is not host:port",
        "a.toml:4:7: ttl: duration `15` has no unit",
        "a.toml:5:1: unknown field of [[service]]: `interwal`",
        "hint: did you mean `interval`?",
        "a.toml:7:1: name: is missing",
        "a.toml:8:8: `rise` must be a string, found an array",
    ] {
        assert!(problems.contains(expected), "no {expected:?} in:\n{problems}");
    }
    let table = parse_file(Path::new("a.toml"), "[service]\nname = \"web\"\n").unwrap_err().to_string();
    assert!(table.contains("hint: write [[service]]"), "{table}");
    let other = parse_file(Path::new("a.toml"), "[[services]]\n").unwrap_err().to_string();
    assert!(other.contains("did you mean `service`?"), "{other}");
}
