//! The state of a running render of a Go template, for its functions.

use super::value::GoValue;
use crate::render::changes::Changes;
use crate::render::folders::KeptServers;
use crate::render::library::patterns::Patterns;
use crate::render::lists::KeptLists;
use crate::render::session::RenderSession;

/// Memory from a Go template's last render for the next one.
#[derive(Default)]
pub(in crate::render) struct GoMemory {
    pub(super) lists: KeptLists<GoValue>,
    pub(super) servers: KeptServers,
}

impl GoMemory {
    /// Updates everything to a newer view; forgets what cannot be updated.
    pub(in crate::render) fn follow(&mut self, changes: Option<Changes<'_>>) {
        self.lists.follow(changes);
        self.servers.follow(changes);
    }

    /// Forgets what the render that has ended did not use.
    pub(in crate::render) fn end(&mut self) {
        self.lists.end();
        self.servers.end();
    }

    pub(in crate::render) fn is_empty(&self) -> bool {
        self.lists.is_empty() && self.servers.is_empty()
    }
}

/// The render of a Go template.
pub(in crate::render) struct GoRun {
    pub(super) session: RenderSession,
    pub(super) memory: GoMemory,
    /// Regular expressions compiled by this render.
    pub(super) patterns: Patterns,
}
