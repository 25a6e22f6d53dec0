//! What the functions of both engines do, as plain Rust functions over plain types. How a template calls them, and with which
//! values, is the engines' own: `tera/functions` and `go/functions` bind them. No error names the function: its caller does.

pub(super) mod encoding;
pub(super) mod json;
pub(super) mod names;
pub(super) mod numbers;
pub(super) mod outside;
pub(super) mod paths;
pub(super) mod patterns;
pub(super) mod quote;
pub(super) mod re2;
pub(super) mod store;
pub(super) mod text;
