//! Pure: ECDSA over P-521, which ring lacks and `etcd --auto-tls` uses: signatures of certificates and handshakes are verified, and
//! ours are made, with the crate p521. Everything else is ring's.

use std::sync::{Arc, LazyLock};

use p521::ecdsa::signature::Signer as _;
use p521::ecdsa::signature::hazmat::PrehashVerifier;
use p521::ecdsa::{DerSignature, VerifyingKey};
use p521::elliptic_curve::pkcs8::DecodePrivateKey;
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio_rustls::rustls::crypto::{CryptoProvider, KeyProvider, WebPkiSupportedAlgorithms, ring};
use tokio_rustls::rustls::pki_types::{
    AlgorithmIdentifier, InvalidSignature, PrivateKeyDer, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer,
    alg_id,
};
use tokio_rustls::rustls::sign::{Signer, SigningKey, public_key_to_spki};
use tokio_rustls::rustls::{Error, SignatureAlgorithm, SignatureScheme};

/// Verifies signatures over one hash.
#[derive(Debug)]
struct EcdsaP521 {
    hash: fn(&[u8]) -> Vec<u8>,
    with: AlgorithmIdentifier,
}

static SHA256: Algorithm = &EcdsaP521 { hash: |message| Sha256::digest(message).to_vec(), with: alg_id::ECDSA_SHA256 };
static SHA384: Algorithm = &EcdsaP521 { hash: |message| Sha384::digest(message).to_vec(), with: alg_id::ECDSA_SHA384 };
static SHA512: Algorithm = &EcdsaP521 { hash: |message| Sha512::digest(message).to_vec(), with: alg_id::ECDSA_SHA512 };

impl SignatureVerificationAlgorithm for EcdsaP521 {
    fn verify_signature(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let key = VerifyingKey::from_sec1_bytes(public_key).map_err(|_| InvalidSignature)?;
        let signature = DerSignature::from_bytes(signature).map_err(|_| InvalidSignature)?;
        key.verify_prehash(&(self.hash)(message), &signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P521
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.with
    }
}

type Algorithm = &'static dyn SignatureVerificationAlgorithm;

/// Ring's algorithms and ours. P-521 comes last: a TLS 1.2 server takes the first that it can, for whichever curve its key is on, and
/// ring knows no other curve with SHA-512.
static ALGORITHMS: LazyLock<WebPkiSupportedAlgorithms> = LazyLock::new(|| {
    let ring = ring::default_provider().signature_verification_algorithms;
    let join = |known: &[Algorithm], more: &[Algorithm]| -> &'static [Algorithm] { [known, more].concat().leak() };
    let extend = |&(scheme, known): &(SignatureScheme, &'static [Algorithm])| match scheme {
        SignatureScheme::ECDSA_NISTP256_SHA256 => (scheme, join(known, &[SHA256])),
        SignatureScheme::ECDSA_NISTP384_SHA384 => (scheme, join(known, &[SHA384])),
        _ => (scheme, known),
    };
    let mut mapping: Vec<_> = ring.mapping.iter().map(extend).collect();
    mapping.push((SignatureScheme::ECDSA_NISTP521_SHA512, join(&[], &[SHA512])));
    WebPkiSupportedAlgorithms { all: join(ring.all, &[SHA256, SHA384, SHA512]), mapping: mapping.leak() }
});

/// Returns ring with P-521 beside its own curves.
pub(super) fn provider() -> CryptoProvider {
    CryptoProvider { signature_verification_algorithms: *ALGORITHMS, key_provider: &Keys, ..ring::default_provider() }
}

/// Loads private keys: those of P-521 here, all others with ring.
#[derive(Debug)]
struct Keys;

impl KeyProvider for Keys {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        let own = match &key {
            PrivateKeyDer::Pkcs8(der) => p521::SecretKey::from_pkcs8_der(der.secret_pkcs8_der()).ok(),
            PrivateKeyDer::Sec1(der) => p521::SecretKey::from_sec1_der(der.secret_sec1_der()).ok(),
            _ => None,
        };
        match own {
            Some(own) => Ok(Arc::new(P521Key(Arc::new(own.into())))),
            None => ring::default_provider().key_provider.load_private_key(key),
        }
    }
}

/// A private key. Its `Debug` shows nothing of it.
#[derive(Clone, Debug)]
struct P521Key(Arc<p521::ecdsa::SigningKey>);

impl SigningKey for P521Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ECDSA_NISTP521_SHA512).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        let point = self.0.verifying_key().to_sec1_point(false);
        Some(public_key_to_spki(&alg_id::ECDSA_P521, point.as_bytes()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for P521Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature: DerSignature =
            self.0.try_sign(message).map_err(|_| Error::General("signing failed".to_owned()))?;
        Ok(signature.as_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP521_SHA512
    }
}
