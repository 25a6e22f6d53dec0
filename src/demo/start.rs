//! Start and stop of a demo backend: one runtime, one listener, signals, an exit code.
//! Never parses arguments; the binaries do.

use std::fmt::Display;
use std::future::Future;
use std::io::{self, ErrorKind, IsTerminal};
use std::net::SocketAddr;
use std::process::ExitCode;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::error;

/// Sets up logging to stderr and runs `server` on a single-threaded runtime. Returns exit code 0 when it ends, 1 when it fails.
pub fn run<Failure: Display>(server: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .with_max_level(tracing::Level::INFO)
        .init();
    let outcome = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(server).map_err(|failure| failure.to_string()),
        Err(failure) => Err(format!("cannot start the runtime: {failure}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// Opens the listening socket.
///
/// # Errors
/// The address is in use, not local, or needs privileges that the process lacks; the message says which.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|failure| {
        let hint = match failure.kind() {
            ErrorKind::PermissionDenied => "; hint: ports below 1024 need root or CAP_NET_BIND_SERVICE",
            ErrorKind::AddrInUse => "; hint: another program listens there, choose an address with --listen",
            _ => "",
        };
        format!("cannot listen on {address}: {failure}{hint}")
    })
}

/// Returns a future that resolves at the first SIGTERM or SIGINT. The signals are caught from this call on.
///
/// # Errors
/// The signal handlers cannot be installed.
pub fn stop_signal() -> Result<impl Future<Output = ()>, String> {
    let catch = |kind| signal(kind).map_err(|failure| format!("cannot catch signals: {failure}"));
    let (mut terminate, mut interrupt) = (catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
