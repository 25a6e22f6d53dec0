//! The state of a running render of a Go template, for its functions.

use super::value::GoValue;
use crate::render::library::patterns::Patterns;
use crate::render::lists::KeptLists;
use crate::render::session::RenderSession;

/// Memory from a Go template's last render for the next one: its lists.
pub(in crate::render) type GoMemory = KeptLists<GoValue>;

/// The render of a Go template.
pub(in crate::render) struct GoRun {
    pub(super) session: RenderSession,
    pub(super) lists: GoMemory,
    /// Regular expressions compiled by this render.
    pub(super) patterns: Patterns,
}
