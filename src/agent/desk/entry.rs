//! One group on the desk: its resources with their state between passes, its timing, and its last failure. Pure. Never decides what is
//! rendered.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::agent::governor::Load;
use crate::agent::mark::Mark;
use crate::agent::state::ResourceState;
use crate::agent::timing::Timing;
use crate::apply::group::Group;
use crate::model::report::Report;

/// One resource of a group.
pub(super) struct Seat {
    /// Position in the catalog.
    pub(super) position: usize,
    /// Reason to render it again.
    pub(super) mark: Option<Mark>,
    /// State between passes; `None` while a pass has it.
    pub(super) state: Option<ResourceState>,
    /// Time of the next look, whatever the store says.
    pub(super) wake_at: Option<Instant>,
    /// When the last pass took its state: that pass has looked at whatever was due by then.
    pub(super) taken_at: Option<Instant>,
}

/// One group.
pub(super) struct Entry {
    pub(super) group: Arc<Group>,
    pub(super) seats: Vec<Seat>,
    pub(super) timing: Timing,
    /// Tells the pass that runs, if one does, that a change waits for its end.
    pub(super) change_waits: Arc<AtomicBool>,
    /// Whether a pass over it has ended, whatever the result.
    pub(super) was_worked_on: bool,
    /// Last failure, and how often in a row it came.
    pub(super) last_failure: Option<(String, u32)>,
}

impl Entry {
    /// Returns when its next pass is due; `None` while a pass has one of its resources.
    pub(super) fn due_at(&self, load: Load) -> Option<Instant> {
        self.timing.due_at(load).filter(|_| self.seats.iter().all(|seat| seat.state.is_some()))
    }

    pub(super) fn wake_at(&self, load: Load) -> Option<Instant> {
        self.seats.iter().filter_map(|seat| seat.wake_at).chain(self.due_at(load)).min()
    }

    /// Returns the number of equal failures in a row before this one.
    pub(super) fn repeated(&mut self, report: &Report) -> u32 {
        let Some(failure) = report.first_failure() else {
            self.last_failure = None;
            return 0;
        };
        // Process ids and times differ each time.
        let text = format!("{failure} {}", failure.output).replace(|c: char| c.is_ascii_digit(), "");
        let count = match &self.last_failure {
            Some((last, count)) if *last == text => count + 1,
            _ => 0,
        };
        self.last_failure = Some((text, count));
        count
    }
}
