//! What systemd is told, decided from the board: ready once something verified is live, a line of status when it changes,
//! the watchdog when it is due, reloading until a reload has settled, stopping. Pure: sends nothing itself.

use std::time::{Duration, Instant};

use super::board::Board;
use crate::model::outward::ManagerNotice;

/// A reload that takes longer is told as finished: systemd would wait for as long as for a start, which may be for ever.
const LONGEST_RELOAD: Duration = Duration::from_secs(30);

/// What systemd knows.
#[derive(Debug)]
pub struct Told {
    ready: bool,
    reloading_since: Option<Instant>,
    stopping: bool,
    status: String,
    /// Pause between two signs of life; `None` where nobody watches.
    watchdog: Option<Duration>,
    fed_at: Option<Instant>,
}

impl Told {
    /// Nothing was told yet. `watchdog_limit` is how long systemd waits for a sign of life.
    pub fn new(watchdog_limit: Option<Duration>) -> Told {
        let watchdog = watchdog_limit.map(|limit| limit / 3);
        Told { ready: false, reloading_since: None, stopping: false, status: String::new(), watchdog, fed_at: None }
    }

    /// A reload was asked for. Before it is up, a service is not reloaded but still starting.
    pub fn reload(&mut self, now: Instant) -> Option<ManagerNotice> {
        let begins = self.ready && !self.stopping;
        begins.then(|| {
            self.reloading_since = Some(now);
            ManagerNotice::Reloading
        })
    }

    /// What is to be told now. `is_settled`: nothing is left to do of what was asked for.
    pub fn turn(&mut self, board: &Board, is_settled: bool, now: Instant) -> Vec<ManagerNotice> {
        let mut notices = Vec::new();
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
        let status = board.summary();
        if status != self.status {
            self.status.clone_from(&status);
            notices.push(ManagerNotice::Status(status));
        }
        if let Some(pause) = self.watchdog
            && self.fed_at.is_none_or(|fed_at| now >= fed_at + pause)
        {
            self.fed_at = Some(now);
            notices.push(ManagerNotice::Watchdog);
        }
        notices
    }

    /// When `turn` has something to tell without anything having happened.
    pub fn wake_at(&self) -> Option<Instant> {
        let feed = self.watchdog.and_then(|pause| Some(self.fed_at? + pause));
        let reload = self.reloading_since.map(|since| since + LONGEST_RELOAD);
        feed.into_iter().chain(reload).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Event;

    #[test]
    fn ready_follows_the_first_apply_and_reloading_ends_when_settled() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut board = Board::new("file", start);
        let mut told = Told::new(None);
        let starting = vec![ManagerNotice::Status("conf.d has no resource".into())];
        assert_eq!(told.turn(&board, true, at(0)), starting);
        assert_eq!(told.reload(at(0)), None, "still starting");
        board.loaded(std::iter::empty(), 0);
        assert_eq!(told.turn(&board, true, at(1)), vec![ManagerNotice::Ready]);
        assert_eq!(told.reload(at(2)), Some(ManagerNotice::Reloading));
        assert_eq!(told.turn(&board, false, at(3)), vec![]);
        assert_eq!(told.wake_at(), Some(at(32)));
        assert_eq!(told.turn(&board, true, at(4)), vec![ManagerNotice::Ready]);
        assert_eq!(told.reload(at(5)), Some(ManagerNotice::Reloading));
        assert_eq!(told.turn(&board, false, at(35)), vec![ManagerNotice::Ready], "no later than after 30 s");
        board.stopping = true;
        let stopping = ManagerNotice::Status("stopping; every file stays as it is".into());
        assert_eq!(told.turn(&board, true, at(36)), vec![ManagerNotice::Stopping, stopping]);
        assert_eq!(told.reload(at(37)), None);
    }

    #[test]
    fn the_watchdog_is_fed_three_times_in_its_limit_even_without_a_store() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut board = Board::new("etcd", start);
        let mut told = Told::new(Some(Duration::from_secs(30)));
        assert!(told.turn(&board, true, at(0)).contains(&ManagerNotice::Watchdog));
        assert_eq!(told.turn(&board, true, at(9)), vec![]);
        assert_eq!(told.wake_at(), Some(at(10)));
        board.store_said(&Event::Lost { problem: "away".into(), retry_in: Duration::ZERO, is_malformed: false }, at(9));
        let status = ManagerNotice::Status("conf.d has no resource; cannot follow the store: away".into());
        assert_eq!(told.turn(&board, true, at(10)), vec![status, ManagerNotice::Watchdog]);
    }
}
