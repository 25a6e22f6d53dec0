//! The agent's state for people and programs: log, status pages, metrics, systemd. Rank 4: never commands anything.

pub mod announced;
pub mod answers;
pub mod api;
pub mod board;
pub mod conditions;
pub mod diff;
pub mod endpoint_events;
pub mod events;
pub mod explain;
pub mod fields;
pub mod fleet;
pub mod gather;
pub mod histogram;
pub mod metrics;
pub mod names;
pub mod page;
pub mod pages;
mod span;
pub mod systemd;
pub mod terminal;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use board::Board;

/// The board, shared by the loop that writes it and the pages that read it. Never locked across an await.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<Board>>);

impl Shared {
    /// Returns a new shared board; see [`Board::new`].
    pub fn new(backend: &'static str, now: Instant) -> Shared {
        Shared(Arc::new(Mutex::new(Board::new(backend, now))))
    }

    /// Runs `work` on the locked board.
    pub fn with<T>(&self, work: impl FnOnce(&mut Board) -> T) -> T {
        // A poisoned lock still holds the latest state.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
