//! The files of the sets on disk, as far as they are known: what was written last, what has to be written or removed, and which write
//! has failed.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::model::backoff::Backoff;
use crate::model::process::Process;

use super::saved::{self, NameOnDisk};

/// Consequence of lines that could not be written, or removed.
const NO_LINES: &str = "if nginx starts while upstreamd is not running, it has no peers, or old ones";
/// Consequence of a record that could not be written.
const NO_RECORD: &str =
    "the next start of upstreamd has no endpoints to answer with, or old ones, until it has read the store";

/// Hashes of what was written last; `None` if it is not known what is there.
#[derive(Debug, Default)]
pub(super) struct WrittenFiles {
    sets: Option<u64>,
    lines: BTreeMap<PathBuf, Option<u64>>,
    /// Files that could not be written, each reported once.
    failed: BTreeSet<PathBuf>,
    pub(super) backoff: Backoff,
}

impl WrittenFiles {
    /// Returns the files after a start: those of an earlier run may have lines with these paths.
    pub(super) fn of_earlier_run(lines: impl Iterator<Item = PathBuf>) -> WrittenFiles {
        WrittenFiles { lines: lines.map(|path| (path, None)).collect(), ..WrittenFiles::default() }
    }

    /// Writes what has changed, in this order: whenever the process is killed, the record has the names whose lines are left, so that the
    /// next run can remove them. The lines of thousands of names are never in memory together. Returns whether all of it is on disk.
    pub(super) fn write(
        &mut self,
        state_folder: Option<&Path>,
        (names, workers): (&[NameOnDisk], &BTreeSet<Process>),
    ) -> bool {
        let is_removed = self.remove_all_but(&names.iter().filter_map(NameOnDisk::lines_path).collect());
        let is_recorded =
            state_folder.is_none_or(|folder| self.write_record(folder, &saved::record_text(names, workers)));
        let mut are_written = true;
        for (path, text) in names.iter().filter_map(|name| Some((name.lines_path()?, name.lines_text()))) {
            if self.lines.get(&path) != Some(&Some(hash(&text))) {
                are_written &= self.write_lines(path, &text);
            }
        }
        is_removed && is_recorded && are_written
    }

    fn remove_all_but(&mut self, wanted: &BTreeSet<PathBuf>) -> bool {
        let gone: Vec<PathBuf> = self.lines.keys().filter(|path| !wanted.contains(*path)).cloned().collect();
        let mut is_done = true;
        for path in gone {
            if self.report(&path, saved::remove_lines(&path), NO_LINES) {
                self.lines.remove(&path);
            } else {
                is_done = false;
            }
        }
        is_done
    }

    fn write_record(&mut self, state_folder: &Path, record: &str) -> bool {
        if self.sets == Some(hash(record)) {
            return true;
        }
        let is_written = self.report(state_folder, saved::write_sets(state_folder, record), NO_RECORD);
        self.sets = is_written.then(|| hash(record));
        is_written
    }

    fn write_lines(&mut self, path: PathBuf, text: &str) -> bool {
        let is_written = self.report(&path, saved::write_lines(&path, text), NO_LINES);
        // Whatever is there otherwise may have to be removed.
        self.lines.insert(path, is_written.then(|| hash(text)));
        is_written
    }

    /// Reports a failure, once for each path. Returns whether there was none.
    fn report(&mut self, path: &Path, written: Result<(), String>, consequence: &str) -> bool {
        let is_done = written.is_ok();
        match written {
            Ok(()) => {
                self.failed.remove(path);
            }
            Err(problem) if self.failed.insert(path.to_owned()) => {
                tracing::warn!("{problem}; {consequence} (hint: docs/endpoints.md)");
            }
            Err(_) => {}
        }
        is_done
    }
}

/// Returns what tells a text from the one that was written last.
fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
