//! What the two demo backends share: accepting connections within limits, ending them cleanly, logging.
//! Used by `src/bin/reflector.rs` and `src/bin/nano-container.rs` alone; the agent never calls it.

pub mod echo;
pub mod https;
pub mod serve;
pub mod start;
pub mod tls;
