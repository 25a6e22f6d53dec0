//! The part of the test support that is used here.

#![allow(dead_code, clippy::unwrap_used, missing_docs)]

#[path = "../../tests/it/support/https.rs"]
pub mod https;

use std::net::TcpListener;

pub fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
