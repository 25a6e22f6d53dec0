//! TLS for nano-container: a certificate from files, or a self-signed one generated at start; ALPN for HTTP/2 and HTTP/1.1.
//! Never writes a key anywhere.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// ALPN name of HTTP/2.
pub const HTTP_2: &[u8] = b"h2";
/// ALPN name of HTTP/1.1.
pub const HTTP_1_1: &[u8] = b"http/1.1";

/// A certificate chain, leaf first, and its private key.
pub struct TlsIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl TlsIdentity {
    /// Reads PEM files.
    ///
    /// # Errors
    /// A file cannot be read, or has no certificate or no key; the message names it.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<TlsIdentity, String> {
        let unreadable = |path: &Path, failure| format!("cannot read {}: {failure}", path.display());
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|failure| unreadable(certificate, failure))?;
        if chain.is_empty() {
            return Err(format!("no certificate in {}; hint: a PEM file is expected", certificate.display()));
        }
        let key = PrivateKeyDer::from_pem_file(key).map_err(|failure| unreadable(key, failure))?;
        Ok(TlsIdentity { chain, key })
    }

    /// Generates a key and a self-signed certificate for `names` (host names or addresses).
    ///
    /// # Errors
    /// A name is not valid in a certificate.
    pub fn self_signed(names: &[String]) -> Result<TlsIdentity, String> {
        let made = rcgen::generate_simple_self_signed(names)
            .map_err(|failure| format!("cannot make a certificate for {}: {failure}", names.join(", ")))?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
            .map_err(|failure| format!("cannot use the key just made: {failure}"))?;
        Ok(TlsIdentity { chain: vec![made.cert.der().clone()], key })
    }

    /// Returns a TLS acceptor with this identity that prefers HTTP/2.
    ///
    /// # Errors
    /// The key does not belong to the certificate.
    pub fn acceptor(self) -> Result<TlsAcceptor, String> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(self.chain, self.key))
            .map_err(|failure| format!("cannot use the certificate with its key: {failure}"))?;
        config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1_1.to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}
