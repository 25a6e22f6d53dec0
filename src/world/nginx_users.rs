//! Finds the owner of a socket that asks us at a loopback address: one of nginx's users, or another local user; and nginx's workers.
//! Only looks.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connections::{Transport, user_of_asker};
use super::{clock, nginx_process};
use crate::model::nginx::NginxPlace;
use crate::model::process::Process;
use crate::nginx::process::Role;

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
    /// Each nginx, with the user ids of its processes when it ran last; none if it was never seen.
    places: Vec<(NginxPlace, BTreeSet<u32>)>,
    next_look: Option<Instant>,
}

impl KnownUsers {
    /// Returns whether a user is one of nginx's; `None` if that is not known.
    fn has(&self, user: Option<u32>) -> Option<bool> {
        let is_its = |users: &BTreeSet<u32>| user.is_some_and(|user| users.contains(&user));
        if self.places.iter().any(|(_, users)| is_its(users)) {
            return Some(true);
        }
        let all_known = !self.places.is_empty() && self.places.iter().all(|(_, users)| !users.is_empty());
        all_known.then_some(false)
    }

    fn look(&mut self) {
        for (place, known) in &mut self.places {
            let users: BTreeSet<u32> = masters(place).flat_map(nginx_process::users).collect();
            if !users.is_empty() {
                *known = users;
            }
        }
    }
}

impl NginxUsers {
    /// Returns one that knows no nginx yet. Tries whether the kernel says whose a socket is.
    pub fn unknown() -> NginxUsers {
        NginxUsers { can_see: can_see(), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, KnownUsers> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records where the masters of nginx are; none if that is not known of all.
    pub fn look_at(&self, places: &[NginxPlace]) {
        let mut known = self.known();
        if !known.places.iter().map(|(place, _)| place).eq(places) {
            let places = places.iter().map(|place| (place.clone(), BTreeSet::new())).collect();
            *known = KnownUsers { places, next_look: None };
        }
    }

    /// Returns the workers of every nginx that serve now; `None` if those of one are not known.
    pub fn workers(&self) -> Option<BTreeSet<Process>> {
        let places: Vec<NginxPlace> = self.known().places.iter().map(|(place, _)| place.clone()).collect();
        let mut workers = BTreeSet::new();
        for place in &places {
            let children = masters(place).filter_map(nginx_process::children).flatten();
            let before = workers.len();
            workers.extend(children.filter(|child| child.role == Role::Worker).map(|child| child.process));
            if workers.len() == before {
                return None;
            }
        }
        (!workers.is_empty()).then_some(workers)
    }

    /// Returns whether the program of an nginx is being replaced, and workers of the previous one serve, too.
    pub fn has_previous_workers(&self) -> bool {
        let places: Vec<NginxPlace> = self.known().places.iter().map(|(place, _)| place.clone()).collect();
        let has_them = |place: &NginxPlace| {
            let previous = nginx_process::master(&place.old_pid_file(), &place.binary)?;
            // A file that was left behind may name the present one.
            let is_previous = nginx_process::master(&place.pid_file, &place.binary) != Some(previous);
            let children = nginx_process::children(previous).filter(|_| is_previous)?;
            children.iter().any(|child| child.role == Role::Worker).then_some(())
        };
        places.iter().any(|place| has_them(place).is_some())
    }

    /// Returns whether nginx asks our address `asked` from there: whether the user of that socket is one of nginx's. `None` if that
    /// cannot be known: from another machine, or as long as an nginx was not seen.
    pub fn is_nginx(&self, transport: Transport, asker: SocketAddr, asked: SocketAddr) -> Option<bool> {
        if !self.can_see || !asked.ip().is_loopback() || self.known().places.is_empty() {
            return None;
        }
        let user = match user_of_asker(transport, asker, asked) {
            Ok(user) => Some(user),
            // Whoever has closed the socket by now does not wait for an answer.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(_) => return None,
        };
        let mut known = self.known();
        let now = clock::now();
        if known.has(user) != Some(true) && known.next_look.is_none_or(|at| at <= now) {
            known.next_look = Some(now + LOOK_PAUSE);
            known.look();
        }
        known.has(user)
    }
}

/// Returns the masters of an nginx: two while its program is being replaced.
fn masters(place: &NginxPlace) -> impl Iterator<Item = Process> {
    let pid_files = [place.pid_file.clone(), place.old_pid_file()].into_iter();
    pid_files.filter_map(|pid_file| nginx_process::master(&pid_file, &place.binary))
}

/// Returns whether the kernel says that a socket of ours is ours.
fn can_see() -> bool {
    let pair = || {
        let asked = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        let asker = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        let asked_at = asked.local_addr().ok()?;
        asker.connect(asked_at).ok()?;
        user_of_asker(Transport::Udp, asker.local_addr().ok()?, asked_at).ok()
    };
    pair() == Some(nix::unistd::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_user_is_known_as_nginxs_or_another_once_each_nginx_was_seen() {
        let users = NginxUsers::unknown();
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (nobody, asked) = (address("127.0.0.1:1"), address("127.0.0.1:53"));
        let know = |all: &[&[u32]]| {
            let place = |user: &&[u32]| {
                let place = NginxPlace { pid_file: "/pid".into(), binary: "nginx".into(), error_log: "/log".into() };
                (place, user.iter().copied().collect())
            };
            *users.known() = KnownUsers { places: all.iter().map(place).collect(), next_look: None };
        };
        let own = nix::unistd::geteuid().as_raw();
        assert!(users.can_see, "the kernel of every machine that runs the tests says so");
        assert_eq!(users.is_nginx(Transport::Udp, nobody, asked), None, "no nginx is known");
        know(&[&[1], &[]]);
        assert_eq!(users.is_nginx(Transport::Udp, nobody, asked), None, "one was not seen yet");
        know(&[&[1], &[2]]);
        assert_eq!(users.is_nginx(Transport::Udp, nobody, asked), Some(false), "nobody has that socket");
        assert_eq!(
            users.is_nginx(Transport::Udp, address("10.0.0.1:1"), address("10.0.0.2:53")),
            None,
            "not on this machine"
        );
        for listener in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(asked) = UdpSocket::bind(listener) else { continue };
            let asker = UdpSocket::bind(listener).unwrap();
            let (asked, from) = (asked.local_addr().unwrap(), asker.local_addr().unwrap());
            know(&[&[own + 1]]);
            assert_eq!(users.is_nginx(Transport::Udp, from, asked), Some(false));
            know(&[&[own + 1], &[own, own + 2]]);
            assert_eq!(users.is_nginx(Transport::Udp, from, asked), Some(true), "a socket that is not connected");
            asker.connect(asked).unwrap();
            assert_eq!(users.is_nginx(Transport::Udp, from, asked), Some(true), "one that is");
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let asked = listener.local_addr().unwrap();
        let connection = TcpStream::connect(asked).unwrap();
        let from = connection.local_addr().unwrap();
        know(&[&[own]]);
        assert_eq!(users.is_nginx(Transport::Tcp, from, asked), Some(true));
        know(&[&[0, own + 1]]);
        assert_eq!(users.is_nginx(Transport::Tcp, from, asked), Some(own == 0));
        // Of a connection that is closed the kernel says that it is root's.
        drop(connection);
        assert_eq!(users.is_nginx(Transport::Tcp, from, asked), Some(false));
        users.look_at(&[]);
        assert_eq!(users.is_nginx(Transport::Udp, nobody, asked), None);
    }
}
