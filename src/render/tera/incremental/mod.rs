//! Loops that are printed piece by piece: which of them (`rewrite`), how (`each`), and what is kept of them (`pieces`).

mod each;
pub(super) mod pieces;
mod rewrite;

use tera::Tera;

pub(super) use rewrite::{rewrite, rewritten_name};

/// Registers the function that rewritten templates call.
pub(super) fn register(tera: &mut Tera) {
    tera.register_function(rewrite::EACH, each::Each);
}
