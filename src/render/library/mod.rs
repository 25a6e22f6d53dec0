//! The functions of both engines, as plain Rust functions over plain types. The engines bind them to their own calls and
//! values, in `tera/functions` and `go/functions`. No error names the function: its caller does.

pub(super) mod encoding;
pub(super) mod json;
pub(super) mod lists;
pub(super) mod names;
pub(super) mod numbers;
pub(super) mod outside;
pub(super) mod paths;
pub(super) mod patterns;
pub(super) mod quote;
pub(super) mod re2;
pub(super) mod servers;
pub(super) mod store;
pub(super) mod text;
