//! TLS to a backend: verified by the system's authorities, by those of a file, or not at all. Never sends a request.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rustls_native_certs::load_native_certs;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::model::service::CheckTls;
use crate::world::etcd::AnyCertificate;

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
    connector: TlsConnector,
    name: ServerName<'static>,
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
        Ok(Connector { connector: TlsConnector::from(configs.get(tls, protocol)?), name })
    }

    pub(super) async fn connect(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        self.connector.connect(self.name.clone(), stream).await.map_err(|error| format!("TLS: {error}"))
    }
}

fn config(tls: &CheckTls, protocol: Protocol) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("cannot set up TLS: {error}"))?;
    let mut config = if tls.insecure {
        let any = Arc::new(AnyCertificate::default());
        builder.dangerous().with_custom_certificate_verifier(any).with_no_client_auth()
    } else {
        builder.with_root_certificates(authorities(tls.ca.as_deref())?).with_no_client_auth()
    };
    if protocol == Protocol::Http2 {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    Ok(config)
}

fn authorities(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let (taken, from) = match ca {
        None => (roots.add_parsable_certificates(load_native_certs().certs).0, "the system".to_owned()),
        Some(path) => {
            let from = path.display().to_string();
            let pem = std::fs::read(path).map_err(|error| format!("cannot read the CA file {from}: {error}"))?;
            (roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten()).0, from)
        }
    };
    if taken == 0 {
        return Err(format!("{from} holds no certificate authority"));
    }
    Ok(roots)
}
