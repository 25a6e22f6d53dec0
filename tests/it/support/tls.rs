//! A certificate authority for tests and the demo: signs server certificates that nginx, nano-container and clients use.
//! Never writes outside the given folder.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use tokio_rustls::rustls::pki_types::CertificateDer;

/// An authority that is its own root.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

/// Files of one server: certificate and key, PEM.
#[derive(Clone, Debug)]
pub struct ServerFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    /// Makes an authority and writes its certificate to `authority.crt` in `folder`.
    pub fn new(folder: &Path) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "upstreamd test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Authority { issuer, folder: folder.to_owned() };
        fs::write(authority.certificate_file(), authority.issuer.pem()).unwrap();
        authority
    }

    /// The authority's certificate, PEM.
    pub fn certificate_file(&self) -> PathBuf {
        self.folder.join("authority.crt")
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// Writes `NAME.crt` and `NAME.key` for a server called `names`.
    pub fn sign(&self, file_name: &str, names: &[&str]) -> ServerFiles {
        let params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = ServerFiles {
            certificate: self.folder.join(format!("{file_name}.crt")),
            key: self.folder.join(format!("{file_name}.key")),
        };
        fs::write(&files.certificate, certificate.pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }
}
