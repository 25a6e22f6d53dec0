//! The generation: a text in the rendered file that changes with the file, and the address at which nginx answers with it.
//! Never asks nginx.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Output of `generation()` in a template. The render replaces it with the file's own generation, which is as long.
pub const PLACEHOLDER: &str = "upstreamd-generation-0000000000000000";
/// Prefix of every generation.
const PREFIX: &str = "upstreamd-generation-";
/// Digits behind the prefix.
const DIGITS: usize = PLACEHOLDER.len() - PREFIX.len();

/// Address at which nginx answers with its generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GenerationServer {
    /// `unix:/path/of/socket`
    Unix(PathBuf),
    /// `127.0.0.1:8089`
    Tcp(SocketAddr),
}

impl GenerationServer {
    /// Reads an address as in a `listen` line; `None` for host names.
    pub fn parse(text: &str) -> Option<GenerationServer> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') && path.len() > 1 => Some(GenerationServer::Unix(path.into())),
            Some(_) => None,
            None => text.parse().ok().filter(|address: &SocketAddr| address.port() > 0).map(GenerationServer::Tcp),
        }
    }
}

impl fmt::Display for GenerationServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GenerationServer::Unix(path) => write!(f, "unix:{}", path.display()),
            GenerationServer::Tcp(address) => address.fmt(f),
        }
    }
}

/// Returns the generation that a file was stamped with, if it has one. `hash` is the one that the stamp was made with.
pub fn own(text: &[u8], hash: impl Fn(&[u8]) -> String) -> Option<String> {
    let own = made_of(text, hash);
    all(text).any(|at| text[at..].starts_with(own.as_bytes())).then_some(own)
}

/// Replaces every placeholder with the file's generation. `hash` returns hexadecimal digits, 16 or more.
pub fn stamp(bytes: &mut [u8], hash: impl Fn(&[u8]) -> String) {
    let own = made_of(bytes, hash);
    let is_placeholder = |at: &usize| bytes[*at..].starts_with(PLACEHOLDER.as_bytes());
    let places: Vec<usize> = all(bytes).filter(is_placeholder).collect();
    for at in places {
        bytes[at..at + own.len()].copy_from_slice(own.as_bytes());
    }
}

/// Returns the generation of a file, stamped or not. It is made of everything but texts that look like one: the file's own is not known
/// yet, and what others a writer of values has put there must not be mistaken for it.
fn made_of(text: &[u8], hash: impl Fn(&[u8]) -> String) -> String {
    let mut blank = text.to_vec();
    for at in all(text) {
        blank[at..at + PLACEHOLDER.len()].copy_from_slice(PLACEHOLDER.as_bytes());
    }
    format!("{PREFIX}{}", hash(&blank).get(..DIGITS).unwrap_or("0000000000000000"))
}

/// Returns where texts begin that look like a generation. No two of them overlap.
fn all(text: &[u8]) -> impl Iterator<Item = usize> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let at = from + text.get(from..)?.windows(PREFIX.len()).position(|window| window == PREFIX.as_bytes())?;
            from = at + PREFIX.len();
            let digits = text.get(from..from + DIGITS)?;
            if digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
                return Some(at);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_as_nginx_listens_on_them() {
        for text in ["unix:/run/g.sock", "127.0.0.1:8089", "[::1]:8089"] {
            assert_eq!(GenerationServer::parse(text).map(|endpoint| endpoint.to_string()), Some(text.to_owned()));
        }
        for wrong in ["", "unix:", "unix:/", "unix:g.sock", "localhost:80", "127.0.0.1", "127.0.0.1:0", "8089"] {
            assert_eq!(GenerationServer::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_placeholder_becomes_the_generation() {
        let mut bytes = format!("a {PLACEHOLDER} b {PLACEHOLDER}").into_bytes();
        stamp(&mut bytes, |_| "0123456789abcdef0123".to_owned());
        assert_eq!(bytes, b"a upstreamd-generation-0123456789abcdef b upstreamd-generation-0123456789abcdef");
    }

    /// Stands in for SHA-256: depends on every byte.
    fn hash(bytes: &[u8]) -> String {
        format!("{:016x}", bytes.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte)))
    }

    #[test]
    fn a_file_knows_its_own_generation_among_others() {
        let forged = "upstreamd-generation-0123456789abcdef";
        for text in [
            format!("a {PLACEHOLDER} b {PLACEHOLDER}"),
            format!("{forged} {PLACEHOLDER}"),
            format!("upstreamd-generation-upstreamd-generation-12 {forged}{PLACEHOLDER}{forged}"),
            format!("upstreamd-generation-0123456789ABCDEF {PLACEHOLDER} upstreamd-generation-"),
        ] {
            let mut bytes = text.clone().into_bytes();
            stamp(&mut bytes, hash);
            let at = text.find(PLACEHOLDER).unwrap();
            let stamped = std::str::from_utf8(&bytes[at..at + PLACEHOLDER.len()]).unwrap();
            assert_eq!(own(&bytes, hash).as_deref(), Some(stamped), "{text}");
            let mut other = format!("{text}.").into_bytes();
            stamp(&mut other, hash);
            assert_ne!(own(&other, hash).as_deref(), Some(stamped), "{text}");
        }
        assert_eq!(own(forged.as_bytes(), hash), None);
        assert_eq!(own(b"upstreamd-generation-01", hash), None);
        assert_eq!(own(b"no generation", hash), None);
    }

    /// Trying each would take a copy and a hash of the whole file for each, and trying some would miss the own one.
    #[test]
    fn however_many_generations_values_hold_the_own_one_is_found_at_once() {
        let forged: String = (0..2000).map(|n| format!("{PREFIX}{n:016x} ")).collect();
        let mut bytes = format!("{forged}{PLACEHOLDER}").into_bytes();
        stamp(&mut bytes, hash);
        let stamped = String::from_utf8(bytes[forged.len()..].to_vec()).unwrap();
        let hashes = std::cell::Cell::new(0);
        let counted = |bytes: &[u8]| {
            hashes.set(hashes.get() + 1);
            hash(bytes)
        };
        assert_eq!((own(&bytes, counted), hashes.get()), (Some(stamped), 1));
    }
}
