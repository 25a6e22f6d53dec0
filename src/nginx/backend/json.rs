//! Decodes JSON records of backends: fleet sidekicks, SkyDNS and CoreDNS, vulcand, and our own announcer. Never lenient,
//! except for the unquoted addresses of the classic fleet unit, which are then checked like all others. Pure.

use serde_json::{Map, Value};

use super::address::{self, SocketOrHost};
use super::record::{BackendRecord, DEFAULT_PRIORITY, from_url};
use super::{BackendState, MAX_WEIGHT, Options, Reason, WantedAddress};

/// Decodes a value that begins with `{`.
pub(super) fn record(text: &str, options: &Options) -> Result<BackendRecord, Reason> {
    let mut members: Map<String, Value> = match serde_json::from_str(text) {
        Ok(members) => members,
        Err(_) => serde_json::from_str(&quote_addresses(text)).map_err(|_| Reason::BadJson)?,
    };
    let mut record = match members.swap_remove("URL").or_else(|| members.swap_remove("url")) {
        Some(Value::String(url)) => from_url(&url, options)?,
        Some(_) => return Err(Reason::BadMember("URL")),
        None => BackendRecord::new(address(&mut members, options)?),
    };
    record.weight = weight(members.swap_remove("weight").as_ref())?;
    record.states_weight = record.weight.is_some();
    record.priority = match number(&mut members, "priority", 0, u32::MAX)? {
        None | Some(0) => DEFAULT_PRIORITY,
        Some(priority) => priority,
    };
    record.backup = flag(&mut members, "backup")?;
    record.state = match members.swap_remove("state").as_ref() {
        None | Some(Value::Null) => BackendState::Up,
        Some(Value::String(word)) if word == "up" => BackendState::Up,
        Some(Value::String(word)) if word == "draining" => BackendState::Draining,
        Some(Value::String(word)) if word == "down" => BackendState::Down,
        Some(_) => return Err(Reason::BadMember("state")),
    };
    record.down = flag(&mut members, "down")?;
    record.max_fails = number(&mut members, "max_fails", 0, 100)?;
    record.fail_timeout = match members.get("fail_timeout") {
        Some(Value::String(text)) => {
            let seconds = text.strip_suffix('s').unwrap_or(text).parse().ok();
            members.swap_remove("fail_timeout");
            Some(seconds.filter(|n| (1..=3600).contains(n)).ok_or(Reason::BadMember("fail_timeout"))?)
        }
        _ => number(&mut members, "fail_timeout", 1, 3600)?,
    };
    record.max_conns = number(&mut members, "max_conns", 0, u16::MAX)?;
    record.group = match members.get("group") {
        None | Some(Value::Null) => None,
        Some(Value::String(group)) => Some(group.clone()).filter(|group| !group.is_empty()),
        Some(_) => return Err(Reason::BadMember("group")),
    };
    record.meta.extend(members);
    record.meta.sort_keys();
    Ok(record)
}

fn address(members: &mut Map<String, Value>, options: &Options) -> Result<SocketOrHost, Reason> {
    // In a record of SkyDNS, port 0 means that the record has none.
    let port = match members.swap_remove("port").filter(|port| *port != 0) {
        None | Some(Value::Null) => options.port.ok_or(Reason::NoPort)?,
        Some(Value::Number(number)) => {
            number.as_u64().and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0).ok_or(Reason::BadPort)?
        }
        Some(Value::String(digits)) => address::port_of(&digits)?,
        Some(_) => return Err(Reason::BadPort),
    };
    let wanted = match options.wanted {
        WantedAddress::Private => "ipv4_private_addr",
        WantedAddress::Public => "ipv4_public_addr",
        WantedAddress::Host => "host",
    };
    const FLEET: [&str; 3] = ["ipv4_private_addr", "ipv4_public_addr", "ipv4_addr"];
    let is_fleet = FLEET.iter().any(|name| members.contains_key(*name));
    let is_there = |name: &str| !matches!(members.get(name), None | Some(Value::Null));
    let chosen = match options.wanted {
        // Never fall back from the private to the public address or back: that would be a wrong guess.
        WantedAddress::Private | WantedAddress::Public if is_fleet && is_there(wanted) => wanted,
        WantedAddress::Private | WantedAddress::Public if is_fleet && is_there("ipv4_addr") => "ipv4_addr",
        WantedAddress::Private | WantedAddress::Public if is_fleet => return Err(Reason::NoMember(wanted)),
        _ if is_there("host") => "host",
        _ => return Err(Reason::NoMember("host")),
    };
    match members.swap_remove(chosen) {
        Some(Value::String(host)) if chosen == "host" => {
            let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&host);
            SocketOrHost::from_host(bare, port, options)
        }
        Some(Value::String(ip)) if ip.parse::<std::net::IpAddr>().is_ok() => {
            SocketOrHost::from_host(&ip, port, options)
        }
        _ => Err(Reason::BadMember(chosen)),
    }
}

/// Decodes a weight: more than 256 is clamped to 256, and 0 counts as unset.
fn weight(value: Option<&Value>) -> Result<Option<u16>, Reason> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => {
            let weight = number.as_u64().ok_or(Reason::BadMember("weight"))?;
            Ok(clamped(weight))
        }
        Some(Value::String(digits)) => weight_of(digits),
        Some(_) => Err(Reason::BadMember("weight")),
    }
}

/// Parses a weight.
pub(super) fn weight_of(digits: &str) -> Result<Option<u16>, Reason> {
    let plain = !digits.is_empty() && digits.len() <= 18 && digits.bytes().all(|b| b.is_ascii_digit());
    let number: Option<u64> = plain.then(|| digits.parse().ok()).flatten();
    number.map(clamped).ok_or(Reason::BadMember("weight"))
}

fn clamped(weight: u64) -> Option<u16> {
    (weight > 0).then(|| u16::try_from(weight).unwrap_or(MAX_WEIGHT).min(MAX_WEIGHT))
}

fn number<N: TryFrom<u64> + PartialOrd>(
    members: &mut Map<String, Value>,
    name: &'static str,
    least: N,
    most: N,
) -> Result<Option<N>, Reason> {
    let value = match members.swap_remove(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_u64().and_then(|n| N::try_from(n).ok()),
    };
    value.filter(|n| *n >= least && *n <= most).map(Some).ok_or(Reason::BadMember(name))
}

fn flag(members: &mut Map<String, Value>, name: &'static str) -> Result<bool, Reason> {
    match members.swap_remove(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(flag),
        Some(_) => Err(Reason::BadMember(name)),
    }
}

/// Puts quotes around bare IPv4 addresses after a colon, and inserts `null` for a missing address: the classic fleet unit
/// writes `"ipv4_private_addr":10.0.0.1`. Never changes text within quotes.
fn quote_addresses(text: &str) -> String {
    let mut fixed = String::with_capacity(text.len() + 8);
    let (mut in_string, mut escaped) = (false, false);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        fixed.push(c);
        if in_string {
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
        } else if c == '"' {
            in_string = true;
        } else if c == ':' {
            let value = rest.as_str().trim_start();
            let length = value.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
            let (address, after) = value.split_at(length);
            if address.bytes().filter(|b| *b == b'.').count() == 3 {
                fixed.push('"');
                fixed.push_str(address);
                fixed.push('"');
                rest = after.chars();
            } else if value.starts_with([',', '}']) {
                fixed.push_str("null");
            }
        }
    }
    fixed
}
