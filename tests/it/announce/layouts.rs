//! Every layout, written by the announcer into etcd and read back through `backends()`; SkyDNS's also as SkyDNS reads it.

use serde_json::Value;

use super::{Backend, Entry, World};
use crate::support::template::table;

/// Announces `web` in a layout and gives its key as it is in etcd, and what `backends()` makes of its folder.
#[track_caller]
fn announced(layout: &str, more: &[&str], folder: &str) -> (Entry, String, u16) {
    let mut world = World::new();
    let backend = Backend::silent();
    let _announcer =
        world.announce(&[&["--name", "web", "--address", &backend.address(), "--layout", layout], more].concat());
    let entry = world.wait_one("/");
    world.sandbox.template(
        "read.tera",
        &format!(
            "{{% for backend in backends(prefix=\"{folder}\") %}}{{{{ backend.address }}}} {{{{ backend.weight }}}} \
             {{{{ backend.backup }}}}{{% endfor %}}"
        ),
    );
    let dest = world.sandbox.text_path("out/read");
    world.sandbox.resource("read", &table("read.tera", &dest).keys(&[folder]));
    let read = world.sandbox.run(&["render", "read", "--log-level", "warn"]).expect_code(0);
    assert_eq!(read.stderr, "", "a key was skipped");
    (entry, read.stdout, backend.port)
}

fn host_name() -> String {
    nix::unistd::gethostname().unwrap().into_string().unwrap()
}

#[track_caller]
fn check(layout: &str, more: &[&str], folder: &str, key: &str, expected: &str) -> Value {
    let (entry, read, port) = announced(layout, more, folder);
    let fill = |text: &str| text.replace("HOST", &host_name()).replace("PORT", &port.to_string());
    assert_eq!(entry.key, fill(key));
    assert_eq!(read, fill(expected));
    serde_json::from_str(&entry.value).unwrap_or_else(|_| Value::String(entry.value.clone()))
}

#[test]
fn our_own_layout_says_everything() {
    let more = &["--weight", "7", "--priority", "3", "--service-version", "1.4.2"];
    let value = check("upstreamd", more, "/services/web", "/services/web/HOST:web:PORT", "127.0.0.1:PORT 7 false");
    let members: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["host", "port", "weight", "priority", "state", "version", "owner"]);
    assert_eq!((&value["version"], &value["state"]), (&Value::from("1.4.2"), &Value::from("up")));
}

#[test]
fn the_sidekicks_layout_has_the_classic_fields_as_valid_json() {
    let value = check("sidekick", &[], "/services", "/services/webPORT", "127.0.0.1:PORT 1 false");
    let members: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["host", "ipv4_private_addr", "ipv4_public_addr", "port"]);
}

#[test]
fn plain_and_registrator_are_an_address() {
    check("plain", &["--id", "a"], "/services/web", "/services/web/a", "127.0.0.1:PORT 1 false");
    check("registrator", &[], "/services/web", "/services/web/HOST:web:PORT", "127.0.0.1:PORT 1 false");
}

#[test]
fn vulcands_is_a_url() {
    let folder = "/vulcand/backends/web/servers";
    let value = check("vulcand", &["--id", "a"], folder, "/vulcand/backends/web/servers/a", "127.0.0.1:PORT 1 false");
    assert!(value["URL"].as_str().unwrap().starts_with("http://127.0.0.1:"));
}

/// A record as SkyDNS's `msg.Service` and CoreDNS's etcd plugin declare it: a value of a different type fails the whole answer.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct SkyDnsRecord {
    host: String,
    port: i64,
    priority: i64,
    weight: i64,
    text: String,
    mail: bool,
    ttl: u32,
    targetstrip: i64,
    group: String,
}

/// The DNS name that SkyDNS makes of a key: the parts below `/skydns` from last to first.
fn sky_dns_name(key: &str) -> String {
    let parts: Vec<&str> = key.strip_prefix("/skydns/").unwrap().rsplit('/').collect();
    parts.join(".")
}

#[test]
fn sky_dns_reads_a_name_and_a_record() {
    let folder = "/skydns/com/example/web";
    let more = &["--id", "a1", "--name", "web.example.com", "--weight", "20"];
    let value = check("skydns", more, folder, "/skydns/com/example/web/a1", "127.0.0.1:PORT 20 false");
    let record: SkyDnsRecord = serde_json::from_value(value.clone()).unwrap();
    assert_eq!((record.host.as_str(), record.weight, record.priority, record.ttl), ("127.0.0.1", 20, 10, 3));
    assert!(
        record.port > 0 && record.text.is_empty() && !record.mail && record.targetstrip == 0 && record.group.is_empty()
    );
    assert_eq!(sky_dns_name("/skydns/com/example/web/a1"), "a1.web.example.com");
    let (entry, _, _) = announced("skydns", &[], "/skydns/local/skydns/web");
    let name = sky_dns_name(&entry.key);
    assert!(name.ends_with(".web.skydns.local") && name.split('.').all(|label| label.len() <= 63), "{name}");
}

#[test]
fn our_own_records_are_sky_dns_records_too() {
    let (entry, _, _) = announced("upstreamd", &[], "/services/web");
    let record: SkyDnsRecord = serde_json::from_str(&entry.value).unwrap();
    assert_eq!((record.host.as_str(), record.weight, record.priority), ("127.0.0.1", 100, 10));
}

#[test]
fn the_global_prefix_stands_in_front() {
    let (entry, _, _) = announced("plain", &["--id", "a", "--prefix", "/prod"], "/prod/services/web");
    assert_eq!(entry.key, "/prod/services/web/a");
}
