//! Lists of networks in CIDR notation, and the addresses that are never backends. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// A list of IPv4 and IPv6 networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks(Vec<(IpAddr, u8)>);

impl Networks {
    /// Parses `10.0.0.0/8`, `2001:db8::/32`, or single addresses.
    ///
    /// # Errors
    /// The index (from 0) of the first text that is not a network.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Networks, usize> {
        let networks = texts.into_iter().enumerate().map(|(position, text)| network(text).ok_or(position));
        networks.collect::<Result<_, _>>().map(Networks)
    }

    /// Returns whether the address is in one of the networks.
    pub fn contain(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|(base, length)| match (base, ip) {
            (IpAddr::V4(base), IpAddr::V4(ip)) => {
                let shift = 32 - u32::from(*length);
                (u32::from(*base) ^ u32::from(ip)).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(base), IpAddr::V6(ip)) => {
                let shift = 128 - u32::from(*length);
                (u128::from(*base) ^ u128::from(ip)).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        })
    }
}

impl fmt::Display for Networks {
    /// Writes each with its length and a blank.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(base, length)| write!(f, "{base}/{length} "))
    }
}

fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let ip: IpAddr = address.parse().ok()?;
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    let digits = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let length: u8 = match length {
        None => longest,
        Some(text) => Some(text).filter(digits)?.parse().ok()?,
    };
    (length <= longest).then_some((ip, length))
}

/// Address of the metadata service of Amazon's cloud over IPv6, which is not link-local.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Returns whether the address is unspecified, link-local or otherwise that of a cloud's metadata service, multicast or broadcast.
pub(super) fn is_never_a_backend(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[0] == 0 || ip.is_link_local() || ip.is_multicast() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_unicast_link_local() || ip.is_multicast() || ip == METADATA_V6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_the_addresses_with_their_prefix() {
        for (network, ip, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.7/31", "10.0.0.6", true),
            ("10.0.0.7", "10.0.0.7", true),
            ("10.0.0.7", "10.0.0.6", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "::1", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
        ] {
            assert_eq!(Networks::parse([network]).unwrap().contain(ip.parse().unwrap()), expected, "{network} {ip}");
        }
    }

    #[test]
    fn addresses_of_metadata_services_are_never_backends() {
        for (ip, expected) in [
            ("169.254.169.254", true),
            ("fe80::a9fe:a9fe", true),
            ("fd00:ec2::254", true),
            ("fd00:ec2::253", false),
            ("fd00::254", false),
        ] {
            assert_eq!(is_never_a_backend(ip.parse().unwrap()), expected, "{ip}");
        }
    }

    #[test]
    fn an_invalid_network_is_reported_by_index() {
        for text in ["10.0.0.0/33", "10.0.0/8", "a", "", "::/129", "10.0.0.0/+8", "10.0.0.0/"] {
            assert_eq!(Networks::parse(["::1", text]), Err(1), "{text}");
        }
    }
}
