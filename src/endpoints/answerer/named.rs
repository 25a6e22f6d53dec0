//! One name: its set, and who asks for it. Pure.

use std::sync::Arc;
use std::time::Instant;

use super::{Asker, Uptake, Worker};
use crate::endpoints::poller::Poller;
use crate::model::endpoints::Endpoint;

/// Most askers of one name that are remembered, for each upstream that asks for it.
pub(super) const MAX_POLLERS: usize = 64;

/// Most sets of one name before the present one whose serials are remembered.
const MAX_EARLIER: usize = 16;

/// One name.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) endpoints: Arc<[Endpoint]>,
    /// Serial of the change that gave it this set.
    pub(super) serial: u64,
    /// Serials of the last sets before this one, the latest last.
    earlier: Vec<u64>,
    /// Number of the upstreams that ask for it: each of a worker has its own sockets, and looks like a worker.
    pub(super) upstreams: usize,
    /// A few, and there are thousands of names: a map would reserve room for a dozen.
    pub(super) pollers: Vec<(Asker, Poller)>,
}

impl Named {
    /// Returns a name with its first set, which has this serial.
    pub(super) fn new(endpoints: Arc<[Endpoint]>, serial: u64) -> Named {
        Named { endpoints, serial, earlier: Vec::new(), upstreams: 1, pollers: Vec::new() }
    }

    /// Replaces the set.
    pub(super) fn replace(&mut self, endpoints: Arc<[Endpoint]>, serial: u64) {
        if self.earlier.len() == MAX_EARLIER {
            self.earlier.remove(0);
        }
        self.earlier.push(std::mem::replace(&mut self.serial, serial));
        self.endpoints = endpoints;
    }

    /// Returns the peers to answer with.
    pub(super) fn peers<'a>(&'a self, refuge: &'a Endpoint) -> &'a [Endpoint] {
        if self.endpoints.is_empty() { std::slice::from_ref(refuge) } else { &self.endpoints }
    }

    /// Returns whether nginx has the present set.
    pub(super) fn uptake(&self, now: Instant) -> Uptake {
        match self.taken(now) {
            None => Uptake::Unasked,
            Some(taken) if taken == Some(self.serial) => Uptake::Taken,
            Some(_) => Uptake::Asked,
        }
    }

    /// Returns the serial of the set that the newest worker has in each upstream, if it is known to have one; `None` if nobody asks.
    pub(super) fn taken(&self, now: Instant) -> Option<Option<u64>> {
        let asking = || self.pollers.iter().map(|(_, poller)| poller).filter(|poller| poller.asks(now));
        let taken_by =
            |number: u64| asking().filter(|poller| poller.number == number).filter_map(|one| one.taken).max();
        let mut newest = asking().map(|poller| poller.number).max()?;
        let mut taken = taken_by(newest);
        for _ in 1..self.upstreams {
            let next = asking().map(|poller| poller.number).filter(|number| *number < newest).max();
            // `None` is less than any serial.
            taken = taken.min(next.and_then(taken_by));
            newest = next.unwrap_or_default();
        }
        Some(taken)
    }

    /// Returns the newest worker that has asked in each upstream, and again after an answer. Its address is the same one whichever upstream
    /// asks first, after a restart of ours too.
    pub(super) fn newest_worker(&self) -> Option<Worker> {
        let known = || self.pollers.iter().filter(|(_, poller)| poller.has_taken_any());
        let numbers = || known().map(|(_, poller)| poller.number);
        let (_, newest) = known().max_by_key(|(_, poller)| poller.number)?;
        let mut oldest = newest.number;
        for _ in 1..self.upstreams {
            oldest = numbers().filter(|number| *number < oldest).max()?;
        }
        let of_each = known().filter(|(_, poller)| poller.number >= oldest);
        let address = of_each.map(|(asker, _)| asker.address).min()?;
        Some(Worker { number: newest.number, address, since: newest.since })
    }

    /// Returns the serial of the first set that nginx has not taken; `None` if it has the present one.
    pub(super) fn first_untaken(&self, now: Instant) -> Option<u64> {
        let Some(taken) = self.taken(now).flatten() else { return Some(0) };
        let later = self.earlier.iter().copied().chain([self.serial]).skip_while(|serial| *serial != taken);
        match later.take(2).last() {
            // It is one of those that are forgotten: which came after it is not known.
            None => Some(taken + 1),
            Some(last) => Some(last).filter(|last| *last != taken),
        }
    }

    /// Returns the newest worker, with its first question, if it asks and has not asked at this address of ours in each upstream. nginx
    /// asks all our addresses in turn, from a socket for each.
    pub(super) fn worker_at_other_addresses(&self, socket: usize, now: Instant) -> Option<(u64, Instant)> {
        let asking = || self.pollers.iter().map(|(_, poller)| poller).filter(|poller| poller.asks(now));
        let asks_here =
            |number: u64| self.pollers.iter().any(|(asker, poller)| asker.socket == socket && poller.number == number);
        let mut newest = asking().map(|poller| (poller.number, poller.since)).max()?;
        for _ in 1..self.upstreams {
            if !asks_here(newest.0) {
                break;
            }
            let earlier = asking().filter(|poller| poller.number < newest.0);
            newest = earlier.map(|poller| (poller.number, poller.since)).max()?;
        }
        (!asks_here(newest.0)).then_some(newest)
    }

    /// Returns what is known of an asker.
    pub(super) fn poller(&self, asker: Asker) -> Option<&Poller> {
        self.pollers.iter().find(|(known, _)| *known == asker).map(|(_, poller)| poller)
    }

    /// Returns the same to change it.
    pub(super) fn poller_mut(&mut self, asker: Asker) -> Option<&mut Poller> {
        self.pollers.iter_mut().find(|(known, _)| *known == asker).map(|(_, poller)| poller)
    }

    /// Returns who is gone and was followed by a later worker.
    pub(super) fn gone_before_newest(&self, now: Instant) -> Vec<Asker> {
        let newest = self.pollers.iter().map(|(_, poller)| poller.number).max();
        let is_gone = |poller: &Poller| Some(poller.number) < newest && poller.is_gone(now);
        self.pollers.iter().filter(|(_, poller)| is_gone(poller)).map(|(asker, _)| *asker).collect()
    }

    /// Returns who has to be forgotten before somebody else asks: who is gone, and if there are too many, who has been silent for longest.
    pub(super) fn too_many(&self, now: Instant) -> Vec<Asker> {
        let gone = self.pollers.iter().filter(|(_, poller)| poller.is_gone(now));
        let mut forgotten: Vec<Asker> = gone.map(|(asker, _)| *asker).collect();
        if self.pollers.len() - forgotten.len() >= MAX_POLLERS * self.upstreams.max(1) {
            let idle = self.pollers.iter().filter(|(_, poller)| poller.held.is_none());
            let oldest = idle.min_by_key(|(_, poller)| poller.active_at()).or(self.pollers.first());
            forgotten.extend(oldest.map(|(asker, _)| *asker));
        }
        forgotten
    }
}
