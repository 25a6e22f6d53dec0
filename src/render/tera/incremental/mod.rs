//! Loops that are printed piece by piece: which of them (`rewrite`), how (`each`), and what is kept of them (`pieces`).

pub(super) mod each;
pub(in crate::render) mod pieces;
pub(in crate::render) mod rewrite;
