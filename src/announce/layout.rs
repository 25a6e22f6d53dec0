//! Key and value of one backend in each layout. Pure. Never writes a key outside its layout's folder: names and ids were
//! checked when they were read.

use serde_json::{Map, Value, json};

use crate::model::service::{Address, Check, Layout, Service, host_and_port};

/// Domain for SkyDNS of a service whose name has no dot: SkyDNS's own default.
const SKYDNS_DOMAIN: &str = "skydns.local";

/// The identity of the announcer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcer {
    /// Name of this machine.
    pub host_name: String,
    /// Machine and process, shown to whoever finds the key taken.
    pub owner: String,
    /// Global prefix: `""` or `/a/b`.
    pub prefix: String,
}

/// Returns the key that announces a service.
pub fn key(service: &Service, announcer: &Announcer) -> String {
    let Service { name, layout, .. } = service;
    let prefix = &announcer.prefix;
    let id = || service.id.clone().unwrap_or_else(|| default_id(service, announcer));
    match layout {
        Layout::Upstreamd | Layout::Registrator | Layout::Plain => format!("{prefix}/services/{name}/{}", id()),
        Layout::Sidekick => format!("{prefix}/services/{name}{}", service.address.port()),
        Layout::Vulcand => format!("{prefix}/vulcand/backends/{name}/servers/{}", id()),
        Layout::SkyDns => {
            let name = name.to_ascii_lowercase();
            let full = if name.contains('.') { name } else { format!("{name}.{SKYDNS_DOMAIN}") };
            let reversed: Vec<&str> = full.rsplit('.').collect();
            format!("{prefix}/skydns/{}/{}", reversed.join("/"), id())
        }
    }
}

/// Returns `HOST:NAME:PORT`; for SkyDNS, with `-` as the separator, because it is part of a DNS name.
fn default_id(service: &Service, announcer: &Announcer) -> String {
    let port = service.address.port();
    match service.layout {
        Layout::SkyDns => label(&format!("{}-{}-{port}", announcer.host_name, service.name)),
        _ => format!("{}:{}:{port}", harmless(&announcer.host_name), service.name),
    }
}

/// Returns the host name without unsafe characters: the kernel allows any.
fn harmless(host_name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = host_name.chars().map(plain).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// Returns the text as a DNS label: letters, digits and inner hyphens, at most 63 characters; a longer text loses its
/// beginning, because the end distinguishes services.
fn label(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let all: String = text.chars().map(plain).collect();
    let end = &all[all.len().saturating_sub(63)..];
    end.trim_matches('-').to_owned()
}

/// Returns the value of the key while the backend listens at `host` (no brackets); `None` if the layout cannot express
/// draining.
pub fn value(service: &Service, host: &str, draining: bool, announcer: &Announcer) -> Option<String> {
    if draining && !service.layout.says_draining() {
        return None;
    }
    let port = service.address.port();
    Some(match service.layout {
        Layout::Upstreamd => json!({
            "host": host,
            "port": port,
            "weight": service.weight,
            "priority": service.priority,
            "state": if draining { "draining" } else { "up" },
            "version": service.version,
            "owner": announcer.owner,
        })
        .to_string(),
        Layout::Sidekick => json!({
            "host": announcer.host_name,
            "ipv4_private_addr": host,
            "ipv4_public_addr": host,
            "port": port,
        })
        .to_string(),
        Layout::SkyDns => json!({
            "host": host,
            "port": port,
            "priority": service.priority,
            "weight": service.weight,
            "ttl": service.ttl_seconds,
        })
        .to_string(),
        Layout::Registrator | Layout::Plain => host_and_port(host, port),
        Layout::Vulcand => {
            let scheme = if speaks_tls(&service.check) { "https" } else { "http" };
            json!({ "URL": format!("{scheme}://{}", host_and_port(host, port)) }).to_string()
        }
    })
}

/// Returns whether the backend speaks TLS, judged by its check.
fn speaks_tls(check: &Check) -> bool {
    match check {
        Check::Http(check) => check.tls.is_some(),
        Check::Http2 { tls } => tls.is_some(),
        Check::Tcp | Check::Exec(_) => false,
    }
}

/// Returns the host that a service listens at; `None` until the route to etcd, which decides it, is known.
pub fn host<'a>(service: &'a Service, auto: Option<&'a str>) -> Option<&'a str> {
    match &service.address {
        Address::Given(host, _) => Some(host),
        Address::Auto(_) => auto,
    }
}

/// Returns the owner that a value names, if its form is safe to show: the rest of a value is never shown.
pub fn owner_of(value: &[u8]) -> Option<String> {
    const LONGEST: usize = 200;
    let members: Map<String, Value> = serde_json::from_slice(value).ok()?;
    let owner = members.get("owner")?.as_str()?;
    let plain = owner.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    (plain && !owner.is_empty() && owner.len() <= LONGEST).then(|| owner.to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::service::HealthRules;
    use std::time::Duration;

    /// Returns a plain service at 10.0.0.5:8080.
    pub(in crate::announce) fn service(name: &str, layout: Layout) -> Service {
        Service {
            name: name.to_owned(),
            address: Address::Given("10.0.0.5".to_owned(), 8080),
            id: None,
            check: Check::Tcp,
            timeout: Duration::from_secs(2),
            rules: HealthRules { interval: Duration::from_secs(5), rise: 2, fall: 3, start_grace: Duration::ZERO },
            ttl_seconds: 15,
            layout,
            drain_timeout: Duration::from_secs(30),
            weight: 100,
            priority: 10,
            version: "1.4".to_owned(),
        }
    }

    fn announcer() -> Announcer {
        Announcer { host_name: "core-1".to_owned(), owner: "core-1 pid 7".to_owned(), prefix: String::new() }
    }

    #[track_caller]
    fn check(layout: Layout, expected_key: &str, expected_value: &str) {
        let service = service("web", layout);
        assert_eq!(key(&service, &announcer()), expected_key);
        assert_eq!(value(&service, "10.0.0.5", false, &announcer()).as_deref(), Some(expected_value));
    }

    #[test]
    fn each_layout_has_its_key_and_its_value() {
        check(
            Layout::Upstreamd,
            "/services/web/core-1:web:8080",
            r#"{"host":"10.0.0.5","port":8080,"weight":100,"priority":10,"state":"up","version":"1.4","owner":"core-1 pid 7"}"#,
        );
        check(
            Layout::Sidekick,
            "/services/web8080",
            r#"{"host":"core-1","ipv4_private_addr":"10.0.0.5","ipv4_public_addr":"10.0.0.5","port":8080}"#,
        );
        check(
            Layout::SkyDns,
            "/skydns/local/skydns/web/core-1-web-8080",
            r#"{"host":"10.0.0.5","port":8080,"priority":10,"weight":100,"ttl":15}"#,
        );
        check(Layout::Registrator, "/services/web/core-1:web:8080", "10.0.0.5:8080");
        check(Layout::Plain, "/services/web/core-1:web:8080", "10.0.0.5:8080");
        check(Layout::Vulcand, "/vulcand/backends/web/servers/core-1:web:8080", r#"{"URL":"http://10.0.0.5:8080"}"#);
    }

    #[test]
    fn only_our_own_layout_says_draining() {
        for (_, layout) in Layout::ALL {
            let drained = value(&service("web", *layout), "10.0.0.5", true, &announcer());
            let expected = (*layout == Layout::Upstreamd).then_some(true);
            assert_eq!(drained.map(|value| value.contains(r#""state":"draining""#)), expected, "{layout:?}");
        }
    }

    #[test]
    fn keys_follow_id_prefix_domain_and_host_name() {
        let with = |change: fn(&mut Service), layout| {
            let mut service = service("web", layout);
            change(&mut service);
            key(&service, &Announcer { prefix: "/prod".to_owned(), host_name: "a b/../c".to_owned(), ..announcer() })
        };
        assert_eq!(with(|service| service.id = Some("one".into()), Layout::Plain), "/prod/services/web/one");
        assert_eq!(with(|_| {}, Layout::Upstreamd), "/prod/services/web/a-b-..-c:web:8080");
        let domain = |service: &mut Service| service.name = "Web.East.example.com".to_owned();
        assert_eq!(
            with(domain, Layout::SkyDns),
            "/prod/skydns/com/example/east/web/a-b----c-web-east-example-com-8080"
        );
        assert_eq!(label(&"x".repeat(100)).len(), 63);
    }

    #[test]
    fn addresses_of_every_kind_are_written_as_readers_want_them() {
        let text = |layout, host| value(&service("web", layout), host, false, &announcer()).unwrap();
        assert_eq!(text(Layout::Plain, "2001:db8::1"), "[2001:db8::1]:8080");
        assert!(text(Layout::Upstreamd, "2001:db8::1").starts_with(r#"{"host":"2001:db8::1","#));
        assert_eq!(text(Layout::Vulcand, "2001:db8::1"), r#"{"URL":"http://[2001:db8::1]:8080"}"#);
        let mut tls = service("web", Layout::Vulcand);
        tls.check = Check::Http2 { tls: Some(Default::default()) };
        assert_eq!(value(&tls, "web", false, &announcer()).unwrap(), r#"{"URL":"https://web:8080"}"#);
    }

    #[test]
    fn an_owner_is_shown_only_where_it_is_plain_text() {
        for (value, expected) in [
            (r#"{"owner":"core-1 pid 7"}"#, Some("core-1 pid 7")),
            (r#"{"owner":"a\nb"}"#, None),
            (r#"{"owner":""}"#, None),
            (r#"{"owner":7}"#, None),
            (r#"{"host":"10.0.0.5"}"#, None),
            ("10.0.0.5:80", None),
        ] {
            assert_eq!(owner_of(value.as_bytes()).as_deref(), expected, "{value}");
        }
        assert_eq!(owner_of(format!("{{\"owner\":\"{}\"}}", "x".repeat(201)).as_bytes()), None);
    }
}
