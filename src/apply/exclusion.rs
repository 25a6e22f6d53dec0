//! Decides who may change files at the same time: one process per state folder, and within it one group that drives nginx, and one
//! pass over each group. Never touches the files themselves.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::model::report::{Stage, StepFailure};
use crate::world::clock;
use crate::world::fs::FileError;
use crate::world::fs::install::make_folders;
use crate::world::lock::Lock;

use super::{Context, failure};

/// The locks of a process.
#[derive(Debug, Default)]
pub struct Exclusion {
    /// The folder lock while at least one transaction of this process runs.
    folder: Mutex<Weak<Lock>>,
    nginx: Arc<Mutex<()>>,
    /// By the id of the group: conf.d may drop one and have it again while its first pass still runs.
    groups: std::sync::Mutex<HashMap<String, Weak<Mutex<()>>>>,
}

impl Exclusion {
    /// Returns whether a group that drives nginx waits for another such group.
    pub(super) fn is_awaited(&self) -> bool {
        // We have one, and whoever holds the lock or waits for it has another.
        Arc::strong_count(&self.nginx) > 2
    }

    /// Locks a group whose journal another one takes over; returns `None` while a pass has it in hand.
    pub(super) fn try_group(&self, group_id: &str) -> Option<OwnedMutexGuard<()>> {
        let lock = self.lock_of(group_id);
        if Arc::strong_count(&lock) > 1 { None } else { lock.try_lock_owned().ok() }
    }

    fn lock_of(&self, group_id: &str) -> Arc<Mutex<()>> {
        let mut groups = self.groups.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(lock) = groups.get(group_id).and_then(Weak::upgrade) {
            return lock;
        }
        groups.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::default();
        groups.insert(group_id.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

/// A group that a pass has in hand, also while it renders and between its transactions.
#[derive(Debug)]
pub struct GroupInHand {
    _lock: Arc<Mutex<()>>,
}

impl GroupInHand {
    /// Takes a group in hand, until it is dropped.
    pub fn take(context: &Context, group_id: &str) -> GroupInHand {
        GroupInHand { _lock: context.exclusion.lock_of(group_id) }
    }
}

/// The locks that a transaction holds.
#[derive(Debug)]
pub struct TransactionLocks {
    _folder: Option<Arc<Lock>>,
    _nginx: Option<OwnedMutexGuard<()>>,
    _group: Option<OwnedMutexGuard<()>>,
}

/// Waits for an earlier pass over the same group, for those over other groups that drive nginx if this one does, and for transactions of
/// other processes.
pub(super) async fn enter_group(
    context: &Context,
    group_id: &str,
    drives_nginx: bool,
) -> Result<TransactionLocks, StepFailure> {
    let lock = context.exclusion.lock_of(group_id).lock_owned().await;
    Ok(TransactionLocks { _group: Some(lock), ..enter(context, drives_nginx).await? })
}

/// Waits for transactions of other processes and, if `drives_nginx`, for those of groups of this process that drive nginx.
pub(super) async fn enter(context: &Context, drives_nginx: bool) -> Result<TransactionLocks, StepFailure> {
    let timeout = if context.settings.lock_timeout.is_zero() { DEFAULT_TIMEOUT } else { context.settings.lock_timeout };
    // Whoever is before us in this process gives up before we would: the wait for them does not add to ours.
    let deadline = clock::now() + timeout;
    let nginx = if drives_nginx { Some(Arc::clone(&context.exclusion.nginx).lock_owned().await) } else { None };
    let Some(folder) = &context.settings.state_folder else {
        return Ok(TransactionLocks { _folder: None, _nginx: nginx, _group: None });
    };
    let mut shared = context.exclusion.folder.lock().await;
    if let Some(lock) = shared.upgrade() {
        return Ok(TransactionLocks { _folder: Some(lock), _nginx: nginx, _group: None });
    }
    let path = folder.join("transaction.lock");
    let mut taken = Lock::take_before(&path, deadline).await;
    if taken.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        make_folders(folder).map_err(|error: FileError| failure::of_file(Stage::Record, &error))?;
        taken = Lock::take_before(&path, deadline).await;
    }
    match taken {
        Ok(Some(lock)) => {
            let lock = Arc::new(lock);
            *shared = Arc::downgrade(&lock);
            Ok(TransactionLocks { _folder: Some(lock), _nginx: nginx, _group: None })
        }
        Ok(None) => Err(StepFailure::new(
            Stage::Record,
            format!("another process holds `{}` for more than {timeout:?}", path.display()),
        )),
        Err(error) => Err(StepFailure::new(Stage::Record, format!("failed to lock `{}`: {error}", path.display()))),
    }
}

/// Default time to wait for another process's transaction; longer than a check and a reload should take.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::{Pin, pin};
    use std::task::Poll;

    use super::super::Settings;
    use super::*;

    async fn poll_once<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
    }

    #[tokio::test]
    async fn a_group_knows_whether_another_waits_for_it() {
        let context = Context::new(Settings::default());
        let _held = enter(&context, true).await.unwrap();
        assert!(!context.exclusion.is_awaited());
        let mut waiting = Box::pin(enter(&context, true));
        assert!(poll_once(waiting.as_mut()).await.is_pending());
        assert!(context.exclusion.is_awaited());
        drop(waiting);
        assert!(!context.exclusion.is_awaited());
    }

    #[tokio::test]
    async fn a_group_has_one_pass_at_a_time() {
        let context = Context::new(Settings::default());
        let held = enter_group(&context, "web", false).await.unwrap();
        let mut again = Box::pin(enter_group(&context, "web", false));
        assert!(poll_once(again.as_mut()).await.is_pending());
        assert!(context.exclusion.try_group("web").is_none() && context.exclusion.try_group("other").is_some());
        drop(enter_group(&context, "other", false).await.unwrap());
        drop(held);
        drop(again.await.unwrap());
        let in_hand = GroupInHand::take(&context, "web");
        assert!(context.exclusion.try_group("web").is_none(), "it renders");
        drop(in_hand);
        assert!(context.exclusion.try_group("web").is_some());
        drop(context.exclusion.lock_of("new"));
        assert_eq!(context.exclusion.groups.lock().unwrap().len(), 1, "nobody keeps those that are over");
    }

    #[tokio::test]
    async fn the_wait_for_others_of_this_process_counts_too() {
        let folder = tempfile::tempdir().unwrap();
        let lock_timeout = Duration::from_millis(1);
        let state_folder = Some(folder.path().to_owned());
        let context = Context::new(Settings { state_folder, lock_timeout, ..Settings::default() });
        let _other_process = Lock::try_take(&folder.path().join("transaction.lock")).unwrap().unwrap();
        for of_nginx in [true, false] {
            let Exclusion { folder, nginx, .. } = &context.exclusion;
            let before_us = (of_nginx.then(|| nginx.try_lock().unwrap()), folder.try_lock().ok().filter(|_| !of_nginx));
            let mut entering = pin!(enter(&context, of_nginx));
            assert!(poll_once(entering.as_mut()).await.is_pending());
            let start = clock::now();
            while clock::since(start) <= lock_timeout {
                std::hint::spin_loop();
            }
            drop(before_us);
            assert!(matches!(poll_once(entering).await, Poll::Ready(Err(_))), "{of_nginx}");
        }
    }
}
