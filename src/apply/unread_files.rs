//! The files that nginx was found not to read, for whoever shows them. Never looks at a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::group::Group;

/// Most files that are remembered: names of a `for_each` come from the store.
const MAX_FILES: usize = 1000;

/// The files that nginx was found not to read.
#[derive(Debug, Default)]
pub struct UnreadFiles(Mutex<BTreeMap<PathBuf, UnreadFile>>);

/// A file that its nginx never reads.
#[derive(Clone, Debug)]
pub struct UnreadFile {
    /// Name of its resource.
    pub resource: Arc<str>,
    /// The problem with the hint, on one line.
    pub line: String,
    pub(super) group: Arc<Group>,
}

impl UnreadFiles {
    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.with(|files| files.is_empty())
    }

    /// Remembers one, if there are not too many.
    pub(super) fn add(&self, file: &Path, unread: UnreadFile) {
        self.with(|files| {
            if files.len() < MAX_FILES || files.contains_key(file) {
                files.insert(file.to_owned(), unread);
            }
        });
    }

    /// Returns each with its file, in the order of the files.
    pub fn all(&self) -> Vec<(PathBuf, UnreadFile)> {
        self.with(|files| files.iter().map(|(file, unread)| (file.clone(), unread.clone())).collect())
    }

    /// Forgets those that belong to none of these groups any more: conf.d has changed.
    pub fn retain(&self, groups: &[Arc<Group>]) {
        let is_there = |file: &Path, unread: &UnreadFile| {
            let group = groups.iter().find(|group| group.id == unread.group.id)?;
            let resource = group.resources.iter().find(|resource| *resource.name() == unread.resource)?;
            (resource.for_each.is_some() || resource.dest == file).then_some(())
        };
        self.with(|files| files.retain(|file, unread| is_there(file, unread).is_some()));
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<PathBuf, UnreadFile>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
