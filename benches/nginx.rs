//! The effect of reloads on the clients of a real nginx, with the release binary: requests lost under load while backends come
//! and go, and the time from a put in etcd to the first answer of the new backend. Prints tables; asserts nothing about time.
//!
//! `cargo bench --bench nginx` for all, or one of `load`, `first-answer`, `endpoints`, `many`. `load` and `endpoints` need wrk (Debian's package of that name).
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark measures the world")]
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[path = "../tests/it/support/mod.rs"]
#[allow(dead_code, unreachable_pub, clippy::print_stderr)]
mod support;

#[path = "nginx/endpoints.rs"]
mod endpoints;
#[path = "nginx/first_answer.rs"]
mod first_answer;
#[path = "nginx/front.rs"]
mod front;
#[path = "nginx/load.rs"]
mod load;
#[path = "nginx/many.rs"]
mod many;
#[path = "nginx/paced.rs"]
mod paced;

fn main() {
    // `cargo test --benches` runs this too, only to see that it starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let only: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let wanted = |case: &str| only.is_empty() || only.iter().any(|name| name == case);
    if wanted("first-answer") {
        first_answer::measure();
    }
    if wanted("load") {
        load::run();
    }
    if wanted("endpoints") {
        endpoints::run();
    }
    if wanted("many") {
        many::run();
    }
}
