//! Decides about a server's certificate as Go does. rustls judges chains, names and signatures; two kinds of certificate
//! that it refuses are judged here: one that is in the CA file itself, byte for byte, and one with `CA:TRUE` that an
//! authority has signed directly. Never accepts a handshake that is not signed with the certificate's key, except by
//! `AnyCertificate`.

use std::path::Path;
use std::sync::Arc;

use rustls_native_certs::load_native_certs;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use tokio_rustls::rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

use crate::world::fs::read_regular;

use super::MAX_PEM_BYTES;
use super::certificate::Certificate;
use super::refusal::{self, CertificateRole, TlsRefusal};

/// Whom we trust.
#[derive(Debug)]
pub(super) struct Trust {
    /// Where its certificates are from, for messages.
    place: String,
    /// Those who may have signed a server's certificate.
    authorities: RootCertStore,
    /// All certificates of the CA file: a server with one of these is trusted. None of the system's.
    pinned: Vec<CertificateDer<'static>>,
    /// Certificates of the CA file that cannot have signed any other, with the reasons.
    left_out: Vec<String>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Trust {
    /// Returns trust in the authorities of the system.
    pub(super) fn of_system(algorithms: WebPkiSupportedAlgorithms) -> Result<Trust, String> {
        let mut authorities = RootCertStore::empty();
        if authorities.add_parsable_certificates(load_native_certs().certs).0 == 0 {
            return Err(
                "the system has no certificate authorities; install them (ca-certificates) or set a CA file".to_owned()
            );
        }
        let place = "the system's certificate authorities".to_owned();
        Ok(Trust { place, authorities, pinned: Vec::new(), left_out: Vec::new(), algorithms })
    }

    /// Returns trust in the certificates of a CA file.
    pub(super) fn of_file(path: &Path, algorithms: WebPkiSupportedAlgorithms) -> Result<Trust, String> {
        let shown = path.display();
        let pem =
            read_regular(path, MAX_PEM_BYTES).map_err(|error| format!("cannot read the CA file {shown}: {error}"))?;
        let pinned: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem).flatten().collect();
        if pinned.is_empty() {
            return Err(format!("the CA file {shown} holds no certificate in PEM"));
        }
        let place = format!("the certificates of the CA file {shown}");
        let mut trust = Trust { place, authorities: RootCertStore::empty(), pinned, left_out: Vec::new(), algorithms };
        for der in &trust.pinned {
            match may_sign(der, UnixTime::now()).and_then(|()| trust.authorities.add(der.clone()).map_err(unreadable)) {
                Ok(()) => {}
                Err(reason) => trust.left_out.push(reason),
            }
        }
        Ok(trust)
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), TlsRefusal> {
        let own = Certificate::parse(leaf).ok_or_else(|| TlsRefusal::new("the server's certificate cannot be read"))?;
        own.check_key(CertificateRole::Server)?;
        if !own.has_extensions() {
            return Err(TlsRefusal::no_names());
        }
        let parsed = ParsedCertificate::try_from(leaf).map_err(|error| refusal::of_error(&error))?;
        if self.pinned.iter().any(|pinned| pinned == leaf) {
            own.check_alone(now)?;
        } else if own.is_authority() {
            own.check_alone(now)?;
            let signed = |authority| own.is_signed_by(authority, self.algorithms.all);
            let mut unconstrained =
                self.authorities.roots.iter().filter(|authority| authority.name_constraints.is_none());
            if !unconstrained.any(signed) {
                return Err(self.unknown(&own));
            }
        } else {
            let (roots, algorithms) = (&self.authorities, self.algorithms.all);
            verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms)
                .map_err(|error| self.explain(&error, &own, intermediates, now))?;
        }
        verify_server_name(&parsed, name).map_err(|error| match error {
            Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }) => {
                TlsRefusal::wrong_name(&name.to_str(), &presented)
            }
            other => refusal::of_error(&other),
        })
    }

    /// Returns what is wrong with the chain, given what rustls says about it.
    fn explain(
        &self,
        error: &Error,
        own: &Certificate,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> TlsRefusal {
        let of_chain = || {
            own.check_dates(CertificateRole::Server, now)?;
            for intermediate in intermediates.iter().filter_map(|der| Certificate::parse(der)) {
                intermediate.check_dates(CertificateRole::Intermediate, now)?;
                intermediate.check_key(CertificateRole::Intermediate)?;
            }
            Ok(())
        };
        let Error::InvalidCertificate(error) = error else { return refusal::of_error(error) };
        if let Err(refusal) = of_chain() {
            return refusal;
        }
        match error {
            CertificateError::UnknownIssuer => self.unknown(own),
            CertificateError::BadSignature => TlsRefusal::forged(&own.issuer(), &self.place),
            CertificateError::InvalidPurposeContext { .. } => TlsRefusal::not_for_servers(),
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                TlsRefusal::unknown_signature(&own.signature_algorithm())
            }
            other => TlsRefusal::new(format!("the server's certificate is refused: {other}")),
        }
    }

    fn unknown(&self, own: &Certificate) -> TlsRefusal {
        TlsRefusal::unknown(&own.issuer(), &self.place, &self.left_out)
    }
}

/// Checks that a certificate of a CA file may have signed others, as Go demands it.
fn may_sign(der: &[u8], now: UnixTime) -> Result<(), String> {
    let certificate = Certificate::parse(der).ok_or_else(|| "one that cannot be read".to_owned())?;
    let of = |problem: &str| format!("{}, which {problem}", certificate.subject());
    if !certificate.may_sign() {
        return Err(of("is no CA (CA:TRUE)"));
    }
    let usable = certificate
        .check_key(CertificateRole::OfFile)
        .and_then(|()| certificate.check_dates(CertificateRole::OfFile, now));
    usable.map_err(|refusal| of(&refusal.to_string()))
}

fn unreadable(error: Error) -> String {
    format!("one that cannot be used ({error})")
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.judge(leaf, intermediates, name, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(refusal) => Err(CertificateError::Other(OtherError(Arc::new(refusal))).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// A verifier that accepts any certificate, for `insecure`. It does not check the handshake's signature either: whoever
/// may show any certificate can show one with a key of their own.
#[derive(Debug)]
pub(super) struct AnyCertificate;

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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ED25519,
            SignatureScheme::ED448,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
            SignatureScheme::ECDSA_SHA1_Legacy,
            SignatureScheme::RSA_PKCS1_SHA1,
        ]
    }
}
