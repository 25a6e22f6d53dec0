//! What the two demo backends share: accepting connections within limits, ending them cleanly, logging.
//! Used by `src/bin/reflector.rs` and `src/bin/nano-container.rs` alone; the agent never calls it.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program of its own: the demo backends")]

pub mod echo;
pub mod https;
pub mod serve;
pub mod start;
pub mod tls;
