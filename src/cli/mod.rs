//! The command line: what was asked for, and the exit code that comes back. Used by `main.rs` alone.

pub mod args;
pub mod exit;
