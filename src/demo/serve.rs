//! Accepts TCP connections up to a limit and, when stopped, lets open ones finish within a deadline.
//! Never reads from a connection.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

/// Pause after a failed accept: when file descriptors run out, an immediate retry would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most concurrent connections; more wait in the kernel's backlog.
    pub connections: usize,
    /// Time that open connections get to finish after the stop.
    pub grace: Duration,
}

/// Signals to a connection that the server is stopping.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Waits until the server begins to stop.
    pub async fn wait(&mut self) {
        // An error means that the server is gone, which is a stop as well.
        self.0.wait_for(|stopping| *stopping).await.ok();
    }
}

/// Serves until `stop` resolves, then closes the listener, waits for open connections up to the grace time and drops the rest.
pub async fn serve<Handle, Connection>(
    listener: TcpListener,
    limits: Limits,
    stop: impl Future<Output = ()>,
    handle: Handle,
) where
    Handle: Fn(TcpStream, SocketAddr, Stopping) -> Connection,
    Connection: Future<Output = ()> + Send + 'static,
{
    let (announce_stop, stopping) = watch::channel(false);
    let mut open = JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(_) = open.join_next() => {}
            accepted = listener.accept(), if open.len() < limits.connections => match accepted {
                Ok((stream, remote)) => {
                    open.spawn(handle(stream, remote, Stopping(stopping.clone())));
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    announce_stop.send_replace(true);
    info!(open_connections = open.len(), "stopping");
    let all_ended = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, all_ended).await.is_err() {
        warn!(open_connections = open.len(), grace = ?limits.grace, "closing connections that did not end in time");
    }
}
