//! What is announced: a service, how it is checked, and in which layout its key is written. Plain data; every rule that it
//! must keep is held where it is read from what people write.

use std::path::PathBuf;
use std::time::Duration;

/// One backend that is announced under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The service that it is one backend of: letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Where it listens.
    pub address: Address,
    /// Its name among the backends of the service; `None` makes one of host name, service and port.
    pub id: Option<String>,
    /// What proves it healthy.
    pub check: Check,
    /// How long one check may take; less than the interval. Default: 2 s.
    pub timeout: Duration,
    /// When checks make it healthy.
    pub rules: HealthRules,
    /// Until when etcd has taken the key away by itself; at least three intervals. Default: 15 s.
    pub ttl_seconds: u32,
    /// How key and value are written.
    pub layout: Layout,
    /// How long the last requests may take once it is marked as draining. Default: 30 s.
    pub drain_timeout: Duration,
    /// Its share of the traffic, 1 to 256. Default: 100, which is SkyDNS's scale.
    pub weight: u16,
    /// The lower, the earlier it is used. Default: 10, as in SkyDNS.
    pub priority: u32,
    /// Which version of the service it runs; for people.
    pub version: String,
}

/// When checks make a backend healthy, or no longer so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthRules {
    /// From the start of one check to the next. Default: 5 s.
    pub interval: Duration,
    /// Passed checks in a row until it is announced, at least 1. Default: 2.
    pub rise: u32,
    /// Failed checks in a row until it is withdrawn, at least 1. Default: 3.
    pub fall: u32,
    /// How long it may take to start: until then failed checks are expected. Default: none.
    pub start_grace: Duration,
}

impl Service {
    /// How long its lease lives: a second less than `ttl_seconds` where that leaves anything, because etcd looks for expired
    /// leases twice a second only and takes its time with them.
    pub fn lease_seconds(&self) -> u32 {
        self.ttl_seconds.saturating_sub(1).max(1)
    }
}

/// Where a backend listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address (without brackets) or a host name, and a port.
    Given(String, u16),
    /// The address of the interface that leads to etcd, and this port.
    Auto(u16),
}

impl Address {
    /// The port.
    pub fn port(&self) -> u16 {
        match self {
            Address::Given(_, port) | Address::Auto(port) => *port,
        }
    }
}

/// `host:port`, an IPv6 address in brackets.
pub fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// What proves a backend healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// It takes a TCP connection at its address.
    Tcp,
    /// It answers an HTTP request.
    Http(HttpCheck),
    /// It answers an HTTP/2 PING at its address: over TLS with ALPN, or, without `tls`, in plain text.
    Http2 {
        /// How TLS is spoken.
        tls: Option<CheckTls>,
    },
    /// This shell command exits with 0.
    Exec(String),
}

/// An HTTP request and the answer that is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheck {
    /// Where to: a host name or an IP address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Path and query.
    pub path: String,
    /// The right statuses, from and to. Default: 200 to 399.
    pub status: (u16, u16),
    /// What the first 64 KiB of the body must contain.
    pub body: Option<String>,
    /// How TLS is spoken; `None` is plain text.
    pub tls: Option<CheckTls>,
}

/// How the server's certificate is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckTls {
    /// A PEM file with the authorities that may have signed it. Default: the system's.
    pub ca: Option<PathBuf>,
    /// Whoever signed it, and whatever its name.
    pub insecure: bool,
}

/// How key and value are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `/services/NAME/ID`: JSON that says all there is to say.
    Upstreamd,
    /// `/services/NAMEPORT`: the JSON of the classic sidekick.
    Sidekick,
    /// `/skydns/…/NAME/ID`: what SkyDNS and CoreDNS answer from.
    SkyDns,
    /// `/services/NAME/ID`: `host:port`, as registrator writes it.
    Registrator,
    /// `/services/NAME/ID`: `host:port`.
    Plain,
    /// `/vulcand/backends/NAME/servers/ID`: JSON with a URL.
    Vulcand,
}

impl Layout {
    /// All of them by their words.
    pub const ALL: &[(&str, Layout)] = &[
        ("upstreamd", Layout::Upstreamd),
        ("sidekick", Layout::Sidekick),
        ("skydns", Layout::SkyDns),
        ("registrator", Layout::Registrator),
        ("plain", Layout::Plain),
        ("vulcand", Layout::Vulcand),
    ];

    /// Whether its value can say that a backend is draining; in the others the key has to go for that.
    pub fn says_draining(self) -> bool {
        self == Layout::Upstreamd
    }
}
