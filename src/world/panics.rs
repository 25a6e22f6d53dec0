//! What happens when a bug makes the program panic. Contained work fails with the place in the source; any other panic ends the
//! process, because work that was half done is undone only by the next start. Never shows a panic's message: it may quote a value.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use super::terminal;

thread_local! {
    /// Whether the work of this thread is contained.
    static IS_CONTAINED: Cell<bool> = const { Cell::new(false) };
    /// The place of the last panic in contained work of this thread.
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// Handles panics as this module says, from now on. Without it, contained work fails with no place.
pub fn handle() {
    panic::set_hook(Box::new(|panic| {
        let place = place_of(panic);
        if IS_CONTAINED.get() {
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

/// Does the work.
///
/// # Errors
/// It panicked: the text is the place in the source. What the work was changing may be half changed.
pub fn contain<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let outer = IS_CONTAINED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    IS_CONTAINED.set(outer);
    result.map_err(|_| PLACE.take().unwrap_or_else(|| "an unknown place".to_owned()))
}

/// Returns the place of a panic; of a dependency's file only the part that names the package.
fn place_of(panic: &PanicHookInfo<'_>) -> String {
    let Some(location) = panic.location() else { return "an unknown place".to_owned() };
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
        let process = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "world::panics::tests::a_process_of_its_own"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&process.stderr);
        assert!(said.starts_with("upstreamd ends itself because of a bug at src/world/panics.rs:"), "{said}");
        assert!(!said.contains("a value") && !said.contains("it goes on"), "{said}");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&process.status), Some(6));
    }
}
