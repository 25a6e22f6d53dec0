//! What happens when a bug makes the program panic. Contained work fails with the place in the source; any other panic ends the
//! process, because work that was half done is undone only by the next start. Never shows a panic's message: it may quote a value.
//!
//! Where panics unwind, all contained work is. In a program that is built without unwinding, as the static one is, only work that is
//! contained apart is: it has a thread of its own, which a panic stops for ever.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use super::terminal;

/// Most threads that panics have stopped for ever. Each keeps the memory that it had: the next one ends the process.
const MAX_STOPPED_THREADS: usize = 64;

/// Number of threads that panics have stopped for ever.
static STOPPED_THREADS: AtomicUsize = AtomicUsize::new(0);

/// The receiver of the place of a panic.
type PlaceReceiver = Box<dyn FnOnce(String)>;

thread_local! {
    /// Receives the place of a panic in this thread, which then stops; `None` if it does not belong to work that is contained apart.
    static APART: Cell<Option<PlaceReceiver>> = const { Cell::new(None) };
    /// Whether the work of this thread is contained.
    static IS_CONTAINED: Cell<bool> = const { Cell::new(false) };
    /// The place of the last panic in contained work of this thread.
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// Handles panics as this module says, from now on. Without it, contained work fails with no place.
pub fn handle() {
    panic::set_hook(Box::new(|panic| {
        let place = place_of(panic);
        if let Some(receive) = APART.take()
            && STOPPED_THREADS.fetch_add(1, Ordering::Relaxed) < MAX_STOPPED_THREADS
        {
            receive(place);
            loop {
                thread::park();
            }
        }
        if IS_CONTAINED.get() && cfg!(panic = "unwind") {
            PLACE.set(Some(place));
            return;
        }
        let sentence =
            format!("upstreamd ends itself because of a bug at {place} of its source; please report this place");
        if tracing::dispatcher::has_been_set() {
            tracing::error!("{sentence}");
        } else {
            terminal::print_error(&format!("{sentence}\n"));
        }
        std::process::abort();
    }));
}

/// Does the work. A program that is built without unwinding ends if it panics.
///
/// # Errors
/// It panicked: the text is the place in the source. What the work was changing may be half changed.
pub fn contain<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let outer = IS_CONTAINED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    IS_CONTAINED.set(outer);
    result.map_err(|_| PLACE.take().unwrap_or_else(unknown_place))
}

/// Does work that nothing of the caller's is lent to, so that it can be given up. Where panics do not unwind, it gets a thread with a
/// stack of `stack_bytes`.
///
/// # Errors
/// It panicked: the text is the place in the source. Its memory may be lost, and a lock that it held stays locked.
pub fn contain_apart<T: Send + 'static>(
    stack_bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    if cfg!(panic = "unwind") { contain(work) } else { on_a_thread(stack_bytes, work) }
}

/// Does the work on a thread of its own; here, if there can be no such thread.
fn on_a_thread<T: Send + 'static>(stack_bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let made = Arc::new(Mutex::new(None));
    let place = Arc::clone(&made);
    let work = move || {
        let result = work();
        place.lock().unwrap_or_else(PoisonError::into_inner).replace(result);
    };
    run_on_a_thread(stack_bytes, Box::new(work))?;
    made.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(unknown_place)
}

/// The part of it that is the same for all results: it is the larger one.
fn run_on_a_thread(stack_bytes: usize, work: Box<dyn FnOnce() + Send>) -> Result<(), String> {
    let kept = Arc::new(Mutex::new(Some(work)));
    let take = |kept: &Mutex<Option<_>>| kept.lock().unwrap_or_else(PoisonError::into_inner).take();
    let end = Arc::<EndOfWork>::default();
    let (given, ender) = (Arc::clone(&kept), Ender(Arc::clone(&end)));
    let started = thread::Builder::new().name("apart".to_owned()).stack_size(stack_bytes).spawn(move || {
        let Some(work) = take(&given) else { return };
        let of_panic = Arc::clone(&ender.0);
        APART.set(Some(Box::new(move |place| of_panic.set(Err(place)))));
        work();
        ender.0.set(Ok(()));
    });
    match started {
        Ok(_) => end.wait(),
        Err(_) => take(&kept).map(|work: Box<dyn FnOnce() + Send>| work()).ok_or_else(unknown_place),
    }
}

/// The end of work on a thread.
#[derive(Default)]
struct EndOfWork {
    end: Mutex<Option<Result<(), String>>>,
    has_ended: Condvar,
}

impl EndOfWork {
    /// Sets the end, if there is none yet.
    fn set(&self, end: Result<(), String>) {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(end);
        self.has_ended.notify_one();
    }

    fn wait(&self) -> Result<(), String> {
        let running = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = self.has_ended.wait_while(running, |end| end.is_none());
        ended.unwrap_or_else(PoisonError::into_inner).take().unwrap_or_else(|| Err(unknown_place()))
    }
}

/// Sets the end of work, whatever ends it.
struct Ender(Arc<EndOfWork>);

impl Drop for Ender {
    fn drop(&mut self) {
        self.0.set(Err(unknown_place()));
    }
}

fn unknown_place() -> String {
    "an unknown place".to_owned()
}

/// Returns the place of a panic; of a dependency's file only the part that names the package.
fn place_of(panic: &PanicHookInfo<'_>) -> String {
    let Some(location) = panic.location() else { return unknown_place() };
    let file = location.file();
    let package = file.split_once("/registry/src/").and_then(|(_, rest)| rest.split_once('/'));
    format!("{}:{}:{}", package.map_or(file, |(_, file)| file), location.line(), location.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contained_work_fails_and_leaves_the_thread_as_it_was() {
        assert_eq!(contain(|| contain(|| 1)), Ok(Ok(1)));
        let failed = contain(|| {
            let inner = contain(|| panic!("a value"));
            assert!(IS_CONTAINED.get());
            inner
        });
        assert_eq!(failed, Ok(Err::<(), _>("an unknown place".to_owned())));
        assert!(!IS_CONTAINED.get());
    }

    fn run_alone(test: &str) -> std::process::Output {
        let program = std::env::current_exe().unwrap();
        std::process::Command::new(program).args(["--ignored", "--exact", "--nocapture", test]).output().unwrap()
    }

    #[test]
    fn work_on_a_thread_returns_what_it_made() {
        let here = thread::current().id();
        assert!(on_a_thread(1 << 20, move || thread::current().id() != here).unwrap());
        // No thread can have such a stack.
        assert!(on_a_thread(usize::MAX / 4, move || thread::current().id() == here).unwrap());
    }

    /// The process that the next test looks at.
    #[test]
    #[ignore = "ends the process"]
    fn a_process_without_unwinding() {
        handle();
        for n in 0..=MAX_STOPPED_THREADS {
            let place = on_a_thread(1 << 20, || panic!("a value")).map(|()| unreachable!()).unwrap_err();
            assert!(place.starts_with("src/world/panics.rs:"), "{place}");
            assert_eq!(on_a_thread(1 << 20, move || n), Ok(n));
            eprintln!("it goes on");
        }
    }

    #[test]
    fn a_panic_stops_its_own_thread_until_there_are_too_many() {
        let process = run_alone("world::panics::tests::a_process_without_unwinding");
        let said = String::from_utf8_lossy(&process.stderr);
        let mut lines = said.lines();
        assert_eq!(lines.by_ref().take_while(|line| *line == "it goes on").count(), MAX_STOPPED_THREADS, "{said}");
        assert!(said.contains("\nupstreamd ends itself because of a bug at src/world/panics.rs:"), "{said}");
        assert!(!said.contains("a value"), "{said}");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&process.status), Some(6));
    }

    /// The process that the next test looks at.
    #[test]
    #[ignore = "ends the process"]
    fn a_process_of_its_own() {
        handle();
        let place = contain(|| panic!("a value")).map(|()| unreachable!()).unwrap_err();
        assert!(place.starts_with("src/world/panics.rs:"), "{place}");
        std::thread::spawn(|| panic!("a value")).join().ok();
        eprintln!("it goes on");
    }

    #[test]
    fn any_other_panic_ends_the_process_and_names_only_its_place() {
        let process = run_alone("world::panics::tests::a_process_of_its_own");
        let said = String::from_utf8_lossy(&process.stderr);
        assert!(said.starts_with("upstreamd ends itself because of a bug at src/world/panics.rs:"), "{said}");
        assert!(!said.contains("a value") && !said.contains("it goes on"), "{said}");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&process.status), Some(6));
    }
}
