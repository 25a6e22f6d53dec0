//! What the functions of both engines do, as plain Rust functions over plain types.

pub(super) mod quote;
pub(super) mod re2;
