//! TLS to servers, the same for etcd and for health checks: whom we trust, our certificate, and the words of a refusal.
//! Reads the PEM files each time; never caches them, and never opens a connection.

mod certificate;
mod identity;
mod p521;
mod refusal;
mod trust;

use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::{ClientConfig, Error};

pub(super) use refusal::{NO_TLS, TlsRefusal};
use trust::{AnyCertificate, Trust};

/// The name of HTTP/2 in TLS.
pub(super) const HTTP_2: &[u8] = b"h2";

/// Returns the settings of connections to a server that is trusted by a CA file, by the system, or, with `insecure`,
/// whatever certificate it shows. `own` is our certificate with its key.
///
/// # Errors
/// A file cannot be used; the message names it.
pub(super) fn client(ca: Option<&Path>, insecure: bool, own: Option<(&Path, &Path)>) -> Result<ClientConfig, String> {
    let provider = p521::provider();
    let algorithms = provider.signature_verification_algorithms;
    let verifier: Arc<dyn ServerCertVerifier> = match ca {
        _ if insecure => Arc::new(AnyCertificate),
        Some(path) => Arc::new(Trust::of_file(path, algorithms)?),
        None => Arc::new(Trust::of_system(algorithms)?),
    };
    let own = own.map(|(cert, key)| identity::read(cert, key, &provider)).transpose()?;
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("cannot set up TLS: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(match own {
        // Unlike `with_client_auth_cert`, this takes certificates of version 1.
        Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
        None => builder.with_no_client_auth(),
    })
}

/// Secures a connection to the server with this name or address.
///
/// # Errors
/// What is refused, by us or by the server.
pub(super) async fn secure(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, TlsRefusal> {
    TlsConnector::from(config).connect(name, stream).await.map_err(|error| refusal_of(&error))
}

/// Returns the words of an error without a source, and whether only an edit fixes it, of a certificate or of a setting.
pub(super) fn refusal_in(bottom: &(dyn std::error::Error + 'static)) -> (String, bool) {
    let of_stream = bottom.downcast_ref::<std::io::Error>().map(refusal_of);
    match of_stream.as_ref().or_else(|| bottom.downcast_ref::<TlsRefusal>()) {
        Some(refusal) => (refusal.to_string(), refusal.is_lasting),
        None => (bottom.to_string(), false),
    }
}

/// Returns why a connection failed, in words of ours if it is about TLS.
fn refusal_of(error: &std::io::Error) -> TlsRefusal {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => refusal::of_error(error),
        // In TLS 1.3, a server's word on our certificate comes after the handshake, and HTTP/2 keeps only the text of it.
        None => refusal::of_alert_text(&error.to_string()).unwrap_or_else(|| TlsRefusal::new(error.to_string())),
    }
}
