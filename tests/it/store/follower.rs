//! A stand-in for the agent: runs a source on a thread of its own, applies its events to a tree and remembers them.

use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use upstreamd::model::event::Event;
use upstreamd::model::key::Revision;
use upstreamd::model::range::{KeyRanges, WantedKeys};
use upstreamd::model::store::StoreSettings;
use upstreamd::model::tree::Tree;
use upstreamd::source;

use crate::support::wait_for;

/// How long any wait may take.
pub const DEADLINE: Duration = Duration::from_secs(40);

/// Everything that a follower has seen so far.
#[derive(Default)]
pub struct Seen {
    pub tree: Tree,
    pub snapshots: usize,
    pub changes: usize,
    pub lost: usize,
    pub regained: usize,
    pub problems: Vec<String>,
    /// Whether the last snapshot lacks keys that the store refuses.
    pub refused: bool,
    /// Failures of the check given at the start.
    pub objections: Vec<String>,
}

type Check = Box<dyn Fn(&Tree) -> Result<(), String> + Send>;
type Wish = Box<dyn FnOnce(&source::Handle) + Send>;

pub struct Follower {
    seen: Arc<Mutex<Seen>>,
    wishes: mpsc::UnboundedSender<Wish>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Follows these directories.
    pub fn start(settings: StoreSettings, directories: &[&str]) -> Follower {
        Follower::start_with(settings, directories, true, Box::new(|_| Ok(())))
    }

    /// `check` judges every tree that the agent would see.
    pub fn start_with(settings: StoreSettings, directories: &[&str], follow: bool, check: Check) -> Follower {
        let ranges = KeyRanges::of_directories(directories.iter().copied());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (wishes, receiver) = mpsc::unbounded_channel();
        let thread = std::thread::spawn({
            let seen = Arc::clone(&seen);
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(run(settings, ranges, follow, &check, &seen, receiver));
            }
        });
        Follower { seen, wishes, thread: Some(thread) }
    }

    fn wish(&self, wish: impl FnOnce(&source::Handle) + Send + 'static) {
        self.wishes.send(Box::new(wish)).ok().unwrap();
    }

    pub fn resync(&self) {
        self.wish(source::Handle::resync);
    }

    pub fn set_directories(&self, directories: &[&str]) {
        let ranges = KeyRanges::of_directories(directories.iter().copied());
        self.wish(move |handle| handle.set_wanted(WantedKeys::of([&ranges])));
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// All problems reported so far.
    pub fn seen_problems(&self) -> Vec<String> {
        self.seen().problems.clone()
    }

    /// Waits until `state` holds for what was seen, and that the check had no objection by then.
    #[track_caller]
    pub fn wait(&self, what: &str, mut state: impl FnMut(&Seen) -> bool) {
        let mut last = String::new();
        let reached = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for(what, DEADLINE, || {
                let seen = self.seen();
                last = format!(
                    "revision {}, {} keys, {} snapshots, {} changes, lost {}: {:?}",
                    seen.tree.revision(),
                    seen.tree.len(),
                    seen.snapshots,
                    seen.changes,
                    seen.lost,
                    seen.problems.last(),
                );
                state(&seen).then_some(())
            });
        }));
        assert!(reached.is_ok(), "{what}: {last}");
        assert_eq!(self.seen().objections, Vec::<String>::new());
    }

    /// Waits until `key` has this value (`None`: is not there).
    #[track_caller]
    pub fn wait_value(&self, key: &str, value: Option<&str>) {
        self.wait(&format!("{key} to be {value:?}"), |seen| text(&seen.tree, key) == value && seen.snapshots > 0);
    }

    #[track_caller]
    pub fn wait_revision(&self, revision: i64) {
        self.wait(&format!("revision {revision}"), |seen| seen.tree.revision() >= Revision(revision));
    }
}

/// The value of `key` as text.
pub fn text<'a>(tree: &'a Tree, key: &str) -> Option<&'a str> {
    tree.get(key).and_then(|value| value.as_text())
}

impl Drop for Follower {
    fn drop(&mut self) {
        let (closed, _) = mpsc::unbounded_channel();
        self.wishes = closed;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

async fn run(
    settings: StoreSettings,
    ranges: KeyRanges,
    follow: bool,
    check: &Check,
    seen: &Mutex<Seen>,
    mut wishes: mpsc::UnboundedReceiver<Wish>,
) {
    let mut handle = source::start(settings, WantedKeys::of([&ranges]), follow);
    loop {
        tokio::select! {
            wish = wishes.recv() => match wish {
                Some(wish) => wish(&handle),
                None => return,
            },
            event = handle.events.recv() => {
                let mut seen = seen.lock().unwrap();
                take(&mut seen, event.expect("a source never ends by itself"), check);
                handle.set_known(seen.tree.clone());
            }
        }
    }
}

fn take(seen: &mut Seen, event: Event, check: &Check) {
    let before = seen.tree.revision();
    match event {
        Event::Snapshot { revision, refused, entries, .. } => {
            seen.snapshots += 1;
            seen.refused = refused.is_some();
            seen.tree = Tree::from_entries(revision, entries);
        }
        Event::Changes { revision, puts, deletes, .. } => {
            seen.changes += 1;
            if revision < before {
                seen.objections.push(format!("changes of revision {revision} after {before}"));
            }
            if puts.is_empty() && deletes.is_empty() {
                seen.objections.push("changes without a change".to_owned());
            }
            seen.tree.advance(revision, puts, deletes);
        }
        Event::Lost { problem, .. } => {
            seen.lost += 1;
            seen.problems.push(problem);
            return;
        }
        Event::Regained => {
            seen.regained += 1;
            return;
        }
    }
    if let Err(objection) = check(&seen.tree) {
        seen.objections.push(objection);
    }
}
