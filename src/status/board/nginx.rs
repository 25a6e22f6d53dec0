//! What the board knows of each nginx: whether it runs, which groups drive it, and how long it took to drain and to take endpoints. Never
//! looks for a process.

use std::time::Duration;

use crate::model::nginx::NginxPlace;

use super::Board;

/// An nginx that groups drive, as a look has found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenNginx {
    /// Where it is.
    pub place: NginxPlace,
    /// Whether its master runs.
    pub runs: bool,
    /// Ids of the groups that drive it.
    pub groups: Vec<String>,
}

/// An nginx that groups drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NginxState {
    /// Where it is.
    pub place: NginxPlace,
    /// Start of the time without a master, in seconds since 1970; `None` if one runs.
    pub away_since: Option<u64>,
}

impl NginxState {
    /// Returns its pid file.
    pub fn pid_file(&self) -> String {
        self.place.pid_file.display().to_string()
    }
}

impl Board {
    /// Records what a look at each nginx has found.
    pub fn set_nginx(&mut self, seen: Vec<SeenNginx>, unix_seconds: u64) {
        let before = std::mem::take(&mut self.nginx);
        self.groups.values_mut().for_each(|group| group.nginx = None);
        for SeenNginx { place, runs, groups } in seen {
            for id in groups {
                if let Some(group) = self.names.get(&id).and_then(|name| self.groups.get_mut(name)) {
                    group.nginx = Some(place.clone());
                }
            }
            let known = before.iter().find(|known| known.place.is_same(&place)).and_then(|known| known.away_since);
            let away_since = (!runs).then(|| known.unwrap_or(unix_seconds));
            self.nginx.push(NginxState { place, away_since });
        }
    }

    /// Returns each nginx that does not run, with the start of that in seconds since 1970.
    pub fn nginx_away(&self) -> impl Iterator<Item = (&NginxState, u64)> {
        self.nginx.iter().filter_map(|nginx| Some((nginx, nginx.away_since?)))
    }

    /// Returns whether the nginx that a group drives does not run.
    pub fn is_nginx_away_for(&self, group: &str) -> bool {
        let Some(place) = self.groups.get(group).and_then(|group| group.nginx.as_ref()) else { return false };
        self.nginx_away().any(|(nginx, _)| nginx.place.is_same(place))
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
