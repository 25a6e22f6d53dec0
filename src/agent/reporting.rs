//! Publishes the board over HTTP and to the service manager. Never decides anything that `status` can decide.

use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use crate::model::health::Health;
use crate::model::outward::ManagerNotice;
use crate::model::process::Usage;
use crate::model::store::StoreSettings;
use crate::source::health;
use crate::status::board::HEALTH_CHECK;
use crate::status::systemd::Notifier;
use crate::status::{Shared, pages};
use crate::world::usage::usage;
use crate::world::{clock, http, systemd};

/// Least time between two requests to a store: probes must not become its load.
const HEALTH_LASTS: std::time::Duration = std::time::Duration::from_secs(1);

/// A running listener, which ends if it is dropped.
#[derive(Debug)]
pub struct Pages(AbortHandle);

impl Drop for Pages {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Serves the status pages on this listener.
pub fn serve(listener: TcpListener, board: Shared, store: StoreSettings) -> Pages {
    let asked = Arc::new(HealthCache { store, last: Mutex::new(None) });
    let page = move |path: String| {
        let (board, asked) = (board.clone(), Arc::clone(&asked));
        async move {
            let health = if path == pages::READY_DETAILED { Some(asked.health(&board).await) } else { None };
            let known = pages::Known {
                health: health.as_ref(),
                usage: if path == pages::METRICS { usage() } else { Usage::default() },
                now: clock::now(),
                unix_seconds: clock::unix_seconds(),
            };
            board.with(|board| pages::answer(&path, board, &known))
        }
    };
    Pages(tokio::spawn(http::serve(listener, page)).abort_handle())
}

/// The store's last answer. One request at a time: callers in the meantime get the same answer.
struct HealthCache {
    store: StoreSettings,
    last: Mutex<Option<(Instant, Health)>>,
}

impl HealthCache {
    async fn health(&self, board: &Shared) -> Health {
        let mut last = self.last.lock().await;
        if let Some((at, health)) = &*last
            && clock::now().duration_since(*at) < HEALTH_LASTS
        {
            return health.clone();
        }
        let health = health::ask(&self.store).await;
        board.with(|board| board.store.record_request(HEALTH_CHECK, health.elapsed, health.healthy));
        *last = Some((clock::now(), health.clone()));
        health
    }
}

/// The notices that the service manager has received from this process.
pub struct Manager {
    notifier: Notifier,
    /// Whether there is a service manager; without one, no notice is composed.
    is_listening: bool,
    /// Whether a failure to notify it has been logged.
    failure_logged: bool,
}

impl Manager {
    /// Returns a manager that has received no notice yet.
    pub fn new() -> Manager {
        Manager {
            notifier: Notifier::new(systemd::watchdog_limit()),
            is_listening: systemd::is_listening(),
            failure_logged: false,
        }
    }

    /// Reports that a reload begins.
    pub fn reload(&mut self) {
        let message = self.notifier.reload(clock::now());
        self.send(message.into_iter().collect());
    }

    /// Sends the notices that are due. Called on every turn of the loop.
    pub fn turn(&mut self, board: &Shared, is_settled: bool) {
        if !self.is_listening {
            return;
        }
        let messages = board.with(|board| self.notifier.due(board, is_settled, clock::now()));
        self.send(messages);
    }

    /// Returns when the loop must turn even if nothing happens.
    pub fn wake_at(&self) -> Option<Instant> {
        self.notifier.wake_at()
    }

    fn send(&mut self, notices: Vec<ManagerNotice>) {
        if let Err(error) = systemd::notify(&notices)
            && !std::mem::replace(&mut self.failure_logged, true)
        {
            tracing::warn!("cannot notify the service manager: {error}");
        }
    }
}

impl Default for Manager {
    fn default() -> Manager {
        Manager::new()
    }
}
