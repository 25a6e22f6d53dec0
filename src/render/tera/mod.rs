//! Tera templates, with confd's functions.

pub(super) mod backends;
pub(super) mod compile;
pub(super) mod functions;
pub(super) mod incremental;
pub(super) mod scan;
