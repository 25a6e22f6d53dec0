//! What nginx says of its upstreams in its error logs: read once a second, beside the loop, from where the logs end now. A log whose
//! place is not known, or that cannot be read, says nothing. Never judges a line: `nginx::upstream_log` does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::model::nginx::NginxPlace;
use crate::nginx::upstream_log;
use crate::status::{Shared, endpoint_events};
use crate::world::clock;
use crate::world::nginx_process::{self, LogTail};
use crate::world::tasks;

/// Time after which it is said once more that a zone is full.
const SAID_AGAIN_AFTER: Duration = Duration::from_secs(600);

/// The error logs of each nginx that is driven.
#[derive(Default)]
pub(super) struct ErrorLogs {
    followed: Arc<Mutex<Vec<FollowedLog>>>,
    reading: Option<JoinHandle<()>>,
}

struct FollowedLog {
    place: NginxPlace,
    tail: LogTail,
    /// When it was last said that a zone is full.
    full_said_at: Option<Instant>,
}

impl ErrorLogs {
    /// Reads what was added to the logs of these nginx, unless the last read has not ended.
    pub(super) fn read<'a>(&mut self, places: impl Iterator<Item = &'a NginxPlace>, board: &Shared) {
        if self.reading.as_ref().is_some_and(|reading| !reading.is_finished()) {
            return;
        }
        let (followed, places, board) = (Arc::clone(&self.followed), places.cloned().collect(), board.clone());
        self.reading = Some(tasks::spawn_blocking(move || {
            read(&mut followed.lock().unwrap_or_else(PoisonError::into_inner), places, &board);
        }));
    }
}

fn read(followed: &mut Vec<FollowedLog>, places: Vec<NginxPlace>, board: &Shared) {
    followed.retain(|log| places.contains(&log.place));
    for place in places {
        let Some(master) = nginx_process::master(&place.pid_file, &place.binary) else { continue };
        let Some(log) = followed.iter_mut().find(|log| log.place == place) else {
            let tail = LogTail::from_now(master, Some(&place.error_log));
            followed.push(FollowedLog { place, tail, full_said_at: None });
            continue;
        };
        let lines = log.tail.lines_after_rotation(master, &place.error_log);
        let now = clock::now();
        if log.full_said_at.is_none_or(|at| now.duration_since(at) >= SAID_AGAIN_AFTER)
            && let Some(upstream) = lines.iter().find_map(|line| upstream_log::full_zone(line))
        {
            log.full_said_at = Some(now);
            endpoint_events::full_zone(upstream);
        }
        let found: Vec<_> = lines.iter().filter_map(|line| upstream_log::trouble(line)).collect();
        if !found.is_empty() {
            board.with(|board| board.upstream_troubles.record(found, clock::unix_seconds()));
        }
    }
}
