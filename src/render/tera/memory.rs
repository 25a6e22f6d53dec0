//! State from a Tera template's last render for the next one.

use tera::Value;

use super::incremental::pieces::Loops;
use crate::render::changes::Changes;
use crate::render::folders::{KeptFolders, KeptServers};
use crate::render::lists::KeptLists;

/// Everything kept for one resource.
#[derive(Default)]
pub(in crate::render) struct TeraMemory {
    pub(super) lists: KeptLists<Value>,
    /// Folders whose backends were asked for.
    pub(super) folders: KeptFolders<Value, Value>,
    /// Folders whose servers were asked for.
    pub(super) servers: KeptServers,
    /// Output of loops.
    pub(super) loops: Loops,
}

impl TeraMemory {
    /// Updates everything to a newer view; forgets what cannot be updated.
    pub(in crate::render) fn follow(&mut self, changes: Option<Changes<'_>>) {
        self.lists.follow(changes);
        self.folders.follow(changes);
        self.servers.follow(changes);
        self.loops.follow(changes);
    }

    /// Forgets what the render that has ended did not use.
    pub(in crate::render) fn end(&mut self) {
        self.lists.end();
        self.folders.end();
        self.servers.end();
        self.loops.end();
    }

    /// Checks whether nothing that is kept depends on what the store had.
    pub(in crate::render) fn needs_no_view(&self) -> bool {
        let is_empty = self.lists.is_empty() && self.folders.is_empty() && self.servers.is_empty();
        is_empty && self.loops.read_nothing()
    }
}
