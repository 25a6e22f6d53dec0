//! Reads the files of services: of a folder, or a single one. Never decides what they mean.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

use crate::world::folder_reader::FolderReader;
use crate::world::folder_watch::Watched;
use crate::world::fs;
use crate::world::fs::folder::{self, TextFile};

use super::layout::Announcer;
use super::roster::{Roster, ServiceFile};

/// The files of a folder as they were read.
pub(super) struct ServiceFiles {
    pub(super) files: Vec<ServiceFile>,
    /// The folders that cannot be read, each with the reason.
    pub(super) unread: BTreeMap<PathBuf, String>,
    watched: Watched,
}

/// Follows the files of a folder beside the loop: while it hangs, what was read last goes on.
pub(super) struct ServiceFolder {
    root: PathBuf,
    pub(super) reader: FolderReader<ServiceFiles>,
}

impl ServiceFolder {
    /// Begins to read and to watch a folder.
    pub(super) fn follow(root: &Path) -> ServiceFolder {
        let reader = FolderReader::new("the files of services", true, |files: &ServiceFiles| &files.watched);
        let mut folder = ServiceFolder { root: root.to_owned(), reader };
        folder.read(START);
        folder
    }

    /// Returns the folder.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Begins to read again, now or after the reading under way.
    pub(super) fn read(&mut self, reason: &'static str) {
        let root = self.root.clone();
        self.reader.read(reason, move || read_folder(&root));
    }
}

/// Reason for the first reading.
pub(super) const START: &str = "start";

fn read_folder(root: &Path) -> ServiceFiles {
    let found = folder::read_texts(root, |name| name.ends_with(".toml"));
    let mut watched = Watched { is_partial: found.is_partial(), folders: found.folders, ..Watched::default() };
    watched.add_way_to(root);
    ServiceFiles { files: found.files.into_iter().map(service_file).collect(), unread: found.unread, watched }
}

fn service_file(file: TextFile) -> ServiceFile {
    let not_utf8 = |error: FromUtf8Error| format!("not UTF-8 from byte {} on", error.utf8_error().valid_up_to());
    let bytes = file.bytes.map_err(|problem| problem.text);
    ServiceFile { path: file.path, text: bytes.and_then(|bytes| String::from_utf8(bytes).map_err(not_utf8)) }
}

/// Returns the services of a folder, or of a single file, as they are now.
pub fn read(path: &Path, announcer: &Announcer) -> Roster {
    let (files, unread) = match fs::is_file(path) {
        true => (vec![service_file(folder::read_file(path))], BTreeMap::new()),
        false => {
            let found = read_folder(path);
            (found.files, found.unread)
        }
    };
    Roster::default().read(&files, unread, announcer)
}
