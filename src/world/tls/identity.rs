//! Our own certificate with its key, for servers that want one. Its version, purpose and dates are for the server to
//! judge. Never shows a key.

use std::path::Path;

use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::world::fs::read_regular;

use super::MAX_PEM_BYTES;
use super::certificate::Certificate;
use super::refusal::CertificateRole;

/// Reads the certificate, intermediates after it, and its key.
pub(super) fn read(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let (shown, shown_key) = (cert.display(), key.display());
    let pem = text(cert, "client certificate")?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem).flatten().collect();
    let first = chain.first().ok_or_else(|| format!("the client certificate {shown} holds none in PEM"))?;
    let own = Certificate::parse(first).ok_or_else(|| format!("the client certificate {shown} cannot be read"))?;
    own.check_key(CertificateRole::OfFile).map_err(|refusal| format!("the client certificate {shown} {refusal}"))?;
    let public_key = own.public_key();
    let key = PrivateKeyDer::from_pem_slice(&text(key, "client key")?)
        .map_err(|_| format!("the client key {shown_key} holds no private key in PEM"))?;
    let key = provider.key_provider.load_private_key(key).map_err(|_| {
        format!("the client key {shown_key} cannot be used: it must be RSA, ECDSA (P-256, P-384, P-521) or Ed25519")
    })?;
    if key.public_key().is_some_and(|of_key| *of_key != *public_key) {
        return Err(format!("the client key {shown_key} is not the key of the client certificate {shown}"));
    }
    Ok(CertifiedKey::new(chain, key))
}

fn text(path: &Path, what: &str) -> Result<Vec<u8>, String> {
    read_regular(path, MAX_PEM_BYTES).map_err(|error| format!("cannot read the {what} {}: {error}", path.display()))
}
