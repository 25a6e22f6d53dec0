//! Each layout in common use, rules for whole lists, and hostile values: no address outside the grammar ever comes out.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::{
    Backend, BackendState, MAX_VALUE_BYTES, Options, Reason, Records, Subfolders, UnixSockets, WantedAddress, left_out,
};
use crate::model::key::Value;
use crate::nginx::quote::is_harmless;

/// The decoded keys of a folder.
#[derive(Debug, PartialEq)]
struct Decoded {
    backends: Vec<Backend>,
    skipped: Vec<(String, Reason)>,
}

fn decode(keys: &[(&str, &Value)], options: &Options) -> Decoded {
    let lookup = |wanted: &str| keys.iter().find(|(key, _)| *key == wanted).map(|(_, value)| *value);
    let mut records = Records::read("/s/", options.clone(), keys.iter().copied(), &lookup);
    let settled = records.settle(|backend| backend);
    Decoded { backends: settled.items, skipped: settled.skipped }
}

fn decoded(options: &Options, keys: &[(&str, &str)]) -> Decoded {
    let values: Vec<(&str, Value)> = keys.iter().map(|(key, value)| (*key, Value::from(*value))).collect();
    let keys: Vec<(&str, &Value)> = values.iter().map(|(key, value)| (*key, value)).collect();
    decode(&keys, options)
}

/// Formats a backend's name and the arguments of its `server` line.
fn line(backend: &Backend) -> String {
    let mut line = format!("{} {}", backend.name, backend.address);
    if backend.weight != 1 {
        line += &format!(" weight={}", backend.weight);
    }
    for (word, set) in [(" backup", backend.backup), (" down", backend.down)] {
        line += if set { word } else { "" };
    }
    if backend.state != BackendState::Up {
        line += &format!(" ({})", backend.state.word());
    }
    line
}

#[track_caller]
fn check_with(options: &Options, keys: &[(&str, &str)], expected: &[&str]) {
    let decoded = decoded(options, keys);
    let skipped = decoded.skipped.iter().map(|(key, reason)| format!("- {key}: {reason:?}"));
    let lines: Vec<String> = decoded.backends.iter().map(line).chain(skipped).collect();
    assert_eq!(lines, expected, "{keys:?}");
}

#[track_caller]
fn check(value: &str, expected: &str) {
    check_with(&Options::default(), &[("/s/a", value)], &[expected]);
}

#[test]
fn one_value_in_each_layout() {
    for (value, expected) in [
        ("10.0.0.1:80", "a 10.0.0.1:80"),
        (" 10.0.0.1:80\n", "a 10.0.0.1:80"),
        ("[2001:db8::1]:80", "a [2001:db8::1]:80"),
        ("10.0.0.1", "- /s/a: NoPort"),
        ("http://10.0.0.1", "a 10.0.0.1:80"),
        ("HTTPS://10.0.0.1/", "a 10.0.0.1:443"),
        ("https://[::1]:8443", "a [::1]:8443"),
        ("tcp://10.0.0.1:7", "a 10.0.0.1:7"),
        ("tcp://10.0.0.1", "- /s/a: NoPort"),
        ("ftp://10.0.0.1", "- /s/a: BadScheme"),
        ("http://10.0.0.1/x", "- /s/a: UrlTooMuch"),
        ("http://me@10.0.0.1", "- /s/a: UrlTooMuch"),
        ("http://unix:/x", "- /s/a: UrlTooMuch"),
        (r#"{"URL":"http://10.0.0.1:5000"}"#, "a 10.0.0.1:5000"),
        (r#"{"URL":7}"#, "- /s/a: BadMember(\"URL\")"),
        (r#"{"host":"10.0.0.1","port":80,"version":"52c7"}"#, "a 10.0.0.1:80"),
        (r#"{"host":"10.0.0.1","port":"80"}"#, "a 10.0.0.1:80"),
        (r#"{"host":"2001:db8::1","port":80}"#, "a [2001:db8::1]:80"),
        (
            r#"{"host":"10.0.0.1","port":80,"weight":50,"priority":10,"state":"up","owner":"x"}"#,
            "a 10.0.0.1:80 weight=50",
        ),
        (r#"{"host":"10.0.0.1","port":80,"weight":70000}"#, "a 10.0.0.1:80 weight=256"),
        (r#"{"host":"10.0.0.1","port":80,"weight":0}"#, "a 10.0.0.1:80"),
        (r#"{"host":"10.0.0.1","port":80,"weight":-1}"#, "- /s/a: BadMember(\"weight\")"),
        (r#"{"host":"10.0.0.1","port":80,"weight":1.5}"#, "- /s/a: BadMember(\"weight\")"),
        (r#"{"host":"10.0.0.1","port":80,"state":"asleep"}"#, "- /s/a: BadMember(\"state\")"),
        (r#"{"host":"10.0.0.1","port":80,"state":"down"}"#, "a 10.0.0.1:80 down (down)"),
        (r#"{"host":"10.0.0.1","port":80,"down":true}"#, "a 10.0.0.1:80 down"),
        (r#"{"host":"10.0.0.1","port":80,"backup":true}"#, "a 10.0.0.1:80"),
        (r#"{"host":"10.0.0.1","port":80,"max_fails":101}"#, "- /s/a: BadMember(\"max_fails\")"),
        (r#"{"host":"10.0.0.1","port":80,"fail_timeout":"0s"}"#, "- /s/a: BadMember(\"fail_timeout\")"),
        (r#"{"host":"10.0.0.1","port":80,"max_conns":65536}"#, "- /s/a: BadMember(\"max_conns\")"),
        (r#"{"host":"10.0.0.1","port":0}"#, "- /s/a: NoPort"),
        (r#"{"host":"10.0.0.1","port":0.0}"#, "- /s/a: BadPort"),
        (r#"{"host":"10.0.0.1","port":"0"}"#, "- /s/a: BadPort"),
        (r#"{"host":"10.0.0.1","port":80.5}"#, "- /s/a: BadPort"),
        (r#"{"host":"10.0.0.1"}"#, "- /s/a: NoPort"),
        (r#"{"host":"10.0.0.1:81","port":80}"#, "- /s/a: NoAddress"),
        (r#"{"host":"core-1","port":80}"#, "- /s/a: HostName"),
        (r#"{"port":80}"#, "- /s/a: NoMember(\"host\")"),
        (r#"{"host":7,"port":80}"#, "- /s/a: BadMember(\"host\")"),
        ("{", "- /s/a: BadJson"),
        ("{}", "- /s/a: NoPort"),
        ("[1]", "- /s/a: NoAddress"),
        ("", "- /s/a: NoAddress"),
    ] {
        check(value, expected);
    }
}

#[test]
fn port_0_is_no_port_and_a_final_dot_is_no_part_of_a_name_as_in_skydns() {
    let options = Options { port: Some(8080), hostnames: true, ..Options::default() };
    for (value, expected) in [
        (r#"{"host":"10.0.0.1","port":0}"#, "a 10.0.0.1:8080"),
        (r#"{"host":"10.0.0.1"}"#, "a 10.0.0.1:8080"),
        (r#"{"host":"Core-1.example.com.","port":0}"#, "a core-1.example.com:8080"),
        (r#"{"host":"core-1.example.com.","port":80}"#, "a core-1.example.com:80"),
    ] {
        check_with(&options, &[("/s/a", value)], &[expected]);
    }
}

#[test]
fn fleet_records_say_which_address() {
    const CLASSIC: &str =
        r#"{"host":"core-1","ipv4_private_addr":10.0.0.1,"ipv4_public_addr": 192.0.2.1 ,"port":8080}"#;
    let quoted = CLASSIC.replace("10.0.0.1", "\"10.0.0.1\"").replace("192.0.2.1", "\"192.0.2.1\"");
    for (wanted, hostnames, expected) in [
        (WantedAddress::Private, false, "a 10.0.0.1:8080"),
        (WantedAddress::Public, false, "a 192.0.2.1:8080"),
        (WantedAddress::Host, true, "a core-1:8080"),
        (WantedAddress::Host, false, "- /s/a: HostName"),
    ] {
        let options = Options { wanted, hostnames, ..Options::default() };
        for value in [CLASSIC, &quoted] {
            check_with(&options, &[("/s/a", value)], &[expected]);
        }
    }
    for (value, expected) in [
        (r#"{"host":"h","ipv4_addr":10.0.0.1,"port":80}"#, "a 10.0.0.1:80"),
        (
            r#"{"host":"h","ipv4_private_addr":,"ipv4_public_addr":192.0.2.1,"port":80}"#,
            "- /s/a: NoMember(\"ipv4_private_addr\")",
        ),
        (r#"{"host":"h","ipv4_private_addr":10.0.0.1;}}"#, "- /s/a: BadJson"),
        (r#"{"host":"h","ipv4_private_addr":10.0.0.256,"port":80}"#, "- /s/a: BadMember(\"ipv4_private_addr\")"),
        (r#"{"host":"a:1.2.3.4\":1.2.3.4","ipv4_private_addr":10.0.0.1,"port":80}"#, "a 10.0.0.1:80"),
    ] {
        check(value, expected);
    }
}

#[test]
fn layouts_of_several_keys() {
    let standard = Options::default();
    check_with(
        &standard,
        &[
            ("/s/web/host:web.1:8080", "10.0.0.2:80"),
            ("/s/t1/tags", "a,b"),
            ("/s/t1/url", "http://10.0.0.1:81"),
            ("/s/t1/weight", "7"),
            ("/s/t2/url", "http://10.0.0.1:82"),
            ("/s/t2/weight", "x"),
            ("/s/url", "10.0.0.3:80"),
            ("/s/weight", "3"),
        ],
        &[
            "t1 10.0.0.1:81 weight=7",
            "t2 10.0.0.1:82",
            "host:web.1:8080 10.0.0.2:80",
            "url 10.0.0.3:80",
            "- /s/t2/weight: BadMember(\"weight\")",
            "- /s/weight: NoAddress",
        ],
    );
    let flat = Options { subfolders: Subfolders::None, ..Options::default() };
    check_with(&flat, &[("/s/a", "10.0.0.1:80"), ("/s/b/c", "10.0.0.2:80"), ("/s/b/d", "no")], &["a 10.0.0.1:80"]);
}

#[test]
fn named_subfolders_are_read_and_what_options_leave_out_is_named() {
    let named = |names: &[&str]| Options {
        subfolders: Subfolders::Named(names.iter().map(|name| (*name).to_owned()).collect()),
        ..Options::default()
    };
    let keys = [("/s/a", "10.0.0.1:80"), ("/s/app/b", "10.0.0.2:80"), ("/s/app2/c", "10.0.0.3:80")];
    check_with(&named(&["app"]), &keys, &["a 10.0.0.1:80", "b 10.0.0.2:80"]);
    check_with(&named(&[]), &keys, &["a 10.0.0.1:80"]);
    check_with(&named(&["app2", "app"]), &keys, &["a 10.0.0.1:80", "b 10.0.0.2:80", "c 10.0.0.3:80"]);

    let check = |options: Options, expected: Option<&str>| {
        let values = [
            ("/s/app/b", Value::from("10.0.0.2:80")),
            ("/s/app/\u{1b}[31m\n", Value::from("SECRET")),
            ("/s/app/c", Value::from("SECRET")),
            ("/s/app/d", Value::from("SECRET")),
            ("/s/blue", Value::from(r#"{"host":"10.0.0.1","port":80,"group":"SECRET"}"#)),
            ("/s/leaving", Value::from(r#"{"host":"10.0.0.3","port":80,"state":"draining"}"#)),
        ];
        let keys = values.iter().map(|(key, value)| (*key, value));
        assert_eq!(left_out("/s/", &options, keys, &|_| None).as_deref(), expected);
    };
    let group = Some("green".to_owned());
    let subfolders = "leaves out 4 keys (/s/app/b, /s/app/\u{fffd}[31m\u{fffd}, /s/app/c, …)";
    let all = format!(
        "subfolders=false {subfolders}, group= leaves out 1 key (/s/blue), draining=false leaves out 1 key (/s/leaving)"
    );
    check(Options { subfolders: Subfolders::None, group: group.clone(), ..Options::default() }, Some(&all));
    check(Options { draining: true, ..named(&["x"]) }, Some(&format!("subfolders= {subfolders}")));
    check(Options { draining: true, ..Options::default() }, None);
}

#[test]
fn a_list_is_sorted_and_has_each_address_once() {
    let record = |more: &str| format!(r#"{{"host":"10.0.0.3","port":80{more}}}"#);
    check_with(
        &Options { unix: UnixSockets::Anywhere, hostnames: true, ..Options::default() },
        &[
            ("/s/a", "unix:/run/a"),
            ("/s/b", "b:80"),
            ("/s/c", "[::1]:80"),
            ("/s/d", "10.0.0.10:80"),
            ("/s/e", "10.0.0.9:8080"),
            ("/s/f", "10.0.0.9:800"),
            ("/s/g", "10.0.0.9:800"),
        ],
        &["f 10.0.0.9:800", "e 10.0.0.9:8080", "d 10.0.0.10:80", "c [::1]:80", "b b:80", "a unix:/run/a"],
    );
    check_with(
        &Options { draining: true, ..Options::default() },
        &[("/s/a", &record(r#","state":"draining""#)), ("/s/b", &record(""))],
        &["b 10.0.0.3:80"],
    );
    check_with(
        &Options { max: 1, ..Options::default() },
        &[("/s/a", "10.0.0.2:80"), ("/s/b", "10.0.0.1:80")],
        &["b 10.0.0.1:80", "- /s/a: TooMany(1)"],
    );
}

#[test]
fn priorities_weights_groups_and_draining() {
    let keys: &[(&str, &str)] = &[
        ("/s/a", r#"{"host":"10.0.0.1","port":80,"priority":20,"group":"g"}"#),
        ("/s/b", r#"{"host":"10.0.0.2","port":80,"weight":50}"#),
        ("/s/c", r#"{"host":"10.0.0.3","port":80,"state":"draining","group":"h"}"#),
    ];
    let of_all = ["a 10.0.0.1:80 weight=100 backup", "b 10.0.0.2:80 weight=50"];
    check_with(&Options::default(), keys, &of_all);
    let draining = Options { draining: true, ..Options::default() };
    check_with(&draining, keys, &[of_all[0], of_all[1], "c 10.0.0.3:80 weight=100 down (draining)"]);
    let group = Options { draining: true, group: Some("g".to_owned()), ..Options::default() };
    check_with(&group, keys, &of_all);
}

#[test]
fn keys_that_cannot_be_decoded_are_skipped() {
    let (binary, long) = (Value::from_bytes(b"10.0.0.1:80\xff"), Value::from(" ".repeat(5000).as_str()));
    let fine = Value::from("10.0.0.1:80");
    let decoded = decode(&[("/s/a;", &fine), ("/s/b", &binary), ("/s/c", &long)], &Options::default());
    let reasons: Vec<Reason> = decoded.skipped.into_iter().map(|(_, reason)| reason).collect();
    assert_eq!((decoded.backends, reasons), (vec![], vec![Reason::BadName, Reason::NotText, Reason::TooLong]));
    assert_eq!(MAX_VALUE_BYTES, 4096);
}

const HOSTILE: &[&str] = &[
    "127.0.0.1:80; server 10.0.0.9:80",
    "127.0.0.1:80; } server { listen 1; return 200 pwn; } upstream z { server 127.0.0.1:1",
    "unix:/var/run/docker.sock;",
    "unix:/run/../etc/x",
    "localhost weight=9",
    "127.0.0.1:80 weight=99999999999",
    "127.0.0.1:0",
    ":99999",
    "::1:80",
    "${host}:80",
    "10.0.0.1:80\\",
    "10.0.0.1\0:80",
    "10.0.0.1:80\nserver 10.0.0.9:80",
    "１０.0.0.1:80",
    "10.0.0.1:８０",
    "ü.example:80",
    "a\u{202e}b:80",
    "#:80",
    "'10.0.0.1':80",
    "\"10.0.0.1\":80",
    "[::1%eth0]:80",
    "[::1]]:80",
];

/// Returns options with everything enabled.
fn open() -> Options {
    Options { hostnames: true, unix: UnixSockets::Anywhere, port: Some(80), draining: true, ..Options::default() }
}

/// Whether the text is an address, by an independent reading of the grammar.
fn is_address(text: &str) -> bool {
    if let Some(path) = text.strip_prefix("unix:/") {
        return path.chars().all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c)) && !path.contains("..");
    }
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let name =
        || !host.is_empty() && host.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c));
    let is_host = match inner {
        Some(ip) => ip.parse::<Ipv6Addr>().is_ok_and(|parsed| parsed.to_string() == ip),
        None => host.parse::<Ipv4Addr>().is_ok() || name(),
    };
    is_host && port.parse::<u16>().is_ok_and(|parsed| parsed > 0 && parsed.to_string() == port)
}

fn all_are_addresses(decoded: &Decoded) -> Result<(), String> {
    for backend in &decoded.backends {
        let address = backend.address.to_string();
        let fields = (1..=256).contains(&backend.weight) && backend.max_fails <= 100 && backend.fail_timeout <= 3600;
        let plain =
            [&address, &backend.name, &backend.key, &backend.address.host()].iter().all(|text| is_harmless(text));
        if !is_address(&address) || !fields || !plain {
            return Err(address);
        }
    }
    Ok(())
}

#[test]
fn hostile_text_in_any_field_is_no_backend() {
    let long = "1".repeat(5000);
    let quote = |text: &str| serde_json::to_string(text).unwrap();
    for text in HOSTILE.iter().copied().chain([long.as_str()]) {
        let json = quote(text);
        for value in [
            text.to_owned(),
            format!("http://{text}"),
            format!("unix:/run/{text}"),
            format!("{{\"host\":{json},\"port\":80}}"),
            format!("{{\"host\":\"10.0.0.1\",\"port\":{json}}}"),
            format!("{{\"host\":\"h\",\"ipv4_private_addr\":{json},\"port\":80}}"),
            format!("{{\"host\":\"h\",\"ipv4_private_addr\":{text},\"port\":80}}"),
            format!("{{\"URL\":{}}}", quote(&format!("http://{text}"))),
            format!("{{\"host\":\"10.0.0.1\",\"port\":80,\"weight\":{json}}}"),
            format!("{{\"host\":\"10.0.0.1\",\"port\":80,\"state\":{json}}}"),
            format!("{{\"host\":\"10.0.0.1\",\"port\":80,\"fail_timeout\":{json}}}"),
        ] {
            let decoded = decoded(&open(), &[("/s/a", &value)]);
            // `::1:80` is the only text here that is an address: bare IPv6, with the default port.
            let v6 = text == "::1:80" && decoded.backends.iter().all(|b| b.address.to_string() == "[::1:80]:80");
            assert!(decoded.backends.is_empty() || v6, "{value:?} {decoded:?}");
        }
        let bad_name = decoded(&open(), &[(format!("/s/{text}").as_str(), "10.0.0.1:80")]);
        assert_eq!(all_are_addresses(&bad_name), Ok(()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_address_outside_the_grammar(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..14), any in ".{0,4}") {
        let text: String = pieces.concat();
        for value in [text.clone(), format!("{text}{any}"), format!("{{\"host\":{text},\"port\":80}}"), format!("{{\"host\":\"{text}\",\"port\":80}}")] {
            let decoded = decoded(&open(), &[("/s/a", &value), ("/s/good", "192.0.2.1:1")]);
            prop_assert_eq!(all_are_addresses(&decoded), Ok(()), "{:?}", value);
            prop_assert!(decoded.backends.iter().any(|backend| backend.key == "/s/good" || backend.address.to_string() == "192.0.2.1:1"));
        }
    }
}

const PIECES: &[&str] = &[
    "10.0.0.1",
    "192.0.2.1",
    "::1",
    "[",
    "]",
    ":",
    "80",
    "0",
    ".",
    "-",
    "a",
    "B",
    "unix:",
    "/",
    "http://",
    "{",
    "}",
    "\"",
    ",",
    ";",
    " ",
    "\n",
    "\0",
    "$",
    "\\",
    "#",
    "'",
    "%",
    "@",
    "ü",
    "65536",
    "host",
    "ipv4_addr",
    "port",
    "URL",
    "weight",
    "null",
    "\"host\":\"",
];
