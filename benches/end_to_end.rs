//! From a change in etcd to the renamed file, with the release binary, beside the floor that it stands on: the raw etcd watch
//! and a plain write, fsync and rename of the same bytes. Prints a table; asserts nothing about time.
//!
//! `make bench`, or `cargo bench --bench end_to_end`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark measures the world")]
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[path = "../tests/it/support/mod.rs"]
#[allow(dead_code, unreachable_pub, clippy::print_stderr)]
mod support;

#[path = "end_to_end/floor.rs"]
mod floor;
#[path = "end_to_end/scenario.rs"]
mod scenario;

use scenario::Row;

fn main() {
    // `cargo test --benches` runs this too, only to see that it starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let only: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let wanted = |case: &str| only.is_empty() || only.iter().any(|name| name == case);
    let mut rows = Vec::new();
    for (backends, target_ms) in [(10, 0.7), (1_000, 0.8), (10_000, 4.0)] {
        if wanted("flat") {
            rows.push(scenario::one_of(backends, target_ms));
        }
    }
    if wanted("nested") {
        rows.push(scenario::nested(2_000, 15.0));
    }
    Row::print_table(&rows);
    if wanted("onetime") {
        scenario::onetime(500, 100.0);
        scenario::entrypoint(10.0);
    }
    if wanted("memory") {
        scenario::memory();
        scenario::binary_size();
    }
    if wanted("burst") {
        scenario::burst(2_000);
    }
}
