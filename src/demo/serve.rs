//! Accepts TCP connections up to a limit and, when told to stop, lets the open ones finish for a bounded time.
//! Never looks at what is said on a connection.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

/// Pause after a failed accept: with no descriptor left, trying again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Bounds of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections served at a time; further ones wait in the kernel's backlog.
    pub connections: usize,
    /// How long open connections may go on after the stop.
    pub grace: Duration,
}

/// Tells a connection that the server is stopping.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Resolves when the server begins to stop.
    pub async fn wait(&mut self) {
        // An error means that the server is gone altogether, which is a stop as well.
        self.0.wait_for(|stopping| *stopping).await.ok();
    }
}

/// Serves until `stop` resolves, then closes the listener, waits for open connections up to the grace and drops the rest.
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
