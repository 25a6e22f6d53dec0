//! The backends that a change took from nginx, as far as they are known. Data only.

use std::collections::BTreeSet;
use std::net::SocketAddr;

/// Backends that the files of a resource no longer name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// These addresses of backends, and nothing else that matters.
    Backends(BTreeSet<SocketAddr>),
    /// Anything.
    Unknown,
}

/// The backends that a change of a resource took from nginx, and how nginx learned of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceRemoval {
    /// The backends.
    pub removed: Removed,
    /// Whether nginx asks for the endpoints of its files: then workers that stay may have used the backends too.
    pub is_asked_for: bool,
    /// Addresses that left the answers to nginx, in an earlier run too, and have not drained.
    pub lost: BTreeSet<SocketAddr>,
    /// Serial of the answers that have the change: nginx has to take them.
    pub answers: u64,
}

impl Default for Removed {
    /// Returns the removal of nothing.
    fn default() -> Removed {
        Removed::Backends(BTreeSet::new())
    }
}

impl Removed {
    /// Returns the removal of these addresses; unknown if one of them has no IP address and port, as a host name or a socket.
    pub fn addresses<'a>(addresses: impl Iterator<Item = &'a &'a str>) -> Removed {
        let parsed: Result<BTreeSet<SocketAddr>, _> = addresses.map(|address| address.parse::<SocketAddr>()).collect();
        parsed.map_or(Removed::Unknown, Removed::Backends)
    }

    /// Adds a further removal.
    pub fn add(&mut self, more: Removed) {
        match (&mut *self, more) {
            (Removed::Backends(addresses), Removed::Backends(more)) => addresses.extend(more),
            _ => *self = Removed::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parts: &[&[&str]], expected: Option<&[&str]>) {
        let mut removed = Removed::default();
        parts.iter().for_each(|part| removed.add(Removed::addresses(part.iter())));
        let expected = expected.map(|addresses| addresses.iter().map(|address| address.parse().unwrap()).collect());
        assert_eq!(removed, expected.map_or(Removed::Unknown, Removed::Backends), "{parts:?}");
    }

    #[test]
    fn removals_add_up_and_one_that_is_not_known_makes_all_unknown() {
        check(&[], Some(&[]));
        check(&[&["10.0.0.1:80"], &[], &["[::1]:80", "10.0.0.1:80"]], Some(&["10.0.0.1:80", "[::1]:80"]));
        check(&[&["10.0.0.1:80", "unix:/run/a.sock"]], None);
        check(&[&["web:80"], &["10.0.0.1:80"]], None);
    }
}
