//! Endpoints that nginx asks for by name: what one `server NAME service=peers resolve` line of a rendered file stands for. Data only.

use core::net::SocketAddr;
use std::fmt;
use std::sync::Arc;

/// Domain of all names that nginx asks for. `.internal` is reserved for private use (ICANN, 2024).
pub const DOMAIN: &str = "upstreamd.internal";
/// Value of `service=` in the lines, so that nginx asks for the SRV records of `_peers._tcp.NAME`.
pub const SERVICE: &str = "peers";
/// Time that nginx waits for an answer; afterwards it pauses for as long. Longer than an answer is held.
pub const RESOLVER_TIMEOUT_SECONDS: u64 = 12;

/// Time without a question after which nginx, which runs, is taken for one that does not ask. It pauses for
/// `RESOLVER_TIMEOUT_SECONDS` if it had no answer for that long, because the agent was away.
pub const SILENT_AFTER_SECONDS: u64 = RESOLVER_TIMEOUT_SECONDS + 3;

/// The name of a set, in lower case, below [`DOMAIN`]: `services-web-1f2e3d4c.upstreamd.internal`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointName(Arc<str>);

impl EndpointName {
    /// Returns the name for a label: letters, digits and hyphens, at most 63.
    pub fn new(label: &str) -> EndpointName {
        EndpointName(Arc::from(format!("{label}.{DOMAIN}")))
    }

    /// Returns the first one in their order, which no set has.
    pub fn first() -> EndpointName {
        EndpointName(Arc::from(""))
    }

    /// Returns the whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name without the domain.
    pub fn label(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }
}

impl fmt::Display for EndpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One peer of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Its address.
    pub address: SocketAddr,
    /// Share of the traffic, 1 to 256.
    pub weight: u16,
    /// Whether it gets traffic only while all others are unavailable.
    pub is_backup: bool,
}

/// The endpoints under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSet {
    /// The name that nginx asks for.
    pub name: EndpointName,
    /// All that may get traffic, sorted by address, each once.
    pub endpoints: Vec<Endpoint>,
}

impl EndpointSet {
    /// Returns the addresses.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.endpoints.iter().map(|endpoint| endpoint.address)
    }
}

/// `endpoints`: how changes of backends reach nginx.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndpointsChoice {
    /// By DNS if nginx can and the agent can answer it; otherwise by reload.
    #[default]
    Auto,
    /// By DNS.
    Dns,
    /// By reload.
    Reload,
}

/// The form in which `servers()` prints the endpoints of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum ServersForm {
    /// A `server` line for each backend: a change is a reload.
    #[default]
    Lines,
    /// Names that nginx asks for.
    Names(Arc<NameForm>),
}

/// Facts for lines with names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NameForm {
    /// Addresses at which nginx asks, as the `resolver` directive takes them: `127.0.0.1:53`.
    pub resolvers: Vec<String>,
    /// Path in front of a set's label that names the file with its last good `server` lines: nginx includes
    /// `{standby}{label}.peers*`, in quotes if it needs some, which may be missing; `None` if quotes would not be enough.
    pub standby: Option<String>,
    /// What makes names of two files differ: the name of the resource or instance.
    pub owner: String,
}
