//! Things that people should know of a pass while it goes on, besides its report. Pure.

use std::fmt;
use std::sync::Arc;

use super::guard::{Decision, Loss, Verdict};
use super::resource::{InstanceId, Resource};

/// One thing to know.
#[derive(Clone, Debug)]
pub enum Note {
    /// Keys were skipped because they are no valid backends, for the first time; the other backends stay.
    Skipped {
        /// The file that was rendered.
        id: InstanceId,
        /// The keys, each with the reason.
        new: Vec<(String, String)>,
        /// How many keys are skipped in all, those known before included.
        total: usize,
    },
    /// A guard has changed its mind.
    Guarded {
        /// The file that was rendered.
        resource: Arc<Resource>,
        /// What it decided now.
        decision: Decision,
        /// The loss that it saw before.
        before: Option<Loss>,
        /// How many backends, keys or names the store has now.
        count: usize,
    },
    /// A resource does not go live before these keys are there.
    Waits {
        /// The resource.
        resource: Arc<Resource>,
        /// Keys as templates name them.
        missing: Vec<String>,
    },
    /// A resource goes live without the keys that it waited for.
    GaveUpWaiting {
        /// The resource.
        resource: Arc<Resource>,
        /// Keys as templates name them.
        missing: Vec<String>,
    },
    /// The number of live backends could not be written down.
    NotRemembered {
        /// The file that it belongs to.
        id: InstanceId,
        /// What went wrong.
        problem: String,
    },
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// It is said elsewhere, or there is nothing to say.
    Silent,
    /// Good to know.
    Info,
    /// Somebody may have to act.
    Warning,
}

impl Note {
    /// Returns how much it matters.
    pub fn weight(&self) -> Weight {
        let Note::Guarded { resource, decision, before, .. } = self else {
            return if matches!(self, Note::Waits { .. }) { Weight::Info } else { Weight::Warning };
        };
        match (decision.loss, decision.verdict) {
            (None, _) if before.is_some() => Weight::Info,
            // A refusal is reported as the failure that it is.
            (None, _) | (Some(_), Verdict::Fail) => Weight::Silent,
            // Without a guard in the resource, this is how confd works.
            (Some(_), Verdict::Apply) if resource.guard.on_empty.is_none() && !resource.guard.compares() => {
                Weight::Info
            }
            (Some(_), _) => Weight::Warning,
        }
    }
}

/// The sentence without the resource; `Skipped` prints one for all of its keys.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Skipped { new, .. } => {
                let keys: Vec<String> =
                    new.iter().map(|(key, reason)| format!("{} ({reason})", key.escape_debug())).collect();
                write!(f, "skipped, the other backends stay: {}", keys.join(", "))
            }
            Note::Guarded { resource, decision, .. } => match decision.loss {
                None => f.write_str("the store has enough again"),
                Some(loss) => write!(f, "{loss}: {}", decision.consequence(&resource.guard)),
            },
            Note::Waits { resource, missing } => {
                write!(f, "waiting for keys, at most {:?}: {}", resource.needs.wait_timeout, missing.join(" "))
            }
            Note::GaveUpWaiting { resource, missing } => write!(
                f,
                "gave up waiting after {:?}; continuing without: {}",
                resource.needs.wait_timeout,
                missing.join(" ")
            ),
            Note::NotRemembered { problem, .. } => {
                write!(f, "cannot record the number of live backends for a restart: {problem}")
            }
        }
    }
}
