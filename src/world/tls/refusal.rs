//! Pure: why a certificate is refused: what is wrong, whose certificate it is, and what to do. Every refusal is a phrase
//! that follows the name of the server in a message.

use std::fmt;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, InvalidMessage, OtherError};

use crate::model::text;

/// The smallest RSA key that the TLS library takes, in bits.
pub(super) const MIN_RSA_BITS: usize = 2048;

/// The longest text of a certificate in a message, in characters.
const MAX_TEXT_CHARS: usize = 100;

/// The most names of a certificate that a message lists.
const MAX_NAMES: usize = 5;

/// The words about a server whose first bytes are of another protocol.
pub(crate) const NO_TLS: &str = "the server does not speak TLS at this port";

/// A refusal, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsRefusal {
    words: String,
    /// Whether only an edit fixes it, of a certificate or of a setting.
    pub(crate) is_lasting: bool,
}

impl fmt::Display for TlsRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for TlsRefusal {}

/// The owner of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CertificateRole {
    /// The server's own.
    Server,
    /// One that the server sends along.
    Intermediate,
    /// One of the CA file, or our own: the message names the file.
    OfFile,
}

impl CertificateRole {
    fn begin(self) -> &'static str {
        match self {
            CertificateRole::Server => "the server's certificate ",
            CertificateRole::Intermediate => "an intermediate certificate of the server ",
            CertificateRole::OfFile => "",
        }
    }
}

impl TlsRefusal {
    pub(crate) fn new(words: impl Into<String>) -> TlsRefusal {
        TlsRefusal { words: words.into(), is_lasting: false }
    }

    /// Returns the refusal of a server whose first bytes are of another protocol.
    pub(crate) fn no_tls() -> TlsRefusal {
        TlsRefusal::new(NO_TLS)
    }

    pub(super) fn expired(role: CertificateRole, second: u64) -> TlsRefusal {
        TlsRefusal::new(format!("{}expired on {}; renew it", role.begin(), date(second)))
    }

    pub(super) fn not_yet(role: CertificateRole, second: u64) -> TlsRefusal {
        let begin = role.begin();
        TlsRefusal::new(format!("{begin}is not valid before {}; check the clocks, or renew it", date(second)))
    }

    pub(super) fn short_key(role: CertificateRole, bits: usize) -> TlsRefusal {
        let begin = role.begin();
        TlsRefusal::new(format!(
            "{begin}has an RSA key of {bits} bits, and fewer than {MIN_RSA_BITS} are not accepted; renew it with a \
             longer key"
        ))
    }

    pub(super) fn not_for_servers() -> TlsRefusal {
        let begin = CertificateRole::Server.begin();
        TlsRefusal::new(format!(
            "{begin}is not for servers (its extended key usage lacks serverAuth); renew it with that usage, or without \
             any"
        ))
    }

    pub(super) fn unknown_extension(oid: &str) -> TlsRefusal {
        let begin = CertificateRole::Server.begin();
        TlsRefusal::new(format!("{begin}has a critical extension that is not known here ({oid}); renew it without"))
    }

    pub(super) fn unknown_signature(oid: &str) -> TlsRefusal {
        let begin = CertificateRole::Server.begin();
        TlsRefusal::new(format!(
            "{begin}or an intermediate one is signed in a way that is not accepted (the server's: {oid}); renew it, \
             signed with SHA-256 and RSA (2048 bits or more), ECDSA or Ed25519"
        ))
    }

    pub(super) fn forged(issuer: &str, place: &str) -> TlsRefusal {
        TlsRefusal::new(format!(
            "{}is not signed by the {issuer} that is among {place}: the name is the same, the key is not; get the \
             present certificate of that authority",
            CertificateRole::Server.begin()
        ))
    }

    pub(super) fn unknown(issuer: &str, place: &str, left_out: &[String]) -> TlsRefusal {
        let begin = CertificateRole::Server.begin();
        let mut words = format!(
            "{begin}is signed by {issuer}, which is not among {place}, nor does an intermediate certificate lead to \
             one of them"
        );
        if !left_out.is_empty() {
            words.push_str(&format!(" (left out: {})", left_out.join("; ")));
        }
        words.push_str("; set a CA file with the certificate of that authority, or with the server's own");
        TlsRefusal::new(words)
    }

    pub(super) fn no_names() -> TlsRefusal {
        let begin = CertificateRole::Server.begin();
        TlsRefusal::new(format!(
            "{begin}names no server: it has no subjectAltName, and its common name does not count; renew it with a \
             subjectAltName"
        ))
    }

    pub(super) fn wrong_name(wanted: &str, names: &[String]) -> TlsRefusal {
        if names.is_empty() {
            return TlsRefusal::no_names();
        }
        let mut list: Vec<String> = names.iter().take(MAX_NAMES).map(|name| printable(&plain_name(name))).collect();
        if names.len() > MAX_NAMES {
            list.push(format!("{} more", names.len() - MAX_NAMES));
        }
        let begin = CertificateRole::Server.begin();
        let list = list.join(", ");
        TlsRefusal::new(format!(
            "{begin}is for {list}, not for {wanted}; use one of its names as the address, or renew it with {wanted} in \
             its subjectAltName"
        ))
    }
}

/// Returns why we refuse a server or it refuses us, given the error of the TLS library.
pub(crate) fn of_error(error: &Error) -> TlsRefusal {
    let is_lasting = match error {
        Error::InvalidCertificate(_) => true,
        Error::AlertReceived(alert) => ABOUT_CERTIFICATES.contains(alert),
        _ => false,
    };
    TlsRefusal { is_lasting, ..words_of(error) }
}

fn words_of(error: &Error) -> TlsRefusal {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(own))) => TlsRefusal::new(own.to_string()),
        Error::InvalidCertificate(CertificateError::BadSignature) => TlsRefusal::new(
            "the server does not hold the key of the certificate that it shows; somebody may be in its place",
        ),
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => TlsRefusal::no_tls(),
        other => TlsRefusal::new(other.to_string()),
    }
}

/// The alerts about certificates. A server's are about ours.
const ABOUT_CERTIFICATES: [AlertDescription; 8] = [
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateUnknown,
    AlertDescription::CertificateRequired,
    AlertDescription::UnknownCA,
    AlertDescription::AccessDenied,
];

/// Returns what a server's alert means.
fn of_alert(alert: AlertDescription) -> TlsRefusal {
    match alert {
        AlertDescription::CertificateRequired => TlsRefusal::new(
            "the server wants a client certificate (for etcd, set client-cert and client-key; checks have none)",
        ),
        alert if ABOUT_CERTIFICATES.contains(&alert) => TlsRefusal::new(format!(
            "the server refuses our client certificate, or that we have none (TLS alert {alert:?}); its log may say why"
        )),
        other => TlsRefusal::new(format!("the server ended the TLS connection (alert {other:?})")),
    }
}

/// Returns a name of a certificate as people write it, not `DnsName("a")` or `IpAddress(127.0.0.1)`.
fn plain_name(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"').to_owned()
}

/// Returns a time as people read it.
pub(super) fn date(second: u64) -> String {
    let time = i64::try_from(second).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
    time.map_or_else(|| format!("second {second}"), |time| time.to_string())
}

/// Returns the beginning of a text that comes from a server, without control characters.
pub(super) fn printable(text: &str) -> String {
    text::one_line(text, MAX_TEXT_CHARS, '?')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_as_people_write_them_and_not_without_end() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let shown = |list: &[&str]| TlsRefusal::wrong_name("b", &names(list)).to_string();
        assert!(
            shown(&[r#"DnsName("a.example")"#, "IpAddress(::1)"]).contains("is for a.example, ::1, not for b; use one")
        );
        assert!(shown(&["DnsName(\"a\u{7}\")"; 9]).contains("is for a?, a?, a?, a?, a?, 4 more, not for b"));
        assert!(shown(&[]).contains("names no server"));
    }

    #[test]
    fn alerts_say_whose_certificate_they_are_about() {
        let words = |alert| of_error(&Error::AlertReceived(alert)).to_string();
        assert!(words(AlertDescription::CertificateRequired).contains("wants a client certificate"));
        assert!(words(AlertDescription::UnknownCA).contains("refuses our client certificate"));
        assert!(words(AlertDescription::ProtocolVersion).contains("alert ProtocolVersion"));
        let is_lasting = |alert| of_error(&Error::AlertReceived(alert)).is_lasting;
        assert!(is_lasting(AlertDescription::CertificateRequired) && is_lasting(AlertDescription::UnknownCA));
        assert!(!is_lasting(AlertDescription::InternalError));
    }
}
