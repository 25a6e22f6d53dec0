//! Tera templates, with confd's functions.

mod asks;
mod calls;
mod compile;
mod engine;
mod error;
pub(super) mod functions;
mod incremental;
mod limits;
mod memory;
mod mistakes;
mod references;
mod refusal;
mod render;
mod run;
mod scan;
mod templates;

pub(super) use compile::{asks, compile};
pub(super) use memory::TeraMemory;
pub(super) use render::render;
pub(super) use templates::TeraTemplates;
