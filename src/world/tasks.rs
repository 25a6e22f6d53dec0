//! Starts work beside the caller. Boxed, so that the program has the code of one kind of task for each result and not for each task: some
//! kilobytes each. Never waits.

use std::pin::Pin;

use tokio::task::JoinHandle;

/// Starts a task on the runtime of the caller.
pub fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    let boxed: Pin<Box<dyn Future<Output = T> + Send>> = Box::pin(task);
    tokio::spawn(boxed)
}

/// Starts work that may block, on a thread for that.
pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let boxed: Box<dyn FnOnce() -> T + Send> = Box::new(work);
    tokio::task::spawn_blocking(boxed)
}
