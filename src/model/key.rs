//! Keys and values as the store holds them, and the revision they were read at.
//! Never prints a value: `Debug` shows length and kind only, because values may be secrets.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// A store key, exactly as templates name it: `/services/web/1`, or without a leading slash for `raw_keys`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// Longest key, in bytes: one with many more parts than anybody needs would cost much at each look.
pub const MAX_KEY_BYTES: usize = 4096;

impl Key {
    /// Returns the key of these bytes; `None` if they are not UTF-8, or longer than [`MAX_KEY_BYTES`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Key> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_KEY_BYTES)?;
        Some(Key::from(text))
    }

    /// Returns the key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Key {
        Key(Arc::from(text))
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

/// A stored value. Text is checked once, on the way in; anything else keeps its bytes and cannot be rendered.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// Valid UTF-8.
    Text(Arc<str>),
    /// Bytes that are not UTF-8: a render that reads them fails and names the key.
    Binary(Arc<[u8]>),
    /// At least this many bytes, which are too many to be kept: a render that reads them fails and names the key.
    Oversized(usize),
}

impl Value {
    /// Returns the value with these bytes of the store.
    pub fn from_bytes(bytes: &[u8]) -> Value {
        match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(Arc::from(text)),
            Err(_) => Value::Binary(Arc::from(bytes)),
        }
    }

    /// Returns the value with these bytes of the store, without them if they are more than `max_bytes`.
    pub fn bounded(bytes: &[u8], max_bytes: usize) -> Value {
        if bytes.len() > max_bytes { Value::Oversized(bytes.len()) } else { Value::from_bytes(bytes) }
    }

    /// Returns the text; `None` if the bytes are not UTF-8, or too many.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Binary(_) | Value::Oversized(_) => None,
        }
    }

    /// Returns the bytes as stored; none of a value that is too large.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Value::Text(text) => text.as_bytes(),
            Value::Binary(bytes) => bytes,
            Value::Oversized(_) => &[],
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(Arc::from(text))
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => write!(f, "<text, {} bytes>", text.len()),
            Value::Binary(bytes) => write!(f, "<binary, {} bytes>", bytes.len()),
            Value::Oversized(bytes) => write!(f, "<too large, {bytes} bytes>"),
        }
    }
}

/// A point in the store's history: etcd's revision, or a counter for stores without revisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub i64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_a_value() {
        assert_eq!(format!("{:?}", Value::from("secret")), "<text, 6 bytes>");
        assert_eq!(format!("{:?}", Value::from_bytes(&[0xff])), "<binary, 1 bytes>");
    }
}
