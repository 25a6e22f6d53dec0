//! Records and names of name servers, as data. Never asks one.

use core::net::SocketAddr;

/// One SRV record. Sorted by target, then port, priority and weight.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Srv {
    /// Host name of the server; as others answer it, with a trailing dot.
    pub target: String,
    /// Port on that host.
    pub port: u16,
    /// Priority; the lowest is preferred.
    pub priority: u16,
    /// Share of this record among records of equal priority.
    pub weight: u16,
}

/// The name servers that are asked for names outside our domains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NameServers {
    /// Those of `/etc/resolv.conf`.
    #[default]
    OfSystem,
    /// These; without any, names outside our domains are refused.
    These(Vec<SocketAddr>),
}

/// Longest label of a name, in bytes.
pub const LONGEST_LABEL: usize = 63;

/// Returns the name in lower case and without a final dot; `None` if it has other characters than letters, digits, `-` and `_`, or is
/// too long.
pub fn plain_name(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    let is_label = |label: &str| (1..=LONGEST_LABEL).contains(&label.len()) && label.bytes().all(is_plain);
    (text.len() <= 253 && text.split('.').all(is_label)).then(|| text.to_ascii_lowercase())
}
