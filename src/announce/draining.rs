//! When a backend that is to stop has drained: every agent that sees its key has said, in a receipt, that nobody uses any more
//! what was there before the key said so. Pure: revisions, receipts and the time go in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::model::key::Revision;
use crate::model::receipt::{self, Fleet};

/// From one look at the receipts to the next.
const PAUSE: Duration = Duration::from_millis(100);

/// What is known of the draining of some keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrainWatch {
    /// The change that each key waits for: its own, to draining or to nothing; `None` until it is made.
    changes: BTreeMap<String, Option<Revision>>,
    look_at: Option<Instant>,
    waiting: Option<BTreeSet<String>>,
    is_over: bool,
}

/// What a look has brought, where that is worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// No receipt is of an agent that sees the keys: only the limit ends the wait.
    Nobody,
    /// These agents, by their ids, may still send requests.
    Waiting(BTreeSet<String>),
    /// It is over.
    Drained,
}

impl DrainWatch {
    /// Of these keys, from now on.
    pub fn of<'k>(keys: impl Iterator<Item = &'k str>, now: Instant) -> DrainWatch {
        let changes = keys.map(|key| (key.to_owned(), None)).collect();
        DrainWatch { changes, look_at: Some(now), ..DrainWatch::default() }
    }

    /// The key was changed at this revision.
    pub fn changed(&mut self, key: &str, revision: Revision) {
        if let Some(change) = self.changes.get_mut(key) {
            *change = Some(revision);
        }
    }

    /// When to look at the receipts; `None` while there is nothing to ask them.
    pub fn look_at(&self) -> Option<Instant> {
        let is_made = self.changes.values().all(Option::is_some);
        self.look_at.filter(|_| is_made && !self.is_over)
    }

    /// Whether all of it is over.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Takes the receipts as ids and values; `None` where they could not be read.
    pub fn take(&mut self, receipts: Option<&[(String, String)]>, now: Instant) -> Option<News> {
        self.look_at = Some(now + PAUSE);
        let receipts = receipts?;
        let fleets: Vec<Fleet> = self
            .changes
            .iter()
            .filter_map(|(key, revision)| {
                let receipts = receipts.iter().map(|(id, text)| (id.as_str(), text.as_str()));
                Some(receipt::fleet(receipts, key, (*revision)?))
            })
            .collect();
        let waiting: BTreeSet<String> = fleets.iter().flat_map(|fleet| fleet.waiting.iter().cloned()).collect();
        self.is_over = !fleets.is_empty() && fleets.iter().all(Fleet::has_drained);
        if self.is_over {
            return Some(News::Drained);
        }
        if self.waiting.as_ref() == Some(&waiting) {
            return None;
        }
        self.waiting = Some(waiting.clone());
        Some(if waiting.is_empty() { News::Nobody } else { News::Waiting(waiting) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(id: &str, drained: i64) -> (String, String) {
        let text = format!(
            r#"{{"format":1,"id":"{id}","version":"1","generation":1,"drained_generation":1,"resources":[{{"name":"web.toml",
            "keys":["/services/web"],"proof":"nginx","seen":{drained},"applied":{drained},"converged":{drained},
            "drained":{drained}}}]}}"#
        );
        (id.to_owned(), text)
    }

    fn ids(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
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
        assert_eq!(draining.take(Some(&[]), now), None, "told once");
        let both = [receipt("a", 8), receipt("b", 8)];
        assert_eq!(draining.take(Some(&both), now), Some(News::Waiting(ids(&["a", "b"]))));
        let one = [receipt("a", 9), receipt("b", 8)];
        assert_eq!(draining.take(Some(&one), now), Some(News::Waiting(ids(&["b"]))));
        assert!(!draining.is_over());
        // The other agent is gone, and its receipt with it.
        assert_eq!(draining.take(Some(&one[..1]), now), Some(News::Drained));
        assert!(draining.is_over() && draining.look_at().is_none());
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
