//! What of a status stays as long as nothing happens: for whoever wants to see changes only. Pure.

use super::{AnnouncerStatus, Status, UnixTime};

impl Status {
    /// Returns the status without times that move by themselves: the moment, and those of what etcd, leases and health checks do all the
    /// time.
    #[must_use]
    pub fn without_clocks(mut self) -> Status {
        self.at = UnixTime(0);
        for store in &mut self.stores {
            store.heard.iter_mut().for_each(|heard| heard.at = UnixTime(0));
            store.receipt_lease.iter_mut().for_each(|lease| lease.left_seconds = 0);
        }
        self.fleet_reading.iter_mut().for_each(|reading| reading.at = None);
        self.announced = self.announced.into_iter().map(AnnouncerStatus::without_clocks).collect();
        self
    }

    /// Returns the status without anything that moves by itself: such times, what etcd was last heard to say, and the connections of
    /// clients.
    #[must_use]
    pub fn without_motion(self) -> Status {
        let mut status = self.without_clocks();
        status.stores.iter_mut().for_each(|store| store.heard = None);
        let backends = status.upstreams.iter_mut().flat_map(|list| &mut list.backends);
        backends.for_each(|backend| backend.connections = None);
        let leaving = status.nginx.iter_mut().flat_map(|nginx| &mut nginx.leaving);
        leaving.for_each(|worker| worker.sockets = None);
        status
    }
}

impl AnnouncerStatus {
    /// Returns the announcer without times that move by themselves: those of health checks, and the ends of leases.
    #[must_use]
    pub fn without_clocks(mut self) -> AnnouncerStatus {
        for service in &mut self.services {
            service.check.at = service.check.at.map(|_| UnixTime(0));
            service.lease.iter_mut().for_each(|lease| lease.expires = UnixTime(0));
        }
        self
    }
}
