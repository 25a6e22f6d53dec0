//! The changes of backends that nginx has not taken yet, for the log. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::model::backend_change::BackendChange;
use crate::model::resource::InstanceId;

/// The changes that nginx has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Untaken {
    /// At most two of each file: the first does not wait for those after it, which wait together.
    by_file: BTreeMap<InstanceId, Vec<WaitingChange>>,
}

/// A change of backends that was published.
#[derive(Debug)]
struct WaitingChange {
    at: Instant,
    /// Serial of the answers that have it.
    serial: u64,
    change: BackendChange,
}

impl WaitingChange {
    /// Returns this and a later one as one.
    fn and(self, later: WaitingChange) -> WaitingChange {
        WaitingChange { at: self.at, serial: later.serial, change: self.change.and(later.change) }
    }
}

impl Untaken {
    /// Records a change that was published at this time. Changes of one file that nginx takes together are one, from the first on.
    /// `serial` is that of the answers that have it.
    pub(super) fn add(&mut self, id: &InstanceId, change: &BackendChange, serial: u64, at: Instant) {
        let waiting = self.by_file.entry(id.clone()).or_default();
        let last = if waiting.len() > 1 { waiting.pop() } else { None };
        let change = WaitingChange { at, serial, change: change.clone() };
        waiting.push(match last {
            Some(last) => last.and(change),
            None => change,
        });
    }

    /// Returns whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.by_file.is_empty()
    }

    /// Returns the resources with such changes, each with the time of the first.
    pub(super) fn resources(&self) -> BTreeMap<Arc<str>, Instant> {
        let mut found = BTreeMap::new();
        for (id, waiting) in &self.by_file {
            for WaitingChange { at, .. } in waiting {
                let first = found.entry(Arc::clone(&id.resource)).or_insert(*at);
                *first = (*first).min(*at);
            }
        }
        found
    }

    /// Returns the changes that have been taken, with the time of their publication.
    pub(super) fn take(&mut self, has_taken: impl Fn(&str, u64) -> bool) -> Vec<(InstanceId, Instant, BackendChange)> {
        let mut found = Vec::new();
        self.by_file.retain(|id, waiting| {
            let is_taken = |waiting: &&WaitingChange| has_taken(&id.resource, waiting.serial);
            let count = waiting.iter().take_while(is_taken).count();
            let taken = waiting.drain(..count).reduce(WaitingChange::and);
            found.extend(taken.map(|taken| (id.clone(), taken.at, taken.change)));
            !waiting.is_empty()
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::live_backends::LiveBackends;

    #[test]
    fn changes_that_nginx_takes_together_are_one_for_each_file() {
        let id = |item: &str| InstanceId { resource: "web.toml".into(), item: Some(item.into()) };
        let change = BackendChange::between(None, &LiveBackends::default());
        let (start, mut untaken) = (Instant::now(), Untaken::default());
        for (item, serial) in [("a", 0), ("b", 1), ("a", 2)] {
            untaken.add(&id(item), &change, serial, start + Duration::from_secs(serial));
        }
        assert_eq!(untaken.take(|_, _| false), []);
        let expected = [(id("a"), start, change.clone()), (id("b"), start + Duration::from_secs(1), change)];
        assert_eq!(untaken.take(|resource, _| resource == "web.toml"), expected);
        assert!(untaken.resources().is_empty());
    }

    #[test]
    fn a_change_does_not_wait_for_those_after_it() {
        let id = InstanceId::from("web.toml");
        let change = BackendChange::between(None, &LiveBackends::default());
        let (start, mut untaken) = (Instant::now(), Untaken::default());
        let at = |serial| start + Duration::from_secs(serial);
        let take = |untaken: &mut Untaken, up_to: u64| {
            let taken = untaken.take(|_, serial| serial <= up_to);
            taken.into_iter().map(|(_, at, _)| at).collect::<Vec<_>>()
        };
        for serial in 1..=4 {
            untaken.add(&id, &change, serial, at(serial));
            assert_eq!(take(&mut untaken, 0), [] as [Instant; 0]);
        }
        let since = |untaken: &Untaken| untaken.resources().get("web.toml").copied();
        assert_eq!(since(&untaken), Some(at(1)));
        assert_eq!(take(&mut untaken, 1), [at(1)]);
        assert_eq!(since(&untaken), Some(at(2)), "those before are taken");
        for serial in 5..=6 {
            untaken.add(&id, &change, serial, at(serial));
            assert_eq!(take(&mut untaken, 3), [] as [Instant; 0]);
        }
        assert_eq!(take(&mut untaken, 4), [at(2)]);
        assert_eq!((take(&mut untaken, 6), untaken.is_empty()), (vec![at(5)], true));
    }
}
