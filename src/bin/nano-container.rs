//! nano-container: a tiny HTTPS service to put behind a load balancer. HTTP/2 and HTTP/1.1 by ALPN; names its instance in
//! JSON. This file only parses arguments and starts; the work is in `upstreamd::demo`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program of its own")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tracing::{debug, info};
use upstreamd::demo::{https, serve, start, tls};

/// HTTPS demo service: names its instance in JSON.
#[derive(Parser)]
#[command(name = "nano-container", version)]
struct Arguments {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Name in the response [default: hostname:port]
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Certificate chain, PEM [default: self-signed, generated at start]
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Private key, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Most concurrent connections; more wait
    #[arg(long, value_name = "N", default_value_t = 1024)]
    max_connections: usize,
    /// Seconds that open connections get to finish after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    grace_seconds: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start::run(serve_https(arguments))
}

async fn serve_https(arguments: Arguments) -> Result<(), String> {
    let stop = start::stop_signal()?;
    let hostname = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let hostname = hostname.unwrap_or_else(|| "localhost".to_owned());
    let identity = match (&arguments.cert, &arguments.key) {
        (Some(certificate), Some(key)) => tls::TlsIdentity::from_files(certificate, key)?,
        _ => {
            let names = [hostname.as_str(), "nano-container", "localhost", "127.0.0.1", "::1"];
            tls::TlsIdentity::self_signed(&names.map(str::to_owned))?
        }
    };
    let acceptor = identity.acceptor()?;
    let listener = start::listen(arguments.listen).await?;
    let address = listener.local_addr().unwrap_or(arguments.listen);
    let instance = arguments.instance.unwrap_or_else(|| format!("{hostname}:{}", address.port()));
    info!(%address, %instance, self_signed = arguments.cert.is_none(), "nano-container is ready");
    let limits =
        serve::Limits { connections: arguments.max_connections, grace: Duration::from_secs(arguments.grace_seconds) };
    let site = Arc::new(https::Site::new(&instance));
    serve::serve(listener, limits, stop, |stream, remote, stopping| {
        let (acceptor, site) = (acceptor.clone(), Arc::clone(&site));
        async move {
            if let Err(problem) = https::connection(stream, remote, stopping, acceptor, site).await {
                debug!(%remote, %problem, "connection ended early");
            }
        }
    })
    .await;
    Ok(())
}
