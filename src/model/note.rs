//! Notes that a pass makes for people while it runs, beside its report. Pure.

use std::fmt;
use std::sync::Arc;

use super::guard::{Decision, Verdict};
use super::resource::{InstanceId, Resource};

/// One note of a pass.
#[derive(Clone, Debug)]
pub enum Note {
    /// Keys are skipped for the first time because they do not decode as a backend; the other backends stay.
    Skipped {
        /// The file that was rendered.
        id: InstanceId,
        /// The newly skipped keys, each with its reason.
        new: Vec<(String, String)>,
        /// Number of all skipped keys, old and new.
        total: usize,
    },
    /// The decision of a guard changed.
    Guarded {
        /// The file that was rendered.
        resource: Arc<Resource>,
        /// The new decision.
        decision: Decision,
        /// The previous decision, if it found a loss.
        before: Option<Decision>,
        /// Number of backends, keys or names in the store now.
        count: usize,
        /// Keys that options of `backends` leave out, in words, if its list is empty.
        left_out: Option<String>,
    },
    /// A resource waits for these keys before it goes live.
    Waits {
        /// The resource.
        resource: Arc<Resource>,
        /// The missing keys, as templates name them.
        missing: Vec<String>,
    },
    /// A resource goes live without the keys it waited for.
    GaveUpWaiting {
        /// The resource.
        resource: Arc<Resource>,
        /// The missing keys, as templates name them.
        missing: Vec<String>,
    },
    /// The number of live backends could not be saved.
    CountNotSaved {
        /// The file with these backends.
        id: InstanceId,
        /// The error.
        problem: String,
    },
}

/// The keys of one file that do not decode as a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkippedKeys {
    /// The first ones, with the prefix, each with its reason.
    pub named: Vec<(String, String)>,
    /// Number of all of them.
    pub total: usize,
}

impl SkippedKeys {
    /// Most keys that are named.
    pub const MAX_NAMED: usize = 20;
}

/// Log level of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Not logged: it is reported elsewhere, or there is nothing to report.
    Silent,
    /// Good to know.
    Info,
    /// A person may have to act.
    Warning,
}

impl Note {
    /// Returns the level to log it at.
    pub fn severity(&self) -> Severity {
        let Note::Guarded { resource, decision, before, .. } = self else {
            return if matches!(self, Note::Waits { .. }) { Severity::Info } else { Severity::Warning };
        };
        match (decision.loss, decision.verdict) {
            (None, _) if before.is_some() => Severity::Info,
            // A refusal is reported as a failure.
            (None, _) | (Some(_), Verdict::Fail) => Severity::Silent,
            // The resource sets no guard: this is how confd works.
            (Some(_), Verdict::Apply) if resource.guard.on_empty.is_none() && !resource.guard.compares() => {
                Severity::Info
            }
            (Some(_), _) => Severity::Warning,
        }
    }
}

/// Prints the sentence without the resource's name; `Skipped` prints one sentence for all its keys.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Skipped { new, .. } => {
                let keys: Vec<String> =
                    new.iter().map(|(key, reason)| format!("{} ({reason})", key.escape_debug())).collect();
                write!(f, "skipped, the other backends stay: {}", keys.join(", "))
            }
            Note::Guarded { resource, decision, before, left_out, .. } => match decision.loss {
                // What went live without may never have had any.
                None if before.is_some_and(|before| before.verdict == Verdict::Apply) => {
                    f.write_str("the store has enough now")
                }
                None => f.write_str("the store has enough again"),
                Some(loss) => {
                    let left_out = left_out.as_ref().map(|left_out| format!("; {left_out}")).unwrap_or_default();
                    write!(f, "{loss}{left_out}: {}", decision.consequence(&resource.guard))
                }
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
            Note::CountNotSaved { problem, .. } => {
                write!(f, "cannot record the number of live backends for a restart: {problem}")
            }
        }
    }
}
