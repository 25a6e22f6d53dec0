//! Notices for systemd, derived from the board: ready once something verified is live, the status line when it changes,
//! the watchdog when due, reloading until a reload is done, stopping. Pure: never sends a notice itself.

use std::time::{Duration, Instant};

use super::answers;
use super::board::Board;
use super::conditions::{Look, conditions};
use crate::model::outward::ManagerNotice;

/// Time after which a reload is reported as finished in any case: systemd would wait as long as for a start, perhaps for ever.
const LONGEST_RELOAD: Duration = Duration::from_secs(30);

/// Pause between two looks at what is not good: the loop may turn thousands of times in a second.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// Decides which notices are due. Remembers what systemd already knows.
#[derive(Debug)]
pub struct Notifier {
    ready: bool,
    reloading_since: Option<Instant>,
    stopping: bool,
    status: String,
    /// Time of the last look at what is not good.
    looked_at: Option<Instant>,
    /// Time of the next one, if it was left out since.
    look_at: Option<Instant>,
    /// Pause between two watchdog notices; `None` if the watchdog is off.
    watchdog: Option<Duration>,
    fed_at: Option<Instant>,
}

impl Notifier {
    /// Returns a notifier that has sent nothing yet. `watchdog_limit` is systemd's `WatchdogSec`.
    pub fn new(watchdog_limit: Option<Duration>) -> Notifier {
        let watchdog = watchdog_limit.map(|limit| limit / 3);
        Notifier {
            ready: false,
            reloading_since: None,
            stopping: false,
            status: String::new(),
            looked_at: None,
            look_at: None,
            watchdog,
            fed_at: None,
        }
    }

    /// Records that a reload was requested. Returns no notice before the service is up: it is still starting.
    pub fn reload(&mut self, now: Instant) -> Option<ManagerNotice> {
        let begins = self.ready && !self.stopping;
        begins.then(|| {
            self.reloading_since = Some(now);
            ManagerNotice::Reloading
        })
    }

    /// Returns the notices that are due now. `is_settled` says that everything requested is done.
    pub fn due(&mut self, board: &Board, look: &Look, is_settled: bool) -> Vec<ManagerNotice> {
        let (mut notices, now) = (Vec::new(), look.now);
        if board.stopping && !self.stopping {
            self.stopping = true;
            notices.push(ManagerNotice::Stopping);
        }
        if !self.ready && board.has_applied() && !self.stopping {
            self.ready = true;
            notices.push(ManagerNotice::Ready);
        }
        if self.reloading_since.is_some_and(|since| is_settled || now >= since + LONGEST_RELOAD) {
            self.reloading_since = None;
            notices.push(ManagerNotice::Ready);
        }
        let next_look = self.looked_at.map(|at| at + LOOK_PAUSE);
        // What is said with a notice is as new as the notice.
        self.look_at = next_look.filter(|at| now < *at && notices.is_empty());
        if self.look_at.is_none() {
            self.looked_at = Some(now);
            let status = answers::line(board, &conditions(board, look));
            if status != self.status {
                self.status.clone_from(&status);
                notices.push(ManagerNotice::Status(status));
            }
        }
        if let Some(pause) = self.watchdog
            && self.fed_at.is_none_or(|fed_at| now >= fed_at + pause)
        {
            self.fed_at = Some(now);
            notices.push(ManagerNotice::Watchdog);
        }
        notices
    }

    /// Returns the next time at which a notice is due even if nothing changes.
    pub fn wake_at(&self) -> Option<Instant> {
        let feed = self.watchdog.and_then(|pause| Some(self.fed_at? + pause));
        let reload = self.reloading_since.map(|since| since + LONGEST_RELOAD);
        [feed, reload, self.look_at].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Event;
    use std::collections::BTreeMap;

    fn look(now: Instant) -> Look {
        Look { now, unix_time: Duration::from_secs(1_736_850_600), running: BTreeMap::new() }
    }

    #[test]
    fn ready_follows_the_first_apply_and_reloading_ends_when_settled() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut board = Board::new("file", start);
        let mut notifier = Notifier::new(None);
        let starting = vec![ManagerNotice::Status("starting: conf.d has not been read yet".into())];
        assert_eq!(notifier.due(&board, &look(at(0)), true), starting);
        assert_eq!(notifier.reload(at(0)), None, "still starting");
        board.record_load(std::iter::empty(), Vec::new(), 100);
        let empty = ManagerNotice::Status("conf.d has no resource".into());
        assert_eq!(notifier.due(&board, &look(at(1)), true), vec![ManagerNotice::Ready, empty]);
        assert_eq!(notifier.reload(at(2)), Some(ManagerNotice::Reloading));
        assert_eq!(notifier.due(&board, &look(at(3)), false), vec![]);
        assert_eq!(notifier.wake_at(), Some(at(32)));
        assert_eq!(notifier.due(&board, &look(at(4)), true), vec![ManagerNotice::Ready]);
        assert_eq!(notifier.reload(at(5)), Some(ManagerNotice::Reloading));
        assert_eq!(notifier.due(&board, &look(at(35)), false), vec![ManagerNotice::Ready], "no later than after 30 s");
        board.stopping = true;
        let stopping = ManagerNotice::Status("stopping; every file stays as it is".into());
        assert_eq!(notifier.due(&board, &look(at(36)), true), vec![ManagerNotice::Stopping, stopping]);
        assert_eq!(notifier.reload(at(37)), None);
    }

    #[test]
    fn a_change_within_the_pause_after_a_look_is_said_at_its_end() {
        let start = Instant::now();
        let mut board = Board::new("file", start);
        let mut notifier = Notifier::new(None);
        assert_eq!(notifier.due(&board, &look(start), true).len(), 1);
        assert_eq!(notifier.wake_at(), None);
        let lost = Event::Lost { problem: "away".into(), retry_in: Duration::ZERO, is_lasting: false };
        board.record_event(&lost, start, 100);
        let soon = start + LOOK_PAUSE / 2;
        let said = |notices: &[ManagerNotice]| notices.iter().any(|one| matches!(one, ManagerNotice::Status(_)));
        assert!(!said(&notifier.due(&board, &look(soon), true)));
        let end = start + LOOK_PAUSE;
        assert_eq!(notifier.wake_at(), Some(end));
        assert!(said(&notifier.due(&board, &look(end), true)));
        assert_eq!(notifier.wake_at(), None);
    }

    #[test]
    fn the_watchdog_is_fed_three_times_in_its_limit_even_without_a_store() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut board = Board::new("etcd", start);
        let mut notifier = Notifier::new(Some(Duration::from_secs(30)));
        assert!(notifier.due(&board, &look(at(0)), true).contains(&ManagerNotice::Watchdog));
        assert_eq!(notifier.due(&board, &look(at(9)), true), vec![]);
        assert_eq!(notifier.wake_at(), Some(at(10)));
        board.record_event(
            &Event::Lost { problem: "away".into(), retry_in: Duration::ZERO, is_lasting: false },
            at(9),
            100,
        );
        let status = ManagerNotice::Status("not in sync: store unreachable; cannot follow the store: away".into());
        assert_eq!(notifier.due(&board, &look(at(10)), true), vec![status, ManagerNotice::Watchdog]);
    }
}
