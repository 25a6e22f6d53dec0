//! The render of a Go template that runs: what its functions work with.

use super::value::GoValue;
use crate::render::library::patterns::Patterns;
use crate::render::lists::KeptLists;
use crate::render::session::RenderSession;

/// What a Go template's last render leaves to the next: its lists.
pub(in crate::render) type GoMemory = KeptLists<GoValue>;

/// The render of a Go template.
pub(in crate::render) struct GoRun {
    pub(super) session: RenderSession,
    pub(super) lists: GoMemory,
    /// Regular expressions compiled by this render.
    pub(super) patterns: Patterns,
}
