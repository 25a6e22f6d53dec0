//! Assembles watch messages to complete revisions. etcd sends a revision to each watcher separately and may cut it into
//! fragments. With a single watcher a revision is complete with its last fragment. With several, etcd queues a revision
//! for all of them at once, so a quiet time means that it is complete. That is no proof: a watcher that lags behind may
//! still add to an old revision later, which is then passed on separately, late but never lost. Pure.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::noise::Noise;
use super::outbox::{self, Batch};
use super::session::LastChange;
use crate::model::etcd::{WatchEvent, WatchMessage};
use crate::model::key::{Revision, Value};
use crate::model::range::KeyRanges;

/// The quiet time after which the newest revision of several watchers counts as complete.
const SETTLE: Duration = Duration::from_millis(10);

/// Maximum time for which a steady stream of messages may delay revisions older than the newest.
const LONGEST_HOLD: Duration = Duration::from_millis(50);

/// Time in which watchers that were created while the store changed catch up; etcd serves them every 100 ms.
const CATCH_UP: Duration = Duration::from_millis(300);

/// Assembler of the messages of one watch stream.
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
    /// Times of the oldest and the latest waiting event, no earlier than `begin`.
    waiting: Option<(Instant, Instant)>,
    begin: Instant,
    noise: Noise,
    handed_out: Revision,
    mark: Option<LastChange>,
    held: HeldBytes,
}

/// Bytes of the changes that wait for the rest of their revision.
#[derive(Debug)]
struct HeldBytes {
    now: usize,
    most: usize,
}

impl Assembler {
    /// Returns an assembler for a stream that begins `now` with this many watchers. `handed_out` is the last revision that
    /// the agent knows, `mark` the last change.
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
            held: HeldBytes { now: 0, most: usize::MAX },
        }
    }

    /// Limits the bytes of the changes that wait for the rest of their revision.
    pub(crate) fn holding_up_to(self, max_bytes: usize) -> Assembler {
        Assembler { held: HeldBytes { now: 0, most: max_bytes }, ..self }
    }

    /// Adds a message that arrived at `now`. Returns whether what waits is within its bounds.
    pub(crate) fn take_message(&mut self, message: WatchMessage, now: Instant) -> bool {
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
        self.held.now <= self.held.most && self.in_fragments.len() <= self.watchers
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
        self.held.now += outbox::cost(&event.key, event.value.as_ref());
        // A value that is not kept cannot be compared later.
        let is_whole = !matches!(event.value, Some(Value::Oversized(_)));
        if is_whole && self.latest.as_ref().is_none_or(|latest| latest.revision <= event.revision) {
            let (key, value) = (event.key.clone(), event.value.clone());
            self.latest = Some(LastChange { key, value, revision: event.revision, keys_in_hull: None });
        }
        let batch = if event.revision == self.newest.revision { &mut self.newest } else { &mut self.older };
        batch.put(event.key, event.value, event.lease);
    }

    /// Returns the revisions that are complete at `now`. The batch may have no changes in the ranges; its revision still
    /// counts.
    pub(crate) fn take_complete(&mut self, now: Instant) -> Option<Batch> {
        let (first, last) = self.waiting?;
        if !self.in_fragments.is_empty() {
            return None;
        }
        let mut complete = std::mem::take(&mut self.older);
        if self.watchers == 1 || now >= last + SETTLE {
            self.waiting = None;
            let newest = std::mem::take(&mut self.newest);
            self.newest.revision = newest.revision;
            complete.append(newest);
        } else if has_revisions(&complete) && now >= first + LONGEST_HOLD {
            self.waiting = Some((last, last));
        } else {
            self.older = complete;
            return None;
        }
        self.held.now = self.newest.changes.iter().map(|(key, value)| outbox::cost(key, value.as_ref())).sum();
        complete.revision = complete.revision.max(self.handed_out);
        self.handed_out = complete.revision;
        if self.latest.is_some() {
            self.mark = self.latest.take();
        }
        Some(complete)
    }

    /// Returns the time at which to call `take_complete` again without a new message.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let (first, last) = self.waiting?;
        if !self.in_fragments.is_empty() {
            return None;
        }
        let settled = last + SETTLE;
        Some(if has_revisions(&self.older) { settled.min(first + LONGEST_HOLD) } else { settled })
    }

    /// Returns whether too many changes are of keys outside the ranges.
    pub(crate) fn is_too_loud(&mut self, now: Instant) -> bool {
        self.noise.is_too_loud(now)
    }

    /// Returns the last change handed out.
    pub(crate) fn mark(&self) -> Option<&LastChange> {
        self.mark.as_ref()
    }
}

fn has_revisions(batch: &Batch) -> bool {
    batch.revision > Revision::default()
}

#[cfg(test)]
mod tests;
