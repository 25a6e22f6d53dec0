//! A service to announce, with its check and the layout of its key. Plain data; the code that reads the announcer's file
//! enforces the rules.

use std::path::PathBuf;
use std::time::Duration;

/// One backend that is announced under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Name of the service that it is a backend of: letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Address that it listens on.
    pub address: Address,
    /// Id among the backends of the service; `None` makes one of host name, service and port.
    pub id: Option<String>,
    /// Check that proves it healthy.
    pub check: Check,
    /// Longest time of one check; less than the interval. Default: 2 s.
    pub timeout: Duration,
    /// Rules by which checks make it healthy.
    pub rules: HealthRules,
    /// Time until etcd deletes its key by itself, in seconds; at least three intervals. Default: 15 s.
    pub ttl_seconds: u32,
    /// Layout of key and value.
    pub layout: Layout,
    /// Longest time for the last requests once it is marked as draining. Default: 30 s.
    pub drain_timeout: Duration,
    /// Its share of the traffic, 1 to 256. Default: 100, which is SkyDNS's scale.
    pub weight: u16,
    /// Priority; the lowest is used first. Default: 10, as in SkyDNS.
    pub priority: u32,
    /// Version of the service that it runs; for people.
    pub version: String,
}

/// Rules by which checks make a backend healthy or unhealthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthRules {
    /// Time from the start of one check to the next. Default: 5 s.
    pub interval: Duration,
    /// Passed checks in a row until it is announced, at least 1. Default: 2.
    pub rise: u32,
    /// Failed checks in a row until it is withdrawn, at least 1. Default: 3.
    pub fall: u32,
    /// Longest time to start: until then failed checks are expected. Default: no time.
    pub start_grace: Duration,
}

impl Service {
    /// Returns the lifetime of its lease: a second less than `ttl_seconds` if that leaves anything, because etcd looks for
    /// expired leases only twice a second and needs some time to delete their keys.
    pub fn lease_seconds(&self) -> u32 {
        self.ttl_seconds.saturating_sub(1).max(1)
    }
}

/// Address that a backend listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address (without brackets) or a host name, and a port.
    Given(String, u16),
    /// The address of the interface that leads to etcd, and this port.
    Auto(u16),
}

impl Address {
    /// Returns the port.
    pub fn port(&self) -> u16 {
        match self {
            Address::Given(_, port) | Address::Auto(port) => *port,
        }
    }
}

/// Returns `host:port`, with an IPv6 address in brackets.
pub fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Check that proves a backend healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// It accepts a TCP connection at its address.
    Tcp,
    /// It answers an HTTP request.
    Http(HttpCheck),
    /// It answers an HTTP/2 PING at its address: over TLS with ALPN, or, without `tls`, in plain text.
    Http2 {
        /// TLS settings; `None` is plain text.
        tls: Option<CheckTls>,
    },
    /// This shell command exits with 0.
    Exec(String),
}

/// An HTTP request and the expected answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheck {
    /// Host name, or IP address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path and query.
    pub path: String,
    /// Accepted statuses, from and to. Default: 200 to 399.
    pub status: (u16, u16),
    /// Text that the first 64 KiB of the body must contain.
    pub body: Option<String>,
    /// TLS settings; `None` is plain text.
    pub tls: Option<CheckTls>,
}

/// Verification of a server's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckTls {
    /// A PEM file with the authorities that may have signed it. Default: the system's.
    pub ca: Option<PathBuf>,
    /// Whether any certificate is accepted, whoever signed it and whatever its name.
    pub insecure: bool,
}

/// Layout of key and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `/services/NAME/ID`: JSON with all details.
    Upstreamd,
    /// `/services/NAMEPORT`: the JSON of the classic sidekick.
    Sidekick,
    /// `/skydns/…/NAME/ID`: the JSON that SkyDNS and CoreDNS read.
    SkyDns,
    /// `/services/NAME/ID`: `host:port`, as registrator writes it.
    Registrator,
    /// `/services/NAME/ID`: `host:port`.
    Plain,
    /// `/vulcand/backends/NAME/servers/ID`: JSON with a URL.
    Vulcand,
}

impl Layout {
    /// All layouts by their words.
    pub const ALL: &[(&str, Layout)] = &[
        ("upstreamd", Layout::Upstreamd),
        ("sidekick", Layout::Sidekick),
        ("skydns", Layout::SkyDns),
        ("registrator", Layout::Registrator),
        ("plain", Layout::Plain),
        ("vulcand", Layout::Vulcand),
    ];

    /// Returns whether its value can say that a backend is draining; with the others the key is deleted for that.
    pub fn says_draining(self) -> bool {
        self == Layout::Upstreamd
    }
}
