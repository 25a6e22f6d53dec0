//! The render of a Tera template that runs on this thread. Tera calls functions without a handle of ours, so it lies in a
//! thread's cell, put there and taken away by `TeraRun::run`.

use std::cell::RefCell;
use std::sync::Arc;

use tera::Tera;

use super::memory::TeraMemory;
use crate::model::problem::Problem;
use crate::render::library::patterns::Patterns;
use crate::render::session::RenderSession;

/// State for the functions of Tera templates.
pub(in crate::render) struct TeraRun {
    pub(super) session: RenderSession,
    pub(super) memory: TeraMemory,
    /// Regular expressions compiled by this render.
    pub(super) patterns: Patterns,
    /// The templates that live together with the one that is rendered: loops that are printed piece by piece.
    pub(super) templates: Arc<Tera>,
    /// Error of the function that failed.
    pub(super) failure: Option<Problem>,
    /// Text that may not be printed, and stopped the render.
    pub(super) refused: Option<String>,
}

thread_local! {
    static RUNNING: RefCell<Option<TeraRun>> = const { RefCell::new(None) };
}

/// Empties the cell, also when a render unwinds.
struct CellGuard;

impl Drop for CellGuard {
    fn drop(&mut self) {
        RUNNING.with(|running| running.take());
    }
}

impl TeraRun {
    pub(super) fn new(session: RenderSession, memory: TeraMemory, templates: Arc<Tera>) -> TeraRun {
        TeraRun { session, memory, patterns: Patterns::default(), templates, failure: None, refused: None }
    }

    /// Runs `render` with this within reach of the functions, and returns it; `None` if `render` took it away.
    pub(super) fn run<T>(self, render: impl FnOnce() -> T) -> (T, Option<TeraRun>) {
        RUNNING.set(Some(self));
        let _ended = CellGuard;
        let result = render();
        (result, RUNNING.take())
    }

    /// Works with what runs on this thread. Fails if nothing runs: then a function was called outside of a render.
    pub(super) fn with<T>(work: impl FnOnce(&mut TeraRun) -> Result<T, Problem>) -> Result<T, Problem> {
        RUNNING.with_borrow_mut(|running| match running {
            Some(run) => work(run).inspect_err(|failure| run.failure = Some(failure.clone())),
            None => Err(Problem::new("called outside of a render")),
        })
    }

    /// Records the text that may not be printed.
    pub(super) fn refuse(text: &str) {
        RUNNING.with_borrow_mut(|running| {
            if let Some(run) = running {
                run.refused = Some(text.to_owned());
            }
        });
    }
}
