//! Files as a store. All of them are read at each change, and the whole is a snapshot if it differs from the last; a
//! broken or half-written file leaves the last good content and says what is wrong and where.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::backoff::Backoff;
use super::document;
use super::{Outlet, Requests};
use crate::model::event::Event;
use crate::model::glob::Glob;
use crate::model::key::{Key, Revision, Value};
use crate::model::range::KeyRanges;
use crate::model::store::FileSettings;
use crate::world::folder::{self, Found};
use crate::world::random;
use crate::world::watch::PathWatch;

/// Editors and deployments write several times in a row.
const QUIET: Duration = Duration::from_millis(50);

/// A folder on a network that hangs must not hang us.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs until the handle is dropped.
pub(super) async fn run(settings: FileSettings, follow: bool, mut requests: Requests, mut outlet: Outlet) {
    let mut state = State::default();
    let mut is_wanted = true;
    loop {
        // Watching begins before reading, so that no change falls in between.
        let mut watch = follow.then(|| PathWatch::start(&settings.paths));
        let read = outlet.until(read(&settings)).await;
        let retry_in = state.take(read, &requests.ranges(), is_wanted, &mut outlet);
        is_wanted = tokio::select! {
            is_open = requests.changed() => {
                if !is_open {
                    return;
                }
                true
            }
            () = outlet.until(change(watch.as_mut())) => false,
            () = pause(retry_in) => false,
        };
    }
}

async fn change(watch: Option<&mut PathWatch>) {
    match watch {
        Some(watch) => watch.changed(QUIET).await,
        None => std::future::pending().await,
    }
}

async fn pause(delay: Option<Duration>) {
    match delay {
        Some(delay) => tokio::time::sleep(delay).await,
        None => std::future::pending().await,
    }
}

/// What was told so far.
#[derive(Default)]
struct State {
    revision: i64,
    last: Option<BTreeMap<String, String>>,
    is_lost: bool,
    backoff: Backoff,
}

impl State {
    /// Tells the agent what was read. `is_wanted`: even if it is what it was. Gives when to try again by itself.
    fn take(
        &mut self,
        read: Result<BTreeMap<String, String>, String>,
        ranges: &KeyRanges,
        is_wanted: bool,
        outlet: &mut Outlet,
    ) -> Option<Duration> {
        let entries = match read {
            Ok(entries) => entries,
            Err(problem) => {
                let retry_in = self.backoff.next_delay(random::fraction());
                self.is_lost = true;
                outlet.outbox.put_standing(Event::Lost { problem, retry_in });
                return Some(retry_in);
            }
        };
        self.backoff.reset();
        let was_lost = std::mem::take(&mut self.is_lost);
        if is_wanted || self.last.as_ref() != Some(&entries) {
            self.revision += 1;
            let wanted = entries.iter().filter(|(key, _)| ranges.contains(key));
            let wanted = wanted.map(|(key, value)| (Key::from(key.as_str()), Value::from(value.as_str())));
            outlet.outbox.put_snapshot(Revision(self.revision), wanted.collect());
            self.last = Some(entries);
        } else if was_lost {
            outlet.outbox.put_standing(Event::Regained);
        }
        None
    }
}

/// All files together, or all that is wrong with them.
async fn read(settings: &FileSettings) -> Result<BTreeMap<String, String>, String> {
    let settings = settings.clone();
    let work = tokio::task::spawn_blocking(move || read_now(&settings));
    match tokio::time::timeout(READ_TIMEOUT, work).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(format!("reading files was cut off: {error}")),
        Err(_) => Err(format!("reading files took longer than {READ_TIMEOUT:?}")),
    }
}

fn read_now(settings: &FileSettings) -> Result<BTreeMap<String, String>, String> {
    let filter =
        Glob::parse(&settings.filter).map_err(|error| format!("file filter {:?}: {error}", settings.filter))?;
    let mut entries = BTreeMap::new();
    let mut problems = Vec::new();
    for Found { path, content } in folder::read_all(&settings.paths, |name| filter.matches(name)) {
        match content.and_then(|content| parse(&path, &content)) {
            Ok(more) => entries.extend(more),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(entries) } else { Err(problems.join("; ")) }
}

fn parse(path: &Path, content: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    document::parse(extension, content).map_err(|problem| format!("{}:{problem}", path.display()))
}
