//! Base64 and checksums. Pure.

use base64::Engine as _;
use base64::alphabet::STANDARD as STANDARD_ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, PAD, STANDARD};
use sha2::{Digest, Sha256};

pub(in crate::render) fn base64_encode(text: &str) -> String {
    STANDARD.encode(text)
}

/// Decodes as Go does: line breaks anywhere, and whatever bits are left over.
///
/// # Errors
/// A phrase about the text: "is not base64: …".
pub(in crate::render) fn base64_decode(text: &str) -> Result<String, String> {
    let joined: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let lenient = GeneralPurpose::new(&STANDARD_ALPHABET, PAD.with_decode_allow_trailing_bits(true));
    let bytes = lenient.decode(joined).map_err(|error| match error {
        base64::DecodeError::InvalidByte(at, _) => format!("is not base64: byte {at} is not of its alphabet"),
        base64::DecodeError::InvalidLastSymbol(at, _) => format!("is not base64: byte {at} cannot be the last"),
        base64::DecodeError::InvalidLength(_) => "is not base64: its length cannot be right".to_owned(),
        base64::DecodeError::InvalidPadding => "is not base64: its padding is missing or wrong".to_owned(),
    })?;
    String::from_utf8(bytes).map_err(|_| "decodes to bytes that are not UTF-8 text".to_owned())
}

/// Returns the SHA-256 of a text, in hexadecimal digits.
pub(in crate::render) fn sha256sum(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
