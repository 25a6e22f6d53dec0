//! Asks etcd how much is left of leases, over a connection of its own, which exists only once there was something to ask. Never asks
//! more than a hundred times a second, and never decides what an answer means.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::model::backoff::Backoff;
use crate::model::etcd::EtcdFailure;
use crate::model::lease::LeaseId;
use crate::model::store::EtcdSettings;
use crate::world::etcd::Members;
use crate::world::{clock, random, tasks};

/// Most questions that wait.
pub const MAX_WAITING: usize = 256;
/// Pause after a question.
const PAUSE: Duration = Duration::from_millis(10);
/// Longest pause after a failure; what was to be asked meanwhile is forgotten.
const MAX_RETRY: Duration = Duration::from_secs(2);

/// Starts a task that asks for each of these leases. `learn` gets the lease, a time just before its question was sent, and how much
/// was left of it. Must be called on a tokio runtime with time and IO.
pub fn start(
    settings: EtcdSettings,
    questions: mpsc::Receiver<LeaseId>,
    learn: impl Fn(LeaseId, Instant, Duration) + Send + 'static,
) {
    tasks::spawn(run(Members::new(settings), questions, learn));
}

async fn run(
    mut members: Members,
    mut questions: mpsc::Receiver<LeaseId>,
    learn: impl Fn(LeaseId, Instant, Duration) + Send,
) {
    let (mut is_failing, mut backoff) = (false, Backoff::up_to(MAX_RETRY));
    while let Some(lease) = questions.recv().await {
        let began = clock::now();
        match ask(&mut members, lease).await {
            Ok(left) => {
                is_failing = false;
                backoff.reset();
                learn(lease, began, left);
                tokio::time::sleep(PAUSE).await;
            }
            Err(failure) => {
                let problem = members.blame(failure).problem;
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(
                        "cannot ask etcd how long leases last; names under a lease have a TTL of 0: {problem}"
                    );
                }
                members.disconnect();
                tokio::time::sleep(backoff.next_delay(random::fraction())).await;
                while questions.try_recv().is_ok() {}
            }
        }
    }
}

async fn ask(members: &mut Members, lease: LeaseId) -> Result<Duration, EtcdFailure> {
    if members.connection().is_err() {
        members.connect_next().await?;
    }
    members.ask(|connection| async move { connection.left_of(lease).await }).await
}
