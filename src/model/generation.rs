//! The generation: a text in the rendered file that changes with the file, and the address at which nginx answers with it.
//! Never asks nginx.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Output of `generation()` in a template. The render replaces it with the file's own generation, which is as long.
pub const PLACEHOLDER: &str = "upstreamd-generation-0000000000000000";
/// Prefix of every generation.
const PREFIX: &str = "upstreamd-generation-";
/// Texts in one file that look like a generation and are tried; a file has one, and values may add some.
const MAX_CANDIDATES: usize = 1000;

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

/// Returns the generation that a file was stamped with: the one that is made from the hash of everything else. A value may look like
/// one, too. `hash` is the one that the stamp was made with.
pub fn own(text: &[u8], hash: impl Fn(&[u8]) -> String) -> Option<String> {
    let starts = text.windows(PREFIX.len()).enumerate().filter(|(_, window)| *window == PREFIX.as_bytes());
    let candidates = starts.filter_map(|(at, _)| std::str::from_utf8(text.get(at..at + PLACEHOLDER.len())?).ok());
    let candidates: BTreeSet<&str> = candidates.take(MAX_CANDIDATES).collect();
    let is_own = |candidate: &&str| {
        let unstamped = replaced(text, candidate.as_bytes(), PLACEHOLDER.as_bytes());
        stamp_of(&hash(&unstamped)) == **candidate
    };
    candidates.into_iter().find(is_own).map(str::to_owned)
}

/// Returns a text with every occurrence of `old` replaced by `new`, which is as long.
fn replaced(text: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut result = text.to_vec();
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.windows(old.len()).position(|window| window == old)) {
        result[at + found..at + found + new.len()].copy_from_slice(new);
        at += found + old.len();
    }
    result
}

fn stamp_of(hash: &str) -> String {
    format!("{PREFIX}{}", hash.get(..16).unwrap_or("0000000000000000"))
}

/// Replaces every placeholder with the generation made from `hash` (hexadecimal digits, 16 or more).
pub fn stamp(bytes: &mut [u8], hash: &str) {
    let generation = stamp_of(hash);
    let mut at = 0;
    while let Some(found) = find(bytes, at) {
        let end = found + PLACEHOLDER.len();
        if let Some(place) = bytes.get_mut(found..end) {
            place.copy_from_slice(generation.as_bytes());
        }
        at = end;
    }
}

fn find(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(PLACEHOLDER.len()).position(|window| window == PLACEHOLDER.as_bytes()).map(|at| from + at)
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
        stamp(&mut bytes, "0123456789abcdef0123");
        assert_eq!(bytes, b"a upstreamd-generation-0123456789abcdef b upstreamd-generation-0123456789abcdef");
    }

    #[test]
    fn a_file_knows_its_own_generation_among_others() {
        // Stands in for SHA-256: depends on every byte.
        let hash = |bytes: &[u8]| {
            format!("{:016x}", bytes.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte)))
        };
        let stamped = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            let hash = hash(&bytes);
            stamp(&mut bytes, &hash);
            (bytes, stamp_of(&hash))
        };
        let forged = "upstreamd-generation-0123456789abcdef";
        for text in [
            format!("a {PLACEHOLDER} b {PLACEHOLDER}"),
            format!("{forged} {PLACEHOLDER}"),
            format!("upstreamd-generation-upstreamd-generation-12 {forged}{PLACEHOLDER}{forged}"),
        ] {
            let (bytes, own_stamp) = stamped(&text);
            assert_eq!(own(&bytes, hash), Some(own_stamp), "{text}");
        }
        assert_eq!(own(forged.as_bytes(), hash), None);
        assert_eq!(own(b"upstreamd-generation-01", hash), None);
    }
}
