//! The texts of all templates, and the roots that resources name. Data only.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::endpoints::ServersForm;
use crate::model::resource::{Engine, Escape};

/// The texts of all templates, by their path below the templates folder. Each byte that is not UTF-8 is one of the characters
/// that stand for such bytes, see [`template_text`].
pub type TemplateSources = BTreeMap<String, Arc<str>>;

/// The character that stands for the byte 0; bytes that are not UTF-8 are 0x80 to 0xFF. The last characters of the last plane for
/// private use: nobody uses them.
const STRAY: u32 = 0x10_FF00;

/// Returns the byte that a character stands for, if it stands for one.
fn stray_byte(c: char) -> Option<u8> {
    u8::try_from(u32::from(c).checked_sub(STRAY)?).ok().filter(|byte| *byte >= 0x80)
}

/// Returns a template's bytes as text, from which `template_bytes` makes the same bytes.
pub fn template_text(bytes: &[u8]) -> Arc<str> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && first_stray(text).is_none()
    {
        return Arc::from(text);
    }
    let stray = |byte: &u8| char::from_u32(STRAY + u32::from(*byte)).unwrap_or_default();
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match stray_byte(c) {
                Some(_) => text.extend(c.encode_utf8(&mut [0; 4]).as_bytes().iter().map(stray)),
                None => text.push(c),
            }
        }
        text.extend(chunk.invalid().iter().map(stray));
    }
    Arc::from(text)
}

/// Returns the bytes that a text of a template, or of its output, stands for.
pub(super) fn template_bytes(text: String) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((place, c)) = first_stray(rest) {
        bytes.extend_from_slice(&rest.as_bytes()[..place]);
        bytes.extend(stray_byte(c));
        rest = &rest[place + c.len_utf8()..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// Returns the first character that stands for a byte that is not UTF-8, and its place.
pub(super) fn first_stray(text: &str) -> Option<(usize, char)> {
    text.char_indices().find(|(_, c)| stray_byte(*c).is_some())
}

/// A template that a resource renders, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root<'a> {
    /// Path below the templates folder.
    pub name: &'a str,
    /// Language of the template.
    pub engine: Engine,
    /// Restriction on the values that it may print.
    pub escape: Escape,
    /// How `servers` prints.
    pub servers: &'a ServersForm,
}

impl<'a> Root<'a> {
    /// Returns a template in which `servers` prints a line for each backend.
    pub fn new(name: &'a str, engine: Engine, escape: Escape) -> Root<'a> {
        Root { name, engine, escape, servers: &ServersForm::Lines }
    }

    /// Returns a Tera template.
    pub fn tera(name: &'a str, escape: Escape) -> Root<'a> {
        Root::new(name, Engine::Tera, escape)
    }

    /// Returns a Go template.
    pub fn go(name: &'a str, escape: Escape) -> Root<'a> {
        Root::new(name, Engine::Go, escape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sequence_of_bytes_comes_back() {
        for bytes in [
            &b"plain"[..],
            "grün 😀 \u{fffd}".as_bytes(),
            b"caf\xe9 \xff\x80\xc3",
            "\u{10ff80}\u{10ffff}".as_bytes(),
            &[0xf4, 0x8f, 0xbe, 0x80, 0xe2, 0x82],
            b"",
        ] {
            assert_eq!(template_bytes(template_text(bytes).to_string()), bytes, "{bytes:?}");
        }
        assert_eq!(first_stray(&template_text(b"a\n\xe9")).map(|(place, _)| place), Some(2));
        assert_eq!(first_stray(&template_text("é".as_bytes())), None);
    }
}
