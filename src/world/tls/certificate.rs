//! Pure: one X.509 certificate: its version, dates, purposes and key, and whether it may have signed others, by the rules
//! of Go's crypto/x509. Never judges a chain or a name: rustls does, except for the certificates that it does not look at.

use der::asn1::{AnyRef, BitStringRef, GeneralizedTime, ObjectIdentifier, UintRef, UtcTime};
use der::{Decode, Reader, SliceReader, Tag, Tagged};
use tokio_rustls::rustls::pki_types::{SignatureVerificationAlgorithm, TrustAnchor, UnixTime};

use super::refusal::{CertificateRole, MIN_RSA_BITS, TlsRefusal, printable};

type Oid = ObjectIdentifier;

const RSA: Oid = Oid::new_unwrap("1.2.840.113549.1.1.1");
const KEY_USAGE: Oid = Oid::new_unwrap("2.5.29.15");
const CONSTRAINTS: Oid = Oid::new_unwrap("2.5.29.19");
const PURPOSES: Oid = Oid::new_unwrap("2.5.29.37");
const FOR_ANYTHING: Oid = Oid::new_unwrap("2.5.29.37.0");
const FOR_SERVERS: Oid = Oid::new_unwrap("1.3.6.1.5.5.7.3.1");
const COMMON_NAME: Oid = Oid::new_unwrap("2.5.4.3");
const ORGANIZATION: Oid = Oid::new_unwrap("2.5.4.10");

/// Extensions `2.5.29.x` that may be critical: key identifiers, usages, names, constraints, revocation, policies.
const KNOWN_EXTENSIONS: &[u8] = &[14, 15, 17, 19, 30, 31, 32, 35, 37];

/// `keyCertSign` in the first byte of the key usage.
const SIGNS_CERTIFICATES: u8 = 0b100;

/// A parsed certificate.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    /// What is signed, as DER.
    signed: &'a [u8],
    /// The algorithm that it is signed with.
    algorithm: &'a [u8],
    signature: &'a [u8],
    has_extensions: bool,
    issuer: &'a [u8],
    subject: &'a [u8],
    /// The first and the last second at which it is valid.
    dates: (u64, u64),
    /// Its public key with the kind of it, as DER.
    key: &'a [u8],
    extensions: Vec<Extension<'a>>,
}

#[derive(Debug)]
struct Extension<'a> {
    id: Oid,
    is_critical: bool,
    value: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Returns the certificate with this DER, or nothing if it cannot be read.
    pub(super) fn parse(der: &'a [u8]) -> Option<Certificate<'a>> {
        let mut outer = SliceReader::new(AnyRef::from_der(der).ok()?.value()).ok()?;
        let signed = outer.tlv_bytes().ok()?;
        let algorithm = AnyRef::decode(&mut outer).ok()?.value();
        let signature = BitStringRef::decode(&mut outer).ok()?.as_bytes()?;
        let mut inner = SliceReader::new(AnyRef::from_der(signed).ok()?.value()).ok()?;
        let mut part = || AnyRef::decode(&mut inner).ok();
        let mut first = part()?;
        let is_version = first.tag().is_context_specific();
        let has_extensions = is_version && u8::from_der(first.value()).ok()? == 2;
        if is_version {
            first = part()?;
        }
        // What follows the serial number. The algorithm stands twice, and both must be the same.
        let (inner_algorithm, issuer, dates, subject) = (part()?, part()?, part()?, part()?);
        if first.tag() != Tag::Integer || inner_algorithm.value() != algorithm {
            return None;
        }
        let key = inner.tlv_bytes().ok()?;
        let mut extensions = Vec::new();
        while !inner.is_finished() {
            let part = AnyRef::decode(&mut inner).ok()?;
            if matches!(part.tag(), Tag::ContextSpecific { number, .. } if number.value() == 3) {
                extensions = parse_extensions(part.value())?;
            }
        }
        let (issuer, subject, dates) = (issuer.value(), subject.value(), parse_dates(dates.value())?);
        Some(Certificate { signed, algorithm, signature, has_extensions, issuer, subject, dates, key, extensions })
    }

    fn extension(&self, id: Oid) -> Option<&'a [u8]> {
        self.extensions.iter().find(|extension| extension.id == id).map(|extension| extension.value)
    }

    /// Returns whether it says that it is an authority (`CA:TRUE`).
    pub(super) fn is_authority(&self) -> bool {
        let Some(constraints) = self.extension(CONSTRAINTS).and_then(|value| AnyRef::from_der(value).ok()) else {
            return false;
        };
        SliceReader::new(constraints.value()).and_then(|mut reader| bool::decode(&mut reader)).unwrap_or(false)
    }

    /// Returns whether it may have signed other certificates. One of version 1 does not say, and may.
    pub(super) fn may_sign(&self) -> bool {
        let may = |usage: &[u8]| {
            let usage = BitStringRef::from_der(usage).map_or(0, |bits| bits.raw_bytes().first().copied().unwrap_or(0));
            usage & SIGNS_CERTIFICATES != 0
        };
        self.extension(KEY_USAGE).is_none_or(may) && (self.is_authority() || !self.has_extensions)
    }

    /// Returns whether it is of version 3. Older ones have no extensions, hence no names of servers.
    pub(super) fn has_extensions(&self) -> bool {
        self.has_extensions
    }

    /// Checks that `now` is within its dates.
    pub(super) fn check_dates(&self, role: CertificateRole, now: UnixTime) -> Result<(), TlsRefusal> {
        let (from, to) = self.dates;
        if now.as_secs() < from {
            return Err(TlsRefusal::not_yet(role, from));
        }
        if now.as_secs() > to { Err(TlsRefusal::expired(role, to)) } else { Ok(()) }
    }

    /// Checks that its key is not too short to be used.
    pub(super) fn check_key(&self, role: CertificateRole) -> Result<(), TlsRefusal> {
        match self.rsa_bits() {
            Some(bits) if bits < MIN_RSA_BITS => Err(TlsRefusal::short_key(role, bits)),
            _ => Ok(()),
        }
    }

    /// Checks what depends neither on who has signed it nor on the server's name: dates, purpose, critical extensions.
    pub(super) fn check_alone(&self, now: UnixTime) -> Result<(), TlsRefusal> {
        self.check_dates(CertificateRole::Server, now)?;
        let serves = |purposes: &[u8]| {
            let purposes = Vec::<Oid>::from_der(purposes).unwrap_or_default();
            purposes.contains(&FOR_SERVERS) || purposes.contains(&FOR_ANYTHING)
        };
        if !self.extension(PURPOSES).is_none_or(serves) {
            return Err(TlsRefusal::not_for_servers());
        }
        let is_known = |id: &ObjectIdentifier| match id.as_bytes() {
            [0x55, 0x1d, last] => KNOWN_EXTENSIONS.contains(last),
            _ => false,
        };
        match self.extensions.iter().find(|extension| extension.is_critical && !is_known(&extension.id)) {
            Some(extension) => Err(TlsRefusal::unknown_extension(&extension.id.to_string())),
            None => Ok(()),
        }
    }

    /// Returns whether the key of `authority` has signed it.
    pub(super) fn is_signed_by(
        &self,
        authority: &TrustAnchor<'_>,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> bool {
        let Some((kind, key)) = parse_key(&authority.subject_public_key_info) else { return false };
        let fits = |algorithm: &&&dyn SignatureVerificationAlgorithm| {
            *algorithm.public_key_alg_id() == *kind && *algorithm.signature_alg_id() == *self.algorithm
        };
        let verifies = |algorithm: &&dyn SignatureVerificationAlgorithm| {
            algorithm.verify_signature(key, self.signed, self.signature).is_ok()
        };
        *self.issuer == *authority.subject && algorithms.iter().find(fits).is_some_and(verifies)
    }

    /// Returns its public key with the kind of it, as DER.
    pub(super) fn public_key(&self) -> &'a [u8] {
        self.key
    }

    /// Returns the object identifier of the algorithm that it is signed with.
    pub(super) fn signature_algorithm(&self) -> String {
        let id = SliceReader::new(self.algorithm).and_then(|mut reader| Oid::decode(&mut reader));
        id.map_or_else(|_| "an unknown algorithm".to_owned(), |id| id.to_string())
    }

    /// Returns whom it certifies, for a message.
    pub(super) fn subject(&self) -> String {
        shown(self.subject)
    }

    /// Returns who is said to have signed it, for a message.
    pub(super) fn issuer(&self) -> String {
        shown(self.issuer)
    }

    fn rsa_bits(&self) -> Option<usize> {
        let (kind, key) = parse_key(AnyRef::from_der(self.key).ok()?.value())?;
        if Oid::decode(&mut SliceReader::new(kind).ok()?).ok()? != RSA {
            return None;
        }
        let mut parts = SliceReader::new(AnyRef::from_der(key).ok()?.value()).ok()?;
        let modulus = UintRef::decode(&mut parts).ok()?;
        let modulus = modulus.as_bytes();
        Some(modulus.len() * 8 - modulus.first().map_or(0, |byte| byte.leading_zeros() as usize))
    }
}

/// Returns the kind of a public key and the key, given what stands within its outer tag.
fn parse_key(info: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(info).ok()?;
    let kind = AnyRef::decode(&mut reader).ok()?.value();
    Some((kind, BitStringRef::decode(&mut reader).ok()?.as_bytes()?))
}

fn parse_dates(dates: &[u8]) -> Option<(u64, u64)> {
    let mut reader = SliceReader::new(dates).ok()?;
    let mut date = || match Tag::peek(&reader).ok()? {
        Tag::UtcTime => Some(UtcTime::decode(&mut reader).ok()?.to_unix_duration().as_secs()),
        _ => Some(GeneralizedTime::decode(&mut reader).ok()?.to_unix_duration().as_secs()),
    };
    Some((date()?, date()?))
}

fn parse_extensions(list: &[u8]) -> Option<Vec<Extension<'_>>> {
    let mut list = SliceReader::new(AnyRef::from_der(list).ok()?.value()).ok()?;
    let mut extensions: Vec<Extension<'_>> = Vec::new();
    while !list.is_finished() {
        let mut parts = SliceReader::new(AnyRef::decode(&mut list).ok()?.value()).ok()?;
        let id = Oid::decode(&mut parts).ok()?;
        let is_critical = Tag::peek(&parts).ok()? == Tag::Boolean && bool::decode(&mut parts).ok()?;
        let value = AnyRef::decode(&mut parts).ok()?.value();
        // One that stands twice could be read in two ways.
        if extensions.iter().any(|extension| extension.id == id) {
            return None;
        }
        extensions.push(Extension { id, is_critical, value });
    }
    Some(extensions)
}

/// Returns the common name, or else the organization.
fn shown(name: &[u8]) -> String {
    let text = attribute(name, COMMON_NAME).or_else(|| attribute(name, ORGANIZATION));
    text.map_or_else(|| "nobody".to_owned(), |text| format!("\"{}\"", printable(&String::from_utf8_lossy(text))))
}

fn attribute(name: &[u8], id: Oid) -> Option<&[u8]> {
    let mut sets = SliceReader::new(name).ok()?;
    while !sets.is_finished() {
        let mut pairs = SliceReader::new(AnyRef::decode(&mut sets).ok()?.value()).ok()?;
        while !pairs.is_finished() {
            let mut pair = SliceReader::new(AnyRef::decode(&mut pairs).ok()?.value()).ok()?;
            if Oid::decode(&mut pair).ok()? == id {
                return Some(AnyRef::decode(&mut pair).ok()?.value());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
        KeyUsagePurpose, date_time_ymd,
    };

    use super::*;

    /// Returns the DER of a self-signed certificate of 2020 for `CN=name`, changed by `change`.
    fn made(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "name");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn second(second: u64) -> UnixTime {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(second))
    }

    const IN_2020: u64 = 1_600_000_000;

    #[track_caller]
    fn check_alone(change: impl FnOnce(&mut CertificateParams), at: u64, problem: Option<&str>) {
        let der = made(change);
        let found = Certificate::parse(&der).unwrap().check_alone(second(at)).map_err(|refusal| refusal.to_string());
        match problem {
            None => assert_eq!(found, Ok(())),
            Some(words) => assert!(found.clone().unwrap_err().contains(words), "{found:?}"),
        }
    }

    #[test]
    fn dates_purposes_and_critical_extensions_are_checked() {
        check_alone(|_| {}, IN_2020, None);
        check_alone(|_| {}, 1_577_836_800, None);
        check_alone(|_| {}, 1_577_836_799, Some("is not valid before 2020-01-01T00:00:00Z"));
        check_alone(|_| {}, 1_609_459_200, None);
        check_alone(|_| {}, 1_609_459_201, Some("expired on 2021-01-01T00:00:00Z; renew it"));
        check_alone(|params| params.not_after = date_time_ymd(2060, 1, 1), 2_800_000_000, None);
        let purposes = |purposes: &[ExtendedKeyUsagePurpose]| {
            let purposes = purposes.to_vec();
            move |params: &mut CertificateParams| params.extended_key_usages = purposes
        };
        use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
        check_alone(purposes(&[ClientAuth, ServerAuth]), IN_2020, None);
        check_alone(purposes(&[Any]), IN_2020, None);
        check_alone(purposes(&[ClientAuth]), IN_2020, Some("is not for servers"));
        let extension = |oid: &[u64], is_critical: bool| {
            let mut extension = CustomExtension::from_oid_content(oid, vec![5, 0]);
            extension.set_criticality(is_critical);
            move |params: &mut CertificateParams| params.custom_extensions.push(extension)
        };
        check_alone(extension(&[1, 2, 3], false), IN_2020, None);
        check_alone(extension(&[2, 5, 29, 32], true), IN_2020, None);
        check_alone(extension(&[1, 2, 3], true), IN_2020, Some("a critical extension that is not known here (1.2.3)"));
        check_alone(extension(&[2, 5, 29, 99], true), IN_2020, Some("(2.5.29.99)"));
    }

    #[test]
    fn only_authorities_with_the_right_usage_may_have_signed_others() {
        let check = |is_ca: IsCa, usages: &[KeyUsagePurpose], is_authority: bool, may_sign: bool| {
            let der = made(|params| {
                params.is_ca = is_ca;
                params.key_usages = usages.to_vec();
            });
            let certificate = Certificate::parse(&der).unwrap();
            assert_eq!(
                (certificate.is_authority(), certificate.may_sign()),
                (is_authority, may_sign),
                "{is_ca:?} {usages:?}"
            );
        };
        use KeyUsagePurpose::{DigitalSignature, KeyCertSign};
        let authority = IsCa::Ca(BasicConstraints::Unconstrained);
        check(authority, &[], true, true);
        check(authority, &[DigitalSignature, KeyCertSign], true, true);
        check(IsCa::Ca(BasicConstraints::Constrained(0)), &[KeyCertSign], true, true);
        check(authority, &[DigitalSignature], true, false);
        check(IsCa::ExplicitNoCa, &[KeyCertSign], false, false);
        check(IsCa::NoCa, &[], false, false);
    }

    #[test]
    fn what_is_cut_short_or_doubled_cannot_be_read() {
        let der = made(|_| {});
        assert_eq!(Certificate::parse(&der).unwrap().subject(), "\"name\"");
        for end in 0..der.len() {
            assert!(Certificate::parse(&der[..end]).is_none(), "{end}");
        }
        let twice = made(|params| {
            for _ in 0..2 {
                params.custom_extensions.push(CustomExtension::from_oid_content(&[1, 2, 3], vec![5, 0]));
            }
        });
        assert!(Certificate::parse(&twice).is_none());
        for position in 0..der.len() {
            let mut changed = der.clone();
            changed[position] ^= 0x55;
            // Whatever it says now, reading it ends.
            let Some(certificate) = Certificate::parse(&changed) else { continue };
            let _ = (certificate.may_sign(), certificate.subject(), certificate.issuer(), certificate.rsa_bits());
            certificate.check_alone(second(IN_2020)).ok();
        }
    }

    #[test]
    fn texts_of_a_server_are_cut_and_have_no_control_characters() {
        assert_eq!(printable("a\u{1b}[31m\nb"), "a?[31m?b");
        assert_eq!(printable(&"ä".repeat(200)), format!("{}…", "ä".repeat(100)));
    }
}
