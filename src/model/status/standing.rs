//! What of a status stays as long as nothing happens: for whoever wants to see changes only. Pure.

use super::{AnnouncerStatus, Status, UnixTime};

impl Status {
    /// Returns the status without what moves by itself: the moment, and what etcd, leases, health checks and connections do all the time.
    #[must_use]
    pub fn standing(mut self) -> Status {
        self.at = UnixTime(0);
        for store in &mut self.stores {
            store.heard = None;
            store.receipt_lease.iter_mut().for_each(|lease| lease.left_seconds = 0);
        }
        let backends = self.upstreams.iter_mut().flat_map(|list| &mut list.backends);
        backends.for_each(|backend| backend.connections = None);
        let leaving = self.nginx.iter_mut().flat_map(|nginx| &mut nginx.leaving);
        leaving.for_each(|worker| worker.sockets = None);
        self.fleet_reading.iter_mut().for_each(|reading| reading.at = None);
        self.announced = self.announced.into_iter().map(AnnouncerStatus::standing).collect();
        self
    }
}

impl AnnouncerStatus {
    /// Returns the announcer without what moves by itself: the times of health checks, and the ends of leases.
    #[must_use]
    pub fn standing(mut self) -> AnnouncerStatus {
        for service in &mut self.services {
            service.check.at = service.check.at.map(|_| UnixTime(0));
            service.lease.iter_mut().for_each(|lease| lease.expires = UnixTime(0));
        }
        self
    }
}
