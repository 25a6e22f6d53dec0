//! When a stopping backend has drained: every agent that sees its key has reported in a receipt that nothing older than the
//! change of the key is in use any more. Pure: revisions, receipts and the time go in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::model::key::Revision;
use crate::model::receipt::{self, Fleet, StoredReceipt};

/// Pause between two looks at the receipts.
const PAUSE: Duration = Duration::from_millis(100);

/// The draining of some keys, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrainWatch {
    /// Revision at which each key changed to draining or was deleted; `None` until that is done.
    changes: BTreeMap<String, Option<Revision>>,
    look_at: Option<Instant>,
    /// Agents of the last look, as in `News::Waiting`.
    last: Option<(BTreeSet<String>, BTreeSet<String>)>,
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
}

impl DrainWatch {
    /// Starts to watch these keys.
    pub fn of<'k>(keys: impl Iterator<Item = &'k str>, now: Instant) -> DrainWatch {
        let changes = keys.map(|key| (key.to_owned(), None)).collect();
        DrainWatch { changes, look_at: Some(now), ..DrainWatch::default() }
    }

    /// Records that the key was changed at this revision.
    pub fn changed(&mut self, key: &str, revision: Revision) {
        if let Some(change) = self.changes.get_mut(key) {
            *change = Some(revision);
        }
    }

    /// Returns when to look at the receipts; `None` until every key has changed, and once draining is over.
    pub fn look_at(&self) -> Option<Instant> {
        let is_made = self.changes.values().all(Option::is_some);
        self.look_at.filter(|_| is_made && !self.is_over)
    }

    /// Returns whether draining is over.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Evaluates the receipts; `None` if they could not be read.
    pub fn take(&mut self, receipts: Option<&[StoredReceipt]>, now: Instant) -> Option<News> {
        self.look_at = Some(now + PAUSE);
        let receipts = receipts?;
        let fleets: Vec<Fleet> = self
            .changes
            .iter()
            .filter_map(|(key, revision)| Some(receipt::fleet(receipts, key, (*revision)?)))
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

    #[test]
    fn every_agent_that_sees_the_key_has_to_say_so() {
        let now = Instant::now();
        let mut draining = DrainWatch::of(["/services/web/one"].into_iter(), now);
        assert_eq!(draining.look_at(), None, "the key does not say it yet");
        draining.changed("/services/other/one", Revision(3));
        assert_eq!(draining.look_at(), None);
        draining.changed("/services/web/one", Revision(9));
        assert_eq!(draining.look_at(), Some(now));
        assert_eq!(draining.take(None, now), None);
        assert_eq!(draining.look_at(), Some(now + PAUSE));
        assert_eq!(draining.take(Some(&[]), now), Some(News::Nobody));
        assert_eq!(draining.take(Some(&[]), now), None, "reported once");
        let both = [receipt("a", 8), receipt("b", 8)];
        assert_eq!(draining.take(Some(&both), now), waiting(&["a", "b"], &[]));
        let one = [receipt("a", 9), receipt("b", 8)];
        assert_eq!(draining.take(Some(&one), now), waiting(&["b"], &[]));
        assert!(!draining.is_over());
        // The other agent is gone, and its receipt with it.
        assert_eq!(draining.take(Some(&one[..1]), now), Some(News::Drained));
        assert!(draining.is_over() && draining.look_at().is_none());
    }

    #[test]
    fn an_agent_that_keeps_the_last_backend_is_news() {
        let now = Instant::now();
        let mut draining = DrainWatch::of(["/services/web/one"].into_iter(), now);
        draining.changed("/services/web/one", Revision(9));
        let text = receipt("a", 8).text.replace(r#""drained":8}"#, r#""drained":8,"held":true}"#);
        let held = [StoredReceipt { text, ..receipt("a", 8) }];
        assert_eq!(draining.take(Some(&[receipt("a", 8)]), now), waiting(&["a"], &[]));
        assert_eq!(draining.take(Some(&held), now), waiting(&["a"], &["a"]));
        assert_eq!(draining.take(Some(&held), now), None, "told once");
        assert_eq!(draining.take(Some(&[receipt("a", 9)]), now), Some(News::Drained));
    }

    #[test]
    fn nothing_to_drain_is_not_over_by_itself() {
        let now = Instant::now();
        let mut draining = DrainWatch::default();
        assert_eq!((draining.is_over(), draining.look_at()), (false, None));
        draining.take(Some(&[receipt("a", 9)]), now);
        assert!(!draining.is_over());
    }
}
