//! Terms that all passes of a run share: their purpose, and whether one of them is changing files right now. Never runs a
//! pass.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::agent::endpoints::Endpoints;
use crate::apply::Context;
use crate::model::report::Rendered;

use super::render::MockData;

/// The purpose of a pass: the use of the bytes that it has rendered.
#[derive(Clone, Debug, Default)]
pub enum LastStep {
    /// Makes it live.
    #[default]
    Apply,
    /// Returns what would change, as guards decide it.
    Preview,
    /// Returns all bytes, whatever guards decide.
    Show {
        /// Name in a `for_each`, if only its instance is rendered.
        item: Option<Arc<str>>,
    },
    /// Renders with this data and no store. Returns failures only.
    Mock(MockData),
}

/// A change that a pass returns instead of applying it.
#[derive(Clone, Debug)]
pub enum Shown {
    /// A file with its new content.
    File(Rendered),
    /// A file that would be removed.
    Gone(PathBuf),
}

/// Terms that all passes of a run share.
#[derive(Default)]
pub struct Terms {
    /// State that all transactions of the process share.
    pub context: Arc<Context>,
    /// The purpose of the passes.
    pub last_step: LastStep,
    /// How changes of backends reach nginx.
    pub endpoints: Arc<Endpoints>,
    /// Whether a group with a resource that drops out is left as it is.
    pub all_or_none: bool,
    /// Number of passes that are applying right now.
    applying: AtomicUsize,
}

impl Terms {
    /// Returns the terms of a run.
    pub fn new(context: Arc<Context>, last_step: LastStep, all_or_none: bool) -> Terms {
        Terms { context, last_step, all_or_none, ..Terms::default() }
    }

    /// Returns the terms with this way for changes of backends.
    pub fn with_endpoints(self, endpoints: Arc<Endpoints>) -> Terms {
        Terms { endpoints, ..self }
    }

    /// Returns whether passes change files.
    pub fn apply(&self) -> bool {
        matches!(self.last_step, LastStep::Apply)
    }

    /// Returns whether some pass is changing files right now.
    pub fn is_applying(&self) -> bool {
        self.applying.load(Ordering::Relaxed) > 0
    }
}

/// A pass that counts as applying; dropped when its results have been taken back.
pub(super) struct Applying(Arc<Terms>);

impl Applying {
    pub(super) fn begin(terms: &Arc<Terms>) -> Applying {
        terms.applying.fetch_add(1, Ordering::Relaxed);
        Applying(Arc::clone(terms))
    }
}

impl Drop for Applying {
    fn drop(&mut self) {
        self.0.applying.fetch_sub(1, Ordering::Relaxed);
    }
}
