//! The parts of the test support that the demo uses, and the few helpers that these expect beside them.

#![allow(dead_code, clippy::unwrap_used, missing_docs)]

#[path = "../../tests/it/support/https.rs"]
pub mod https;
#[path = "../../tests/it/support/nginx.rs"]
pub mod nginx;
#[path = "../../tests/it/support/shipped.rs"]
pub mod shipped;
#[path = "../../tests/it/support/tls.rs"]
pub mod tls;

use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub fn package_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn temp_dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A free TCP port that the kernel gives to nobody by itself: those begin at 32768.
pub fn free_port() -> u16 {
    static HANDED_OUT: AtomicU32 = AtomicU32::new(0);
    loop {
        let nth = HANDED_OUT.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + std::process::id().wrapping_mul(97).wrapping_add(nth) % 22_000;
        let port = u16::try_from(port).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

#[track_caller]
pub fn wait_for<T>(what: &str, deadline: Duration, mut state: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = state() {
            return value;
        }
        assert!(start.elapsed() < deadline, "gave up after {deadline:?} waiting for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Polls until `probe` succeeds.
///
/// # Errors
/// The deadline has passed: says what was waited for and what was seen last.
pub async fn eventually<T>(
    what: &str,
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T, super::Failure> {
    let start = Instant::now();
    loop {
        match probe().await {
            Ok(value) => return Ok(value),
            Err(seen) if start.elapsed() > deadline => {
                return Err(format!("gave up after {deadline:?} waiting for {what}; seen last: {seen}").into());
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}
