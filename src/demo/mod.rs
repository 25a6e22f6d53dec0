//! Code that the two demo backends share: limits on connections, clean shutdown, logging.
//! Only `src/bin/reflector.rs` and `src/bin/nano-container.rs` use it; the agent never does.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program of its own: the demo backends")]

pub mod echo;
pub mod https;
pub mod serve;
pub mod start;
pub mod tls;
