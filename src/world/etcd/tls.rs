//! The transport of one endpoint: plain, or TLS with the system's roots, a private CA, a client certificate, or no
//! verification at all. Each works without the others. Reads the PEM files again for every connection; never caches them.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{self, CryptoProvider};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{DigitallySignedStruct, Error, SignatureScheme};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint as Transport, Identity};

use super::{Endpoint, failure};
use crate::model::etcd::EtcdFailure;
use crate::model::store::{EtcdSettings, Scheme, TlsSettings};

/// Returns the transport for `endpoint`.
pub(super) fn configure(endpoint: &Endpoint, settings: &EtcdSettings) -> Result<Transport, EtcdFailure> {
    let transport = Transport::from_shared(endpoint.to_string())
        .map_err(|error| EtcdFailure::unreachable(format!("cannot connect to {endpoint}: {error}")))?;
    if endpoint.scheme == Scheme::Http {
        return Ok(transport);
    }
    let tls = settings.tls.clone().unwrap_or_default();
    let server_name = endpoint.server_name.as_ref().unwrap_or(&endpoint.host);
    let mut config = ClientTlsConfig::new().domain_name(server_name);
    if let Some(identity) = identity(&tls)? {
        config = config.identity(identity);
    }
    let configured = if tls.insecure {
        transport.tls_config_with_verifier(config, Arc::new(AnyCertificate::default()))
    } else if let Some(ca) = &tls.ca {
        transport.tls_config(config.ca_certificate(authorities(ca)?))
    } else {
        transport.tls_config(config.with_native_roots())
    };
    configured.map_err(|error| {
        EtcdFailure::unreachable(format!("cannot set up TLS for {endpoint}: {}", failure::cause(&error)))
    })
}

fn authorities(path: &Path) -> Result<Certificate, EtcdFailure> {
    let pem = read(path, "CA file")?;
    if CertificateDer::pem_slice_iter(&pem).flatten().next().is_none() {
        return Err(EtcdFailure::unreachable(format!("CA file {} holds no certificate in PEM", path.display())));
    }
    Ok(Certificate::from_pem(pem))
}

fn identity(tls: &TlsSettings) -> Result<Option<Identity>, EtcdFailure> {
    let (cert, key) = match (&tls.cert, &tls.key) {
        (None, None) => return Ok(None),
        (Some(cert), Some(key)) => (cert, key),
        (Some(_), None) => return Err(EtcdFailure::unreachable("a client certificate is set without a client key")),
        (None, Some(_)) => return Err(EtcdFailure::unreachable("a client key is set without a client certificate")),
    };
    let cert_pem = read(cert, "client certificate")?;
    if CertificateDer::pem_slice_iter(&cert_pem).flatten().next().is_none() {
        return Err(EtcdFailure::unreachable(format!(
            "client certificate {} holds no certificate in PEM",
            cert.display()
        )));
    }
    let key_pem = read(key, "client key")?;
    if PrivateKeyDer::from_pem_slice(&key_pem).is_err() {
        return Err(EtcdFailure::unreachable(format!("client key {} holds no private key in PEM", key.display())));
    }
    Ok(Some(Identity::from_pem(cert_pem, key_pem)))
}

fn read(path: &Path, what: &str) -> Result<Vec<u8>, EtcdFailure> {
    std::fs::read(path)
        .map_err(|error| EtcdFailure::unreachable(format!("cannot read {what} {}: {error}", path.display())))
}

/// A verifier that accepts any certificate, for `insecure`. The server must still prove that it holds the key.
#[derive(Debug)]
pub(in crate::world) struct AnyCertificate(CryptoProvider);

impl Default for AnyCertificate {
    fn default() -> AnyCertificate {
        AnyCertificate(crypto::ring::default_provider())
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
