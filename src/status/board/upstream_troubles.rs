//! What nginx has said of its upstreams lately: facts of backends, and upstreams without a live server. Pure. Bounded.

use std::collections::BTreeMap;

use crate::nginx::upstream_log::UpstreamTrouble;

/// Most addresses, and most upstreams, that are remembered.
const MAX_REMEMBERED: usize = 1000;
/// Time for which a failure is remembered, in seconds.
const REMEMBERED_SECONDS: u64 = 600;
/// Time for which an upstream counts as without a live server after nginx has said so, in seconds: it says so at each request.
const LASTS_SECONDS: u64 = 2;

/// The last failure to reach each address, with its time in seconds since 1970.
pub type LastFailures = BTreeMap<String, (u64, String)>;

/// The last words of nginx about its upstreams.
#[derive(Clone, Debug, Default)]
pub struct UpstreamTroubles {
    failures: LastFailures,
    /// Upstreams without a live server, each from the first to the last time that nginx has said so without a pause.
    none_live: BTreeMap<String, (u64, u64)>,
}

impl UpstreamTroubles {
    /// Records what nginx has just said.
    pub fn record(&mut self, found: Vec<UpstreamTrouble>, unix_seconds: u64) {
        let is_over = |last: u64| unix_seconds.saturating_sub(last) > LASTS_SECONDS;
        self.none_live.retain(|_, (_, last)| !is_over(*last));
        self.failures.retain(|_, (at, _)| unix_seconds.saturating_sub(*at) <= REMEMBERED_SECONDS);
        for trouble in found {
            match trouble {
                UpstreamTrouble::Unreachable { address, words } => {
                    if self.failures.len() < MAX_REMEMBERED || self.failures.contains_key(&address) {
                        self.failures.insert(address, (unix_seconds, words));
                    }
                }
                UpstreamTrouble::NoneLive(name) => {
                    if self.none_live.len() < MAX_REMEMBERED || self.none_live.contains_key(&name) {
                        self.none_live.entry(name).or_insert((unix_seconds, 0)).1 = unix_seconds;
                    }
                }
            }
        }
    }

    /// Returns the last failure to reach each address, with its time in seconds since 1970.
    pub fn failures(&self) -> &LastFailures {
        &self.failures
    }

    /// Returns the upstreams that have no live server now, each with the start of that in seconds since 1970.
    pub fn none_live(&self, unix_seconds: u64) -> impl Iterator<Item = (&str, u64)> {
        let is_now = move |last: u64| unix_seconds.saturating_sub(last) <= LASTS_SECONDS;
        self.none_live
            .iter()
            .filter(move |(_, (_, last))| is_now(*last))
            .map(|(name, (since, _))| (name.as_str(), *since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_without_servers_is_over_when_nginx_stops_saying_so() {
        let mut troubles = UpstreamTroubles::default();
        let none = || vec![UpstreamTrouble::NoneLive("web".to_owned())];
        for at in [100, 101, 103] {
            troubles.record(none(), at);
        }
        assert_eq!(troubles.none_live(105).collect::<Vec<_>>(), [("web", 100)]);
        assert_eq!(troubles.none_live(106).count(), 0);
        troubles.record(none(), 110);
        assert_eq!(troubles.none_live(110).collect::<Vec<_>>(), [("web", 110)], "a start of its own");
    }

    #[test]
    fn the_last_failure_of_an_address_stays_a_fact_for_ten_minutes() {
        let mut troubles = UpstreamTroubles::default();
        let failed = |words: &str| {
            vec![UpstreamTrouble::Unreachable { address: "10.0.0.1:80".to_owned(), words: words.to_owned() }]
        };
        troubles.record(failed("first"), 100);
        troubles.record(failed("second"), 200);
        assert_eq!(troubles.failures().get("10.0.0.1:80"), Some(&(200, "second".to_owned())));
        troubles.record(Vec::new(), 801);
        assert!(troubles.failures().is_empty());
    }
}
