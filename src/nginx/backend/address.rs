//! Addresses of backends: text is parsed, checked and printed again, so that no byte of a store value is copied to a file.
//! Stricter than nginx, which accepts `127.1`, `0x7f.0.0.1` and relative socket paths. Never looks up a name. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::network::{Networks, is_never_a_backend};
use super::{Options, Reason, UnixSockets};

/// Longest socket path, in bytes; the kernel takes 107.
const MAX_PATH_BYTES: usize = 100;

/// Address of a backend. Sorts numerically: IPv4, IPv6, host names, sockets; then by port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SocketOrHost {
    /// An IPv4 address and a port.
    V4(Ipv4Addr, u16),
    /// An IPv6 address and a port.
    V6(Ipv6Addr, u16),
    /// A host name, in lower case without a final dot, and a port.
    Name(String, u16),
    /// An absolute socket path.
    Unix(String),
}

impl fmt::Display for SocketOrHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocketOrHost::V4(ip, port) => write!(f, "{ip}:{port}"),
            SocketOrHost::V6(ip, port) => write!(f, "[{ip}]:{port}"),
            SocketOrHost::Name(name, port) => write!(f, "{name}:{port}"),
            SocketOrHost::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

impl SocketOrHost {
    /// Parses `host:port`, `[v6]:port`, or a bare host, which gets the port of `options`.
    pub(super) fn parse(text: &str, options: &Options) -> Result<SocketOrHost, Reason> {
        SocketOrHost::parse_with_port(text, options.port, options)
    }

    /// Parses like `parse`, but a bare host gets the port `default`.
    pub(super) fn parse_with_port(text: &str, default: Option<u16>, options: &Options) -> Result<SocketOrHost, Reason> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path, &options.unix);
        }
        if let Ok(socket) = text.parse::<SocketAddr>() {
            // The standard parser accepts leading zeros in ports, and zone ids; nginx does not know zone ids.
            let digits = text.rsplit(':').next().unwrap_or_default();
            return match text.contains('%') {
                true => Err(Reason::NoAddress),
                false => SocketOrHost::from_host(&socket.ip().to_string(), port_of(digits)?, options),
            };
        }
        let missing = || default.ok_or(Reason::NoPort);
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let ip: Ipv6Addr = inner.parse().map_err(|_| Reason::NoAddress)?;
            return SocketOrHost::from_host(&ip.to_string(), missing()?, options);
        }
        if text.parse::<IpAddr>().is_ok() {
            return SocketOrHost::from_host(text, missing()?, options);
        }
        match text.split_once(':') {
            Some((host, digits)) => SocketOrHost::from_host(host, port_of(digits)?, options),
            None if is_host_name(text) && !options.hostnames => Err(Reason::HostName),
            None if is_host_name(text) => SocketOrHost::from_host(text, missing()?, options),
            None => Err(Reason::NoAddress),
        }
    }

    /// Checks a host and combines it with a port.
    pub(super) fn from_host(host: &str, port: u16, options: &Options) -> Result<SocketOrHost, Reason> {
        match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
            Ok(ip) if !is_allowed(ip, &options.allow, &options.deny) => Err(Reason::NotAllowed),
            Ok(IpAddr::V4(ip)) => Ok(SocketOrHost::V4(ip, port)),
            Ok(IpAddr::V6(ip)) => Ok(SocketOrHost::V6(ip, port)),
            Err(_) if !is_host_name(host) => Err(Reason::NoAddress),
            Err(_) if !options.hostnames => Err(Reason::HostName),
            // A name's address is not known here, so `allow` and `deny` cannot be checked.
            Err(_) if options.allow.is_some() || options.deny.is_some() => Err(Reason::NotAllowed),
            Err(_) => Ok(SocketOrHost::Name(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase(), port)),
        }
    }

    /// Returns the address without the port; for a socket, its path.
    pub fn host(&self) -> String {
        match self {
            SocketOrHost::V4(ip, _) => ip.to_string(),
            SocketOrHost::V6(ip, _) => ip.to_string(),
            SocketOrHost::Name(name, _) => name.clone(),
            SocketOrHost::Unix(path) => path.clone(),
        }
    }

    /// Returns the port; `None` for a socket.
    pub fn port(&self) -> Option<u16> {
        match self {
            SocketOrHost::V4(_, port) | SocketOrHost::V6(_, port) | SocketOrHost::Name(_, port) => Some(*port),
            SocketOrHost::Unix(_) => None,
        }
    }
}

/// Parses a port: 1 to 65535, no sign, no leading zero.
pub(super) fn port_of(digits: &str) -> Result<u16, Reason> {
    let plain = digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    if plain { digits.parse().map_err(|_| Reason::BadPort) } else { Err(Reason::BadPort) }
}

fn is_allowed(ip: IpAddr, allow: &Option<Networks>, deny: &Option<Networks>) -> bool {
    let denied = deny.as_ref().is_some_and(|networks| networks.contain(ip));
    !denied && allow.as_ref().map_or(!is_never_a_backend(ip), |networks| networks.contain(ip))
}

/// Returns whether it is a host name by RFC 1123: labels of letters, digits and inner hyphens. The last label must not be a number,
/// which resolvers read as an address. A final dot is not part of the name. `unix` is none: nginx would read `unix:80` as a socket.
fn is_host_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.eq_ignore_ascii_case("unix") {
        return false;
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = last.bytes().all(|b| b.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    text.len() <= 253 && text.split('.').all(is_label) && !is_number
}

fn unix(path: &str, sockets: &UnixSockets) -> Result<SocketOrHost, Reason> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b'-');
    let is_path = path.strip_prefix('/').is_some_and(|rest| !rest.is_empty() && !rest.ends_with('/'))
        && path.len() <= MAX_PATH_BYTES
        && path.bytes().all(plain)
        && path.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
    if !is_path {
        return Err(Reason::NoAddress);
    }
    let allowed = match sockets {
        UnixSockets::No => return Err(Reason::UnixSocket),
        UnixSockets::Anywhere => true,
        UnixSockets::Below(folders) => folders
            .iter()
            .any(|folder| path.strip_prefix(folder.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))),
    };
    if allowed { Ok(SocketOrHost::Unix(path.to_owned())) } else { Err(Reason::NotAllowed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(options: &Options, text: &str, expected: Result<&str, Reason>) {
        let address = SocketOrHost::parse(text, options).map(|address| address.to_string());
        assert_eq!(address.as_deref().map_err(Clone::clone), expected, "{text:?}");
    }

    #[test]
    fn addresses_are_printed_again_or_refused() {
        let options = Options::default();
        for (text, expected) in [
            ("10.0.0.1:8080", Ok("10.0.0.1:8080")),
            ("127.0.0.1:1", Ok("127.0.0.1:1")),
            ("10.0.0.1:65535", Ok("10.0.0.1:65535")),
            ("[2001:DB8:0:0::1]:80", Ok("[2001:db8::1]:80")),
            ("[::1]:80", Ok("[::1]:80")),
            ("[::ffff:10.0.0.1]:80", Ok("10.0.0.1:80")),
            ("[::ffff:169.254.169.254]:80", Err(Reason::NotAllowed)),
            ("169.254.169.254:80", Err(Reason::NotAllowed)),
            ("0.0.0.0:80", Err(Reason::NotAllowed)),
            ("10.0.0.1", Err(Reason::NoPort)),
            ("10.0.0.1:", Err(Reason::BadPort)),
            ("10.0.0.1:0", Err(Reason::BadPort)),
            ("10.0.0.1:080", Err(Reason::BadPort)),
            ("10.0.0.1:+80", Err(Reason::BadPort)),
            ("10.0.0.1:65536", Err(Reason::BadPort)),
            ("[2001:db8::1]:080", Err(Reason::BadPort)),
            ("010.0.0.1:80", Err(Reason::NoAddress)),
            ("127.1:80", Err(Reason::NoAddress)),
            ("0x7f.0.0.1:80", Err(Reason::NoAddress)),
            ("0x7f000001:80", Err(Reason::NoAddress)),
            ("2130706433:80", Err(Reason::NoAddress)),
            ("::1:80", Err(Reason::NoPort)),
            ("[fe80::1%1]:80", Err(Reason::NoAddress)),
            ("10.0.0.1:80 ", Err(Reason::BadPort)),
            ("10.0.0.1:80;", Err(Reason::BadPort)),
            ("web.example.com:80", Err(Reason::HostName)),
            ("unix:/run/a.sock", Err(Reason::UnixSocket)),
            ("", Err(Reason::NoAddress)),
        ] {
            check(&options, text, expected);
        }
    }

    #[test]
    fn a_bare_host_gets_the_default_port() {
        let options = Options { port: Some(80), hostnames: true, ..Options::default() };
        for (text, expected) in [
            ("10.0.0.1", Ok("10.0.0.1:80")),
            ("2001:db8::1", Ok("[2001:db8::1]:80")),
            ("[2001:db8::1]", Ok("[2001:db8::1]:80")),
            ("Web-1.Example.com", Ok("web-1.example.com:80")),
            ("web:81", Ok("web:81")),
            ("-web:81", Err(Reason::NoAddress)),
            ("web.:81", Ok("web:81")),
            ("Web.Example.com.", Ok("web.example.com:80")),
            ("web..:81", Err(Reason::NoAddress)),
            ("unix", Err(Reason::NoAddress)),
            ("unix:80", Err(Reason::NoAddress)),
            ("Unix", Err(Reason::NoAddress)),
            ("UNIX:80", Err(Reason::NoAddress)),
            ("unix.:80", Err(Reason::NoAddress)),
            ("unix.example.com:80", Ok("unix.example.com:80")),
            ("10.0.0.1.:81", Err(Reason::NoAddress)),
            ("we_b:81", Err(Reason::NoAddress)),
            ("web.1:81", Err(Reason::NoAddress)),
            ("web.0x1:81", Err(Reason::NoAddress)),
        ] {
            check(&options, text, expected);
        }
    }

    #[test]
    fn sockets_and_networks_are_allowed_by_name() {
        let anywhere = Options { unix: UnixSockets::Anywhere, ..Options::default() };
        let below = Options { unix: UnixSockets::Below(vec!["/run/app".to_owned()]), ..Options::default() };
        check(&anywhere, "unix:/run/a.sock", Ok("unix:/run/a.sock"));
        for text in ["unix:a.sock", "unix:/run/../a", "unix:/a b", "unix:/a;", "unix:/", "unix://a", "unix:/a/"] {
            check(&anywhere, text, Err(Reason::NoAddress));
        }
        check(&below, "unix:/run/app/a.sock", Ok("unix:/run/app/a.sock"));
        check(&below, "unix:/run/app2/a.sock", Err(Reason::NotAllowed));
        let networks = |text: &str| Some(Networks::parse([text]).unwrap());
        let inside = Options { allow: networks("10.0.0.0/8"), deny: networks("10.1.0.0/16"), ..Options::default() };
        check(&inside, "10.0.0.1:80", Ok("10.0.0.1:80"));
        check(&inside, "10.1.0.1:80", Err(Reason::NotAllowed));
        check(&inside, "127.0.0.1:80", Err(Reason::NotAllowed));
        let named = Options { allow: networks("169.254.0.0/16"), hostnames: true, ..Options::default() };
        check(&named, "169.254.1.1:80", Ok("169.254.1.1:80"));
        check(&named, "web:80", Err(Reason::NotAllowed));
    }
}
