//! The generation: a text in the rendered file that changes with the file, and the address at which nginx answers with it.
//! Never asks nginx.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Output of `generation()` in a template. The render replaces it with the file's own generation, which is as long.
pub const PLACEHOLDER: &str = "upstreamd-generation-0000000000000000";
/// Prefix of every generation.
const PREFIX: &str = "upstreamd-generation-";

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

/// Returns the generation in the text of a file or of an answer.
pub fn in_text(text: &[u8]) -> Option<&str> {
    let at = text.windows(PREFIX.len()).position(|window| window == PREFIX.as_bytes())?;
    std::str::from_utf8(text.get(at..at + PLACEHOLDER.len())?).ok()
}

/// Replaces every placeholder with the generation made from `hash` (hexadecimal digits, 16 or more).
pub fn stamp(bytes: &mut [u8], hash: &str) {
    let generation = format!("{PREFIX}{}", hash.get(..16).unwrap_or("0000000000000000"));
    let mut at = 0;
    while let Some(found) = find(bytes, at) {
        let end = found + PLACEHOLDER.len();
        if let Some(place) = bytes.get_mut(found..end) {
            place.copy_from_slice(generation.as_bytes());
        }
        at = end;
    }
}

/// Returns whether there is any placeholder.
pub fn has_placeholder(bytes: &[u8]) -> bool {
    find(bytes, 0).is_some()
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
        assert!(has_placeholder(&bytes) && !has_placeholder(b"upstreamd-generation-1"));
        stamp(&mut bytes, "0123456789abcdef0123");
        assert_eq!(bytes, b"a upstreamd-generation-0123456789abcdef b upstreamd-generation-0123456789abcdef");
        assert_eq!(in_text(&bytes), Some("upstreamd-generation-0123456789abcdef"));
        assert_eq!(in_text(b"HTTP/1.1 200 OK\r\n\r\nupstreamd-generation-01"), None);
    }
}
