//! What can be asked of this host: its name, environment, clock, files, network interfaces. Only reads, never waits.

use std::net::IpAddr;
use std::path::Path;

use jiff::Zoned;
use nix::ifaddrs::getifaddrs;

/// The kernel's host name.
///
/// # Errors
/// A phrase for people, where the kernel does not say or the name is not UTF-8.
pub fn hostname() -> Result<String, String> {
    let name = nix::unistd::gethostname().map_err(|error| format!("the host name cannot be read: {error}"))?;
    name.into_string().map_err(|_| "the host name is not UTF-8".to_owned())
}

/// An environment variable of this process; `None` where it is unset or not UTF-8.
pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The current time, in the system's time zone.
pub fn now() -> Zoned {
    Zoned::now()
}

/// Whether something exists at `path`; false where that cannot be found out.
pub fn exists(path: &Path) -> bool {
    path.exists()
}

/// The addresses of a network interface, in the kernel's order; none where there is no such interface.
pub fn interface_addresses(name: &str) -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    interfaces
        .filter(|interface| interface.interface_name == name)
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_answers() {
        assert!(!hostname().unwrap().is_empty());
        assert!(exists(Path::new("/")) && !exists(Path::new("/absent/file")));
        assert!(env("PATH").is_some());
        for name in ["", "A=B", "A\0", "UPSTREAMD_SURELY_UNSET"] {
            assert_eq!(env(name), None, "{name:?}");
        }
        assert!(interface_addresses("lo").contains(&IpAddr::from([127, 0, 0, 1])));
        assert!(interface_addresses("none0").is_empty());
    }
}
