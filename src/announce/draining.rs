//! When a stopping backend has drained: every agent that sees its key has reported in a receipt that nothing older than the
//! change of the key is in use any more. Pure: revisions, receipts and the time go in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::model::backoff::Backoff;
use crate::model::etcd::EtcdFailure;
use crate::model::key::Revision;
use crate::model::receipt::{self, Fleet, StoredReceipt};

/// Shortest pause between two looks at the receipts, however often they change.
const PAUSE: Duration = Duration::from_millis(100);

/// The draining of some keys, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct DrainWatch {
    /// Revision at which each key changed to draining or was deleted; `None` until that is done.
    changes: BTreeMap<String, Option<Revision>>,
    /// Earliest time of the next look; `None` while the receipts are watched and none has changed.
    look_at: Option<Instant>,
    last_look: Option<Instant>,
    backoff: Backoff,
    /// Agents of the last look, as in `News::Waiting`.
    last: Option<(BTreeSet<String>, BTreeSet<String>)>,
    /// Whether `News::Unreadable` was returned and nothing was read since.
    is_unreadable: bool,
    is_over: bool,
}

/// The news of a look that are worth logging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// No receipt is of an agent that sees the keys: only the time limit ends the wait.
    Nobody,
    /// Some agents may still send requests.
    Waiting {
        /// Their ids.
        agents: BTreeSet<String>,
        /// Ids of those of them that keep the backend because too few others are left.
        holding: BTreeSet<String>,
    },
    /// All agents have drained.
    Drained,
    /// The receipts cannot be read.
    Unreadable(EtcdFailure),
}

impl DrainWatch {
    /// Starts to watch these keys.
    pub fn of(keys: Vec<String>, now: Instant) -> DrainWatch {
        let changes = keys.into_iter().map(|key| (key, None)).collect();
        DrainWatch { changes, look_at: Some(now), ..DrainWatch::default() }
    }

    /// Records that the key was changed at this revision.
    pub fn changed(&mut self, key: &str, revision: Revision) {
        if let Some(change) = self.changes.get_mut(key) {
            *change = Some(revision);
        }
    }

    /// Returns the keys.
    pub fn keys(&self) -> Vec<&str> {
        self.changes.keys().map(String::as_str).collect()
    }

    /// Returns when to look at the receipts; `None` until every key has changed, until a receipt changes, and once draining
    /// is over.
    pub fn look_at(&self) -> Option<Instant> {
        self.look_at.filter(|_| self.is_under_way())
    }

    /// Returns whether to wait for a change of the receipts.
    pub fn is_watching(&self) -> bool {
        self.look_at.is_none() && self.is_under_way()
    }

    fn is_under_way(&self) -> bool {
        !self.changes.is_empty() && self.changes.values().all(Option::is_some) && !self.is_over
    }

    /// Returns whether draining is over.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Records that a receipt has changed, or that the watch of them has failed. `random` is from 0 up to 1.
    pub fn heard<E>(&mut self, change: &Result<(), E>, now: Instant, random: f64) {
        self.look_at = Some(match change {
            Ok(()) => {
                self.backoff.reset();
                self.last_look.map_or(now, |last| now.max(last + PAUSE))
            }
            Err(_) => now + self.backoff.next_delay(random),
        });
    }

    /// Evaluates a look at the receipts, read or not. `random` is from 0 up to 1.
    pub fn take(
        &mut self,
        receipts: Result<Vec<StoredReceipt>, EtcdFailure>,
        now: Instant,
        random: f64,
    ) -> Option<News> {
        let receipts = match receipts {
            Ok(receipts) => receipts,
            Err(failure) => {
                self.look_at = Some(now + self.backoff.next_delay(random));
                let is_reported = std::mem::replace(&mut self.is_unreadable, true);
                return (!is_reported).then_some(News::Unreadable(failure));
            }
        };
        (self.look_at, self.last_look, self.is_unreadable) = (None, Some(now), false);
        let fleets: Vec<Fleet> = self
            .changes
            .iter()
            .filter_map(|(key, revision)| Some(receipt::fleet(&receipts, key, (*revision)?)))
            .collect();
        let ids = |of: fn(&Fleet) -> &Vec<String>| fleets.iter().flat_map(of).cloned().collect::<BTreeSet<_>>();
        let (agents, holding) = (ids(|fleet| &fleet.waiting), ids(|fleet| &fleet.holding));
        self.is_over = !fleets.is_empty() && fleets.iter().all(Fleet::has_drained);
        if self.is_over {
            return Some(News::Drained);
        }
        let found = Some((agents.clone(), holding.clone()));
        if std::mem::replace(&mut self.last, found.clone()) == found {
            return None;
        }
        Some(if agents.is_empty() { News::Nobody } else { News::Waiting { agents, holding } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::etcd::FailureKind;

    fn receipt(id: &str, drained: i64) -> StoredReceipt {
        let text = format!(
            r#"{{"format":1,"id":"{id}","version":"1","generation":1,"drained_generation":1,"resources":[{{"name":"web.toml",
            "keys":["/services/web"],"proof":"nginx","seen":{drained},"applied":{drained},"converged":{drained},
            "drained":{drained}}}]}}"#
        );
        StoredReceipt { id: id.to_owned(), text, written: Revision(50) }
    }

    fn waiting(agents: &[&str], holding: &[&str]) -> Option<News> {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        Some(News::Waiting { agents: ids(agents), holding: ids(holding) })
    }

    fn denied() -> EtcdFailure {
        EtcdFailure { kind: FailureKind::Denied, problem: "permission denied".to_owned() }
    }

    /// The draining of one key that says so since revision 9.
    fn draining(now: Instant) -> DrainWatch {
        let mut draining = DrainWatch::of(vec!["/services/web/one".to_owned()], now);
        assert_eq!((draining.look_at(), draining.is_watching()), (None, false), "the key does not say it yet");
        draining.changed("/services/other/one", Revision(3));
        assert_eq!(draining.look_at(), None);
        draining.changed("/services/web/one", Revision(9));
        assert_eq!(draining.look_at(), Some(now));
        draining
    }

    #[test]
    fn every_agent_that_sees_the_key_has_to_say_so() {
        let now = Instant::now();
        let mut draining = draining(now);
        let mut take = |receipts: &[StoredReceipt]| draining.take(Ok(receipts.to_vec()), now, 0.5);
        assert_eq!(take(&[]), Some(News::Nobody));
        assert_eq!(take(&[]), None, "reported once");
        let both = [receipt("a", 8), receipt("b", 8)];
        assert_eq!(take(&both), waiting(&["a", "b"], &[]));
        let one = [receipt("a", 9), receipt("b", 8)];
        assert_eq!(take(&one), waiting(&["b"], &[]));
        // The other agent is gone, and its receipt with it.
        assert_eq!(take(&one[..1]), Some(News::Drained));
        assert!(draining.is_over() && draining.look_at().is_none() && !draining.is_watching());
    }

    #[test]
    fn receipts_are_read_again_only_when_one_has_changed() {
        let now = Instant::now();
        let mut draining = draining(now);
        draining.take(Ok(vec![receipt("a", 8)]), now, 0.5);
        assert_eq!((draining.look_at(), draining.is_watching()), (None, true));
        draining.heard(&Ok::<_, ()>(()), now, 0.5);
        assert_eq!(draining.look_at(), Some(now + PAUSE), "many changes are one look");
        draining.heard(&Ok::<_, ()>(()), now + 9 * PAUSE, 0.5);
        assert_eq!((draining.look_at(), draining.is_watching()), (Some(now + 9 * PAUSE), false));
    }

    #[test]
    fn unreadable_receipts_are_reported_once_and_asked_for_less_and_less() {
        let mut now = Instant::now();
        let mut draining = draining(now);
        assert_eq!(draining.take(Err(denied()), now, 1.0), Some(News::Unreadable(denied())));
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let at = draining.look_at().unwrap();
            pauses.push((at - now).as_millis());
            now = at;
            assert_eq!(draining.take(Err(denied()), now, 1.0), None, "reported once");
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        // A watch that breaks each time that it was opened is a failure too; a change that arrives is none.
        assert_eq!(draining.take(Ok(vec![]), now, 1.0), Some(News::Nobody));
        draining.heard(&Err(denied()), now, 0.0);
        assert_eq!(draining.look_at(), Some(now + Duration::from_secs(5)), "with jitter");
        draining.heard(&Ok::<_, ()>(()), now, 1.0);
        assert_eq!(draining.take(Err(denied()), now, 1.0), Some(News::Unreadable(denied())));
        assert_eq!(draining.look_at(), Some(now + PAUSE));
    }

    #[test]
    fn an_agent_that_keeps_the_last_backend_is_news() {
        let now = Instant::now();
        let mut draining = draining(now);
        let mut take = |receipt: StoredReceipt| draining.take(Ok(vec![receipt]), now, 0.5);
        let text = receipt("a", 8).text.replace(r#""drained":8}"#, r#""drained":8,"held":true}"#);
        let held = StoredReceipt { text, ..receipt("a", 8) };
        assert_eq!(take(receipt("a", 8)), waiting(&["a"], &[]));
        assert_eq!(take(held.clone()), waiting(&["a"], &["a"]));
        assert_eq!(take(held), None, "reported once");
        assert_eq!(take(receipt("a", 9)), Some(News::Drained));
    }

    #[test]
    fn nothing_to_drain_is_not_over_by_itself() {
        let now = Instant::now();
        let mut draining = DrainWatch::default();
        assert_eq!((draining.is_over(), draining.look_at(), draining.is_watching()), (false, None, false));
        draining.take(Ok(vec![receipt("a", 9)]), now, 0.5);
        assert!(!draining.is_over());
    }
}
