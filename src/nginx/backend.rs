//! Decodes the keys below a folder to backends, in every layout in common use. A key that does not decode is skipped by name;
//! the others are returned. Reasons never quote a value.

mod address;
mod decode;
mod json;
mod left_out;
mod network;
mod record;
mod records;

#[cfg(test)]
mod tests;

use std::fmt;

pub use address::SocketOrHost;
pub use left_out::left_out;
pub use network::Networks;
pub use records::{Records, Settled};

/// Longest value that is decoded, in bytes.
pub const MAX_VALUE_BYTES: usize = 4096;
/// Default for the most backends in one list.
pub const MAX_BACKENDS: usize = 10_000;
/// The member of a record in which an announcer names itself.
pub const OWNER: &str = "owner";
/// Largest weight; larger ones are clamped to it.
pub const MAX_WEIGHT: u16 = 256;

/// One server of an upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// The last part of the key; NAME for Traefik's `NAME/url`.
    pub name: String,
    /// The key, as the resource sees it.
    pub key: String,
    /// Its address.
    pub address: SocketOrHost,
    /// Share of the traffic, 1 to 256.
    pub weight: u16,
    /// Whether it gets traffic only while all others are unavailable.
    pub backup: bool,
    /// Whether it gets no traffic.
    pub down: bool,
    /// Its announced state.
    pub state: BackendState,
    /// Failures until nginx pauses it, 0 to 100.
    pub max_fails: u16,
    /// Length of that pause, in seconds, 1 to 3600.
    pub fail_timeout: u16,
    /// Most concurrent connections; 0 means no limit.
    pub max_conns: u16,
    /// All other announced members.
    pub meta: serde_json::Map<String, serde_json::Value>,
}

/// Announced state of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendState {
    /// It gets traffic.
    Up,
    /// It finishes open requests and gets no new ones.
    Draining,
    /// It gets no traffic.
    Down,
}

impl BackendState {
    /// Returns the word for it in records and templates.
    pub fn word(self) -> &'static str {
        match self {
            BackendState::Up => "up",
            BackendState::Draining => "draining",
            BackendState::Down => "down",
        }
    }
}

/// The address to use of a fleet record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WantedAddress {
    /// `ipv4_private_addr`, else `ipv4_addr`.
    #[default]
    Private,
    /// `ipv4_public_addr`, else `ipv4_addr`.
    Public,
    /// `host`.
    Host,
}

/// The `unix:` addresses that are allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UnixSockets {
    /// No sockets.
    #[default]
    No,
    /// Any absolute path.
    Anywhere,
    /// Paths below these folders.
    Below(Vec<String>),
}

/// The subfolders whose keys are decoded, beside those directly below the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Subfolders {
    /// All of them.
    #[default]
    All,
    /// None of them.
    None,
    /// Those with these names.
    Named(Vec<String>),
}

impl Subfolders {
    /// Returns whether the key with this path below the folder is decoded.
    fn include(&self, below: &str) -> bool {
        match self {
            Subfolders::All => true,
            Subfolders::None => !below.contains('/'),
            Subfolders::Named(names) => {
                let is_in = |name: &String| below.strip_prefix(&**name).is_some_and(|rest| rest.starts_with('/'));
                !below.contains('/') || names.iter().any(is_in)
            }
        }
    }
}

/// Options for decoding keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Default port of an address without one.
    pub port: Option<u16>,
    /// The address to use if a record has several.
    pub wanted: WantedAddress,
    /// Whether host names are allowed.
    pub hostnames: bool,
    /// Sockets that are allowed.
    pub unix: UnixSockets,
    /// Networks that are allowed; `None` means all except addresses that are never backends.
    pub allow: Option<Networks>,
    /// Networks that are denied.
    pub deny: Option<Networks>,
    /// Whether draining backends are returned too, marked as down.
    pub draining: bool,
    /// The group to return; backends without a group are always returned.
    pub group: Option<String>,
    /// Subfolders whose keys are decoded too.
    pub subfolders: Subfolders,
    /// Most backends returned.
    pub max: usize,
    /// Limits of records without their own.
    pub limits: ServerLimits,
}

/// nginx's limits of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Failures within `fail_timeout` until nginx pauses it; 0 means never.
    pub max_fails: u16,
    /// Length of that pause, in seconds.
    pub fail_timeout: u16,
    /// Most concurrent connections; 0 means no limit.
    pub max_conns: u16,
}

impl Default for Options {
    /// Returns nginx's own defaults if it has some, otherwise the strict choice.
    fn default() -> Options {
        Options {
            port: None,
            wanted: WantedAddress::Private,
            hostnames: false,
            unix: UnixSockets::No,
            allow: None,
            deny: None,
            draining: false,
            group: None,
            subfolders: Subfolders::All,
            max: MAX_BACKENDS,
            limits: ServerLimits { max_fails: 1, fail_timeout: 10, max_conns: 0 },
        }
    }
}

/// The reason why a key is skipped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The value is not UTF-8.
    NotText,
    /// The value is too long.
    TooLong,
    /// The key's name has a character that is not allowed in an nginx file.
    BadName,
    /// The value is neither an address nor a URL.
    NoAddress,
    /// It is a host name, and these are not enabled.
    HostName,
    /// It is a socket, and these are not enabled.
    UnixSocket,
    /// The address is outside `allow`, inside `deny`, or never a backend.
    NotAllowed,
    /// There is no port and no default port.
    NoPort,
    /// The port is not 1 to 65535.
    BadPort,
    /// It begins like JSON but is not a JSON object.
    BadJson,
    /// A member has an invalid value.
    BadMember(&'static str),
    /// The record has no such member.
    NoMember(&'static str),
    /// The URL's scheme is not http, https or tcp.
    BadScheme,
    /// The URL has a path, a query or a login, which a `server` line cannot express.
    UrlTooMuch,
    /// There are more backends than `max`.
    TooMany(usize),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NotText => f.write_str("the value is not UTF-8 text"),
            Reason::TooLong => write!(f, "the value is longer than {MAX_VALUE_BYTES} bytes"),
            Reason::BadName => f.write_str("the key contains a character that is not allowed in an nginx file"),
            Reason::NoAddress => f.write_str("the value is not an address"),
            Reason::HostName => f.write_str("it is a host name, and `hostnames` is not enabled"),
            Reason::UnixSocket => f.write_str("it is a socket, and `unix` is not enabled"),
            Reason::NotAllowed => f.write_str("the address is not allowed"),
            Reason::NoPort => f.write_str("the address has no port, and there is no default"),
            Reason::BadPort => f.write_str("the port is not 1 to 65535"),
            Reason::BadJson => f.write_str("the value is not a JSON object"),
            Reason::BadMember(name) => write!(f, "`{name}` has an invalid value"),
            Reason::NoMember(name) => write!(f, "there is no `{name}`"),
            Reason::BadScheme => f.write_str("the scheme of the URL is not http, https or tcp"),
            Reason::UrlTooMuch => f.write_str("the URL has a path, a query or a login"),
            Reason::TooMany(max) => write!(f, "there are more than {max} backends"),
        }
    }
}
