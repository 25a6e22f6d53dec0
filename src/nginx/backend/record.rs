//! The backend that one key announces, and the forms of it that are no JSON: an address, a URL. Never looks at the key. Pure.

use serde_json::{Map, Value};

use super::address::SocketOrHost;
use super::{BackendState, Options, Reason};

/// Priority of a record without one, as in SkyDNS.
pub(super) const DEFAULT_PRIORITY: u32 = 10;

/// The backend that one key announces.
pub(super) struct BackendRecord {
    pub(super) address: SocketOrHost,
    pub(super) weight: Option<u16>,
    /// Whether the weight is on SkyDNS's scale, on which a record without one counts as 100.
    pub(super) states_weight: bool,
    pub(super) priority: u32,
    pub(super) backup: bool,
    pub(super) down: bool,
    pub(super) state: BackendState,
    pub(super) group: Option<String>,
    pub(super) max_fails: Option<u16>,
    pub(super) fail_timeout: Option<u16>,
    pub(super) max_conns: Option<u16>,
    pub(super) meta: Map<String, Value>,
}

impl BackendRecord {
    pub(super) fn new(address: SocketOrHost) -> BackendRecord {
        BackendRecord {
            address,
            weight: None,
            states_weight: false,
            priority: DEFAULT_PRIORITY,
            backup: false,
            down: false,
            state: BackendState::Up,
            group: None,
            max_fails: None,
            fail_timeout: None,
            max_conns: None,
            meta: Map::new(),
        }
    }
}

/// Decodes a URL; the scheme implies the port.
pub(super) fn from_url(text: &str, options: &Options) -> Result<BackendRecord, Reason> {
    let (scheme, rest) = text.split_once("://").ok_or(Reason::NoAddress)?;
    let scheme = scheme.to_ascii_lowercase();
    let port = match scheme.as_str() {
        "http" => Some(80),
        "https" => Some(443),
        "tcp" => options.port,
        _ => return Err(Reason::BadScheme),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '@']) {
        return Err(Reason::UrlTooMuch);
    }
    if authority.starts_with("unix:") {
        return Err(Reason::NoAddress);
    }
    let mut record = BackendRecord::new(SocketOrHost::parse_with_port(authority, port, options)?);
    record.meta.insert("scheme".to_owned(), Value::from(scheme));
    Ok(record)
}
