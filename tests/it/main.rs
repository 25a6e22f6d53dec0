//! Everything that needs a real process, file system, etcd or nginx, in one test binary.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs, unreachable_pub, dead_code)]

mod store;
mod support;
