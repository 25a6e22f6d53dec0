//! What the board knows of nginx itself: whether it runs, and how long it took to drain and to take endpoints. Never looks for a process.

use std::time::Duration;

use super::Board;

/// The nginx that groups drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NginxState {
    /// Its master runs.
    Runs,
    /// No master runs.
    Away {
        /// The pid file that names none.
        pid_file: String,
        /// Start of that, in seconds since 1970.
        since: u64,
    },
}

impl Board {
    /// Records what a look at nginx has found: the pid file without a master, if one is; `None` if no group drives nginx.
    pub fn set_nginx(&mut self, seen: Option<Option<String>>, unix_seconds: u64) {
        let before = self.nginx.take();
        self.nginx = seen.map(|away| match (away, before) {
            (None, _) => NginxState::Runs,
            (Some(pid_file), Some(NginxState::Away { since, .. })) => NginxState::Away { pid_file, since },
            (Some(pid_file), _) => NginxState::Away { pid_file, since: unix_seconds },
        });
    }

    /// Records that the last old worker of a reload has ended.
    pub fn record_drain(&mut self, after: Duration) {
        self.drain_times.observe(after);
    }

    /// Records that nginx has taken the changed endpoints of a resource, this time after their publication.
    pub fn record_endpoint_change(&mut self, resource: &str, after: Duration) {
        self.endpoint_times.observe(after);
        self.changes.record_taken(resource, after);
    }
}
