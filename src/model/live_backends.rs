//! The backends in a live file: small, because there may be thousands of files, and shared by whoever looks at them. Pure. Never
//! decodes a key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::resource::InstanceId;

/// A backend that a template has listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListedBackend<'a> {
    /// Its address, as it was decoded.
    pub address: &'a str,
    /// Its key, as the resource sees it.
    pub key: &'a str,
    /// Who announced it; empty if its record does not say so.
    pub announcer: &'a str,
    /// Its share of traffic.
    pub state: ListedState,
    /// Share of the traffic.
    pub weight: u16,
}

/// The share of traffic that a listed backend gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListedState {
    /// No traffic.
    Down,
    /// No new traffic: it finishes open requests.
    Draining,
    /// Traffic only while all others are unavailable.
    Backup,
    /// Traffic.
    Up,
}

impl ListedState {
    /// Returns its word in the status.
    pub fn word(self) -> &'static str {
        match self {
            ListedState::Down => "down",
            ListedState::Draining => "draining",
            ListedState::Backup => "backup",
            ListedState::Up => "up",
        }
    }

    /// Returns whether it gets no traffic.
    pub fn is_down(self) -> bool {
        matches!(self, ListedState::Down | ListedState::Draining)
    }
}

/// The backends of a live file, by address.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LiveBackends {
    /// Address, key and announcer of each, one after the other.
    texts: Box<str>,
    rows: Box<[Row]>,
    /// Folders of keys in which they are, a line for each; each ends with a slash.
    folders: Box<str>,
}

/// All files of one resource, each with the backends that the live file lists; `None` if it lists none.
pub type LiveFiles = BTreeMap<InstanceId, Option<Arc<LiveBackends>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    /// Positions in the texts.
    start: u32,
    key: u32,
    announcer: u32,
    end: u32,
    /// Since when it is like this, in seconds since 1970.
    since: u32,
    weight: u16,
    state: ListedState,
}

impl LiveBackends {
    /// Returns these backends, found in these folders. One that was there `before` with the same state has been like this since
    /// then, the others since now.
    pub fn new(
        mut listed: Vec<ListedBackend<'_>>,
        folders: &BTreeSet<&str>,
        before: Option<&LiveBackends>,
        unix_seconds: u64,
    ) -> LiveBackends {
        let now = u32::try_from(unix_seconds).unwrap_or(u32::MAX);
        listed.sort_unstable();
        listed.dedup();
        let mut old = before.map(LiveBackends::iter).into_iter().flatten().peekable();
        let mut texts = String::with_capacity(before.map_or(0, |before| before.texts.len()));
        let mut rows = Vec::with_capacity(listed.len());
        for backend in listed {
            while old.next_if(|(old, _)| (old.address, old.key) < (backend.address, backend.key)).is_some() {}
            let known = old.peek().filter(|(old, _)| (old.address, old.key) == (backend.address, backend.key));
            let since = known.filter(|(old, _)| old.state == backend.state).map(|(_, since)| *since);
            let since = since.and_then(|since| u32::try_from(since).ok()).unwrap_or(now);
            let mut add = |text: &str| {
                texts.push_str(text);
                u32::try_from(texts.len()).unwrap_or(u32::MAX)
            };
            let (start, key) = (add(""), add(backend.address));
            let (announcer, end) = (add(backend.key), add(backend.announcer));
            rows.push(Row { start, key, announcer, end, since, weight: backend.weight, state: backend.state });
        }
        let folders = folders.iter().copied().collect::<Vec<_>>().join("\n").into();
        LiveBackends { texts: texts.into(), rows: rows.into(), folders }
    }

    /// Returns the number of backends.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns each backend by address, with the time since when it has its state, in seconds since 1970.
    pub fn iter(&self) -> impl Iterator<Item = (ListedBackend<'_>, u64)> {
        self.rows.iter().map(|row| {
            let text = |from: u32, to: u32| self.texts.get(from as usize..to as usize).unwrap_or_default();
            let (address, key) = (text(row.start, row.key), text(row.key, row.announcer));
            let announcer = text(row.announcer, row.end);
            let backend = ListedBackend { address, key, announcer, state: row.state, weight: row.weight };
            (backend, u64::from(row.since))
        })
    }

    /// Returns the addresses, sorted; one may come several times.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(backend, _)| backend.address)
    }

    /// Returns the number of addresses.
    pub fn count_addresses(&self) -> usize {
        let mut last = None;
        self.addresses().filter(|address| last.replace(*address) != Some(*address)).count()
    }

    /// Returns the addresses of those that get traffic, sorted; one may come several times.
    pub fn serving(&self) -> impl Iterator<Item = &str> {
        self.iter().filter(|(backend, _)| !backend.state.is_down()).map(|(backend, _)| backend.address)
    }

    /// Returns the folders of keys in which the backends are; each ends with a slash.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.folders.lines()
    }

    /// Returns the folders of which no backend gets traffic.
    pub fn folders_without_traffic(&self) -> impl Iterator<Item = &str> {
        let serving = self.iter().map(|(backend, _)| backend).filter(|backend| !backend.state.is_down());
        let keys: BTreeSet<&str> = serving.map(|backend| backend.key).collect();
        let is_served = move |folder: &str| keys.range(folder..).next().is_some_and(|key| key.starts_with(folder));
        self.folders().filter(move |folder| !is_served(folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend<'a>(address: &'a str, key: &'a str, state: ListedState) -> ListedBackend<'a> {
        ListedBackend { address, key, announcer: "", state, weight: 1 }
    }

    #[test]
    fn a_backend_keeps_its_time_until_its_state_changes() {
        let folders = BTreeSet::from(["/web/"]);
        let first = vec![backend("b:1", "/web/b", ListedState::Up), backend("a:1", "/web/a", ListedState::Up)];
        let first = LiveBackends::new(first, &folders, None, 100);
        let second = vec![
            ListedBackend { announcer: "core-1", ..backend("a:1", "/web/a", ListedState::Up) },
            backend("b:1", "/web/b", ListedState::Draining),
            backend("c:1", "/web/c", ListedState::Backup),
            backend("c:1", "/web/c", ListedState::Backup),
        ];
        let second = LiveBackends::new(second, &folders, Some(&first), 200);
        let rows: Vec<_> = second.iter().map(|(row, since)| (row.address, row.key, row.announcer, since)).collect();
        let expected = [("a:1", "/web/a", "core-1", 100), ("b:1", "/web/b", "", 200), ("c:1", "/web/c", "", 200)];
        assert_eq!((rows.as_slice(), second.len()), (expected.as_slice(), 3));
        assert_eq!(second.serving().collect::<Vec<_>>(), ["a:1", "c:1"]);
        assert_eq!(second.folders().collect::<Vec<_>>(), ["/web/"]);
        let folders = BTreeSet::from(["/down/", "/mail/", "/none/", "/web/"]);
        let listed = vec![
            backend("a:1", "/web/a", ListedState::Draining),
            backend("b:1", "/web/b", ListedState::Backup),
            backend("c:1", "/down/c", ListedState::Down),
            backend("d:1", "/mail/d", ListedState::Up),
        ];
        let mixed = LiveBackends::new(listed, &folders, None, 100);
        assert_eq!(mixed.folders_without_traffic().collect::<Vec<_>>(), ["/down/", "/none/"]);
        let third = LiveBackends::new(vec![backend("a:1", "/web/a", ListedState::Up)], &folders, Some(&second), 300);
        assert_eq!(third.iter().map(|(_, since)| since).collect::<Vec<_>>(), [100]);
    }
}
