//! reflector: a TCP echo server to put behind a TCP load balancer.
//! This file only parses arguments and starts; the work is in `upstreamd::demo`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program of its own")]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tracing::{debug, info};
use upstreamd::demo::{echo, serve, start};

/// TCP echo server: sends back whatever it receives.
#[derive(Parser)]
#[command(name = "reflector", version)]
struct Arguments {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:80")]
    listen: SocketAddr,
    /// Most concurrent connections; more wait
    #[arg(long, value_name = "N", default_value_t = 4096)]
    max_connections: usize,
    /// Seconds that open connections get to finish after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    grace_seconds: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start::run(serve_echo(arguments))
}

async fn serve_echo(arguments: Arguments) -> Result<(), String> {
    let stop = start::stop_signal()?;
    let listener = start::listen(arguments.listen).await?;
    let address = listener.local_addr().unwrap_or(arguments.listen);
    info!(%address, "reflector is ready");
    let limits =
        serve::Limits { connections: arguments.max_connections, grace: Duration::from_secs(arguments.grace_seconds) };
    serve::serve(listener, limits, stop, |stream, remote, _| async move {
        if let Err(problem) = echo::echo(stream).await {
            debug!(%remote, %problem, "connection ended early");
        }
    })
    .await;
    Ok(())
}
