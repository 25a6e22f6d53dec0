//! Questions that the pages ask the loop, because only the loop has the trees of the stores. Bounded, with a deadline: whoever asks
//! never holds the loop up, and does not wait for one that is stuck.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::model::status::KeyFacts;

/// Most questions that wait.
const MAX_WAITING: usize = 8;
/// Time limit for an answer.
const LIMIT: Duration = Duration::from_secs(2);

/// A question about a key.
pub(super) struct KeyQuestion {
    pub(super) key: String,
    pub(super) answer: oneshot::Sender<KeyFacts>,
}

/// Asks.
#[derive(Clone)]
pub struct KeyAsker(mpsc::Sender<KeyQuestion>);

/// Returns both ends.
pub(super) fn channel() -> (KeyAsker, mpsc::Receiver<KeyQuestion>) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    (KeyAsker(sender), receiver)
}

impl KeyAsker {
    /// Returns what the stores have under a key; nothing if the loop does not answer in time.
    pub(super) async fn facts(&self, key: &str) -> KeyFacts {
        let (answer, answered) = oneshot::channel();
        let asking = async {
            self.0.send(KeyQuestion { key: key.to_owned(), answer }).await.ok()?;
            answered.await.ok()
        };
        timeout(LIMIT, asking).await.ok().flatten().unwrap_or_default()
    }
}
