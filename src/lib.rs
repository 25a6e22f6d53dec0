//! upstreamd keeps nginx load balancers in sync with etcd. The library serves the binaries and the tests; it is not a public API.
//! Modules are listed in rank order, which is also a good reading order; see ARCHITECTURE.md.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests may touch the world"))]

pub mod model;

pub mod config;
pub mod nginx;

pub mod render;
pub mod world;

pub mod announce;
pub mod apply;
pub mod endpoints;
pub mod source;
pub mod status;

pub mod agent;

pub mod cli;
pub mod demo;
