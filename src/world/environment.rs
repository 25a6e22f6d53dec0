//! The environment of this process. Never shows a value.

use std::os::unix::ffi::OsStringExt;

/// Every variable: name and value as bytes.
pub fn variables() -> Vec<(Vec<u8>, Vec<u8>)> {
    std::env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec())).collect()
}
