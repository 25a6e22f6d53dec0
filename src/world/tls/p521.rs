//! Pure: ECDSA over P-521, which ring lacks and `etcd --auto-tls` uses: the crate p521 verifies signatures of certificates
//! and handshakes, and signs with our key. Never replaces what ring has.

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

/// Ring's algorithms and ours. P-521 with SHA-512 comes last: a TLS 1.2 server takes the first hash, whichever curve its
/// key is on, and ring knows no other curve with SHA-512.
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
    CryptoProvider {
        signature_verification_algorithms: *ALGORITHMS,
        key_provider: &KeyLoader,
        ..ring::default_provider()
    }
}

/// Loads private keys: those of P-521 here, all others with ring.
#[derive(Debug)]
struct KeyLoader;

impl KeyProvider for KeyLoader {
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

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// A key, and what openssl has signed with it.
    const KEY: &str = "MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIBJcqPPQX68kp3XcdRMUmRpAqpituG3zxVZ82F4hB+SI96/K1UKHVa \
        7BVAj+rNj6ujeenVBPxenzD0aPS9P8ej3ZOhgYkDgYYABADe7WxXn02SMnwRSgD1W7G/pX9V2OA0l7IKlSyQpgUhwSo/Uac9dDp2 \
        aJQOmUE9CHRyFLvfdCHjoV50Tgx/x7OPMwAw39BDwyAgsxtelkrl4Te6gwhCBOLiZsA5CuHQPe6ZYzlefEtrzGSXdu6KmQmxj6yb \
        Ruzo8Lo/07+0roUrOxqkmA==";
    const MESSAGE: &[u8] = b"message";
    const SIGNATURES: [(Algorithm, &str); 3] = [
        (
            SHA256,
            "MIGHAkIByE6bbBXeFXAQQ/GIIKEw+6ZVJbnt/ae8YkbkoMTu8QSzN6CrFlYi56E2FFsFrMLxmCZ0VhDjf5ua5F44KGxL6YoCQT9g \
             Wqw1IlZQhlQ/wuoshE2ewJyvuJz2YGqgPWv/v2GXvwd/SFbOb/ZLg4r9WTN0XdjO9Ev/yqwNpmqcs90USAoy",
        ),
        (
            SHA384,
            "MIGHAkF0wrbWaALFP5DbdRVW0i3AR4o/HGT8TwVCrofZ9kkII/aUqQdzejyRDM8jnHXi8KczjjWzChCqZmUX1GZPrx1kpAJCAbt0 \
             xrsrYsHI81mlUMYQhUHn5EkI4sczODWUqQgq02pW1SX/oaWbrW6EL4Bq6w1Jp4+AJFEfBm11MzfQsStPkqG4",
        ),
        (
            SHA512,
            "MIGIAkIBE63Al22MvKN6FTCuDlKqaiNK0LVrf2IV0YNqy/XnSHQCSaL0OMHxLdHFyv/8la68HM8ZWGRM0AyVu2dbVrtvtpQCQgD8 \
             cQvkis3EaADfk46TbEm2YR3NRho+TzbSCQKr4SBnnXkDorGN1+NVd+nlKbOw5a2OJqnrXHZmpb3JiT9hO4P+aA==",
        ),
    ];

    fn bytes(text: &str) -> Vec<u8> {
        STANDARD.decode(text.replace(char::is_whitespace, "")).unwrap()
    }

    fn key() -> Arc<dyn SigningKey> {
        KeyLoader.load_private_key(PrivateKeyDer::Pkcs8(bytes(KEY).into())).unwrap()
    }

    /// Returns the point: the last 133 bytes of a public key of P-521.
    fn point(key: &dyn SigningKey) -> Vec<u8> {
        let info = key.public_key().unwrap();
        info[info.len() - 133..].to_vec()
    }

    #[test]
    fn signatures_of_openssl_are_verified_for_each_hash() {
        let point = point(&*key());
        for (algorithm, signature) in SIGNATURES {
            let signature = bytes(signature);
            assert!(algorithm.verify_signature(&point, MESSAGE, &signature).is_ok(), "{algorithm:?}");
            assert!(algorithm.verify_signature(&point, b"massage", &signature).is_err());
            assert!(algorithm.verify_signature(&point[1..], MESSAGE, &signature).is_err());
            for position in 0..signature.len() {
                let mut changed = signature.clone();
                changed[position] ^= 1;
                assert!(algorithm.verify_signature(&point, MESSAGE, &changed).is_err(), "{position}");
            }
        }
    }

    #[test]
    fn own_signatures_are_verified_and_made_with_no_other_scheme() {
        let key = key();
        assert!(
            key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA512]).is_none()
        );
        let signer = key.choose_scheme(&[SignatureScheme::ECDSA_NISTP521_SHA512]).unwrap();
        let signature = signer.sign(MESSAGE).unwrap();
        assert!(SHA512.verify_signature(&point(&*key), MESSAGE, &signature).is_ok());
        assert!(
            !format!("{key:?}").contains(|c: char| c.is_ascii_digit() && c != '5' && c != '2' && c != '1'),
            "{key:?}"
        );
    }

    #[test]
    fn each_scheme_of_ring_is_still_there_and_before_ours() {
        let ring = ring::default_provider().signature_verification_algorithms.supported_schemes();
        let ours = provider().signature_verification_algorithms.supported_schemes();
        assert_eq!(ours, [ring, vec![SignatureScheme::ECDSA_NISTP521_SHA512]].concat());
    }
}
