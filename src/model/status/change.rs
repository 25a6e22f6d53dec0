//! One of the last changes: what caused it, what it did, and how it ended. Plain data. Pure.

use serde::{Deserialize, Serialize};

use super::UnixTime;

/// A pass that had something to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChangeStatus {
    /// Its number since the start of the agent, from 1.
    pub number: u64,
    /// Its end; of one that was repeated with the same result, the last end.
    pub at: UnixTime,
    /// Revision that was rendered.
    pub revision: i64,
    /// Names of the resources.
    pub resources: Vec<String>,
    /// The changed keys; none if conf.d, a template or a retry caused it.
    pub keys: KeyList,
    /// The files.
    pub files: Vec<ChangedFile>,
    /// Its steps.
    pub phases: Vec<ChangePhase>,
    /// Duration of all of them, in milliseconds.
    pub milliseconds: f64,
    /// Word for the result: `applied`, `incomplete` (some resources dropped out), `failed` (all that had to change did), `answered` and,
    /// once nginx has asked, `taken`, `reload_owed`, `rejected`, `rolled_back`, `stuck`.
    pub result: String,
    /// What went wrong, in nginx's words if they are nginx's; empty if nothing did.
    pub problem: String,
    /// How often it was tried with this result.
    pub attempts: u64,
}

/// Some keys, and the number of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyList {
    /// The first ones, 20 at most, with the prefix.
    pub named: Vec<String>,
    /// Number of the others.
    pub more: usize,
}

/// A file that a change concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedFile {
    /// Its path.
    pub dest: String,
    /// What changed in its backends, in words: `3 backends, +10.0.0.3:80`; empty if it lists none.
    pub backends: String,
    /// The difference as a unified diff, shortened; empty if only answers changed, or if the resource is secret.
    pub diff: String,
}

/// A step of a pass.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChangePhase {
    /// The step, as log lines name it.
    pub step: String,
    /// Its duration, in milliseconds.
    pub milliseconds: f64,
}
