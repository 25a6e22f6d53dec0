//! Puts watch messages together to complete revisions. etcd sends a revision to each watcher on its own and may cut it
//! into fragments. With a single watcher a revision is complete with its last fragment. With several, etcd queues a
//! revision for all of them at once, so that a quiet time tells that it is complete. That is no proof: a watcher that lags
//! behind may still add to an old revision later, which is then passed on by itself, late but never lost. Pure.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::noise::Noise;
use super::outbox::Batch;
use super::session::LastChange;
use crate::model::etcd::{WatchEvent, WatchMessage};
use crate::model::key::Revision;
use crate::model::range::KeyRanges;

/// The quiet time after which the newest revision of several watchers counts as complete.
const SETTLE: Duration = Duration::from_millis(10);

/// How long a steady stream of messages may hold back revisions older than the newest.
const LONGEST_HOLD: Duration = Duration::from_millis(50);

/// Watchers that were made while the store changed catch up one by one; etcd looks after them every 100 ms.
const CATCH_UP: Duration = Duration::from_millis(300);

/// Messages of one watch stream on their way to complete revisions.
#[derive(Debug)]
pub(crate) struct Assembler {
    ranges: KeyRanges,
    watchers: usize,
    in_fragments: BTreeSet<i64>,
    /// Revisions before the newest.
    older: Batch,
    /// The newest revision seen.
    newest: Batch,
    latest: Option<LastChange>,
    /// When the oldest waiting event came, and the latest, as if none had come before `begin`.
    waiting: Option<(Instant, Instant)>,
    begin: Instant,
    noise: Noise,
    handed_out: Revision,
    mark: Option<LastChange>,
}

impl Assembler {
    /// For a stream that begins `now` with so many watchers, where `handed_out` is the last revision that the agent knows
    /// and `mark` the last change.
    pub(crate) fn new(
        ranges: KeyRanges,
        watchers: usize,
        handed_out: Revision,
        mark: Option<LastChange>,
        now: Instant,
    ) -> Assembler {
        Assembler {
            ranges,
            watchers,
            in_fragments: BTreeSet::new(),
            older: Batch::default(),
            newest: Batch::default(),
            latest: None,
            waiting: None,
            begin: now + CATCH_UP,
            noise: Noise::new(now),
            handed_out,
            mark,
        }
    }

    /// Takes a message that came at `now`.
    pub(crate) fn take_message(&mut self, message: WatchMessage, now: Instant) {
        if message.is_fragment {
            self.in_fragments.insert(message.watcher);
        } else {
            self.in_fragments.remove(&message.watcher);
        }
        if !message.events.is_empty() {
            let now = now.max(self.begin - SETTLE);
            self.waiting = Some((self.waiting.map_or(now, |(first, _)| first), now));
        }
        for event in message.events {
            self.take_event(event);
        }
    }

    fn take_event(&mut self, event: WatchEvent) {
        if event.revision > self.newest.revision {
            let finished = std::mem::take(&mut self.newest);
            self.older.append(finished);
            self.newest.revision = event.revision;
        }
        if !self.ranges.contains(event.key.as_str()) {
            self.noise.count(event.key.as_str().len() + event.value.as_ref().map_or(0, |value| value.as_bytes().len()));
            return;
        }
        if self.latest.as_ref().is_none_or(|latest| latest.revision <= event.revision) {
            let (key, value) = (event.key.clone(), event.value.clone());
            self.latest = Some(LastChange { key, value, revision: event.revision, keys_in_hull: None });
        }
        let batch = if event.revision == self.newest.revision { &mut self.newest } else { &mut self.older };
        batch.changes.insert(event.key, event.value);
    }

    /// What is complete at `now`. The batch may have no changes in the ranges; its revision counts all the same.
    pub(crate) fn take_complete(&mut self, now: Instant) -> Option<Batch> {
        let (first, last) = self.waiting?;
        if !self.in_fragments.is_empty() {
            return None;
        }
        let mut complete = std::mem::take(&mut self.older);
        if self.watchers == 1 || now >= last + SETTLE {
            self.waiting = None;
            complete
                .append(Batch { revision: self.newest.revision, changes: std::mem::take(&mut self.newest.changes) });
        } else if has_revisions(&complete) && now >= first + LONGEST_HOLD {
            self.waiting = Some((last, last));
        } else {
            self.older = complete;
            return None;
        }
        complete.revision = complete.revision.max(self.handed_out);
        self.handed_out = complete.revision;
        if self.latest.is_some() {
            self.mark = self.latest.take();
        }
        Some(complete)
    }

    /// When `take_complete` is worth asking again without a new message.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let (first, last) = self.waiting?;
        if !self.in_fragments.is_empty() {
            return None;
        }
        let settled = last + SETTLE;
        Some(if has_revisions(&self.older) { settled.min(first + LONGEST_HOLD) } else { settled })
    }

    /// Whether too many changes are of keys that nobody asked for.
    pub(crate) fn is_too_loud(&mut self, now: Instant) -> bool {
        self.noise.is_too_loud(now)
    }

    /// The last change handed out.
    pub(crate) fn mark(&self) -> Option<&LastChange> {
        self.mark.as_ref()
    }
}

fn has_revisions(batch: &Batch) -> bool {
    batch.revision > Revision::default()
}

#[cfg(test)]
mod tests;
