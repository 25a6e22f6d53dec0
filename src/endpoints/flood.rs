//! Counts the questions of each asker in a second, so that a flood by other users of this machine keeps nginx's from nobody. Pure: the
//! caller says whose socket an asker is.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Time after which everybody counts from nothing again: a port may be somebody else's by then.
const WINDOW: Duration = Duration::from_secs(1);
/// Questions of one asker in that time before somebody looks whose they are.
const UNSEEN_OF_ONE: u32 = 50;
/// Questions of all askers in that time from which on each asker is looked at.
const UNSEEN_OF_ALL: u32 = 20_000;
/// Most askers that are counted at a time.
const MAX_ASKERS: usize = 65_536;

/// The askers of one second.
#[derive(Debug, Default)]
pub struct FloodGuard {
    since: Option<Instant>,
    questions: u32,
    askers: HashMap<SocketAddr, AskerCount>,
}

#[derive(Clone, Copy, Debug, Default)]
struct AskerCount {
    questions: u32,
    /// Whether it is another user than nginx, once somebody has looked.
    is_other: Option<bool>,
}

impl FloodGuard {
    /// Counts a question. Returns whether it should be read: not if there are very many and its asker is known not to be nginx. `is_nginx`
    /// says whether it is nginx, `None` if that cannot be known; it is asked at most once for each asker and second.
    pub fn admit(&mut self, from: SocketAddr, now: Instant, is_nginx: impl FnOnce() -> Option<bool>) -> bool {
        if self.since.is_none_or(|since| now.duration_since(since) >= WINDOW) {
            *self = FloodGuard { since: Some(now), ..FloodGuard::default() };
        }
        if self.askers.len() >= MAX_ASKERS {
            self.askers.clear();
        }
        self.questions = self.questions.saturating_add(1);
        let asker = self.askers.entry(from).or_default();
        asker.questions = asker.questions.saturating_add(1);
        let is_one_of_many = asker.questions > UNSEEN_OF_ONE || self.questions > UNSEEN_OF_ALL;
        !(is_one_of_many && *asker.is_other.get_or_insert_with(|| is_nginx() == Some(false)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks so often from each of so many ports within a second; returns how many questions are read, and how often it was looked whose
    /// they are.
    fn ask(guard: &mut FloodGuard, now: Instant, (ports, each): (u16, u32), is_nginx: Option<bool>) -> (u32, u32) {
        let (mut read, mut looks) = (0, 0);
        for _ in 0..each {
            for port in 1..=ports {
                let from = SocketAddr::from(([127, 0, 0, 1], port));
                let is_nginx = || {
                    looks += 1;
                    is_nginx
                };
                read += u32::from(guard.admit(from, now, is_nginx));
            }
        }
        (read, looks)
    }

    #[test]
    fn only_what_others_ask_too_often_is_dropped() {
        let start = Instant::now();
        let mut guard = FloodGuard::default();
        assert_eq!(ask(&mut guard, start, (1, 50), Some(false)), (50, 0), "a few questions of anybody are read");
        assert_eq!(ask(&mut guard, start, (1, 1000), Some(false)), (0, 1));
        assert_eq!(ask(&mut guard, start + WINDOW, (1, 1000), Some(true)), (1000, 1));
        assert_eq!(ask(&mut guard, start + 2 * WINDOW, (1, 1000), None), (1000, 1));
        assert_eq!(ask(&mut guard, start + 3 * WINDOW, (1, 50), Some(false)), (50, 0), "the port may be nginx's now");
    }

    #[test]
    fn many_sockets_of_others_are_dropped_each() {
        let start = Instant::now();
        let mut guard = FloodGuard::default();
        let (read, looks) = ask(&mut guard, start, (25_000, 4), Some(false));
        assert_eq!((read, looks), (UNSEEN_OF_ALL, 25_000));
        let (read, looks) = ask(&mut guard, start, (2, 1), Some(true));
        assert_eq!((read, looks), (0, 0), "known by now");
        let nginx = SocketAddr::from(([127, 0, 0, 2], 7));
        assert!((0..100).all(|_| guard.admit(nginx, start, || Some(true))));
    }
}
