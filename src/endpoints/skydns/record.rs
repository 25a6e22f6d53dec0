//! One record: what the value of a key says, in SkyDNS's JSON. A value that is none is refused with a reason, which never quotes it.
//! Pure.

use std::net::IpAddr;

use hickory_proto::rr::Name;
use serde_json::{Map, Value};

use crate::model::lease::LeaseId;

use super::{DEFAULT_TTL_SECONDS, labels};

/// Priority of a record without one.
const DEFAULT_PRIORITY: u16 = 10;
/// Longest text: it has to fit into an answer.
const MAX_TEXT_BYTES: usize = 60_000;
/// Weight of a record without one.
pub(super) const DEFAULT_WEIGHT: u32 = 100;

/// The statement of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SkyRecord {
    pub(super) host: SkyHost,
    pub(super) port: u16,
    pub(super) priority: u16,
    pub(super) weight: u32,
    /// Text of the TXT record; empty if there is none.
    pub(super) text: String,
    /// Whether it receives mail.
    pub(super) is_mail: bool,
    pub(super) ttl_seconds: u32,
    /// The lease that its key is under; 0 if there is none.
    pub(super) lease: LeaseId,
    pub(super) group: Option<String>,
    /// Name of the host in SRV, MX and NS records: made from the key if the host is an address.
    pub(super) target: Name,
    /// Whether other records may have the same target.
    pub(super) shares_target: bool,
    /// Number of labels of its name.
    pub(super) depth: usize,
}

/// Its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SkyHost {
    /// An address.
    Address(IpAddr),
    /// A host, in lower case.
    Name(Name),
    /// Nowhere: it has a text only.
    Nowhere,
}

impl SkyRecord {
    /// Reads the value of the key with these labels, the last first.
    ///
    /// # Errors
    /// It is no record, for this reason.
    pub(super) fn parse(key_labels: &[String], text: &str) -> Result<SkyRecord, &'static str> {
        let members: Map<String, Value> = serde_json::from_str(text).map_err(|_| "the value is not a JSON object")?;
        let own = labels::name(key_labels).ok_or("its name is longer than 255 bytes")?;
        let mut record = SkyRecord {
            host: SkyHost::Nowhere,
            port: 0,
            priority: DEFAULT_PRIORITY,
            weight: DEFAULT_WEIGHT,
            text: String::new(),
            is_mail: false,
            ttl_seconds: DEFAULT_TTL_SECONDS,
            lease: 0,
            group: None,
            target: own,
            shares_target: false,
            depth: key_labels.len(),
        };
        let mut strip = 0;
        // Names of members are those of Go, which does not ask for upper or lower case; what is null is as if it were not there.
        for (member, value) in members.iter().filter(|(_, value)| !value.is_null()) {
            match member.to_ascii_lowercase().as_str() {
                "host" => {
                    record.host = host(value.as_str()).ok_or("`host` is neither an address nor the name of a host")?
                }
                "port" => record.port = number(value).ok_or("`port` is not 0 to 65535")?,
                "priority" => {
                    record.priority = or_default(value, DEFAULT_PRIORITY).ok_or("`priority` is not 0 to 65535")?
                }
                "weight" => {
                    record.weight = or_default(value, DEFAULT_WEIGHT)
                        .ok_or("`weight` is not a whole number from 0 to 4294967295")?
                }
                "text" => {
                    let text = value.as_str().ok_or("`text` is not a string")?;
                    if text.len() > MAX_TEXT_BYTES {
                        return Err("`text` has more than 60,000 bytes");
                    }
                    record.text = text.to_owned();
                }
                "mail" => record.is_mail = value.as_bool().ok_or("`mail` is neither true nor false")?,
                "ttl" => {
                    record.ttl_seconds = or_default(value, DEFAULT_TTL_SECONDS)
                        .ok_or("`ttl` is not a whole number from 0 to 4294967295")?
                }
                "targetstrip" => strip = number(value).ok_or("`targetstrip` is not a whole number of 0 or more")?,
                "group" => record.group = Some(value.as_str().ok_or("`group` is not a string")?.to_owned()),
                _ => {}
            }
        }
        record.ttl_seconds = record.ttl_seconds.min(i32::MAX.unsigned_abs());
        record.group = record.group.filter(|group| !group.is_empty());
        if let SkyHost::Name(host) = &record.host {
            record.target = host.clone();
        }
        record.shares_target = strip > 0 || matches!(record.host, SkyHost::Name(_));
        record.target = stripped(record.target, strip);
        Ok(record)
    }
}

fn host(text: Option<&str>) -> Option<SkyHost> {
    match text? {
        "" => Some(SkyHost::Nowhere),
        text => match text.parse::<IpAddr>() {
            Ok(address) => Some(SkyHost::Address(address.to_canonical())),
            Err(_) => labels::host_name(text).map(SkyHost::Name),
        },
    }
}

fn number<N: TryFrom<u64>>(value: &Value) -> Option<N> {
    value.as_u64().and_then(|number| N::try_from(number).ok())
}

/// Reads a number; 0 asks for the default.
fn or_default<N: TryFrom<u64> + Copy + PartialEq + From<u8>>(value: &Value, default: N) -> Option<N> {
    let number = number(value)?;
    Some(if number == N::from(0) { default } else { number })
}

/// Returns the name without this many labels at its beginning; the whole name if nothing would be left.
fn stripped(name: Name, labels: usize) -> Name {
    match usize::from(name.num_labels()).checked_sub(labels) {
        Some(left) if labels > 0 && left > 0 => name.trim_to(left),
        _ => name,
    }
}
