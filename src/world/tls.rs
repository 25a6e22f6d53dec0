//! TLS to servers, the same for etcd and for health checks: whom we trust, our certificate, and the words of a refusal.
//! Reads the PEM files each time; never caches them, and never opens a connection.

mod certificate;
mod identity;
mod p521;
mod refusal;
mod stream;
mod trust;

use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::{ClientConfig, Error};

pub(super) use refusal::{NO_TLS, TlsRefusal};
pub(super) use stream::{LateRefusal, SecureStream};
use trust::{AnyCertificate, Trust};

/// The name of HTTP/2 in TLS.
pub(super) const HTTP_2: &[u8] = b"h2";
/// Longest file of certificates, or of a key, that is read.
const MAX_PEM_BYTES: u64 = 16 << 20;

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

/// Secures a connection to the server with this name or address. `late` shows what the server refuses after the handshake.
///
/// # Errors
/// A refusal, ours or the server's.
pub(super) async fn secure(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    stream: TcpStream,
    late: LateRefusal,
) -> Result<SecureStream, TlsRefusal> {
    let secured = TlsConnector::from(config).connect(name, stream).await.map_err(|error| refusal_of(&error))?;
    Ok(SecureStream::new(secured, late))
}

/// Returns why a connection failed, given the error at the bottom of the chain.
pub(super) fn refusal_in(bottom: &(dyn std::error::Error + 'static)) -> TlsRefusal {
    match (bottom.downcast_ref::<std::io::Error>(), bottom.downcast_ref::<TlsRefusal>()) {
        (Some(of_stream), _) => refusal_of(of_stream),
        (_, Some(refusal)) => refusal.clone(),
        _ => TlsRefusal::new(bottom.to_string()),
    }
}

/// Returns why a connection failed, in words of ours if it is about TLS.
fn refusal_of(error: &std::io::Error) -> TlsRefusal {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => refusal::of_error(error),
        None => TlsRefusal::new(error.to_string()),
    }
}
