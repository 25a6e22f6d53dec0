//! Reads conf.d and templates beside the loop: a folder that hangs holds up nothing else. Never decides what is done with them.

use std::sync::Arc;

use nix::sys::signal::Signal;

use crate::render::Facts;
use crate::world::folder_reader::{FolderNews, FolderReader};
use crate::world::signals::Signals;

use super::catalog::{self, Catalog, Confdirs};
use super::supervision::{self, SignalMeaning};

/// The folders of conf.d and templates.
pub struct CatalogReader {
    confdirs: Arc<Confdirs>,
    facts: Arc<dyn Facts>,
    pub(super) folders: FolderReader<Box<Catalog>>,
}

impl CatalogReader {
    /// Returns a reader that has read nothing yet. `watches`: changes of the folders are news.
    pub fn new(confdirs: Confdirs, facts: Arc<dyn Facts>, watches: bool) -> CatalogReader {
        let folders: FolderReader<Box<Catalog>> =
            FolderReader::new("conf.d and templates", watches, |catalog| &catalog.watched);
        CatalogReader { confdirs: Arc::new(confdirs), facts, folders }
    }

    /// Reads for the first time.
    ///
    /// # Errors
    /// This signal asks to stop before everything was read.
    pub async fn first(&mut self, signals: &mut Signals) -> Result<Catalog, Signal> {
        self.read(None, "start");
        loop {
            tokio::select! {
                biased;
                signal = signals.next() => match supervision::meaning(signal, false).0 {
                    SignalMeaning::Stop => return Err(signal),
                    SignalMeaning::Reload => self.read(None, "SIGHUP came"),
                    SignalMeaning::Resync | SignalMeaning::None => {}
                },
                news = self.folders.next() => match news {
                    FolderNews::Read(catalog, _) => return Ok(*catalog),
                    // After this one, which the loop takes up.
                    FolderNews::Due(reason) => self.read(None, reason),
                },
            }
        }
    }

    /// Begins to read, or to read once more after the reading under way. Files that are broken keep what `current` has of them.
    pub(super) fn read(&mut self, current: Option<&Arc<Catalog>>, reason: &'static str) {
        let (confdirs, facts) = (Arc::clone(&self.confdirs), Arc::clone(&self.facts));
        let current = current.cloned();
        self.folders.read(reason, move || Box::new(catalog::load(&confdirs, &facts, current.as_deref())));
    }
}
