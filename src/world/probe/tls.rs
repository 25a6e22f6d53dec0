//! TLS to a backend: verified by the system's authorities, by those of a file, or not at all. Never sends a request.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::model::service::CheckTls;
use crate::world::tls::{self, TlsRefusal};

/// TLS settings, shared by all checks that verify alike: the system's authorities alone take more memory than a hundred
/// checks.
#[derive(Default)]
pub struct TlsConfigs(BTreeMap<(CheckTls, Protocol), Arc<ClientConfig>>);

/// The protocol inside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    /// HTTP/1.1, also for servers without ALPN.
    Http1,
    /// HTTP/2, which the server must accept by ALPN.
    Http2,
}

impl Protocol {
    /// Returns how the check of the same protocol without TLS is written.
    fn without_tls(self) -> &'static str {
        match self {
            Protocol::Http1 => "http://",
            Protocol::Http2 => "h2c",
        }
    }
}

impl TlsConfigs {
    fn get(&mut self, tls: &CheckTls, protocol: Protocol) -> Result<Arc<ClientConfig>, String> {
        if let Some(config) = self.0.get(&(tls.clone(), protocol)) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(config(tls, protocol)?);
        self.0.insert((tls.clone(), protocol), Arc::clone(&config));
        Ok(config)
    }
}

/// A connector for TLS to one server.
pub(super) struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    protocol: Protocol,
}

impl Connector {
    /// Returns a connector for the server with this name or address.
    pub(super) fn new(
        tls: &CheckTls,
        host: &str,
        protocol: Protocol,
        configs: &mut TlsConfigs,
    ) -> Result<Connector, String> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("`{host}` is not a valid server name for TLS"))?;
        Ok(Connector { config: configs.get(tls, protocol)?, name, protocol })
    }

    pub(super) async fn connect(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let secured = tls::secure(Arc::clone(&self.config), self.name.clone(), stream);
        secured.await.map_err(|refusal| match refusal == TlsRefusal::no_tls() {
            true => format!("TLS: {refusal} (hint: check it with {})", self.protocol.without_tls()),
            false => format!("TLS: {refusal}"),
        })
    }
}

fn config(tls: &CheckTls, protocol: Protocol) -> Result<ClientConfig, String> {
    let mut config = tls::client(tls.ca.as_deref(), tls.insecure, None)?;
    if protocol == Protocol::Http2 {
        config.alpn_protocols = vec![tls::HTTP_2.to_vec()];
    }
    Ok(config)
}
