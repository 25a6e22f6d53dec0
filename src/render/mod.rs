//! (template, view, facts) to bytes, in either language. Pure: the same three give the same bytes, every time.
//! Never reads a file, a clock or the network: template texts come as `TemplateSources`, all else is asked of `Facts`.
//!
//! Two engines, `tera` and `go`, stand on one floor: what both need lies beside them, and neither knows the other.

mod asks;
mod backends;
mod budget;
mod changes;
mod deadline;
mod escape;
mod facts;
mod folders;
mod format;
mod go;
mod library;
mod lists;
mod memory;
mod output;
mod renderer;
mod rendering;
mod session;
mod template;
mod tera;
mod window;

pub use asks::Ask;
pub use facts::Facts;
pub use format::FormatError;
pub use go::convert;
pub use memory::Memory;
pub use output::MAX_OUTPUT_BYTES;
pub use renderer::{Renderer, compile};
pub use rendering::{ListedBackends, Rendering, SkippedKey, Tally};
pub use template::{Root, TemplateSources, template_text};
pub use window::Reads;

/// Stack for a thread that renders, in bytes: as large as the main thread's, because templates nest.
pub const STACK_BYTES: usize = 8 << 20;
