//! The `file` store: YAML, JSON or TOML files, or folders of them, read completely after every change. A broken or
//! half-written edit is reported and never changes anything.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::outbox::Snapshot;
use super::tally::StoreTally;
use super::{Outlet, Requests, document};
use crate::model::event::Event;
use crate::model::key::{Key, Revision, Value};
use crate::model::path::is_hidden;
use crate::model::store::FileSettings;
use crate::world::folder_reader::BLIND_PAUSE;
use crate::world::folder_watch::{FolderWatch, Watched, WatchedPlaces};
use crate::world::fs::folder::{self, TextFile};
use crate::world::tasks;

/// Time for which the files must be quiet before they are read.
const QUIET: Duration = Duration::from_millis(50);
/// Time limit for reading all files.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Time after which the files are read again after a failed read.
const RETRY: Duration = Duration::from_secs(1);

/// Runs until the handle is dropped.
pub(super) async fn run(settings: FileSettings, follow: bool, mut requests: Requests, mut outlet: Outlet) {
    let mut watch = FolderWatch::start(QUIET);
    let mut revision = 0;
    let mut last: Option<BTreeMap<Key, Value>> = None;
    let mut is_lost = false;
    let mut was_malformed = false;
    let mut wanted_anew = true;
    let places = follow.then(|| watch.places());
    let mut reader = FileReader { settings, read, places, limit: READ_TIMEOUT, reading: None };
    loop {
        let content = outlet.until(reader.read()).await;
        match content.entries {
            Ok(entries) => {
                let ranges = requests.ranges();
                let entries: BTreeMap<Key, Value> =
                    entries.into_iter().filter(|(key, _)| ranges.contains(key.as_str())).collect();
                if wanted_anew || last.as_ref() != Some(&entries) {
                    revision += 1;
                    let revision = Revision(revision);
                    let all = entries.clone().into_iter().collect();
                    outlet.outbox.put_snapshot(Snapshot { revision, ranges, entries: all, ..Snapshot::default() });
                    last = Some(entries);
                    wanted_anew = false;
                } else if is_lost {
                    outlet.outbox.put_standing(Event::Regained);
                }
                is_lost = false;
                was_malformed = false;
            }
            Err(problem) => {
                is_lost = true;
                // The first time, somebody may be writing it.
                let is_lasting = was_malformed && content.is_malformed;
                was_malformed = content.is_malformed;
                outlet.outbox.put_standing(Event::Lost { problem, retry_in: RETRY, is_lasting });
            }
        }
        // A reader that wants one snapshot soon learns whether the file stays malformed.
        let pause = match () {
            () if !is_lost => BLIND_PAUSE,
            () if was_malformed && !follow => RETRY / 4,
            () => RETRY,
        };
        let reads_again = is_lost || (follow && watch.is_blind());
        let next = async {
            tokio::select! {
                is_open = requests.changed() => Some(is_open),
                () = watch.changed(), if follow => None,
                () = tokio::time::sleep(pause), if reads_again => None,
            }
        };
        match outlet.until(next).await {
            Some(false) => return,
            Some(true) => wanted_anew = true,
            None => {}
        }
    }
}

struct FilesRead {
    entries: Result<BTreeMap<Key, Value>, String>,
    /// Whether a file was found, but not taken: it cannot be parsed, or is too large.
    is_malformed: bool,
    watched: Watched,
}

/// Reads the files, and watches them, on a separate thread: a network folder that hangs must not block us, and does not get a second
/// thread.
struct FileReader {
    settings: FileSettings,
    read: fn(&FileSettings) -> FilesRead,
    /// The watched files; `None` if nothing is watched.
    places: Option<WatchedPlaces>,
    limit: Duration,
    /// A read that has not finished.
    reading: Option<JoinHandle<FilesRead>>,
}

impl FileReader {
    async fn read(&mut self) -> FilesRead {
        let failed =
            |problem: String| FilesRead { entries: Err(problem), is_malformed: false, watched: Watched::default() };
        let limit = self.limit;
        let too_long = || failed(format!("reading files took longer than {limit:?}"));
        if let Some(reading) = &mut self.reading {
            // What it finds may be older than what is asked for now.
            let ended = tokio::time::timeout(limit, reading).await.is_ok();
            if !ended {
                return too_long();
            }
        }
        let (settings, read, places) = (self.settings.clone(), self.read, self.places.clone());
        let reading = self.reading.insert(tasks::spawn_blocking(move || {
            let content = read(&settings);
            match places.is_some_and(|places| places.set(&content.watched)) {
                true => read(&settings),
                false => content,
            }
        }));
        let Ok(ended) = tokio::time::timeout(limit, reading).await else { return too_long() };
        self.reading = None;
        ended.unwrap_or_else(|error| failed(format!("the task that reads the files failed: {error}")))
    }
}

fn read(settings: &FileSettings) -> FilesRead {
    let mut watched = Watched::default();
    let mut entries = BTreeMap::new();
    let mut problems = Vec::new();
    let mut is_malformed = false;
    let mut tally = StoreTally::new(settings.limits);
    for path in &settings.paths {
        for file in files_of(path, settings, &mut watched, &mut problems) {
            let parsed = match file.bytes {
                Ok(bytes) => {
                    let parsed = document::parse(&file.path, &bytes, &mut tally);
                    parsed.map_err(|problem| problem.to_string()).inspect_err(|_| is_malformed = true)
                }
                Err(problem) => {
                    is_malformed |= problem.is_too_large;
                    Err(format!("cannot read {}: {}", file.path.display(), problem.text))
                }
            };
            match parsed {
                Ok(parsed) => {
                    entries.extend(parsed.into_iter().map(|(key, value)| (Key::from(key.as_str()), value)));
                }
                Err(problem) => problems.push(problem),
            }
        }
    }
    let entries = if problems.is_empty() { Ok(entries) } else { Err(problems.join("; ")) };
    FilesRead { entries, is_malformed, watched }
}

/// Reads the files that a path names: the path itself, or the files of the folder whose names the filter accepts.
fn files_of(path: &Path, settings: &FileSettings, watched: &mut Watched, problems: &mut Vec<String>) -> Vec<TextFile> {
    watched.add_way_to(path);
    if !folder::is_folder(path) {
        return vec![folder::read_file(path)];
    }
    // An editor's swap file is no YAML, and its backup has the keys of before the edit.
    let mut found = folder::read_texts_up_to(settings.limits.bytes, path, |name| {
        let file = name.rsplit('/').next().unwrap_or(name);
        !is_hidden(name) && settings.filter.matches(file)
    });
    found.forget_hidden();
    watched.is_partial |= found.is_partial();
    watched.folders.extend(found.folders);
    problems.extend(found.unread.into_values());
    found.files
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use crate::model::glob::Glob;
    use crate::model::store::StoreLimits;

    use super::*;

    static STARTED: AtomicUsize = AtomicUsize::new(0);
    static HANGS: AtomicBool = AtomicBool::new(true);

    /// Reads in a folder that hangs.
    fn hang(_: &FileSettings) -> FilesRead {
        STARTED.fetch_add(1, Ordering::Relaxed);
        while HANGS.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        FilesRead { entries: Ok(BTreeMap::new()), is_malformed: false, watched: Watched::default() }
    }

    fn settings(paths: Vec<PathBuf>) -> FileSettings {
        FileSettings { paths, filter: Glob::any(), limits: StoreLimits::default() }
    }

    #[test]
    fn a_folder_past_the_bound_is_refused_for_good_and_names_the_setting() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.yaml", "b.yaml"] {
            std::fs::write(dir.path().join(name), format!("{name}: {}\n", "x".repeat(600_000))).unwrap();
        }
        let limits = StoreLimits { bytes: 1 << 20, ..StoreLimits::default() };
        let found = read(&FileSettings { limits, ..settings(vec![dir.path().to_owned()]) });
        let problem = found.entries.unwrap_err();
        assert!(found.is_malformed && problem.contains("raise --max-store-mib"), "{problem}");
    }

    #[test]
    fn a_reading_that_hangs_is_waited_for_and_not_begun_a_second_time() {
        let settings = settings(Vec::new());
        let limit = Duration::from_millis(20);
        let mut reader = FileReader { settings, read: hang, places: None, limit, reading: None };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for _ in 0..5 {
            let problem = runtime.block_on(reader.read()).entries.unwrap_err();
            assert_eq!(problem, "reading files took longer than 20ms");
            assert_eq!(STARTED.load(Ordering::Relaxed), 1);
        }
        HANGS.store(false, Ordering::Relaxed);
        reader.limit = READ_TIMEOUT;
        assert!(runtime.block_on(reader.read()).entries.is_ok());
        assert_eq!(STARTED.load(Ordering::Relaxed), 2, "what the first one found may be old");
    }

    #[test]
    fn a_folder_that_hangs_while_it_is_watched_is_given_up_in_time() {
        let watch = FolderWatch::start(QUIET);
        let settings = settings(Vec::new());
        let limit = Duration::from_millis(20);
        let mut reader = FileReader { settings, read, places: Some(watch.places()), limit, reading: None };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let places = watch.places();
        let hanging = places.hang();
        let problem = runtime.block_on(reader.read()).entries.unwrap_err();
        assert_eq!(problem, "reading files took longer than 20ms");
        drop(hanging);
        reader.limit = READ_TIMEOUT;
        assert!(runtime.block_on(reader.read()).entries.is_ok());
    }
}
