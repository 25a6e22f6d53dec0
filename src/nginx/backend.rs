//! Keys below a folder to the backends they announce, in every layout that is in the wild. Each key stands for itself: one
//! that does not decode is set aside by name, all others are returned. Reasons never quote a value.

mod address;
mod decode;
mod json;
mod network;
mod records;

#[cfg(test)]
mod tests;

use std::fmt;

pub use address::SocketOrHost;
pub use network::Networks;
pub use records::{Records, Settled};

/// Longest value that is read, in bytes.
pub const MOST_VALUE_BYTES: usize = 4096;
/// Most backends of one list, unless asked otherwise.
pub const MOST_BACKENDS: usize = 10_000;
/// Largest weight; larger ones count as this.
pub const MOST_WEIGHT: u16 = 256;

/// One server of an upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// The last part of the key; of Traefik's `NAME/url`, NAME.
    pub name: String,
    /// The key, as the resource sees it.
    pub key: String,
    /// Where it listens.
    pub address: SocketOrHost,
    /// Share of the traffic, 1 to 256.
    pub weight: u16,
    /// Takes traffic only while the others are gone.
    pub backup: bool,
    /// Takes no traffic.
    pub down: bool,
    /// What it says of itself.
    pub state: BackendState,
    /// Failures until it is left alone, 0 to 100.
    pub max_fails: u16,
    /// For how long it is left alone, in seconds, 1 to 3600.
    pub fail_timeout: u16,
    /// Connections at once, 0 for any number.
    pub max_conns: u16,
    /// Whatever else was announced.
    pub meta: serde_json::Map<String, serde_json::Value>,
}

/// What a backend says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendState {
    /// It takes traffic.
    Up,
    /// It ends what it has and takes nothing new.
    Draining,
    /// It takes no traffic.
    Down,
}

impl BackendState {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            BackendState::Up => "up",
            BackendState::Draining => "draining",
            BackendState::Down => "down",
        }
    }
}

/// Which of a fleet record's addresses is wanted.
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

/// Which `unix:` addresses are let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UnixSockets {
    /// None.
    #[default]
    No,
    /// Any absolute path.
    Anywhere,
    /// Paths below these folders.
    Below(Vec<String>),
}

/// How keys are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Port of an address without one.
    pub port: Option<u16>,
    /// Which address of several.
    pub wanted: WantedAddress,
    /// Host names are let in.
    pub hostnames: bool,
    /// Sockets that are let in.
    pub unix: UnixSockets,
    /// Only these networks; `None`: all but the addresses that are no backend of anybody.
    pub allow: Option<Networks>,
    /// Not these networks.
    pub deny: Option<Networks>,
    /// Draining backends are returned too, marked as down.
    pub draining: bool,
    /// Only backends of this group, or of none.
    pub group: Option<String>,
    /// Keys in subfolders are read too.
    pub subfolders: bool,
    /// Most backends returned.
    pub max: usize,
    /// For records that do not say.
    pub limits: ServerLimits,
}

/// nginx's parameters of a server that bound what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Failures within `fail_timeout` until it is passed over; 0 is never.
    pub max_fails: u16,
    /// In seconds.
    pub fail_timeout: u16,
    /// Most connections at a time; 0 is any number.
    pub max_conns: u16,
}

impl Default for Options {
    /// What nginx has by itself where it has something, and the strict choice elsewhere.
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
            subfolders: true,
            max: MOST_BACKENDS,
            limits: ServerLimits { max_fails: 1, fail_timeout: 10, max_conns: 0 },
        }
    }
}

/// Why a key is set aside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The value is not UTF-8.
    NotText,
    /// The value is too long.
    TooLong,
    /// The key's name could not stand in an nginx file.
    BadName,
    /// The value is neither an address nor a URL.
    NoAddress,
    /// A host name, where they are not switched on.
    HostName,
    /// A socket, where they are not switched on.
    UnixSocket,
    /// Outside of `allow`, inside of `deny`, or no backend of anybody.
    NotAllowed,
    /// No port, and no default.
    NoPort,
    /// The port is not 1 to 65535.
    BadPort,
    /// It begins like JSON, and is none.
    BadJson,
    /// A member has no value that it may have.
    BadMember(&'static str),
    /// The record has no such member.
    NoMember(&'static str),
    /// A URL whose scheme is not http, https or tcp.
    BadScheme,
    /// A URL with a path, a query or a login: a `server` line cannot say that.
    UrlTooMuch,
    /// More backends than `max`.
    TooMany(usize),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NotText => f.write_str("the value is not UTF-8 text"),
            Reason::TooLong => write!(f, "the value is longer than {MOST_VALUE_BYTES} bytes"),
            Reason::BadName => f.write_str("the key contains a character that may not stand in an nginx file"),
            Reason::NoAddress => f.write_str("the value is no address"),
            Reason::HostName => f.write_str("it is a host name, and `hostnames` is not switched on"),
            Reason::UnixSocket => f.write_str("it is a socket, and `unix` is not switched on"),
            Reason::NotAllowed => f.write_str("the address is not allowed"),
            Reason::NoPort => f.write_str("the address has no port, and there is no default"),
            Reason::BadPort => f.write_str("the port is not 1 to 65535"),
            Reason::BadJson => f.write_str("the value is not a JSON object"),
            Reason::BadMember(name) => write!(f, "`{name}` has a value that it may not have"),
            Reason::NoMember(name) => write!(f, "there is no `{name}`"),
            Reason::BadScheme => f.write_str("the scheme of the URL is not http, https or tcp"),
            Reason::UrlTooMuch => f.write_str("the URL has a path, a query or a login"),
            Reason::TooMany(max) => write!(f, "there are more than {max} backends"),
        }
    }
}
