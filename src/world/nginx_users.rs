//! Whose a socket is that asks us at a loopback address: one of nginx's users, or another local user who asks as nginx does. Only looks.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connections::user_of_asker;
use super::{clock, nginx_process};
use crate::model::nginx::NginxPlace;

/// Pause between two looks at the processes of nginx on behalf of users that are not known as its own.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// The users that nginx runs as.
#[derive(Debug)]
pub struct NginxUsers {
    /// Whether the kernel says whose a socket is.
    can_see: bool,
    known: Mutex<KnownUsers>,
}

#[derive(Debug, Default)]
struct KnownUsers {
    places: Vec<NginxPlace>,
    /// User ids of the processes at the last look at which a master ran; `None` as long as none was seen.
    users: Option<BTreeSet<u32>>,
    next_look: Option<Instant>,
}

impl NginxUsers {
    /// Returns one that knows no nginx yet. Tries whether the kernel says whose a socket is.
    pub fn unknown() -> NginxUsers {
        NginxUsers { can_see: can_see(), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, KnownUsers> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records where the masters of nginx are.
    pub fn look_at<'a>(&self, places: impl Iterator<Item = &'a NginxPlace> + Clone) {
        let mut known = self.known();
        if known.places.iter().ne(places.clone()) {
            *known = KnownUsers { places: places.cloned().collect(), ..KnownUsers::default() };
        }
    }

    /// Returns whether nginx may be who asks our address `asked` from there: its user is one of nginx's, or that cannot be known, as from
    /// another machine, or as long as no nginx was seen.
    pub fn may_be(&self, asker: SocketAddr, asked: SocketAddr) -> bool {
        if !self.can_see || !asked.ip().is_loopback() {
            return true;
        }
        // Whoever has closed the socket by now does not wait for an answer.
        let user = user_of_asker(asker, asked).ok();
        let mut known = self.known();
        let is_known = |known: &KnownUsers| {
            known.users.as_ref().is_none_or(|users| user.is_some_and(|user| users.contains(&user)))
        };
        let now = clock::now();
        if (known.users.is_none() || !is_known(&known)) && known.next_look.is_none_or(|at| at <= now) {
            known.next_look = Some(now + LOOK_PAUSE);
            let masters = known.places.iter().filter_map(|place| nginx_process::master(&place.pid_file, &place.binary));
            let users: BTreeSet<u32> = masters.flat_map(nginx_process::users).collect();
            if !users.is_empty() {
                known.users = Some(users);
            }
        }
        is_known(&known)
    }
}

/// Returns whether the kernel says that a socket of ours is ours.
fn can_see() -> bool {
    let pair = || {
        let asked = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        let asker = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        let asked_at = asked.local_addr().ok()?;
        asker.connect(asked_at).ok()?;
        user_of_asker(asker.local_addr().ok()?, asked_at).ok()
    };
    pair() == Some(nix::unistd::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_long_as_no_nginx_was_seen_anybody_may_be_it() {
        let users = NginxUsers::unknown();
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert!(users.can_see, "the kernel of every machine that runs the tests says so");
        assert!(users.may_be(address("127.0.0.1:1"), address("127.0.0.1:53")));
        users.known().users = Some([1].into());
        assert!(
            users.may_be(address("10.0.0.1:1"), address("10.0.0.2:53")),
            "what is not on this machine cannot be known"
        );
        assert!(!users.may_be(address("127.0.0.1:1"), address("127.0.0.1:53")), "nobody has that socket");
        for listener in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(asked) = UdpSocket::bind(listener) else { continue };
            let asker = UdpSocket::bind(listener).unwrap();
            let (asked, from) = (asked.local_addr().unwrap(), asker.local_addr().unwrap());
            users.known().users = Some([1].into());
            assert!(!users.may_be(from, asked));
            users.known().users = Some([nix::unistd::geteuid().as_raw()].into());
            assert!(users.may_be(from, asked), "a socket that is not connected");
            asker.connect(asked).unwrap();
            assert!(users.may_be(from, asked), "one that is");
        }
    }
}
