//! Names, ids and addresses that become part of a key. Never accepts a text that could lead out of the service's own place.

use std::net::IpAddr;

use crate::config::port;
use crate::model::problem::Problem;
use crate::model::service::{Address, Check, Layout};
use crate::model::text::shown;

const LONGEST: usize = 200;
const MAX_LABEL_BYTES: usize = 63;

/// Checks a service's name.
pub(super) fn name(text: &str, layout: Option<Layout>) -> Result<String, Problem> {
    if layout == Some(Layout::SkyDns) && !text.split('.').all(is_label) {
        let problem = Problem::new(format!("{} is not a DNS name", shown(text)));
        return Err(problem.hint("layout skydns makes it a DNS name: letters, digits, inner `-`, and `.` between"));
    }
    part(text, "._-").map(|()| text.to_owned())
}

/// Checks a backend's id.
pub(super) fn id(text: &str, layout: Option<Layout>) -> Result<String, Problem> {
    match layout {
        Some(Layout::SkyDns) if !is_label(text) => {
            let problem = Problem::new(format!("{} is not a part of a DNS name", shown(text)));
            Err(problem.hint("layout skydns makes it a DNS name: letters, digits and inner `-`"))
        }
        Some(Layout::Sidekick) => {
            let problem = Problem::new("layout sidekick has no ids");
            Err(problem.hint("its keys are /services/NAMEPORT: leave the id out, or choose a different layout"))
        }
        _ => part(text, "._-:@+").map(|()| text.to_owned()),
    }
}

/// Checks one part of a key: letters, digits and `more`, no dot first, so that it is never `.` or `..`.
fn part(text: &str, more: &str) -> Result<(), Problem> {
    let plain = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
    let refused = if text.is_empty() {
        "must not be empty".to_owned()
    } else if text.len() > LONGEST {
        format!("{} is longer than {LONGEST} bytes", shown(text))
    } else if let Some(other) = text.chars().find(|c| !plain(*c)) {
        format!("{} contains `{}`", shown(text), other.escape_debug())
    } else if text.starts_with('.') {
        format!("{} begins with a dot", shown(text))
    } else {
        return Ok(());
    };
    let dots: Vec<String> = more.chars().map(|c| format!("`{c}`")).collect();
    Err(Problem::new(refused).hint(format!("it is part of the key: letters, digits, {}", dots.join(" "))))
}

fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=MAX_LABEL_BYTES).contains(&text.len())
        && text.bytes().all(plain)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Parses `host:port`, `auto:PORT`, or `auto` alone if the check names a port.
pub(super) fn address(text: &str, check: Option<&Check>, layout: Option<Layout>) -> Result<Address, Problem> {
    if text == "auto" {
        return match check {
            Some(Check::Http(check)) => Ok(Address::Auto(check.port)),
            _ => Err(Problem::new("`auto` has no port").hint("write auto:PORT, or name the port in the check's URL")),
        };
    }
    let wrong = || {
        Problem::new(format!("{} is not host:port", shown(text)))
            .hint("as in 10.0.0.5:8080, [2001:db8::5]:8080 or auto:8080")
    };
    let (host, digits) = text.rsplit_once(':').ok_or_else(wrong)?;
    let is_port = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    let refused = || port::too_large(text, digits).unwrap_or_else(wrong);
    let port: u16 = digits.parse().ok().filter(|_| is_port).ok_or_else(refused)?;
    if host == "auto" {
        return Ok(Address::Auto(port));
    }
    let host = self::host(host).ok_or_else(wrong)?;
    let ip: Option<IpAddr> = host.parse().ok();
    if ip.is_some_and(|ip| ip.is_unspecified()) {
        let problem = Problem::new(format!("{} is not an address that other machines can reach", shown(&host)));
        return Err(problem.hint(format!("auto:{port} is the address that leads to etcd")));
    }
    if ip.is_some_and(|ip| ip.is_multicast()) {
        return Err(Problem::new(format!("{} is not the address of a single machine", shown(&host))));
    }
    if layout == Some(Layout::Sidekick) && !ip.is_some_and(|ip| ip.is_ipv4()) {
        let problem = Problem::new(format!("{} is not an IPv4 address", shown(&host)));
        return Err(problem.hint("layout sidekick supports no other; choose a different layout"));
    }
    Ok(Address::Given(host, port))
}

/// Parses an IP address, IPv6 in brackets, or a host name; returns it without brackets.
pub(super) fn host(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().ok().map(|ip| ip.to_string());
    }
    if let Ok(ip) = text.parse::<std::net::Ipv4Addr>() {
        return Some(ip.to_string());
    }
    // Some programs would read a name whose last part is a number as an address.
    let last = text.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    (text.len() <= 253 && text.split('.').all(is_label) && !is_number).then(|| text.to_ascii_lowercase())
}

/// Checks a version: a short line of text.
pub(super) fn version(text: &str) -> Result<String, Problem> {
    if text.len() > LONGEST || text.chars().any(char::is_control) {
        return Err(Problem::new(format!("{} is not a short line of text", shown(text))));
    }
    Ok(text.to_owned())
}
