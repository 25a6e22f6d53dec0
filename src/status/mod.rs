//! What is true now, for people and machines. Rank 4: told by others, commands nobody.

pub mod board;
pub mod diff;
pub mod events;
pub mod fleet;
pub mod histogram;
pub mod metrics;
pub mod names;
pub mod pages;
pub mod systemd;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use board::Board;

/// The board, shared by the loop that writes it and the pages that read it. Held for the moment of one look only.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<Board>>);

impl Shared {
    /// A new board, as [`Board::new`].
    pub fn new(backend: &'static str, now: Instant) -> Shared {
        Shared(Arc::new(Mutex::new(Board::new(backend, now))))
    }

    /// Looks at the board, or writes on it.
    pub fn with<T>(&self, look: impl FnOnce(&mut Board) -> T) -> T {
        // What somebody wrote who then failed is still the best that is known.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
